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
    SELECT number, own, seed, 'part of', concat_ws(' ', format_type(nullif(reloftype, 0), NULL), pg_get_expr(relpartbound, oid)) FROM relation
    WHERE relispartition OR reloftype <> 0
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
    SELECT r.number, r.own, r.seed, concat_ws(' ', 'parent', i.inhseqno), i.inhparent::regclass::text
    FROM relation r JOIN pg_inherits i ON i.inhrelid = r.oid WHERE i.inhrelid = ANY (ARRAY(SELECT oid FROM relation))
    UNION ALL
    SELECT r.number, r.own, hashnameextended(k.conname, hashcharextended(k.contype, hashint4extended(k.condeferrable::int + 2 * k.condeferred::int
            + 4 * k.convalidated::int + 8 * k.conislocal::int + 16 * (k.conparentid <> 0)::int + 32 * k.connoinherit::int$constraint,
            hash_array_extended(coalesce(k.conkey, '{}'), r.seed)))),
        CASE WHEN k.contype = 'f' THEN concat_ws(' ', k.confkey, k.confupdtype, k.confdeltype, k.confmatchtype)
            WHEN k.contype = 'x' THEN k.conexclop::text ELSE 'constraint' END,
        CASE WHEN k.contype = 'f' THEN k.confrelid::regclass::text WHEN k.contype = 'c' THEN pg_get_constraintdef(k.oid) END
    FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.conrelid = ANY (ARRAY(SELECT oid FROM relation))
    UNION ALL
    SELECT x.number, x.own, hashnameextended(c.relname, hashoidextended(c.relam, hashint4extended(x.indisunique::int + 2 * x.indisprimary::int
            + 4 * x.indisvalid::int + 8 * x.indisreplident::int + 16 * c.relispartition::int + 64 * x.indnkeyatts$index,
            hash_array_extended(x.indkey::int2[], hashoidvectorextended(x.indclass, hashoidvectorextended(x.indcollation,
            hash_array_extended(x.indoption::int2[], x.seed))))))), coalesce(c.reloptions::text, 'index'),
        CASE WHEN x.indexprs IS NOT NULL OR x.indpred IS NOT NULL
            THEN concat_ws(' WHERE ', pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid)) END
    FROM index x JOIN pg_class c ON c.oid = x.indexrelid WHERE c.oid = ANY (ARRAY(SELECT indexrelid FROM index))
    UNION ALL
    SELECT r.number, r.own, r.seed, concat_ws(' ', 'trigger', CASE WHEN NOT t.tgisinternal THEN t.tgname END, t.tgenabled, t.tgtype, t.tgparentid <> 0,
        t.tgconstraint <> 0), CASE WHEN NOT t.tgisinternal THEN pg_get_triggerdef(t.oid) ELSE (SELECT k.conname::text FROM pg_constraint k WHERE k.oid = t.tgconstraint) END
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND (NOT t.tgisinternal OR t.tgenabled <> 'O')
    WHERE t.tgrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relhastriggers))
    UNION ALL
    SELECT r.number, r.own, r.seed, concat_ws(' ', 'rule', w.ev_enabled), pg_get_ruledef(w.oid)
    FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
    WHERE w.ev_class = ANY (ARRAY(SELECT oid FROM relation WHERE relhasrules))
    UNION ALL
    SELECT r.number, r.own, r.seed, concat_ws(' ', 'policy', p.polname, p.polcmd, p.polpermissive, p.polroles),
        concat_ws(' WITH CHECK ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid WHERE p.polrelid = ANY (ARRAY(SELECT oid FROM relation))
    UNION ALL
    SELECT r.number, r.own, r.seed, concat_ws(' ', 'sequence', s.seqtypid, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle), NULL
    FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid WHERE s.seqrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S'))
    UNION ALL
    SELECT r.number, r.own, r.seed, concat_ws(' ', 'owner', d.refobjsubid, d.deptype), d.refobjid::regclass::text
    FROM relation r JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    WHERE d.classid = 'pg_class'::regclass AND d.objid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S')) AND d.deptype IN ('a', 'i')
    UNION ALL
    SELECT f.number, f.own, f.seed, concat_ws(' ', 'foreign', s.srvname), t.ftoptions::text
    FROM relation f JOIN pg_foreign_table t ON t.ftrelid = f.oid JOIN pg_foreign_server s ON s.oid = t.ftserver WHERE f.relkind = 'f'
    UNION ALL
    SELECT number, own, seed, concat_ws(' ', 'type', typtype, typtypmod, typcollation, typnotnull),
        concat_ws(' ', format_type(nullif(typbasetype, 0), NULL), typinput::regproc, typoutput::regproc, pg_get_expr(typdefaultbin, 0)) FROM type
    UNION ALL
    SELECT t.number, t.own, t.seed, concat_ws(' ', 'label', count(*) OVER (PARTITION BY t.oid ORDER BY e.enumsortorder), e.enumlabel), NULL
    FROM type t JOIN pg_enum e ON e.enumtypid = t.oid WHERE e.enumtypid = ANY (ARRAY(SELECT oid FROM type WHERE typtype = 'e'))
    UNION ALL
    SELECT t.number, t.own, t.seed, concat_ws(' ', 'attribute', a.attnum, a.attname, a.attcollation), format_type(a.atttypid, a.atttypmod)
    FROM type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND NOT a.attisdropped
    WHERE a.attrelid = ANY (ARRAY(SELECT typrelid FROM type WHERE typtype = 'c')) AND a.attnum > 0
    UNION ALL
    SELECT t.number, t.own, t.seed, concat_ws(' ', 'range', r.rngsubopc, r.rngcollation),
        concat_ws(' ', format_type(r.rngsubtype, NULL), r.rngcanonical::regproc, r.rngsubdiff::regproc)
    FROM type t JOIN pg_range r ON r.rngtypid = t.oid WHERE r.rngtypid = ANY (ARRAY(SELECT oid FROM type WHERE typtype = 'r'))
    UNION ALL
    SELECT t.number, t.own, t.seed, concat_ws(' ', 'constraint', k.conname, k.convalidated), pg_get_constraintdef(k.oid)
    FROM type t JOIN pg_constraint k ON k.contypid = t.oid WHERE k.contypid = ANY (ARRAY(SELECT oid FROM type WHERE typtype = 'd'))
    UNION ALL
    SELECT i.number, i.own, hashtextextended(p.proname::text, 2), p.prokind::text, CASE WHEN p.prokind = 'a'
        THEN (SELECT concat_ws(' ', pg_get_function_arguments(p.oid), g.aggtransfn::regproc, format_type(g.aggtranstype, NULL), g.aggfinalfn::regproc, g.aggcombinefn::regproc, g.agginitval)
            FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
        ELSE pg_get_functiondef(p.oid) END
    FROM inside i JOIN pg_proc p ON p.oid = i.objid AND i.classid = 'pg_proc'::regclass
    WHERE p.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_proc'::regclass))
    UNION ALL
    SELECT i.number, i.own, 3, 'statistics', pg_get_statisticsobjdef(i.objid) FROM inside i WHERE i.classid = 'pg_statistic_ext'::regclass
    UNION ALL
    SELECT i.number, i.own, 4, o.type, o.identity FROM inside i, pg_identify_object(i.classid, i.objid, 0) o
    WHERE i.classid NOT IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, 'pg_statistic_ext'::regclass)
)
SELECT (number - 1)::text, sum(CASE WHEN definition IS NULL THEN hashtextextended(properties, seed)
    ELSE hashtextextended(replace(definition, own, '<schema>.'), hashtextextended(properties, seed)) END)::text FROM part GROUP BY number
