//! Implements the actions of steps and commands: judge, migrate, provision, repair.

mod blockers;
pub(crate) mod compat;
pub(crate) mod context;
pub(crate) mod detect;
pub(crate) mod doctor;
pub(crate) mod expectation;
pub(crate) mod exports;
pub(crate) mod gate_bypass;
pub(crate) mod history;
pub(crate) mod judge;
pub(crate) mod lock;
mod lock_acquisition;
mod lock_heartbeat;
pub(crate) mod manifest_check;
pub(crate) mod migrate;
pub(crate) mod notices;
pub(crate) mod programs;
pub(crate) mod provision;
mod rebuild;
pub(crate) mod repair;
pub(crate) mod run_state;
pub(crate) mod structure;
mod structure_rules;
pub(crate) mod template;
pub(crate) mod verify;
