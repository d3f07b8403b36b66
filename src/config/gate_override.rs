//! Reads `PORTCULLIS_OVERRIDE="gate:REASON"`, with which an operator opens the gate once.

use super::environment::Environment;
use crate::failure::Failure;

/// The reason, if the variable is set.
pub(crate) fn reason(env: &Environment) -> Result<Option<String>, Failure> {
    let Some(text) = env.get("PORTCULLIS_OVERRIDE") else { return Ok(None) };
    match text.split_once(':').map(|(what, reason)| (what, reason.trim())) {
        Some(("gate", reason)) if !reason.is_empty() => Ok(Some(reason.to_owned())),
        _ => Err(Failure::Usage {
            message: "PORTCULLIS_OVERRIDE must be `gate:REASON`, with a reason in plain text".into(),
        }),
    }
}
