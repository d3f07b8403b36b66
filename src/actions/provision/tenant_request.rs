//! A request for a tenant, and the rows that it results in: the request's values, then the model's defaults.

use std::collections::BTreeMap;

use super::row_values::{RowValues, unknown};
use crate::{
    actions::context::{RunContext, lacks},
    config::Bootstrap,
    database::{Column, Creation, DatabaseError, NewDomain, RegistryRow},
    failure::{Cleanup, Failure, MissingValues},
    outcome::{ActionEvent, FailureDetails},
    tenants::manifest::{ColumnValue, Domains, Manifest},
};

/// The column with a tenant's display name, if it differs from the schema's column.
const NAME: &str = "name";

/// The placeholder for the tenant's schema in a step's values.
const SCHEMA: &str = "{schema}";

#[derive(Debug, Clone, Default)]
pub(crate) struct TenantRequest {
    pub(crate) name: String,
    /// The schema; None means that it equals the name.
    pub(crate) schema: Option<String>,
    pub(crate) domain: Option<String>,
    /// Columns of the registry row.
    pub(crate) set: Vec<(String, String)>,
    /// Columns of the domain's row.
    pub(crate) domain_set: Vec<(String, String)>,
    /// A step's configuration contains the request, not the command line.
    pub(crate) in_step: bool,
}

impl TenantRequest {
    /// The request for a tenant of a step.
    pub(crate) fn of_step(name: &str, bootstrap: &Bootstrap) -> Self {
        let filled = |values: &BTreeMap<String, String>| {
            values.iter().map(|(column, value)| (column.clone(), value.replace(SCHEMA, name))).collect()
        };
        Self {
            name: name.to_owned(),
            set: filled(&bootstrap.values),
            domain_set: filled(&bootstrap.domain),
            in_step: true,
            ..Self::default()
        }
    }

    /// The request with a value for every column that needs one.
    pub(crate) async fn creation(
        &self,
        context: &RunContext,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<Creation, FailureDetails> {
        let schema = self.schema.as_ref().unwrap_or(&self.name);
        let registry = context.config.registry.as_ref().ok_or_else(|| lacks("[tenants] registry"))?;
        let manifest = &context.expectation().await?.manifest;
        let project = context.project()?;
        let apps = project.as_ref().and_then(|project| project.framework.about().apps);
        if let (Some(apps), None) = (apps, &manifest.registry) {
            return Err(lacks(apps.registry).into());
        }
        let database = context.database()?;
        let read = |error: DatabaseError| error.into_failure("reading the columns of the registry");
        let table = registry.table.split_once('.').map_or(registry.table.as_str(), |(_, table)| table);
        let mut known = database.columns(table).await.map_err(read)?;
        for column in &mut known {
            column.is_required |= registry.database.as_ref().is_some_and(|own| own.uses(&column.name));
        }

        let mut row = RowValues::new(manifest.registry.as_ref().map(|model| &model.defaults), &self.set);
        let has_name =
            known.iter().any(|column| column.name == NAME && (apps.is_some() || column.is_required));
        if registry.schema_column != NAME && (has_name || schema != &self.name) {
            row.set_default(NAME, &self.name, &self.set);
        }
        if self.set.iter().any(|(column, _)| *column == registry.schema_column) {
            return Err(self.usage(
                &format!("`{}` is set by --schema", registry.schema_column),
                "--set",
                "values",
            ));
        }
        let mut domain = self.domain(manifest)?;
        if row.is_computed() || domain.as_ref().is_some_and(|(_, row)| row.is_computed()) {
            let project = project.ok_or_else(|| lacks("[migrations] framework"))?;
            let computed = project.new_rows(on_event).await?;
            row.resolve(&computed.tenant);
            if let Some((_, domain)) = &mut domain {
                domain.resolve(&computed.domain);
            }
        }
        if let Some(column) = unknown(&self.set, &known) {
            return Err(self.unknown_column("the tenants' table", column, &known, "--set", "values"));
        }
        let mut lacking = MissingValues {
            tenant: schema.clone(),
            columns: row.missing(&known, &registry.schema_column),
            domain_columns: Vec::new(),
            argv: (!self.in_step).then(|| self.argv()),
        };
        if let Some((table, row)) = &domain {
            let known = database.columns(&table.table).await.map_err(read)?;
            if let Some(column) = unknown(&self.domain_set, &known) {
                return Err(self.unknown_column(
                    "the table of domains",
                    column,
                    &known,
                    "--domain-set",
                    "domain",
                ));
            }
            lacking.domain_columns = row.missing(&known, &table.tenant_column);
        }
        if !lacking.columns.is_empty() || !lacking.domain_columns.is_empty() {
            return Err(Failure::ValuesMissing(lacking).into());
        }
        let mut new = Creation { columns: row.into_columns(), ..Creation::of(schema, &context.run) };
        new.domain =
            domain.map(|(table, row)| NewDomain { table: table.clone(), columns: row.into_columns() });
        self.check_type(manifest, &mut new)?;
        Ok(new)
    }

    /// The table of domains and the values of the new row in it, if the request has a domain.
    fn domain<'a>(&self, manifest: &'a Manifest) -> Result<Option<(&'a Domains, RowValues)>, FailureDetails> {
        if self.domain.is_none() && self.domain_set.is_empty() {
            return Ok(None);
        }
        let Some(domains) = manifest.registry.as_ref().and_then(|registry| registry.domains.as_ref()) else {
            return Err(self.usage("the manifest has no table of domains", "--domain", "domain"));
        };
        if self.domain.is_none() && !self.in_step {
            return Err(self.usage("it needs --domain", "--domain-set", "domain"));
        }
        let mut row = RowValues::new(Some(&domains.defaults), &self.domain_set);
        if let Some(primary) = &domains.primary_column {
            row.set_default(primary, "true", &self.domain_set);
        }
        if let Some(host) = &self.domain {
            row.set_default(&domains.domain_column, host, &self.domain_set);
        }
        Ok(Some((domains, row)))
    }

    /// Checks the tenant's type, if tenants have types.
    fn check_type(&self, manifest: &Manifest, new: &mut Creation) -> Result<(), FailureDetails> {
        let Some(column) = manifest.type_column() else { return Ok(()) };
        // The framework reads from the row which migrations the schema gets.
        new.rows = RegistryRow::BeforeMigrations;
        let kind = kind(&new.columns, Some(column));
        if kind.is_some_and(|kind| manifest.types.contains_key(kind)) {
            return Ok(());
        }
        let names: Vec<&str> = manifest.types.keys().map(String::as_str).collect();
        let names = names.join(", ");
        let message = match kind {
            Some(kind) => format!("unknown tenant type `{kind}`; the types are {names}"),
            None => format!("tenants have types ({names}): give `{column}` one of them"),
        };
        Err(self.usage(&message, "--set", "values"))
    }

    fn unknown_column(
        &self,
        table: &str,
        column: &str,
        known: &[Column],
        option: &str,
        key: &str,
    ) -> FailureDetails {
        let names: Vec<&str> = known.iter().map(|column| column.name.as_str()).collect();
        let names = names.join(", ");
        self.usage(&format!("{table} has no column `{column}`; it has {names}"), option, key)
    }

    /// An error in the option, or in the step's key.
    fn usage(&self, message: &str, option: &str, key: &str) -> FailureDetails {
        if self.in_step {
            let why = format!("`{key}` in the step's `bootstrap`: {message}").into();
            return Failure::Provisioning { tenant: self.name.clone(), why, left: Cleanup::NothingCreated }
                .into();
        }
        Failure::Usage { message: format!("{option}: {message}") }.into()
    }

    /// The arguments of `tenant create`, for a message.
    fn argv(&self) -> Vec<String> {
        let option =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}"));
        let pairs = |name: &'static str, pairs: &[(String, String)]| {
            pairs.iter().map(|(column, value)| format!("--{name}={column}={value}")).collect::<Vec<_>>()
        };
        let options = [option("schema", &self.schema), option("domain", &self.domain)].into_iter().flatten();
        let pairs = [pairs("set", &self.set), pairs("domain-set", &self.domain_set)].concat();
        [self.name.clone()].into_iter().chain(options).chain(pairs).collect()
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
        ColumnValue::Now | ColumnValue::Local(_) | ColumnValue::Uuid | ColumnValue::Computed => None,
    }
}
