//! Computes the plan: configuration, environment and role become ordered steps with decisions. Pure: a condition that
//! depends on the database is marked as decided when the step starts.

mod rendered;

use std::path::Path;

use serde::Serialize;

use crate::{
    config::{After, Config, Flag, Scope, Step, role},
    failure::Failure,
};

/// The ordered steps, with their conditions evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    pub(crate) role: Option<String>,
    /// In the order of the file, which is always a valid order.
    pub(crate) steps: Vec<Planned>,
    /// The server's program; its arguments may contain a variable's value.
    pub(crate) server: Option<String>,
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) step: Step,
    /// Positions of the steps that must be done before this one starts.
    pub(crate) after: Vec<usize>,
    pub(crate) decision: Decision,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    Run,
    Skip {
        reason: String,
    },
    /// Runs if migrations are pending in this scope when the step starts.
    DecidedAtItsTurn {
        #[serde(serialize_with = "rendered::scope")]
        pending: Scope,
    },
}

impl Plan {
    /// The steps that are not done but whose predecessors are: those to start, and those that run.
    pub(crate) fn ready(&self, done: &[bool]) -> Vec<usize> {
        let is_done = |step: usize| done.get(step).copied().unwrap_or(false);
        let ready = |at: &usize| !is_done(*at) && self.steps[*at].after.iter().all(|step| is_done(*step));
        (0..self.steps.len()).filter(ready).collect()
    }

    /// For every step up to this one, whether this one waits for it, directly or through other steps.
    pub(crate) fn predecessors(&self, step: usize) -> Vec<bool> {
        let mut before = vec![false; step + 1];
        for at in (0..=step).rev() {
            if at == step || before[at] {
                self.steps[at].after.iter().for_each(|earlier| before[*earlier] = true);
            }
        }
        before
    }
}

/// Decides the conditions of every step.
pub(crate) fn plan(config: &Config) -> Result<Plan, Failure> {
    let role = config.role.as_deref();
    let steps = config.steps.iter().enumerate().map(|(at, step)| {
        let after = match &step.after {
            After::Above => (0..at).collect(),
            After::Start => Vec::new(),
            After::Steps(steps) => steps.clone(),
        };
        Ok(Planned { step: step.clone(), after, decision: decide(step, role)? })
    });
    Ok(Plan {
        role: role.map(str::to_owned),
        steps: steps.collect::<Result<_, Failure>>()?,
        server: config.server.command.first().cloned(),
    })
}

/// Whether this argv runs no step, because it begins with an entry of `server.passthrough` or is one of Portcullis' own
/// commands for diagnosis and repair.
pub(crate) fn passes_through(passthrough: &[Vec<String>], argv: &[String]) -> bool {
    is_own_command(argv)
        || passthrough.iter().any(|beginning| match (beginning.split_first(), argv.split_first()) {
            (Some((program, words)), Some((given, rest))) => {
                (given == program || file_name(given) == Some(program)) && rest.starts_with(words)
            }
            _ => false,
        })
}

/// A command of Portcullis, except for those that start a program.
pub(crate) fn is_own_command(argv: &[String]) -> bool {
    let [program, command, ..] = argv else { return false };
    file_name(program) == Some("portcullis")
        && match command.as_str() {
            "run" | "init" | "exec" => false,
            "-h" | "--help" | "-V" | "--version" => true,
            command => !command.starts_with('-'),
        }
}

/// `bash` for `/bin/bash`.
fn file_name(program: &str) -> Option<&str> {
    Path::new(program).file_name().and_then(|name| name.to_str())
}

fn decide(step: &Step, role: Option<&str>) -> Result<Decision, Failure> {
    let when = &step.when;
    let skip = |reason: String| Ok(Decision::Skip { reason });
    if !when.role.is_empty() {
        let Some(role) = role else {
            return Err(Failure::ConfigLacks { what: format!("the step `{}`", step.name), needs: "role" });
        };
        if !when.role.iter().any(|pattern| role::matches(pattern, role)) {
            return skip(format!("the role `{role}` is not {}", either(&when.role)));
        }
    }
    if !when.env.is_empty() && !when.env.iter().any(|flag| flag.is_true) {
        return skip(format!("{} is not true", either(when.env.iter().map(|flag| &flag.name))));
    }
    if let Some(Flag { name, .. }) = when.unless_env.iter().find(|flag| flag.is_true) {
        return skip(format!("`{name}` is true"));
    }
    Ok(when.pending.map_or(Decision::Run, |pending| Decision::DecidedAtItsTurn { pending }))
}

/// `` `a` ``, or `` `a` or `b` ``.
fn either<'n>(names: impl IntoIterator<Item = &'n String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests;
