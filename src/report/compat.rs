//! The comparison of two releases as text, JSON and GitHub's annotations.

use serde_json::{Value, json};

use super::{github::annotation, terminal_filter};
use crate::{
    ordered,
    outcome::compat::{Compared, label, part, words},
    tenants::compat::{Incompatibility, Level, outcome},
    words::{self, count},
};

const FORWARD: &str =
    "rolling deployment, and rollback of the code: does the old code work on the new schema?";
const BACKWARD: &str = "migration after the deployment: does the new code work on the old schema?";
const ADVICE: &str =
    "split such a change into a release that adds and a later one that removes: docs/compatibility.md";
const LABEL: usize = 10;
/// The number of findings in each text, the worst first. JSON has all.
const SHOWN: usize = 100;

/// Whether a question has the answer that the command requires.
pub(super) fn is_good(compared: &Compared) -> bool {
    let works = |findings| match outcome(findings) {
        None | Some(Level::Note) => true,
        Some(Level::Unproven) => compared.allow_unproven,
        Some(Level::Breaks) => false,
    };
    works(&compared.forward) && (!compared.both_ways || works(&compared.backward))
}

pub(super) fn text(compared: &Compared, columns: usize) -> String {
    let file =
        |(path, release): &(std::path::PathBuf, String)| format!("{} (release {release})", path.display());
    let heading = format!("old: {}\nnew: {}\n", file(&compared.old), file(&compared.new));
    let mut text: String = heading.lines().map(terminal_filter::line).collect();
    let wrapped = |start: &str, width, line: &str| {
        let lines = words::hanging(start, width, line, columns);
        lines.iter().map(|line| terminal_filter::line(line)).collect::<String>()
    };
    for (question, findings) in [(FORWARD, &compared.forward), (BACKWARD, &compared.backward)] {
        text.push('\n');
        text += &wrapped("", 0, question);
        text += &format!("  {}\n", answer(findings));
        let mut sorted: Vec<&Incompatibility> = findings.iter().collect();
        ordered::sort_by_key(&mut sorted, |finding| std::cmp::Reverse(finding.change.level()));
        let more = sorted.len().saturating_sub(SHOWN);
        for finding in sorted.into_iter().take(SHOWN) {
            let start = format!("  {:LABEL$}  ", label(finding.change.level()));
            let line = format!("{}: {}", part(&finding.part), words(finding));
            text += &wrapped(&start, LABEL + 4, &line);
        }
        if more > 0 {
            text += &format!("  and {more} more (--format json)\n");
        }
    }
    if !is_good(compared) {
        text.push('\n');
        text += &wrapped("", 0, ADVICE);
    }
    text
}

fn answer(findings: &[Incompatibility]) -> String {
    let number = |level| findings.iter().filter(|finding| finding.change.level() == level).count();
    match (number(Level::Breaks), number(Level::Unproven)) {
        (0, 0) => "yes".into(),
        (0, unproven) => format!("not proven: {}", count(unproven, "change")),
        (breaks, 0) => format!("no: {}", count(breaks, "change")),
        (breaks, unproven) => format!("no: {}, and {unproven} not proven", count(breaks, "change")),
    }
}

pub(super) fn json(compared: &Compared) -> Value {
    let release =
        |(path, release): &(std::path::PathBuf, String)| json!({ "file": path, "release": release });
    json!({
        "outcome": if is_good(compared) { "compatible" } else { "incompatible" },
        "old": release(&compared.old),
        "new": release(&compared.new),
        "old_code_on_new_schema": question(&compared.forward),
        "new_code_on_old_schema": question(&compared.backward),
    })
}

fn question(findings: &[Incompatibility]) -> Value {
    let finding = |finding: &Incompatibility| {
        let mut value = json!(finding);
        value["level"] = json!(finding.change.level());
        value["text"] = words(finding).into();
        value
    };
    let answer = match outcome(findings) {
        None | Some(Level::Note) => "works",
        Some(Level::Unproven) => "unproven",
        Some(Level::Breaks) => "breaks",
    };
    json!({ "outcome": answer, "findings": findings.iter().map(finding).collect::<Vec<_>>() })
}

/// An annotation for each finding that decides the exit code, and notices for the others.
pub(super) fn annotations(compared: &Compared) -> String {
    let mut text = String::new();
    for (question, findings, counts) in
        [(FORWARD, &compared.forward, true), (BACKWARD, &compared.backward, compared.both_ways)]
    {
        for finding in findings {
            let level = match finding.change.level() {
                Level::Breaks if counts => "error",
                Level::Unproven if counts && !compared.allow_unproven => "error",
                Level::Unproven if counts => "warning",
                _ => "notice",
            };
            let (title, _) = question.split_once(':').unwrap_or((question, ""));
            let words =
                format!("{}: {}: {}", label(finding.change.level()), part(&finding.part), words(finding));
            text += &annotation(level, title, &words);
            text.push('\n');
        }
    }
    text
}
