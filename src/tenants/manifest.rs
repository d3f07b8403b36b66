//! What the code expects of the shared schema and of each tenant: migrations, tables and columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format that this program reads and writes; another number is refused.
pub(crate) const FORMAT: u32 = 1;

/// The whole expectation, as `portcullis.manifest.json` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// Whose ledger rules apply.
    pub(crate) framework: Framework,
    pub(crate) shared: Expected,
    /// With types of tenants, `tables` are those that every type has.
    pub(crate) tenant: Expected,
    /// The tables of each type of tenant, where the framework has types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: BTreeMap<String, Tables>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) django: Option<Django>,
}

/// Each table with its columns; empty columns mean that only the table itself is looked for.
pub(crate) type Tables = BTreeMap<String, BTreeSet<String>>;

/// How migrations are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Framework {
    /// Plain SQL files in sqlx's naming, recorded in `_sqlx_migrations`.
    #[serde(rename = "sql")]
    Sql,
    /// Django up to 5.2.
    #[serde(rename = "django-5.2")]
    Django52,
    /// Django since 6.0, where squashes may be squashed again.
    #[serde(rename = "django-6.0")]
    Django60,
}

/// What one schema must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// In the order in which they are applied.
    pub(crate) migrations: Vec<Migration>,
    pub(crate) tables: Tables,
    /// Those of `tables` that are something else.
    #[serde(default, skip_serializing_if = "Kinds::is_empty")]
    pub(crate) kinds: Kinds,
}

/// What stands under a table's name; an ordinary table where nothing is said.
pub(crate) type Kinds = BTreeMap<String, Kind>;

/// What can hold rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Partitioned or not: either may become the other without the code's knowledge.
    #[default]
    Table,
    View,
    MaterializedView,
    ForeignTable,
}

/// One migration, as its framework's ledger knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migration {
    /// What the ledger records: sqlx's version as a decimal number, Django's `app.name`.
    pub(crate) id: String,
    /// What people call it: `1 tenants`.
    pub(crate) name: String,
    /// Lower-case hexadecimal, where the framework records one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<String>,
    /// The Django app that it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) app: String,
    /// What a squashed migration stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<String>,
}

/// What only a Django project says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Django {
    #[serde(rename = "django")]
    pub(crate) version: String,
    #[serde(rename = "django_tenants", default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenants_version: Option<String>,
    pub(crate) python: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<DjangoRegistry>,
    /// Each expected table's model, as `finance.Invoice`.
    pub(crate) models: BTreeMap<String, String>,
    /// The apps on whose migrations each app's own stand.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) depends: Depends,
    /// Migrations that run Python or SQL of their own.
    pub(crate) code: BTreeSet<String>,
    /// Migrations that do not run in a transaction.
    pub(crate) not_atomic: BTreeSet<String>,
    /// Each app's migration folder, by which the manifest is known to be stale.
    pub(crate) modules: BTreeMap<String, Modules>,
}

/// Each app with the apps that it stands on at once.
pub(crate) type Depends = BTreeMap<String, BTreeSet<String>>;

/// The table of the tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DjangoRegistry {
    pub(crate) table: String,
    pub(crate) schema_column: String,
    /// Says of which type a tenant is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) type_column: Option<String>,
    pub(crate) columns: BTreeSet<String>,
    /// What the model puts into columns that nobody names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) defaults: BTreeMap<String, Filled>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) domains: Option<Domains>,
}

/// The table of the tenants' domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Domains {
    pub(crate) table: String,
    pub(crate) domain_column: String,
    /// Refers to `key_column` of the registry.
    pub(crate) tenant_column: String,
    pub(crate) key_column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) primary_column: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) defaults: BTreeMap<String, Filled>,
}

/// What is written into a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Filled {
    Text(String),
    /// The time of the insertion.
    Now,
    Uuid,
}

/// The migration modules of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Modules {
    /// As seen from the project's folder, or absolute.
    pub(crate) folder: PathBuf,
    /// By file name, the beginning of each one's SHA-256.
    pub(crate) files: BTreeMap<String, String>,
}

impl Manifest {
    /// What a tenant of this type must hold; the type counts only where there are types.
    pub(crate) fn tables_of(&self, kind: Option<&str>) -> &Tables {
        kind.and_then(|kind| self.types.get(kind)).unwrap_or(&self.tenant.tables)
    }

    /// A Django migration that runs outside of a transaction: where it fails, what it did stays.
    pub(crate) fn commits_by_itself(&self, migration: &str) -> bool {
        self.django.as_ref().is_some_and(|django| django.not_atomic.contains(migration))
    }

    /// The registry's column that says of which type a tenant is.
    pub(crate) fn type_column(&self) -> Option<&str> {
        self.django.as_ref()?.registry.as_ref()?.type_column.as_deref()
    }

    /// The digest that names a release.
    pub(crate) fn release(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text).iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }
}
