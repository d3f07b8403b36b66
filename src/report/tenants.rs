//! What the commands for tenants say, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    advice::{Action, advice},
    foreign, judgement,
    running::Running,
};
use crate::{
    failure::{Failure, Left, chain},
    outcome::{FailureDetails, bootstrap::Bootstrapped, wording},
    tenants::{
        found::Deleted,
        gate::{Judgement, Verdict},
    },
    words::count,
};

/// What `tenant create --json` answers.
pub(crate) fn created(name: &str, schema: &str, took: Duration, trouble: Option<&FailureDetails>) -> Value {
    let mut answer = json!({
        "tenant": name,
        "schema": schema,
        "created": trouble.is_none(),
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    if let (Some(trouble), Some(object)) = (trouble, answer.as_object_mut()) {
        object.insert("failure".into(), failure(trouble, Running::TenantCreate));
    }
    answer
}

/// What `tenant bootstrap --json` answers.
pub(crate) fn bootstrapped(became: &Bootstrapped, trouble: Option<&FailureDetails>) -> Value {
    let failed: Vec<Value> =
        became.failed.iter().map(|(tenant, why)| json!({ "tenant": tenant, "why": why })).collect();
    json!({
        "created": became.created,
        "kept": became.kept,
        "failed": failed,
        "failure": trouble.map(|trouble| failure(trouble, Running::TenantBootstrap)),
    })
}

/// What the command of `[notify]` finds in its variable.
pub(crate) fn notification(run: &str, tenant: &str, trouble: &FailureDetails) -> Value {
    json!({ "event": "tenant creation failed", "run": run, "tenant": tenant, "failure": failure(trouble, Running::TenantCreate) })
}

/// One line a tenant.
pub(crate) fn list(judgement: &Judgement) -> String {
    let width = judgement.tenants.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, verdict) in &judgement.tenants {
        text += &foreign::line(&format!("{name:width$}  {}", brief(verdict)));
    }
    if text.is_empty() {
        text = "no tenant\n".into();
    }
    for warning in
        wording::warnings(&Judgement { tenants: std::collections::BTreeMap::new(), ..judgement.clone() })
    {
        text += &foreign::line(&format!("warning: {warning}"));
    }
    text
}

/// Everything that there is to say of one.
pub(crate) fn show(name: &str, verdict: &Verdict) -> String {
    let mut text = foreign::line(&format!("{name}: {}", judgement::outcome_word(verdict.outcome())));
    for finding in &verdict.findings {
        let (what, which) = wording::words(finding);
        text += &foreign::line(&format!("  {what}: {which}"));
    }
    text
}

pub(crate) fn json(judgement: &Judgement) -> Value {
    let tenants: Vec<Value> = judgement.tenants.iter().map(|(name, verdict)| one(name, verdict)).collect();
    json!({ "tenants": tenants, "orphans": judgement.orphans, "unfinished": judgement.unfinished })
}

pub(crate) fn one(name: &str, verdict: &Verdict) -> Value {
    let mut value = judgement::schema_json(verdict);
    if let Some(object) = value.as_object_mut() {
        object.insert("tenant".into(), json!(name));
    }
    value
}

/// What was removed, in words.
pub(crate) fn deleted(name: &str, deleted: &Deleted) -> String {
    if deleted.transactions == 0 {
        return foreign::line(&format!(
            "`{name}` deleted: an interrupted creation or deletion was completed"
        ));
    }
    let mut parts = vec![format!("{} of the registry", count(deleted.rows, "row"))];
    if deleted.domains > 0 {
        parts.push(count(deleted.domains, "domain"));
    }
    match deleted.tables {
        Some(tables) => parts.push(format!("its schema with {}", count(tables, "table"))),
        None => parts.push("no schema (it did not exist)".into()),
    }
    let transactions = count(deleted.transactions, "transaction");
    foreign::line(&format!("`{name}` deleted: {} ({transactions})", parts.join(", ")))
}

pub(crate) fn deleted_json(name: &str, deleted: &Deleted) -> Value {
    json!({
        "tenant": name,
        "deleted": true,
        "rows": deleted.rows,
        "domains": deleted.domains,
        "tables": deleted.tables,
        "transactions": deleted.transactions,
    })
}

pub(crate) fn not_deleted(name: &str, trouble: &FailureDetails) -> Value {
    json!({ "tenant": name, "deleted": false, "failure": failure(trouble, Running::TenantDelete) })
}

/// What a command that only looks answers where it could not.
pub(crate) fn failed(tenant: Option<&str>, trouble: &FailureDetails, running: Running) -> Value {
    match tenant {
        Some(tenant) => json!({ "tenant": tenant, "failure": failure(trouble, running) }),
        None => json!({ "failure": failure(trouble, running) }),
    }
}

/// The outcome, and the first thing that there is to say.
fn brief(verdict: &Verdict) -> String {
    let outcome = judgement::outcome_word(verdict.outcome());
    match verdict.findings.iter().max_by_key(|finding| finding.outcome()) {
        None => outcome.to_owned(),
        Some(finding) => {
            let (what, which) = wording::words(finding);
            format!("{outcome}  {what}: {which}")
        }
    }
}

fn failure(trouble: &FailureDetails, running: Running) -> Value {
    let failure = &trouble.failure;
    let left = match failure {
        Failure::Provisioning { left, .. } => Some(match left {
            Left::Nothing => "nothing",
            Left::AsItWas => "as it was",
            Left::Later => "later",
            Left::Unproved => "unproved",
        }),
        _ => None,
    };
    let first = trouble.failed.first();
    json!({
        "id": failure.id(),
        "code": failure.code(),
        "message": chain(failure),
        "hint": advice(trouble, running).actions.first().map(Action::line),
        "left": left,
        "migration": first.and_then(|failed| failed.migration.as_ref()),
        "place": first.and_then(|failed| failed.place.as_ref()),
        "output": trouble.output,
    })
}
