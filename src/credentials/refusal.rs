//! Why a source gives no password.

use crate::cause::{Cause, Kind, Unavailable};

pub(super) fn permanent(text: impl Into<String>) -> Unavailable {
    Unavailable::Permanent(Cause::new(Kind::PasswordSource, text))
}

pub(super) fn temporary(text: impl Into<String>) -> Unavailable {
    Unavailable::Temporary(Cause::new(Kind::PasswordSource, text))
}
