//! Creates tenants completely, or not at all.

pub(crate) mod bootstrap;
mod command;
pub(crate) mod create;
mod in_flight;
pub(crate) mod recovery;
pub(crate) mod rollback;
mod row_values;
pub(crate) mod tenant_request;
