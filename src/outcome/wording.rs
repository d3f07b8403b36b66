//! What the gate found, in words.

use crate::{
    tenants::{
        accept::{Accept, Stale},
        gate::{Finding, Judgement, Outcome},
        manifest::Kind,
    },
    words::count,
};

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

pub(crate) fn too_few(rows: usize, least: usize) -> String {
    format!("{} in the registry, at least {least} expected", count(rows, "tenant"))
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

/// What people call a schema.
pub(crate) fn name(tenant: Option<&str>) -> &str {
    tenant.unwrap_or("the shared schema")
}

/// Findings in one line.
pub(crate) fn sentence<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let said = findings.map(|finding| {
        let (what, which) = words(finding);
        format!("{what}: {which}")
    });
    said.collect::<Vec<_>>().join("; ")
}
