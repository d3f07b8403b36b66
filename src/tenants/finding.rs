//! The observations that the gate can make about one schema, and their severity.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

use super::{
    day::Day,
    manifest::Kind,
    structure::difference::{Difference, Reference},
};
use crate::cause::Cause;

/// The result of the judgement or of one verdict, in ascending order of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Complete,
    /// Neither proven complete nor proven incomplete.
    Unproven,
    /// Proven incomplete.
    Incomplete,
}

/// Migrations of a ledger. Schemas with equal ledgers share one list.
pub(crate) type MigrationList = Arc<[String]>;

/// One observation about one schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Finding {
    NotRegistered,
    /// A schema with a ledger that the registry does not list although it may have a row, because it is not a table.
    NotListed {
        registry: Kind,
    },
    /// The framework's command that creates the tenant is running, or was killed with this run.
    HalfCreated {
        run: String,
    },
    NoSchema,
    /// The tenant's own database does not exist.
    NoDatabase,
    NoLedger {
        tables: Vec<String>,
    },
    Pending {
        migrations: MigrationList,
    },
    /// Pending migrations whose tables and columns exist: only their ledger rows are missing.
    Unrecorded {
        migrations: MigrationList,
    },
    Dirty {
        migrations: MigrationList,
    },
    Altered {
        migrations: MigrationList,
        /// Only the line ends of the text differ.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        line_ends_alone: bool,
    },
    /// Recorded but not expected, and other migrations are pending.
    Diverged {
        #[serde(rename = "migrations")]
        unknown: MigrationList,
    },
    /// Recorded but not expected, and nothing is pending.
    Ahead {
        #[serde(rename = "migrations")]
        unknown: MigrationList,
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
        migrations: MigrationList,
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
        migrations: MigrationList,
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

impl Finding {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Finding::NotRegistered
            | Finding::HalfCreated { .. }
            | Finding::NoSchema
            | Finding::NoDatabase
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
            | Finding::NotListed { .. }
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

    /// Whether objects are missing that the schema must have; an invalid unique index does not have its effect.
    pub(crate) fn is_about_missing_objects(&self) -> bool {
        match self {
            Finding::MissingTables { .. }
            | Finding::MissingColumns { .. }
            | Finding::InvalidIndex { unique: true, .. } => true,
            Finding::Structure { differences, blocks: true, .. } => {
                differences.iter().any(|one| one.actual.is_none())
            }
            _ => false,
        }
    }

    /// Whether a complete structure may prove the records: failed, altered and lost ones.
    pub(super) fn is_doubtful_record(&self) -> bool {
        match self {
            Finding::Dirty { .. } | Finding::Altered { .. } => true,
            Finding::NoLedger { tables } => !tables.is_empty(),
            _ => false,
        }
    }
}
