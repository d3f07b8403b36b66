//! A tenant's file that creates an object outside the tenant's schema is refused wherever its manifest is derived: in one
//! transaction or with commits, by a superuser or by an ordinary role.

use crate::support::{cluster::Database, process::Outcome, project::Project, server::Server};

/// A statement of a tenant's file, and the object that the message names.
const CREATED: [(&str, &str); 22] = [
    ("CREATE SCHEMA IF NOT EXISTS audit", "schema `audit`"),
    ("CREATE TABLE IF NOT EXISTS public.audit (n int DEFAULT 1 CHECK (n > 0))", "table `public.audit`"),
    ("CREATE OR REPLACE VIEW public.v AS SELECT 1 AS n", "view `public.v`"),
    ("CREATE SEQUENCE IF NOT EXISTS public.numbers", "sequence `public.numbers`"),
    (
        "CREATE OR REPLACE FUNCTION public.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "function `public.one()`",
    ),
    (
        "DO $$ BEGIN CREATE TYPE public.state AS ENUM ('open'); EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "type `public.state`",
    ),
    ("CREATE COLLATION IF NOT EXISTS public.plain FROM \"C\"", "collation `public.plain`"),
    ("CREATE INDEX IF NOT EXISTS extra ON public.known (n)", "index `public.extra`"),
    ("ALTER TABLE public.known ADD COLUMN IF NOT EXISTS more int", "column `public.known.more`"),
    (
        "CREATE OR REPLACE TRIGGER extra BEFORE UPDATE ON public.known FOR EACH ROW \
         EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger `extra on public.known`",
    ),
    ("CREATE EXTENSION IF NOT EXISTS pg_trgm", "extension `pg_trgm`"),
    ("CREATE CAST (int AS macaddr) WITH INOUT", "cast `integer AS macaddr`"),
    ("CREATE LANGUAGE other HANDLER plpgsql_call_handler", "language `other`"),
    ("CREATE PUBLICATION news", "publication `news`"),
    (
        "CREATE SUBSCRIPTION news CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE)",
        "subscription `news`",
    ),
    ("CREATE FOREIGN DATA WRAPPER other", "foreign-data wrapper `other`"),
    ("CREATE SERVER other FOREIGN DATA WRAPPER known", "foreign server `other`"),
    ("CREATE USER MAPPING FOR CURRENT_USER SERVER known", "user mapping `known for postgres`"),
    ("CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler", "access method `other`"),
    (
        "CREATE EVENT TRIGGER other ON ddl_command_end EXECUTE FUNCTION public.quiet()",
        "event trigger `other`",
    ),
    ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "default privilege of `postgres`"),
    ("DO $$ BEGIN EXECUTE 'CREATE ROLE made'; END $$", "role `made`"),
];

/// In files that commit, also what cannot be created in a transaction.
const COMMITTED: [(&str, &str); 8] = [
    CREATED[0],
    CREATED[1],
    CREATED[8],
    CREATED[10],
    CREATED[14],
    CREATED[21],
    ("CREATE DATABASE made", "database `made`"),
    ("CREATE TABLESPACE made LOCATION ''", "tablespace `made`"),
];

const BEFORE: &str = "CREATE TABLE public.known (n int PRIMARY KEY); CREATE FOREIGN DATA WRAPPER known; \
    CREATE SERVER known FOREIGN DATA WRAPPER known; \
    CREATE FUNCTION public.quiet() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'";

/// A server of its own, because its roles and databases are counted, and a project with known objects.
fn project() -> (Server, Project) {
    let server = Server::start("allow_in_place_tablespaces = on");
    let project = Project::on(Database::on(server.url("postgres")), "");
    project.database.execute(BEFORE);
    (server, project)
}

/// The derivation is refused, with the file, the object and what to do.
#[track_caller]
fn refused(project: &Project, made: &str) -> Outcome {
    let outcome = project.portcullis.run(["manifest", "sql"]).exits(1);
    let flat = outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = format!("a tenant migration creates the {made} outside the tenant's schema");
    assert!(flat.contains(&expected), "{made}: {flat}");
    assert!(flat.contains("tenant/2_made.sql") && flat.contains("create it once, in a shared"), "{flat}");
    outcome
}

#[test]
fn every_kind_is_refused_in_one_transaction_and_with_commits() {
    let (server, mut project) = project();
    for (sql, made) in CREATED {
        project = project.file("tenant/2_made.sql", &format!("{sql};\n"));
        refused(&project, made);
    }
    // Nothing was created.
    let made = "SELECT count(*)::text FROM pg_roles WHERE rolname = 'made'";
    assert_eq!(server.one("postgres", made), "0");
    for (sql, made) in COMMITTED {
        project = project.file("tenant/2_made.sql", &format!("-- no-transaction\nVACUUM item;\n{sql};\n"));
        refused(&project, made).prints("it now exists");
    }
    let temporary = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ '^portcullis_'";
    assert_eq!(project.database.column(temporary), [""; 0]);
    project.database.execute("DROP SUBSCRIPTION news");
}

#[test]
fn an_ordinary_role_finds_what_it_cannot_read_in_the_catalog() {
    let (_server, project) = project();
    let name = project.database.name();
    project.database.execute(&format!(
        "CREATE ROLE app LOGIN CREATEROLE CREATEDB; GRANT CREATE ON DATABASE {name} TO app"
    ));
    let url = project.database.url().replace("postgres@", "app@");
    let mut project = project.env("DATABASE_URL", &url);
    for (sql, made) in [
        ("CREATE ROLE made", "role `made`"),
        ("-- no-transaction\nVACUUM item;\nCREATE USER made", "role `made`"),
        ("-- no-transaction\nCREATE DATABASE made", "database `made`"),
    ] {
        project = project.file("tenant/2_made.sql", &format!("{sql};\n"));
        refused(&project, made);
    }
}

#[test]
fn what_belongs_to_the_tenant_or_to_another_session_is_accepted() {
    let (server, project) = project();
    // In a session of its own, in the middle of the derivation.
    let elsewhere = format!(
        "CREATE EXTENSION dblink; CREATE ROLE reader; \
         CREATE FUNCTION public.elsewhere(text) RETURNS text LANGUAGE sql AS $$ SELECT public.dblink_exec('{}', $1) $$; \
         CREATE FUNCTION public.role(text) RETURNS text LANGUAGE sql AS $$ SELECT public.elsewhere('CREATE ROLE ' || $1) $$; \
         CREATE FUNCTION public.schema(text) RETURNS text LANGUAGE sql AS $$ SELECT public.elsewhere('CREATE SCHEMA ' || $1) $$",
        project.database.url()
    );
    project.database.execute(&elsewhere);
    let own = "CREATE TYPE state AS ENUM ('open');\nCREATE CAST (state AS int) WITH INOUT;\n\
        CREATE TABLE note (n int REFERENCES public.known, state state);\n\
        CREATE VIEW seen AS SELECT * FROM public.known;\n\
        GRANT USAGE ON SCHEMA public TO reader;\n\
        DO $$ BEGIN EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO reader', \
        current_schema); END $$;\n\
        ALTER ROLE reader SET work_mem = '5MB';\n";
    let file = |line: &str| format!("{own}SELECT {line};\n");
    let project = project.file("tenant/2_own.sql", &file("public.role('one'), public.schema('one')"));
    project.portcullis.run(["manifest", "sql"]).exits(0);
    let committed = format!("-- no-transaction\nVACUUM item;\n{}", file("public.role('two')"));
    let project = project.file("tenant/2_own.sql", &committed);
    project.portcullis.run(["manifest", "sql"]).exits(0);
    let roles = "SELECT count(*)::text FROM pg_roles WHERE rolname IN ('one', 'two')";
    assert_eq!(server.one("postgres", roles), "2");
}

#[test]
fn what_a_shared_file_creates_once_is_not_the_tenants() {
    for (sql, _) in [CREATED[0], CREATED[1], CREATED[4], CREATED[5]] {
        let project = Project::new("").file("tenant/2_audit.sql", &format!("{sql};\n"));
        project.start().exits(1);
        let project = project.file("shared/2_audit.sql", &format!("{sql};\n"));
        project.start().exits(0);
    }
}
