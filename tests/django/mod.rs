//! The Django example end to end: real django-tenants on Django 5.2 and 6.0, real PostgreSQL, Django's own checks.

mod asking;
mod bootstrap;
mod credentials;
mod databases;
mod differential;
mod django_6;
mod doctor;
mod example;
mod faults;
mod gate;
mod manifest;
mod migrate;
mod new_tenant;
mod output;
mod pasted;
mod quarantine;
mod repair;
mod replay;
mod restore;
mod sessions;
mod structure;
mod template;
mod tenants;
mod third_party;
