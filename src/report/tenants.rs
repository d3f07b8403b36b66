//! The results of the commands for tenants, as text and JSON.

use console::Style as Paint;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    advice::{Action, advice},
    judgement::{self, OneSchema},
    running::Running,
    terminal_filter,
};
use crate::{
    failure::{Cleanup, Counts, Failure, chain},
    outcome::{FailureDetails, bootstrap::Bootstrapped, command::TenantOutcome, wording},
    tenants::{
        gate::{Judgement, Outcome, Verdict},
        inspection::Deleted,
    },
    words::count,
};

/// For people.
pub(crate) fn text(outcome: &TenantOutcome, colour: bool) -> String {
    match outcome {
        TenantOutcome::Created { schema, failure: None, .. } => {
            format!("`{schema}` created, migrated and verified\n")
        }
        // It failed before the first tenant.
        TenantOutcome::Bootstrapped { tenants, failure: Some(_) } if *tenants == Bootstrapped::default() => {
            String::new()
        }
        TenantOutcome::Bootstrapped { tenants, .. } => {
            format!("{}, {} failed\n", tenants.summary(), tenants.failed.len())
        }
        TenantOutcome::Listed(judgement) => list(judgement, colour),
        TenantOutcome::Named(names) => names.iter().map(|name| terminal_filter::line(name)).collect(),
        TenantOutcome::Shown { tenant, verdict } => show(tenant, verdict),
        TenantOutcome::Deleted { tenant, deleted } => self::deleted(tenant, deleted),
        TenantOutcome::TemplateWritten { path, release, server } => {
            format!("{}: written, release {release}, PostgreSQL {server}\n", path.display())
        }
        TenantOutcome::Created { .. } | TenantOutcome::NotDeleted { .. } | TenantOutcome::Failed { .. } => {
            String::new()
        }
    }
}

/// For programs.
pub(crate) fn json(outcome: &TenantOutcome) -> Value {
    match outcome {
        TenantOutcome::Created { tenant, schema, took, failure } => {
            let mut value = json!({
                "tenant": tenant,
                "schema": schema,
                "created": failure.is_none(),
                "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            });
            if let Some(failure) = failure {
                value["failure"] = self::failure(failure, Running::TenantCreate);
            }
            value
        }
        TenantOutcome::Bootstrapped { tenants, failure } => {
            let one = |(tenant, why): &(String, String)| json!({ "tenant": tenant, "why": why });
            json!({
                "created": tenants.created,
                "kept": tenants.kept,
                "failed": tenants.failed.iter().map(one).collect::<Vec<_>>(),
                "failure": failure.as_ref().map(|failure| self::failure(failure, Running::TenantBootstrap)),
            })
        }
        TenantOutcome::Listed(judgement) => json!(listed(judgement)),
        TenantOutcome::Named(names) => json!(names),
        TenantOutcome::Shown { tenant, verdict } => json!(OneSchema::new(verdict, Some(tenant))),
        TenantOutcome::Deleted { tenant, deleted } => json!({
            "tenant": tenant,
            "deleted": true,
            "rows": deleted.rows,
            "domains": deleted.domains,
            "tables": deleted.tables,
            "transactions": deleted.transactions,
        }),
        TenantOutcome::NotDeleted { tenant, failure } => {
            json!({ "tenant": tenant, "deleted": false, "failure": self::failure(failure, Running::TenantDelete) })
        }
        TenantOutcome::TemplateWritten { path, release, server } => {
            json!({ "path": path, "release": release, "server": server })
        }
        TenantOutcome::Failed { tenant: Some(tenant), failure } => {
            json!({ "tenant": tenant, "failure": self::failure(failure, Running::TenantShow) })
        }
        TenantOutcome::Failed { tenant: None, failure } => {
            json!({ "failure": self::failure(failure, Running::TenantShow) })
        }
    }
}

/// `tenant list`, for programs.
#[derive(Serialize)]
pub(crate) struct Listed<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    duplicates: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    excluded: &'a [String],
    orphans: &'a [String],
    tenants: Vec<OneSchema<'a>>,
    unfinished: &'a [String],
}

pub(crate) fn listed(judgement: &Judgement) -> Listed<'_> {
    let tenants = judgement.tenants.iter().map(|(name, verdict)| OneSchema::new(verdict, Some(name)));
    let tenants = tenants.collect();
    Listed {
        duplicates: &judgement.unjudged.duplicates,
        excluded: &judgement.unjudged.excluded,
        orphans: &judgement.orphans,
        tenants,
        unfinished: &judgement.unfinished,
    }
}

/// One line for each finding.
pub(crate) fn findings(judgement: &Judgement) -> String {
    let of_schema = |(tenant, verdict): (Option<&str>, &Verdict)| {
        let name = wording::name(tenant).to_owned();
        let line = |finding| {
            terminal_filter::line(&format!("{name}: {}", wording::sentence(std::iter::once(finding))))
        };
        verdict.findings.iter().map(line).collect::<String>()
    };
    judgement.verdicts().map(of_schema).collect()
}

/// The input of the command of `[notify]`.
pub(crate) fn notification(run: &str, tenant: &str, details: &FailureDetails) -> Value {
    json!({ "event": "tenant creation failed", "run": run, "tenant": tenant, "failure": failure(details, Running::TenantCreate) })
}

/// One line for each tenant.
fn list(judgement: &Judgement, colour: bool) -> String {
    let width = judgement.tenants.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, verdict) in &judgement.tenants {
        text += &terminal_filter::line(&format!("{name:width$}  {}", short_report(verdict, colour)));
    }
    if text.is_empty() {
        let why = if judgement.is_first_start() { ": the database is empty" } else { "" };
        text = format!("no tenant{why}\n");
    }
    if let Some(few) = judgement.too_few {
        let few = Counts { too_few: Some(few), ..Counts::default() };
        text += &terminal_filter::line(&format!("warning: {few}"));
    }
    text.extend(wording::excluded(judgement).map(|excluded| terminal_filter::line(&excluded)));
    for warning in
        wording::warnings(&Judgement { tenants: std::collections::BTreeMap::new(), ..judgement.clone() })
    {
        text += &terminal_filter::line(&format!("warning: {warning}"));
    }
    text
}

/// A tenant's verdict and findings.
fn show(name: &str, verdict: &Verdict) -> String {
    let mut text = terminal_filter::line(&format!("{name}: {}", judgement::outcome_word(verdict.outcome())));
    for finding in &verdict.findings {
        let (what, which) = wording::words(finding);
        text += &terminal_filter::line(&format!("  {what}: {which}"));
    }
    text
}

/// The number of removed rows and tables.
fn deleted(name: &str, deleted: &Deleted) -> String {
    if deleted.transactions == 0 {
        return terminal_filter::line(&format!(
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
    terminal_filter::line(&format!("`{name}` deleted: {} ({transactions})", parts.join(", ")))
}

/// The outcome, and the most severe finding.
fn short_report(verdict: &Verdict, colour: bool) -> String {
    let paint = match verdict.outcome() {
        Outcome::Complete => Paint::new().green(),
        Outcome::Unproven => Paint::new().yellow(),
        Outcome::Incomplete => Paint::new().red().bold(),
    };
    let outcome = terminal_filter::painted(judgement::outcome_word(verdict.outcome()), &paint, colour);
    match verdict.findings.iter().max_by_key(|finding| finding.outcome()) {
        None => outcome,
        Some(finding) => {
            let (what, which) = wording::words(finding);
            format!("{outcome}  {what}: {which}")
        }
    }
}

fn failure(details: &FailureDetails, running: Running) -> Value {
    let failure = &details.failure;
    let left = match failure {
        Failure::Provisioning { left, .. } => Some(match left {
            Cleanup::Complete | Cleanup::TenantsRemoved => "nothing",
            Cleanup::NothingCreated => "as it was",
            Cleanup::Deferred => "later",
            Cleanup::Unproven | Cleanup::CommandKilled => "unproved",
        }),
        _ => None,
    };
    let first = details.failed.first();
    json!({
        "id": failure.id(),
        "code": failure.code(),
        "message": chain(failure),
        "hint": advice(details, running).actions.first().map(Action::line),
        "left": left,
        "migration": first.and_then(|failed| failed.migration.as_ref()),
        "place": first.and_then(|failed| failed.place.as_ref()),
        "output": details.output,
    })
}
