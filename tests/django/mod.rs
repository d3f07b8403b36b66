//! The Django example end to end: real django-tenants in target/venv, real PostgreSQL, Django's own answers.

mod differential;
mod doctor;
mod expectation;
mod faults;
mod gate;
mod migrate;
mod quarantine;
mod repair;
mod template;
mod tenants;
