//! Told about everything, decides nothing: each output is one file with a function of events.

pub(crate) mod advice;
mod aside;
mod brief;
pub(crate) mod by_hand;
pub(crate) mod doctor;

pub(crate) mod facts;
pub(crate) mod failure_box;
pub(crate) mod github;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod judgement;
mod junit;
pub(crate) mod mask;
mod opened_box;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod prometheus;
pub(crate) mod repair;
pub(crate) mod standing;
pub(crate) mod style;
mod table;
pub(crate) mod tenants;
pub(crate) mod termination;
mod text;
pub(crate) mod trace;
pub(crate) mod writer;

use std::{
    cell::{Cell, RefCell},
    io,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use tokio::time::Instant;

pub(crate) use self::aside::{flush, note_not_pid_1, say};
use self::{
    github::Groups,
    mask::Mask,
    progress::Pace,
    standing::Standing,
    style::{Layout, Style},
    writer::Writer,
};
use crate::{config::environment::Environment, outcome::event::Event};

/// Where events go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Report(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    style: Style,
    mask: Mask,
    writer: Writer,
    groups: RefCell<Groups>,
    pace: RefCell<Pace>,
    standing: Shared,
    termination: Option<PathBuf>,
    files: Files,
    /// Each file is complained about once.
    complained: Cell<bool>,
    traceparent: Option<String>,
}

/// Files that are kept up to date; each is absent if nobody asked for it.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// For `portcullis health`.
    pub(crate) state: Option<PathBuf>,
    /// For Prometheus' node exporter.
    pub(crate) metrics: Option<PathBuf>,
}

/// How the start-up stands, for whoever asks from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<Standing>>, Instant);

impl Shared {
    /// A copy, and how long the start-up has taken so far.
    pub(crate) fn now(&self) -> (Standing, std::time::Duration) {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner).clone(), self.1.elapsed())
    }
}

impl Report {
    pub(crate) fn start(style: Style, mask: Mask, files: Files, env: &Environment) -> Self {
        let json = style.layout == Layout::Json;
        aside::adopt(json, &mask);
        trace::start_with(style.level);
        let writer = Writer::start(json);
        Self(Rc::new(Inner {
            style,
            mask,
            writer,
            groups: RefCell::default(),
            pace: RefCell::default(),
            standing: Shared(Arc::default(), Instant::now()),
            termination: termination::path(env),
            files,
            complained: Cell::new(false),
            traceparent: env.get("TRACEPARENT").map(str::to_owned),
        }))
    }

    pub(crate) fn tell(&self, event: &Event) {
        let inner = &*self.0;
        let at = inner.standing.1.elapsed();
        let standing = {
            let mut standing = inner.standing.0.lock().unwrap_or_else(PoisonError::into_inner);
            standing.tell(event, at);
            standing.clone()
        };
        // Whoever has read the line may ask the files.
        self.write_files(event, &standing);
        self.print(event, &standing, at);
    }

    pub(crate) fn standing(&self) -> Shared {
        self.0.standing.clone()
    }

    pub(crate) fn mask(&self) -> &Mask {
        &self.0.mask
    }

    pub(crate) fn flush(&self) {
        aside::flush();
        self.0.writer.flush();
    }

    fn print(&self, event: &Event, standing: &Standing, at: std::time::Duration) {
        let Inner { style, mask, writer, groups, traceparent, .. } = &*self.0;
        if text::level(event) > style.level || !self.is_worth_a_line(event, standing, at) {
            return;
        }
        let lines = if style.layout == Layout::Json {
            json::lines(event, standing, SystemTime::now(), traceparent.as_deref())
        } else {
            text::lines(event, standing, at, *style)
        };
        let (before, after) =
            if style.github { groups.borrow_mut().around(event, standing) } else { (Vec::new(), Vec::new()) };
        for line in before.into_iter().chain(lines).chain(after) {
            writer.line(mask.apply(&line));
        }
    }

    /// Progress is a bar where there can be one, and a line now and then elsewhere.
    fn is_worth_a_line(&self, event: &Event, standing: &Standing, at: std::time::Duration) -> bool {
        let Inner { style, writer, pace, .. } = &*self.0;
        match event {
            Event::Progress { step, .. } if style.bar => {
                writer.bar(standing.bar(*step, at, columns()));
                false
            }
            Event::Progress { step, done, total, .. } => pace.borrow_mut().is_due(*step, *done, *total, at),
            Event::StepDone { .. } | Event::StepFailed { .. } | Event::Blocked { .. } => {
                if style.bar {
                    writer.bar(None);
                }
                true
            }
            _ => true,
        }
    }

    fn write_files(&self, event: &Event, standing: &Standing) {
        let Inner { mask, termination, files, standing: shared, .. } = &*self.0;
        if let (Event::Blocked { .. }, Some(path), Some(facts)) = (event, termination, &standing.facts) {
            self.complain(path, termination::write(path, &mask.apply(&termination::message(facts))));
        }
        let over =
            matches!(event, Event::Blocked { .. } | Event::HandingOver { .. } | Event::Finished { .. });
        if let (true, Some(path)) = (over, &files.metrics) {
            self.complain(path, prometheus::write(path, standing, SystemTime::now()));
        }
        if let (true, Some(path)) = (changes(event), &files.state) {
            let state = json::state(standing, shared.1.elapsed(), std::process::id());
            self.complain(path, replace(path, &mask.apply(&state)));
        }
    }

    /// A file that cannot be written is worth a warning, and nothing more.
    fn complain(&self, path: &std::path::Path, result: io::Result<()>) {
        if let Err(error) = result
            && !self.0.complained.replace(true)
        {
            self.tell(&Event::Remark { text: format!("cannot write `{}`: {error}", path.display()) });
        }
    }
}

/// How wide the terminal is at this moment.
fn columns() -> usize {
    console::Term::stderr().size().1.into()
}

/// Writes beside the file and renames, so that no reader ever sees half of it.
pub(crate) fn replace(path: &std::path::Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| {
        // What could not be put in its place is of no use to anybody.
        let _ = std::fs::remove_file(&beside);
    })
}

/// Whether somebody who asks for the state would get another answer.
fn changes(event: &Event) -> bool {
    !matches!(event, Event::Output { .. } | Event::Note { .. } | Event::Remark { .. })
}
