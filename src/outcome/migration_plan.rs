//! What a migration would do: the schemas in groups, the statements and their locks. A hash identifies it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::plan_hash::hash;

use crate::ordered::Ordered;

/// The plan that `migrate --plan` prints and `migrate --approve` executes.
#[derive(Debug, Clone)]
pub(crate) struct MigrationPlan {
    pub(crate) release: String,
    /// The engine with its major version.
    pub(crate) server: String,
    /// The settings that decide how the migrations are applied.
    pub(crate) settings: Value,
    pub(crate) groups: Vec<PlannedGroup>,
    /// The schemas that cannot be migrated in their current state, with the findings.
    pub(crate) unmigratable: BTreeMap<String, Value>,
    /// The tenants that a run is creating or deleting, or was when it was killed. They are in no other part.
    pub(crate) unfinished: Vec<String>,
}

/// Schemas with the same pending migrations.
#[derive(Debug, Clone)]
pub(crate) struct PlannedGroup {
    /// Empty for the shared schema.
    pub(crate) tenants: Vec<String>,
    /// The tenants' type, if the framework has types.
    pub(crate) kind: Option<String>,
    pub(crate) migrations: Vec<PlannedMigration>,
    /// The number of tenants that have applied the same migrations, and their average time.
    pub(crate) measured: Option<(u64, Duration)>,
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedMigration {
    pub(crate) name: String,
    pub(crate) in_transaction: bool,
    pub(crate) sql: PlannedSql,
}

#[derive(Debug, Clone)]
pub(crate) enum PlannedSql {
    Statements(Vec<PlannedStatement>),
    /// The program that executes it.
    Unknown(String),
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedStatement {
    /// None for code of the project.
    pub(crate) sql: Option<String>,
    /// None if they are not known.
    pub(crate) locks: Option<Vec<TableLock>>,
}

/// A lock on an existing table, and what happens to the table's rows under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableLock {
    pub(crate) table: LockedTable,
    /// None if it is not known.
    pub(crate) mode: Option<TableLockMode>,
    pub(crate) rows: RowAccess,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockedTable {
    /// As the statement names it.
    Named(String),
    /// The statement does not name it.
    Described(&'static str),
}

/// PostgreSQL's modes, in ascending order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TableLockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    AccessExclusive,
}

/// In ascending order of cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RowAccess {
    None,
    /// The table is read, unless the server knows the result.
    MayScan,
    Scan,
    /// The table is rewritten, unless the server knows that the rows stay the same.
    MayRewrite,
    Rewrite,
}

impl TableLockMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }
}

impl RowAccess {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::MayScan => "may scan",
            Self::Scan => "scan",
            Self::MayRewrite => "may rewrite",
            Self::Rewrite => "rewrite",
        }
    }
}

impl TableLock {
    fn json(&self) -> Value {
        let (table, tables) = match &self.table {
            LockedTable::Named(name) => (Some(name), None),
            LockedTable::Described(words) => (None, Some(words)),
        };
        let lock = self.mode.map(TableLockMode::name);
        json!({ "table": table, "tables": tables, "lock": lock, "rows": self.rows.name() })
    }
}

impl PlannedMigration {
    fn json(&self) -> Value {
        let (command, statements) = match &self.sql {
            PlannedSql::Unknown(command) => (Some(command), None),
            PlannedSql::Statements(statements) => {
                let one = |statement: &PlannedStatement| {
                    let locks = statement.locks.as_ref();
                    let locks = locks.map(|locks| locks.iter().map(TableLock::json).collect::<Vec<_>>());
                    json!({ "sql": statement.sql, "locks": locks })
                };
                (None, Some(statements.iter().map(one).collect::<Vec<_>>()))
            }
        };
        json!({ "name": self.name, "in_transaction": self.in_transaction, "command": command, "statements": statements })
    }
}

impl PlannedGroup {
    pub(crate) fn is_shared(&self) -> bool {
        self.tenants.is_empty()
    }

    /// The names of the pending migrations.
    pub(crate) fn pending(&self) -> Vec<&str> {
        self.migrations.iter().map(|migration| migration.name.as_str()).collect()
    }

    fn json(&self) -> Value {
        let migrations: Vec<Value> = self.migrations.iter().map(PlannedMigration::json).collect();
        let measured = self.measured.map(|(tenants, average)| {
            json!({ "tenants": tenants, "ms": u64::try_from(average.as_millis()).unwrap_or(u64::MAX) })
        });
        json!({ "shared": self.is_shared(), "tenants": self.tenants, "type": self.kind, "migrations": migrations,
            "measured": measured })
    }
}

impl MigrationPlan {
    pub(crate) fn hash(&self) -> String {
        hash(&self.json())
    }

    /// The document of `--format json`.
    pub(crate) fn json(&self) -> Value {
        let mut plan = json!({
            "release": self.release,
            "server": self.server,
            "settings": self.settings,
            "groups": self.groups.iter().map(PlannedGroup::json).collect::<Vec<_>>(),
            "unmigratable": self.unmigratable,
            "unfinished": self.unfinished,
        });
        plan["hash"] = hash(&plan).into();
        plan
    }

    /// The pending migrations of each schema; None is the shared one.
    pub(crate) fn pending(&self) -> BTreeMap<Option<String>, Vec<String>> {
        let of_group = |group: &PlannedGroup| {
            let pending: Vec<String> = group.pending().into_iter().map(str::to_owned).collect();
            let schemas = group.tenants.iter().cloned().map(Some).chain(group.is_shared().then_some(None));
            schemas.map(|schema| (schema, pending.clone())).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of_group).into_map()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::plan_hash::{differences, is_hash};

    fn plan(tenants: &[&str], migrations: &[&str]) -> MigrationPlan {
        let migration = |name: &&str| PlannedMigration {
            name: (*name).to_owned(),
            in_transaction: true,
            sql: PlannedSql::Unknown("migrate".into()),
        };
        let group = PlannedGroup {
            tenants: tenants.iter().map(|name| (*name).to_owned()).collect(),
            kind: None,
            migrations: migrations.iter().map(migration).collect(),
            measured: None,
        };
        MigrationPlan {
            release: "1".into(),
            server: "PostgreSQL 15".into(),
            settings: json!({ "jobs": 4 }),
            groups: vec![group],
            unmigratable: BTreeMap::new(),
            unfinished: Vec::new(),
        }
    }

    #[test]
    fn the_hash_depends_on_everything_but_the_estimate_and_what_killed_runs_left() {
        let first = plan(&["a", "b"], &["1"]);
        assert!(is_hash(&first.hash()), "{}", first.hash());
        assert_eq!(first.hash(), hash(&first.json()), "the document has the hash of its content");
        let mut estimated = first.clone();
        estimated.groups[0].measured = Some((1, Duration::from_secs(1)));
        estimated.unfinished = vec!["d".into()];
        assert_eq!(first.hash(), estimated.hash());
        let mut others = vec![plan(&["a"], &["1"]), plan(&["a", "b"], &["1", "2"])];
        others.push(MigrationPlan { release: "2".into(), ..first.clone() });
        others.push(MigrationPlan { server: "PostgreSQL 16".into(), ..first.clone() });
        others.push(MigrationPlan { settings: json!({ "jobs": 5 }), ..first.clone() });
        others.push(MigrationPlan { unmigratable: [("c".into(), json!([]))].into(), ..first.clone() });
        let mut other_sql = first.clone();
        other_sql.groups[0].migrations[0].sql = PlannedSql::Statements(Vec::new());
        others.push(other_sql);
        for other in others {
            assert_ne!(first.hash(), other.hash(), "{other:?}");
        }
    }

    #[test]
    fn a_difference_names_the_part_and_with_the_plan_the_tenants() {
        let approved = plan(&["a", "b"], &["1"]);
        let current = plan(&["a", "c"], &["1"]).json();
        let part = "since the plan was made, the tenants or their pending migrations changed";
        assert_eq!(differences(&approved.hash(), None, &current), part);
        let named = differences(&approved.hash(), Some(&approved.json()), &current);
        assert_eq!(named, format!("{part}; `c` was added with 1; `b` has nothing left to migrate"));
        let other = plan(&["a", "b"], &["1", "2"]).json();
        let named = differences(&approved.hash(), Some(&approved.json()), &other);
        assert!(named.contains("and the SQL changed; `a` has 1, 2 instead of 1"), "{named}");
    }
}
