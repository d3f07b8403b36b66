//! PostgreSQL: one shared schema and one schema per tenant.

pub(crate) mod apply;
mod blockers;
mod cached_reader;
mod catalog;
mod chunks;
mod connect;
mod connection;
mod connection_pool;
mod copy;
mod delete;
mod derive;
mod drop_schema;
mod examine;
mod handle;
mod history;
mod inspect;
mod journal;
mod ledgers;
pub(crate) mod lock;
mod metadata_schema;
mod provision;
mod quote;
mod read_only;
mod recover;
mod registry;
mod rename;
mod rows;
mod run_migration;
mod server;
mod sql;
mod structure;
mod table_probe;
mod writer;

pub(crate) use self::handle::Postgres;
use self::handle::{LEDGER, QUERY_CANCELED};
use super::DatabaseError;
