//! The box of a bypassed gate: which bypass opened it, which schemas are not complete, and what to do.

use console::Style;

use super::{failure_box, failure_report::FailureReport};
use crate::outcome::event::Bypass;

pub(crate) fn render(how: &Bypass, facts: &FailureReport, colour: bool) -> String {
    let yellow = Style::new().yellow().bold();
    let title = "THE GATE IS OPEN, BUT NOT EVERYTHING IS COMPLETE";
    let mut text = failure_box::head(title, how.word(), &yellow, colour);
    failure_box::body(&mut text, facts, Some(&how.words()), failure_box::LISTED);
    failure_box::what_to_do(&mut text, facts);
    text + &failure_box::rule(&yellow, colour)
}
