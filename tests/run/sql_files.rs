//! SQL files as psql and sqlx run them: the derivation of a manifest, accepted files and rejected files.

use std::fs;

use crate::support::project::Project;

/// A project whose manifest is a file, built from the current files.
fn with_manifest(project: Project) -> Project {
    let project = project.replace("auto = true", "file = \"manifest.json\"");
    project.portcullis.run(["manifest", "sql"]).exits(0);
    project
}

#[test]
fn a_file_can_use_the_commits_of_the_file_before_it() {
    let project = Project::complete("")
        .file(
            "tenant/2_state.sql",
            "CREATE TYPE state AS ENUM ('open');\nALTER TABLE item ADD state state;\n",
        )
        .file("tenant/3_void.sql", "ALTER TYPE state ADD VALUE 'void';\n")
        .file("tenant/4_use.sql", "ALTER TABLE item ALTER state SET DEFAULT 'void';\n");
    let project = with_manifest(project);
    project.start().exits(0).prints("the server started");
    assert_eq!(project.ledger("b"), ["1", "2", "3", "4"]);
    // A new tenant, which is created in one transaction if possible.
    project.portcullis.run(["tenant", "create", "d"]).exits(0);
    assert_eq!(project.ledger("d"), ["1", "2", "3", "4"]);
    let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'portcullis\\_%'";
    assert!(project.database.column(schemas).is_empty(), "a temporary schema remains");
}

#[test]
fn the_statements_of_a_file_without_a_transaction_run_one_by_one() {
    let project = Project::complete("").file(
        "tenant/2_indexes.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY one ON item (n); -- the first; of two\n\
         CREATE INDEX CONCURRENTLY two ON item (n, n);\nVACUUM item;\n",
    );
    let project = with_manifest(project);
    project.start().exits(0);
    assert_eq!(project.ledger("a"), ["1", "2"]);
    let project = project.file("tenant/3_bad.sql", "-- no-transaction\nSELECT 1;\nSELECT\n  nonsense;\n");
    project.portcullis.run(["manifest", "sql"]).exits(1).prints("3_bad.sql:4");
}

#[test]
fn each_file_is_committed_before_the_next_unless_one_transaction_is_configured() {
    for (apply, applied) in [("", vec!["1", "2"]), ("transaction = \"schema\"", vec!["1"])] {
        let project =
            Project::complete(apply).file("tenant/2_good.sql", "ALTER TABLE item ADD good int;\n").file(
                "tenant/3_bad.sql",
                "SELECT 1 / count(*) FROM public.tenants WHERE name = current_schema();\n",
            );
        let project = with_manifest(project.file("tenant/3_bad.sql", "SELECT 1;\n"));
        let failing = "SELECT 1 / (1 - count(*)) FROM public.tenants WHERE name = current_schema();\n";
        let project = super::migrations::edit_migration_and_manifest(project, "tenant/3_bad.sql", failing);
        project.start().exits(1).prints("3_bad.sql").prints("division by zero");
        assert_eq!(project.ledger("a"), applied, "{apply}");
    }
}

#[test]
fn a_file_with_a_mistyped_migration_name_stops_the_start() {
    for name in ["2-paid.sql", "2.sql", "paid.sql", "2_paid.SQL", "new/2_paid.sql"] {
        let project =
            Project::complete("").file(&format!("tenant/{name}"), "ALTER TABLE item ADD paid bool;\n");
        project.start().exits(78).prints(name).prints_not("the server started");
        project.portcullis.run(["manifest", "sql"]).exits(78).prints(name);
    }
}

#[test]
fn an_image_without_migrations_is_not_complete() {
    let project = with_manifest(Project::complete(""));
    project.database.execute("DROP TABLE a.item");
    fs::remove_file(project.portcullis.path("tenant/1_item.sql")).unwrap();
    project.start().exits(78).prints_not("the server started");
    project.portcullis.run(["manifest", "sql"]).exits(78).prints("no migration is expected of tenants");
    let project = project.replace("file = \"manifest.json\"", "file = \"manifest.json\", empty = true");
    project.portcullis.run(["manifest", "sql"]).exits(0);
}

#[test]
fn an_edited_manifest_stops_the_start() {
    let project = with_manifest(Project::complete(""));
    let path = project.portcullis.path("manifest.json");
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replace("\"n\"\n", "\n")).unwrap();
    project.database.execute("ALTER TABLE b.item DROP COLUMN n");
    project.start().exits(78).prints("edited or damaged").prints_not("the server started");
    project.portcullis.run(["manifest", "sql", "--check"]).exits(78).prints("THE MANIFEST CHECK FAILED");
}

#[test]
fn checking_a_manifest_needs_no_database() {
    let project = Project::new("").file("tenant/2_state.sql", "CREATE TYPE state AS ENUM ('open');\n");
    let project = with_manifest(project).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    project.portcullis.run(["manifest", "sql", "--check"]).exits(0);
    let project = project.env("DATABASE_URL", "sqlite://build");
    project.portcullis.run(["manifest", "sql", "--check"]).exits(0);
    let project = project.file("tenant/3_more.sql", "SELECT 1;\n");
    project.portcullis.run(["manifest", "sql", "--check"]).exits(78).prints("3 more");
}

#[test]
fn changed_line_ends_are_named_as_the_reason() {
    let project = with_manifest(Project::complete(""));
    let file = project.portcullis.path("tenant/1_item.sql");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace('\n', "\r\n")).unwrap();
    project.portcullis.run(["manifest", "sql"]).exits(0);
    project.start().exits(1).prints("only the line ends differ").prints("eol=lf");
}

#[test]
fn a_baseline_replaces_its_files() {
    let project = Project::new("")
        .file("tenant/2_two.sql", "ALTER TABLE item ADD two int;\n")
        .file("tenant/3_three.sql", "ALTER TABLE item ADD three int;\n")
        .started();
    let partly = project.database.column("DELETE FROM c._sqlx_migrations WHERE version = 3 RETURNING 'x'");
    assert_eq!(partly, ["x"]);
    for old in ["1_item", "2_two", "3_three"] {
        fs::remove_file(project.portcullis.path(&format!("tenant/{old}.sql"))).unwrap();
    }
    let baseline = "-- replaces: 1-3\nCREATE TABLE item (n bigint, two int, three int);\n";
    let project = project.file("tenant/4_baseline.sql", baseline);
    project
        .start()
        .exits(1)
        .prints("4 baseline")
        .prints("only some of the migrations that the file replaces");
    project
        .database
        .execute("INSERT INTO c._sqlx_migrations SELECT * FROM b._sqlx_migrations WHERE version = 3");
    project.start().exits(0).prints("the server started");
    assert_eq!(project.ledger("a"), ["1", "2", "3"]);
    project.portcullis.run(["tenant", "create", "d"]).exits(0);
    assert_eq!(project.ledger("d"), ["4"]);
    project.portcullis.run(["verify"]).exits(0);
    let project = project.file("tenant/4_baseline.sql", "-- replaces: 3-x\nSELECT 1;\n");
    project.start().exits(78).prints("-- replaces: 3-x");
}

#[test]
fn extensions_are_found_through_the_search_path() {
    let project = Project::complete("");
    project.database.execute("CREATE DOMAIN public.cents AS bigint");
    let project = project.file("tenant/2_cents.sql", "ALTER TABLE item ADD price cents;\n");
    project.start().exits(1).prints("search_path");
    let project = project.replace("tenant = \"tenant\"", "tenant = \"tenant\"\nsearch_path = [\"public\"]");
    project.start().exits(0);
    assert_eq!(project.columns("c"), ["n", "price"]);
}

#[test]
fn a_file_with_a_byte_order_mark_runs_as_with_psql() {
    let project = Project::new("")
        .file("tenant/2_plain.sql", "\u{feff}ALTER TABLE item ADD two int;\n")
        .file("tenant/3_vacuum.sql", "\u{feff}-- no-transaction\nVACUUM item;\n")
        .started();
    assert_eq!(project.ledger("a"), ["1", "2", "3"]);
    assert_eq!(project.columns("a"), ["n", "two"]);
}

#[test]
fn a_concurrent_statement_needs_a_file_without_a_transaction() {
    let sql = "CREATE INDEX CONCURRENTLY item_n ON item (n);\n";
    let project = Project::complete("").file("tenant/2_index.sql", sql);
    project.portcullis.run(["manifest", "sql"]).exits(1).prints("2_index.sql").prints("no-transaction");
    let project = project.file("tenant/2_index.sql", &format!("-- no-transaction\n{sql}"));
    project.start().exits(0);
}
