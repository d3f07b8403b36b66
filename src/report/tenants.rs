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
    words::{count, hanging},
};

/// For people.
pub(crate) fn text(outcome: &TenantOutcome, columns: usize, colour: bool) -> String {
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
        TenantOutcome::Listed(judgement) => list(judgement, columns, colour),
        TenantOutcome::Named(names) => names.iter().map(|name| terminal_filter::line(name)).collect(),
        TenantOutcome::Shown { tenant, verdict } => show(tenant, verdict, columns),
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

/// Each tenant with its outcome and the finding that decides it.
fn list(judgement: &Judgement, columns: usize, colour: bool) -> String {
    let width = judgement.tenants.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut add = |start: &str, width, words: &str| {
        text.extend(hanging(start, width, words, columns).iter().map(|line| terminal_filter::line(line)));
    };
    for (name, verdict) in &judgement.tenants {
        let word = judgement::outcome_word(verdict.outcome());
        let paint = match verdict.outcome() {
            Outcome::Complete => Paint::new().green(),
            Outcome::Unproven => Paint::new().yellow(),
            Outcome::Incomplete => Paint::new().red().bold(),
        };
        let start = format!("{name:width$}  {}  ", terminal_filter::painted(word, &paint, colour));
        let worst = verdict.findings.iter().max_by_key(|finding| finding.outcome()).map(wording::words);
        let worst = worst.map(|(what, which)| format!("{what}: {which}")).unwrap_or_default();
        add(&start, width + 2 + word.len() + 2, &worst);
    }
    if text.is_empty() {
        let why = if judgement.is_first_start() { ": the database is empty" } else { "" };
        text = format!("no tenant{why}\n");
    }
    let mut add = |words: &str| {
        text.extend(hanging("", 0, words, columns).iter().map(|line| terminal_filter::line(line)));
    };
    if let Some(few) = judgement.too_few {
        add(&format!("warning: {}", Counts { too_few: Some(few), ..Counts::default() }));
    }
    if let Some(excluded) = wording::excluded(judgement) {
        add(&excluded);
    }
    for warning in
        wording::warnings(&Judgement { tenants: std::collections::BTreeMap::new(), ..judgement.clone() })
    {
        add(&format!("warning: {warning}"));
    }
    text
}

/// A tenant's verdict and findings.
fn show(name: &str, verdict: &Verdict, columns: usize) -> String {
    let mut text = terminal_filter::line(&format!("{name}: {}", judgement::outcome_word(verdict.outcome())));
    for finding in &verdict.findings {
        let (what, which) = wording::words(finding);
        let lines = hanging("  ", 2, &format!("{what}: {which}"), columns);
        text.extend(lines.iter().map(|line| terminal_filter::line(line)));
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

fn failure(details: &FailureDetails, running: Running) -> Value {
    let failure = &details.failure;
    let left = match failure {
        Failure::Provisioning { left, .. } => Some(match left {
            Cleanup::Complete => "nothing",
            Cleanup::TenantsRemoved => "elsewhere",
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
