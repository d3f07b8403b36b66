//! Portcullis: a container entrypoint that proves every tenant is completely migrated before it starts the server.
//!
//! Data travels `config -> plan -> engine -> steps -> (judgement in tenants, effects in database and process)
//! -> handover`, and `report` is told about everything.

mod failure;

mod config;
mod plan;
mod report;
mod tenants;
