//! Random changes of a schema with every kind of object. `pg_dump --schema-only` decides whether a change changed the
//! structure; the gate finds it unless its kind is out of scope, and finds nothing in a schema without a change.

use std::{collections::BTreeMap, process::Command};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::structure::{EVERY_KIND, every_kind};
use crate::support::{
    cluster::{Database, block_on},
    fleet,
};

/// Whether the gate finds a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// If and only if pg_dump's text differs.
    AsDumped,
    /// Although pg_dump's text is the same.
    BeyondDump,
    /// Although pg_dump's text differs, the gate does not.
    OutOfScope,
}
use Found::{AsDumped, BeyondDump, OutOfScope};

/// The kind as `docs/structure.md` names it, the statements, and whether the gate finds the change. `{table}`, `{column}`
/// (with its table in `{of}`), `{constraint}`, `{index}`, `{function}` and `{n}` are chosen at random.
const CHANGES: &[(&str, &str, Found)] = &[
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

/// The number of changed schemas; each kind occurs at least once.
fn count() -> usize {
    std::env::var("MUTATIONS").ok().map_or(CHANGES.len(), |text| text.parse().unwrap())
}

#[test]
fn every_change_of_a_schema_is_found_or_of_a_kind_that_is_out_of_scope() {
    let database = Database::fresh();
    let url = database.url();
    let portcullis = every_kind(&url, &["acme"]);
    let seed = std::env::var("MUTATION_SEED").ok().map_or(14, |text| text.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(seed);
    let names: Vec<String> = (0..count()).map(|number| format!("m{number:04}")).collect();
    let untouched: Vec<String> = (0..5).map(|number| format!("u{number:04}")).collect();
    for tenant in names.iter().chain(&untouched) {
        database.execute(&copy(tenant));
    }
    let objects = Objects::of(&database);
    let changes: Vec<(usize, String)> = names
        .iter()
        .enumerate()
        .map(|(number, tenant)| {
            let mut kind = number % CHANGES.len();
            loop {
                let sql = objects.fill(CHANGES[kind].1, tenant, &mut random);
                if execute(&url, tenant, &sql) {
                    return (kind, sql);
                }
                // Not every change is possible for every table; another one of the same kind is tried.
                if random.u8(..) < 20 {
                    kind = random.usize(..CHANGES.len());
                }
            }
        })
        .collect();
    let outcome = portcullis.run(["verify", "--structure", "--format", "json"]).exits(1);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tenant, finding) in fleet::findings(&outcome) {
        found.entry(tenant).or_default().push(finding);
    }
    let dump = dump(&url, "acme");
    for tenant in untouched.iter().map(String::as_str).chain(["acme"]) {
        assert_eq!(found.get(tenant), None, "a false alarm");
        assert_eq!(self::dump(&url, tenant), dump, "{tenant}");
    }
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for (tenant, (kind, sql)) in names.iter().zip(&changes) {
        let (kind, _, scope) = CHANGES[*kind];
        let is_dumped = self::dump(&url, tenant) != dump;
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

fn execute(url: &str, tenant: &str, sql: &str) -> bool {
    block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let sql = format!("SET search_path = {tenant}; {sql}");
        let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.is_ok();
        connection.close().await.unwrap();
        done
    })
}

/// pg_dump's text without the schema's name and without comments.
fn dump(url: &str, tenant: &str) -> String {
    let schema = format!("--schema={tenant}");
    let ledger = format!("--exclude-table={tenant}._sqlx_migrations");
    let output = Command::new("pg_dump").args(["--schema-only", &schema, &ledger, url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("--") && !line.starts_with('\\'));
    lines.map(|line| line.replace(tenant, "TENANT") + "\n").collect()
}

/// The names from which a change chooses.
struct Objects {
    tables: Vec<String>,
    columns: Vec<String>,
    constraints: Vec<String>,
    indexes: Vec<String>,
}

impl Objects {
    fn of(database: &Database) -> Self {
        let of_acme = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'acme' \
            AND c.relname <> '_sqlx_migrations'";
        let column = |select: &str| database.column(&format!("{select} ORDER BY 1"));
        Self {
            tables: column(&format!("SELECT relname::text {of_acme} WHERE relkind IN ('r', 'p')")),
            columns: column(&format!(
                "SELECT relname || '.' || attname {of_acme} JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 WHERE relkind IN ('r', 'p')"
            )),
            constraints: column(&format!(
                "SELECT relname || '.' || conname {of_acme} JOIN pg_constraint k ON k.conrelid = c.oid AND contype <> 't'"
            )),
            indexes: column(&format!(
                "SELECT i.indexrelid::regclass::text {of_acme} JOIN pg_index i ON i.indrelid = c.oid"
            ))
            .into_iter()
            .filter_map(|index| index.strip_prefix("acme.").map(str::to_owned))
            .collect(),
        }
    }

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
