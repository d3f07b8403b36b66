//! The gate's judgement: what is expected, held against what was found. Pure.

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
};
use crate::cause::Cause;

/// How strictly to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A database that is ahead of the code blocks.
    pub(crate) ahead_blocks: bool,
    /// The registry must hold at least so many tenants.
    pub(crate) at_least: usize,
}

/// What the whole judgement, or one schema's verdict, comes to. The worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Complete,
    /// Could not be proved, one way or the other.
    Unproven,
    /// Proven incomplete.
    Incomplete,
}

/// One thing that the gate has to say of one schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Finding {
    NotRegistered,
    NoSchema,
    NoLedger {
        tables: Vec<String>,
    },
    Pending {
        migrations: Vec<String>,
    },
    Dirty {
        migrations: Vec<String>,
    },
    Altered {
        migrations: Vec<String>,
        /// The text is the same but for its line ends.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        line_ends_alone: bool,
    },
    /// Recorded but not expected, while expected ones are pending.
    Diverged {
        #[serde(rename = "migrations")]
        unknown: Vec<String>,
    },
    /// Recorded but not expected, and nothing pending.
    Ahead {
        #[serde(rename = "migrations")]
        unknown: Vec<String>,
        blocks: bool,
    },
    /// An app's models whose tables are missing; `whole` if none of the app's tables is left. Its migrations depend on
    /// those of the apps in `after`, which have lost tables too.
    Models {
        app: String,
        models: Vec<String>,
        whole: bool,
        after: Vec<String>,
        /// Prints a migration's SQL, by the framework's own command.
        #[serde(skip)]
        print_sql: Option<&'static str>,
    },
    /// Missing tables of which the shared schema has a copy that is used instead.
    Shadowed {
        tables: Vec<String>,
    },
    /// Recorded, of apps that the code does not have any more.
    Retired {
        migrations: Vec<String>,
    },
    MissingTables {
        tables: Vec<String>,
        dropped_by_newer: bool,
    },
    /// Something else stands under a table's name.
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
    #[serde(rename = "recorded_twice")]
    Duplicate {
        migrations: Vec<String>,
    },
    Unreadable {
        #[serde(serialize_with = "words")]
        why: Cause,
    },
    Vanished,
    /// Known, and waived until a day.
    Accepted {
        finding: Box<Finding>,
        #[serde(serialize_with = "words")]
        until: Day,
        reason: String,
    },
}

fn words<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// One schema's findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
}

/// The verdict on everything that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// None if the shared schema was not asked for.
    pub(crate) shared: Option<Verdict>,
    pub(crate) tenants: BTreeMap<String, Verdict>,
    /// Schemas that look like a tenant's and that no registry row names.
    pub(crate) orphans: Vec<String>,
    /// Schemas that bear our mark: being made or removed, or left so by a killed run.
    pub(crate) unfinished: Vec<String>,
    /// Set if the registry holds fewer rows than it must: (rows, least).
    pub(crate) too_few: Option<(usize, usize)>,
}

impl Finding {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Finding::NotRegistered
            | Finding::NoSchema
            | Finding::NoLedger { .. }
            | Finding::Pending { .. }
            | Finding::Dirty { .. }
            | Finding::Altered { .. }
            | Finding::Diverged { .. }
            | Finding::MissingTables { .. }
            | Finding::OtherKind { .. }
            | Finding::Models { .. }
            | Finding::Shadowed { .. }
            | Finding::MissingColumns { .. }
            | Finding::InvalidIndex { unique: true, .. }
            | Finding::Ahead { blocks: true, .. } => Outcome::Incomplete,
            Finding::Unreadable { .. } | Finding::Vanished => Outcome::Unproven,
            Finding::Ahead { blocks: false, .. }
            | Finding::InvalidIndex { unique: false, .. }
            | Finding::Retired { .. }
            | Finding::Duplicate { .. }
            | Finding::Accepted { .. } => Outcome::Complete,
        }
    }
}

impl Verdict {
    pub(crate) fn outcome(&self) -> Outcome {
        self.findings.iter().map(Finding::outcome).max().unwrap_or(Outcome::Complete)
    }

    /// Something expected is not recorded.
    pub(crate) fn is_pending(&self) -> bool {
        self.is_fresh() || self.findings.iter().any(|finding| matches!(finding, Finding::Pending { .. }))
    }

    /// What is expected and not recorded, by name.
    pub(crate) fn pending(&self) -> &[String] {
        for finding in &self.findings {
            if let Finding::Pending { migrations } = finding {
                return migrations;
            }
        }
        &[]
    }

    /// Nothing was ever applied: no schema or ledger, and none of the expected tables.
    pub(crate) fn is_fresh(&self) -> bool {
        match self.findings.as_slice() {
            [Finding::NoSchema] => true,
            [Finding::NoLedger { tables }] => tables.is_empty(),
            _ => false,
        }
    }

    /// The registry has no row for it.
    pub(crate) fn is_absent(&self) -> bool {
        self.findings == [Finding::NotRegistered]
    }

    /// Nothing stands against applying what is pending. A lost schema or ledger does, as does anything that
    /// could not be read, or that other code recorded; and a table whose place the shared schema's copy takes, because
    /// what is pending would change that one.
    pub(crate) fn may_be_migrated(&self) -> bool {
        !self.findings.iter().any(|finding| match finding {
            Finding::Shadowed { .. } => self.is_pending(),
            Finding::NotRegistered
            | Finding::NoSchema
            | Finding::NoLedger { .. }
            | Finding::Dirty { .. }
            | Finding::Altered { .. }
            | Finding::Diverged { .. }
            | Finding::Unreadable { .. } => true,
            _ => false,
        })
    }

    /// Says which of the lost tables the shared schema's copies stand in for. One that a pending migration may still
    /// make is not lost.
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

    /// Says which models have lost their tables, app by app.
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
        let stands = |app: &str| {
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
                whole: !stands(app),
                after: after(app),
                print_sql: manifest.framework.commands().print_sql,
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

    /// Every verdict with its tenant, the shared schema (None) first.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (Option<&str>, &Verdict)> {
        self.shared
            .iter()
            .map(|verdict| (None, verdict))
            .chain(self.tenants.iter().map(|(name, verdict)| (Some(name.as_str()), verdict)))
    }

    /// Everything that is wrong is work that a migrating run may still be about to do.
    pub(crate) fn is_only_pending(&self) -> bool {
        let awaited = |verdict: &Verdict| {
            verdict.outcome() == Outcome::Complete
                || verdict.is_absent()
                || (verdict.is_pending() && (verdict.is_fresh() || verdict.may_be_migrated()))
        };
        self.outcome() != Outcome::Complete && self.verdicts().all(|(_, verdict)| awaited(verdict))
    }

    /// How many schemas came out so.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.verdicts().filter(|(_, verdict)| verdict.outcome() == outcome).count()
    }
}

/// Judges everything that was found.
pub(crate) fn judge(manifest: &Manifest, found: &Inspection, rules: Rules) -> Judgement {
    // Most tenants share one ledger; it is compared once.
    let mut compared: BTreeMap<*const [LedgerRow], Comparison> = BTreeMap::new();
    let mut verdict = |state: &SchemaState| match state {
        SchemaState::Read(snapshot) => {
            let comparison = compared
                .entry(Arc::as_ptr(&snapshot.ledger))
                .or_insert_with(|| manifest.framework.compare(&manifest.tenant, &snapshot.ledger));
            judge_snapshot(manifest, comparison, snapshot, rules)
        }
        unseen => judge_schema(manifest, &manifest.tenant, unseen, rules),
    };
    let mut tenants: BTreeMap<String, Verdict> = found
        .tenants
        .iter()
        .map(|(name, state)| {
            let mut verdict = verdict(state);
            verdict.note_shadows(manifest, state, &found.shadows);
            verdict.note_models(
                manifest,
                manifest.tables_of(found.types.get(name).map(String::as_str)),
                state,
            );
            (name.clone(), verdict)
        })
        .collect();
    for name in &found.unregistered {
        tenants.insert(name.clone(), Verdict::of(Finding::NotRegistered));
    }
    Judgement {
        shared: found.shared.as_ref().map(|state| judge_schema(manifest, &manifest.shared, state, rules)),
        tenants,
        orphans: found.orphans.iter().cloned().collect(),
        unfinished: found.unfinished.iter().cloned().collect(),
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
    let mut say = |names: &[String], finding: fn(Vec<String>) -> Finding| {
        if !names.is_empty() {
            findings.push(finding(names.to_vec()));
        }
    };
    say(&ledger.dirty, |migrations| Finding::Dirty { migrations });
    say(&ledger.altered, |migrations| Finding::Altered { migrations, line_ends_alone: false });
    say(&ledger.altered_line_ends, |migrations| Finding::Altered { migrations, line_ends_alone: true });
    if !ledger.pending.is_empty() {
        say(&ledger.unknown, |unknown| Finding::Diverged { unknown });
    } else if rules.ahead_blocks {
        say(&ledger.unknown, |unknown| Finding::Ahead { unknown, blocks: true });
    } else {
        say(&ledger.unknown, |unknown| Finding::Ahead { unknown, blocks: false });
    }
    say(&ledger.pending, |migrations| Finding::Pending { migrations });
    say(&ledger.retired, |migrations| Finding::Retired { migrations });
    say(&ledger.duplicates, |migrations| Finding::Duplicate { migrations });
    // What a pending migration would make is not reported twice.
    let settled = |table: &str| match manifest.app_of_table(table) {
        Some(app) => !ledger.pending.iter().any(|id| is_of(app, id)),
        None => ledger.pending.is_empty(),
    };
    let tables: Vec<String> =
        snapshot.missing_tables.iter().filter(|table| settled(table)).cloned().collect();
    if !tables.is_empty() {
        findings.push(Finding::MissingTables { tables, dropped_by_newer: newer });
    }
    let other_kinds = snapshot.other_kinds.iter().filter(|other| settled(&other.table));
    findings.extend(other_kinds.map(|other| Finding::OtherKind {
        table: other.table.clone(),
        expected: other.expected,
        found: other.found,
    }));
    let missing_columns = snapshot.missing_columns.iter().filter(|(table, _)| settled(table));
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
