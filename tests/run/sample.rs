//! The sample from an empty database to a responding server, and its second start.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use nix::sys::signal::Signal;

use super::on_both_engines;
use crate::support::{
    http::{get, is_listening},
    portcullis::Portcullis,
    process::Running,
    sample::{Engine, Sample, TENANTS},
};

on_both_engines! {
    the_first_start_ends_with_a_server_that_responds
    the_second_start_changes_nothing
    the_server_is_the_process_that_was_started
    a_worker_does_not_migrate
    the_shipped_manifest_matches_the_migrations
    a_password_never_reaches_the_log
}

fn the_first_start_ends_with_a_server_that_responds(engine: Engine) {
    let sample = Sample::on(engine);
    let server = sample.serve();
    for tenant in TENANTS {
        let (status, page) = get(sample.port, &format!("/{tenant}/finance/invoices/"));
        assert_eq!(status, 200, "{page}");
        assert!(page.contains("INV-0001"), "{page}");
    }
    assert_eq!(get(sample.port, "/nobody/finance/invoices/").0, 404);
    assert_eq!(get(sample.port, "/static/invoices.css").0, 200);
    stop(server);
}

fn the_second_start_changes_nothing(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let ledgers =
        || TENANTS.map(|tenant| sample.number(Some(tenant), "SELECT count(*) FROM {}_sqlx_migrations"));
    let before = (ledgers(), files(&sample.portcullis.path("var")));
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    assert_eq!((ledgers(), files(&sample.portcullis.path("var"))), before);
}

fn the_server_is_the_process_that_was_started(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let server = sample.serve();
    let program = fs::read_link(format!("/proc/{}/exe", server.pid())).unwrap();
    assert_eq!(program.file_name().unwrap(), "invoices");
    stop(server);
}

fn a_worker_does_not_migrate(engine: Engine) {
    let sample = Sample::on(engine);
    let outcome = sample.portcullis.run(["--role", "worker", "run"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(!is_listening(sample.port));
    assert!(!sample.portcullis.path("var/tenants/demo.sqlite").exists());
}

fn the_shipped_manifest_matches_the_migrations(engine: Engine) {
    let sample = Sample::on(engine);
    sample.portcullis.run(["manifest", "sql", "--check"]).exits(0);
}

fn a_password_never_reaches_the_log(engine: Engine) {
    let sample = Sample::on(engine);
    let url = sample.sqlx_url(None);
    let password = url.split_once("postgres:").and_then(|(_, rest)| rest.split_once('@'));
    let outcome = sample.env("PORTCULLIS_LOG", "debug").portcullis.run(["run", "--no-server"]).exits(0);
    if let Some((password, _)) = password {
        outcome.prints_not(password.rsplit(':').next().unwrap());
    }
}

#[test]
fn a_start_with_nothing_to_do_takes_no_lock() {
    let database = crate::support::cluster::Database::fresh();
    let role = format!("{}_app", database.name());
    database
        .execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'app'; GRANT ALL ON SCHEMA public TO {role}"));
    database.execute(&format!("GRANT ALL ON DATABASE {} TO {role}", database.name()));
    let url = database.url();
    let (_, server) = url.split_once('@').unwrap();
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", &format!("postgres://{role}:app@{server}"));
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    // Every later request for an advisory lock fails.
    database.execute(
        "DO $$ DECLARE f regprocedure; BEGIN
           FOR f IN SELECT oid FROM pg_catalog.pg_proc WHERE proname LIKE 'pg%advisory%' LOOP
             EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
           END LOOP;
         END $$",
    );
    let outcome = sample.portcullis.run(["run", "--no-server"]);
    database.execute("DELETE FROM demo._sqlx_migrations WHERE version = 4");
    let pending = sample.portcullis.run(["run", "--no-server"]);
    database.execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
    outcome.exits(0);
    assert_ne!(pending.code, Some(0), "the refusal does not work, so it proves nothing\n{pending}");
}

#[test]
fn without_a_configuration_the_argv_runs_and_its_exit_code_is_returned() {
    let portcullis = Portcullis::new();
    portcullis.run(["run", "--no-config", "--", "true"]).exits(0);
    portcullis.run(["run", "--no-config", "--", "sh", "-c", "exit 7"]).exits(7);
}

#[test]
fn an_argv_that_passes_through_runs_no_step() {
    let sample = Sample::on(Engine::Sqlite);
    sample
        .portcullis
        .run(["run", "--", "sh", "-c", "echo straight through"])
        .exits(0)
        .prints("straight through");
    assert!(!sample.portcullis.path("var").exists());
    sample.portcullis.run(["run", "--", "echo", "after the gate"]).exits(0).prints("after the gate");
    assert!(sample.portcullis.path("var/tenants/demo.sqlite").exists());
}

#[track_caller]
fn stop(server: Running) {
    server.signal(Signal::SIGTERM);
    server.wait().exits(0);
}

/// Every file below a folder with its modification time; the static files are written at each start.
fn files(folder: &Path) -> BTreeMap<String, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "sqlite") {
            found.insert(path.display().to_string(), path.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

#[test]
fn unwritable_static_files_are_a_warning_with_the_reason() {
    let sample = Sample::on(Engine::Sqlite).env("STATIC_ROOT", "/proc/nowhere");
    let started = sample.portcullis.run(["run", "--no-server"]).exits(0);
    started
        .prints("cannot write static files to `/proc/nowhere`: No such file or directory")
        .prints_not("Os {");
}
