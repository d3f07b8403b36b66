//! The manifest, the inspection's result and the gate's verdict. Pure: no SQL, no files, no clock.

pub(crate) mod accept;
pub(crate) mod app;
pub(crate) mod compat;
pub(crate) mod day;
mod expected;
mod finding;
pub(crate) mod gate;
pub(crate) mod inspection;
pub(crate) mod ledger;
pub(crate) mod manifest;
pub(crate) mod quarantine;
pub(crate) mod recording;
pub(crate) mod replay;
pub(crate) mod structure;
pub(crate) mod survey;
mod verdict;
