//! The gate's judgement: compares the inspection with the expectation. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Serialize, Serializer};

use super::{
    day::Day,
    inspection::{Inspection, LedgerRow, SchemaSnapshot, SchemaState},
    ledger::Comparison,
    manifest::{Expected, Kind, Manifest, Owner, Tables},
    replay::is_of,
    structure::difference::{Difference, Reference},
};
use crate::cause::Cause;

/// The strictness of the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A database that is ahead of the code closes the gate.
    pub(crate) ahead_blocks: bool,
    /// The minimum number of tenants in the registry.
    pub(crate) at_least: usize,
}

/// The result of the judgement or of one verdict, in ascending order of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Complete,
    /// Neither proven complete nor proven incomplete.
    Unproven,
    /// Proven incomplete.
    Incomplete,
}

/// One observation about one schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Finding {
    NotRegistered,
    /// The framework's command that creates the tenant is running, or was killed with this run.
    HalfCreated {
        run: String,
    },
    NoSchema,
    NoLedger {
        tables: Vec<String>,
    },
    Pending {
        migrations: Vec<String>,
    },
    /// Pending migrations whose tables and columns exist: only their ledger rows are missing.
    Unrecorded {
        migrations: Vec<String>,
    },
    Dirty {
        migrations: Vec<String>,
    },
    Altered {
        migrations: Vec<String>,
        /// Only the line ends of the text differ.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        line_ends_alone: bool,
    },
    /// Recorded but not expected, and other migrations are pending.
    Diverged {
        #[serde(rename = "migrations")]
        unknown: Vec<String>,
    },
    /// Recorded but not expected, and nothing is pending.
    Ahead {
        #[serde(rename = "migrations")]
        unknown: Vec<String>,
        blocks: bool,
    },
    /// An app's models whose tables are missing. Its migrations depend on those of the apps in `after`, which have lost
    /// tables, too.
    Models {
        app: String,
        models: Vec<String>,
        /// None of the app's tables exists.
        #[serde(rename = "whole")]
        all_tables: bool,
        after: Vec<String>,
    },
    /// Missing tables; queries use the shared schema's tables of the same names instead.
    Shadowed {
        tables: Vec<String>,
    },
    /// Recorded for apps that the code no longer contains.
    Retired {
        migrations: Vec<String>,
    },
    MissingTables {
        tables: Vec<String>,
        dropped_by_newer: bool,
    },
    /// A relation of another kind has the table's name.
    OtherKind {
        table: String,
        expected: Kind,
        found: Kind,
    },
    MissingColumns {
        table: String,
        columns: Vec<String>,
        dropped_by_newer: bool,
    },
    InvalidIndex {
        index: String,
        table: String,
        unique: bool,
    },
    /// Objects that differ from the expected structure.
    Structure {
        #[serde(serialize_with = "as_list")]
        differences: Arc<[Difference]>,
        reference: Reference,
        blocks: bool,
    },
    /// Another server describes the same structure in other words.
    StructureOfOtherServer {
        derived: Vec<String>,
        found: String,
        blocks: bool,
    },
    #[serde(rename = "recorded_twice")]
    Duplicate {
        migrations: Vec<String>,
    },
    Unreadable {
        #[serde(serialize_with = "as_text")]
        why: Cause,
    },
    Vanished,
    /// Known and accepted until a day.
    Accepted {
        finding: Box<Finding>,
        #[serde(serialize_with = "as_text")]
        until: Day,
        reason: String,
    },
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_list<S: Serializer>(list: &Arc<[Difference]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter())
}

/// One schema's findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
}

/// The verdicts on everything that was inspected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// None if the shared schema was not inspected.
    pub(crate) shared: Option<Verdict>,
    pub(crate) tenants: BTreeMap<String, Verdict>,
    /// Schemas that look like a tenant's and have no registry row.
    pub(crate) orphans: Vec<String>,
    /// Schemas with an ownership tag: a run is creating or deleting them, or was killed while it did.
    pub(crate) unfinished: Vec<String>,
    /// The project's databases that are not judged.
    pub(crate) other_databases: Vec<String>,
    /// Set if the registry has fewer rows than required: (rows, minimum).
    pub(crate) too_few: Option<(usize, usize)>,
}

impl Finding {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Finding::NotRegistered
            | Finding::HalfCreated { .. }
            | Finding::NoSchema
            | Finding::NoLedger { .. }
            | Finding::Pending { .. }
            | Finding::Unrecorded { .. }
            | Finding::Dirty { .. }
            | Finding::Altered { .. }
            | Finding::Diverged { .. }
            | Finding::MissingTables { .. }
            | Finding::OtherKind { .. }
            | Finding::Models { .. }
            | Finding::Shadowed { .. }
            | Finding::MissingColumns { .. }
            | Finding::InvalidIndex { unique: true, .. }
            | Finding::Structure { blocks: true, .. }
            | Finding::Ahead { blocks: true, .. } => Outcome::Incomplete,
            Finding::Unreadable { .. }
            | Finding::Vanished
            | Finding::StructureOfOtherServer { blocks: true, .. } => Outcome::Unproven,
            Finding::Ahead { blocks: false, .. }
            | Finding::InvalidIndex { unique: false, .. }
            | Finding::Structure { blocks: false, .. }
            | Finding::StructureOfOtherServer { blocks: false, .. }
            | Finding::Retired { .. }
            | Finding::Duplicate { .. }
            | Finding::Accepted { .. } => Outcome::Complete,
        }
    }

    /// Whether a complete structure may prove the records: failed, altered and lost ones.
    fn is_doubtful_record(&self) -> bool {
        match self {
            Finding::Dirty { .. } | Finding::Altered { .. } => true,
            Finding::NoLedger { tables } => !tables.is_empty(),
            _ => false,
        }
    }
}

impl Verdict {
    pub(crate) fn outcome(&self) -> Outcome {
        self.findings.iter().map(Finding::outcome).max().unwrap_or(Outcome::Complete)
    }

    /// Whether an expected migration is not recorded.
    pub(crate) fn is_pending(&self) -> bool {
        self.is_fresh() || self.findings.iter().any(|finding| matches!(finding, Finding::Pending { .. }))
    }

    /// The names of the pending migrations.
    pub(crate) fn pending(&self) -> &[String] {
        for finding in &self.findings {
            if let Finding::Pending { migrations } = finding {
                return migrations;
            }
        }
        &[]
    }

    /// The pending migrations that were applied and are not recorded.
    pub(crate) fn unrecorded(&self) -> &[String] {
        let unrecorded = self.findings.iter().find_map(|finding| match finding {
            Finding::Unrecorded { migrations } => Some(migrations.as_slice()),
            _ => None,
        });
        unrecorded.unwrap_or_default()
    }

    /// Whether every finding that makes it incomplete is about doubtful records.
    pub(crate) fn has_only_doubtful_records(&self) -> bool {
        self.outcome() == Outcome::Incomplete
            && self
                .findings
                .iter()
                .all(|finding| finding.is_doubtful_record() || finding.outcome() == Outcome::Complete)
    }

    /// Whether missing objects may be created. Doubtful records do not prevent that.
    pub(crate) fn may_be_restored(&self) -> bool {
        let findings = self.findings.iter().filter(|finding| !finding.is_doubtful_record());
        let without = Self { findings: findings.cloned().collect() };
        without.may_be_migrated()
    }

    /// Whether tables or columns are missing.
    pub(crate) fn has_lost_objects(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| matches!(finding, Finding::MissingTables { .. } | Finding::MissingColumns { .. }))
    }

    /// Whether nothing was ever applied: no schema or ledger, and none of the expected tables.
    pub(crate) fn is_fresh(&self) -> bool {
        match self.findings.as_slice() {
            [Finding::NoSchema] => true,
            [Finding::NoLedger { tables }] => tables.is_empty(),
            _ => false,
        }
    }

    /// Whether the registry has no row for it.
    pub(crate) fn is_absent(&self) -> bool {
        self.findings == [Finding::NotRegistered]
    }

    /// Whether a framework's command has not finished creating it.
    pub(crate) fn is_half_created(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding, Finding::HalfCreated { .. }))
    }

    /// Whether nothing but the unfinished creation is wrong.
    pub(crate) fn has_everything(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.all(|finding| {
            matches!(finding, Finding::HalfCreated { .. }) || finding.outcome() == Outcome::Complete
        })
    }

    /// Whether the pending migrations may be applied. A lost schema or ledger, an unreadable schema and a ledger of
    /// other code prevent that. A shadowed table prevents it, too, because a pending migration would change the shared
    /// schema's table.
    pub(crate) fn may_be_migrated(&self) -> bool {
        !self.findings.iter().any(|finding| match finding {
            Finding::Shadowed { .. } => self.is_pending(),
            Finding::NotRegistered
            | Finding::HalfCreated { .. }
            | Finding::NoSchema
            | Finding::NoLedger { .. }
            | Finding::Dirty { .. }
            | Finding::Altered { .. }
            | Finding::Diverged { .. }
            | Finding::Unreadable { .. } => true,
            _ => false,
        })
    }

    /// Adds the pending migrations whose tables and columns exist; `tables` are the expected ones of the schema.
    fn note_unrecorded(&mut self, expected: &Expected, tables: &Tables, state: &SchemaState) {
        let SchemaState::Read(snapshot) = state else { return };
        let exists = |table: &str, column: Option<&str>| {
            let Some(columns) = tables.get(table) else { return false };
            let is_missing = |column: &str| {
                !columns.contains(column)
                    || snapshot.missing_columns.get(table).is_some_and(|missing| missing.contains(column))
            };
            !snapshot.missing_tables.contains(table)
                && !snapshot.other_kinds.iter().any(|other| other.table == table)
                && !column.is_some_and(is_missing)
        };
        let migrations = expected.applied_without_record(self.pending(), exists);
        if !migrations.is_empty() {
            self.findings.push(Finding::Unrecorded { migrations });
        }
    }

    /// Adds the missing tables that the shared schema's tables shadow, except those that a pending migration may create.
    fn note_shadows(&mut self, manifest: &Manifest, state: &SchemaState, shadows: &BTreeSet<String>) {
        let SchemaState::Read(snapshot) = state else { return };
        let lost = |table: &&String| match manifest.app_of_table(table) {
            Some(app) => snapshot.ledger.iter().any(|row| is_of(app, &row.id)),
            None => !self.is_pending(),
        };
        let tables: Vec<String> =
            snapshot.missing_tables.intersection(shadows).filter(lost).cloned().collect();
        if !tables.is_empty() {
            self.findings.push(Finding::Shadowed { tables });
        }
    }

    /// Adds the models that have lost their tables, grouped by app.
    fn note_models(&mut self, manifest: &Manifest, tables: &Tables, state: &SchemaState) {
        let SchemaState::Read(snapshot) = state else { return };
        let mut lost: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for finding in &self.findings {
            let (Finding::MissingTables { tables, .. } | Finding::Shadowed { tables }) = finding else {
                continue;
            };
            for table in tables {
                if let Some(Owner { app, model }) = manifest.owners.get(table) {
                    lost.entry(app).or_default().insert(model.clone());
                }
            }
        }
        let has_tables = |app: &str| {
            tables.keys().any(|table| {
                manifest.app_of_table(table) == Some(app) && !snapshot.missing_tables.contains(table)
            })
        };
        let after = |app: &str| -> Vec<String> {
            let needed = manifest.depends.get(app).into_iter().flatten();
            needed.filter(|needed| lost.contains_key(needed.as_str())).cloned().collect()
        };
        let models: Vec<Finding> = lost
            .iter()
            .map(|(app, models)| Finding::Models {
                app: (*app).to_owned(),
                models: models.iter().cloned().collect(),
                all_tables: !has_tables(app),
                after: after(app),
            })
            .collect();
        self.findings.extend(models);
    }

    fn of(finding: Finding) -> Self {
        Self { findings: vec![finding] }
    }
}

impl Judgement {
    pub(crate) fn outcome(&self) -> Outcome {
        let few = if self.too_few.is_some() { Outcome::Unproven } else { Outcome::Complete };
        self.verdicts().map(|(_, verdict)| verdict.outcome()).chain([few]).max().unwrap_or(few)
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

    /// Whether the database is empty: no migration was ever applied, and no tenant is registered.
    pub(crate) fn is_first_start(&self) -> bool {
        self.shared.as_ref().is_some_and(Verdict::is_fresh) && self.tenants.values().all(Verdict::is_absent)
    }

    /// The number of schemas with this outcome.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.verdicts().filter(|(_, verdict)| verdict.outcome() == outcome).count()
    }
}

/// Judges an inspection.
pub(crate) fn judge(manifest: &Manifest, found: &Inspection, rules: Rules) -> Judgement {
    // Most tenants share one ledger, which is compared once.
    let mut compared: BTreeMap<*const [LedgerRow], Comparison> = BTreeMap::new();
    let mut verdict = |state: &SchemaState| match state {
        SchemaState::Read(snapshot) => {
            let comparison = compared
                .entry(Arc::as_ptr(&snapshot.ledger))
                .or_insert_with(|| manifest.framework.compare(&manifest.tenant, &snapshot.ledger));
            judge_snapshot(manifest, comparison, snapshot, rules)
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
            (name.clone(), verdict)
        })
        .collect();
    for (name, run) in &found.half_created {
        if let Some(verdict) = tenants.get_mut(name) {
            verdict.findings.push(Finding::HalfCreated { run: run.clone() });
        }
    }
    for name in &found.unregistered {
        tenants.insert(name.clone(), Verdict::of(Finding::NotRegistered));
    }
    let shared = found.shared.as_ref().map(|state| {
        let mut verdict = judge_schema(manifest, &manifest.shared, state, rules);
        verdict.note_unrecorded(&manifest.shared, &manifest.shared.tables, state);
        verdict
    });
    Judgement {
        shared,
        tenants,
        orphans: found.orphans.iter().cloned().collect(),
        unfinished: found.unfinished.iter().cloned().collect(),
        other_databases: manifest.other_databases.iter().cloned().collect(),
        too_few: (found.registered < rules.at_least).then_some((found.registered, rules.at_least)),
    }
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
        SchemaState::NoLedger { .. } if expected.migrations.is_empty() && expected.tables.is_empty() => {
            Verdict::default()
        }
        SchemaState::NoLedger { tables } => {
            Verdict::of(Finding::NoLedger { tables: tables.iter().cloned().collect() })
        }
        SchemaState::Failed(why) => Verdict::of(Finding::Unreadable { why: why.clone() }),
        SchemaState::Vanished => Verdict::of(Finding::Vanished),
        SchemaState::Read(snapshot) => {
            judge_snapshot(manifest, &manifest.framework.compare(expected, &snapshot.ledger), snapshot, rules)
        }
    }
}

fn judge_snapshot(
    manifest: &Manifest,
    ledger: &Comparison,
    snapshot: &SchemaSnapshot,
    rules: Rules,
) -> Verdict {
    let newer = !ledger.unknown.is_empty() && ledger.pending.is_empty();
    let mut findings = Vec::new();
    let mut add = |names: &[String], finding: fn(Vec<String>) -> Finding| {
        if !names.is_empty() {
            findings.push(finding(names.to_vec()));
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
    // Tables of pending migrations are not reported in addition to the migrations.
    let is_due = |table: &str| match manifest.app_of_table(table) {
        Some(app) => !ledger.pending.iter().any(|id| is_of(app, id)),
        None => ledger.pending.is_empty(),
    };
    let tables: Vec<String> = snapshot.missing_tables.iter().filter(|table| is_due(table)).cloned().collect();
    if !tables.is_empty() {
        findings.push(Finding::MissingTables { tables, dropped_by_newer: newer });
    }
    let other_kinds = snapshot.other_kinds.iter().filter(|other| is_due(&other.table));
    findings.extend(other_kinds.map(|other| Finding::OtherKind {
        table: other.table.clone(),
        expected: other.expected,
        found: other.found,
    }));
    let missing_columns = snapshot.missing_columns.iter().filter(|(table, _)| is_due(table));
    findings.extend(missing_columns.map(|(table, columns)| Finding::MissingColumns {
        table: table.clone(),
        columns: columns.iter().cloned().collect(),
        dropped_by_newer: newer,
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
