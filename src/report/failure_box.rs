//! The box that says what failed, why, which tenants, and what to type. 80 columns; rules above and below
//! only, so that commands can be pasted.

use console::Style;

use super::{
    advice::advice,
    event::{SchemaFailure, Trouble},
    judgement,
};
use crate::{failure::chain, tenants::gate::Outcome};

const WIDTH: usize = 80;
/// How many tenants the box lists; `verify --format json` lists all.
const TENANTS: usize = 10;
/// How many of a child's last lines the box repeats.
const LINES: usize = 15;

/// `place` is the step's number, how many there are, and its name.
pub(crate) fn render(place: Option<(usize, usize, &str)>, trouble: &Trouble, colour: bool) -> String {
    let red = Style::new().red().bold().force_styling(colour);
    let rule = red.apply_to("=".repeat(WIDTH)).to_string();
    let code = format!("exit {} ({})", trouble.failure.code(), trouble.failure.id());
    let title = "PORTCULLIS: THE SERVER WAS NOT STARTED";
    let title = format!(" {title}{code:>width$}", width = WIDTH - 2 - title.len());

    let mut text = format!("{rule}\n{}\n{rule}\n", red.apply_to(title));
    if let Some((number, of, name)) = place {
        fact(&mut text, "step", &format!("{number} of {of}: {name}"));
    }
    fact(&mut text, "what", &chain(&trouble.failure));
    if let Some(done) = &trouble.done {
        fact(&mut text, "done", done);
    }
    if let Some(judgement) = &trouble.judgement {
        for outcome in [Outcome::Incomplete, Outcome::Unproven] {
            list(&mut text, &judgement::lines(judgement, outcome, TENANTS));
        }
    }
    list(&mut text, &failures(&trouble.failed));
    if !trouble.output.is_empty() {
        text += "\n last lines of the command\n";
        let skip = trouble.output.len().saturating_sub(LINES);
        for line in &trouble.output[skip..] {
            text += &format!("   | {line}\n");
        }
    }
    let advice = advice(trouble);
    if let Some(cause) = advice.cause {
        text.push('\n');
        fact(&mut text, "likely cause", cause);
    }
    text += "\n what to do\n";
    for (index, action) in advice.actions.iter().enumerate() {
        wrap(&mut text, &format!("   {}. ", index + 1), &action.text);
        if let Some(command) = &action.command {
            text += &format!("        {command}\n");
        }
    }
    text + &rule + "\n"
}

fn failures(failed: &[SchemaFailure]) -> Vec<String> {
    let mut lines = Vec::new();
    for failure in failed.iter().take(TENANTS) {
        lines.push(judgement::name(failure.tenant.as_deref()).to_owned());
        if let Some(migration) = &failure.migration {
            lines.push(format!("  {:<15} {migration}", "migration"));
        }
        if let Some(place) = &failure.place {
            lines.push(format!("  {:<15} {place}", "at"));
        }
        lines.push(format!("  {:<15} {}", "why", failure.why));
        if failure.dirty {
            lines.push(format!("  {:<15} {}", "state", "dirty: it could not be rolled back"));
        }
    }
    if failed.len() > TENANTS {
        lines.push(format!("... and {} more", failed.len() - TENANTS));
    }
    lines
}

fn fact(text: &mut String, name: &str, value: &str) {
    wrap(text, &format!(" {name:<13} "), value);
}

fn list(text: &mut String, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push('\n');
    for line in lines {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let (label, value) = match (indent, content.split_at_checked(16)) {
            (2, Some((label, value))) => (label, value),
            _ => ("", content),
        };
        wrap(text, &format!("{}{label}", " ".repeat(indent + 3)), value);
    }
}

/// Appends `value` after `lead`, folded at spaces to the width, with the lead's width as indent.
fn wrap(text: &mut String, lead: &str, value: &str) {
    let indent = " ".repeat(lead.chars().count());
    let room = WIDTH - indent.len();
    let mut line = String::new();
    let mut first = true;
    let mut put = |line: &str| {
        *text += if first { lead } else { &indent };
        *text += line;
        text.push('\n');
        first = false;
    };
    for word in value.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            put(&line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    put(&line);
}
