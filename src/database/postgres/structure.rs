//! The digest of a schema's structure. Two schemas that differ only in their names have the same digest.

use super::{
    connect,
    connection::Connection,
    quote::{identifier, literal},
};

/// The objects in the schema, found through the index of `pg_depend`: the catalog has no index by schema, and a full
/// read takes longer with every tenant. Indexes and row types belong to the schema of their table.
const OBJECTS: &str = "inside AS MATERIALIZED (SELECT d.classid, d.objid FROM pg_depend d \
     WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = (SELECT oid FROM n)), \
     relation AS MATERIALIZED (SELECT c.* FROM pg_class c WHERE c.oid = ANY (ARRAY(\
     SELECT objid FROM inside WHERE classid = 'pg_class'::regclass \
     UNION ALL SELECT i.indexrelid FROM pg_index i \
     WHERE i.indrelid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_class'::regclass)) \
     UNION ALL SELECT t.typrelid FROM pg_type t WHERE t.typrelid <> 0 \
     AND t.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_type'::regclass))))), \
     kind AS MATERIALIZED (SELECT t.* FROM pg_type t WHERE t.oid = ANY (ARRAY(\
     SELECT objid FROM inside WHERE classid = 'pg_type'::regclass UNION ALL SELECT reltype FROM relation))), \
     type AS MATERIALIZED (SELECT t.* FROM pg_type t WHERE t.oid = ANY (ARRAY(\
     SELECT oid FROM kind UNION ALL SELECT typarray FROM kind)))";

/// A line for each object in the schema, without the schema's name. Columns are renumbered, because a dump has no gaps
/// for dropped columns.
const LINES: [&str; 16] = [
    // The counts include objects without a line: operators, collations, extended statistics.
    "SELECT concat_ws(' ', 'objects', classid::regclass, count(*)) FROM inside GROUP BY classid",
    "SELECT concat_ws(' ', 'relation', c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, \
     c.relreplident, c.reloptions::text, pg_get_expr(c.relpartbound, c.oid)) FROM relation c",
    "SELECT concat_ws(' ', 'column', c.relname, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname, \
     format_type(a.atttypid, a.atttypmod), o.collname, a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)) \
     FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation o ON o.oid = a.attcollation \
     WHERE c.relkind NOT IN ('i', 'I')",
    "SELECT concat_ws(' ', 'parent', c.relname, p.relname, i.inhseqno) FROM relation c JOIN pg_inherits i ON i.inhrelid = c.oid \
     JOIN pg_class p ON p.oid = i.inhparent",
    "SELECT concat_ws(' ', 'sequence', c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, \
     s.seqcache, s.seqcycle) FROM relation c JOIN pg_sequence s ON s.seqrelid = c.oid",
    "SELECT concat_ws(' ', 'constraint', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid)) \
     FROM relation c JOIN pg_constraint k ON k.conrelid = c.oid",
    "SELECT concat_ws(' ', 'constraint', k.conname, t.typname, pg_get_constraintdef(k.oid)) \
     FROM type t JOIN pg_constraint k ON k.conrelid = 0 AND k.contypid = t.oid",
    // The part before ` USING` contains the schema's name.
    "SELECT concat_ws(' ', 'index', c.relname, i.indrelid::regclass, i.indisunique, i.indisvalid, \
     substring(pg_get_indexdef(c.oid) FROM ' USING .*')) \
     FROM relation c JOIN pg_index i ON i.indexrelid = c.oid",
    "SELECT concat_ws(' ', 'view', c.relname, pg_get_viewdef(c.oid)) FROM relation c WHERE c.relkind IN ('v', 'm')",
    "SELECT concat_ws(' ', 'rule', c.relname, pg_get_ruledef(r.oid, true)) FROM relation c JOIN pg_rewrite r ON r.ev_class = c.oid \
     WHERE r.rulename <> '_RETURN'",
    // Without the body, which may contain the schema's name.
    "SELECT concat_ws(' ', 'function', p.proname, p.prokind, pg_get_function_arguments(p.oid), \
     pg_get_function_result(p.oid), p.provolatile, p.proisstrict, p.proparallel, p.prosecdef, l.lanname) \
     FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang \
     WHERE p.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_proc'::regclass))",
    "SELECT concat_ws(' ', 'trigger', c.relname, t.tgenabled, pg_get_triggerdef(t.oid, true)) \
     FROM relation c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal",
    "SELECT concat_ws(' ', 'policy', c.relname, p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), \
     pg_get_expr(p.polwithcheck, p.polrelid)) FROM relation c JOIN pg_policy p ON p.polrelid = c.oid",
    "SELECT concat_ws(' ', 'type', t.typname, t.typtype, t.typnotnull, format_type(t.typbasetype, t.typtypmod), \
     pg_get_expr(t.typdefaultbin, 0)) FROM type t",
    "SELECT concat_ws(' ', 'label', t.typname, row_number() OVER (PARTITION BY t.oid ORDER BY e.enumsortorder), e.enumlabel) \
     FROM type t JOIN pg_enum e ON e.enumtypid = t.oid",
    "SELECT concat_ws(' ', 'comment', c.relname, a.attname, d.description) FROM relation c \
     JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass \
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0",
];

/// Computes the digest in the open transaction. Sets `search_path` to the schema so that the server does not qualify
/// its names.
pub(super) async fn structure(connection: &mut Connection, schema: &str) -> Result<String, sqlx::Error> {
    let sql = format!(
        "SET LOCAL search_path = {}; WITH n AS MATERIALIZED (SELECT oid FROM pg_namespace \
         WHERE nspname = {name}::name AND nspname::text = {name}), {OBJECTS}, lines(line) AS ({}) \
         SELECT encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\"), ''), 'UTF8')), 'hex') \
         FROM lines",
        identifier(schema),
        LINES.join(" UNION ALL "),
        name = literal(schema),
    );
    let rows = connection.rows(&sql).await?;
    rows.first().map_or(Ok(None), |row| connect::text(row, 0)).map(Option::unwrap_or_default)
}
