//! Told about everything, decides nothing: events become lines, the failure box and JSON.

pub(crate) mod event;
