//! The statements with which a framework migrated one tenant, to be run for tenants in the same state. Pure.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use serde::Deserialize;

/// What a framework's program sent after the migration of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Recorded {
    Recording(Recording),
    /// The reason why the statements must not be run for other tenants.
    Refused(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Recording {
    pub(crate) statements: Vec<String>,
    pub(crate) proofs: Vec<Proof>,
    /// The statements after which the proofs hold in a tenant that lacks rows which the recorded one had before.
    #[serde(default)]
    pub(crate) completion: Vec<String>,
    /// The role of the project's session, which owns the new objects.
    pub(crate) role: String,
    /// The schemas in which names are resolved after the tenant's own schema.
    pub(crate) search_path: Vec<String>,
    /// The tables that the statements create in place of other apps' tables, if the recorded schema was empty.
    #[serde(default)]
    pub(crate) copies: Vec<String>,
    /// The statements that change the tenant's ledger, if the recorded schema had none.
    #[serde(default)]
    pub(crate) ledger: Vec<String>,
}

/// The structure that a recording must result in.
pub(crate) struct ExpectedStructure {
    /// The digest of the complete structure.
    pub(crate) full: String,
    /// Digests of the database that have been proved to be this structure. They are cheaper to read and may differ.
    known: RefCell<BTreeSet<String>>,
    /// Whether it contains objects of kinds that only a slower query reads.
    has_rare: Cell<bool>,
}

impl ExpectedStructure {
    pub(crate) fn new(full: String) -> Self {
        Self { full, known: RefCell::default(), has_rare: Cell::default() }
    }

    pub(crate) fn is_known(&self, digest: &str) -> bool {
        self.known.borrow().contains(digest)
    }

    pub(crate) fn learn(&self, digest: String) {
        self.known.borrow_mut().insert(digest);
    }

    pub(crate) fn has_rare(&self) -> bool {
        self.has_rare.get()
    }

    pub(crate) fn note_rare(&self) {
        self.has_rare.set(true);
    }
}

/// A query of one text, whose result for every tenant must be the recorded one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Proof {
    /// The subject, for messages.
    pub(crate) what: String,
    pub(crate) sql: String,
    pub(crate) answer: Option<String>,
}

/// The result of running a recording for another tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replayed {
    /// The tenant's state equals that of the recorded tenant.
    Equal,
    /// It was rolled back.
    Differs(Difference),
}

impl Replayed {
    /// With the statement that failed.
    pub(crate) fn at(self, statement: &str) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::Differs(Difference { why, structure }) => {
                Self::Differs(Difference { why: format!("{why}: {statement}"), structure })
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) why: String,
    /// The digest of the structure that the recording resulted in; None if the statements failed or more than the
    /// structure differs.
    pub(crate) structure: Option<String>,
}
