//! The entrypoint end to end, on both engines: first start, second start, broken tenants.

mod bootstrap;
mod broken_tenants;
mod brokers;
mod columns;
mod command;
mod compat;
mod configuration;
pub(crate) mod cooperate;
pub(crate) mod credentials;
mod databases;
mod doctor;
mod exit_codes;
mod fence;
mod fifo;
mod gate_bypasses;
mod history;
mod init_config;
mod languages;
mod libpq;
pub(crate) mod lock;
mod manifests;
mod migrations;
mod order;
mod output;
pub(crate) mod pasted;
mod pooler;
mod progress;
mod repair;
mod restore;
mod sample;
mod secrets;
mod sessions;
mod settling;
mod shared_objects;
mod sql_files;
mod sql_steps;
mod sqlx_cli;
mod stopping;
mod tenant_files;
mod tenants;
mod tls;
mod waiting;
mod watch;
mod workers;

/// Generates one test for each engine from a function that takes the engine.
macro_rules! on_both_engines {
    ($($name:ident)*) => {
        mod postgres {
            $(#[test] fn $name() { super::$name(crate::support::sample::Engine::Postgres); })*
        }
        mod sqlite {
            $(#[test] fn $name() { super::$name(crate::support::sample::Engine::Sqlite); })*
        }
    };
}
pub(crate) use on_both_engines;
