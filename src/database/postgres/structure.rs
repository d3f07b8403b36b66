//! What a schema is made of, as one digest: the same for two schemas that differ in nothing but their names.

use sqlx::postgres::PgConnection;

use super::{
    connect,
    quote::{identifier, literal},
};

/// A line for everything in the schema `n`, in which the schema's own name does not stand. Columns are counted anew: a dump
/// leaves no gaps where some were dropped.
const LINES: [&str; 14] = [
    "SELECT concat_ws(' ', 'relation', c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, \
     c.relreplident, c.reloptions::text, pg_get_expr(c.relpartbound, c.oid)) FROM n, pg_class c WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'column', c.relname, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname, \
     format_type(a.atttypid, a.atttypmod), o.collname, a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)) \
     FROM n, pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation o ON o.oid = a.attcollation \
     WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 'I')",
    "SELECT concat_ws(' ', 'parent', c.relname, p.relname, i.inhseqno) FROM n, pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid \
     JOIN pg_class p ON p.oid = i.inhparent WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'sequence', c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, \
     s.seqcache, s.seqcycle) FROM n, pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'constraint', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid)) \
     FROM n, pg_constraint k WHERE k.connamespace = n.oid",
    // What stands in front of it names the schema.
    "SELECT concat_ws(' ', 'index', c.relname, i.indrelid::regclass, i.indisunique, i.indisvalid, \
     substring(pg_get_indexdef(c.oid) FROM ' USING .*')) \
     FROM n, pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'view', c.relname, pg_get_viewdef(c.oid)) \
     FROM n, pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('v', 'm')",
    "SELECT concat_ws(' ', 'rule', c.relname, pg_get_ruledef(r.oid, true)) FROM n, pg_class c JOIN pg_rewrite r ON r.ev_class = c.oid \
     WHERE c.relnamespace = n.oid AND r.rulename <> '_RETURN'",
    // A body may name its own schema.
    "SELECT concat_ws(' ', 'function', p.proname, p.prokind, pg_get_function_arguments(p.oid), \
     pg_get_function_result(p.oid), p.provolatile, p.proisstrict, p.proparallel, p.prosecdef, l.lanname) \
     FROM n, pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = n.oid",
    "SELECT concat_ws(' ', 'trigger', c.relname, t.tgenabled, pg_get_triggerdef(t.oid, true)) FROM n, pg_trigger t \
     JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = n.oid AND NOT t.tgisinternal",
    "SELECT concat_ws(' ', 'policy', c.relname, p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), \
     pg_get_expr(p.polwithcheck, p.polrelid)) FROM n, pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = n.oid",
    "SELECT concat_ws(' ', 'type', t.typname, t.typtype, t.typnotnull, format_type(t.typbasetype, t.typtypmod), \
     pg_get_expr(t.typdefaultbin, 0)) FROM n, pg_type t WHERE t.typnamespace = n.oid",
    "SELECT concat_ws(' ', 'label', t.typname, row_number() OVER (PARTITION BY t.oid ORDER BY e.enumsortorder), e.enumlabel) \
     FROM n, pg_type t JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.typnamespace = n.oid",
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
