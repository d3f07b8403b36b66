//! `portcullis tenant`: whole or absent, whatever ends a creation, and nothing touched that is anybody else's.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{fence, migrations::behind_the_manifest};
use crate::support::{
    portcullis::Portcullis,
    process::{Outcome, Running},
    project::Project,
    proxy::Proxy,
    server::Server,
};

/// A file that runs outside a transaction, and long enough to be met in the middle.
const SLOW: &str = "-- no-transaction\nCREATE TABLE slow (id int);\nSELECT pg_sleep(50) WHERE current_schema() NOT LIKE 'portcullis%';\n";
/// Fails wherever a tenant is made of it, and not where the manifest is.
const BAD: &str = "CREATE TABLE x (id int);\nDO $$ BEGIN IF current_schema() NOT LIKE 'portcullis%' THEN RAISE EXCEPTION 'bad'; END IF; END $$;\n";

/// The shared schema is there, and no tenant.
fn empty(apply: &str) -> Project {
    let project = Project::new(apply);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project
}

/// With another file, which the manifest knows.
fn with(project: Project, name: &str, text: &str) -> Project {
    let mut project = project.file(name, text);
    let config = std::fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    if config.contains("auto = true") {
        project = project.replace("auto = true", "file = \"manifest.json\"");
    }
    project.portcullis.run(["manifest", "sql"]).exits(0);
    project
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}\n{outcome}"))
}

fn tenants(project: &Project) -> Vec<String> {
    project.database.column("SELECT name FROM tenants ORDER BY 1")
}

fn journal(project: &Project) -> Vec<String> {
    project.database.column("SELECT tenant || ' ' || kind FROM portcullis.journal ORDER BY 1")
}

/// Starts a creation and returns once its slow file runs.
fn killed_in_the_middle(project: &Project, tenant: &str, signal: Signal) -> Outcome {
    let running = project.portcullis.spawn(["tenant", "create", tenant]);
    project.until_sleeping();
    running.signal(signal);
    running.wait()
}

#[test]
fn a_created_tenant_is_one_that_the_gate_passes() {
    let project = empty("");
    let outcome = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(0);
    let answer = json(&outcome);
    assert_eq!((&answer["created"], &answer["schema"]), (&Value::Bool(true), &Value::from("acme")));
    project.portcullis.run(["verify", "--tenant", "acme"]).exits(0);
    assert_eq!(project.ledger("acme"), ["1"]);
    assert!(journal(&project).is_empty());
    let comment = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'acme' \
                   AND obj_description(oid, 'pg_namespace') IS NOT NULL";
    assert!(project.database.column(comment).is_empty());
}

#[test]
fn the_rows_other_columns_are_what_the_command_line_says() {
    let project = empty("").file(
        "shared/2_more.sql",
        "ALTER TABLE tenants RENAME name TO schema; ALTER TABLE tenants ADD name text, ADD plan text NOT NULL;\n",
    );
    let project = project.replace("schema_column = \"name\"", "schema_column = \"schema\"");
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    let create = ["tenant", "create", "Acme GmbH", "--schema", "acme", "--set", "plan=it's \\ \"x\""];
    project.portcullis.run(create).exits(0);
    let row = "SELECT schema || '|' || name || '|' || plan FROM tenants";
    assert_eq!(project.database.column(row), ["acme|Acme GmbH|it's \\ \"x\""]);
    // A column that nobody filled, and one that is not there.
    let lacking = project.portcullis.run(["tenant", "create", "globex"]).exits(73);
    lacking.says("plan").says("rolled back");
    project.portcullis.run(["tenant", "create", "globex", "--set", "plans=x"]).exits(73).says("plans");
    project.portcullis.run(["tenant", "create", "globex", "--set", "schema=x"]).exits(64);
    project.portcullis.run(["tenant", "create", "globex", "--domain", "x.example"]).exits(64).says("domains");
    assert!(!project.exists("globex"));
}

#[test]
fn what_is_there_already_is_refused_and_left_alone() {
    let project = empty("");
    project.portcullis.run(["tenant", "create", "acme"]).exits(0);
    let again = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
    assert_eq!(json(&again)["failure"]["left"], "as it was", "{again}");
    project.database.execute("CREATE SCHEMA stray; INSERT INTO tenants VALUES ('ghost')");
    for (tenant, why) in [("stray", "registry does not name"), ("ghost", "its schema is not there")] {
        let refused = project.portcullis.run(["tenant", "create", tenant]).exits(73);
        refused.says(why).says("not rolled back: cannot prove that this run created it");
    }
    assert!(project.exists("stray"));
    assert_eq!(tenants(&project), ["acme", "ghost"]);
}

#[test]
fn a_migration_that_fails_leaves_nothing_in_one_transaction_or_in_many() {
    for first in ["", "-- no-transaction\n"] {
        let project = with(empty(""), "tenant/2_bad.sql", &format!("{first}{BAD}"));
        let outcome = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
        let failure = &json(&outcome)["failure"];
        assert_eq!((&failure["id"], &failure["left"]), (&"provisioning-failed".into(), &"nothing".into()));
        assert!(failure["place"].as_str().unwrap().contains("2_bad.sql"), "{outcome}");
        assert!(failure["message"].as_str().unwrap().contains("rolled back"), "{outcome}");
        assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
    }
}

#[test]
fn a_file_that_commits_by_itself_and_fails_leaves_nothing_either() {
    let project = with(empty(""), "tenant/2_commits.sql", "SELECT 1;\n");
    let project = behind_the_manifest(
        project,
        "tenant/2_commits.sql",
        "CREATE TABLE x (id int);\nCOMMIT;\nSELECT 1/0;\n",
    );
    project.portcullis.run(["tenant", "create", "acme"]).exits(73).says("rolled back");
    assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
}

#[test]
fn a_time_out_is_said_to_be_rolled_back_because_it_is() {
    for first in ["", "-- no-transaction\n"] {
        let project = with(
            empty("timeout = \"1s\""),
            "tenant/2_slow.sql",
            &format!("{first}SELECT pg_sleep(40) WHERE current_schema() = 'acme';\n"),
        );
        let outcome = project.portcullis.run(["tenant", "create", "acme"]).exits(73);
        outcome.says("ran longer than 1 s").says("(rolled back)");
        assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
    }
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    let outcome = killed_in_the_middle(&project, "acme", Signal::SIGTERM).exits(143);
    outcome.says("`acme` was being created: rolled back");
    assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
    // In a start-up too.
    let project = project.replace("tenants = [\"a\", \"b\", \"c\"] }", "tenants = [\"a\"] }");
    let running = project.portcullis.spawn(["run"]);
    project.until_sleeping();
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).says("`a` was being created: rolled back");
    assert!(!project.exists("a") && journal(&project).is_empty());
}

#[test]
fn a_signal_while_the_server_is_silent_ends_the_run_within_the_grace() {
    let (server, port) = fence::server();
    let proxy = Proxy::to(port);
    let project = with(empty(""), "tenant/2_slow.sql", SLOW)
        .replace("tenants = [\"a\", \"b\", \"c\"] }", "tenants = [\"a\"] }");
    let through = project.database.url().replace(&server, &format!("127.0.0.1:{}", proxy.port()));
    let project = project.env("DATABASE_URL", &through);
    let running = project.portcullis.spawn(["run"]);
    project.until_sleeping();
    proxy.block();
    let signalled = Instant::now();
    running.signal(Signal::SIGTERM);
    let outcome = running.wait().exits(143).says("`a` was being created: not rolled back");
    let took = signalled.elapsed();
    proxy.give_up();
    assert!(took < Duration::from_secs(15), "{took:?} {outcome}");
    outcome.says("the next run that acquires the lock does it");
}

#[test]
fn what_a_killed_run_left_is_no_broken_tenant_and_is_removed_by_the_next_holder_of_the_lock() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    killed_in_the_middle(&project, "acme", Signal::SIGKILL);
    assert!(project.exists("acme"));
    assert_eq!(journal(&project), ["acme making"]);
    // The gate has no tenant to judge, and says what stands there.
    let verified = project.portcullis.run(["verify"]).exits(0);
    verified.says("left behind by a run that was killed: acme").says_not("no tenant row names");
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    // A start with nothing else to do takes it away.
    project.database.execute("SELECT 1");
    let outcome = project.portcullis.run(["migrate"]).exits(0);
    outcome.says("`acme`").says("left unfinished: removed");
    assert!(!project.exists("acme") && journal(&project).is_empty());
    project.portcullis.run(["tenant", "create", "acme"]).exits(0);
}

#[test]
fn what_cannot_be_removed_of_one_killed_run_keeps_nobody_from_removing_the_others() {
    let project = with(empty("lock_timeout = \"1s\""), "tenant/2_slow.sql", SLOW);
    killed_in_the_middle(&project, "acme", Signal::SIGKILL);
    project.until_gone("pg_sleep");
    project.database.while_held("LOCK TABLE acme._sqlx_migrations IN ACCESS SHARE MODE", || {
        killed_in_the_middle(&project, "globex", Signal::SIGKILL);
        assert_eq!(journal(&project), ["acme making", "globex making"]);
        project.until_gone("pg_sleep");
        let quick = "CREATE TABLE quick (id int);\n";
        std::fs::write(project.portcullis.path("tenant/2_slow.sql"), quick).unwrap();
        project.portcullis.run(["manifest", "sql"]).exits(0);
        let created = project.portcullis.run(["tenant", "create", "globex"]).exits(0);
        let created = created.says("`acme`").says("could not be removed yet").says("lock timeout");
        created.says("`globex`, which").says("left unfinished: removed");
        let later = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
        assert_eq!(json(&later)["failure"]["left"], "later", "{later}");
    });
    assert_eq!((tenants(&project), journal(&project)), (vec!["globex".into()], vec!["acme making".into()]));
    // Nor does what would go along with it.
    project.database.execute("CREATE VIEW seen AS SELECT version FROM acme._sqlx_migrations");
    project.portcullis.run(["tenant", "create", "hooli"]).exits(0).says("depends on it: view public.seen");
    assert_eq!(journal(&project), ["acme making"]);
    project.database.execute("DROP VIEW seen");
    project.portcullis.run(["tenant", "create", "acme"]).exits(0).says("left unfinished: removed");
    assert!(journal(&project).is_empty());
}

#[test]
fn what_the_mark_does_not_prove_is_named_and_left() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    killed_in_the_middle(&project, "acme", Signal::SIGKILL);
    project.until_gone("pg_sleep");
    // Somebody else has taken the name since, and even the mark.
    let taken = "DO $$ DECLARE mark text := obj_description('acme'::regnamespace, 'pg_namespace'); BEGIN \
                 DROP SCHEMA acme CASCADE; CREATE SCHEMA acme; CREATE TABLE acme.precious (id int); \
                 EXECUTE format('COMMENT ON SCHEMA acme IS %L', mark); END $$";
    project.database.execute(taken);
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    let refused = project.portcullis.run(["tenant", "create", "acme"]).exits(73);
    refused.says("does not bear the mark").says("not rolled back: cannot prove that this run created it");
    assert_eq!(project.database.column("SELECT count(*)::text FROM acme.precious"), ["0"]);
    // A row that somebody else wrote is not ours either, nor then the schema.
    let project = with(project, "tenant/2_slow.sql", SLOW);
    killed_in_the_middle(&project, "globex", Signal::SIGKILL);
    project.database.execute("INSERT INTO tenants VALUES ('globex')");
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    project.portcullis.run(["tenant", "create", "other"]).exits(0).says("did not write that");
    assert!(project.exists("globex"));
}

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
    verified.says("being created").says_not("incomplete");
    running.wait().exits(0);
    project.portcullis.run(["verify"]).exits(0).says_not("being created");
    // One that the application registers itself, and says when it is ready.
    let ready = "ALTER TABLE tenants ADD ready boolean NOT NULL DEFAULT true;\n";
    let project = with(project, "shared/2_ready.sql", ready);
    let project = project.replace("schema_column = \"name\"", "schema_column = \"name\", where = \"ready\"");
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.database.execute("INSERT INTO tenants VALUES ('pending', false); CREATE SCHEMA pending");
    project.portcullis.run(["verify"]).exits(0);
    // A new row that would not count is refused before anything is made.
    let refused = project.portcullis.run(["tenant", "create", "odd", "--set", "ready=false"]).exits(73);
    refused.says("a new row does not meet").says("rolled back");
    assert!(!project.exists("odd"));
}

#[test]
fn tenants_are_listed_and_shown_with_what_the_gate_says() {
    let project = Project::complete("");
    project.database.execute("DROP TABLE b.item");
    let list = project.portcullis.run(["tenant", "list"]).exits(0);
    assert_eq!(list.stdout.lines().count(), 3, "{list}");
    let broken = project.portcullis.run(["tenant", "list", "--state", "incomplete", "--json"]).exits(0);
    let tenants = json(&broken);
    assert_eq!(
        (tenants["tenants"].as_array().unwrap().len(), &tenants["tenants"][0]["tenant"]),
        (1, &"b".into())
    );
    project.portcullis.run(["tenant", "show", "b"]).exits(0).says("item");
    project.portcullis.run(["tenant", "show", "a"]).exits(0).says("complete");
    project.portcullis.run(["tenant", "show", "nobody"]).exits(1);
}

#[test]
fn a_deleted_tenant_is_gone_and_nothing_else_is() {
    let project = Project::complete("");
    project.portcullis.run(["tenant", "delete", "a"]).exits(64).says("--yes");
    assert!(project.exists("a"));
    let deleted = project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(0);
    deleted.says("1 row of the registry").says("2 tables");
    assert!(!project.exists("a"));
    assert_eq!(tenants(&project), ["b", "c"]);
    project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(73).says("no row and no schema");
    // What is no tenant's is not deleted, whatever it is called.
    project.database.execute("CREATE SCHEMA reports; CREATE VIEW reports.items AS SELECT * FROM b.item");
    for name in ["public", "reports", "pg_catalog", "portcullis"] {
        project.portcullis.run(["tenant", "delete", name, "--yes"]).exits(73);
    }
    // Nor is a tenant on whose tables somebody else's view stands.
    project.portcullis.run(["tenant", "delete", "b", "--yes"]).exits(73).says("reports.items");
    project.portcullis.run(["verify"]).exits(0);
    project.database.execute("DROP SCHEMA c CASCADE");
    project.portcullis.run(["tenant", "delete", "c", "--yes"]).exits(0).says("no schema");
}

#[test]
fn a_program_that_asks_for_json_gets_it_for_a_failure_too() {
    let project = Project::complete("");
    project.database.execute("CREATE VIEW items AS SELECT * FROM b.item");
    let refused = project.portcullis.run(["tenant", "delete", "b", "--yes", "--json"]).exits(73);
    let answer = json(&refused);
    assert_eq!((&answer["tenant"], &answer["deleted"]), (&"b".into(), &false.into()), "{refused}");
    assert_eq!(answer["failure"]["id"], "deleting-failed");
    assert!(answer["failure"]["message"].as_str().unwrap().contains("view public.items"), "{refused}");
    let deleted = project.portcullis.run(["tenant", "delete", "a", "--yes", "--json"]).exits(0);
    assert_eq!(json(&deleted)["deleted"], true);
    let unasked = json(&project.portcullis.run(["tenant", "delete", "c", "--json"]).exits(64));
    assert_eq!((&unasked["deleted"], &unasked["failure"]["id"]), (&false.into(), &"usage".into()));
    // Before anything of the database is asked.
    let project = project.replace("registry = {", "registri = {");
    for arguments in
        [["list", "--state=complete", "--json"], ["show", "b", "--json"], ["create", "d", "--json"]]
    {
        let [one, two, three] = arguments;
        let outcome = project.portcullis.run(["tenant", one, two, three]).exits(78);
        assert_eq!(json(&outcome)["failure"]["id"], "config-invalid", "{outcome}");
        assert!(outcome.stderr.contains("registri"), "{outcome}");
    }
    let project = project
        .replace("registri = {", "registry = {")
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    for arguments in [["list", "--state=complete", "--json"], ["show", "b", "--json"]] {
        let [one, two, three] = arguments;
        let outcome = project.portcullis.run(["tenant", one, two, three]);
        let failure = json(&outcome)["failure"].clone();
        assert_eq!(failure["code"], outcome.code.unwrap(), "{outcome}");
        assert!(!failure["message"].as_str().unwrap().is_empty() && outcome.stderr.is_empty(), "{outcome}");
    }
}

#[test]
fn a_deletion_asks_for_the_name_on_a_terminal() {
    let project = Project::complete("");
    let delete = |typed: &str| {
        let line = format!("{} tenant delete a", env!("CARGO_BIN_EXE_portcullis"));
        let script = format!("echo {typed} | script --quiet --return --flush --command '{line}' /dev/null");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(project.portcullis.folder());
        command.env("DATABASE_URL", project.database.url());
        Running::start(command, false).wait()
    };
    delete("b").exits(64).says("type its name").says("nothing was removed");
    assert!(project.exists("a") && project.exists("b"));
    delete("a").exits(0);
    assert!(!project.exists("a") && project.exists("b"));
}

#[test]
fn a_killed_deletion_is_finished_by_the_next_holder_of_the_lock() {
    let project = Project::complete("");
    project.database.while_held("LOCK TABLE a.item IN ACCESS SHARE MODE", || {
        let deleting = project.portcullis.spawn(["tenant", "delete", "a", "--yes"]);
        project.until_running("DROP SCHEMA");
        deleting.signal(Signal::SIGKILL);
        deleting.wait();
    });
    // No request finds the tenant any more, and its schema is said to be what it is.
    assert_eq!(
        (tenants(&project), journal(&project)),
        (vec!["b".into(), "c".into()], vec!["a removing".into()])
    );
    project.until_gone("DROP SCHEMA");
    project.portcullis.run(["verify"]).exits(0).says("being created or removed").says("2 tenants complete");
    project
        .portcullis
        .run(["tenant", "create", "other"])
        .exits(0)
        .says("`a`")
        .says("left unfinished: removed");
    assert!(!project.exists("a") && journal(&project).is_empty());
    project.portcullis.run(["tenant", "create", "a"]).exits(0);
}

#[test]
fn a_deletion_that_cannot_go_on_is_gone_on_with_by_hand() {
    let project = Project::complete("lock_timeout = \"1s\"");
    project.database.while_held("LOCK TABLE a.item IN ACCESS SHARE MODE", || {
        project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(73).says("lock timeout");
    });
    assert_eq!(tenants(&project), ["b", "c"]);
    project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(0);
    assert!(!project.exists("a") && journal(&project).is_empty());
}

#[test]
fn the_command_bootstraps_what_the_steps_name() {
    let project = empty("").file(
        "tenant/2_not_b.sql",
        "DO $$ BEGIN IF current_schema() = 'b' THEN RAISE EXCEPTION 'not this one'; END IF; END $$;\n",
    );
    let outcome = project.portcullis.run(["tenant", "bootstrap", "--json"]).exits(73);
    let became = json(&outcome);
    assert_eq!((&became["created"], &became["failed"][0]["tenant"]), (&vec!["a", "c"].into(), &"b".into()));
    let project = project.file("tenant/2_not_b.sql", "SELECT 1;\n");
    project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(0);
    project.portcullis.run(["tenant", "delete", "c", "--yes"]).exits(0);
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).says("3 created, 0 kept, 0 failed");
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).says("0 created, 3 kept");
    let stopped = with(project, "tenant/3_none.sql", BAD);
    stopped.database.execute("DROP SCHEMA a, b, c CASCADE; DELETE FROM tenants");
    stopped.portcullis.run(["tenant", "bootstrap", "--stop"]).exits(73).says("0 created, 0 kept, 1 failed");
}

#[test]
fn a_creation_that_failed_is_told() {
    let project = with(empty(""), "tenant/2_bad.sql", BAD)
        .step("[notify]\ncommand = [\"sh\", \"-c\", 'printf %s \"$PORTCULLIS_NOTIFICATION\" > told']\n");
    project.portcullis.run(["tenant", "create", "acme"]).exits(73);
    let told: Value =
        serde_json::from_str(&std::fs::read_to_string(project.portcullis.path("told")).unwrap()).unwrap();
    assert_eq!((&told["event"], &told["tenant"]), (&"tenant creation failed".into(), &"acme".into()));
    assert_eq!(told["failure"]["left"], "nothing");
}

#[test]
fn a_row_that_somebody_writes_while_a_tenant_is_made_is_never_doubled() {
    let waits = "-- no-transaction\nDO $$ BEGIN IF current_schema() = 'acme' THEN \
                 WHILE NOT EXISTS (SELECT FROM public.tenants) LOOP PERFORM pg_sleep(0.02); END LOOP; END IF; END $$;\n";
    let project = empty("");
    // Nothing in the registry keeps a name from standing there twice.
    project.database.execute("ALTER TABLE tenants DROP CONSTRAINT tenants_pkey");
    let project = with(project, "tenant/2_waits.sql", waits);
    let running = project.portcullis.spawn(["tenant", "create", "acme", "--json"]);
    project.until_sleeping();
    project.database.execute("INSERT INTO tenants VALUES ('acme')");
    let answer = json(&running.wait().exits(73));
    assert_eq!(answer["failure"]["left"], "unproved", "{answer}");
    assert!(answer["failure"]["message"].as_str().unwrap().contains("while it was being made"), "{answer}");
    assert_eq!(tenants(&project), ["acme"]);
}

#[test]
fn two_creations_of_one_tenant_at_once_make_it_once() {
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
fn what_somebody_else_makes_meanwhile_is_never_taken_for_ours() {
    let project = empty("");
    // The application writes the row and makes the schema, and commits once our own row waits for that.
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
    let answer = json(&outcome.exits(73));
    assert_eq!((&answer["created"], &answer["failure"]["left"]), (&false.into(), &"nothing".into()));
    assert!(answer["failure"]["message"].as_str().unwrap().contains("duplicate key"), "{answer}");
    assert_eq!(project.database.column("SELECT count(*)::text FROM acme.precious"), ["0"]);
    assert_eq!(tenants(&project), ["acme"]);
}

/// Another project with a registry of its own in the same database.
fn beside(project: &Project) -> Portcullis {
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
fn two_registries_in_one_database_leave_each_others_tenants_alone() {
    let project = with(Project::complete(""), "tenant/2_slow.sql", SLOW);
    let other = beside(&project);
    let delete = |name| other.run(["tenant", "delete", name, "--yes"]);
    delete("a").exits(73).says("the registry does not name it");
    assert_eq!((project.exists("a"), tenants(&project)), (true, vec!["a".into(), "b".into(), "c".into()]));
    // What another registry's run is making is not even its own if a row says so.
    killed_in_the_middle(&project, "acme", Signal::SIGKILL);
    delete("acme").exits(73).says("registry `public.tenants`");
    project.database.execute("INSERT INTO others VALUES ('acme')");
    delete("acme").exits(73).says("registry `public.tenants`");
    assert!(project.exists("acme"));
    // A row is removed, and no note of another registry goes with it.
    project.until_gone("pg_sleep");
    project.database.execute("DROP SCHEMA acme CASCADE");
    delete("acme").exits(0).says("1 row of the registry").says("no schema");
    assert_eq!(journal(&project), ["acme making"]);
}

#[test]
fn two_registries_in_one_database_leave_each_others_runs_alone() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    let other = beside(&project);
    // Neither is the lock the same, nor is what is under way a killed run's.
    let running = project.portcullis.spawn(["tenant", "create", "acme"]);
    project.until_sleeping();
    other.run(["tenant", "create", "globex"]).exits(0).says_not("acme");
    project.until_sleeping();
    running.signal(Signal::SIGKILL);
    running.wait();
    // What was left by it is taken back by whoever knows its registry.
    other.run(["tenant", "create", "initech"]).exits(0).says_not("acme");
    assert_eq!(journal(&project), ["acme making"]);
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    project
        .portcullis
        .run(["tenant", "create", "hooli"])
        .exits(0)
        .says("`acme`")
        .says("left unfinished: removed");
    assert_eq!(tenants(&project), ["hooli"]);
    assert_eq!(project.database.column("SELECT name FROM others ORDER BY 1"), ["globex", "initech"]);
}

#[test]
fn any_legal_name_makes_a_tenant_and_any_other_is_refused_with_its_reason() {
    use proptest::{
        strategy::{Strategy, ValueTree},
        test_runner::{Config, TestRunner},
    };
    let project = with(empty(""), "tenant/2_more.sql", "SELECT 1;\n");
    let fixed = [
        "Acme",
        "a\"b",
        "a'; DROP TABLE tenants; --",
        "a.b",
        "a-b c",
        "select",
        "ä€",
        "a\\b",
        "$$",
        "{a,b}",
        "%s",
        "a\nb\t",
        "\u{1}\u{7f}",
        " a ",
        "--help",
        "👩\u{200d}🚀",
        "pg_temp",
        "information_schema",
        "portcullis",
        "public",
    ];
    let mut names: Vec<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    names.extend([String::new(), "x".repeat(63), "x".repeat(64), "ä".repeat(31) + "x", "ä".repeat(32)]);
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let strategy = "[-a-zA-Z0-9_.,:@/\"'\\\\;$ äß€%(){}\n\t\r]{1,63}";
    names.extend((0..24).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    names.sort();
    names.dedup();
    for name in names {
        let outcome = project.portcullis.run(["tenant", "create", "--json", "--", &name]);
        let legal = !name.is_empty()
            && name.len() <= 63
            && !name.starts_with("pg_")
            && !["information_schema", "portcullis", "public"].contains(&name.as_str());
        let found = project.database.column("SELECT nspname::text FROM pg_namespace");
        let rows = tenants(&project);
        if legal {
            let outcome = outcome.exits(0);
            assert!(found.contains(&name) && rows.contains(&name), "{name:?}: {outcome}");
            project.portcullis.run(["tenant", "show", "--", &name]).exits(0).says(": complete");
            project.portcullis.run(["tenant", "delete", "--yes", "--", &name]).exits(0);
        } else {
            let outcome = outcome.exits(73);
            assert_eq!(json(&outcome)["failure"]["left"], "as it was", "{name:?}: {outcome}");
        }
        assert_eq!(tenants(&project), Vec::<String>::new(), "{name:?}");
    }
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_large_tenant_is_deleted_in_as_many_transactions_as_the_lock_table_asks_for() {
    const DB: &str = "postgres";
    let server = Server::start("max_connections = 20\nmax_locks_per_transaction = 10");
    let project = empty("");
    let mut place = project.portcullis;
    place = place.env("DATABASE_URL", &server.url(DB));
    place.run(["migrate", "--shared"]).exits(0);
    place.run(["tenant", "create", "acme"]).exits(0);
    for table in 0..120 {
        server.execute(DB, &format!("CREATE TABLE acme.t{table} (id serial PRIMARY KEY, name text)"));
    }
    // In one transaction the server could not do it.
    let deleted = place.run(["tenant", "delete", "acme", "--yes", "--json"]).exits(0);
    let answer = json(&deleted);
    assert_eq!(answer["tables"], 122, "{deleted}");
    assert!(answer["transactions"].as_u64().unwrap() > 10, "{deleted}");
    assert!(server.column(DB, "SELECT nspname::text FROM pg_namespace WHERE nspname = 'acme'").is_empty());
}

#[test]
fn a_deletion_that_would_take_along_what_stands_elsewhere_is_refused_with_its_name() {
    let outside = [
        ("CREATE TABLE audit (id int, kind a.colour)", "column kind of table public.audit"),
        ("CREATE TABLE audit (id int, kind a.colour[])", "column kind of table public.audit"),
        ("CREATE TABLE audit (id int, whole a.item)", "column whole of table public.audit"),
        (
            "CREATE TABLE audit (id int DEFAULT nextval('a.numbers'))",
            "default value for column id of table public.audit",
        ),
        (
            "CREATE TABLE audit (id int); CREATE INDEX audit_id ON audit (a.twice(id))",
            "index public.audit_id",
        ),
        ("CREATE TABLE audit (id int, CONSTRAINT small CHECK (a.twice(id) < 9))", "constraint small on"),
        ("CREATE TABLE audit (id int REFERENCES a.parent)", "constraint audit_id_fkey on table public.audit"),
        (
            "CREATE TABLE audit (id int); CREATE TRIGGER told AFTER INSERT ON audit EXECUTE FUNCTION a.tell()",
            "trigger told on table public.audit",
        ),
        ("CREATE VIEW audit AS SELECT a.twice(1)", "view public.audit"),
        ("CREATE TABLE audit () INHERITS (a.item)", "table public.audit"),
        ("CREATE FUNCTION audit(a.colour) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.audit"),
    ];
    let project = Project::complete("");
    // All that a tenant is made of, and what of it points elsewhere, stands in nobody's way.
    project.database.execute(
        "CREATE TABLE users (id int PRIMARY KEY); CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2'; \
         SET search_path = a, public; \
         CREATE TYPE colour AS ENUM ('red'); CREATE DOMAIN small AS int CHECK (VALUE < public.half(9)); \
         CREATE CAST (colour AS int) WITH INOUT; CREATE SEQUENCE numbers; \
         CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'; \
         CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TABLE parent (id serial PRIMARY KEY, who int REFERENCES public.users, kind colour DEFAULT 'red', \
           amount small, number int DEFAULT nextval('numbers'), long int GENERATED ALWAYS AS (twice(1)) STORED, note text); \
         CREATE INDEX ON parent (public.half(id)); CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY, up int REFERENCES parent); \
         CREATE TABLE days (day date) PARTITION BY RANGE (day); CREATE TABLE rest PARTITION OF days DEFAULT; CREATE INDEX ON days (day); \
         CREATE VIEW seen AS SELECT * FROM parent; CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen; \
         CREATE STATISTICS both_of ON id, who FROM parent; ALTER TABLE parent ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY own ON parent USING (EXISTS (SELECT FROM child)); CREATE RULE quiet AS ON DELETE TO child DO INSTEAD NOTHING; \
         CREATE TRIGGER told AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION tell(); \
         CREATE PUBLICATION news FOR TABLE parent; ALTER DEFAULT PRIVILEGES IN SCHEMA a GRANT SELECT ON TABLES TO PUBLIC",
    );
    for (make, what) in outside {
        project.database.execute(make);
        let refused = project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(73);
        let words: Vec<&str> = refused.failure_box().split_whitespace().collect();
        assert!(words.join(" ").contains(what), "{what}: {refused}");
        assert_eq!(tenants(&project), ["a", "b", "c"], "{what}");
        let kind = if make.contains("VIEW") { "VIEW" } else { "TABLE" };
        let kind = if make.contains("FUNCTION audit(") { "FUNCTION" } else { kind };
        project.database.execute(&format!("DROP {kind} audit"));
    }
    project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(0);
    assert!(!project.exists("a") && journal(&project).is_empty());
    assert_eq!(project.database.column("SELECT count(*)::text FROM users"), ["0"]);
}
