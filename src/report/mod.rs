//! Told about everything, decides nothing: events become lines, and a failure becomes the box.

pub(crate) mod advice;
pub(crate) mod event;
pub(crate) mod failure_box;
pub(crate) mod judgement;
pub(crate) mod text;
pub(crate) mod trace;
pub(crate) mod writer;

use std::{cell::RefCell, io::IsTerminal, rc::Rc};

use self::{
    event::{Event, Trouble},
    failure_box::BLOCKED,
    text::Text,
    writer::Writer,
};
use crate::config::environment::Environment;

/// Where events go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Report(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    text: RefCell<Text>,
    writer: Writer,
    colour: bool,
}

impl Report {
    pub(crate) fn start(env: &Environment) -> Self {
        let colour = colour(env, std::io::stderr().is_terminal());
        let inner = Inner { text: RefCell::new(Text::new(colour)), writer: Writer::start(), colour };
        Self(Rc::new(inner))
    }

    pub(crate) fn tell(&self, event: &Event) {
        let line = self.0.text.borrow_mut().line(event);
        self.0.writer.line(line);
    }

    /// Prints the box for what ended the start-up.
    pub(crate) fn blocked(&self, step: Option<usize>, trouble: &Trouble) {
        let text = self.0.text.borrow();
        let place = step.map(|step| text.place(step));
        for line in failure_box::render(BLOCKED, place, trouble, self.0.colour).lines() {
            self.0.writer.line(line.to_owned());
        }
    }

    pub(crate) fn flush(&self) {
        self.0.writer.flush();
    }
}

/// `NO_COLOR`, then `FORCE_COLOR`, then whether it is a terminal (no-color.org, force-color.org).
pub(crate) fn colour(env: &Environment, terminal: bool) -> bool {
    if env.get("NO_COLOR").is_some() {
        false
    } else if env.get("FORCE_COLOR").is_some() {
        true
    } else {
        terminal
    }
}
