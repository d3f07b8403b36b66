//! Diagnostics of Portcullis itself, below the log's events: for whoever looks for a fault in it.

use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::aside::Diagnostics;
use crate::{cli::LogLevel, config::environment::Environment, failure::Failure};

/// Starts them if `PORTCULLIS_LOG` asks for them: ours and those of the libraries, from this level on.
pub(crate) fn start(env: &Environment) -> Result<(), Failure> {
    let Some(word) = env.get("PORTCULLIS_LOG") else {
        return Ok(());
    };
    let level: Level = word.parse().map_err(|_| Failure::Usage {
        message: format!("PORTCULLIS_LOG is `{word}`, not one of error, warn, info, debug, trace"),
    })?;
    show(Targets::new().with_default(level));
    Ok(())
}

/// A log that shows everything shows our own diagnostics, too, unless the variable has said which.
pub(super) fn start_with(level: LogLevel) {
    match level {
        LogLevel::Debug => show(Targets::new().with_target(env!("CARGO_CRATE_NAME"), Level::DEBUG)),
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => {}
    }
}

fn show(targets: Targets) {
    let layer = fmt::layer()
        .with_writer(|| Diagnostics)
        .with_ansi(false)
        // It would report them with `eprintln!`, which panics where standard error is closed.
        .log_internal_errors(false)
        .with_filter(targets);
    // Whoever was first has said which.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}
