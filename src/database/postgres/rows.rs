//! Writes and deletes a tenant's rows in the registry and in the domains table.

use std::collections::BTreeMap;

use super::{
    Postgres,
    connection::Connection,
    error::QueryError,
    quote::{identifier, literal, qualified},
    registry,
};
use crate::{
    config,
    database::{ApplyError, Creation, NewDomain},
    ordered::Ordered,
    tenants::manifest::{ColumnValue, Domains},
};

impl Postgres {
    /// Whether the registry contains it, including rows that `where` excludes.
    pub(super) async fn is_registered(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        schema: &str,
    ) -> Result<bool, QueryError> {
        let row = format!("SELECT 1::text FROM {}", self.row(registry, schema));
        Ok(!connection.rows(&row).await?.is_empty())
    }

    /// Writes the rows; the new registry row must match `where`.
    pub(super) async fn write_rows(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        new: &Creation,
    ) -> Result<(), ApplyError> {
        let sql = format!(
            "SET LOCAL search_path = {shared}; {insert}; SET CONSTRAINTS ALL IMMEDIATE; \
             SELECT 1::text FROM {row} AND {condition}",
            shared = identifier(&self.config.shared_schema),
            insert = self.insert(registry, new),
            row = self.row(registry, &new.schema),
            condition = registry::condition(registry),
        );
        if connection.rows(&sql).await?.is_empty() {
            return Err(ApplyError::of("the new row does not match the registry's `where`"));
        }
        Ok(())
    }

    /// Deletes the domain rows, then the registry rows; returns the numbers of registry rows and domain rows.
    pub(super) async fn delete_rows(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        domains: Option<&Domains>,
        schema: &str,
    ) -> Result<(usize, usize), QueryError> {
        let (mut domain_rows, row) = (0, self.row(registry, schema));
        if let Some(domains) = domains {
            let (schema_of_tables, _) = registry::table(registry, &self.config.shared_schema);
            let sql = format!(
                "DELETE FROM {} WHERE {} IN (SELECT {} FROM {row}) RETURNING 1::text",
                qualified(schema_of_tables, &domains.table),
                identifier(&domains.tenant_column),
                identifier(&domains.key_column),
            );
            domain_rows = connection.rows(&sql).await?.len();
        }
        let sql = format!("DELETE FROM {row} RETURNING 1::text");
        Ok((connection.rows(&sql).await?.len(), domain_rows))
    }

    /// The registry's table with the condition for one tenant.
    pub(super) fn row(&self, registry: &config::Registry, schema: &str) -> String {
        let (schema_of_tables, name) = registry::table(registry, &self.config.shared_schema);
        let (table, column) = (qualified(schema_of_tables, name), identifier(&registry.schema_column));
        format!("{table} WHERE {column}::text = {}", literal(schema))
    }

    fn insert(&self, registry: &config::Registry, new: &Creation) -> String {
        let (schema_of_tables, name) = registry::table(registry, &self.config.shared_schema);
        let schema = (registry.schema_column.clone(), ColumnValue::Text(new.schema.clone()));
        let columns: BTreeMap<String, ColumnValue> =
            new.columns.clone().into_iter().chain([schema]).into_map();
        let insert = |table: &str, names: Vec<&str>| {
            let names: Vec<String> = names.into_iter().map(identifier).collect();
            format!("INSERT INTO {} ({})", qualified(schema_of_tables, table), names.join(", "))
        };
        let values = |columns: &BTreeMap<String, ColumnValue>| {
            columns.values().map(value).collect::<Vec<_>>().join(", ")
        };
        let tenant = format!(
            "{} VALUES ({})",
            insert(name, columns.keys().map(String::as_str).collect()),
            values(&columns)
        );
        let Some(NewDomain { table, columns }) = &new.domain else { return tenant };
        let key = identifier(&table.key_column);
        let names = [table.tenant_column.as_str()].into_iter().chain(columns.keys().map(String::as_str));
        let linked = insert(&table.table, names.collect());
        format!(
            "WITH made AS ({tenant} RETURNING {key}) {linked} SELECT {key}, {} FROM made",
            values(columns)
        )
    }
}

/// The SQL of a value; an untyped literal gets the column's type.
fn value(column_value: &ColumnValue) -> String {
    match column_value {
        ColumnValue::Text(text) => literal(text),
        ColumnValue::Now => "pg_catalog.now()".into(),
        ColumnValue::Local(zone) => format!("pg_catalog.timezone({}, pg_catalog.now())", literal(zone)),
        ColumnValue::Uuid => "pg_catalog.gen_random_uuid()".into(),
        // A request resolves it before the insertion.
        ColumnValue::Computed => "DEFAULT".into(),
    }
}
