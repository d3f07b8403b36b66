//! The wording of findings, counts and positions.

use super::structure;
use crate::{
    failure::{Counts, signal_name},
    ordered::Ordered,
    tenants::{
        accept::{Accept, Stale},
        gate::{Finding, Judgement, Outcome},
        inspection::Rows,
        manifest::Kind,
        replay::Refusal,
        structure::{Object, ObjectKind},
    },
    words::{self, count},
};

/// A finding's label and its migrations, tables or columns.
pub(crate) fn words(finding: &Finding) -> (&'static str, String) {
    let newer = |by_newer: bool, text: String| {
        if by_newer { format!("{text} (dropped by newer code)") } else { text }
    };
    match finding {
        Finding::NotRegistered => ("not registered", "the registry has no row for it".into()),
        Finding::NotListed { registry } => (
            "not listed",
            format!("its schema has a ledger, and the registry, {}, has no row for it", kind(*registry)),
        ),
        Finding::HalfCreated { run } => {
            ("half created", format!("the framework's command of {run} has not finished creating it"))
        }
        Finding::NoSchema => ("no schema", "the schema does not exist".into()),
        Finding::NoDatabase => ("no database", "the tenant's database does not exist".into()),
        Finding::NoLedger { tables } if tables.is_empty() => {
            ("no ledger", "no migration was ever applied".into())
        }
        Finding::NoLedger { tables } => {
            ("no ledger", format!("lost: the schema still contains tables ({})", list(tables)))
        }
        Finding::Pending { migrations } => ("pending", list(migrations)),
        Finding::Unrecorded { migrations } => {
            ("not recorded", format!("{} (the tables and columns exist)", list(migrations)))
        }
        Finding::Dirty { migrations } => ("dirty", format!("{} (recorded as failed)", list(migrations))),
        Finding::Altered { migrations, line_ends_alone: false } => {
            ("altered", format!("{} (other checksum)", list(migrations)))
        }
        Finding::Altered { migrations, line_ends_alone: true } => {
            ("altered", format!("{} (only the line ends differ)", list(migrations)))
        }
        Finding::Diverged { unknown } => ("diverged", format!("{} (unknown to this code)", list(unknown))),
        Finding::Ahead { unknown, .. } => ("ahead", format!("{} (unknown to this code)", list(unknown))),
        Finding::MissingTables { tables, dropped_by_newer } => {
            let note = if *dropped_by_newer { "" } else { " (its ledger is complete)" };
            ("table missing", newer(*dropped_by_newer, format!("{}{note}", list(tables))))
        }
        Finding::OtherKind { table, expected, found } => {
            ("other kind", format!("{table} is {}, not {}", kind(*found), kind(*expected)))
        }
        Finding::MissingColumns { table, columns, dropped_by_newer } => {
            let columns: Vec<_> = columns.iter().map(|column| format!("{table}.{column}")).collect();
            ("column missing", newer(*dropped_by_newer, list(&columns)))
        }
        Finding::InvalidIndex { index, table, unique } => {
            ("invalid index", format!("{index} on {table}{}", if *unique { " (unique)" } else { "" }))
        }
        Finding::Structure { differences, reference, .. } => {
            let texts: Vec<String> = differences.iter().map(structure::difference).collect();
            let listed = texts.iter().take(LISTED).cloned().collect::<Vec<_>>().join("; ");
            let more = texts.len().saturating_sub(LISTED);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            ("structure", format!("{listed}{more}{}", structure::reference(reference)))
        }
        Finding::StructureOfOtherServer { derived, found, .. } => {
            let derived = if derived.is_empty() { "another server".into() } else { derived.join(", ") };
            ("structure", format!("the manifest has the structure of {derived}, and this server is {found}"))
        }
        Finding::Models { models, .. } => ("no table for", list(models)),
        Finding::Shadowed { tables } => {
            ("shadowed", format!("{} (the shared schema's copy is read and written instead)", list(tables)))
        }
        Finding::Retired { migrations } => {
            ("retired", format!("{} (of apps that this code does not have)", list(migrations)))
        }
        Finding::Duplicate { migrations } => ("recorded twice", list(migrations)),
        Finding::Unreadable { why } => ("cannot read", why.to_string()),
        Finding::Vanished => ("vanished", "dropped during the inspection".into()),
        Finding::Accepted { finding, until, reason } => {
            let (what, which) = words(finding);
            ("accepted", format!("{what}: {which}; until {until}: {reason}"))
        }
    }
}

/// An object of a schema: `column finance_invoice.paid_on`.
pub(crate) fn object(object: &Object) -> String {
    let kind = structure::kind(object.kind);
    match (object.kind, object.table.as_str()) {
        (_, "") => format!("{kind} {}", object.name),
        (ObjectKind::Column, table) => format!("{kind} {table}.{}", object.name),
        (_, table) => format!("{kind} {} of {table}", object.name),
    }
}

/// A longer list ends with a count; JSON has all.
const LISTED: usize = 25;

fn list<T: AsRef<str>>(names: &[T]) -> String {
    words::list(names, LISTED)
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
    let tenants = count(judgement.tenants.len(), "tenant");
    let summary = match (judgement.outcome(), &judgement.shared) {
        (Outcome::Complete, Some(_)) => format!("the shared schema and {tenants} complete"),
        (Outcome::Complete, None) => format!("{tenants} complete"),
        _ => counts(judgement).to_string(),
    };
    excluded(judgement).map_or_else(|| summary.clone(), |excluded| format!("{summary}; {excluded}"))
}

/// The rows of the registry that are not tenants.
pub(crate) fn excluded(judgement: &Judgement) -> Option<String> {
    const SHOWN: usize = 5;
    let names = &judgement.unjudged.excluded;
    (!names.is_empty()).then(|| format!("`where` excludes {}", words::list(names, SHOWN)))
}

pub(crate) fn counts(judgement: &Judgement) -> Counts {
    Counts {
        schemas: judgement.verdicts().count(),
        incomplete: judgement.count(Outcome::Incomplete),
        unproven: judgement.count(Outcome::Unproven),
        too_few: judgement.too_few,
    }
}

/// The warnings: findings that do not make a schema incomplete.
pub(crate) fn warnings(judgement: &Judgement) -> Vec<String> {
    let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for (tenant, verdict) in judgement.verdicts() {
        for finding in verdict.findings.iter().filter(|finding| finding.outcome() == Outcome::Complete) {
            match groups.iter_mut().find(|(other, _)| *other == finding) {
                Some((_, names)) => names.push(name(tenant)),
                None => groups.push((finding, vec![name(tenant)])),
            }
        }
    }
    let mut warnings: Vec<String> = groups
        .into_iter()
        .map(|(finding, names)| {
            let (what, which) = words(finding);
            format!("{}: {what}: {which}", list(&names))
        })
        .collect();
    if !judgement.orphans.is_empty() {
        warnings.push(format!("schemas without a tenant: {}", list(&judgement.orphans)));
    }
    if !judgement.unjudged.duplicates.is_empty() {
        warnings.push(format!(
            "several rows of the registry for one schema: {}",
            list(&judgement.unjudged.duplicates)
        ));
    }
    if !judgement.unjudged.other_databases.is_empty() {
        warnings.push(format!(
            "databases of the project that Portcullis neither migrates nor judges: {}",
            list(&judgement.unjudged.other_databases)
        ));
    }
    if !judgement.unfinished.is_empty() {
        warnings.push(format!(
            "creation or deletion in progress, or interrupted by a kill: {}",
            list(&judgement.unfinished)
        ));
    }
    warnings
}

/// An entry of `[[accept]]` that has no effect.
pub(crate) fn stale(accept: &Accept, why: Stale) -> String {
    let Accept { tenant, what, until, reason } = accept;
    match why {
        Stale::Expired => format!("`[[accept]]` of {tenant}: {what} expired on {until} ({reason})"),
        Stale::Unused => format!("`[[accept]]` of {tenant}: {what} is no longer needed; remove it"),
    }
}

/// The progress of a migration of several schemas, with the first ones that were not started.
pub(crate) fn migrated(done: usize, total: usize, not_started: &[&str]) -> String {
    const SHOWN: usize = 5;
    let text = format!("{done} of {total} schemas migrated");
    if not_started.is_empty() {
        return text;
    }
    let shown = not_started.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match not_started.len().saturating_sub(SHOWN) {
        0 => format!("{text}; not started: {shown}"),
        more => format!("{text}; not started: {shown} and {more} more"),
    }
}

/// Where a signal arrived: between two steps.
pub(crate) fn after_steps(finished: usize, steps: usize) -> String {
    format!("after {finished} of {steps} steps")
}

/// Where a signal arrived: during a step; `step` is a position in the plan, from 0.
pub(crate) fn during_step(step: usize, steps: usize, name: &str) -> String {
    format!("during step {} of {steps}, `{name}`", step + 1)
}

/// The reason to stop the running steps.
pub(crate) fn stopping(signal: Option<i32>) -> String {
    signal.map_or_else(|| "a step failed".into(), |signal| format!("{} arrived", signal_name(signal)))
}

/// The reason to skip a step whose condition is evaluated at its turn.
pub(crate) const NOTHING_PENDING: &str = "nothing is pending";
/// Where a signal arrived: during that evaluation.
pub(crate) const DECIDING: &str = "while checking for pending migrations";

/// The name of a schema in messages.
pub(crate) fn name(tenant: Option<&str>) -> &str {
    tenant.unwrap_or("the shared schema")
}

/// Findings in one line.
pub(crate) fn sentence<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let message = findings.map(|finding| {
        let (what, which) = words(finding);
        format!("{what}: {which}")
    });
    message.collect::<Vec<_>>().join("; ")
}

/// Every table and its rows: `crm_customer 3 rows, finance_invoice 12 rows`.
pub(crate) fn rows(tables: &[(String, Rows)]) -> String {
    let parts: Vec<String> = tables
        .iter()
        .map(|(table, rows)| match rows {
            Rows::Counted(rows) => {
                format!("{table} {}", count(usize::try_from(*rows).unwrap_or(usize::MAX), "row"))
            }
            Rows::Uncounted => format!("{table} more rows than can be counted quickly"),
            Rows::Failed(why) => format!("{table} cannot be read: {why}"),
        })
        .collect();
    if parts.is_empty() { "no table is expected".into() } else { list(&parts) }
}

/// The reason to refuse a replay.
pub(crate) fn refusal(refusal: &Refusal) -> String {
    let list = |names: &[String]| list(&names.iter().into_set().into_iter().collect::<Vec<_>>());
    match refusal {
        Refusal::NoApps => "the manifest does not assign tables to apps".into(),
        Refusal::NoSuchApp => "the manifest has no tables of this app for a tenant".into(),
        Refusal::NoLedger => "its schema, database or ledger does not exist, or cannot be read".into(),
        Refusal::Pending(names) => format!("its migrations were never applied ({})", list(names)),
        Refusal::After(apps) => {
            format!("its migrations depend on those of {}, whose tables are also lost", list(apps))
        }
        Refusal::Circle(apps) => {
            format!(
                "its migrations and those of {} depend on each other, and both have lost tables",
                list(apps)
            )
        }
        Refusal::NothingMissing => "none of its tables is missing".into(),
        Refusal::TablesExist(tables) => {
            format!("{} still exist, and the replay would fail because of them", list(tables))
        }
        Refusal::Code(names) => format!("its migrations run custom code: {}", list(names)),
        Refusal::NotAtomic(names) => format!("{} cannot run in a transaction", list(names)),
    }
}
