//! A server that speaks another language: the cause and the advice are those of an English server.

use crate::support::{cluster::Database, process::Outcome, project::Project, server::Server};

type Situation = (&'static str, i32, fn(&Server, Project) -> Outcome);

const SITUATIONS: [Situation; 10] = [
    ("a locked ledger", 74, |_, project| {
        project.database.while_held("LOCK TABLE a._sqlx_migrations", || project.start())
    }),
    ("a role without grants", 1, |server, project| {
        let url = project.database.url().replace("postgres@", "stranger@");
        server.execute("postgres", "DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN");
        project.env("DATABASE_URL", &url).start()
    }),
    ("a missing table", 1, |_, project| changed(project, "ALTER TABLE missing ADD x int;")),
    ("an existing table", 1, |_, project| changed(project, "CREATE TABLE item (n bigint);")),
    ("a wrong syntax", 1, |_, project| changed(project, "ALTER TABEL item ADD x int;")),
    ("a long statement", 1, |_, project| {
        let project = project.replace("apply = {", "apply = { statement_timeout = \"1s\", ");
        changed(
            project,
            "SELECT pg_sleep(3600) FROM (SELECT count(*) FROM item) AS once WHERE current_schema() = 'a';",
        )
    }),
    ("an ended session", 74, |_, project| {
        changed(project, "SELECT pg_terminate_backend(pg_backend_pid()) WHERE current_schema() = 'a';")
    }),
    ("a read-only database", 1, |_, project| {
        let name = project.database.name();
        project.database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
        changed(project, "ALTER TABLE item ADD x int;")
    }),
    ("no such database", 77, |server, project| project.env("DATABASE_URL", &server.url("absent")).start()),
    ("no such role", 77, |_, project| {
        let url = project.database.url().replace("postgres@", "absent@");
        project.env("DATABASE_URL", &url).start()
    }),
];

fn changed(project: Project, sql: &str) -> Outcome {
    project.file("tenant/2_change.sql", &format!("{sql}\n")).start()
}

#[test]
fn cause_and_advice_do_not_depend_on_the_language_of_the_server() {
    let server = Server::translated("de_DE");
    let mut boxes = Vec::new();
    for language in ["C", "de_DE.UTF-8"] {
        server.execute("postgres", &format!("ALTER SYSTEM SET lc_messages = '{language}'"));
        server.reload();
        let of_language = SITUATIONS.map(|(name, code, run)| {
            let project = Project::on(Database::on(server.url("postgres")), "").started();
            let database = project.database.name().to_owned();
            let outcome = run(&server, project).exits(code);
            let shown = outcome.failure_box().replace(&database, "DATABASE");
            let (what, advice) =
                shown.split_once("\n likely cause ").unwrap_or_else(|| panic!("{name}: {outcome}"));
            (name, what.to_owned(), advice.to_owned())
        });
        boxes.push(of_language);
    }
    for (english, german) in boxes[0].iter().zip(&boxes[1]) {
        assert_eq!(english.2, german.2, "{}\n{}\n{}", english.0, english.1, german.1);
        assert_ne!(english.1, german.1, "{}: the server's words are not in the box", english.0);
    }
}
