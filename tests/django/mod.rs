//! The Django example end to end: real django-tenants on Django 5.2 and 6.0, real PostgreSQL, Django's own checks.

mod bootstrap;
mod databases;
mod differential;
mod doctor;
mod example;
mod expectation;
mod faults;
mod gate;
mod migrate;
mod output;
mod quarantine;
mod repair;
mod six;
mod template;
mod tenants;
