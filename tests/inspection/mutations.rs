//! Random changes of a schema with every kind of object. `pg_dump --schema-only` decides whether a change changed the
//! structure; the gate finds it unless its kind is out of scope, and finds nothing in a schema without a change.

use std::{collections::BTreeMap, process::Command};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::structure::{EVERY_KIND, every_kind};
use crate::support::{
    cluster::{Database, block_on},
    fleet,
    process::Outcome,
};

/// Whether the gate finds a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// If and only if pg_dump's text differs.
    AsDumped,
    /// Although pg_dump's text is the same.
    BeyondDump,
    /// Although pg_dump's text differs, the gate does not.
    OutOfScope,
}
pub(crate) use Found::{AsDumped, BeyondDump, OutOfScope};

/// The kind as `docs/structure.md` names it, the statements, and whether the gate finds the change. `{table}`, `{column}`
/// (with its table in `{of}`), `{constraint}`, `{index}`, `{function}` and `{n}` are chosen at random.
const CHANGES: &[Change] = &[
    ("a table", "DROP TABLE {table} CASCADE", AsDumped),
    ("a table", "ALTER TABLE {table} RENAME TO renamed", AsDumped),
    ("a table", "CREATE TABLE added (n integer)", AsDumped),
    ("a table", "ALTER TABLE {table} SET UNLOGGED", AsDumped),
    ("a table", "ALTER TABLE cache SET LOGGED", AsDumped),
    ("a table", "ALTER TABLE {table} REPLICA IDENTITY FULL", AsDumped),
    ("a partition", "ALTER TABLE event DETACH PARTITION event_2025", AsDumped),
    (
        "a partition",
        "CREATE TABLE event_2030 PARTITION OF event FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')",
        AsDumped,
    ),
    ("a parent", "ALTER TABLE signed_note NO INHERIT note", AsDumped),
    ("a column", "ALTER TABLE {of} DROP COLUMN {column} CASCADE", AsDumped),
    ("a column", "ALTER TABLE {table} ADD COLUMN added integer", AsDumped),
    ("a column", "ALTER TABLE {table} ADD COLUMN added integer NOT NULL DEFAULT {n}", AsDumped),
    ("a column", "ALTER TABLE {of} RENAME COLUMN {column} TO renamed", AsDumped),
    ("a type of a column", "ALTER TABLE {of} ALTER COLUMN {column} TYPE text USING {column}::text", AsDumped),
    ("a type of a column", "ALTER TABLE invoice ALTER COLUMN paid_on TYPE timestamp", AsDumped),
    ("a type of a column", "ALTER TABLE customer ALTER COLUMN email TYPE varchar({n})", AsDumped),
    ("a collation of a column", "ALTER TABLE customer ALTER COLUMN name TYPE text COLLATE \"C\"", AsDumped),
    ("NOT NULL", "ALTER TABLE {of} ALTER COLUMN {column} SET NOT NULL", AsDumped),
    ("NOT NULL", "ALTER TABLE {of} ALTER COLUMN {column} DROP NOT NULL", AsDumped),
    ("a default", "ALTER TABLE {of} ALTER COLUMN {column} DROP DEFAULT", AsDumped),
    ("a default", "ALTER TABLE invoice ALTER COLUMN note SET DEFAULT 'number {n}'", AsDumped),
    ("a default", "ALTER TABLE invoice ALTER COLUMN number SET DEFAULT {n}", AsDumped),
    ("an identity", "ALTER TABLE invoice ALTER COLUMN id SET GENERATED ALWAYS", AsDumped),
    ("an identity", "ALTER TABLE invoice ALTER COLUMN id DROP IDENTITY", AsDumped),
    ("an identity", "ALTER TABLE invoice ALTER COLUMN id SET INCREMENT BY {n}", AsDumped),
    ("a generated column", "ALTER TABLE invoice ALTER COLUMN gross DROP EXPRESSION", AsDumped),
    ("a constraint", "ALTER TABLE {of} DROP CONSTRAINT {constraint} CASCADE", AsDumped),
    ("a constraint", "ALTER TABLE {of} RENAME CONSTRAINT {constraint} TO renamed", AsDumped),
    ("a constraint", "ALTER TABLE invoice ADD CHECK (net < {n})", AsDumped),
    ("a constraint", "ALTER TABLE invoice ADD UNIQUE (note)", AsDumped),
    ("a constraint", "ALTER TABLE invoice ADD FOREIGN KEY (number) REFERENCES note (id)", AsDumped),
    ("a constraint", "ALTER TABLE invoice ALTER CONSTRAINT invoice_customer_fkey NOT DEFERRABLE", AsDumped),
    (
        "a constraint that is not validated",
        "ALTER TABLE invoice DROP CONSTRAINT paid, ADD CONSTRAINT paid CHECK (paid_on IS NULL OR net > 0) NOT VALID",
        AsDumped,
    ),
    ("a constraint whose triggers are disabled", "ALTER TABLE invoice DISABLE TRIGGER ALL", BeyondDump),
    ("an index", "DROP INDEX {index}", AsDumped),
    ("an index", "ALTER INDEX {index} RENAME TO renamed", AsDumped),
    ("an index", "CREATE INDEX added ON {of} ({column})", AsDumped),
    ("an index", "CREATE UNIQUE INDEX added ON {of} ({column})", AsDumped),
    (
        "an index",
        "DROP INDEX invoice_unpaid; CREATE INDEX invoice_unpaid ON invoice (customer, net) INCLUDE (note) WHERE paid_on IS NULL",
        AsDumped,
    ),
    (
        "an index",
        "DROP INDEX invoice_unpaid; CREATE INDEX invoice_unpaid ON invoice (customer, net DESC) INCLUDE (note)",
        AsDumped,
    ),
    (
        "an invalid index",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass",
        BeyondDump,
    ),
    ("a sequence", "ALTER SEQUENCE ticket INCREMENT {n}", AsDumped),
    ("a sequence", "ALTER SEQUENCE ticket NO CYCLE CACHE {n}", AsDumped),
    ("a sequence", "ALTER SEQUENCE customer_id_seq OWNED BY NONE", AsDumped),
    ("a sequence", "ALTER SEQUENCE ticket AS bigint NO MAXVALUE", AsDumped),
    ("a sequence", "CREATE SEQUENCE added", AsDumped),
    ("a view", "DROP VIEW unpaid", AsDumped),
    (
        "a view",
        "CREATE OR REPLACE VIEW unpaid AS SELECT i.id, c.name, i.net FROM invoice i JOIN customer c ON c.id = i.customer",
        AsDumped,
    ),
    ("a view", "ALTER VIEW happy RESET (security_barrier)", AsDumped),
    ("a view", "ALTER VIEW unpaid ALTER COLUMN net SET DEFAULT {n}", AsDumped),
    ("a materialized view", "DROP MATERIALIZED VIEW totals", AsDumped),
    ("a materialized view", "REFRESH MATERIALIZED VIEW totals WITH NO DATA", BeyondDump),
    ("a trigger", "DROP TRIGGER stamped ON invoice", AsDumped),
    ("a trigger", "ALTER TABLE invoice DISABLE TRIGGER stamped", AsDumped),
    ("a trigger", "ALTER TABLE invoice ENABLE ALWAYS TRIGGER checked", AsDumped),
    (
        "a trigger",
        "CREATE TRIGGER added AFTER DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION stamp()",
        AsDumped,
    ),
    ("a rule", "DROP RULE no_delete ON note", AsDumped),
    ("a rule", "ALTER TABLE note DISABLE RULE no_delete", AsDumped),
    ("a policy", "DROP POLICY named_only ON customer", AsDumped),
    ("a policy", "ALTER POLICY named_only ON customer USING (length(name) > {n})", AsDumped),
    ("a policy", "CREATE POLICY added ON {table} USING (true)", AsDumped),
    ("row-level security", "ALTER TABLE customer DISABLE ROW LEVEL SECURITY", AsDumped),
    ("row-level security", "ALTER TABLE {table} FORCE ROW LEVEL SECURITY", AsDumped),
    ("a function", "DROP PROCEDURE tidy", AsDumped),
    (
        "a function",
        "CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        AsDumped,
    ),
    ("a function", "ALTER FUNCTION {function} SECURITY DEFINER", AsDumped),
    ("a function", "ALTER FUNCTION {function} SET work_mem = '{n}MB'", AsDumped),
    ("a function", "ALTER FUNCTION vat COST {n}", AsDumped),
    ("a function", "CREATE FUNCTION added() RETURNS integer LANGUAGE sql AS 'SELECT {n}'", AsDumped),
    ("an aggregate", "DROP AGGREGATE product(numeric)", AsDumped),
    ("a type", "ALTER TYPE mood ADD VALUE 'number {n}'", AsDumped),
    ("a type", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", AsDumped),
    ("a type", "CREATE TYPE added AS ENUM ('a')", AsDumped),
    ("a type", "DROP TYPE price_range CASCADE", AsDumped),
    ("a domain", "ALTER DOMAIN positive DROP NOT NULL", AsDumped),
    ("a domain", "ALTER DOMAIN positive SET DEFAULT {n}", AsDumped),
    ("a domain", "ALTER DOMAIN positive DROP CONSTRAINT above_zero", AsDumped),
    ("a domain", "ALTER DOMAIN positive ADD CONSTRAINT added CHECK (VALUE < {n}) NOT VALID", AsDumped),
    ("extended statistics", "DROP STATISTICS invoice_pairs", AsDumped),
    ("another object", "DROP OPERATOR === (integer, integer)", AsDumped),
    ("another object", "DROP COLLATION german", AsDumped),
    ("another object", "DROP TEXT SEARCH CONFIGURATION plain", AsDumped),
    (
        "definitions of other objects",
        "ALTER TEXT SEARCH CONFIGURATION plain DROP MAPPING FOR word",
        OutOfScope,
    ),
    ("comments", "COMMENT ON TABLE {table} IS 'number {n}'", OutOfScope),
    ("privileges", "GRANT SELECT ON {table} TO PUBLIC", OutOfScope),
    ("storage and statistics settings", "ALTER TABLE {table} SET (fillfactor = 70)", OutOfScope),
    (
        "storage and statistics settings",
        "ALTER TABLE {of} ALTER COLUMN {column} SET STATISTICS {n}",
        OutOfScope,
    ),
    (
        "storage and statistics settings",
        "ALTER TABLE invoice ALTER COLUMN note SET STORAGE EXTERNAL",
        OutOfScope,
    ),
    ("storage and statistics settings", "ALTER TABLE invoice CLUSTER ON invoice_customer", OutOfScope),
    (
        "the order of columns",
        "ALTER TABLE booking ADD COLUMN other integer; UPDATE booking SET other = room; ALTER TABLE booking DROP COLUMN room CASCADE; \
      ALTER TABLE booking RENAME other TO room; ALTER TABLE booking ALTER room SET NOT NULL, ADD EXCLUDE USING gist (during WITH &&) WHERE (room > 0)",
        OutOfScope,
    ),
];

/// A change of a schema.
pub(crate) type Change = (&'static str, &'static str, Found);

/// The changes that are possible for any schema: they choose every name.
pub(crate) fn for_any_schema() -> Vec<Change> {
    const NAMES: [&str; 18] = [
        "invoice",
        "customer",
        "event",
        "note",
        "cache",
        "ticket",
        "unpaid",
        "happy",
        "totals",
        "tidy",
        "stamp",
        "vat",
        "product",
        "mood",
        "price_range",
        "positive",
        "booking",
        "{function}",
    ];
    const OTHERS: [&str; 3] = ["===", "german", "plain"];
    let is_general = |sql: &str| !NAMES.iter().chain(&OTHERS).any(|name| sql.contains(name));
    CHANGES.iter().copied().filter(|(_, sql, _)| is_general(sql)).collect()
}

/// A number from the environment, for a longer run.
pub(crate) fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn every_change_of_a_schema_is_found_or_of_a_kind_that_is_out_of_scope() {
    let database = Database::fresh();
    let portcullis = every_kind(&database.url(), &["acme"]);
    // Each kind occurs at least once.
    let names: Vec<String> =
        (0..number("MUTATIONS", CHANGES.len())).map(|number| format!("m{number:04}")).collect();
    let untouched: Vec<String> = (0..5).map(|number| format!("u{number:04}")).collect();
    for tenant in names.iter().chain(&untouched) {
        database.execute(&copy(tenant));
    }
    let mutations = Mutations { database: &database, original: "acme", ledger: "_sqlx_migrations" };
    mutations
        .check(CHANGES, &names, &untouched, || portcullis.run(["verify", "--structure", "--format", "json"]));
}

#[test]
fn the_page_about_structure_names_every_kind_of_change() {
    let page = include_str!("../../docs/structure.md");
    for (kind, _, found) in CHANGES {
        let (found_part, out_of_scope) = page.split_once("## Out of scope").unwrap();
        let part = if *found == OutOfScope { out_of_scope } else { found_part };
        assert!(part.contains(kind), "docs/structure.md does not contain {kind:?}");
    }
}

/// A tenant's schema, its ledger and its registry row.
fn copy(tenant: &str) -> String {
    format!(
        "CREATE SCHEMA {tenant}; SET search_path = {tenant}; {EVERY_KIND}; \
         CREATE TABLE {tenant}._sqlx_migrations (LIKE acme._sqlx_migrations INCLUDING ALL); \
         INSERT INTO {tenant}._sqlx_migrations SELECT * FROM acme._sqlx_migrations; \
         INSERT INTO public.tenants VALUES ('{tenant}')"
    )
}

/// Tenants that are changed at random, and their original.
pub(crate) struct Mutations<'a> {
    pub(crate) database: &'a Database,
    pub(crate) original: &'a str,
    pub(crate) ledger: &'a str,
}

impl Mutations<'_> {
    /// Changes the named tenants, and compares the gate's findings with pg_dump.
    pub(crate) fn check(
        &self,
        changes: &[Change],
        names: &[String],
        untouched: &[String],
        verify: impl FnOnce() -> Outcome,
    ) {
        let seed = u64::try_from(number("MUTATION_SEED", 14)).unwrap();
        let mut random = fastrand::Rng::with_seed(seed);
        let objects = self.objects();
        let made: Vec<(Change, String)> = names
            .iter()
            .enumerate()
            .map(|(number, tenant)| {
                let mut change = changes[number % changes.len()];
                loop {
                    let sql = objects.fill(change.1, tenant, &mut random);
                    if self.execute(tenant, &sql) {
                        return (change, sql);
                    }
                    // Not every change is possible for every table; another one of the same kind is tried.
                    if random.u8(..) < 20 {
                        change = changes[random.usize(..changes.len())];
                    }
                }
            })
            .collect();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (tenant, finding) in fleet::findings(&verify().exits(1)) {
            found.entry(tenant).or_default().push(finding);
        }
        let dump = self.dump(self.original);
        for tenant in untouched.iter().map(String::as_str).chain([self.original]) {
            assert_eq!(found.get(tenant), None, "a false alarm");
            assert_eq!(self.dump(tenant), dump, "{tenant}");
        }
        let mut wrong = Vec::new();
        let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for (tenant, ((kind, _, scope), sql)) in names.iter().zip(&made) {
            let is_dumped = self.dump(tenant) != dump;
            let is_found = found.contains_key(tenant);
            counts.entry(kind).or_default()[usize::from(is_found)] += 1;
            let right = match scope {
                AsDumped => is_found == is_dumped,
                BeyondDump => is_found,
                OutOfScope => !is_found,
            };
            if !right {
                wrong.push(format!("{kind}: {sql}: dumped {is_dumped}, found {:?}", found.get(tenant)));
            }
        }
        assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
        eprintln!("kind: [not found, found]\n{counts:#?}");
    }

    fn execute(&self, tenant: &str, sql: &str) -> bool {
        block_on(async {
            let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
            let sql = format!("SET search_path = {tenant}; {sql}");
            let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.is_ok();
            connection.close().await.unwrap();
            done
        })
    }

    /// pg_dump's text without the schema's name and without comments.
    fn dump(&self, tenant: &str) -> String {
        let schema = format!("--schema={tenant}");
        let ledger = format!("--exclude-table={tenant}.{}", self.ledger);
        let output = Command::new("pg_dump")
            .args(["--schema-only", &schema, &ledger, &self.database.url()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("--") && !line.starts_with('\\'));
        lines.map(|line| line.replace(tenant, "TENANT") + "\n").collect()
    }

    fn objects(&self) -> Objects {
        let Self { original, ledger, database } = self;
        let of_original = format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = '{original}' AND c.relname <> '{ledger}'"
        );
        let column = |select: &str| database.column(&format!("{select} ORDER BY 1"));
        Objects {
            tables: column(&format!("SELECT relname::text {of_original} WHERE relkind IN ('r', 'p')")),
            columns: column(&format!(
                "SELECT relname || '.' || attname {of_original} JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 \
                 WHERE relkind IN ('r', 'p')"
            )),
            constraints: column(&format!(
                "SELECT relname || '.' || conname {of_original} JOIN pg_constraint k ON k.conrelid = c.oid AND contype <> 't'"
            )),
            indexes: column(&format!(
                "SELECT x.relname::text {of_original} JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid"
            )),
        }
    }
}

/// The names from which a change chooses.
struct Objects {
    tables: Vec<String>,
    columns: Vec<String>,
    constraints: Vec<String>,
    indexes: Vec<String>,
}

impl Objects {
    fn fill(&self, sql: &str, tenant: &str, random: &mut fastrand::Rng) -> String {
        let mut one = |from: &[String]| from[random.usize(..from.len())].clone();
        let of = if sql.contains("{constraint}") { one(&self.constraints) } else { one(&self.columns) };
        let (table, part) = of.split_once('.').unwrap();
        let (any_table, index) = (one(&self.tables), one(&self.indexes));
        let function = if random.bool() { "stamp()" } else { "vat(numeric)" };
        sql.replace("{of}", table)
            .replace("{column}", part)
            .replace("{constraint}", part)
            .replace("{table}", &any_table)
            .replace("'{index}'", &format!("'{tenant}.{index}'"))
            .replace("{index}", &index)
            .replace("{function}", function)
            .replace("{n}", &random.u8(2..100).to_string())
    }
}
