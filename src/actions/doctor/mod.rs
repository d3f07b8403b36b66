//! Every check of configuration, process, database, tenants and code. Each is one function in its group's table;
//! facts are fetched once, each on its own, so that one that cannot be had hides no other.

mod code;
mod config;
mod database;
mod process;
mod tenants;

use std::{path::Path, rc::Rc};

use super::context::RunContext;
use crate::{
    config::{Overrides, environment::Environment},
    failure::Failure,
    outcome::doctor::{Checked, Remedy, Verdict},
    process::Processes,
};

/// What is examined.
pub(crate) struct DoctorInput<'a> {
    /// The configuration file's.
    pub(crate) path: &'a Path,
    pub(crate) overrides: &'a Overrides,
    pub(crate) env: &'a Environment,
    pub(crate) processes: &'a Processes,
}

/// One check: its stable name, what people call it, and the function that answers.
struct Check<F> {
    id: &'static str,
    name: &'static str,
    ask: fn(&F) -> Verdict,
}

/// Makes every check, in the order in which they are shown.
pub(crate) async fn examine(input: &DoctorInput<'_>) -> Vec<Checked> {
    let loaded = config::Loaded::read(input);
    let context = loaded.config().map(|config| RunContext::new(config.clone(), input.processes.clone()));
    let context = context.as_ref();
    let mut checks = group("configuration", &config::CHECKS, &loaded);
    checks.push(Checked {
        group: "configuration",
        id: "manifest-fresh",
        name: "manifest is fresh",
        verdict: config::manifest(context).await,
    });
    let place = process::Place::of(input.env, loaded.config());
    checks.extend(group("process", &process::CHECKS, &place));
    let gathered = tenants::Gathered::of(context).await;
    let facts = database::Facts::of(context, &gathered).await;
    checks.extend(group("database", &database::CHECKS, &facts));
    let tenants = tenants::Facts::of(context, &facts, gathered).await;
    checks.extend(group("tenants", &tenants::CHECKS, &tenants));
    let code = code::Code::of(input.path, context).await;
    checks.extend(group("code", &code::CHECKS, &code));
    checks
}

fn group<F>(group: &'static str, checks: &[Check<F>], facts: &F) -> Vec<Checked> {
    let made =
        |check: &Check<F>| Checked { group, id: check.id, name: check.name, verdict: (check.ask)(facts) };
    checks.iter().map(made).collect()
}

/// A failure as a verdict, with the same advice as everywhere.
fn failed(failure: Rc<Failure>) -> Verdict {
    Verdict::Failed(crate::failure::chain(&failure), Remedy::Failure(failure))
}
