//! PID 1 and its descendants; each test runs in a new PID namespace.

mod exports;
mod fairness;
mod filters;
mod gunicorn;
mod handover;
mod hostile;
mod init;
mod namespace;
mod phases;
mod privileges;
mod start_up;
mod steps;
mod supervise;
mod terminal;
