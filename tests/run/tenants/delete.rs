//! A deletion removes only the tenant, and an interrupted deletion is completed.

use std::process::Command;

use nix::sys::signal::Signal;

use super::{empty, journal, json, tenants};
use crate::support::{process::Running, project::Project, server::Server};

#[test]
fn deleting_a_tenant_removes_nothing_else() {
    let project = Project::complete("");
    project.portcullis.run(["tenant", "delete", "a"]).exits(64).prints("--yes");
    assert!(project.exists("a"));
    let deleted = project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(0);
    deleted.prints("1 row of the registry").prints("2 tables");
    assert!(!project.exists("a"));
    assert_eq!(tenants(&project), ["b", "c"]);
    project
        .portcullis
        .run(["tenant", "delete", "a", "--yes"])
        .exits(73)
        .prints("no registry row and no schema");
    // A schema that belongs to no tenant is not deleted, whatever its name.
    project.database.execute("CREATE SCHEMA reports; CREATE VIEW reports.items AS SELECT * FROM b.item");
    for name in ["public", "reports", "pg_catalog", "portcullis"] {
        project.portcullis.run(["tenant", "delete", name, "--yes"]).exits(73);
    }
    // A tenant with a foreign view on its tables is not deleted.
    project.portcullis.run(["tenant", "delete", "b", "--yes"]).exits(73).prints("reports.items");
    project.portcullis.run(["verify"]).exits(0);
    project.database.execute("DROP SCHEMA c CASCADE");
    project.portcullis.run(["tenant", "delete", "c", "--yes"]).exits(0).prints("no schema");
}

#[test]
fn a_row_whose_schema_cannot_exist_is_deleted_by_the_command_of_the_box() {
    let project = Project::complete("");
    for name in ["pg_lost", "a_name_of_more_than_sixty_three_bytes_which_no_schema_can_ever_have"] {
        project.database.execute(&format!("INSERT INTO tenants VALUES ('{name}')"));
        let blocked = project.portcullis.run(["verify"]).exits(1);
        let command = format!("portcullis tenant delete {name}");
        assert_eq!(blocked.commands()[0], command, "{blocked}");
        project.portcullis.paste(&format!("{command} --yes")).exits(0).prints("no schema");
        project.portcullis.run(["verify"]).exits(0);
    }
}

#[test]
fn a_row_with_the_name_of_a_schema_that_is_no_tenants_is_deleted_alone() {
    let project = Project::complete("");
    for name in ["pg_catalog", "information_schema"] {
        project.database.execute(&format!("INSERT INTO tenants VALUES ('{name}')"));
        project.portcullis.run(["verify"]).exits(1).prints(name);
        project
            .portcullis
            .run(["tenant", "delete", name, "--yes"])
            .exits(0)
            .prints("1 row")
            .prints("no schema");
        project.portcullis.run(["verify"]).exits(0);
    }
    // Some projects have a row for the shared schema.
    project.database.execute("INSERT INTO tenants VALUES ('public')");
    project.portcullis.run(["tenant", "delete", "public", "--yes"]).exits(73).prints("is the shared schema");
    assert_eq!(tenants(&project), ["a", "b", "c", "public"]);
}

#[test]
fn a_failure_is_printed_as_json_on_request() {
    let project = Project::complete("");
    project.database.execute("CREATE VIEW items AS SELECT * FROM b.item");
    let refused = project.portcullis.run(["tenant", "delete", "b", "--yes", "--json"]).exits(73);
    let result = json(&refused);
    assert_eq!((&result["tenant"], &result["deleted"]), (&"b".into(), &false.into()), "{refused}");
    assert_eq!(result["failure"]["id"], "deleting-failed");
    assert!(result["failure"]["message"].as_str().unwrap().contains("view public.items"), "{refused}");
    let deleted = project.portcullis.run(["tenant", "delete", "a", "--yes", "--json"]).exits(0);
    assert_eq!(json(&deleted)["deleted"], true);
    let unasked = json(&project.portcullis.run(["tenant", "delete", "c", "--json"]).exits(64));
    assert_eq!((&unasked["deleted"], &unasked["failure"]["id"]), (&false.into(), &"usage".into()));
    // The name is checked before any database access.
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
    delete("b").exits(64).prints("type its name").prints("nothing was deleted");
    assert!(project.exists("a") && project.exists("b"));
    delete("a").exits(0);
    assert!(!project.exists("a") && project.exists("b"));
}

#[test]
fn the_next_lock_holder_completes_a_killed_deletion() {
    let project = Project::complete("");
    project.database.while_held("LOCK TABLE a.item IN ACCESS SHARE MODE", || {
        let deleting = project.portcullis.spawn(["tenant", "delete", "a", "--yes"]);
        project.until_running("DROP SCHEMA");
        deleting.signal(Signal::SIGKILL);
        deleting.wait();
    });
    // Requests no longer find the tenant, and its schema is reported as an unfinished deletion.
    assert_eq!(
        (tenants(&project), journal(&project)),
        (vec!["b".into(), "c".into()], vec!["a removing".into()])
    );
    project.until_gone("DROP SCHEMA");
    project
        .portcullis
        .run(["verify"])
        .exits(0)
        .prints("creation or deletion in progress")
        .prints("2 tenants complete");
    project
        .portcullis
        .run(["tenant", "create", "other"])
        .exits(0)
        .prints("`a`")
        .prints("left unfinished, was removed");
    assert!(!project.exists("a") && journal(&project).is_empty());
    project.portcullis.run(["tenant", "create", "a"]).exits(0);
}

#[test]
fn a_blocked_deletion_can_be_continued_manually() {
    let project = Project::complete("lock_timeout = \"1s\"");
    project.database.while_held("LOCK TABLE a.item IN ACCESS SHARE MODE", || {
        project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(73).prints("lock timeout");
    });
    assert_eq!(tenants(&project), ["b", "c"]);
    project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(0);
    assert!(!project.exists("a") && journal(&project).is_empty());
}

#[test]
fn a_large_tenant_is_deleted_in_transactions_that_fit_the_lock_table() {
    const DB: &str = "postgres";
    let server = Server::start("max_connections = 20\nmax_locks_per_transaction = 10");
    let project = empty("");
    let mut portcullis = project.portcullis;
    portcullis = portcullis.env("DATABASE_URL", &server.url(DB));
    portcullis.run(["migrate", "--shared"]).exits(0);
    portcullis.run(["tenant", "create", "acme"]).exits(0);
    for table in 0..120 {
        server.execute(DB, &format!("CREATE TABLE acme.t{table} (id serial PRIMARY KEY, name text)"));
    }
    // One transaction would exceed the server's lock table.
    let deleted = portcullis.run(["tenant", "delete", "acme", "--yes", "--json"]).exits(0);
    let result = json(&deleted);
    assert_eq!(result["tables"], 122, "{deleted}");
    assert!(result["transactions"].as_u64().unwrap() > 10, "{deleted}");
    assert!(server.column(DB, "SELECT nspname::text FROM pg_namespace WHERE nspname = 'acme'").is_empty());
}

#[test]
fn a_deletion_that_would_drop_objects_of_other_schemas_is_rejected_with_their_names() {
    let outside = [
        ("CREATE TABLE audit (id int, kind a.colour)", "column kind of table public.audit"),
        ("CREATE TABLE audit (id int, kind a.colour[])", "column kind of table public.audit"),
        ("CREATE TABLE audit (id int, item a.item)", "column item of table public.audit"),
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
            "CREATE TABLE audit (id int); CREATE TRIGGER notify_insert AFTER INSERT ON audit EXECUTE FUNCTION a.notify_insert()",
            "trigger notify_insert on table public.audit",
        ),
        ("CREATE VIEW audit AS SELECT a.twice(1)", "view public.audit"),
        ("CREATE TABLE audit () INHERITS (a.item)", "table public.audit"),
        ("CREATE FUNCTION audit(a.colour) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.audit"),
    ];
    let project = Project::complete("");
    // The tenant's own objects and its references to other schemas do not block the deletion.
    project.database.execute(
        "CREATE TABLE users (id int PRIMARY KEY); CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2'; \
         SET search_path = a, public; \
         CREATE TYPE colour AS ENUM ('red'); CREATE DOMAIN small AS int CHECK (VALUE < public.half(9)); \
         CREATE CAST (colour AS int) WITH INOUT; CREATE SEQUENCE numbers; \
         CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'; \
         CREATE FUNCTION notify_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TABLE parent (id serial PRIMARY KEY, who int REFERENCES public.users, kind colour DEFAULT 'red', \
           amount small, number int DEFAULT nextval('numbers'), long int GENERATED ALWAYS AS (twice(1)) STORED, note text); \
         CREATE INDEX ON parent (public.half(id)); CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY, up int REFERENCES parent); \
         CREATE TABLE days (day date) PARTITION BY RANGE (day); CREATE TABLE rest PARTITION OF days DEFAULT; CREATE INDEX ON days (day); \
         CREATE VIEW parents AS SELECT * FROM parent; CREATE MATERIALIZED VIEW stored AS SELECT * FROM parents; \
         CREATE STATISTICS both_of ON id, who FROM parent; ALTER TABLE parent ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY own ON parent USING (EXISTS (SELECT FROM child)); CREATE RULE quiet AS ON DELETE TO child DO INSTEAD NOTHING; \
         CREATE TRIGGER notify_insert AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION notify_insert(); \
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
