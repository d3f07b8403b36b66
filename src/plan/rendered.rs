//! Renders a plan as text in 80 columns and as JSON.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Decision, Plan, Planned};
use crate::config::{OnFailure, Scope};

const WIDTH: usize = 80;
/// A longer name breaks the columns of its own line only.
const WIDEST_NAME: usize = 32;

impl Plan {
    /// One line per step: number, name, kind and decision, in columns.
    pub(crate) fn text(&self) -> String {
        let number = self.steps.len().to_string().len();
        let longest = self.steps.iter().map(|step| step.step.name.chars().count()).max().unwrap_or(0);
        let name = longest.min(WIDEST_NAME);
        let kind = self.steps.iter().map(|step| step.step.action.kind().len()).max().unwrap_or(0);
        let mut text = self.role.as_ref().map_or_else(String::new, |role| format!("role: {role}\n"));
        for (at, step) in self.steps.iter().enumerate() {
            let start = format!(
                "{:>number$}  {:<name$}  {:<kind$}  ",
                at + 1,
                step.step.name,
                step.step.action.kind()
            );
            wrap(&mut text, &start, &step.words(at));
        }
        let server = self.server.as_deref().unwrap_or("none (the steps only)");
        text + "then: " + server + "\n"
    }
}

impl Planned {
    fn words(&self, at: usize) -> String {
        let mut words = match &self.decision {
            Decision::Run => "run".to_owned(),
            Decision::Skip { reason } => format!("skip: {reason}"),
            Decision::DecidedAtItsTurn { pending } => {
                format!("decided when it starts: if migrations are pending in {}", place(*pending))
            }
        };
        if self.after.is_empty() && at > 0 {
            words.push_str("; after start");
        } else if self.after.len() < at {
            let numbers: Vec<String> = self.after.iter().map(|step| (step + 1).to_string()).collect();
            words.push_str("; after ");
            words.push_str(&numbers.join(", "));
        }
        if self.step.action.is_once() {
            words.push_str("; once per release");
        }
        if self.step.on_failure == OnFailure::Warn {
            words.push_str("; a failure only warns");
        }
        words
    }
}

/// Writes words after the columns, on as many lines as they need.
fn wrap(text: &mut String, start: &str, words: &str) {
    let indent = start.chars().count().min(WIDTH / 2 + 10);
    let mut line = start.to_owned();
    let mut started = false;
    for word in words.split(' ') {
        if started && line.chars().count() + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
        started = true;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn place(scope: Scope) -> &'static str {
    match scope {
        Scope::Shared => "the shared schema",
        Scope::Tenants => "a tenant",
    }
}

impl Serialize for Planned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let on_failure = match self.step.on_failure {
            OnFailure::Block => "block",
            OnFailure::Warn => "warn",
        };
        let mut planned = serializer.serialize_struct("Planned", 6)?;
        planned.serialize_field("name", &self.step.name)?;
        planned.serialize_field("kind", self.step.action.kind())?;
        planned.serialize_field("after", &self.after)?;
        planned.serialize_field("decision", &self.decision)?;
        planned.serialize_field("on_failure", on_failure)?;
        planned.serialize_field("once", &self.step.action.is_once())?;
        planned.end()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
pub(super) fn scope<S: Serializer>(scope: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match scope {
        Scope::Shared => "shared",
        Scope::Tenants => "tenants",
    })
}
