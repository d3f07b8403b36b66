//! The one integration binary: the real program against real processes.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod process;
