//! Turns the configuration's text into valid values, or reports every error with its place. No sockets, no clock.
//! Reading has three stages: the content of the file (toml's spanned tree), the filled-in values (`interpolate`), and
//! the valid values of `types`, which are all that the rest of the program uses.

mod actions;
pub(crate) mod capabilities;
mod check;
mod command_fields;
mod connection;
pub(crate) mod environment;
pub(crate) mod exported;
mod fields;
pub(crate) mod file_pattern;
mod frameworks;
pub(crate) mod gate_override;
mod interpolate;
mod keys;
pub(crate) mod libpq;
pub(crate) mod load;
mod migrations;
mod observability;
mod password;
pub(crate) mod privileges;
mod problem;
mod reading;
mod redact;
mod render;
pub(crate) mod role;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod secret_names;
pub(crate) mod secrets;
mod steps;
mod tables;
mod tenant_database;
#[cfg(test)]
mod tests;
mod types;
mod unknown_keys;
pub(crate) mod url;
mod values;
mod wait;

#[cfg(test)]
pub(crate) use self::frameworks::FRAMEWORKS;
pub(crate) use self::{
    file_pattern::{Captures, FilePattern, IdTemplate},
    libpq::SYSTEM_ROOTS,
    tenant_database::{Part as TenantDatabasePart, TenantDatabase},
    types::*,
};
