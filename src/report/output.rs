//! The one way out: every byte that leaves the process passes the mask and the filter here.
//!
//! Made as soon as the environment is known, and told of the configuration's secrets as soon as it is read. Cheap to clone.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{
    mask::{Lines, Mask},
    stderr_writer::{Priority, Queue},
    streams::Stream,
    terminal_filter,
};
use crate::{
    config::{Config, environment::Environment},
    process,
};

/// What is different for whoever stays in front of a program without being PID 1.
pub(crate) const NOT_PID_1: &str =
    "portcullis: not PID 1, so orphans are reaped as a subreaper and the namespace does not end with this";

/// Where the kernel or a filter refuses what makes this process a subreaper.
pub(crate) const ORPHANS_LOST: &str =
    "portcullis: warning: prctl is refused (by seccomp?), so orphans are neither reaped nor ended by this";

/// So much of a long answer is masked and written at a time.
const PIECE: usize = 64 * 1024;

/// Where everything goes.
#[derive(Clone)]
pub(crate) struct Output(Arc<Inner>);

struct Inner {
    environment: Environment,
    /// A line can be drawn again and again.
    draws: bool,
    look: Mutex<OutputSettings>,
    /// Its thread starts with the first line: a start without one is not charged for it.
    queue: OnceLock<Queue>,
}

#[derive(Default)]
struct OutputSettings {
    mask: Mask,
    /// The mask is made for the first text: a program that prints nothing is not charged for it.
    has_mask: bool,
    json: bool,
    /// Lines of each source that a secret may be divided over.
    sources: HashMap<Source, Lines>,
    /// Our own lines.
    lines: Lines,
}

impl OutputSettings {
    fn ensure_mask(&mut self, environment: &Environment) {
        if !self.has_mask {
            self.mask = Mask::new(environment, None);
            self.has_mask = true;
        }
    }
}

/// Whose lines follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) step: usize,
    pub(crate) stream: process::Stream,
    pub(crate) tenant: Option<String>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl Output {
    /// Knows the secrets of the environment.
    pub(crate) fn new(environment: &Environment) -> Self {
        Self(Arc::new(Inner {
            environment: environment.clone(),
            draws: Stream::Err.is_terminal() && environment.get("TERM") != Some("dumb"),
            look: Mutex::default(),
            queue: OnceLock::new(),
        }))
    }

    /// From now on the configuration's secrets are masked, too.
    pub(crate) fn arm(&self, config: &Config) {
        let mut look = self.settings();
        look.mask = Mask::new(&self.0.environment, Some(config));
        look.has_mask = true;
    }

    /// Lines are JSON from now on.
    pub(crate) fn set_json(&self, json: bool) {
        self.settings().json = json;
        if let Some(queue) = self.0.queue.get() {
            queue.set_json(json);
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.settings().json
    }

    /// Whether a command started by hand can draw a bar.
    pub(crate) fn draws(&self) -> bool {
        self.0.draws
    }

    /// A text without secrets, for what is kept or sent elsewhere: files, the endpoint, a notification, the history.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.mask().apply(text)
    }

    /// A line of a child without secrets, also those that its line before began.
    pub(crate) fn masked_line(&self, source: &Source, line: &str) -> String {
        let mut look = self.look();
        let OutputSettings { mask, sources, .. } = &mut *look;
        if !sources.contains_key(source) {
            sources.insert(source.clone(), Lines::default());
        }
        sources.get_mut(source).map_or_else(String::new, |lines| lines.mask(mask, line))
    }

    /// One line that people must read.
    pub(crate) fn print_line(&self, line: &str) {
        self.lines(Priority::Kept, [line]);
    }

    /// One line about the work, which may be dropped if nobody reads.
    pub(crate) fn mention(&self, line: &str) {
        self.lines(Priority::Dropped, [line]);
    }

    /// Lines for standard error, masked and filtered.
    pub(super) fn lines<'a>(&self, weight: Priority, lines: impl IntoIterator<Item = &'a str>) {
        let mut look = self.look();
        let OutputSettings { mask, json, lines: own, .. } = &mut *look;
        let queue = self.queue(*json);
        for line in lines {
            let masked = own.mask(mask, line);
            let shown =
                if *json { terminal_filter::shown_json(&masked) } else { terminal_filter::shown(&masked) };
            queue.line(weight, shown.into_owned());
        }
    }

    /// Whether a line that may be dropped would be; it is counted as dropped then.
    pub(super) fn drops(&self) -> bool {
        let full = self.0.queue.get().is_some_and(Queue::is_full);
        if full && let Some(queue) = self.0.queue.get() {
            queue.drop_line();
        }
        full
    }

    /// Draws a bar below the lines, or takes it away.
    pub(crate) fn bar(&self, bar: Option<String>) {
        let look = self.look();
        let bar = bar.map(|bar| terminal_filter::shown(&look.mask.apply(&bar)).into_owned());
        self.queue(look.json).bar(bar);
    }

    /// A note from this thread, unless that would mean to wait for a reader. A thread for one line would cost `init` more
    /// than everything else, and so would the mask: a fixed line holds no secret.
    pub(crate) fn note(line: &'static str) {
        Self::without_secrets(line);
    }

    /// A command's answer on standard output, for as long as whoever reads it takes.
    pub(crate) fn answer(&self, text: &str) -> io::Result<()> {
        self.write(Stream::Out, text)
    }

    /// What ends a command, on standard error, for as long as whoever reads it takes.
    pub(crate) fn error_text(&self, text: &str) {
        // Nobody is left to tell if standard error is closed.
        let _ = self.write(Stream::Err, text);
    }

    /// What a panic says. It may have come from anywhere, from in here, too: nothing is waited for.
    pub(crate) fn last_words(&self, line: &str) {
        self.flush();
        let mask = self.0.look.try_lock().map(|mut look| {
            look.ensure_mask(&self.0.environment);
            look.mask.clone()
        });
        let line = mask.map_or_else(|_| "portcullis: internal error".to_owned(), |mask| mask.apply(line));
        Self::without_secrets(&line);
    }

    /// A line that holds no secret, unless that would mean to wait for a reader.
    pub(crate) fn without_secrets(line: &str) {
        Stream::Err.write_if_read(&format!("{}\n", terminal_filter::shown(line)));
    }

    /// Returns once everything is written, or the reader is blocked or much too slow.
    pub(crate) fn flush(&self) {
        if let Some(queue) = self.0.queue.get() {
            queue.flush();
        }
    }

    fn write(&self, stream: Stream, text: &str) -> io::Result<()> {
        let mask = self.mask();
        let mut lines = Lines::default();
        // No text for people begins so, and all of ours for programs does.
        let json = text.starts_with(['{', '[']);
        let mut piece = String::new();
        for line in text.split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            let masked = lines.mask(&mask, content);
            piece +=
                &if json { terminal_filter::shown_json(&masked) } else { terminal_filter::shown(&masked) };
            if content.len() < line.len() {
                piece.push('\n');
            }
            if piece.len() >= PIECE {
                stream.write_all(piece.as_bytes())?;
                piece.clear();
            }
        }
        stream.write_all(piece.as_bytes())
    }

    fn mask(&self) -> Mask {
        self.look().mask.clone()
    }

    fn queue(&self, json: bool) -> &Queue {
        self.0.queue.get_or_init(|| {
            let queue = Queue::start();
            queue.set_json(json);
            queue
        })
    }

    /// With the mask.
    fn look(&self) -> MutexGuard<'_, OutputSettings> {
        let mut look = self.settings();
        look.ensure_mask(&self.0.environment);
        look
    }

    fn settings(&self) -> MutexGuard<'_, OutputSettings> {
        self.0.look.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
