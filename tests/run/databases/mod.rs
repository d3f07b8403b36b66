//! A database for each tenant, on one server and on several.

mod locks;
mod plan;
mod servers;

use nix::sys::signal::Signal;

use crate::{
    documents::blocks::block,
    support::{
        portcullis::Portcullis,
        process::{Outcome, Running},
        server::Server,
        time_limits::until_true,
    },
};

const CONFIG: &str = r#"
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name", database = "DATABASE" }
[migrations]
shared = "shared"
tenant = "tenant"
manifest = { auto = true }
[gate]
structure = "block"
[server]
command = ["echo", "the server started"]
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "tenant databases"
migrate.tenants = {}
[[step]]
name = "demo tenants"
bootstrap = { tenants = ["a", "b", "c"], values = VALUES }
[[step]]
name = "gate"
verify = { tenants = "all" }
"#;

const ITEM: &str = "CREATE TABLE item (n bigint);\n";
const MORE: &str = "ALTER TABLE item ADD COLUMN extra int;\n";

struct Project {
    portcullis: Portcullis,
    server: Server,
}

impl Project {
    /// `database` is the template of the names, `columns` are further columns of the registry, and `values` their values.
    fn new(database: &str, columns: &str, values: &str) -> Self {
        let server = Server::start("");
        let portcullis = Portcullis::new()
            .env("DATABASE_URL", &server.url("postgres"))
            .config(&CONFIG.replace("DATABASE\"", &format!("{database}\"")).replace("VALUES", values))
            .file(
                "shared/1_tenants.sql",
                &format!("CREATE TABLE tenants (name text PRIMARY KEY{columns});\n"),
            )
            .file("tenant/1_item.sql", ITEM);
        Self { portcullis, server }
    }

    fn named() -> Self {
        Self::new("app_{name}", "", "{}")
    }

    fn start(&self) -> Outcome {
        self.portcullis.run(["run"])
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        self.portcullis = self.portcullis.file(name, text);
        self
    }

    /// Kills a program while a migration of the database sleeps for 600 seconds.
    fn kill_while_sleeping(&self, program: Running, database: &str) {
        let sleeping = format!(
            "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND datname = '{database}'"
        );
        until_true("the migration sleeps", || self.server.one("postgres", &sleeping) != "0");
        program.signal(Signal::SIGKILL);
        program.wait();
    }

    fn databases(&self) -> Vec<String> {
        self.server
            .column("postgres", "SELECT datname::text FROM pg_database WHERE datname LIKE 'app_%' ORDER BY 1")
    }

    fn tenants(&self) -> Vec<String> {
        self.server.column("postgres", "SELECT name FROM tenants ORDER BY 1")
    }
}

fn columns(server: &Server, database: &str) -> Vec<String> {
    let sql = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnum > 0 ORDER BY attnum";
    server.column(database, sql)
}

#[test]
fn each_tenant_has_its_own_database_from_its_creation_to_its_deletion() {
    let project = Project::named();
    project
        .start()
        .exits(0)
        .prints("3 created")
        .prints("the shared schema and 3 tenants")
        .prints("the server started");
    assert_eq!(project.databases(), ["app_a", "app_b", "app_c"]);
    assert_eq!(
        project.server.column("app_a", "SELECT nspname::text FROM pg_namespace WHERE nspname = 'a'"),
        [""; 0]
    );

    let project = project.file("tenant/2_more.sql", MORE);
    project.portcullis.run(["verify"]).exits(1).prints("2 more");
    project.start().exits(0).prints("the server started");
    for database in project.databases() {
        assert_eq!(columns(&project.server, &database), ["n", "extra"]);
    }

    let lines = block("docs/databases.md", "portcullis tenant create acme");
    let [create, delete] = lines.lines().collect::<Vec<_>>()[..] else { panic!("{lines}") };
    project.portcullis.paste(create).exits(0);
    assert_eq!(columns(&project.server, "app_acme"), ["n", "extra"]);
    project.portcullis.paste(delete).exits(0);
    assert_eq!((project.databases().len(), project.tenants().len()), (3, 3));
    project.portcullis.run(["doctor"]).exits(0);
    project.portcullis.run(["history"]).exits(0).prints("acme: deleted").prints("a, b, c: ");
}

#[test]
fn every_fault_of_one_database_is_reported_for_its_tenant_alone() {
    let project = Project::named();
    project.start().exits(0);
    project.server.execute("app_b", "DROP TABLE item");
    let outcome = project.start().exits(1).prints_not("the server started");
    assert!(outcome.failure_box().contains("\n   b\n"), "{outcome}");
    project.portcullis.run(["repair", "b", "--restore"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    project.server.execute("app_b", "ALTER TABLE item ALTER COLUMN n TYPE int");
    project.portcullis.run(["verify"]).exits(1).prints("b").prints("bigint");
    project.server.execute("app_b", "ALTER TABLE item ALTER COLUMN n TYPE bigint");

    project.server.execute("postgres", "DROP DATABASE app_c");
    project.portcullis.run(["verify"]).exits(1).prints("no database").prints("c");
    let gone = project.portcullis.run(["repair", "c", "--restore"]).exits(1).prints("no database");
    gone.prints("its schema, database or ledger does not exist").prints_not("pending");
    project.server.execute("postgres", "CREATE DATABASE app_c");
    project.portcullis.run(["verify"]).exits(1).prints("no ledger");
}

#[test]
fn a_failed_creation_leaves_no_database_and_no_row() {
    let fail = "DO $$ BEGIN IF current_database() <> 'postgres' THEN RAISE 'not here'; END IF; END $$;\n";
    let project = Project::named().file("tenant/2_more.sql", fail);
    let outcome = project.start().exits(73);
    assert!(outcome.failure_box().contains("not here"), "{outcome}");
    assert_eq!((project.databases(), project.tenants()), (vec![], vec![]));
    assert_eq!(project.server.one("postgres", "SELECT count(*)::text FROM portcullis.database_journal"), "0");
}

#[test]
fn a_killed_creation_is_rolled_back_by_the_next_start() {
    let project = Project::named()
        .file("tenant/2_sleep.sql", "SELECT pg_sleep(600) WHERE current_database() = 'app_a';\n");
    let running = project.portcullis.spawn(["run"]);
    project.kill_while_sleeping(running, "app_a");
    // The killed run's statement continues on the server.
    assert_eq!(project.databases(), ["app_a"]);
    let project = project.file("tenant/2_sleep.sql", MORE);
    project.start().exits(0).prints("the server started");
    assert_eq!((project.databases().len(), project.tenants().len()), (3, 3));
    assert_eq!(columns(&project.server, "app_a"), ["n", "extra"]);
}

#[test]
fn a_database_that_another_session_made_is_never_changed() {
    let project = Project::named();
    project.server.execute("postgres", "CREATE DATABASE app_b");
    project.server.execute("app_b", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");
    project.start().exits(73).prints("the database `app_b` exists");
    assert_eq!(project.server.one("app_b", "SELECT count(*)::text FROM kept"), "1");
}

#[test]
fn a_server_that_cannot_be_reached_makes_only_its_own_tenants_unproven() {
    let mut project = Project::new("{url}", ", url text", "{ url = \"URL\" }");
    let other = Server::start("");
    let config = |project: Project, url: &str| {
        let values = format!("{{ url = \"{url}\" }}");
        let text = CONFIG.replace("DATABASE\"", "{url}\"").replace("VALUES", &values);
        Project {
            portcullis: project.portcullis.config(&text.replace("\"a\", \"b\", \"c\"", "\"a\"")),
            ..project
        }
    };
    let first = format!("{}app_{{schema}}", project.server.url(""));
    project = config(project, &first);
    project.start().exits(0);
    project
        .portcullis
        .run(["tenant", "create", "far", "--set", &format!("url={}", other.url("app_far"))])
        .exits(0);
    assert_eq!(
        other.column("postgres", "SELECT datname::text FROM pg_database WHERE datname LIKE 'app_%'"),
        ["app_far"]
    );
    project.portcullis.run(["verify"]).exits(0).prints("2 tenants");

    project = project.file("tenant/2_more.sql", MORE);
    let port = other.port();
    drop(other);
    let outcome = project.portcullis.run(["verify"]).exits(1);
    for text in ["far", &port.to_string(), "2 more"] {
        assert!(outcome.failure_box().contains(text), "{text}: {outcome}");
    }
    // The tenants of the other server are migrated; the gate then knows nothing about `far`.
    project.portcullis.run(["migrate", "a"]).exits(0);
    assert_eq!(columns(&project.server, "app_a"), ["n", "extra"]);
    project.portcullis.run(["verify"]).exits(74).prints("far");
    project.portcullis.run(["verify", "a"]).exits(0);
}

#[test]
fn two_tenants_with_one_database_and_a_row_without_one_are_unproven() {
    let project = Project::new("{db}", ", db text", "{ db = \"app_{schema}\" }");
    project.start().exits(0);
    project.server.execute("postgres", "INSERT INTO tenants VALUES ('twin', 'app_a'), ('nowhere', NULL)");
    let outcome = project.portcullis.run(["verify"]).exits(74);
    for text in ["its database `app_a` is also that of", "contains no name of its database"] {
        assert!(outcome.to_string().contains(text), "{text}: {outcome}");
    }
    project.portcullis.run(["tenant", "delete", "twin", "--yes"]).exits(73).prints("is also that of `a`");
    assert_eq!(columns(&project.server, "app_a"), ["n"]);
    project.portcullis.run(["tenant", "create", "e"]).exits(64).prints("db");
}

#[test]
fn the_configuration_says_what_a_database_for_each_tenant_excludes() {
    let project = Project::new("app", "", "{}");
    project.portcullis.run(["check"]).exits(78).prints("text with columns of the registry in braces");
    let django = CONFIG.replace("DATABASE\"", "app_{name}\"").replace("VALUES", "{}").replace(
        "shared = \"shared\"\ntenant = \"tenant\"\nmanifest = { auto = true }",
        "framework = \"django\"\ntemplate = { file = \"t\" }",
    );
    let project = Project { portcullis: project.portcullis.config(&django), ..project };
    let outcome = project.portcullis.run(["check"]).exits(78);
    outcome.prints("needs `apply.run` with a database for each tenant").prints("a template is a schema");
}
