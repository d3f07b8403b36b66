//! Diagnostics of Portcullis itself, below the log's events: for whoever looks for a fault in it.

use std::io;

use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::output::Output;
use crate::{config::environment::Environment, failure::Failure, logging::LogLevel};

/// Starts them if `PORTCULLIS_LOG` asks for them: ours and those of the libraries, from this level on.
pub(crate) fn start(env: &Environment, output: &Output) -> Result<(), Failure> {
    let Some(word) = env.get("PORTCULLIS_LOG") else {
        return Ok(());
    };
    let level: Level = word.parse().map_err(|_| Failure::Usage {
        message: format!("PORTCULLIS_LOG is `{word}`, not one of error, warn, info, debug, trace"),
    })?;
    show(Targets::new().with_default(level), output);
    Ok(())
}

/// A log that shows everything shows our own diagnostics, too, unless the variable has said which.
pub(super) fn start_with(level: LogLevel, output: &Output) {
    match level {
        LogLevel::Debug => {
            show(Targets::new().with_target(env!("CARGO_CRATE_NAME"), Level::DEBUG), output);
        }
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => {}
    }
}

fn show(targets: Targets, output: &Output) {
    let output = output.clone();
    let layer = fmt::layer()
        .with_writer(move || Diagnostics(output.clone()))
        .with_ansi(false)
        // It would report them with `eprintln!`, which panics where standard error is closed.
        .log_internal_errors(false)
        .with_filter(targets);
    // Whoever was first has said which.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// Takes whole lines of diagnostics.
struct Diagnostics(Output);

impl io::Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let message = text.trim();
        if self.0.is_json() {
            let line = serde_json::json!({ "level": "debug", "event": "diagnostic", "message": message });
            self.0.mention(&line.to_string());
        } else {
            self.0.mention(message);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
