//! `portcullis plan`: a plan as text, as wide as the terminal, and as JSON.

use console::Style as Paint;
use serde_json::{Value, json};

use super::terminal_filter::{self, painted};
use crate::{
    config::{OnFailure, Scope},
    failure::{Failure, chain},
    outcome::command::{ManifestProblem, MissingProgram},
    plan::{Decision, Plan, Planned},
    words::hanging,
};

/// A longer name breaks the columns of its own line only.
const WIDEST_NAME: usize = 32;

/// One line per step: number, name, kind and decision, in columns.
pub(crate) fn text(plan: &Plan, missing: &[MissingProgram], columns: usize, colour: bool) -> String {
    let number = plan.steps.len().to_string().len();
    let longest = plan.steps.iter().map(|step| step.step.name.chars().count()).max().unwrap_or(0);
    let name = longest.min(WIDEST_NAME);
    let kind = plan.steps.iter().map(|step| step.step.action.kind().len()).max().unwrap_or(0);
    let mut text = plan.role.as_ref().map_or_else(String::new, |role| format!("role: {role}\n"));
    for (at, step) in plan.steps.iter().enumerate() {
        let start =
            format!("{:>number$}  {:<name$}  {:<kind$}  ", at + 1, step.step.name, step.step.action.kind());
        for line in hanging(&start, start.chars().count(), &words(step, at), columns) {
            text += &painted(line, &paint(&step.decision), colour);
            text.push('\n');
        }
    }
    let server = plan.server.as_deref().unwrap_or("none (the steps only)");
    text + &format!("then: {server}\n") + &missing_programs(missing, colour)
}

pub(crate) fn json(plan: &Plan, missing: &[MissingProgram], manifest: Option<&ManifestProblem>) -> Value {
    let mut value = json!(plan);
    value["missing_programs"] = json!(missing);
    value["manifest_problem"] = json!(manifest.map(problem_text));
    value
}

/// One line about the manifest.
pub(super) fn manifest_problem(problem: &ManifestProblem, colour: bool) -> String {
    let text = match problem {
        ManifestProblem::NotHere(_) => format!("not on this machine: {}", problem_text(problem)),
        ManifestProblem::Refused(_) => format!("a start would be refused: {}", problem_text(problem)),
    };
    terminal_filter::line(&painted(text, &Paint::new().yellow(), colour))
}

fn problem_text(problem: &ManifestProblem) -> String {
    let (ManifestProblem::NotHere(failure) | ManifestProblem::Refused(failure)) = problem;
    match failure {
        Failure::ManifestMissing { make, .. } => format!("{failure}; `{make}` writes it"),
        failure => chain(failure),
    }
}

/// One line for each program that does not exist; empty without any.
pub(super) fn missing_programs(missing: &[MissingProgram], colour: bool) -> String {
    let line = |missing: &MissingProgram| {
        let text = format!("not on this machine: {} ({})", missing.why, missing.used_by);
        terminal_filter::line(&painted(text, &Paint::new().yellow(), colour))
    };
    missing.iter().map(line).collect()
}

fn paint(decision: &Decision) -> Paint {
    match decision {
        Decision::Run => Paint::new(),
        Decision::Skip { .. } => Paint::new().dim(),
        Decision::DecidedAtItsTurn { .. } => Paint::new().cyan(),
    }
}

fn words(step: &Planned, at: usize) -> String {
    let mut words = match &step.decision {
        Decision::Run => "run".to_owned(),
        Decision::Skip { reason } => format!("skip: {reason}"),
        Decision::DecidedAtItsTurn { pending } => {
            format!("decided when it starts: if migrations are pending in {}", place(*pending))
        }
    };
    if step.after.is_empty() && at > 0 {
        words.push_str("; after start");
    } else if step.after.len() < at {
        let numbers: Vec<String> = step.after.iter().map(|step| (step + 1).to_string()).collect();
        words.push_str("; after ");
        words.push_str(&numbers.join(", "));
    }
    if step.step.action.is_once() {
        words.push_str("; once per release");
    }
    if step.step.action.exports() {
        words.push_str("; exports variables");
    }
    if step.step.on_failure == OnFailure::Warn {
        words.push_str("; a failure only warns");
    }
    words
}

fn place(scope: Scope) -> &'static str {
    match scope {
        Scope::Shared => "the shared schema",
        Scope::Tenants => "a tenant",
    }
}
