//! Creations concurrent with the gate, each other, the application and another registry.

use std::thread;

use nix::sys::signal::Signal;

use super::{SLOW, empty, journal, json, signalled_during_creation, tenants, with};
use crate::support::{portcullis::Portcullis, project::Project};

#[test]
fn a_tenant_that_is_being_created_does_not_break_the_gate() {
    let project = with(
        empty(""),
        "tenant/2_slow.sql",
        "-- no-transaction\nSELECT pg_sleep(3) WHERE current_schema() = 'acme';\n",
    );
    let running = project.portcullis.spawn(["tenant", "create", "acme"]);
    project.until_sleeping();
    let verified = project.portcullis.run(["verify"]).exits(0);
    verified.prints("creation or deletion in progress").prints_not("incomplete");
    running.wait().exits(0);
    project.portcullis.run(["verify"]).exits(0).prints_not("creation or deletion in progress");
    // A tenant that the application registers and later marks as ready.
    let ready = "ALTER TABLE tenants ADD ready boolean NOT NULL DEFAULT true;\n";
    let project = with(project, "shared/2_ready.sql", ready);
    let project = project.replace("schema_column = \"name\"", "schema_column = \"name\", where = \"ready\"");
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.database.execute("INSERT INTO tenants VALUES ('pending', false); CREATE SCHEMA pending");
    project.portcullis.run(["verify"]).exits(0);
    // A new row outside the condition is rejected before anything is created.
    let refused = project.portcullis.run(["tenant", "create", "odd", "--set", "ready=false"]).exits(73);
    refused.prints("the new row does not match").prints("rolled back");
    assert!(!project.exists("odd"));
}

#[test]
fn a_registry_row_written_during_a_creation_is_not_duplicated() {
    let waits = "-- no-transaction\nDO $$ BEGIN IF current_schema() = 'acme' THEN \
                 WHILE NOT EXISTS (SELECT FROM public.tenants) LOOP PERFORM pg_sleep(0.02); END LOOP; END IF; END $$;\n";
    let project = empty("");
    // The registry has no unique constraint on the name.
    project.database.execute("ALTER TABLE tenants DROP CONSTRAINT tenants_pkey");
    let project = with(project, "tenant/2_waits.sql", waits);
    let running = project.portcullis.spawn(["tenant", "create", "acme", "--json"]);
    project.until_sleeping();
    project.database.execute("INSERT INTO tenants VALUES ('acme')");
    let result = json(&running.wait().exits(73));
    assert_eq!(result["failure"]["left"], "unproved", "{result}");
    assert!(result["failure"]["message"].as_str().unwrap().contains("during its creation"), "{result}");
    assert_eq!(tenants(&project), ["acme"]);
}

#[test]
fn two_concurrent_creations_of_one_tenant_create_it_once() {
    let project =
        with(empty(""), "tenant/2_slow.sql", "SELECT pg_sleep(1) WHERE current_schema() = 'acme';\n");
    let first = project.portcullis.spawn(["tenant", "create", "acme"]);
    let second = project.portcullis.spawn(["tenant", "create", "acme"]);
    let mut codes = [first.wait().code, second.wait().code];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(73)]);
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_tenant_created_by_someone_else_is_never_removed() {
    let project = empty("");
    // The application writes the row and creates the schema, and commits when Portcullis' insert waits for it.
    let sign_up = "BEGIN; INSERT INTO tenants VALUES ('acme'); CREATE SCHEMA acme; CREATE TABLE acme.precious (id int); \
                   DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks l WHERE NOT l.granted \
                   AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid))) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$; COMMIT";
    let outcome = thread::scope(|scope| {
        let application = scope.spawn(|| project.database.execute(sign_up));
        project.until_sleeping();
        let outcome = project.portcullis.run(["tenant", "create", "acme", "--json"]);
        application.join().unwrap();
        outcome
    });
    let result = json(&outcome.exits(73));
    assert_eq!((&result["created"], &result["failure"]["left"]), (&false.into(), &"nothing".into()));
    assert!(result["failure"]["message"].as_str().unwrap().contains("duplicate key"), "{result}");
    assert_eq!(project.database.column("SELECT count(*)::text FROM acme.precious"), ["0"]);
    assert_eq!(tenants(&project), ["acme"]);
}

/// Another project with its own registry in the same database.
fn second_registry(project: &Project) -> Portcullis {
    project.database.execute("CREATE TABLE others (name text PRIMARY KEY)");
    let config = std::fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let other = Portcullis::new()
        .env("DATABASE_URL", &project.database.url())
        .config(
            &config
                .replace("table = \"tenants\"", "table = \"others\"")
                .replace("manifest.json", "other.json"),
        )
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
        .file("tenant/1_item.sql", "CREATE TABLE item (n bigint);\n");
    other.run(["manifest", "sql"]).exits(0);
    other
}

#[test]
fn two_registries_in_one_database_do_not_touch_each_others_tenants() {
    let project = with(Project::complete(""), "tenant/2_slow.sql", SLOW);
    let other = second_registry(&project);
    let delete = |name| other.run(["tenant", "delete", name, "--yes"]);
    delete("a").exits(73).prints("the registry does not contain it");
    assert_eq!((project.exists("a"), tenants(&project)), (true, vec!["a".into(), "b".into(), "c".into()]));
    // An unfinished tenant of another registry is not adopted even if a row names it.
    signalled_during_creation(&project, "acme", Signal::SIGKILL);
    delete("acme").exits(73).prints("registry `public.tenants`");
    project.database.execute("INSERT INTO others VALUES ('acme')");
    delete("acme").exits(73).prints("registry `public.tenants`");
    assert!(project.exists("acme"));
    // A row is removed without the journal entry of another registry.
    project.until_gone("pg_sleep");
    project.database.execute("DROP SCHEMA acme CASCADE");
    delete("acme").exits(0).prints("1 row of the registry").prints("no schema");
    assert_eq!(journal(&project), ["acme making"]);
}

#[test]
fn two_registries_in_one_database_do_not_touch_each_others_runs() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    let other = second_registry(&project);
    // The two have different locks, and the running creation is not a killed run.
    let running = project.portcullis.spawn(["tenant", "create", "acme"]);
    project.until_sleeping();
    other.run(["tenant", "create", "globex"]).exits(0).prints_not("acme");
    project.until_sleeping();
    running.signal(Signal::SIGKILL);
    running.wait();
    // Its leftovers are removed by the next run with the same registry.
    other.run(["tenant", "create", "initech"]).exits(0).prints_not("acme");
    assert_eq!(journal(&project), ["acme making"]);
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    project
        .portcullis
        .run(["tenant", "create", "hooli"])
        .exits(0)
        .prints("`acme`")
        .prints("left unfinished, was removed");
    assert_eq!(tenants(&project), ["hooli"]);
    assert_eq!(project.database.column("SELECT name FROM others ORDER BY 1"), ["globex", "initech"]);
}
