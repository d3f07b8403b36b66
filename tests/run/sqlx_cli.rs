//! The real sqlx command line tool reads and continues our ledger, and we continue its.

use std::process::Command;

use super::on_both_engines;
use crate::support::{
    process::{Outcome, Running},
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
