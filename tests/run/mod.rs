//! The entrypoint end to end, on both engines: the shipped sample, started, started again and broken.

mod broken_tenants;
mod configuration;
mod exit_codes;
mod sample;
mod sqlx_cli;

/// One test for each engine out of a function that takes the engine.
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
use on_both_engines;
