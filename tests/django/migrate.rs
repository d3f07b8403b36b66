//! `migrate` through the project's own command: only those that are behind, each with its own output.

use std::fs;

use crate::support::django::Project;

const BEHIND: &str = "DELETE FROM {}.django_migrations WHERE name = '0004_invoice_payment'; \
    ALTER TABLE {}.finance_invoice DROP COLUMN total, DROP COLUMN paid_on;";

fn behind(project: &Project, names: &[&str]) {
    project.copies(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    for name in names {
        project.database.execute(&BEHIND.replace("{}", name));
    }
}

#[test]
fn tenants_that_are_behind_are_migrated_and_one_that_fails_is_shown_with_its_output() {
    let project = Project::complete();
    behind(&project, &["acme", "bad", "corp"]);
    project.database.execute("ALTER TABLE bad.finance_invoice ADD COLUMN total int");
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let goes_on = config.replace("apply     = {", "apply     = { on_tenant_failure = \"continue\",");
    fs::write(project.portcullis.path("config.toml"), goes_on).unwrap();

    let outcome = project.portcullis.run(["migrate", "--all"]).exits(1);
    let text = outcome.failure_box();
    for word in [
        "bad",
        "finance.0004_invoice_payment",
        "already exists",
        "ProgrammingError",
        "2 of 3 schemas migrated",
    ] {
        assert!(text.contains(word) || outcome.stderr.contains(word), "{word}: {outcome}");
    }
    project.portcullis.run(["verify"]).exits(1).says("1 of 5 schemas incomplete").says("bad");

    project.database.execute("ALTER TABLE bad.finance_invoice DROP COLUMN total");
    project.portcullis.run(["migrate"]).exits(0).says("1 migration applied");
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn the_configured_command_gets_each_schema_as_one_argument() {
    let project = Project::complete();
    behind(&project, &["acme"]);
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let run = "run = [\"python\", \"manage.py\", \"migrate_schemas\", \"--schema={schema}\"],";
    fs::write(
        project.portcullis.path("config.toml"),
        config.replace("apply     = {", &format!("apply = {{ {run}")),
    )
    .unwrap();
    project.portcullis.run(["migrate"]).exits(0).says("1 migration applied");
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn what_other_code_recorded_is_never_applied_onto() {
    let project = Project::complete();
    behind(&project, &["acme"]);
    project.database.execute(
        "INSERT INTO acme.django_migrations (app, name, applied) VALUES ('finance', '0004_other', now())",
    );
    project.portcullis.run(["migrate"]).exits(1).says("diverged").says("0004_other");
    let rows = project
        .database
        .column("SELECT name::text FROM acme.django_migrations WHERE name = '0004_invoice_payment'");
    assert!(rows.is_empty());
}
