//! Every test that needs the real binary, real processes or real services: one program, one folder per area.
#![expect(clippy::disallowed_methods, reason = "tests start and wait for processes themselves")]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod architecture;
mod attack;
mod compat;
mod container;
mod django;
mod documents;
mod inspection;
mod ledgers;
mod migrate;
mod observability;
mod process;
mod release;
mod run;
mod soak;
mod support;
