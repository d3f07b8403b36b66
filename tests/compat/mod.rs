//! `portcullis compat`: PostgreSQL decides for random pairs of releases whether the statements of one work on the schema
//! of the other.

mod command;
mod generator;
mod statements;

use std::{collections::BTreeMap, fs};

use fastrand::Rng;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

use crate::support::{cluster::Database, portcullis::Portcullis};

const CONFIG: &str = "[database]\nurl = \"${DATABASE_URL}\"\n\
    [tenants]\nregistry = { table = \"tenants\", schema_column = \"name\" }\n\
    [migrations]\nshared = \"shared\"\ntenant = \"tenant\"\n";

/// The next releases of each first one. Each is judged in both directions.
const CHANGES: usize = 10;
/// The first releases; `make soak` tries more.
const RELEASES: u64 = 3;

#[test]
fn no_release_is_called_compatible_whose_statements_fail() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse().unwrap());
    let seed = number("PORTCULLIS_COMPAT_SEED").unwrap_or(1);
    let releases = number("PORTCULLIS_COMPAT_RELEASES").unwrap_or(RELEASES);
    let mut counts = Counts::default();
    for release in 0..releases {
        Judge::new(seed.wrapping_mul(1_000_003) + release).judge(&mut counts);
    }
    let Counts { pairs, failed, safe, false_alarms, notes, wrong } = counts;
    let alarms: usize = false_alarms.values().sum();
    println!(
        "seed {seed}: {pairs} answers, {safe} of them \"works\", {failed} with failing statements, {alarms} false alarms, {notes} with notes only"
    );
    for (changes, times) in false_alarms {
        println!("{times:6} {changes}");
    }
    assert!(wrong.is_empty(), "called compatible:\n{}", wrong.join("\n\n"));
    assert!(
        failed * 5 > pairs && (pairs - failed) * 5 > pairs,
        "the changes are too harmless, or too harmful"
    );
    assert!(safe * 8 > pairs, "too few of the harmless changes are called so");
}

#[derive(Default)]
struct Counts {
    pairs: usize,
    /// With statements that fail.
    failed: usize,
    /// Called compatible.
    safe: usize,
    /// By the findings: no statement fails.
    false_alarms: BTreeMap<String, usize>,
    notes: usize,
    wrong: Vec<String>,
}

/// One first release and its database.
struct Judge {
    portcullis: Portcullis,
    database: Database,
    random: Rng,
}

impl Judge {
    fn new(seed: u64) -> Self {
        let database = Database::fresh();
        Self { portcullis: project(&database), database, random: Rng::with_seed(seed) }
    }

    fn judge(mut self, counts: &mut Counts) {
        let mut server = Server::of(&self.database);
        let (schema, first) = loop {
            let (schema, sql) = generator::release(&mut self.random);
            if server.create("old", &sql) {
                break (schema, sql);
            }
        };
        let old = write_manifest(&self.portcullis, "old.json", &[&first]);
        for _ in 0..CHANGES {
            let change = loop {
                let change = generator::change(&mut self.random, &schema);
                if server.create("new", &format!("{first}{change}")) {
                    break change;
                }
            };
            let new = write_manifest(&self.portcullis, "new.json", &[&first, &change]);
            let output = self.portcullis.run(["compat", "old.json", "new.json", "--format", "json"]);
            let compared: Value = serde_json::from_str(&output.stdout).unwrap();
            for (question, code, schemas) in [
                ("old_code_on_new_schema", &old, ["old", "new"]),
                ("new_code_on_old_schema", &new, ["new", "old"]),
            ] {
                let statements = statements::of(code, &mut self.random);
                let error = server.first_difference(schemas, statements);
                counts.add(&compared[question], error, || format!("{first}--\n{change}-- {question}"));
            }
        }
    }
}

/// A project without tenant migrations.
fn project(database: &Database) -> Portcullis {
    Portcullis::new()
        .env("DATABASE_URL", &database.url())
        .config(CONFIG)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
}

/// Writes the manifest that the program derives from these tenant migrations.
fn write_manifest(project: &Portcullis, name: &str, migrations: &[&str]) -> Value {
    let folder = project.path("tenant");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    for (number, sql) in (1..).zip(migrations) {
        fs::write(folder.join(format!("{number}_x.sql")), sql).unwrap();
    }
    project.run(["manifest", "sql"]).exits(0);
    let text = fs::read_to_string(project.path("portcullis.manifest.json")).unwrap();
    fs::write(project.path(name), &text).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Counts {
    fn add(&mut self, answer: &Value, error: Option<String>, describe: impl Fn() -> String) {
        let works = answer["outcome"] == "works";
        self.pairs += 1;
        self.failed += usize::from(error.is_some());
        self.safe += usize::from(works);
        let findings = answer["findings"].as_array().unwrap();
        self.notes += usize::from(works && !findings.is_empty());
        match error {
            Some(error) if works => self.wrong.push(format!("{}\n{error}\n{answer}", describe())),
            None if !works => {
                let changes: Vec<String> = findings
                    .iter()
                    .map(|finding| format!("{} {}", finding["level"], finding["text"]))
                    .collect();
                *self.false_alarms.entry(changes.join("; ")).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// One connection, and the runtime that drives it.
struct Server {
    runtime: Runtime,
    connection: PgConnection,
}

/// Runs each statement in a subtransaction and returns its error, or NULL. Rows are where they are in a new table, and
/// sequences start again, so that a repetition finds the same rows.
const ATTEMPT: &str = "CREATE FUNCTION pg_temp.attempt(statements text[]) RETURNS text[] LANGUAGE plpgsql AS $$ \
    DECLARE statement text; errors text[] := '{}'; \
    BEGIN \
        SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') || ' RESTART IDENTITY' INTO statement FROM pg_class \
            WHERE relnamespace = current_schema::regnamespace AND relkind IN ('r', 'p'); \
        EXECUTE statement; \
        ALTER SEQUENCE IF EXISTS ticket RESTART; \
        FOREACH statement IN ARRAY statements LOOP \
            BEGIN EXECUTE statement; errors := errors || NULL::text; \
            EXCEPTION WHEN OTHERS THEN errors := errors || SQLERRM; END; \
        END LOOP; \
        RETURN errors; \
    END $$";

impl Server {
    fn of(database: &Database) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(PgConnection::connect(&database.url())).unwrap();
        let mut server = Self { runtime, connection };
        server.execute(ATTEMPT.into()).unwrap();
        server
    }

    fn execute(&mut self, sql: String) -> Result<(), String> {
        let executed = self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql)));
        self.runtime.block_on(executed).map(drop).map_err(|error| error.to_string())
    }

    /// Whether the server accepts the statements in a new schema of this name.
    fn create(&mut self, schema: &str, sql: &str) -> bool {
        self.execute(format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")).unwrap();
        self.execute(format!("SET search_path = {schema}; {sql}")).is_ok()
    }

    /// The first statement that the first schema accepts and the second one refuses, with the error.
    fn first_difference(&mut self, schemas: [&str; 2], mut statements: Vec<String>) -> Option<String> {
        // Without the refused ones, a later one may find another row.
        loop {
            let errors = self.attempt(schemas[0], &statements);
            if errors.iter().all(Option::is_none) {
                break;
            }
            statements = statements
                .into_iter()
                .zip(errors)
                .filter(|(_, error)| error.is_none())
                .map(|(sql, _)| sql)
                .collect();
        }
        assert!(!statements.is_empty());
        let mut refused = self.attempt(schemas[1], &statements).into_iter().zip(statements);
        refused.find_map(|(error, sql)| error.map(|error| format!("{sql}\n{error}")))
    }

    /// The error of each statement; nothing of their effect remains.
    fn attempt(&mut self, schema: &str, statements: &[String]) -> Vec<Option<String>> {
        self.execute(format!("BEGIN; SET LOCAL search_path = {schema}")).unwrap();
        let errors = sqlx::query_scalar("SELECT pg_temp.attempt($1)").bind(statements);
        let errors = self.runtime.block_on(errors.fetch_one(&mut self.connection)).unwrap();
        self.execute("ROLLBACK".into()).unwrap();
        errors
    }
}
