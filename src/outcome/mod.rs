//! The results: events, failures and their details, results of checks and repairs. Values only; `report` renders them.

mod action;
pub(crate) mod bootstrap;
pub(crate) mod command;
pub(crate) mod compat;
mod details;
pub(crate) mod detect;
pub(crate) mod doctor;
pub(crate) mod event;
pub(crate) mod migration_plan;
pub(crate) mod plan_hash;
pub(crate) mod repair;
pub(crate) mod structure;
pub(crate) mod token;
pub(crate) mod trace_context;
pub(crate) mod watch;
pub(crate) mod wording;

pub(crate) use self::{
    action::ActionEvent,
    details::{FailureDetails, SchemaFailure},
};
