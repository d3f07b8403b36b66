//! PostgreSQL: one schema for what tenants share, and one for each tenant.

mod answer;
pub(crate) mod apply;
mod catalog;
mod chunks;
mod connect;
mod connection;
mod copy;
mod delete;
mod derive;
mod examine;
mod handle;
mod idle;
mod journal;
mod kept;
mod ledgers;
pub(crate) mod lock;
mod look;
mod own;
mod provision;
mod quote;
mod reading;
mod record;
mod recover;
mod registry;
mod remove;
mod rename;
mod rows;
mod run;
mod server;
mod sql;
mod structure;
mod writer;

pub(crate) use self::handle::Postgres;
use self::handle::{LEDGER, QUERY_CANCELED};
use super::DatabaseError;
