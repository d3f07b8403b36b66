//! What a schema is made of, as one digest: the same for two schemas that differ in nothing but their names.

use sqlx::postgres::PgConnection;

use super::{
    connect,
    quote::{identifier, literal},
};

/// A line for everything in the schema `n`, in which the schema's own name does not stand. Columns are counted anew: a dump
/// leaves no gaps where some were dropped.
const LINES: [&str; 9] = [
    "SELECT concat_ws(' ', 'column', c.relname, c.relkind, c.relispartition, \
     row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod), \
     a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)) \
     FROM n, pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     AND c.relkind NOT IN ('i', 'I') LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'constraint', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid)) \
     FROM n, pg_constraint k WHERE k.connamespace = n.oid",
    // What stands in front of it names the schema.
    "SELECT concat_ws(' ', 'index', c.relname, i.indrelid::regclass, i.indisunique, i.indisvalid, \
     substring(pg_get_indexdef(c.oid) FROM ' USING .*')) \
     FROM n, pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'view', c.relname, pg_get_viewdef(c.oid)) \
     FROM n, pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('v', 'm')",
    "SELECT concat_ws(' ', 'function', p.proname, p.prokind, pg_get_function_arguments(p.oid), \
     pg_get_function_result(p.oid), p.provolatile, p.prosecdef) FROM n, pg_proc p WHERE p.pronamespace = n.oid",
    "SELECT concat_ws(' ', 'trigger', t.tgname, c.relname, t.tgtype, t.tgenabled, p.proname) FROM n, pg_trigger t \
     JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid WHERE c.relnamespace = n.oid AND NOT t.tgisinternal",
    "SELECT concat_ws(' ', 'policy', c.relname, p.polname, p.polcmd) \
     FROM n, pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'type', t.typname, t.typtype) FROM n, pg_type t WHERE t.typnamespace = n.oid",
    "SELECT concat_ws(' ', 'comment', c.relname, a.attname, d.description) FROM n, pg_description d \
     JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_catalog.pg_class'::regclass \
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0 WHERE c.relnamespace = n.oid",
];

/// The digest, inside the transaction that is open. Sets `search_path` to the schema alone, so that the server does not
/// qualify the names that stand in it.
pub(super) async fn structure(connection: &mut PgConnection, schema: &str) -> Result<String, sqlx::Error> {
    let sql = format!(
        "SET LOCAL search_path = {}; WITH n AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname::text = {}), \
         lines(line) AS ({}) SELECT encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\"), ''), \
         'UTF8')), 'hex') FROM lines",
        identifier(schema),
        literal(schema),
        LINES.join(" UNION ALL "),
    );
    let rows = connect::rows(connection, &sql).await?;
    rows.first().map_or(Ok(None), |row| connect::text(row, 0)).map(Option::unwrap_or_default)
}
