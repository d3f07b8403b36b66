//! Words the gate's judgement, as text and as JSON. JSON is never capped.

use serde_json::{Value, json};

use super::{
    github,
    junit::{self, Case},
    quantity::count,
};
use crate::tenants::{
    accept::{Accept, Stale},
    gate::{Finding, Judgement, Outcome, Verdict},
    manifest::Kind,
};

/// GitHub shows so many of one step.
const ANNOTATIONS: usize = 10;

/// One finding in words: what it is, and which migrations, tables or columns.
pub(crate) fn words(finding: &Finding) -> (&'static str, String) {
    let newer = |by_newer: bool, text: String| {
        if by_newer { format!("{text} (dropped by newer code)") } else { text }
    };
    match finding {
        Finding::NotRegistered => ("not registered", "the tenant registry has no such row".into()),
        Finding::NoSchema => ("no schema", "registered, but its schema does not exist".into()),
        Finding::NoLedger { tables } if tables.is_empty() => ("no ledger", "nothing was ever applied".into()),
        Finding::NoLedger { tables } => {
            ("no ledger", format!("lost: its tables stand ({})", tables.join(", ")))
        }
        Finding::Pending { migrations } => ("pending", migrations.join(", ")),
        Finding::Dirty { migrations } => ("dirty", format!("{} (recorded as failed)", migrations.join(", "))),
        Finding::Altered { migrations } => ("altered", format!("{} (other checksum)", migrations.join(", "))),
        Finding::Diverged { unknown } => {
            ("diverged", format!("{} (unknown to this code)", unknown.join(", ")))
        }
        Finding::Ahead { unknown, .. } => ("ahead", format!("{} (unknown to this code)", unknown.join(", "))),
        Finding::MissingTables { tables, dropped_by_newer } => {
            let known = if *dropped_by_newer { "" } else { " (its ledger is complete)" };
            ("table missing", newer(*dropped_by_newer, format!("{}{known}", tables.join(", "))))
        }
        Finding::OtherKind { table, expected, found } => {
            ("other kind", format!("{table} is {}, not {}", kind(*found), kind(*expected)))
        }
        Finding::MissingColumns { table, columns, dropped_by_newer } => {
            let columns: Vec<_> = columns.iter().map(|column| format!("{table}.{column}")).collect();
            ("column missing", newer(*dropped_by_newer, columns.join(", ")))
        }
        Finding::InvalidIndex { index, table, unique } => {
            ("invalid index", format!("{index} on {table}{}", if *unique { " (unique)" } else { "" }))
        }
        Finding::Models { models, .. } => ("no table for", models.join(", ")),
        Finding::Shadowed { tables } => (
            "shadowed",
            format!("{} (the shared schema's copy is read and written instead)", tables.join(", ")),
        ),
        Finding::Retired { migrations } => {
            ("retired", format!("{} (of apps that this code does not have)", migrations.join(", ")))
        }
        Finding::Duplicate { migrations } => ("recorded twice", migrations.join(", ")),
        Finding::LookFailed { why } => ("cannot look", why.clone()),
        Finding::Vanished => ("vanished", "dropped while it was looked at".into()),
        Finding::Accepted { finding, until, reason } => {
            let (what, which) = words(finding);
            ("accepted", format!("{what}: {which}; until {until}: {reason}"))
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "a table",
        Kind::View => "a view",
        Kind::MaterializedView => "a materialized view",
        Kind::ForeignTable => "a foreign table",
    }
}

/// A one-line summary: `2 of 4 schemas incomplete`.
pub(crate) fn summary(judgement: &Judgement) -> String {
    let total = judgement.verdicts().count();
    let mut parts = Vec::new();
    for (outcome, word) in [(Outcome::Incomplete, "incomplete"), (Outcome::Unproven, "not proven")] {
        let bad = judgement.count(outcome);
        if bad > 0 {
            parts.push(format!("{bad} of {} {word}", count(total, "schema")));
        }
    }
    if let Some((rows, least)) = judgement.too_few {
        parts.push(too_few(rows, least));
    }
    if parts.is_empty() {
        let tenants = count(judgement.tenants.len(), "tenant");
        match judgement.shared {
            Some(_) => format!("the shared schema and {tenants} complete"),
            None => format!("{tenants} complete"),
        }
    } else {
        parts.join(", ")
    }
}

fn too_few(rows: usize, least: usize) -> String {
    format!("{} in the registry, at least {least} expected", count(rows, "tenant"))
}

/// The schemas of an outcome, each with its findings as lines, at most `cap` schemas.
pub(crate) fn lines(judgement: &Judgement, outcome: Outcome, cap: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let bad = || judgement.verdicts().filter(|(_, verdict)| verdict.outcome() == outcome);
    for (tenant, verdict) in bad().take(cap) {
        lines.push(name(tenant).to_owned());
        for finding in said(verdict, outcome) {
            let (what, which) = words(finding);
            lines.push(format!("  {what:<15} {which}"));
        }
    }
    if bad().count() > cap {
        lines.push(format!("... and {} more", bad().count() - cap));
    }
    lines
}

/// What is worth a warning though nothing is incomplete by it.
pub(crate) fn warnings(judgement: &Judgement) -> Vec<String> {
    let mut warnings: Vec<String> = judgement
        .verdicts()
        .flat_map(|(tenant, verdict)| verdict.findings.iter().map(move |finding| (tenant, finding)))
        .filter(|(_, finding)| finding.outcome() == Outcome::Complete)
        .map(|(tenant, finding)| {
            let (what, which) = words(finding);
            format!("{}: {what}: {which}", name(tenant))
        })
        .collect();
    if !judgement.orphans.is_empty() {
        warnings.push(format!("no tenant row names: {}", judgement.orphans.join(", ")));
    }
    if !judgement.unfinished.is_empty() {
        warnings.push(format!(
            "being created or removed, or left so by a run that was killed: {}",
            judgement.unfinished.join(", ")
        ));
    }
    warnings
}

/// An entry of `[[accept]]` that does nothing any more.
pub(crate) fn stale(accept: &Accept, why: Stale) -> String {
    let Accept { tenant, what, until, reason } = accept;
    match why {
        Stale::Expired => format!("`[[accept]]` of {tenant}: {what} has expired on {until} ({reason})"),
        Stale::Unused => format!("`[[accept]]` of {tenant}: {what} is not needed any more: remove it"),
    }
}

/// Each schema as a test case.
pub(crate) fn junit(judgement: &Judgement) -> String {
    let mut cases: Vec<Case<'_>> = judgement
        .verdicts()
        .map(|(tenant, verdict)| {
            let outcome = verdict.outcome();
            let said = sentence(said(verdict, outcome));
            Case {
                class: if tenant.is_some() { "tenant" } else { "shared" },
                name: name(tenant),
                result: match outcome {
                    Outcome::Complete => junit::Result::Passed(said),
                    Outcome::Unproven => junit::Result::Error(said),
                    Outcome::Incomplete => junit::Result::Failed(said, String::new()),
                },
            }
        })
        .collect();
    let few = judgement.too_few.map(|(rows, least)| too_few(rows, least));
    cases.extend(few.map(|few| Case {
        class: "registry",
        name: "the registry",
        result: junit::Result::Error(few),
    }));
    junit::suite("portcullis verify", &cases)
}

/// What is wrong as GitHub's annotations, as many as it shows of one step.
pub(crate) fn annotations(judgement: &Judgement) -> String {
    let bad = || judgement.verdicts().filter(|(_, verdict)| verdict.outcome() != Outcome::Complete);
    let shown = if bad().count() > ANNOTATIONS { ANNOTATIONS - 1 } else { ANNOTATIONS };
    let one = |(tenant, verdict): (Option<&str>, &Verdict)| {
        github::annotation("error", name(tenant), &sentence(said(verdict, verdict.outcome())))
    };
    let rest = (bad().count() > shown || judgement.too_few.is_some())
        .then(|| github::annotation("error", "portcullis", &summary(judgement)));
    bad().take(shown).map(one).chain(rest).map(|line| line + "\n").collect()
}

/// Everything, for programs.
pub(crate) fn json(judgement: &Judgement) -> Value {
    json!({
        "outcome": outcome_word(judgement.outcome()),
        "summary": summary(judgement),
        "shared": judgement.shared.as_ref().map(schema_json),
        "tenants": judgement.tenants.iter().map(|(name, verdict)| (name.clone(), schema_json(verdict))).collect::<serde_json::Map<_, _>>(),
        "orphans": judgement.orphans,
        "unfinished": judgement.unfinished,
        "too_few": judgement.too_few.map(|(rows, least)| json!({ "rows": rows, "at_least": least })),
    })
}

/// One schema's verdict.
pub(crate) fn schema_json(verdict: &Verdict) -> Value {
    let findings: Vec<Value> = verdict.findings.iter().map(finding_json).collect();
    json!({ "outcome": outcome_word(verdict.outcome()), "findings": findings })
}

/// What people call a schema.
pub(crate) fn name(tenant: Option<&str>) -> &str {
    tenant.unwrap_or("the shared schema")
}

fn said(verdict: &Verdict, outcome: Outcome) -> impl Iterator<Item = &Finding> {
    verdict
        .findings
        .iter()
        .filter(move |finding| finding.outcome() == outcome || outcome == Outcome::Incomplete)
}

/// Findings in one line.
pub(crate) fn sentence<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let said = findings.map(|finding| {
        let (what, which) = words(finding);
        format!("{what}: {which}")
    });
    said.collect::<Vec<_>>().join("; ")
}

pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Unproven => "unproven",
        Outcome::Incomplete => "incomplete",
    }
}

fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::NotRegistered => json!({ "kind": "not_registered" }),
        Finding::NoSchema => json!({ "kind": "no_schema" }),
        Finding::NoLedger { tables } => json!({ "kind": "no_ledger", "tables": tables }),
        Finding::Pending { migrations } => json!({ "kind": "pending", "migrations": migrations }),
        Finding::Dirty { migrations } => json!({ "kind": "dirty", "migrations": migrations }),
        Finding::Altered { migrations } => json!({ "kind": "altered", "migrations": migrations }),
        Finding::Diverged { unknown } => json!({ "kind": "diverged", "migrations": unknown }),
        Finding::Ahead { unknown, blocks } => {
            json!({ "kind": "ahead", "migrations": unknown, "blocks": blocks })
        }
        Finding::MissingTables { tables, dropped_by_newer } => {
            json!({ "kind": "missing_tables", "tables": tables, "dropped_by_newer": dropped_by_newer })
        }
        Finding::OtherKind { table, expected, found } => {
            json!({ "kind": "other_kind", "table": table, "expected": expected, "found": found })
        }
        Finding::MissingColumns { table, columns, dropped_by_newer } => {
            json!({ "kind": "missing_columns", "table": table, "columns": columns, "dropped_by_newer": dropped_by_newer })
        }
        Finding::InvalidIndex { index, table, unique } => {
            json!({ "kind": "invalid_index", "index": index, "table": table, "unique": unique })
        }
        Finding::Models { app, models, whole, after } => {
            json!({ "kind": "models", "app": app, "models": models, "whole": whole, "after": after })
        }
        Finding::Shadowed { tables } => json!({ "kind": "shadowed", "tables": tables }),
        Finding::Retired { migrations } => json!({ "kind": "retired", "migrations": migrations }),
        Finding::Duplicate { migrations } => json!({ "kind": "recorded_twice", "migrations": migrations }),
        Finding::LookFailed { why } => json!({ "kind": "look_failed", "why": why }),
        Finding::Vanished => json!({ "kind": "vanished" }),
        Finding::Accepted { finding, until, reason } => json!({
            "kind": "accepted", "finding": finding_json(finding), "until": until.to_string(), "reason": reason,
        }),
    }
}
