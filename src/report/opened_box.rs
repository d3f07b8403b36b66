//! The box that says that the gate is open though not everything is complete: how, for whom, and what to do about it.

use console::Style;

use super::{
    advice::advice,
    failure_box::{self, TENANTS, WIDTH, fact, list},
    foreign, judgement,
};
use crate::{
    failure::chain,
    outcome::{FailureDetails, event::Opening},
    tenants::gate::Outcome,
};

pub(crate) fn render(
    place: (usize, usize, &str),
    how: &Opening,
    trouble: &FailureDetails,
    colour: bool,
) -> String {
    let yellow = Style::new().yellow().bold();
    let rule = foreign::painted("=".repeat(WIDTH), &yellow, colour);
    let title = " PORTCULLIS: THE GATE IS OPEN, THOUGH NOT EVERYTHING IS COMPLETE";
    let title = format!("{title}{:>width$}", how.word(), width = WIDTH - 1 - title.len());
    let mut text = format!("{rule}\n{}\n{rule}\n", foreign::painted(title, &yellow, colour));
    let (number, of, name) = place;
    fact(&mut text, "step", &format!("{number} of {of}: {name}"));
    fact(&mut text, "what", &chain(&trouble.failure));
    fact(&mut text, "why open", &how.words());
    if let Some(judgement) = &trouble.judgement {
        for outcome in [Outcome::Incomplete, Outcome::Unproven] {
            list(&mut text, &judgement::lines(judgement, outcome, TENANTS));
        }
    }
    failure_box::what_to_do(&mut text, &advice(trouble));
    text + &rule + "\n"
}
