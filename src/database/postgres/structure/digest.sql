WITH wanted AS MATERIALIZED (
    SELECT n.oid, w.number, quote_ident(n.nspname) || '.' AS own FROM unnest($schemas) WITH ORDINALITY AS w(name, number)
    JOIN pg_namespace n ON n.nspname = w.name::name AND n.nspname::text = w.name WHERE n.nspname = ANY ($schemas::name[])
), inside AS MATERIALIZED (
    SELECT d.classid, d.objid, n.number, n.own FROM pg_depend d JOIN wanted n ON n.oid = d.refobjid
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = ANY (ARRAY(SELECT oid FROM wanted))
), relation AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind, c.relhasrules, c.relhastriggers, c.relrowsecurity, n.number, n.own,
        hashtextextended(c.relname::text, 0) AS seed, c.relpersistence, c.relforcerowsecurity, c.relreplident, c.relispopulated,
        c.relispartition, c.reloptions, c.relpartbound, c.reloftype
    FROM pg_class c JOIN wanted n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_class'::regclass)) AND c.relname <> $ledger
), index AS MATERIALIZED (
    SELECT r.number, r.own, r.seed, x.* FROM relation r JOIN pg_index x ON x.indrelid = r.oid
    WHERE x.indrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind IN ('r', 'p', 'm')))
), type AS MATERIALIZED (
    SELECT t.oid, t.typname, t.typtype, t.typrelid, t.typbasetype, t.typtypmod, t.typcollation, t.typnotnull, t.typdefaultbin,
        t.typinput, t.typoutput, i.number, i.own, hashtextextended(t.typname::text, 1) AS seed
    FROM pg_type t JOIN inside i ON i.objid = t.oid AND i.classid = 'pg_type'::regclass
    WHERE t.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_type'::regclass))
), part (number, own, seed, properties, definition) AS (
    -- Hashing the values is faster than writing them as text.
    SELECT number, own, hashcharextended(relkind, hashcharextended(relpersistence, hashcharextended(relreplident, hashint4extended(relrowsecurity::int
            + 2 * relforcerowsecurity::int + 4 * relispopulated::int + 8 * relispartition::int, seed)))),
        CASE WHEN relkind IN ('v', 'm') THEN coalesce(reloptions::text, '') ELSE '' END,
        CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END
    FROM relation
    UNION ALL
    SELECT r.number, r.own, hashnameextended(a.attname, hashint4extended(a.atttypmod, hashint4extended(a.attnotnull::int + 2 * a.attislocal::int
            + 4 * a.atthasdef::int, hashcharextended(a.attidentity, hashcharextended(a.attgenerated, hashoidextended(a.attcollation,
            hashoidextended(CASE WHEN a.atttypid < 16384 THEN a.atttypid ELSE 0 END, r.seed + a.attnum))))))), '',
        CASE WHEN a.atttypid >= 16384 THEN format_type(a.atttypid, NULL) END
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.attrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind IN ('r', 'p', 'f', 'v')))
    UNION ALL
    SELECT r.number, r.own, r.seed - d.adnum, 'default', pg_get_expr(d.adbin, d.adrelid)
    FROM relation r JOIN pg_attrdef d ON d.adrelid = r.oid WHERE d.adrelid = ANY (ARRAY(SELECT oid FROM relation))
    UNION ALL
    SELECT r.number, r.own, hashnameextended(k.conname, hashcharextended(k.contype, hashint4extended(k.condeferrable::int + 2 * k.condeferred::int
            + 4 * k.convalidated::int + 8 * k.conislocal::int + 16 * (k.conparentid <> 0)::int + 32 * k.connoinherit::int$constraint,
            hash_array_extended(coalesce(k.conkey, '{}'), hashint8extended(coalesce(f.seed, 0), r.seed))))),
        CASE WHEN k.contype = 'f' THEN concat_ws(' ', k.confkey, k.confupdtype, k.confdeltype, k.confmatchtype)
            WHEN k.contype = 'x' THEN k.conexclop::text ELSE 'constraint' END,
        CASE WHEN k.contype = 'f' AND f.oid IS NULL THEN k.confrelid::regclass::text WHEN k.contype = 'c' THEN pg_get_constraintdef(k.oid) END
    FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid LEFT JOIN relation f ON f.oid = k.confrelid AND f.number = r.number
    WHERE k.conrelid = ANY (ARRAY(SELECT oid FROM relation))
    UNION ALL
    SELECT x.number, x.own, hashnameextended(c.relname, hashoidextended(c.relam, hashint4extended(x.indisunique::int + 2 * x.indisprimary::int
            + 4 * x.indisvalid::int + 8 * x.indisreplident::int + 16 * c.relispartition::int + 64 * x.indnkeyatts$index,
            hash_array_extended(x.indkey::int2[], hashoidvectorextended(x.indclass, hashoidvectorextended(x.indcollation,
            hash_array_extended(x.indoption::int2[], x.seed))))))), coalesce(c.reloptions::text, 'index'),
        CASE WHEN x.indexprs IS NOT NULL OR x.indpred IS NOT NULL
            THEN concat_ws(' WHERE ', pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid)) END
    FROM index x JOIN pg_class c ON c.oid = x.indexrelid WHERE c.oid = ANY (ARRAY(SELECT indexrelid FROM index))
    UNION ALL
    SELECT r.number, r.own, hashoidextended(s.seqtypid, hashint8extended(s.seqstart, hashint8extended(s.seqincrement, hashint8extended(s.seqmin,
            hashint8extended(s.seqmax, hashint8extended(s.seqcache, r.seed + s.seqcycle::int)))))), 'sequence', NULL
    FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid WHERE s.seqrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S'))
    UNION ALL
    SELECT r.number, r.own, hashint8extended(coalesce(o.seed, 0), r.seed), concat_ws(' ', 'owner', d.refobjsubid, d.deptype),
        CASE WHEN o.oid IS NULL THEN d.refobjid::regclass::text END
    FROM relation r JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    LEFT JOIN relation o ON o.oid = d.refobjid AND o.number = r.number
    WHERE d.classid = 'pg_class'::regclass AND d.objid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S')) AND d.deptype IN ('a', 'i')$rare
)
SELECT (number - 1)::text, CASE WHEN $has_rare THEN NULL ELSE sum(CASE WHEN definition IS NULL THEN hashtextextended(properties, seed)
    ELSE hashtextextended(replace(definition, own, '<schema>.'), hashtextextended(properties, seed)) END) END::text FROM part GROUP BY number
