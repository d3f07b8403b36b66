//! Creates tenants completely, or leaves nothing of them.

pub(crate) mod bootstrap;
mod command;
pub(crate) mod create;
mod in_flight;
pub(crate) mod recovery;
pub(crate) mod rollback;
pub(crate) mod tenant_request;
