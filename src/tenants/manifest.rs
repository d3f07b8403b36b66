//! The manifest: the migrations, tables and columns that the code expects in the shared schema and in each tenant.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use super::expected::{Created, Expected, Kind, Kinds, Migration, Tables};
use super::ledger::{Ledger, LedgerLayout, OwnLayout};
use crate::words::hex;

/// The format that Portcullis reads and writes; it rejects every other number.
pub(crate) const FORMAT: u32 = 4;

/// The content of `portcullis.manifest.json`. The fields after `types` are optional facts of a framework.
///
/// `L` is the name of the ledger's rules in the file until it is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest<L = &'static dyn Ledger> {
    pub(crate) format: u32,
    /// SHA-256 of everything else, only in the file: it proves that the file was not edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// The ledger rules.
    pub(crate) framework: L,
    /// The configured parts of the ledger's layout.
    #[serde(default, skip_serializing_if = "OwnLayout::is_empty")]
    pub(crate) ledger: OwnLayout,
    pub(crate) shared: Expected,
    /// With types of tenants, `tables` are the tables that every type has.
    pub(crate) tenant: Expected,
    /// The tables of each type of tenant, if the framework has types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: BTreeMap<String, Tables>,
    /// The versions of the programs that derived the manifest; the database's major version, if it has a structure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) versions: BTreeMap<String, String>,
    /// The name of the project's shared schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shared_schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<Registry>,
    /// The expected tables that belong to an app's models.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) owners: BTreeMap<String, Owner>,
    /// Each app with the apps on whose migrations its own directly depend.
    #[serde(default, skip_serializing_if = "Depends::is_empty")]
    pub(crate) depends: Depends,
    /// Migrations that run custom code or SQL.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) code: BTreeSet<String>,
    /// Migrations that do not run in a transaction.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) not_atomic: BTreeSet<String>,
    /// The project's databases that Portcullis neither migrates nor judges.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) other_databases: BTreeSet<String>,
    /// Each app's migration files, which detect a stale manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sources: BTreeMap<String, Sources>,
}

/// The app and the model of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) app: String,
    /// The model with its app: `finance.Invoice`.
    pub(crate) model: String,
}

/// Each app with its direct dependencies.
pub(crate) type Depends = BTreeMap<String, BTreeSet<String>>;

/// The registry's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    pub(crate) table: String,
    pub(crate) schema_column: String,
    /// The column with the tenant's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) type_column: Option<String>,
    pub(crate) columns: BTreeSet<String>,
    /// The model's defaults for the other columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) defaults: BTreeMap<String, ColumnValue>,
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
    pub(crate) defaults: BTreeMap<String, ColumnValue>,
}

/// The value of a column in a new row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColumnValue {
    Text(String),
    /// The time of the insertion.
    Now,
    /// The same in a time zone, for a column without one.
    Local(String),
    Uuid,
    /// Only the project's code knows it, at the insertion.
    Computed,
}

/// The migration files of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sources {
    /// Relative to the project's folder, or absolute.
    pub(crate) folder: PathBuf,
    /// By file name: the first bytes of the file's SHA-256.
    pub(crate) files: BTreeMap<String, String>,
}

/// The beginning of the content's digest.
fn release(digest: &str) -> String {
    digest.chars().take(16).collect()
}

/// Writes each object of a list on one line, so that a diff shows one line per migration.
fn one_line_each(pretty: &str) -> String {
    let mut text = String::new();
    let mut end = None;
    for (number, line) in pretty.lines().enumerate() {
        let content = line.trim_start();
        match end {
            None if number > 0 && content == "{" => {
                text += line;
                end = Some(line.replace('{', "}"));
                continue;
            }
            None => text += line,
            Some(ref closing) if line.starts_with(closing) => {
                text += " ";
                text += content;
                end = None;
            }
            Some(_) => {
                text += " ";
                text += content;
                continue;
            }
        }
        text.push('\n');
    }
    text
}

impl Manifest<String> {
    /// Replaces the name of the ledger's rules with the rules.
    pub(crate) fn resolved(self, framework: &'static dyn Ledger) -> Manifest {
        Manifest {
            format: self.format,
            digest: self.digest,
            framework,
            ledger: self.ledger,
            shared: self.shared,
            tenant: self.tenant,
            types: self.types,
            versions: self.versions,
            shared_schema: self.shared_schema,
            registry: self.registry,
            owners: self.owners,
            depends: self.depends,
            code: self.code,
            not_atomic: self.not_atomic,
            other_databases: self.other_databases,
            sources: self.sources,
        }
    }
}

impl Manifest {
    /// A manifest without optional facts.
    pub(crate) fn new(framework: &'static dyn Ledger, shared: Expected, tenant: Expected) -> Self {
        Self {
            format: FORMAT,
            digest: None,
            framework,
            ledger: OwnLayout::default(),
            shared,
            tenant,
            types: BTreeMap::new(),
            versions: BTreeMap::new(),
            shared_schema: None,
            registry: None,
            owners: BTreeMap::new(),
            depends: Depends::new(),
            code: BTreeSet::new(),
            not_atomic: BTreeSet::new(),
            other_databases: BTreeSet::new(),
            sources: BTreeMap::new(),
        }
    }

    /// The ledger's table and columns.
    pub(crate) fn layout(&self) -> LedgerLayout<'_> {
        self.ledger.over(self.framework.shape())
    }

    /// Whether this engine and major version has derived it; another one describes the same structure in other words.
    pub(crate) fn is_derived_on(&self, server: Option<&(String, String)>) -> bool {
        server.is_none_or(|(engine, version)| self.versions.get(engine) == Some(version))
    }

    /// The tables that a tenant of this type must contain; the type is ignored if the manifest has no types.
    pub(crate) fn tables_of(&self, kind: Option<&str>) -> &Tables {
        kind.and_then(|kind| self.types.get(kind)).unwrap_or(&self.tenant.tables)
    }

    /// Whether tables belong to apps. An app that moves from the shared schema to the tenants leaves its tables behind.
    pub(crate) fn has_apps(&self) -> bool {
        !self.owners.is_empty()
    }

    /// The app of a table, if the manifest contains it.
    pub(crate) fn app_of_table(&self, table: &str) -> Option<&str> {
        self.owners.get(table).map(|owner| owner.app.as_str())
    }

    /// Whether the migration runs outside a transaction, so that its changes stay after a failure.
    ///
    /// `migration` is its identifier or its name in messages.
    pub(crate) fn commits_by_itself(&self, migration: &str) -> bool {
        let mut migrations = self.shared.migrations.iter().chain(&self.tenant.migrations);
        let is_named = |known: &Migration| known.name == migration && self.not_atomic.contains(&known.id);
        self.not_atomic.contains(migration) || (!self.not_atomic.is_empty() && migrations.any(is_named))
    }

    /// Whether one of the migrations that a new schema gets runs outside a transaction.
    pub(crate) fn creation_commits_by_itself(&self, expected: &Expected) -> bool {
        expected.migrations.iter().any(|migration| self.not_atomic.contains(&migration.id))
    }

    /// The registry's column with the tenant's type.
    pub(crate) fn type_column(&self) -> Option<&str> {
        self.registry.as_ref()?.type_column.as_deref()
    }

    /// The digest that identifies a release.
    pub(crate) fn release(&self) -> String {
        release(&hex(&self.content_digest()))
    }

    /// The release that the file's own digest names, which [`Manifest::proved`] checks.
    pub(crate) fn named_release(&self) -> String {
        self.digest.as_deref().map(release).unwrap_or_default()
    }

    /// The text of the file.
    pub(crate) fn to_file(&self) -> serde_json::Result<String> {
        let file = Self { digest: Some(hex(&self.content_digest())), ..self.clone() };
        Ok(one_line_each(&serde_json::to_string_pretty(&file)?))
    }

    /// The content of the file on one line.
    pub(crate) fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Self { digest: Some(hex(&self.content_digest())), ..self.clone() })
    }

    /// Checks that the file was not changed after it was written; otherwise returns the reason.
    pub(crate) fn proved(mut self) -> Result<Self, &'static str> {
        match self.digest.take() {
            Some(digest) if digest == hex(&self.content_digest()) => Ok(self),
            Some(_) => Err("its content does not match its digest: it was edited or damaged"),
            None => Err("it has no digest, which is needed to prove its content"),
        }
    }

    fn content_digest(&self) -> impl std::ops::Deref<Target = [u8]> {
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default())
    }
}
