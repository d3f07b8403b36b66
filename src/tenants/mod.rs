//! What the code expects, what was found, and the judgement between the two. Pure: it knows no SQL,
//! opens no file and asks no clock.

pub(crate) mod accept;
pub(crate) mod app;
pub(crate) mod day;
mod expected;
pub(crate) mod gate;
pub(crate) mod inspection;
pub(crate) mod ledger;
pub(crate) mod manifest;
pub(crate) mod quarantine;
pub(crate) mod replay;
