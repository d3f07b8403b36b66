//! Lines on standard error beside a start-up's events: what other commands say on their way, and diagnostics.
//!
//! One writer for the whole process, started with the first line: nobody waits for a terminal that is blocked.

use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError},
};

use super::{
    mask::Mask,
    writer::{self, Writer},
};

static WRITER: OnceLock<Writer> = OnceLock::new();
static LOOK: Mutex<Look> = Mutex::new(Look { json: false, mask: Mask::none() });

struct Look {
    json: bool,
    mask: Mask,
}

/// One line. `eprintln!` would panic where standard error is full or nobody reads it.
pub(crate) fn say(line: &str) {
    let line = look().mask.apply(line);
    WRITER.get_or_init(|| Writer::start(false)).line(line);
}

/// Draws a bar below the lines, or takes it away.
pub(super) fn bar(bar: Option<String>) {
    WRITER.get_or_init(|| Writer::start(false)).bar(bar);
}

/// What is different for whoever stays in front of a program without being PID 1. At once or not at all: a thread for
/// one line would cost a start more than everything else.
pub(crate) fn note_not_pid_1() {
    writer::write_if_read(
        "portcullis: not PID 1, so orphans are reaped as a subreaper and the namespace does not end with this",
    );
}

/// Returns once everything is written, or after two seconds of a blocked terminal.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush();
    }
}

/// From now on lines look as the log does, which knows more secrets.
pub(super) fn adopt(json: bool, mask: &Mask) {
    *look() = Look { json, mask: mask.clone() };
}

fn look() -> std::sync::MutexGuard<'static, Look> {
    LOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes whole lines of diagnostics.
pub(super) struct Diagnostics;

impl io::Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let message = text.trim();
        if look().json {
            let line = serde_json::json!({ "level": "debug", "event": "diagnostic", "message": message });
            say(&line.to_string());
        } else {
            say(message);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
