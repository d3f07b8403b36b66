//! PID 1 and everything below it, each test in a PID namespace of its own.

mod fairness;
mod filters;
mod gunicorn;
mod handover;
mod hostile;
mod init;
mod namespace;
mod phases;
mod start_up;
mod steps;
mod supervise;
mod terminal;
