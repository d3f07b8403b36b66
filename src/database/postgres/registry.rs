//! The table that lists the tenants.

use std::collections::BTreeSet;

use super::{
    DatabaseError, Postgres,
    catalog::RELATIONS,
    connect,
    connection::Row,
    databases,
    error::QueryError,
    metadata_schema,
    outside::TEMPORARY_SCHEMA,
    quote::{array, identifier, literal, qualified},
    read_only::Reading,
};
use crate::{
    config,
    database::{Column, registry_rows::RegistryRows},
    ordered::Ordered,
    tenants::manifest::{Kind, Manifest},
};

/// The schema and the name of the registry's table; the default is the shared schema.
pub(super) fn table<'a>(registry: &'a config::Registry, shared: &'a str) -> (&'a str, &'a str) {
    registry.table.split_once('.').unwrap_or((shared, &registry.table))
}

/// The configured condition; the line break ends a trailing comment in it.
pub(super) fn condition(registry: &config::Registry) -> String {
    registry
        .condition
        .as_ref()
        .map_or_else(|| "true".to_owned(), |condition| format!("(({condition}\n) IS TRUE)"))
}

impl Postgres {
    /// The registry's table with its schema; empty without a registry.
    pub(super) fn registry_name(&self) -> String {
        self.registry.as_ref().map_or_else(String::new, |registry| {
            let (schema, table) = table(registry, &self.config.shared_schema);
            format!("{schema}.{table}")
        })
    }

    /// Selects the kind of the registry's table if it exists.
    pub(super) fn registry_exists(&self, registry: &config::Registry) -> String {
        let (schema, name) = table(registry, &self.config.shared_schema);
        format!(
            "SELECT c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {}::name AND c.relname = {}::name AND c.relkind IN {RELATIONS}",
            literal(schema),
            literal(name),
        )
    }

    pub(super) async fn read_registry(
        &self,
        reading: &mut Reading,
        registry: &config::Registry,
        kind: Kind,
        type_column: Option<&str>,
    ) -> Result<RegistryRows, DatabaseError> {
        let (schema, name) = table(registry, &self.config.shared_schema);
        let refuse = |error: QueryError| {
            DatabaseError::from(error)
                .with_text(|why| format!("cannot read the registry `{schema}.{name}`: {why}"))
        };
        // The condition is the operator's SQL and may call functions in the shared schema.
        let sql = format!(
            "SET LOCAL search_path = {}; SELECT {column}::text, {condition}::text, {kind}::text, {location} FROM {table} ORDER BY 1",
            identifier(&self.config.shared_schema),
            column = identifier(&registry.schema_column),
            condition = condition(registry),
            kind = type_column.map_or_else(|| "NULL".to_owned(), identifier),
            location = registry.database.as_ref().map_or_else(|| "NULL".to_owned(), databases::expression),
            table = qualified(schema, name),
        );
        let (mut rows, full_name) = (RegistryRows::of(kind), format!("{schema}.{name}"));
        for row in reading.rows(&sql).await.map_err(refuse)? {
            let matches = connect::flag(&row, 1).map_err(refuse)?;
            let tenant = connect::text(&row, 0).map_err(refuse)?;
            // Some frameworks register the shared schema like a tenant. The gate judges it as the shared schema.
            if tenant.as_ref() == Some(&self.config.shared_schema) {
                continue;
            }
            if let (Some(tenant), Some(kind)) = (&tenant, connect::text(&row, 2).map_err(refuse)?) {
                rows.types.insert(tenant.clone(), kind);
            }
            if let (Some(tenant), Some(location)) = (&tenant, connect::text(&row, 3).map_err(refuse)?) {
                rows.locations.insert(tenant.clone(), location);
            }
            rows.add(tenant, matches, &full_name)?;
        }
        Ok(rows.sorted())
    }

    /// The columns of a table in the registry's schema.
    pub(super) async fn read_columns(
        &self,
        reading: &mut Reading,
        registry: &config::Registry,
        name: &str,
    ) -> Result<Vec<Column>, QueryError> {
        let (schema, _) = table(registry, &self.config.shared_schema);
        let sql = format!(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
             (a.attnotnull AND NOT a.atthasdef AND a.attidentity = '')::text FROM pg_attribute a \
             JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {}::name AND c.relname = {}::name AND c.relkind IN {RELATIONS} \
             AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            literal(schema),
            literal(name),
        );
        let column = |row: &Row| {
            let text = |index| Ok::<_, QueryError>(connect::text(row, index)?.unwrap_or_default());
            Ok(Column { name: text(0)?, kind: text(1)?, is_required: connect::flag(row, 2)? })
        };
        reading.rows(&sql).await?.iter().map(column).collect()
    }

    /// Selects the schemas that contain a ledger and have no row in the registry, which may not exist.
    pub(super) fn orphans(&self, registry: &config::Registry, exists: bool, ledger: &str) -> String {
        let (schema, name) = table(registry, &self.config.shared_schema);
        let unregistered = if exists {
            format!(
                "NOT EXISTS (SELECT FROM {} r WHERE r.{}::text = n.nspname::text)",
                qualified(schema, name),
                identifier(&registry.schema_column),
            )
        } else {
            "true".to_owned()
        };
        format!(
            "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = {}::name AND c.relkind IN ('r', 'p') AND n.nspname::text NOT IN ({}, {}) AND n.nspname !~ {} \
             AND {unregistered}",
            literal(ledger),
            literal(&self.config.shared_schema),
            literal(metadata_schema::SCHEMA),
            literal(TEMPORARY_SCHEMA),
        )
    }

    /// Selects the tables in the shared schema that only tenants should have.
    pub(super) fn shadows(&self, manifest: &Manifest) -> String {
        let of_tenants =
            manifest.types.values().chain([&manifest.tenant.tables]).flat_map(|tables| tables.keys());
        let of_tenants: BTreeSet<&str> = of_tenants
            .map(String::as_str)
            .filter(|table| !manifest.shared.tables.contains_key(*table))
            .into_set();
        format!(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN unnest({}) AS wanted(name) ON wanted.name::name = c.relname WHERE n.nspname = {}::name \
             AND c.relkind IN {RELATIONS}",
            array(of_tenants.into_iter().map(Some)),
            literal(&self.config.shared_schema),
        )
    }
}
