//! The objects that a tenant's files create outside the tenant's schema, where each tenant would create them again.

use std::collections::BTreeSet;

use super::{connect, connection::Connection, error::QueryError, metadata_schema, quote::literal};
use crate::database::MigrationFile;

/// The names of a derivation's schemas as a regular expression. The digits are the key of the lock that their creator holds.
pub(super) const TEMPORARY_SCHEMA: &str = "^portcullis_(shared|tenant)_[0-9a-f]{16}$";

/// What belongs to a database or a server: the kind, its catalog, and its name in `o`.
const OUTSIDE_SCHEMAS: [(&str, &str, &str); 16] = [
    ("access method", "pg_am", "o.amname"),
    ("cast", "pg_cast", "pg_catalog.format('%s AS %s', o.castsource::regtype, o.casttarget::regtype)"),
    ("database", "pg_database", "o.datname"),
    ("default privilege of", "pg_default_acl", "o.defaclrole::regrole::text"),
    ("event trigger", "pg_event_trigger", "o.evtname"),
    ("extension", "pg_extension", "o.extname"),
    ("foreign-data wrapper", "pg_foreign_data_wrapper", "o.fdwname"),
    ("foreign server", "pg_foreign_server", "o.srvname"),
    ("language", "pg_language", "o.lanname"),
    ("publication", "pg_publication", "o.pubname"),
    // The catalog of roles has no rows for ordinary roles, and so has that of user mappings.
    ("role", "pg_roles", "o.rolname"),
    ("schema", "pg_namespace", "o.nspname"),
    ("subscription", "pg_subscription", "o.subname"),
    ("tablespace", "pg_tablespace", "o.spcname"),
    ("transform", "pg_transform", "o.trftype::regtype::text"),
    ("user mapping", "pg_user_mappings", "pg_catalog.format('%s for %s', o.srvname, o.usename)"),
];

/// The kinds that belong to the server: sessions in other databases create them, too.
const OF_SERVER: [&str; 3] = ["database", "role", "tablespace"];

/// A row of the catalog that a derivation has written.
pub(super) enum Written {
    /// In this transaction.
    Here,
    /// By a later transaction than this one, of any session.
    After(String),
}

impl Written {
    pub(super) async fn from_now(connection: &mut Connection) -> Result<Self, QueryError> {
        let now = "SELECT (pg_catalog.txid_current() % 4294967296)::text";
        let now = connection.rows(now).await?.first().map(|row| connect::text(row, 0)).transpose()?.flatten();
        Ok(Self::After(literal(&now.unwrap_or_default())))
    }

    fn condition(&self, row: &str) -> String {
        match self {
            // A visible row of a transaction in progress belongs to this transaction.
            Self::Here => format!(
                "CASE WHEN pg_catalog.age({row}.xmin) <= 0 THEN pg_catalog.txid_status(\
                 (pg_catalog.txid_current() >> 32 << 32) + {row}.xmin::text::int8) = 'in progress' ELSE false END"
            ),
            Self::After(id) => {
                format!("pg_catalog.age({row}.xmin) < pg_catalog.age({id}::pg_catalog.xid)")
            }
        }
    }
}

/// An object in words. The first number is smaller for what explains the others: an extension before its functions.
pub(super) type Object = (String, String);

/// The objects outside the two schemas of a derivation: all that belong to a database or a server, and the `written`
/// ones of other schemas.
pub(super) async fn objects(
    connection: &mut Connection,
    written: &Written,
) -> Result<BTreeSet<Object>, QueryError> {
    // Also without the schemas of another derivation, which may run at the same time.
    let (temporary, metadata) = (literal(TEMPORARY_SCHEMA), literal(metadata_schema::SCHEMA));
    let is_outside = |schema: &str| {
        format!("{schema} !~ '^pg_' AND {schema} !~ {temporary} AND {schema}::text <> {metadata}")
    };
    let of_others = |types: &str| {
        format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
             WHERE t.oid IN ({types}) AND n.nspname ~ {temporary})"
        )
    };
    let mut sql: Vec<String> = OUTSIDE_SCHEMAS
        .iter()
        .map(|(kind, catalog, name)| {
            let condition = match *catalog {
                "pg_namespace" => is_outside("o.nspname"),
                "pg_default_acl" => "o.defaclnamespace = 0".into(),
                // Those of a tenant's own types are the tenant's.
                "pg_cast" => of_others("o.castsource, o.casttarget"),
                "pg_transform" => of_others("o.trftype"),
                _ => "true".into(),
            };
            format!("SELECT '0', '{kind} `' || {name} || '`' FROM pg_catalog.{catalog} o WHERE {condition}")
        })
        .collect();
    // Every object of a schema depends on the schema, and the parts of a table (indexes, triggers, ...) on the table.
    let (is_written, is_new_column) = (written.condition("o"), written.condition("a"));
    let described = "i.type || ' `' || i.identity || '`' FROM pg_catalog.pg_depend o \
                     CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i";
    let namespace = "JOIN pg_catalog.pg_namespace n ON n.oid";
    let outside = is_outside("n.nspname");
    sql.push(format!(
        "SELECT '1', {described} {namespace} = o.refobjid WHERE {is_written} AND o.deptype = 'n' \
         AND o.refclassid = 'pg_catalog.pg_namespace'::regclass AND {outside}"
    ));
    sql.push(format!(
        "SELECT '2', {described} JOIN pg_catalog.pg_class c ON c.oid = o.refobjid {namespace} = c.relnamespace \
         WHERE {is_written} AND o.deptype = 'a' AND o.refclassid = 'pg_catalog.pg_class'::regclass AND {outside} \
         AND coalesce(i.schema, '') !~ {temporary}"
    ));
    // A table with a new column has a new row in the catalog. So has one with a new foreign key to it.
    sql.push(format!(
        "SELECT '3', 'column `' || n.nspname || '.' || o.relname || '.' || a.attname || '`' \
         FROM pg_catalog.pg_class o {namespace} = o.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 \
         WHERE {is_written} AND {is_new_column} AND o.relkind IN ('r', 'p', 'f') AND {outside}"
    ));
    let rows = connection.rows(&sql.join(" UNION ALL ")).await?;
    let object = |row| Ok(connect::text(row, 0)?.zip(connect::text(row, 1)?));
    rows.iter().filter_map(|row| object(row).transpose()).collect()
}

/// Whether one of these files can have created an object that sessions in other databases create, too.
pub(super) fn may_be_of(object: &str, files: &[MigrationFile]) -> bool {
    let Some(kind) = OF_SERVER.iter().find(|kind| object.starts_with(**kind)) else { return true };
    let words = if *kind == "role" { &["role", "user", "group"][..] } else { std::slice::from_ref(kind) };
    files.iter().any(|file| {
        let text = file.sql.to_ascii_lowercase();
        let mut before = "";
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .any(|word| std::mem::replace(&mut before, word) == "create" && words.contains(&word))
    })
}

/// Why such an object is refused.
pub(super) fn refusal(object: &str) -> String {
    format!(
        "a tenant migration creates the {object} outside the tenant's schema, which each tenant would create again: create it once, in a \
         shared migration or in a `sql` step"
    )
}
