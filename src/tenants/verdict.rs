//! The gate's findings about one schema, and the actions that they allow.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    finding::{Finding, Outcome},
    inspection::SchemaState,
    manifest::{Expected, Manifest, Owner, Tables},
    replay::is_of,
};

/// One schema's findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
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
            Finding::Unrecorded { migrations } => Some(&**migrations),
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

    /// Whether it lacks objects, which a restoration creates.
    pub(crate) fn lacks_objects(&self) -> bool {
        self.findings.iter().any(Finding::is_about_missing_objects)
    }

    /// Whether nothing was ever applied: no schema or ledger, and none of the expected tables.
    pub(crate) fn is_fresh(&self) -> bool {
        match self.findings.as_slice() {
            [Finding::NoSchema | Finding::NoDatabase] => true,
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
            | Finding::NotListed { .. }
            | Finding::HalfCreated { .. }
            | Finding::NoSchema
            | Finding::NoDatabase
            | Finding::NoLedger { .. }
            | Finding::Dirty { .. }
            | Finding::Altered { .. }
            | Finding::Diverged { .. }
            | Finding::Unreadable { .. } => true,
            _ => false,
        })
    }

    /// Adds the pending migrations whose tables and columns exist; `tables` are the expected ones of the schema.
    pub(super) fn note_unrecorded(&mut self, expected: &Expected, tables: &Tables, state: &SchemaState) {
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
            self.findings.push(Finding::Unrecorded { migrations: migrations.into() });
        }
    }

    /// Adds the missing tables that the shared schema's tables shadow, except those that a pending migration may create.
    pub(super) fn note_shadows(
        &mut self,
        manifest: &Manifest,
        state: &SchemaState,
        shadows: &BTreeSet<String>,
    ) {
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
    pub(super) fn note_models(&mut self, manifest: &Manifest, tables: &Tables, state: &SchemaState) {
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

    pub(super) fn of(finding: Finding) -> Self {
        Self { findings: vec![finding] }
    }
}

#[cfg(test)]
mod tests;
