//! Ledgers that the configuration describes. The rows are those of a house-made tool: an `INSERT` of each test.

use std::fs;

use super::project::Project;
use crate::documents::blocks::block;

const EACH: &str = r#"
framework = "custom"
tenant = "changes"
ledger = { table = "applied_changes", id = "change", applied_when = "state = 'done'", where = "state <> 'skipped' -- rows of the old tool", files = ["{id}/up.sql"] }
apply = { run = ["sh", "apply.sh", "{schema}"] }
"#;

const LATEST: &str = r#"
framework = "custom"
tenant = "changes"
ledger = { table = "version", id = "number", applied_when = "NOT dirty", rows = "latest", files = ["{number}_{name}.up.sql"] }
apply = { run = ["sh", "apply.sh", "{schema}"] }
"#;

/// Each tenant has a table for the ledger.
fn project(migrations: &str, ledger: &str, files: &[&str]) -> Project {
    let project = Project::new("custom", migrations, "debug");
    for file in files {
        project.write(&format!("changes/{file}"), "SELECT 1;\n");
    }
    for tenant in ["a", "b", "c"] {
        project.database.execute(&format!("CREATE TABLE {tenant}.{ledger}"));
    }
    project.manifest();
    project
}

#[test]
fn a_row_for_each_migration_counts_if_it_meets_the_conditions() {
    let project = project(
        EACH,
        "applied_changes (change text, state text)",
        &["one/up.sql", "two/up.sql", "two/down.sql"],
    );
    let record = |tenant: &str, rows: &str| {
        project.database.execute(&format!(
            "TRUNCATE {tenant}.applied_changes; INSERT INTO {tenant}.applied_changes VALUES {rows}"
        ));
    };
    record("a", "('one', 'done'), ('two', 'done'), ('zero', 'skipped')");
    project.verify("a").exits(0).prints_not("zero");
    record("a", "('one', 'done')");
    project.verify("a").exits(1).prints("pending").prints("two");
    record("a", "('one', 'done'), ('two', 'running')");
    project.verify("a").exits(1).prints("two").prints_not("pending");
    record("a", "('one', 'done'), ('two', NULL)");
    project.verify("a").exits(1).prints("two");
    record("a", "('one', 'done'), ('two', 'done'), ('three', 'done')");
    project.verify("a").exits(0).prints("ahead: three");
    // More than a few tenants are compared by digests.
    for tenant in ["d", "e", "f", "g"] {
        project.database.execute(&format!(
            "INSERT INTO tenants VALUES ('{tenant}'); CREATE SCHEMA {tenant}; CREATE TABLE {tenant}.applied_changes (change text, state text)"
        ));
    }
    for tenant in ["b", "c", "d", "e", "f"] {
        record(tenant, "('one', 'done'), ('two', 'done')");
    }
    record("g", "('one', 'done'), ('two', 'running')");
    project.portcullis.run(["verify"]).exits(1).prints("1 of 8 schemas incomplete").prints("g");
}

#[test]
fn a_ledger_with_the_newest_version_proves_every_version_before_it() {
    let files = ["1_one.up.sql", "000002_two.up.sql", "10_ten.up.sql", "10_ten.down.sql"];
    let project = project(LATEST, "version (number bigint, dirty boolean)", &files);
    let record = |row: &str| {
        project.database.execute(&format!("TRUNCATE a.version; INSERT INTO a.version VALUES {row}"));
        project.verify("a")
    };
    project.verify("a").exits(1).prints("1 one").prints("2 two").prints("10 ten");
    record("(10, false)").exits(0);
    record("(2, false)").exits(1).prints("10 ten").prints_not("2 two");
    record("(10, true)").exits(1).prints("10 ten").prints_not("2 two");
    record("(11, false)").exits(0).prints("ahead: 11");
    record("(3, false)").exits(1).prints("3").prints("10 ten");
}

#[test]
fn a_ledger_with_other_columns_is_not_proven() {
    let project = project(LATEST, "version (version text)", &["1_one.up.sql"]);
    project.verify("a").exits(74).prints("column \"dirty\" does not exist");
}

#[test]
fn the_configured_command_applies_what_is_pending() {
    let project = project(EACH, "applied_changes (change text, state text)", &["one/up.sql"]);
    let script = "set -eu\npsql --quiet -v ON_ERROR_STOP=1 \"$DATABASE_URL\" -c \
                  \"INSERT INTO $1.applied_changes VALUES ('one', 'done')\"\n";
    project.write("apply.sh", script);
    project.portcullis.run(["run"]).exits(0).prints("the server started");
    project.write("changes/two/up.sql", "SELECT 1;\n");
    project.portcullis.run(["verify"]).exits(78).prints("`two`");
    project.manifest();
    // The command succeeds without applying the new migration.
    project.portcullis.run(["run"]).exits(1).prints("migrations are still").prints_not("the server started");
}

#[test]
fn the_configured_command_has_the_configured_user() {
    let record = "psql --quiet -v ON_ERROR_STOP=1 $DATABASE_URL -c \\\"INSERT INTO $1.applied_changes VALUES ('one', 'done'); \
                  INSERT INTO who VALUES ('$(id -u) $(id -g) $(grep NoNewPrivs /proc/self/status | tr -d '[:blank:]')')\\\"";
    let command = format!(
        "{{ run = [\"sh\", \"-c\", \"{record}\", \"sh\", \"{{schema}}\"], user = \"daemon\", no_new_privileges = true }}"
    );
    let each = EACH.replace("{ run = [\"sh\", \"apply.sh\", \"{schema}\"] }", &command);
    let project = project(&each, "applied_changes (change text, state text)", &["one/up.sql"]);
    project.database.execute("CREATE TABLE who (line text)");
    project.portcullis.run(["run"]).exits(0).prints("the server started");
    let who = project.database.column("SELECT DISTINCT line FROM who");
    assert_eq!(who, ["1 1 NoNewPrivs:1"]);
}

#[test]
fn only_a_command_that_may_build_an_index_concurrently_has_no_time_outs() {
    let ledger = EACH.replace("tenant =", "shared = \"shared\"\ntenant =");
    let ledger = ledger.replace("apply = {", "apply = { lock_timeout = \"7s\", statement_timeout = \"8s\",");
    let project = Project::new("custom", &ledger, "debug");
    project.write(
        "apply.sh",
        "set -eu\nsql() { psql -qtAX -v ON_ERROR_STOP=1 \"$DATABASE_URL\" \"$@\"; }\n\
         echo \"$1: $(sql -c 'SHOW lock_timeout' -c 'SHOW statement_timeout' | tr '\\n' ' ')\"\n\
         sql -c \"CREATE TABLE IF NOT EXISTS $1.applied_changes (change text, state text)\"\n\
         [ \"$1\" = public ] && changes=shared || changes=changes\n\
         for change in $(ls $changes); do\n\
           [ -z \"$(sql -c \"SELECT 1 FROM $1.applied_changes WHERE change = '$change'\")\" ] || continue\n\
           echo \"SET search_path = $1;\" | cat - $changes/$change/up.sql | sql\n\
           sql -c \"INSERT INTO $1.applied_changes VALUES ('$change', 'done')\"\n\
         done\n",
    );
    let index = "CREATE INDEX CONCURRENTLY bill_total ON bill (total);\n";
    project.write("shared/1/up.sql", "CREATE TABLE bill (total int);\n");
    project.write("shared/2/up.sql", index);
    project.write("changes/1/up.sql", "-- small: not CONCURRENTLY\nCREATE TABLE bill (total int);\n");
    project.manifest();
    for schema in ["a", "b", "public"] {
        let ledger = format!("CREATE TABLE {schema}.applied_changes (change text, state text)");
        project.database.execute(&ledger);
    }
    project.portcullis.run(["migrate", "a"]).exits(0).prints("a: 7s 8s");
    project.portcullis.run(["tenant", "create", "d"]).exits(0).prints("d: 7s 8s");
    project.portcullis.run(["migrate", "--shared"]).exits(0).prints("public: 0 0");
    project.write("changes/2/up.sql", index);
    project.manifest();
    project.portcullis.run(["migrate", "a"]).exits(0).prints("a: 0 0");
    project.portcullis.run(["migrate", "b"]).exits(0).prints("b: 0 0");
    project.portcullis.run(["tenant", "create", "e"]).exits(0).prints("e: 0 0");
    project.write("changes/3/up.sql", "ALTER TABLE bill ADD COLUMN paid int;\n");
    project.manifest();
    project.portcullis.run(["migrate", "a"]).exits(0).prints("a: 7s 8s");
}

#[test]
fn two_files_with_one_identifier_are_refused() {
    let project = project(LATEST, "version (number bigint, dirty boolean)", &["1_one.up.sql"]);
    project.write("changes/001_other.up.sql", "");
    project.portcullis.run(["manifest", "files"]).exits(78).prints("have the same identifier `1`");
    fs::remove_dir_all(project.path("changes")).unwrap();
    project.portcullis.run(["manifest", "files"]).exits(78).prints("cannot read the migrations in `changes`");
}

/// The rows are those that Liquibase 4.28.0 wrote for these files.
#[test]
fn the_changesets_of_liquibase_are_listed_by_a_command_of_the_build() {
    let ledger = r#"framework = "custom"
tenant = "changesets.txt"
ledger = { table = "databasechangelog", id = "id", applied_when = "exectype IN ('EXECUTED', 'RERAN', 'MARK_RAN')" }
apply = { run = ["./migrate", "{schema}"] }
"#;
    let project = Project::new("custom", ledger, "debug");
    let list = || {
        let command = block("docs/ledgers.md", "RUN grep -hoP");
        project.portcullis.paste(command.trim_start_matches("RUN ")).exits(0);
        project.manifest();
    };
    project.write(
        "changelog/001.sql",
        "--liquibase formatted sql\n\n--changeset anna:account\nCREATE TABLE account (id int PRIMARY KEY);\n\
         --rollback DROP TABLE account\n\n-- changeset ben:account-total runInTransaction:true\n\
         ALTER TABLE account ADD COLUMN total int;\n",
    );
    list();
    assert_eq!(project.read("changesets.txt"), "account\naccount-total\n");
    project.database.execute(
        "CREATE TABLE a.databasechangelog (id text, author text, filename text, exectype text);
         INSERT INTO a.databasechangelog VALUES ('account', 'anna', 'changelog/001.sql', 'EXECUTED'),
         ('account-total', 'ben', 'changelog/001.sql', 'EXECUTED')",
    );
    project.verify("a").exits(0);
    project.write(
        "changelog/002.sql",
        "--liquibase formatted sql\n--changeset anna:bill\nCREATE TABLE bill (id int);\n",
    );
    list();
    project.verify("a").exits(1).prints("pending").prints("bill");
}
