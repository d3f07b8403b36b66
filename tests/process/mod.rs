//! PID 1 and everything below it, each test in a PID namespace of its own.

mod filters;
mod gunicorn;
mod handover;
mod init;
mod namespace;
mod steps;
mod supervise;
mod terminal;
