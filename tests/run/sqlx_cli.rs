//! The real sqlx command line tool and Portcullis continue each other's ledger.

use std::{process::Command, thread};

use sqlx::{Connection, PgConnection, migrate::Migrator};

use super::on_both_engines;
use crate::support::{
    cluster::block_on,
    process::{Outcome, Running},
    project::Project,
    sample::{Engine, Sample, TENANTS},
};

on_both_engines! {
    sqlx_finds_nothing_pending_after_a_run
    sqlx_continues_after_a_run
    a_run_continues_after_sqlx
}

const NEXT: (&str, &str) =
    ("migrations/tenant/5_notes.sql", "CREATE TABLE crm_note (id bigint PRIMARY KEY);\n");

fn sqlx_finds_nothing_pending_after_a_run(engine: Engine) {
    let sample = Sample::complete_on(engine);
    for tenant in TENANTS {
        let outcome = sqlx(&sample, "info", Some(tenant)).prints_not("pending").prints_not("mismatch");
        assert_eq!(outcome.stdout.matches("/installed").count(), 4, "{outcome}");
    }
    sqlx(&sample, "info", None).prints_not("pending").prints("3/installed");
}

fn sqlx_continues_after_a_run(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    sample.portcullis = sample.portcullis.file(NEXT.0, NEXT.1);
    for tenant in TENANTS {
        sqlx(&sample, "run", Some(tenant)).prints("Applied 5/migrate notes");
    }
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["verify"]).exits(0);
}

fn a_run_continues_after_sqlx(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    sample.portcullis = sample.portcullis.file(NEXT.0, NEXT.1);
    sqlx(&sample, "run", Some("demo")).prints("Applied 5/migrate notes");
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["verify"]).exits(1).prints("acme");
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    for tenant in TENANTS {
        sqlx(&sample, "info", Some(tenant)).prints("5/installed").prints_not("pending");
    }
}

#[track_caller]
fn sqlx(sample: &Sample, what: &str, tenant: Option<&str>) -> Outcome {
    let source = if tenant.is_some() { "migrations/tenant" } else { "migrations/shared" };
    let mut command = Command::new("sqlx");
    command
        .args(["migrate", what, "--source", source, "--database-url", &sample.sqlx_url(tenant)])
        .current_dir(sample.portcullis.folder());
    Running::start(command, false).wait().exits(0)
}

/// The command line tool takes no lock; the library, which servers use, does.
#[test]
fn a_run_waits_for_a_server_that_migrates_with_sqlx() {
    let project =
        Project::complete("").file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n").file(
            "elsewhere/9000_slow.sql",
            "DO $$ BEGIN -- sqlx migrates\n\
             WHILE NOT EXISTS (SELECT FROM public.released) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$;\n",
        );
    // A separate ledger in the same database: sqlx locks the database, not the ledger.
    project.database.execute("CREATE SCHEMA elsewhere; CREATE TABLE released (n int)");
    let url = format!("{}?options=-c%20search_path%3Delsewhere", project.database.url());
    let folder = project.portcullis.path("elsewhere");
    let server = thread::spawn(move || {
        block_on(async {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            Migrator::new(folder).await.unwrap().run(&mut connection).await.unwrap();
        });
    });
    project.until_running("sqlx migrates");
    let waiting = project.portcullis.spawn(["run"]);
    waiting.wait_for_line("waiting for the lock: a program that migrates with sqlx");
    project.database.execute("INSERT INTO released VALUES (1)");
    server.join().unwrap();
    waiting.wait().exits(0).prints("the server started");
}
