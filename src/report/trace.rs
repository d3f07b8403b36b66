//! Diagnostics of Portcullis itself, for debugging it.

use std::io;

use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::output::Output;
use crate::{config::environment::Environment, failure::Failure, logging::LogLevel};

/// Enables the diagnostics of Portcullis and its libraries from the level of `PORTCULLIS_LOG` on, if it is set.
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

/// Enables the diagnostics of Portcullis at the log level `debug`, unless `PORTCULLIS_LOG` is set.
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
        // It reports them with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false)
        .with_filter(targets);
    // It fails if `PORTCULLIS_LOG` has already configured them.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// Prints complete lines of diagnostics.
struct Diagnostics(Output);

impl io::Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let message = text.trim();
        if self.0.is_json() {
            let line = serde_json::json!({ "level": "debug", "event": "diagnostic", "message": message });
            self.0.print_droppable(&line.to_string());
        } else {
            self.0.print_droppable(message);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
