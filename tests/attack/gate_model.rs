//! The gate against a model: random registries, ledgers and tables, made by SQL alone. The gate's verdict equals that of a
//! few lines of this file, for every framework and both engines.

use std::{collections::BTreeSet, fs};

use fastrand::Rng;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use super::tries::{attack, seconds};
use crate::support::{
    cluster::{Database, block_on},
    portcullis::Portcullis,
};

/// The number of migrations; each creates a table with the columns `a` and `b`.
const MIGRATIONS: usize = 4;

/// A framework: its files, its ledger, and the row of a migration.
struct Framework {
    name: &'static str,
    /// The path and the text of migration `k`.
    file: fn(usize) -> (String, String),
    ledger: &'static str,
    /// The values of a row: the number, the identifier, the checksum, the state.
    row: fn(usize, &str, &str, State) -> String,
    has_checksum: bool,
    has_failures: bool,
    /// Only the newest migration has a row.
    heads: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Applied,
    Failed,
    /// An attempt that does not count.
    RolledBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Whole,
    Absent,
    WithoutColumn,
    View,
}

/// A tenant as it is made, before the gate sees it.
#[derive(Debug, Clone)]
struct Tenant {
    schema: bool,
    ledger: bool,
    /// Each with whether its checksum is another one.
    rows: Vec<(usize, State, bool)>,
    unknown: bool,
    tables: [Table; MIGRATIONS],
}

fn tenant(framework: &Framework, random: &mut Rng) -> Tenant {
    let newest = (MIGRATIONS - 1, State::Applied, false);
    let all = (0..MIGRATIONS).map(|k| (k, State::Applied, false)).collect();
    let mut tenant = Tenant {
        schema: true,
        ledger: true,
        rows: if framework.heads { vec![newest] } else { all },
        unknown: false,
        tables: [Table::Whole; MIGRATIONS],
    };
    for _ in 0..random.usize(0..4) {
        let k = random.usize(0..MIGRATIONS);
        let row = random.usize(0..MIGRATIONS);
        match random.u8(0..12) {
            0 => tenant.schema = random.bool(),
            1 => tenant.ledger = random.bool(),
            2 | 3 if framework.heads => tenant.rows = vec![(k, State::Applied, false)],
            2 | 3 => tenant.rows.retain(|(number, ..)| *number != row),
            4 if framework.has_failures => tenant.rows.iter_mut().for_each(|(number, state, _)| {
                if *number == row {
                    *state = State::Failed;
                }
            }),
            5 if framework.has_checksum => {
                tenant.rows.iter_mut().for_each(|(number, _, altered)| *altered |= *number == row);
            }
            6 => tenant.unknown = true,
            7 if framework.name == "prisma" => tenant.rows.push((row, State::RolledBack, false)),
            8 => tenant.tables[k] = Table::Absent,
            9 => tenant.tables[k] = Table::WithoutColumn,
            10 => tenant.tables[k] = Table::View,
            11 => tenant.rows.clear(),
            _ => {}
        }
    }
    tenant
}

/// What the gate must find.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    complete: bool,
    pending: BTreeSet<usize>,
    dirty: BTreeSet<usize>,
    altered: BTreeSet<usize>,
}

/// The model.
fn verdict(framework: &Framework, tenant: &Tenant) -> Verdict {
    if !tenant.schema || !tenant.ledger {
        return Verdict::default();
    }
    let rows = || tenant.rows.iter().filter(|(_, state, _)| *state != State::RolledBack);
    let applied: BTreeSet<usize> = if framework.heads {
        // An unknown revision hides what precedes it; if it is the only one, the tables decide.
        let newest = rows().map(|(number, ..)| *number).max();
        let newest = newest.or(tenant.unknown.then_some(MIGRATIONS - 1));
        newest.map(|newest| (0..=newest).collect()).unwrap_or_default()
    } else {
        rows().map(|(number, ..)| *number).collect()
    };
    let of = |wanted: fn(&(usize, State, bool)) -> bool| {
        rows().filter(|row| wanted(row)).map(|(number, ..)| *number).collect()
    };
    let pending: BTreeSet<usize> = (0..MIGRATIONS).filter(|number| !applied.contains(number)).collect();
    let dirty: BTreeSet<usize> = of(|(_, state, _)| *state == State::Failed);
    let altered: BTreeSet<usize> = of(|(_, state, altered)| *altered && *state == State::Applied);
    let whole = tenant.tables.iter().all(|table| *table == Table::Whole);
    let complete = whole && pending.is_empty() && dirty.is_empty() && altered.is_empty();
    Verdict { complete, pending, dirty, altered }
}

const FRAMEWORKS: [Framework; 8] = [
    Framework {
        name: "sql",
        file: |k| (format!("tenant/{}_m{k}.sql", k + 1), format!("CREATE TABLE m{k} (a int, b int);\n")),
        ledger: "_sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamp NOT NULL \
                 DEFAULT CURRENT_TIMESTAMP, success boolean NOT NULL, checksum BINARY NOT NULL, execution_time bigint NOT NULL)",
        row: |_, id, checksum, state| {
            let success = state == State::Applied;
            format!(
                "(version, description, success, checksum, execution_time) VALUES ({id}, 'm', {success}, HEX{checksum}END, 0)"
            )
        },
        has_checksum: true,
        has_failures: true,
        heads: false,
    },
    Framework {
        name: "alembic",
        file: |k| {
            let before = if k == 0 { "None".to_owned() } else { format!("\"rev{}\"", k - 1) };
            let text = format!(
                "revision = \"rev{k}\"\ndown_revision = {before}\nbranch_labels = None\ndepends_on = None\n"
            );
            (format!("migrations/rev{k}_m.py"), text)
        },
        ledger: "alembic_version (version_num varchar(32) PRIMARY KEY)",
        row: |_, id, _, _| format!("VALUES ('{id}')"),
        has_checksum: false,
        has_failures: false,
        heads: true,
    },
    Framework {
        name: "prisma",
        file: |k| {
            (
                format!("migrations/2024010100000{k}_m{k}/migration.sql"),
                format!("CREATE TABLE m{k} (a int, b int);\n"),
            )
        },
        ledger: "_prisma_migrations (id serial PRIMARY KEY, checksum text NOT NULL, finished_at timestamptz, migration_name text \
                 NOT NULL, logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), \
                 applied_steps_count int NOT NULL DEFAULT 0)",
        row: |_, id, checksum, state| {
            let (finished, rolled_back) = match state {
                State::Applied => ("now()", "NULL"),
                State::Failed => ("NULL", "NULL"),
                State::RolledBack => ("NULL", "now()"),
            };
            format!(
                "(checksum, finished_at, migration_name, rolled_back_at) VALUES ('{checksum}', {finished}, '{id}', {rolled_back})"
            )
        },
        has_checksum: true,
        has_failures: true,
        heads: false,
    },
    Framework {
        name: "drizzle",
        file: |k| (format!("migrations/000{k}_m{k}.sql"), format!("CREATE TABLE m{k} (a int, b int);\n")),
        ledger: "__drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint)",
        row: |_, id, checksum, _| format!("(hash, created_at) VALUES ('{checksum}', {id})"),
        has_checksum: true,
        has_failures: false,
        heads: false,
    },
    Framework {
        name: "typeorm",
        file: |k| {
            let text = format!("module.exports = class M{k}170406720000{k} {{}};\n");
            (format!("migrations/170406720000{k}-M{k}.js"), text)
        },
        ledger: "migrations (id serial PRIMARY KEY, timestamp bigint NOT NULL, name varchar NOT NULL)",
        row: |k, id, _, _| format!("(timestamp, name) VALUES (170406720000{k}, '{id}')"),
        has_checksum: false,
        has_failures: false,
        heads: false,
    },
    Framework {
        name: "knex",
        file: |k| {
            (format!("migrations/2024010100000{k}_m{k}.js"), "exports.up = exports.down = () => {};\n".into())
        },
        ledger: "knex_migrations (id serial PRIMARY KEY, name varchar(255), batch int, migration_time timestamptz)",
        row: |_, id, _, _| format!("(name, batch, migration_time) VALUES ('{id}', 1, now())"),
        has_checksum: false,
        has_failures: false,
        heads: false,
    },
    Framework {
        name: "sequelize",
        file: |k| (format!("migrations/2024010100000{k}-m{k}.js"), "module.exports = {};\n".into()),
        ledger: "\"SequelizeMeta\" (name varchar(255) PRIMARY KEY)",
        row: |_, id, _, _| format!("VALUES ('{id}')"),
        has_checksum: false,
        has_failures: false,
        heads: false,
    },
    Framework {
        name: "node-pg-migrate",
        file: |k| (format!("migrations/170406720000{k}_m{k}.sql"), "-- Up Migration\nSELECT 1;\n".into()),
        ledger: "pgmigrations (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)",
        row: |_, id, _, _| format!("(name, run_on) VALUES ('{id}', now())"),
        has_checksum: false,
        has_failures: false,
        heads: false,
    },
];

/// The engine of one try, with a new database.
enum Engine {
    Postgres(Database),
    Sqlite(Portcullis),
}

impl Engine {
    /// Runs SQL; on SQLite in the file of a tenant or of the shared schema.
    fn execute(&self, tenant: Option<&str>, sql: &str) {
        match self {
            Self::Postgres(database) => {
                let sql =
                    sql.replace("BINARY", "bytea").replace("HEX", "decode('").replace("END", "', 'hex')");
                database.execute(&sql);
            }
            Self::Sqlite(project) => {
                let name =
                    tenant.map_or("var/shared.sqlite".into(), |name| format!("var/tenants/{name}.sqlite"));
                fs::create_dir_all(project.path("var/tenants")).unwrap();
                let options =
                    SqliteConnectOptions::new().filename(project.path(&name)).create_if_missing(true);
                let sql = sql.replace("BINARY", "BLOB").replace("HEX", "x'").replace("END", "'");
                block_on(async {
                    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
                    connection.close().await.unwrap();
                });
            }
        }
    }
}

fn config(framework: &Framework) -> String {
    let folders = if framework.name == "sql" {
        "shared = \"shared\"\ntenant = \"tenant\"".to_owned()
    } else {
        let name = framework.name;
        format!(
            "framework = \"{name}\"\ntenant = \"migrations\"\napply = {{ run = [\"migrate\", \"{{schema}}\"] }}"
        )
    };
    format!(
        "database = {{ url = \"${{DATABASE_URL}}\" }}\ntenants = {{ registry = {{ table = \"tenants\", schema_column = \"name\" }} }}\n\
         [migrations]\n{folders}\n[[step]]\nname = \"gate\"\nverify = {{ tenants = \"all\" }}\n"
    )
}

/// The SQL that makes a tenant; `ids` has the identifier and the checksum of each migration.
fn make(framework: &Framework, tenant: &Tenant, ids: &[(String, String)]) -> String {
    let mut sql = String::new();
    let table = framework.ledger.split(' ').next().unwrap();
    if tenant.ledger {
        sql += &format!("CREATE TABLE {};", framework.ledger);
        for (number, state, altered) in &tenant.rows {
            let (id, checksum) = &ids[*number];
            let checksum = if *altered { checksum.chars().rev().collect() } else { checksum.clone() };
            sql += &format!("INSERT INTO {table} {};", (framework.row)(*number, id, &checksum, *state));
        }
        if tenant.unknown {
            let id = if ids[0].0.parse::<u64>().is_ok() { "1999999999999" } else { "unknown" };
            sql += &format!("INSERT INTO {table} {};", (framework.row)(9, id, "ab", State::Applied));
        }
    }
    for (k, table) in tenant.tables.iter().enumerate() {
        sql += &match table {
            Table::Whole => format!("CREATE TABLE m{k} (a int, b int);"),
            Table::Absent => String::new(),
            Table::WithoutColumn => format!("CREATE TABLE m{k} (a int);"),
            Table::View => format!("CREATE VIEW m{k} AS SELECT 1 AS a, 2 AS b;"),
        };
    }
    sql
}

fn judged(framework: &Framework, on_sqlite: bool, tenants: usize, random: &mut Rng) {
    let mut project = Portcullis::new().config(&config(framework));
    let engine = if on_sqlite {
        project = project.env("DATABASE_URL", "sqlite://var");
        Engine::Sqlite(project.copy())
    } else {
        let database = Database::fresh();
        project = project.env("DATABASE_URL", &database.url());
        Engine::Postgres(database)
    };
    project = project.file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n");
    let mut entries = Vec::new();
    for k in 0..MIGRATIONS {
        let (path, text) = (framework.file)(k);
        let tag = path.rsplit('/').next().unwrap().trim_end_matches(".sql").to_owned();
        entries.push(serde_json::json!({ "idx": k, "version": "7", "when": 1_704_067_200_000_u64 + k as u64, "tag": tag, "breakpoints": true }));
        project = project.file(&path, &text);
    }
    if framework.name == "drizzle" {
        let journal = serde_json::json!({ "version": "7", "dialect": "postgresql", "entries": entries });
        project = project.file("migrations/meta/_journal.json", &journal.to_string());
    }
    let command = if framework.name == "sql" { "sql" } else { "files" };
    project.run(["manifest", command]).exits(0);
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(project.path("portcullis.manifest.json")).unwrap()).unwrap();
    let migrations = manifest["tenant"]["migrations"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ids: Vec<(String, String)> =
        migrations.iter().map(|one| (text(&one["id"]), text(&one["checksum"]))).collect();
    let names: Vec<String> = migrations
        .iter()
        .map(|one| one["name"].as_str().or(one["id"].as_str()).unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), MIGRATIONS, "{manifest}");

    let mut cases: Vec<Tenant> = (0..tenants).map(|_| tenant(framework, random)).collect();
    let whole = Tenant {
        schema: true,
        ledger: true,
        rows: (if framework.heads { MIGRATIONS - 1 } else { 0 }..MIGRATIONS)
            .map(|k| (k, State::Applied, false))
            .collect(),
        unknown: false,
        tables: [Table::Whole; MIGRATIONS],
    };
    cases.push(whole);
    let mut registry = "CREATE TABLE tenants (name text PRIMARY KEY);".to_owned();
    if framework.name == "sql" {
        let shared = &manifest["shared"]["migrations"][0];
        let row = (framework.row)(0, &text(&shared["id"]), &text(&shared["checksum"]), State::Applied);
        registry += &format!("CREATE TABLE {}; INSERT INTO _sqlx_migrations {row};", framework.ledger);
    }
    let mut schemas = String::new();
    for (number, case) in cases.iter().enumerate() {
        registry += &format!("INSERT INTO tenants VALUES ('t{number}');");
        let (name, sql) = (format!("t{number}"), make(framework, case, &ids));
        match &engine {
            _ if !case.schema => {}
            Engine::Postgres(_) => {
                schemas += &format!("CREATE SCHEMA {name}; SET search_path TO {name}; {sql}");
            }
            Engine::Sqlite(_) => engine.execute(Some(&name), &sql),
        }
    }
    engine.execute(None, &(registry + &schemas));
    if let Engine::Sqlite(data) = &engine {
        fs::rename(data.path("var"), project.path("var")).unwrap();
    }
    if framework.name != "sql" {
        project.run(["manifest", "structure", "--tenant", &format!("t{tenants}")]).exits(0);
    }
    let outcome = project.run(["verify", "--format", "json"]);
    let report: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("no JSON: {outcome}"));
    for (number, case) in cases.iter().enumerate() {
        let expected = verdict(framework, case);
        let found = &report["tenants"][format!("t{number}")];
        let of = |kind: &str| -> BTreeSet<usize> {
            let findings = found["findings"].as_array().unwrap().iter().filter(|one| one["kind"] == kind);
            let listed = findings.flat_map(|one| one["migrations"].as_array().unwrap());
            listed
                .map(|name| names.iter().position(|known| name == known).expect("a known migration"))
                .collect()
        };
        let given = Verdict {
            complete: found["outcome"] == "complete",
            pending: of("pending"),
            dirty: of("dirty"),
            altered: of("altered"),
        };
        assert_eq!(given, expected, "{} t{number}: {case:?}\n{found:#}", framework.name);
    }
    let all = cases.iter().all(|case| verdict(framework, case).complete);
    assert_eq!(outcome.code, Some(i32::from(!all)), "{outcome}");
}

#[test]
fn the_gate_equals_a_model_for_every_framework() {
    let rounds = if seconds().is_some() { 40 } else { 1 };
    let tenants = if seconds().is_some() { 60 } else { 25 };
    let mut tries = Vec::new();
    for round in 0..rounds {
        for framework in &FRAMEWORKS {
            tries.push((format!("{} on PostgreSQL", framework.name), (round, framework, false)));
        }
        tries.push(("sql on SQLite".to_owned(), (round, &FRAMEWORKS[0], true)));
    }
    attack("gate", tries.len(), tries, |_, (_, framework, on_sqlite), random| {
        judged(framework, *on_sqlite, tenants, random);
    });
}
