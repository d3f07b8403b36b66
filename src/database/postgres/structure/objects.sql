WITH n AS MATERIALIZED (
    SELECT oid FROM pg_namespace WHERE nspname = $schema::name AND nspname::text = $schema
), inside AS MATERIALIZED (
    -- The catalog has no index by schema. Objects of extensions belong to the extension.
    SELECT d.classid, d.objid FROM pg_depend d
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = (SELECT oid FROM n)
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid
        AND (e.deptype = 'e' OR e.deptype = 'i' AND d.classid = 'pg_proc'::regclass))
), relation AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind, quote_ident(c.relname) AS ident, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
        c.relreplident, c.reloptions, c.relpartbound, c.relispartition, c.relispopulated, c.reloftype
    FROM pg_class c WHERE c.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_class'::regclass))
), type AS MATERIALIZED (
    SELECT t.* FROM pg_type t WHERE t.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_type'::regclass))
), identity AS MATERIALIZED (
    SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS attnum, d.deptype FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    AND d.objid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S')) AND d.deptype IN ('a', 'i')
), sequence AS MATERIALIZED (
    SELECT s.seqrelid, format('%sSTART WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s',
        'AS ' || format_type(s.seqtypid, NULL) || ' ', s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
        CASE WHEN s.seqcycle THEN ' CYCLE' END) AS options
    FROM pg_sequence s WHERE s.seqrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S'))
), attribute AS MATERIALIZED (
    SELECT a.attrelid, a.attnum, a.attname, a.attislocal, a.atthasdef, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || a.attcollation::regcollation::text END) AS type,
        a.attnotnull, a.attidentity, a.attgenerated
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped
    AND a.attrelid = ANY (ARRAY(SELECT oid FROM relation UNION ALL SELECT typrelid FROM type WHERE typtype = 'c'))
), object (kind, relation, position, name, definition, state) AS (
    -- Without the cast, the names of all objects would be cut to the length of a `name`.
    SELECT 'type', '', 0, t.typname::text, CASE t.typtype
        WHEN 'e' THEN format('AS ENUM (%s)', (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
            FROM pg_enum e WHERE e.enumtypid = t.oid))
        WHEN 'c' THEN format('AS (%s)', (SELECT string_agg(quote_ident(a.attname) || ' ' || a.type, ', ' ORDER BY a.attnum)
            FROM attribute a WHERE a.attrelid = t.typrelid))
        WHEN 'd' THEN concat_ws(' ', 'AS', format_type(t.typbasetype, t.typtypmod),
            (SELECT 'COLLATE ' || t.typcollation::regcollation::text FROM pg_type b WHERE b.oid = t.typbasetype AND b.typcollation <> t.typcollation),
            'DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
            (SELECT string_agg(format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), ' ' ORDER BY k.conname)
                FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
        WHEN 'r' THEN (SELECT format('AS RANGE (%s)', concat_ws(', ', 'SUBTYPE = ' || format_type(r.rngsubtype, NULL),
                'SUBTYPE_OPCLASS = ' || quote_ident(o.opcname),
                CASE WHEN r.rngcollation <> b.typcollation THEN 'COLLATION = ' || r.rngcollation::regcollation::text END,
                CASE WHEN r.rngcanonical <> 0 THEN 'CANONICAL = ' || r.rngcanonical::regproc::text END,
                CASE WHEN r.rngsubdiff <> 0 THEN 'SUBTYPE_DIFF = ' || r.rngsubdiff::regproc::text END))
            FROM pg_range r JOIN pg_opclass o ON o.oid = r.rngsubopc JOIN pg_type b ON b.oid = r.rngsubtype WHERE r.rngtypid = t.oid)
        ELSE format('(INPUT = %s, OUTPUT = %s)', t.typinput::regproc, t.typoutput::regproc) END, ''
    FROM type t WHERE t.typtype IN ('e', 'c', 'd', 'r', 'b')
    UNION ALL
    SELECT 'sequence', '', 0, r.relname, concat_ws(' ', s.options,
            'OWNED BY ' || o.ident || '.' || quote_ident(a.attname)), CASE WHEN r.relpersistence = 'u' THEN 'unlogged' ELSE '' END
    FROM relation r JOIN sequence s ON s.seqrelid = r.oid LEFT JOIN identity i ON i.sequence = r.oid
    LEFT JOIN relation o ON o.oid = i.relation LEFT JOIN attribute a ON a.attrelid = i.relation AND a.attnum = i.attnum
    WHERE i.deptype IS DISTINCT FROM 'i'
    UNION ALL
    SELECT 'table', '', 0, r.relname, concat_ws(' ',
            (SELECT format(CASE WHEN r.relispartition THEN 'PARTITION OF %s %s' ELSE 'INHERITS (%s)' END,
                string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno), pg_get_expr(r.relpartbound, r.oid))
                FROM pg_inherits i WHERE i.inhrelid = r.oid HAVING count(*) > 0),
            CASE WHEN r.reloftype <> 0 THEN 'OF ' || format_type(r.reloftype, NULL) END,
            'PARTITION BY ' || CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
            (SELECT format('SERVER %I', s.srvname) || coalesce(format(' OPTIONS (%s)', (SELECT string_agg(
                format('%I %L', o.option_name, o.option_value), ', ') FROM pg_options_to_table(f.ftoptions) o)), '')
                FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid)),
        concat_ws(', ', CASE WHEN r.relpersistence = 'u' THEN 'unlogged' END,
            CASE WHEN r.relrowsecurity THEN 'row level security' END, CASE WHEN r.relforcerowsecurity THEN 'forced row level security' END,
            CASE r.relreplident WHEN 'f' THEN 'replica identity full' WHEN 'n' THEN 'replica identity nothing' END)
    FROM relation r WHERE r.relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT 'column', r.relname, a.attnum, a.attname, concat_ws(' ', CASE WHEN r.relkind <> 'v' THEN a.type END,
            CASE WHEN a.attidentity <> '' THEN format('GENERATED %s AS IDENTITY (%s)',
                CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, s.options)
            WHEN a.attgenerated <> '' THEN format('GENERATED ALWAYS AS (%s) %s', pg_get_expr(d.adbin, d.adrelid),
                CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
            ELSE 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,
            CASE WHEN a.attnotnull THEN 'NOT NULL' END,
            (SELECT 'NOT VALID' FROM pg_constraint k WHERE k.conrelid = r.oid AND k.contype = 'n' AND NOT k.convalidated
                AND k.conkey = ARRAY[a.attnum])),
        CASE WHEN a.attislocal THEN '' ELSE 'inherited' END
    FROM relation r JOIN attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    LEFT JOIN identity i ON i.relation = r.oid AND i.attnum = a.attnum AND i.deptype = 'i' LEFT JOIN sequence s ON s.seqrelid = i.sequence
    WHERE r.relkind IN ('r', 'p', 'f') OR r.relkind = 'v' AND a.atthasdef
    UNION ALL
    SELECT 'constraint', r.relname, 0, k.conname, pg_get_constraintdef(k.oid), concat_ws(', ',
            CASE WHEN NOT k.conislocal OR k.conparentid <> 0 THEN 'inherited' END,
            CASE WHEN NOT x.indisvalid THEN 'invalid index' END, CASE WHEN x.indisreplident THEN 'replica identity' END,
            CASE WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgisinternal AND t.tgenabled <> 'O'
                AND t.tgrelid = ANY (ARRAY[k.conrelid, k.confrelid])) THEN 'triggers disabled' END)
    FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype IN ('p', 'u', 'f', 'c', 'x')
    LEFT JOIN pg_index x ON x.indexrelid = k.conindid AND k.contype <> 'f'
    UNION ALL
    SELECT 'index', r.relname, 0, c.relname, CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || substr(pg_get_indexdef(c.oid),
            length(format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN x.indisunique THEN 'UNIQUE ' END, c.relname,
                CASE WHEN c.relkind = 'I' THEN 'ONLY ' END, $schema, r.relname)) + 1),
        concat_ws(', ', CASE WHEN c.relispartition THEN 'inherited' END, CASE WHEN NOT x.indisvalid THEN 'invalid' END,
            CASE WHEN x.indisreplident THEN 'replica identity' END)
    FROM relation r JOIN pg_index x ON x.indrelid = r.oid JOIN pg_class c ON c.oid = x.indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT CASE r.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, '', 0, r.relname,
        coalesce('WITH (' || array_to_string(r.reloptions, ', ') || ') ', '') || 'AS' || chr(10) || rtrim(pg_get_viewdef(r.oid), ';'),
        CASE WHEN r.relispopulated THEN '' ELSE 'not populated' END
    FROM relation r WHERE r.relkind IN ('v', 'm')
    UNION ALL
    SELECT 'trigger', r.relname, 0, t.tgname, pg_get_triggerdef(t.oid, true), concat_ws(', ',
            CASE WHEN t.tgparentid <> 0 THEN 'inherited' END,
            CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled for replicas' WHEN 'A' THEN 'enabled always' END)
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 'rule', r.relname, 0, w.rulename, pg_get_ruledef(w.oid, true),
        CASE w.ev_enabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled for replicas' WHEN 'A' THEN 'enabled always' ELSE '' END
    FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
    UNION ALL
    SELECT 'policy', r.relname, 0, p.polname, concat_ws(' ', CASE WHEN p.polpermissive THEN 'AS PERMISSIVE' ELSE 'AS RESTRICTIVE' END,
            'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            'TO ' || (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ' ORDER BY 1) FROM unnest(p.polroles) role),
            'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
            'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), ''
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT 'function', '', 0, format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), CASE p.prokind
        WHEN 'a' THEN (SELECT format('CREATE AGGREGATE %I(%s) (%s)', p.proname, pg_get_function_arguments(p.oid), concat_ws(', ',
                'SFUNC = ' || g.aggtransfn::regproc::text, 'STYPE = ' || format_type(g.aggtranstype, NULL),
                'FINALFUNC = ' || nullif(g.aggfinalfn, 0)::regproc::text, 'COMBINEFUNC = ' || nullif(g.aggcombinefn, 0)::regproc::text,
                'INITCOND = ' || quote_literal(g.agginitval))) FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
        ELSE rtrim(pg_get_functiondef(p.oid), chr(10)) END, ''
    FROM pg_proc p WHERE p.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_proc'::regclass))
    UNION ALL
    SELECT 'statistics', '', 0, e.stxname, pg_get_statisticsobjdef(e.oid), ''
    FROM pg_statistic_ext e WHERE e.oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_statistic_ext'::regclass))
    UNION ALL
    SELECT 'other', '', 0, o.type || ' ' || o.identity, '', ''
    FROM inside i, pg_identify_object(i.classid, i.objid, 0) o
    WHERE i.classid IN ('pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_collation'::regclass,
        'pg_conversion'::regclass, 'pg_ts_config'::regclass, 'pg_ts_dict'::regclass, 'pg_ts_parser'::regclass, 'pg_ts_template'::regclass)
)
SELECT kind, relation::text, name::text, definition, state FROM object ORDER BY relation, position
