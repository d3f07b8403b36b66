//! The registry's rows, as both engines read them.

use std::collections::{BTreeMap, BTreeSet};

use super::DatabaseError;
use crate::ordered::Ordered;
use crate::tenants::{inspection::Inspection, manifest::Kind};

#[derive(Debug, Default)]
pub(super) struct RegistryRows {
    /// The tenants: rows that match the configured condition, sorted.
    pub(super) tenants: Vec<String>,
    /// Rows that do not.
    pub(super) others: BTreeSet<String>,
    /// Each tenant's type, where the framework has types.
    pub(super) types: BTreeMap<String, String>,
    /// The name or URL of each tenant's own database, if tenants have their own.
    pub(super) locations: BTreeMap<String, String>,
    /// Tenants that have several rows.
    duplicates: BTreeSet<String>,
    /// Whether the condition excludes a row without a name.
    nameless: bool,
    /// Whether rows can be hidden.
    kind: Kind,
}

impl RegistryRows {
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Adds a row; `table` names the registry for the error.
    pub(super) fn add(
        &mut self,
        name: Option<String>,
        matches: bool,
        table: &str,
    ) -> Result<(), DatabaseError> {
        match (name.filter(|name| !name.is_empty()), matches) {
            (Some(name), true) => self.tenants.push(name),
            (Some(name), false) => {
                self.others.insert(name);
            }
            (None, false) => self.nameless = true,
            (None, true) => {
                let why = format!(
                    "the registry `{table}` contains a row without a schema name that `where` does not exclude"
                );
                return Err(DatabaseError::Failed(why.into()));
            }
        }
        Ok(())
    }

    /// Sorts the tenants after the last row.
    pub(super) fn sorted(mut self) -> Self {
        self.tenants.sort_unstable();
        let pairs = self.tenants.iter().zip(self.tenants.iter().skip(1));
        self.duplicates = pairs.filter(|(one, next)| one == next).map(|(one, _)| one.clone()).into_set();
        self.tenants.dedup();
        self
    }

    /// Every name, also of excluded rows.
    pub(super) fn names(self) -> BTreeSet<String> {
        self.tenants.into_iter().chain(self.others).into_set()
    }

    /// The inspection of the registry. Which rows are excluded or repeated matters only if `all` tenants are judged.
    pub(super) fn inspection(&self, all: bool) -> Inspection {
        let mut found = Inspection { registered: self.tenants.len(), ..Inspection::default() };
        if all {
            found.registry_kind = self.kind;
            found.duplicates.clone_from(&self.duplicates);
            let is_tenant = |name: &&String| self.tenants.binary_search(name).is_ok();
            found.excluded = self.others.iter().filter(|name| !is_tenant(name)).cloned().into_set();
            if self.nameless {
                found.excluded.insert("rows without a name".into());
            }
        }
        found
    }
}
