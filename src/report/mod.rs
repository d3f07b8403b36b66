//! Receives every event and decides nothing; each kind of output is one file.

pub(crate) mod advice;
mod bounds;
mod child_line;
pub(crate) mod cli_progress;
pub(crate) mod command_output;
mod compat;
mod detect;
pub(crate) mod doctor;
mod short_report;

pub(crate) mod failure_box;
pub(crate) mod failure_report;
mod file_writer;
pub(crate) mod github;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod judgement;
mod junit;
pub(crate) mod mask;
mod migration_plan;
pub(crate) mod otlp;
pub(crate) mod output;
pub(crate) mod page;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod prometheus;
pub(crate) mod repair;
pub(crate) mod running;
mod silent_steps;
pub(crate) mod startup_status;
mod stderr_writer;
pub(crate) mod streams;
pub(crate) mod style;
mod table;
pub(crate) mod tenants;
pub(crate) mod terminal_filter;
pub(crate) mod termination;
mod test_suite;
mod text;
pub(crate) mod trace;
pub(crate) mod watch;

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

pub(crate) use self::output::Output;
use self::{
    file_writer::FileWriter,
    github::Groups,
    output::Source,
    progress::LineThrottle,
    silent_steps::SilentSteps,
    startup_status::StartupStatus,
    stderr_writer::Priority,
    style::{Layout, Style},
};
use crate::{config::environment::Environment, deadline::Deadline, outcome::event::Event};

/// Receives the events of a start-up. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Report(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    style: Style,
    output: Output,
    groups: RefCell<Groups>,
    throttle: RefCell<LineThrottle>,
    silent_steps: RefCell<SilentSteps>,
    status: Shared,
    termination: Option<PathBuf>,
    files: Files,
    writer: FileWriter,
    /// Only the first failure to write a file is reported.
    has_warned: Cell<bool>,
    traceparent: Option<String>,
}

/// The configured files that follow the start-up.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// For `portcullis health`.
    pub(crate) state: Option<PathBuf>,
    /// For Prometheus' node exporter.
    pub(crate) metrics: Option<PathBuf>,
}

/// The status of the start-up, shared with other threads.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<StartupStatus>>, Instant);

impl Shared {
    /// The status of a start-up that begins now.
    pub(crate) fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }

    /// A copy of the status, and the elapsed time.
    pub(crate) fn now(&self) -> (StartupStatus, Duration) {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner).clone(), self.1.elapsed())
    }
}

impl Report {
    pub(crate) fn start(style: Style, output: &Output, files: Files, env: &Environment) -> Self {
        output.set_json(style.layout == Layout::Json);
        trace::start_with(style.level, output);
        Self(Rc::new(Inner {
            style,
            output: output.clone(),
            groups: RefCell::default(),
            throttle: RefCell::default(),
            silent_steps: RefCell::default(),
            status: Shared::new(),
            termination: termination::path(env),
            files,
            writer: FileWriter::default(),
            has_warned: Cell::new(false),
            traceparent: env.get("TRACEPARENT").map(str::to_owned),
        }))
    }

    pub(crate) fn emit(&self, event: &Event) {
        let inner = &*self.0;
        let masked;
        let event = if let Event::Output { step, stream, tenant, line } = event {
            if inner.output.drops_line() {
                return;
            }
            let source = Source { step: *step, stream: *stream, tenant: tenant.clone() };
            // In order, because a secret may continue in the next line.
            if let Cow::Owned(line) = inner.output.masked_line(&source, line) {
                let Source { step, stream, tenant } = source;
                masked = Event::Output { step, stream, tenant, line };
                &masked
            } else {
                event
            }
        } else {
            event
        };
        let at = inner.status.1.elapsed();
        let lines = {
            let mut status = inner.status.0.lock().unwrap_or_else(PoisonError::into_inner);
            status.apply(event, at);
            inner.silent_steps.borrow_mut().note(event, at);
            if let (Event::StepFailed { .. } | Event::Blocked { .. }, Some(facts)) =
                (event, &mut status.facts)
            {
                inner.output.mask_lines(facts.lines());
                facts.change(&mut |text| inner.output.masked(text));
            }
            self.write_files(event, &status);
            self.lines(event, &status, at)
        };
        // A reader of the line may read the files next.
        if changes(event) {
            self.settle();
        }
        inner.output.lines(priority(event), lines.iter().map(String::as_str));
    }

    /// Reports silent steps; runs until it is dropped.
    pub(crate) async fn report_silence<T>(&self) -> T {
        loop {
            Deadline::after(silent_steps::SILENCE_LIMIT / 4).passed().await;
            let due = self.0.silent_steps.borrow().due(self.0.status.1.elapsed());
            for event in &due {
                self.emit(event);
            }
        }
    }

    pub(crate) fn status(&self) -> Shared {
        self.0.status.clone()
    }

    pub(crate) fn output(&self) -> &Output {
        &self.0.output
    }

    /// Waits for the files and the log.
    pub(crate) fn flush(&self) {
        self.flush_until(Deadline::after(file_writer::LAST + stderr_writer::SLOW));
    }

    /// The same until a deadline.
    pub(crate) fn flush_until(&self, deadline: Deadline) {
        self.0.writer.flush(deadline.left());
        self.warn_about_files();
        self.0.output.flush_within(deadline.left());
    }

    fn lines(&self, event: &Event, status: &StartupStatus, at: Duration) -> Vec<String> {
        let Inner { style, groups, traceparent, .. } = &*self.0;
        if text::level(event) > style.level || !self.is_worth_a_line(event, status, at) {
            return Vec::new();
        }
        let lines = if style.layout == Layout::Json {
            json::lines(event, status, SystemTime::now(), traceparent.as_deref())
        } else {
            text::lines(event, status, at, *style)
        };
        if !style.github {
            return lines;
        }
        let (before, after) = groups.borrow_mut().around(event, status);
        before.into_iter().chain(lines).chain(after).collect()
    }

    /// Draws progress as a bar if possible, and else throttles its lines.
    fn is_worth_a_line(&self, event: &Event, status: &StartupStatus, at: Duration) -> bool {
        let Inner { style, output, throttle, .. } = &*self.0;
        match event {
            Event::Progress { step, .. } if style.bar => {
                output.bar(status.bar(*step, at, streams::columns()));
                false
            }
            Event::Progress { step, done, total, .. } => {
                throttle.borrow_mut().is_due(*step, *done, *total, at)
            }
            Event::StepDone { .. } | Event::StepFailed { .. } | Event::Blocked { .. } => {
                if style.bar {
                    output.bar(None);
                }
                true
            }
            _ => true,
        }
    }

    fn write_files(&self, event: &Event, status: &StartupStatus) {
        let Inner { output, termination, files, writer, status: shared, .. } = &*self.0;
        if let (Event::Blocked { .. }, Some(path), Some(facts)) = (event, termination, &status.facts) {
            let message = termination::message(facts);
            writer.write(path, move |path| crate::files::overwrite_now(path, message.as_bytes()));
        }
        let over =
            matches!(event, Event::Blocked { .. } | Event::HandingOver { .. } | Event::Finished { .. });
        if let (true, Some(path)) = (over, &files.metrics) {
            let (status, output) = (status.clone(), output.clone());
            writer.write(path, move |path| prometheus::write(path, &status, SystemTime::now(), &output));
        }
        if let (true, Some(path)) = (changes(event), &files.state) {
            let state = json::state(status, shared.1.elapsed(), std::process::id());
            let state = terminal_filter::shown_json(&output.masked(state.trim_end())).into_owned() + "\n";
            writer.write(path, move |path| crate::files::replace_now(path, state.as_bytes()));
        }
    }

    fn settle(&self) {
        self.0.writer.settle();
        self.warn_about_files();
    }

    /// Warns about a file that cannot be written.
    fn warn_about_files(&self) {
        for (path, error) in self.0.writer.failed() {
            if !self.0.has_warned.replace(true) {
                self.emit(&Event::Remark { text: format!("cannot write `{}`: {error}", path.display()) });
            }
        }
    }
}

/// Important lines are never dropped.
fn priority(event: &Event) -> Priority {
    match event {
        Event::Output { .. }
        | Event::Progress { .. }
        | Event::Waiting { .. }
        | Event::SlowSchema { .. }
        | Event::Judged { .. } => Priority::Droppable,
        _ => Priority::Important,
    }
}

/// Whether the event changes the status.
fn changes(event: &Event) -> bool {
    !matches!(event, Event::Output { .. } | Event::Note { .. } | Event::Remark { .. })
}
