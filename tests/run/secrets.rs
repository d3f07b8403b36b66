//! No password reaches a line, the box, the plan, a check, or a child that was not given it.

use std::fs;

use crate::support::{
    process::Outcome,
    project::{Project, sh, steps},
};

/// Prints its own environment, and how its ancestors were started and with what.
const LOOK: &str = "env; for p in $PPID $$; do tr '\\0' '\\n' < /proc/$p/cmdline; tr '\\0' '\\n' < /proc/$p/environ; done; exit 5";

#[test]
fn a_password_from_anywhere_is_used_and_never_shown() {
    let parts = |password: &str| {
        format!("host = \"127.0.0.1\"\nport = PORT\nname = \"NAME\"\nuser = \"postgres\"\n{password}")
    };
    let both = "password = { env = \"DB_PASSWORD\" }";
    for (database, source) in [
        ("url = \"${DATABASE_URL}\"".to_owned(), "DATABASE_URL"),
        (parts(both), "DB_PASSWORD"),
        (parts(both), "DB_PASSWORD_FILE"),
        (parts("password = { file = \"password\" }"), "file"),
        (parts(""), "PGPASSWORD"),
    ] {
        let project = Project::new("");
        let url = project.database.url();
        let (password, place) = url.strip_prefix("postgres://postgres:").unwrap().split_once('@').unwrap();
        let (_, port) = place.split_once('/').unwrap().0.split_once(':').unwrap();
        let text = database.replace("PORT", port).replace("NAME", project.database.name());
        let file = project.portcullis.path("password").to_str().unwrap().to_owned();
        let project =
            project.replace("url = \"${DATABASE_URL}\"", &text).file("password", &format!("{password}\n"));
        let project = if source == "DATABASE_URL" { project } else { project.env("DATABASE_URL", "") };
        let project = match source {
            "DB_PASSWORD" | "PGPASSWORD" => project.env(source, password),
            "DB_PASSWORD_FILE" => project.env(source, &file),
            _ => project,
        };
        let silent = |outcome: Outcome| outcome.says_not(password);
        let project = project.env("PORTCULLIS_LOG", "trace");
        for arguments in [vec!["check"], vec!["plan"], vec!["plan", "--format", "json"]] {
            silent(run(&project, &arguments).exits(0));
        }
        silent(project.start().exits(0));
        project.database.execute("DROP TABLE b.item");
        let shown = silent(project.start().exits(1));
        assert!(shown.failure_box().contains("item"), "{source}: {shown}");
        silent(run(&project, &["verify", "--format", "json"]).exits(1));
        silent(run(&project, &["verify"]).exits(1));
        if !matches!(source, "DATABASE_URL" | "DB_PASSWORD" | "PGPASSWORD") {
            // What is in our own environment is the operator's to pass on; a file's content is not.
            let project = project.step(&sh("look", "after = \"start\"", LOOK));
            silent(project.start());
        }
    }
}

#[test]
fn a_wrong_password_is_not_shown_either() {
    let project = Project::new("");
    let wrong = project.database.url().replace("postgres://postgres:", "postgres://postgres:wr0ng-");
    let (password, _) = wrong.strip_prefix("postgres://postgres:").unwrap().split_once('@').unwrap();
    let project = project.env("DATABASE_URL", &wrong).env("PORTCULLIS_LOG", "trace");
    project.start().exits(77).says_not(password).says_not("wr0ng");
}

#[test]
fn both_a_password_and_its_file_are_an_error_that_shows_neither() {
    let text = "[database]\nhost = \"h\"\nname = \"n\"\nuser = \"u\"\npassword = { env = \"DB_PASSWORD\" }\n";
    let portcullis = steps(text).env("DB_PASSWORD", "hunter2").env("DB_PASSWORD_FILE", "/dev/null");
    for arguments in [["check"], ["plan"], ["run"]] {
        portcullis.run(arguments).exits(78).says("DB_PASSWORD_FILE").says_not("hunter2");
    }
}

#[test]
fn a_variable_for_one_command_reaches_that_command_alone() {
    let given = "command.env = { TOKEN = { file = \"token\" } }";
    let text = sh("given", given, "[ \"$TOKEN\" = hunter2 ]")
        + &sh("other", "on_failure = \"warn\"", LOOK)
        + &sh(
            "look",
            "command.env = { TOKEN = { file = \"token\" } }",
            "tr '\\0' '\\n' < /proc/$PPID/cmdline; exit 5",
        );
    let portcullis = steps(&text).file("token", "hunter2\n").env("PORTCULLIS_LOG", "trace");
    portcullis.run(["check"]).exits(0).says_not("hunter2");
    portcullis.run(["plan", "--format", "json"]).exits(0).says_not("hunter2");
    portcullis.run(["run"]).exits(79).says("2/3").says_not("hunter2");
}

#[test]
fn a_mistake_beside_a_secret_does_not_quote_it() {
    let text = "[database]\nurl = \"${DATABASE_URL}\"\nport = \"${DB_PASSWORD}\"\n[[step]]\nname = \"cache\"\nwait.redis = { url = \"${CACHE_URL}\" }\n";
    let portcullis = steps(text)
        .env("DATABASE_URL", "postgres//me:hunter2@host/name")
        .env("DB_PASSWORD", "hunter2")
        .env("CACHE_URL", "redis:://:hunter2@cache");
    portcullis.run(["check"]).exits(78).says_not("hunter2");
    assert!(fs::metadata(portcullis.path("config.toml")).is_ok());
}

fn run(project: &Project, arguments: &[&str]) -> Outcome {
    match *arguments {
        [one] => project.portcullis.run([one]),
        [one, two, three] => project.portcullis.run([one, two, three]),
        _ => unreachable!("one argument or three"),
    }
}
