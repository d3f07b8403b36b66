//! The gate's judgement: compares the inspection with the expectation. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    finding::MigrationList,
    inspection::{Inspection, LedgerRow, SchemaSnapshot, SchemaState},
    ledger::Comparison,
    manifest::{Created, Expected, Kind, Manifest},
    replay::is_of,
};

pub(crate) use super::{
    finding::{Finding, Outcome},
    verdict::Verdict,
};
use crate::ordered::Ordered;

/// The strictness of the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A database that is ahead of the code closes the gate.
    pub(crate) ahead_blocks: bool,
    /// The minimum number of tenants in the registry.
    pub(crate) at_least: usize,
}

/// What the gate does not judge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unjudged {
    /// The project's other databases.
    pub(crate) other_databases: Vec<String>,
    /// Rows of the registry that `where` excludes.
    pub(crate) excluded: Vec<String>,
    /// Tenants with several rows in the registry.
    pub(crate) duplicates: Vec<String>,
}

/// The verdicts on everything that was inspected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// None if the shared schema was not inspected.
    pub(crate) shared: Option<Verdict>,
    pub(crate) tenants: BTreeMap<String, Verdict>,
    /// Schemas that look like a tenant's and have no registry row.
    pub(crate) orphans: Vec<String>,
    pub(crate) unjudged: Box<Unjudged>,
    /// Schemas with an ownership tag: a run is creating or deleting them, or was killed while it did.
    pub(crate) unfinished: Vec<String>,
    /// Set if the registry has fewer rows than required: (rows, minimum).
    pub(crate) too_few: Option<(usize, usize)>,
    /// The schemas that lack objects whose definitions nothing shows: neither the manifest nor another tenant.
    pub(crate) without_example: BTreeSet<Option<String>>,
    /// The manifest shows the definitions if it is derived on this server.
    pub(crate) is_derived_elsewhere: bool,
    /// The migrations are SQL files, one of which may declare the older ones that it replaces.
    pub(crate) has_sql_files: bool,
}

impl Judgement {
    pub(crate) fn outcome(&self) -> Outcome {
        let few = if self.too_few.is_some() { Outcome::Unproven } else { Outcome::Complete };
        self.verdicts().map(|(_, verdict)| verdict.outcome()).chain([few]).max().unwrap_or(few)
    }

    /// The judgement of these tenants alone.
    pub(crate) fn of_tenants(&self, tenants: BTreeMap<String, Verdict>) -> Self {
        Self { tenants, has_sql_files: self.has_sql_files, ..Self::default() }
    }

    /// The verdict on one schema; None is the shared one.
    pub(crate) fn verdict(&self, tenant: Option<&str>) -> Option<&Verdict> {
        tenant.map_or(self.shared.as_ref(), |tenant| self.tenants.get(tenant))
    }

    /// Every verdict with its tenant, the shared schema (None) first.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (Option<&str>, &Verdict)> {
        self.shared
            .iter()
            .map(|verdict| (None, verdict))
            .chain(self.tenants.iter().map(|(name, verdict)| (Some(name.as_str()), verdict)))
    }

    /// Whether a migrating run may still resolve every finding.
    pub(crate) fn is_only_pending(&self) -> bool {
        let resolvable = |verdict: &Verdict| {
            verdict.outcome() == Outcome::Complete
                || verdict.is_absent()
                || verdict.is_half_created()
                || (verdict.is_pending() && (verdict.is_fresh() || verdict.may_be_migrated()))
        };
        self.outcome() != Outcome::Complete && self.verdicts().all(|(_, verdict)| resolvable(verdict))
    }

    /// Whether the database is empty: no migration was ever applied, no tenant is registered, and no schema is a tenant's.
    pub(crate) fn is_first_start(&self) -> bool {
        self.shared.as_ref().is_some_and(Verdict::is_fresh)
            && self.tenants.values().all(Verdict::is_absent)
            && self.orphans.is_empty()
    }

    /// Notes which schemas lack objects that no complete tenant shows. A tenant that was not inspected may show them, and so
    /// does one that lacks only migrations or their records: the advice first applies or records them.
    fn note_examples(&mut self, found: &Inspection) {
        let is_pending = |finding| matches!(finding, &Finding::Pending { .. } | &Finding::Unrecorded { .. });
        let complete: BTreeSet<_> = self
            .tenants
            .iter()
            .filter(|(_, verdict)| verdict.findings.iter().all(is_pending))
            .map(|(name, _)| found.types.get(name))
            .into_set();
        let are_all_inspected = found.registered <= found.tenants.len();
        let without = self.verdicts().filter(|(schema, verdict)| {
            verdict.lacks_objects()
                && schema.is_none_or(|name| are_all_inspected && !complete.contains(&found.types.get(name)))
        });
        self.without_example = without.map(|(schema, _)| schema.map(str::to_owned)).into_set();
    }

    /// The number of schemas with this outcome.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.verdicts().filter(|(_, verdict)| verdict.outcome() == outcome).count()
    }
}

/// Judges an inspection.
pub(crate) fn judge(manifest: &Manifest, found: &Inspection, rules: Rules) -> Judgement {
    // Most tenants share one ledger, which is compared once.
    let mut ledgers: BTreeMap<*const [LedgerRow], JudgedLedger<'_>> = BTreeMap::new();
    let mut verdict = |state: &SchemaState| match state {
        SchemaState::Read(snapshot) => {
            let ledger = ledgers
                .entry(Arc::as_ptr(&snapshot.ledger))
                .or_insert_with(|| judge_ledger(manifest, &manifest.tenant, &snapshot.ledger, rules));
            judge_snapshot(manifest, ledger, snapshot)
        }
        unread => judge_schema(manifest, &manifest.tenant, unread, rules),
    };
    let mut tenants: BTreeMap<String, Verdict> = found
        .tenants
        .iter()
        .map(|(name, state)| {
            let mut verdict = verdict(state);
            let tables = manifest.tables_of(found.types.get(name).map(String::as_str));
            verdict.note_unrecorded(&manifest.tenant, tables, state);
            verdict.note_shadows(manifest, state, &found.shadows);
            verdict.note_models(manifest, tables, state);
            verdict.findings.shrink_to_fit();
            (name.clone(), verdict)
        })
        .into_map();
    for (name, run) in &found.half_created {
        if let Some(verdict) = tenants.get_mut(name) {
            verdict.findings.push(Finding::HalfCreated { run: run.clone() });
        }
    }
    for name in &found.unregistered {
        tenants.insert(name.clone(), Verdict::of(Finding::NotRegistered));
    }
    let (orphans, not_listed): (Vec<_>, Vec<_>) =
        found.orphans.iter().cloned().partition(|_| found.registry_kind == Kind::Table);
    for name in not_listed {
        tenants.insert(name, Verdict::of(Finding::NotListed { registry: found.registry_kind }));
    }
    let shared = found.shared.as_ref().map(|state| {
        let mut verdict = judge_schema(manifest, &manifest.shared, state, rules);
        verdict.note_unrecorded(&manifest.shared, &manifest.shared.tables, state);
        verdict
    });
    let has_sql_files = manifest.framework.derives_structure();
    let mut judgement = Judgement {
        shared,
        tenants,
        orphans,
        unjudged: Box::new(Unjudged {
            other_databases: manifest.other_databases.iter().cloned().collect(),
            excluded: found.excluded.iter().cloned().collect(),
            duplicates: found.duplicates.iter().cloned().collect(),
        }),
        unfinished: found.unfinished.iter().cloned().collect(),
        too_few: (found.registered < rules.at_least).then_some((found.registered, rules.at_least)),
        without_example: BTreeSet::new(),
        is_derived_elsewhere: has_sql_files && !manifest.is_derived_on(found.server.as_ref()),
        has_sql_files,
    };
    if judgement.is_derived_elsewhere || !has_sql_files {
        judgement.note_examples(found);
    }
    judgement
}

/// Judges one schema.
pub(crate) fn judge_schema(
    manifest: &Manifest,
    expected: &Expected,
    state: &SchemaState,
    rules: Rules,
) -> Verdict {
    match state {
        SchemaState::NoSchema => Verdict::of(Finding::NoSchema),
        SchemaState::NoDatabase => Verdict::of(Finding::NoDatabase),
        SchemaState::NoLedger { .. } if expected.migrations.is_empty() && expected.tables.is_empty() => {
            Verdict::default()
        }
        SchemaState::NoLedger { tables } => {
            Verdict::of(Finding::NoLedger { tables: tables.iter().cloned().collect() })
        }
        SchemaState::Failed(why) => Verdict::of(Finding::Unreadable { why: why.clone() }),
        SchemaState::Vanished => Verdict::of(Finding::Vanished),
        SchemaState::Read(snapshot) => {
            judge_snapshot(manifest, &judge_ledger(manifest, expected, &snapshot.ledger, rules), snapshot)
        }
    }
}

/// The findings about one ledger.
struct JudgedLedger<'m> {
    compared: Comparison,
    findings: Vec<Finding>,
    /// What the schema must have although migrations are pending.
    created: Created<'m>,
}

fn judge_ledger<'m>(
    manifest: &Manifest,
    expected: &'m Expected,
    recorded: &[LedgerRow],
    rules: Rules,
) -> JudgedLedger<'m> {
    let ledger = manifest.framework.compare(expected, recorded);
    let mut findings = Vec::new();
    let mut add = |names: &[String], finding: fn(MigrationList) -> Finding| {
        if !names.is_empty() {
            findings.push(finding(names.into()));
        }
    };
    add(&ledger.dirty, |migrations| Finding::Dirty { migrations });
    add(&ledger.altered, |migrations| Finding::Altered { migrations, line_ends_alone: false });
    add(&ledger.altered_line_ends, |migrations| Finding::Altered { migrations, line_ends_alone: true });
    if !ledger.pending.is_empty() {
        add(&ledger.unknown, |unknown| Finding::Diverged { unknown });
    } else if rules.ahead_blocks {
        add(&ledger.unknown, |unknown| Finding::Ahead { unknown, blocks: true });
    } else {
        add(&ledger.unknown, |unknown| Finding::Ahead { unknown, blocks: false });
    }
    add(&ledger.pending, |migrations| Finding::Pending { migrations });
    add(&ledger.retired, |migrations| Finding::Retired { migrations });
    add(&ledger.duplicates, |migrations| Finding::Duplicate { migrations });
    let created = match ledger.pending.as_slice() {
        [] => Created::default(),
        pending => expected.created_without(pending),
    };
    JudgedLedger { compared: ledger, findings, created }
}

fn judge_snapshot(manifest: &Manifest, ledger: &JudgedLedger<'_>, snapshot: &SchemaSnapshot) -> Verdict {
    let JudgedLedger { compared: ledger, findings, created } = ledger;
    let mut findings = findings.clone();
    let newer = !ledger.unknown.is_empty() && ledger.pending.is_empty();
    // Tables of pending migrations are not reported in addition to the migrations.
    let is_due = |table: &str, column: Option<&str>| match manifest.app_of_table(table) {
        Some(app) => !ledger.pending.iter().any(|id| is_of(app, id)),
        None => ledger.pending.is_empty() || created.contains(table, column),
    };
    let tables = snapshot.missing_tables.iter().filter(|table| is_due(table, None));
    let tables: Vec<String> = tables.cloned().collect();
    if !tables.is_empty() {
        findings.push(Finding::MissingTables { tables, dropped_by_newer: newer });
    }
    let other_kinds = snapshot.other_kinds.iter().filter(|other| is_due(&other.table, None));
    findings.extend(other_kinds.map(|other| Finding::OtherKind {
        table: other.table.clone(),
        expected: other.expected,
        found: other.found,
    }));
    findings.extend(snapshot.missing_columns.iter().filter_map(|(table, columns)| {
        let due = columns.iter().filter(|column| is_due(table, Some(column)));
        let columns: Vec<String> = due.cloned().collect();
        (!columns.is_empty()).then(|| Finding::MissingColumns {
            table: table.clone(),
            columns,
            dropped_by_newer: newer,
        })
    }));
    findings.extend(snapshot.invalid_indexes.iter().map(|index| Finding::InvalidIndex {
        index: index.name.clone(),
        table: index.table.clone(),
        unique: index.unique,
    }));
    Verdict { findings }
}

#[cfg(test)]
mod tests;
