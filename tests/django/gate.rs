//! The gate of the Django example before gunicorn runs.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::{
    django::{Project, TENANT},
    http::{free_port, get},
};

#[test]
fn the_finance_invoice_incident_does_not_reach_a_customer() {
    let port = free_port();
    let mut project = Project::complete();
    project.set("PORT", &port.to_string());
    let server = project.portcullis.spawn(["run"]);
    server.wait_for_line("Listening at");
    assert_eq!(get(port, "/t/demo/invoices/").0, 200);
    server.signal(Signal::SIGTERM);
    server.wait().exits(0);

    project.database.execute("DROP TABLE demo.finance_invoice CASCADE");
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    let blocked = project.portcullis.run(["run"]).exits(1).prints_not("Listening");
    let text = blocked.failure_box();
    for word in [TENANT, "finance_invoice", "finance.Invoice", "portcullis repair demo --replay finance"] {
        assert!(text.contains(word), "{word}: {blocked}");
    }
}

#[test]
fn an_empty_database_is_the_same_for_the_gate_the_doctor_and_the_tenant_commands() {
    let project = Project::new();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let empty = "the database is empty: this is its first start";
    for command in ["verify", "tenant create acme --set name=Acme", "tenant delete acme --yes"] {
        let outcome = project.portcullis.paste(&format!("portcullis {command}")).exits(1);
        let words = outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(empty) && words.contains(" migrate"), "{command}: {outcome}");
    }
    project.portcullis.run(["tenant", "list"]).exits(0).prints("no tenant: the database is empty");
    project.portcullis.run(["doctor"]).exits(1).prints(empty);
    project.portcullis.run(["migrate"]).exits(0);
    project.portcullis.run(["tenant", "create", "acme", "--set", "name=Acme"]).exits(0);
    project.portcullis.run(["verify"]).exits(0).prints("1 tenant complete");
}

#[test]
fn a_missing_or_stale_manifest_is_rejected_with_the_command_that_builds_it() {
    let project = Project::new();
    for command in ["verify", "run"] {
        let missing = project.portcullis.run([command]).exits(78).prints("portcullis.manifest.json");
        missing.prints("RUN portcullis manifest django");
    }
    project.portcullis.run(["manifest", "django"]).exits(0);
    let migration = project.portcullis.path("finance/migrations/0004_invoice_payment.py");
    let text = fs::read_to_string(&migration).unwrap();
    fs::write(&migration, text.clone() + "\n# changed\n").unwrap();
    let stale = project.portcullis.run(["verify"]).exits(78);
    stale
        .prints("0004_invoice_payment.py")
        .prints("was changed after it was derived")
        .prints("RUN portcullis manifest django");
    project.portcullis.run(["run"]).exits(78).prints("0004_invoice_payment.py").prints_not("Listening");
    project.portcullis.run(["manifest", "django", "--check"]).exits(78);
    fs::write(&migration, text).unwrap();
    project.portcullis.run(["manifest", "django", "--check"]).exits(0);
}

#[test]
fn building_a_manifest_needs_no_database_and_accepts_settings_from_the_environment() {
    let mut project = Project::new();
    project.set("DB_HOST", "192.0.2.1");
    project.portcullis.run(["manifest", "django"]).exits(0).prints("23 migrations, 9 tables");
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let config = config.replace("manage    = \"manage.py\"\n", "");
    fs::write(project.portcullis.path("config.toml"), config).unwrap();
    project.set("DJANGO_SETTINGS_MODULE", "invoicing.settings");
    project.portcullis.run(["manifest", "django", "--check"]).exits(0);
}

#[test]
fn settings_that_cannot_be_loaded_are_reported_with_their_line() {
    let project = Project::new();
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("DEBUG = ", "os.environ[\"NOWHERE\"]\nDEBUG = ")).unwrap();
    let failed = project.portcullis.run(["manifest", "django"]).exits(79);
    failed
        .prints("exited with 1: KeyError: 'NOWHERE'")
        .prints("   |   File \"")
        .prints("invoicing/settings.py\", line ");
}

#[test]
fn a_dropped_ledger_is_not_reported_as_a_dropped_schema() {
    let project = Project::complete();
    project.database.execute("DROP TABLE demo.django_migrations");
    let lost = project.portcullis.run(["verify"]).exits(1).prints("restore the ledger's table from a backup");
    lost.prints_not("its registry row was deleted");
}
