//! A request for a tenant, and the registry rows that it results in.

use std::collections::BTreeMap;

use crate::{
    actions::context::{RunContext, lacks},
    database::{Creation, RegistryRow},
    failure::Failure,
    tenants::manifest::{ColumnValue, Domains},
};

/// The column with a tenant's display name, if it differs from the schema's column.
const NAME: &str = "name";

#[derive(Debug, Clone, Default)]
pub(crate) struct TenantRequest {
    pub(crate) name: String,
    /// The schema; None means that it equals the name.
    pub(crate) schema: Option<String>,
    pub(crate) domain: Option<String>,
    /// Columns of the registry row.
    pub(crate) set: Vec<(String, String)>,
}

impl TenantRequest {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The request with every column that is names in advance.
    pub(crate) async fn creation(&self, context: &RunContext) -> Result<Creation, Failure> {
        let usage = |message: String| Err(Failure::Usage { message });
        let schema = self.schema.as_ref().unwrap_or(&self.name);
        let mut new = Creation::of(schema, &context.run);
        let registry = context.config.registry.as_ref().ok_or_else(|| lacks("[tenants] registry"))?;
        if let Some(project) = context.project()? {
            let Some(model) = &context.expectation().await?.manifest.registry else {
                return Err(lacks(project.framework.about().registry));
            };
            new.columns.clone_from(&model.defaults);
            if model.columns.contains(NAME) && registry.schema_column != NAME {
                new.columns.insert(NAME.into(), ColumnValue::Text(self.name.clone()));
            }
            if let Some((column, _)) = self.set.iter().find(|(column, _)| !model.columns.contains(column)) {
                let names: Vec<&str> = model.columns.iter().map(String::as_str).collect();
                let names = names.join(", ");
                return usage(format!("--set: the tenants' table has no column `{column}`; it has {names}"));
            }
        } else if schema != &self.name {
            new.columns.insert(NAME.into(), ColumnValue::Text(self.name.clone()));
        }
        for (column, value) in &self.set {
            if *column == registry.schema_column {
                return usage(format!("--set: `{column}` is set by --schema"));
            }
            new.columns.insert(column.clone(), ColumnValue::Text(value.clone()));
        }
        let manifest = &context.expectation().await?.manifest;
        if let Some(column) = manifest.type_column() {
            // The framework reads from the row which migrations the schema gets.
            new.rows = RegistryRow::BeforeMigrations;
            let kind = kind(&new.columns, Some(column));
            if !kind.is_some_and(|kind| manifest.types.contains_key(kind)) {
                let names: Vec<&str> = manifest.types.keys().map(String::as_str).collect();
                let names = names.join(", ");
                return usage(match kind {
                    Some(kind) => format!("--set: unknown tenant type `{kind}`; the types are {names}"),
                    None => format!("tenants have types ({names}): give one with --set {column}=TYPE"),
                });
            }
        }
        if let Some(domain) = &self.domain {
            let Some(domains) = domains(context).await else {
                return usage("--domain: the manifest has no table of domains".into());
            };
            new.domain = Some((domains.clone(), domain.clone()));
        }
        Ok(new)
    }
}

/// The table of domains, if the manifest has one.
pub(crate) async fn domains(context: &RunContext) -> Option<&Domains> {
    let expectation = context.expectation().await.ok()?;
    expectation.manifest.registry.as_ref()?.domains.as_ref()
}

/// The type of the tenant to create, if tenants have types.
pub(super) fn kind<'a>(
    columns: &'a BTreeMap<String, ColumnValue>,
    type_column: Option<&str>,
) -> Option<&'a str> {
    match columns.get(type_column?)? {
        ColumnValue::Text(text) => Some(text),
        ColumnValue::Now | ColumnValue::Uuid => None,
    }
}
