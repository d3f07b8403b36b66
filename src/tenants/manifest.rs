//! What the code expects of the shared schema and of each tenant: migrations, tables and columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use super::expected::{Expected, Kind, Kinds, Migration, Tables};
use super::ledger::Ledger;
use crate::words::hex;

/// The format that this program reads and writes; another number is refused.
pub(crate) const FORMAT: u32 = 3;

/// The whole expectation, as `portcullis.manifest.json` holds it. Everything after `types` is what a framework may
/// say of its project, and need not.
///
/// `L` is the name of a ledger's rules as the file has it, until it is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest<L = &'static dyn Ledger> {
    pub(crate) format: u32,
    /// SHA-256 of everything else, in the file alone: it proves that nobody has edited the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// Whose ledger rules apply.
    pub(crate) framework: L,
    pub(crate) shared: Expected,
    /// With types of tenants, `tables` are those that every type has.
    pub(crate) tenant: Expected,
    /// The tables of each type of tenant, where the framework has types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: BTreeMap<String, Tables>,
    /// What made the manifest, by program and version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) versions: BTreeMap<String, String>,
    /// What the project calls its shared schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shared_schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<Registry>,
    /// The expected tables that belong to an app's models.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) owners: BTreeMap<String, Owner>,
    /// Each app with the apps whose migrations its own directly depend on.
    #[serde(default, skip_serializing_if = "Depends::is_empty")]
    pub(crate) depends: Depends,
    /// Migrations that run code or SQL of their own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) code: BTreeSet<String>,
    /// Migrations that do not run in a transaction.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) not_atomic: BTreeSet<String>,
    /// Each app's migration files, by which the manifest is known to be stale.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sources: BTreeMap<String, Sources>,
}

/// Whose a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) app: String,
    /// As people write it: `finance.Invoice`.
    pub(crate) model: String,
}

/// Each app with the apps that it directly depends on.
pub(crate) type Depends = BTreeMap<String, BTreeSet<String>>;

/// The table of the tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    pub(crate) table: String,
    pub(crate) schema_column: String,
    /// Says of which type a tenant is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) type_column: Option<String>,
    pub(crate) columns: BTreeSet<String>,
    /// What the model puts into columns that nobody names.
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

/// What is written into a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColumnValue {
    Text(String),
    /// The time of the insertion.
    Now,
    Uuid,
}

/// The migration files of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sources {
    /// As seen from the project's folder, or absolute.
    pub(crate) folder: PathBuf,
    /// By file name, the beginning of each one's SHA-256.
    pub(crate) files: BTreeMap<String, String>,
}

/// Each object of a list on a line of its own, so that a diff shows one line for each migration.
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
    /// With the rules that `framework` names.
    pub(crate) fn resolved(self, framework: &'static dyn Ledger) -> Manifest {
        Manifest {
            format: self.format,
            digest: self.digest,
            framework,
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
            sources: self.sources,
        }
    }
}

impl Manifest {
    /// Without any optional fact.
    pub(crate) fn new(framework: &'static dyn Ledger, shared: Expected, tenant: Expected) -> Self {
        Self {
            format: FORMAT,
            digest: None,
            framework,
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
            sources: BTreeMap::new(),
        }
    }

    /// The tables that a tenant of this type must hold; the type counts only where there are types.
    pub(crate) fn tables_of(&self, kind: Option<&str>) -> &Tables {
        kind.and_then(|kind| self.types.get(kind)).unwrap_or(&self.tenant.tables)
    }

    /// Tables belong to apps, which may move from the shared schema to the tenants and leave their tables behind.
    pub(crate) fn has_apps(&self) -> bool {
        !self.owners.is_empty()
    }

    /// The app that a table belongs to, if the manifest says so.
    pub(crate) fn app_of_table(&self, table: &str) -> Option<&str> {
        self.owners.get(table).map(|owner| owner.app.as_str())
    }

    /// The migration runs outside of a transaction: where it fails, what it did stays.
    pub(crate) fn commits_by_itself(&self, migration: &str) -> bool {
        self.not_atomic.contains(migration)
    }

    /// The registry's column that says of which type a tenant is.
    pub(crate) fn type_column(&self) -> Option<&str> {
        self.registry.as_ref()?.type_column.as_deref()
    }

    /// The digest that names a release.
    pub(crate) fn release(&self) -> String {
        hex(&self.content_digest()[..8])
    }

    /// As the file holds it.
    pub(crate) fn to_file(&self) -> serde_json::Result<String> {
        let file = Self { digest: Some(hex(&self.content_digest())), ..self.clone() };
        Ok(one_line_each(&serde_json::to_string_pretty(&file)?))
    }

    /// The manifest of a file that is as it was written; else why it is not.
    pub(crate) fn proved(mut self) -> Result<Self, &'static str> {
        match self.digest.take() {
            Some(digest) if digest == hex(&self.content_digest()) => Ok(self),
            Some(_) => Err("its content does not match its digest: it was edited or damaged"),
            None => Err("it has no digest, which proves its content"),
        }
    }

    fn content_digest(&self) -> impl std::ops::Deref<Target = [u8]> {
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default())
    }
}
