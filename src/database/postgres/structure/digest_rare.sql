    UNION ALL
    SELECT number, own, seed, 'part of', concat_ws(' ', format_type(nullif(reloftype, 0), NULL), pg_get_expr(relpartbound, oid)) FROM relation
    WHERE relispartition OR reloftype <> 0
    UNION ALL
    SELECT r.number, r.own, r.seed, concat_ws(' ', 'parent', i.inhseqno), i.inhparent::regclass::text
    FROM relation r JOIN pg_inherits i ON i.inhrelid = r.oid WHERE i.inhrelid = ANY (ARRAY(SELECT oid FROM relation))
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
