//! The subcommands other than `run`, one file each; they return values, and `report` renders them.

pub(crate) mod check;
pub(crate) mod compat;
pub(crate) mod completions;
mod database_variables;
mod declared_server;
pub(crate) mod detect;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod init_config;
pub(crate) mod manifest;
pub(crate) mod manual;
pub(crate) mod migrate;
pub(crate) mod plan;
pub(crate) mod repair;
pub(crate) mod tenant;
pub(crate) mod token;
pub(crate) mod verify;
