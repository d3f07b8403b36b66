//! Diagnostics below the report's level, on standard error: `PORTCULLIS_LOG=debug`.

use tracing::Level;

use crate::{config::environment::Environment, failure::Failure};

/// Starts them if the variable asks for them.
pub(crate) fn start(env: &Environment, colour: bool) -> Result<(), Failure> {
    let Some(word) = env.get("PORTCULLIS_LOG") else {
        return Ok(());
    };
    let level: Level = word.parse().map_err(|_| Failure::Usage {
        message: format!("PORTCULLIS_LOG is `{word}`, not one of error, warn, info, debug, trace"),
    })?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        // It would report them with `eprintln!`, which panics for the same reason.
        .log_internal_errors(false)
        .init();
    Ok(())
}
