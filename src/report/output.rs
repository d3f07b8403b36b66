//! All output: every byte that leaves the process passes the mask and the filter here.
//!
//! It masks the secrets of the environment from the beginning, and those of the configuration once it is read.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use super::{
    mask::{Lines, Mask},
    stderr_writer::{Priority, Queue, SLOW},
    streams::Stream,
    terminal_filter,
};
use crate::{
    config::{self, Config, environment::Environment},
    process,
};

/// The note of an init that is not PID 1.
pub(crate) const NOT_PID_1: &str =
    "portcullis: not PID 1: reaps orphans as a subreaper, and the namespace does not end with this process";

/// The warning if the kernel or a filter denies to become a subreaper.
pub(crate) const ORPHANS_LOST: &str =
    "portcullis: warning: prctl is denied (by seccomp?): this process neither reaps nor ends orphans";

/// The size of the pieces in which a long text is masked and written.
const PIECE: usize = 64 * 1024;

/// The output of the process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Output(Arc<Inner>);

struct Inner {
    environment: Environment,
    /// Standard error is a terminal that can redraw a line.
    draws: bool,
    settings: Mutex<OutputSettings>,
    /// Its thread starts with the first line, because a start without output does not need it.
    queue: OnceLock<Queue>,
}

#[derive(Default)]
struct OutputSettings {
    /// The secrets of the environment and of the configuration.
    declared: Mask,
    /// The same, with those that became known later.
    mask: Mask,
    /// The number of secrets that had become known by then.
    learned: usize,
    /// The mask is created for the first text, because a start without output does not need it.
    has_mask: bool,
    json: bool,
    /// The state of the mask for each source, because a secret may span lines.
    sources: HashMap<Source, Lines>,
    /// The same for Portcullis's own lines.
    lines: Lines,
}

impl OutputSettings {
    fn ensure_mask(&mut self, environment: &Environment) {
        if !self.has_mask {
            self.declare(Mask::new(environment, None));
        }
        let changes = config::secret::changes();
        if self.learned != changes {
            self.mask = self.declared.with_learned(environment);
            self.learned = changes;
        }
    }

    fn declare(&mut self, mask: Mask) {
        self.mask = mask.clone();
        self.declared = mask;
        self.learned = 0;
        self.has_mask = true;
    }
}

/// A source of consecutive lines.
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
    /// Masks the secrets of the environment.
    pub(crate) fn new(environment: &Environment) -> Self {
        Self(Arc::new(Inner {
            environment: environment.clone(),
            draws: Stream::Err.is_terminal() && environment.get("TERM") != Some("dumb"),
            settings: Mutex::default(),
            queue: OnceLock::new(),
        }))
    }

    /// Also masks the secrets of the configuration from now on.
    pub(crate) fn arm(&self, config: &Config) {
        let mut settings = self.settings();
        settings.declare(Mask::new(&self.0.environment, Some(config)));
    }

    /// Also masks these secrets from now on.
    pub(crate) fn mask_too(&self, secrets: impl Iterator<Item = String>) {
        let mut settings = self.settings_with_mask();
        settings.declared = settings.declared.with(secrets);
        settings.mask = settings.declared.with_learned(&self.0.environment);
    }

    /// Declares lines to be JSON from now on.
    pub(crate) fn set_json(&self, json: bool) {
        self.settings().json = json;
        if let Some(queue) = self.0.queue.get() {
            queue.set_json(json);
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.settings().json
    }

    /// Whether a command can draw a bar.
    pub(crate) fn draws(&self) -> bool {
        self.0.draws
    }

    /// The text without secrets, for files, the endpoint, notifications and the history.
    pub(crate) fn masked(&self, text: &str) -> String {
        let mask = self.mask();
        without_secrets(text, |text| mask.apply(text).into()).into_owned()
    }

    /// A child's line without secrets, and without the rest of a secret that began in its previous line.
    pub(crate) fn masked_line<'l>(&self, source: &Source, line: &'l str) -> Cow<'l, str> {
        let mut settings = self.settings_with_mask();
        let OutputSettings { mask, sources, .. } = &mut *settings;
        if !sources.contains_key(source) {
            sources.insert(source.clone(), Lines::default());
        }
        let Some(lines) = sources.get_mut(source) else { return Cow::default() };
        without_secrets(line, |line| lines.mask(mask, line))
    }

    /// Masks consecutive lines: a secret may continue in the next one.
    pub(crate) fn mask_lines<'a>(&self, texts: impl IntoIterator<Item = &'a mut String>) {
        let mask = self.mask();
        let mut lines = Lines::default();
        for text in texts {
            let masked = text.split('\n').map(|line| without_secrets(line, |line| lines.mask(&mask, line)));
            *text = masked.collect::<Vec<_>>().join("\n");
        }
    }

    /// Prints an important line.
    pub(crate) fn print_line(&self, line: &str) {
        self.lines(Priority::Important, [line]);
    }

    /// Prints a line that may be dropped if the reader is slow.
    pub(crate) fn print_droppable(&self, line: &str) {
        self.lines(Priority::Droppable, [line]);
    }

    /// Prints lines to standard error, masked and filtered.
    pub(super) fn lines<'a>(&self, priority: Priority, lines: impl IntoIterator<Item = &'a str>) {
        let mut settings = self.settings_with_mask();
        let OutputSettings { mask, json, lines: own, .. } = &mut *settings;
        let queue = self.queue(*json);
        for line in lines {
            let masked = own.mask(mask, line);
            let shown =
                if *json { terminal_filter::shown_json(&masked) } else { terminal_filter::shown(&masked) };
            queue.line(priority, shown.into_owned());
        }
    }

    /// Whether the queue is full; if so, counts a dropped line.
    pub(super) fn drops_line(&self) -> bool {
        let full = self.0.queue.get().is_some_and(Queue::is_full);
        if full && let Some(queue) = self.0.queue.get() {
            queue.drop_line();
        }
        full
    }

    /// Draws a bar below the lines, or removes it.
    pub(crate) fn bar(&self, bar: Option<String>) {
        let settings = self.settings_with_mask();
        let bar = bar.map(|bar| terminal_filter::shown(&settings.mask.apply(&bar)).into_owned());
        self.queue(settings.json).bar(bar);
    }

    /// Prints a fixed line, unless the stream is blocked. It uses neither the queue's thread nor the mask, which would take
    /// `init` longer than everything else.
    pub(crate) fn note(line: &'static str) {
        Self::print_without_mask(line);
    }

    /// Prints a command's result to standard output, and waits for a slow reader.
    pub(crate) fn print_result(&self, text: &str) -> io::Result<()> {
        self.write(Stream::Out, text)
    }

    /// Prints a secret to the program that requested it, without the mask.
    pub(crate) fn print_secret(text: &str) -> io::Result<()> {
        Stream::Out.write_all(text.as_bytes())
    }

    /// Prints a command's failure to standard error, and waits for a slow reader.
    pub(crate) fn print_error(&self, text: &str) {
        // A closed standard error cannot be reported.
        let _ = self.write(Stream::Err, text);
    }

    /// Prints the message of a panic. It waits for no lock, because the panic may have come from this file.
    pub(crate) fn print_panic(&self, line: &str) {
        self.flush();
        let mask = self.0.settings.try_lock().map(|mut settings| {
            settings.ensure_mask(&self.0.environment);
            settings.mask.clone()
        });
        let line = mask.map_or_else(|_| "portcullis: internal error".to_owned(), |mask| mask.apply(line));
        Self::print_without_mask(&line);
    }

    /// Prints a line without secrets, unless the stream is blocked.
    pub(crate) fn print_without_mask(line: &str) {
        Stream::Err.write_if_read(&format!("{}\n", terminal_filter::shown(line)));
    }

    /// Waits until everything is written, or the reader is blocked or too slow.
    pub(crate) fn flush(&self) {
        self.flush_within(SLOW);
    }

    /// The same within a limit.
    pub(super) fn flush_within(&self, limit: Duration) {
        if let Some(queue) = self.0.queue.get() {
            queue.flush(limit);
        }
    }

    fn write(&self, stream: Stream, text: &str) -> io::Result<()> {
        let mask = self.mask();
        let mut lines = Lines::default();
        // All JSON begins like this, and no text for people does.
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
        self.settings_with_mask().mask.clone()
    }

    fn queue(&self, json: bool) -> &Queue {
        self.0.queue.get_or_init(|| {
            let queue = Queue::start();
            queue.set_json(json);
            queue
        })
    }

    fn settings_with_mask(&self) -> MutexGuard<'_, OutputSettings> {
        let mut settings = self.settings();
        settings.ensure_mask(&self.0.environment);
        settings
    }

    fn settings(&self) -> MutexGuard<'_, OutputSettings> {
        self.0.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Masks the text without a child's colours, which may divide a secret. A text without secrets keeps them.
fn without_secrets(text: &str, mask: impl FnOnce(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    let plain = terminal_filter::without_colour(text);
    match mask(&plain) {
        Cow::Owned(masked) if masked != plain => masked.into(),
        _ => text.into(),
    }
}
