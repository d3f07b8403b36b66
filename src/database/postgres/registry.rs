//! The table that lists the tenants.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DatabaseError, Postgres, connect, own,
    quote::{array, identifier, literal, qualified},
    reading::Reading,
};
use crate::{config, tenants::manifest::Manifest};

/// The registry's rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Rows that meet the configured condition, in order.
    pub(super) tenants: Vec<String>,
    /// Rows that do not.
    pub(super) others: Vec<String>,
    /// Each tenant's type, where the framework has types.
    pub(super) types: BTreeMap<String, String>,
}

/// Where the registry's table stands: in the shared schema unless it says otherwise.
pub(super) fn table<'a>(registry: &'a config::Registry, shared: &'a str) -> (&'a str, &'a str) {
    registry.table.split_once('.').unwrap_or((shared, &registry.table))
}

/// A row's condition; the line break ends a comment in it.
pub(super) fn condition(registry: &config::Registry) -> String {
    registry
        .condition
        .as_ref()
        .map_or_else(|| "true".to_owned(), |condition| format!("(({condition}\n) IS TRUE)"))
}

impl Postgres {
    pub(super) async fn read_registry(
        &self,
        reading: &mut Reading,
        type_column: Option<&str>,
    ) -> Result<Option<Rows>, DatabaseError> {
        let Some(registry) = &self.registry else {
            return Ok(Some(Rows::default()));
        };
        let (schema, name) = table(registry, &self.config.shared_schema);
        let exists = format!(
            "SELECT 1::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname::text = {} AND c.relname::text = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            literal(schema),
            literal(name),
        );
        let refuse = |error: sqlx::Error| {
            DatabaseError::Failed(format!(
                "cannot read the registry `{schema}.{name}`: {}",
                connect::words(&error)
            ))
        };
        if reading.rows(&exists).await.map_err(refuse)?.is_empty() {
            return Ok(None);
        }
        // The condition is the operator's own SQL and may call what stands in the shared schema.
        let sql = format!(
            "SET LOCAL search_path = {}; SELECT {column}::text, {condition}::text, {kind}::text FROM {table} ORDER BY 1",
            identifier(&self.config.shared_schema),
            column = identifier(&registry.schema_column),
            condition = condition(registry),
            kind = type_column.map_or_else(|| "NULL".to_owned(), identifier),
            table = qualified(schema, name),
        );
        let mut rows = Rows::default();
        for row in reading.rows(&sql).await.map_err(refuse)? {
            let Some(tenant) = connect::text(&row, 0).map_err(refuse)?.filter(|name| !name.is_empty()) else {
                return Err(DatabaseError::Failed(format!(
                    "the registry `{schema}.{name}` holds a row without a schema name"
                )));
            };
            // The shared schema may be registered like a tenant; it is judged as what it is.
            if tenant == self.config.shared_schema {
                continue;
            }
            let list =
                if connect::flag(&row, 1).map_err(refuse)? { &mut rows.tenants } else { &mut rows.others };
            if let Some(kind) = connect::text(&row, 2).map_err(refuse)? {
                rows.types.insert(tenant.clone(), kind);
            }
            list.push(tenant);
        }
        rows.tenants.sort_unstable();
        rows.tenants.dedup();
        Ok(Some(rows))
    }

    /// Tables that only a tenant is expected to have and that stand in the shared schema.
    pub(super) async fn shadows(
        &self,
        reading: &mut Reading,
        manifest: &Manifest,
    ) -> Result<BTreeSet<String>, sqlx::Error> {
        let of_tenants =
            manifest.types.values().chain([&manifest.tenant.tables]).flat_map(|tables| tables.keys());
        let of_tenants: BTreeSet<&str> = of_tenants
            .map(String::as_str)
            .filter(|table| !manifest.shared.tables.contains_key(*table))
            .collect();
        let sql = format!(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN unnest({}) AS wanted(name) ON wanted.name = c.relname::text WHERE n.nspname::text = {} \
             AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            array(of_tenants.into_iter().map(Some)),
            literal(&self.config.shared_schema),
        );
        let rows = reading.rows(&sql).await?;
        rows.iter().filter_map(|row| connect::text(row, 0).transpose()).collect()
    }

    /// Schemas that hold a ledger and that no row of the registry names.
    pub(super) async fn orphans(
        &self,
        reading: &mut Reading,
        ledger: &str,
        rows: &Rows,
    ) -> Result<Vec<String>, sqlx::Error> {
        let known = rows.tenants.iter().chain(&rows.others).chain([&self.config.shared_schema]);
        let known = known.map(String::as_str).chain([own::SCHEMA]);
        let sql = format!(
            "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname::text = {} AND c.relkind IN ('r', 'p') \
             AND NOT EXISTS (SELECT FROM unnest({}) AS known(name) WHERE known.name = n.nspname::text)",
            literal(ledger),
            array(known.map(Some)),
        );
        let rows = reading.rows(&sql).await?;
        rows.iter().filter_map(|row| connect::text(row, 0).transpose()).collect()
    }
}
