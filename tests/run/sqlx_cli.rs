//! The real sqlx command line tool reads and continues our ledger, and we continue its.

use std::process::Command;

use super::on_both_engines;
use crate::support::{
    process::{Outcome, Running},
    project::Project,
    sample::{Engine, Sample, TENANTS},
};

on_both_engines! {
    sqlx_finds_nothing_pending_in_what_we_applied
    sqlx_continues_what_we_began
    we_continue_what_sqlx_began
}

const NEXT: (&str, &str) =
    ("migrations/tenant/5_notes.sql", "CREATE TABLE crm_note (id bigint PRIMARY KEY);\n");

fn sqlx_finds_nothing_pending_in_what_we_applied(engine: Engine) {
    let sample = Sample::complete_on(engine);
    for tenant in TENANTS {
        let outcome = sqlx(&sample, "info", Some(tenant)).says_not("pending").says_not("mismatch");
        assert_eq!(outcome.stdout.matches("/installed").count(), 4, "{outcome}");
    }
    sqlx(&sample, "info", None).says_not("pending").says("3/installed");
}

fn sqlx_continues_what_we_began(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    sample.portcullis = sample.portcullis.file(NEXT.0, NEXT.1);
    for tenant in TENANTS {
        sqlx(&sample, "run", Some(tenant)).says("Applied 5/migrate notes");
    }
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["verify"]).exits(0);
}

fn we_continue_what_sqlx_began(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    sample.portcullis = sample.portcullis.file(NEXT.0, NEXT.1);
    sqlx(&sample, "run", Some("demo")).says("Applied 5/migrate notes");
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["verify"]).exits(1).says("acme");
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    for tenant in TENANTS {
        sqlx(&sample, "info", Some(tenant)).says("5/installed").says_not("pending");
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

#[test]
fn sqlx_at_work_is_waited_for_like_another_run() {
    let project = Project::complete("")
        .file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n")
        .file(
            "elsewhere/9000_slow.sql",
            "DO $$ BEGIN -- sqlx is at work\n\
             WHILE NOT EXISTS (SELECT FROM public.tenants WHERE name = 'go on') LOOP PERFORM pg_sleep(0.02); END LOOP;\n\
             DELETE FROM public.tenants WHERE name = 'go on'; END $$;\n",
        );
    // A ledger of its own, in the same database: sqlx locks the database, not the ledger.
    project.database.execute("CREATE SCHEMA elsewhere");
    let url = format!("{}?options=-c%20search_path%3Delsewhere", project.database.url());
    let mut command = Command::new("sqlx");
    command.args(["migrate", "run", "--source", "elsewhere", "--database-url", &url]);
    command.current_dir(project.portcullis.folder());
    let tool = Running::start(command, false);
    project.until_running("sqlx is at work");
    let waiting = project.portcullis.spawn(["run"]);
    waiting.wait_for_line("waiting for the lock: sqlx's own tool");
    project.database.execute("INSERT INTO tenants VALUES ('go on')");
    tool.wait().exits(0);
    waiting.wait().exits(0).says("the server started");
}
