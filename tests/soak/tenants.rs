//! KILL at many seeded instants of creations, and crashes of PostgreSQL: a tenant is complete or absent.
//!
//! `make test` kills fifty native creations and a few of Django's, `make soak` four hundred and a hundred.

use std::{fs, thread, time::Instant};

use nix::sys::signal::Signal;

use super::number;
use crate::support::{
    django,
    portcullis::Portcullis,
    sample::{Engine, Sample, TENANTS},
    server::Server,
};

const CREATIONS: u64 = 50;
const DJANGO: u64 = 3;
/// From this number of creations on, some must be complete and some absent.
const MANY: u64 = 100;
/// The server crashes during every creation whose number is a multiple of this.
const CRASHES: u64 = 10;

const DB: &str = "postgres";

const CONFIG: &str = r#"
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name" }
[migrations]
shared = "shared"
tenant = "tenant"
manifest = { file = "manifest.json" }
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "tenant schemas"
migrate.tenants = {}
[[step]]
name = "gate"
verify = { tenants = "all" }
"#;

/// The objects of a complete tenant, counted by PostgreSQL.
const BROKEN: &str = "SELECT t.name FROM tenants t WHERE 3 <> (SELECT count(*) FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = t.name AND c.relname IN ('one', 'one_id', 'three'))";
/// A schema that is neither a tenant's nor an earlier one.
const INCOMPLETE: &str = "SELECT nspname::text FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' AND nspname NOT IN \
    ('information_schema', 'public', 'portcullis', 'orphan') AND nspname::text NOT IN (SELECT name FROM tenants)";

#[test]
fn a_kill_at_any_instant_of_a_creation_leaves_a_tenant_complete_or_absent() {
    let mut server = Server::start("max_connections = 40");
    let seed = number("PORTCULLIS_SOAK_SEED").unwrap_or(1);
    let creations = number("PORTCULLIS_SOAK_CREATIONS").unwrap_or(CREATIONS);
    let portcullis = Portcullis::new()
        .env("DATABASE_URL", &server.url(DB))
        .config(CONFIG)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
        .file("tenant/1_one.sql", "CREATE TABLE one (id int);\nSELECT pg_sleep(0.02);\n")
        .file("tenant/3_three.sql", "CREATE TABLE three (id int);\n");
    // In one transaction, and with the journal.
    let inside = "CREATE INDEX one_id ON one (id);\n";
    let outside = "-- no-transaction\nCREATE INDEX CONCURRENTLY one_id ON one (id);\n";
    let mut portcullis = portcullis.file("tenant/2_index.sql", outside);
    portcullis.run(["manifest", "sql"]).exits(0);
    portcullis.run(["migrate", "--shared"]).exits(0);
    portcullis.run(["tenant", "create", "before"]).exits(0);
    server.execute(
        DB,
        "INSERT INTO before.one VALUES (42); CREATE SCHEMA orphan; CREATE TABLE orphan.one AS SELECT 42 AS id",
    );
    let (mut complete, mut absent) = (0, 0);
    for (half, text) in [(0, outside), (1, inside)] {
        portcullis = portcullis.file("tenant/2_index.sql", text);
        portcullis.run(["manifest", "sql"]).exits(0);
        // The ledger of the existing tenant must have the checksum of the current file.
        server.execute(DB, "DROP SCHEMA IF EXISTS before, measured CASCADE; DELETE FROM tenants");
        portcullis.run(["tenant", "create", "before"]).exits(0);
        server.execute(DB, "INSERT INTO before.one VALUES (42)");
        let started = Instant::now();
        portcullis.run(["tenant", "create", "measured"]).exits(0);
        let length = started.elapsed().mul_f64(1.1);
        for run in 0..creations / 2 {
            let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003) + run * 2 + half);
            let running = portcullis.spawn(["tenant", "create", "acme"]);
            thread::sleep(length.mul_f64(random.f64()));
            if run % CRASHES == 0 {
                server.crash();
                let outcome = running.wait();
                assert!(matches!(outcome.code, Some(0 | 73 | 74 | 75)), "run {run}, seed {seed}: {outcome}");
            } else {
                running.signal(Signal::SIGKILL);
                running.wait();
            }
            // A tenant that the gate passes is complete, also before any rollback.
            portcullis.run(["verify"]).exits(0);
            assert!(server.column(DB, BROKEN).is_empty(), "run {run}, seed {seed}");
            portcullis.run(["run", "--no-server"]).exits(0);
            let about = format!("run {run}, half {half}, seed {seed}");
            assert_eq!(server.column(DB, INCOMPLETE), Vec::<String>::new(), "{about}");
            assert_eq!(
                server.column(DB, "SELECT tenant FROM portcullis.journal"),
                Vec::<String>::new(),
                "{about}"
            );
            assert_eq!(server.column(DB, "SELECT id::text FROM before.one"), ["42"], "{about}");
            assert_eq!(server.column(DB, "SELECT id::text FROM orphan.one"), ["42"], "{about}");
            if server.column(DB, "SELECT name FROM tenants WHERE name = 'acme'").is_empty() {
                absent += 1;
            } else {
                complete += 1;
                portcullis.run(["tenant", "delete", "acme", "--yes"]).exits(0);
            }
        }
    }
    println!("seed {seed}: {creations} creations killed or crashed, {complete} complete, {absent} absent");
    assert!(absent > 0, "no instant was early enough");
    assert!(creations < MANY || complete > 0, "no instant was late enough");
}

#[test]
fn a_kill_at_any_instant_of_a_creation_in_a_file_leaves_a_tenant_complete_or_absent() {
    let seed = number("PORTCULLIS_SOAK_SEED").unwrap_or(1);
    let creations = number("PORTCULLIS_SOAK_CREATIONS").unwrap_or(CREATIONS);
    let sample = Sample::complete_on(Engine::Sqlite);
    let portcullis = &sample.portcullis;
    let dump = |tenant: &str| fs::read(portcullis.path(&format!("var/tenants/{tenant}.sqlite"))).ok();
    let before = TENANTS.map(dump);
    let started = Instant::now();
    portcullis.run(["tenant", "create", "acme2"]).exits(0);
    let length = started.elapsed().mul_f64(1.1);
    portcullis.run(["tenant", "delete", "acme2", "--yes"]).exits(0);
    let (mut complete, mut absent) = (0, 0);
    for run in 0..creations {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(3_000_017) + run);
        let running = portcullis.spawn(["tenant", "create", "acme2"]);
        thread::sleep(length.mul_f64(random.f64()));
        running.signal(Signal::SIGKILL);
        running.wait();
        let about = format!("run {run}, seed {seed}");
        let rows = || sample.number(None, "SELECT count(*) FROM {}tenants WHERE schema_name = 'acme2'");
        // A tenant that the gate passes is complete, also before any rollback.
        portcullis.run(["verify"]).exits(0);
        portcullis.run(["migrate"]).exits(0);
        // Only a run with the lock rolls back, and nothing pending makes a run acquire it.
        portcullis.run(["tenant", "create", "acme"]).exits(73);
        let mut files: Vec<String> = fs::read_dir(portcullis.path("var/tenants"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.retain(|name| !TENANTS.iter().any(|tenant| name.starts_with(&format!("{tenant}."))));
        assert_eq!(TENANTS.map(dump), before, "{about}");
        if rows() == 0 {
            assert_eq!(files, Vec::<String>::new(), "{about}");
            absent += 1;
        } else {
            assert_eq!(files, ["acme2.sqlite"], "{about}");
            portcullis.run(["verify", "--tenant", "acme2"]).exits(0);
            portcullis.run(["tenant", "delete", "acme2", "--yes"]).exits(0);
            complete += 1;
        }
    }
    println!("seed {seed}: {creations} creations in files killed, {complete} complete, {absent} absent");
    assert!(absent > 0, "no instant was early enough");
    assert!(creations < MANY || complete > 0, "no instant was late enough");
}

#[test]
fn a_kill_at_any_instant_of_a_django_creation_leaves_a_tenant_complete_or_absent() {
    let seed = number("PORTCULLIS_SOAK_SEED").unwrap_or(1);
    let creations = number("PORTCULLIS_SOAK_DJANGO").unwrap_or(DJANGO);
    let project = django::Project::complete();
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    // The steps for tables and tenants, without those of the application.
    let cut = config.find("[[step]]\nname = \"invoice totals\"").unwrap();
    fs::write(project.portcullis.path("config.toml"), &config[..cut]).unwrap();
    let public = || {
        project
            .database
            .column("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    };
    let before = public();
    let started = Instant::now();
    project.portcullis.run(["tenant", "create", "measured"]).exits(0);
    let length = started.elapsed().mul_f64(1.3);
    // PostgreSQL counts the tables, indexes and sequences and the rows of the ledger.
    let made_of = |schema: &str| {
        let relations = format!(
            "SELECT relkind::text || ' ' || relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace ORDER BY 1"
        );
        let ledger = format!("SELECT app || '.' || name FROM {schema}.django_migrations ORDER BY 1");
        (project.database.column(&relations), project.database.column(&ledger))
    };
    let (demo, measured) = (made_of("demo"), made_of("measured"));
    let (mut complete, mut absent) = (0, 0);
    for run in 0..creations {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(2_000_003) + run);
        let running = project.portcullis.spawn(["tenant", "create", "acme"]);
        thread::sleep(length.mul_f64(random.f64()));
        running.signal(Signal::SIGKILL);
        running.wait();
        // A tenant that the gate passes is complete, also before any rollback.
        project.portcullis.run(["verify"]).exits(0);
        project.portcullis.run(["run", "--no-server"]).exits(0);
        let schema = project.database.column("SELECT nspname::text FROM pg_namespace WHERE nspname = 'acme'");
        let row = project
            .database
            .column("SELECT schema_name::text FROM customers_client WHERE schema_name = 'acme'");
        assert_eq!(schema, row, "run {run}, seed {seed}");
        assert!(project.database.column("SELECT tenant FROM portcullis.journal").is_empty(), "run {run}");
        assert_eq!((public(), made_of("demo")), (before.clone(), demo.clone()), "run {run}, seed {seed}");
        if row.is_empty() {
            absent += 1;
        } else {
            complete += 1;
            assert_eq!(made_of("acme"), measured, "run {run}, seed {seed}");
            project.portcullis.run(["tenant", "delete", "acme", "--yes"]).exits(0);
        }
    }
    println!(
        "seed {seed}: {creations} creations through Django killed, {complete} complete, {absent} absent"
    );
    assert!(creations < MANY || (complete > 0 && absent > 0), "the instants were all early or all late");
}
