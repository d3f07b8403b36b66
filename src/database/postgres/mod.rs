//! PostgreSQL: one shared schema and one schema per tenant.

pub(crate) mod apply;
mod blockers;
mod cached_reader;
mod catalog;
mod chunks;
mod columns;
mod connect;
mod connection;
mod connection_pool;
mod copy;
mod databases;
mod delete;
mod derive;
mod drop_schema;
mod error;
mod examine;
mod handle;
mod history;
mod inspect;
mod journal;
mod ledgers;
pub(crate) mod lock;
mod login;
mod message_limits;
mod metadata_schema;
mod outside;
mod provision;
mod quote;
mod read_only;
mod rebuild;
mod record;
mod recover;
mod refusal;
mod registry;
mod rename;
mod replay;
mod restore;
mod rows;
mod run_migration;
mod server;
mod sql;
mod stream;
mod structure;
mod survey;
mod table_probe;
mod tls;
mod writer;

use self::handle::{LEDGER, QUERY_CANCELED};
#[cfg(any(test, fuzzing))]
pub(crate) use self::stream::read_checked;
pub(crate) use self::{
    databases::{DatabasesSession, TenantDatabases},
    handle::Postgres,
};
use super::DatabaseError;
