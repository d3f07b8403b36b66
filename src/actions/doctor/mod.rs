//! Runs every check of configuration, process, database, tenants and code. Each check is one function in its group's
//! table. Facts are fetched once and separately, so that an unreadable fact hides no other.

mod check;
mod code;
mod config;
mod database;
mod facts;
mod process;
mod tenants;

use self::check::Check;
pub(crate) use self::{check::DoctorInput, config::Loaded};
use super::context::RunContext;
use crate::outcome::doctor::Checked;

/// Runs every check, in the order of display.
pub(crate) async fn examine(input: &DoctorInput<'_>, loaded: &Loaded) -> Vec<Checked> {
    let context = loaded.config().map(|config| RunContext::new(config.clone(), input.processes.clone()));
    let context = context.as_ref();
    let mut checks = group("configuration", &config::CHECKS, loaded);
    checks.push(Checked {
        group: "configuration",
        id: "manifest-fresh".into(),
        name: "manifest is fresh",
        verdict: config::manifest(context).await,
    });
    let process = process::ProcessFacts::of(input, loaded.config()).await;
    checks.extend(group("process", &process::CHECKS, &process));
    let database = facts::DatabaseFacts::of(context).await;
    let server = database::Facts::of(context, &database).await;
    checks.extend(group("database", &database::CHECKS, &server));
    checks.extend(server.tenant_servers(context).await);
    let tenants = tenants::Facts::of(context, &server, database).await;
    checks.extend(group("tenants", &tenants::CHECKS, &tenants));
    let code = code::Code::of(input.path, context).await;
    checks.extend(group("code", &code::CHECKS, &code));
    checks
}

fn group<F>(group: &'static str, checks: &[Check<F>], facts: &F) -> Vec<Checked> {
    let made = |check: &Check<F>| Checked {
        group,
        id: check.id.into(),
        name: check.name,
        verdict: (check.run)(facts),
    };
    checks.iter().map(made).collect()
}
