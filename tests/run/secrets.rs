//! No password reaches a line, the box, the plan, a check, or a child without permission.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{
    cluster::Database,
    portcullis::Portcullis,
    process::Outcome,
    project::{Project, sh, steps},
};

/// Prints its own environment, and the arguments and environments of its ancestors.
const PRINT_ENVIRONMENTS: &str = "env; for p in $PPID self; do tr '\\0' '\\n' < /proc/$p/cmdline; tr '\\0' '\\n' < /proc/$p/environ; done; exit 5";

const BY_VARIABLE: &str = "password = { env = \"DB_PASSWORD\" }";

#[test]
fn a_password_in_a_url_is_used_and_never_shown() {
    let project = Project::new("").env("PORTCULLIS_LOG", "trace");
    let password = parts_of(&project)[0].clone();
    assert_never_printed(&project, &password);
}

#[test]
fn a_password_in_a_variable_is_used_and_never_shown() {
    let (project, password) = by_parts(BY_VARIABLE);
    assert_never_printed(&project.env("DB_PASSWORD", &password), &password);
}

#[test]
fn a_password_in_pgpassword_is_used_and_never_shown() {
    let (project, password) = by_parts("");
    assert_never_printed(&project.env("PGPASSWORD", &password), &password);
}

#[test]
fn a_password_in_a_file_named_by_a_variable_is_used_and_never_shown() {
    let (project, password) = by_parts(BY_VARIABLE);
    let file = project.portcullis.path("password").to_str().unwrap().to_owned();
    let project = project.env("DB_PASSWORD_FILE", &file);
    assert_never_printed(&project, &password);
    assert_no_child_has(project, &password);
}

#[test]
fn a_password_in_a_file_is_used_and_never_shown() {
    let (project, password) = by_parts("password = { file = \"password\" }");
    assert_never_printed(&project, &password);
    assert_no_child_has(project, &password);
}

#[test]
fn a_password_file_that_rotates_is_read_again_at_the_next_connection() {
    let database = Database::fresh();
    let user = format!("rotates_{}", std::process::id());
    database.execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'first-of-two'"));
    let url = database.url();
    let (_, server) = url.split_once('@').unwrap();
    let (address, name) = server.split_once('/').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let sql = |name: &str| format!("[[step]]\nname = \"{name}\"\nsql.run = \"SELECT 1\"\n");
    let config = format!(
        "[database]\nhost = \"{host}\"\nport = {port}\nname = \"{name}\"\nuser = \"{user}\"\n\
         password = {{ file = \"password\" }}\n{}\
         [[step]]\nname = \"rotation\"\nwait.file = {{ path = \"rotated\" }}\n{}",
        sql("before"),
        sql("after")
    );
    let portcullis = Portcullis::new().config(&config).file("password", "first-of-two\n");
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("rotation: started");
    database.execute(&format!("ALTER ROLE {user} PASSWORD 'second-of-two'"));
    // A Secret's volume changes this way: the new file replaces the old one.
    fs::write(portcullis.path("next"), "second-of-two\n").unwrap();
    fs::rename(portcullis.path("next"), portcullis.path("password")).unwrap();
    fs::write(portcullis.path("rotated"), "").unwrap();
    let outcome = running.wait();
    database.execute(&format!("DROP ROLE {user}"));
    outcome.exits(0).prints("after: ok").prints_not("of-two");
}

#[test]
fn a_wrong_password_is_not_shown_either() {
    let project = Project::new("");
    let wrong = project.database.url().replace("postgres://postgres:", "postgres://postgres:wr0ng-");
    let (password, _) = wrong.strip_prefix("postgres://postgres:").unwrap().split_once('@').unwrap();
    let project = project.env("DATABASE_URL", &wrong).env("PORTCULLIS_LOG", "trace");
    project.start().exits(77).prints_not(password).prints_not("wr0ng");
}

#[test]
fn a_password_together_with_a_password_file_is_an_error_that_shows_neither() {
    let text = "[database]\nhost = \"h\"\nname = \"n\"\nuser = \"u\"\npassword = { env = \"DB_PASSWORD\" }\n";
    let portcullis = steps(text).env("DB_PASSWORD", "hunter2").env("DB_PASSWORD_FILE", "/dev/null");
    for arguments in [["check"], ["plan"], ["run"]] {
        portcullis.run(arguments).exits(78).prints("DB_PASSWORD_FILE").prints_not("hunter2");
    }
}

#[test]
fn a_variable_of_one_command_reaches_only_that_command() {
    let given = "command.env = { TOKEN = { file = \"token\" } }";
    let text = sh("given", given, "[ \"$TOKEN\" = \"$(cat token)\" ]")
        + &sh("other", "on_failure = \"warn\"", PRINT_ENVIRONMENTS)
        + &sh(
            "environment",
            "command.env = { TOKEN = { file = \"token\" } }",
            "tr '\\0' '\\n' < /proc/$PPID/cmdline; exit 5",
        );
    let portcullis = steps(&text).file("token", "hunter2\n").env("PORTCULLIS_LOG", "trace");
    portcullis.run(["check"]).exits(0).prints_not("hunter2");
    portcullis.run(["plan", "--format", "json"]).exits(0).prints_not("hunter2");
    portcullis.run(["run"]).exits(79).prints("2/3").prints_not("hunter2");
}

#[test]
fn an_error_near_a_secret_does_not_quote_it() {
    let text = "[database]\nurl = \"${DATABASE_URL}\"\nport = \"${DB_PASSWORD}\"\n[[step]]\nname = \"cache\"\nwait.redis = { url = \"${CACHE_URL}\" }\n";
    let portcullis = steps(text)
        .env("DATABASE_URL", "postgres//me:hunter2@host/name")
        .env("DB_PASSWORD", "hunter2")
        .env("CACHE_URL", "redis:://:hunter2@cache");
    portcullis.run(["check"]).exits(78).prints("config.toml").prints_not("hunter2");
}

#[test]
fn a_secret_in_two_variables_is_masked_and_a_user_name_is_not() {
    let text = sh("leaky", "on_failure = \"warn\"", "echo got $DB_PASSWORD as $PGUSER; exit 3");
    let portcullis = steps(&text)
        .env("DB_PASSWORD", "correct-horse-battery")
        .env("PGPASSWORD", "correct-horse-battery")
        .env("POSTGRES_PASSWORD", "postgres")
        .env("PGUSER", "postgres");
    portcullis.run(["run"]).exits(0).prints("got ******** as postgres").prints_not("correct-horse");
    let json = portcullis.run(["run", "--log-format", "json"]).exits(0);
    json.prints("got ******** as postgres").prints_not("correct-horse");
}

#[test]
fn a_secret_is_masked_in_every_encoding_and_when_it_is_cut() {
    for script in [
        r#"printf '%s\n' "$MY_TOKEN""#,
        r"printf 'p%%40ss%%2Fw%%C3%%B6rd%%20%%225%%25%%5Cx%%27%%20end\n'",
        r"printf 'p%%40ss%%2fw%%c3%%b6rd+%%225%%25%%5cx%%27+end\n'",
        r#"printf '%s\n' 'p@ss/wörd \"5%\\x'"\\'"' end'"#,
        r"printf '%s\n' 'p@ss/w\u00f6rd \u00225%\x5cx\x27 end'",
        r"printf '%s\n' 'p@ss/wörd &quot;5%\x&#39; end'",
        r#"printf 'me:%s' "$MY_TOKEN" | base64; printf '%s' "$MY_TOKEN" | base64"#,
        r#"printf '%s' "$MY_TOKEN" | fold -w 9; echo"#,
        r#"printf '%016380d' 0; printf '%s\n' "$MY_TOKEN""#,
        r#"printf '%016372d' 0; printf '%s\n' "$MY_TOKEN""#,
        r#"printf '%s\n' "$MY_TOKEN" | sed 's/w/\x1b[31mw\x1b[0m/; s/5/\x1b[1;32m5/'"#,
        r#"printf '%s' "$MY_TOKEN" | od -An -v -tx1 | tr -d ' \n'; echo"#,
    ] {
        let portcullis =
            steps(&command(&format!("{script}; exit 3"))).env("MY_TOKEN", "p@ss/wörd \"5%\\x' end");
        for format in ["plain", "json"] {
            let outcome = portcullis.run(["run", "--log-format", format]).exits(79).prints("********");
            for part in [
                "ss/w",
                "rd \"5",
                "rd%20",
                "rd+",
                "x' end",
                "&quot;5",
                "QHNzL3fDtnJkICI1",
                "OnBAc3Mvd",
                "732f77",
            ] {
                assert!(!outcome.stderr.contains(part), "{script}: {part}\n{outcome}");
            }
        }
    }
}

#[test]
fn a_secret_of_several_lines_is_masked_line_by_line() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQ\n-----END KEY-----";
    let script = r#"printf '%s\n' "$TLS_SECRET"; printf '%s\n' "$TLS_SECRET" | sed -n 2p; exit 3"#;
    let portcullis = steps(&command(script)).env("TLS_SECRET", key);
    portcullis.run(["run"]).exits(79).prints("********").prints_not("MIIEv").prints_not("EFAA");
}

#[test]
fn an_undeclared_password_in_a_url_is_masked() {
    for (url, shown) in [
        ("postgres://app:a/b@db/x", "postgres://app:********@db/x"),
        ("postgres://app:a#b@db/x", "postgres://app:********@db/x"),
        ("postgres://app:a b@db/x", "postgres://app:********@db/x"),
        ("redis://cache/0?password=a-b&db=1", "redis://cache/0?password=********&db=1"),
    ] {
        let portcullis = steps(&command(&format!("echo 'using {url}'; exit 3")));
        portcullis
            .run(["run"])
            .exits(79)
            .prints(&format!("| using {shown}"))
            .prints_not(&format!("| using {url}"));
    }
}

#[test]
fn the_log_names_the_server_and_not_its_arguments() {
    let text = "[[step]]\nname = \"a\"\ncommand.run = [\"true\"]\n\
                [server]\ncommand = [\"true\", \"--api-key\", \"${SOME_API}\"]\n";
    let portcullis = Portcullis::new().config(text).env("SOME_API", "sk-live-0123456789");
    portcullis.run(["run"]).exits(0).prints("starting true\n").prints_not("sk-live");
    let json = portcullis.run(["run", "--log-format", "json"]).exits(0);
    json.prints("\"argv\":[\"true\"]").prints_not("sk-live");
}

#[test]
fn an_invalid_argument_shows_no_secret() {
    let portcullis = Portcullis::new().env("API_TOKEN", "sk-live-0123456789");
    let outcome = portcullis.run(["run", "--tokn=sk-live-0123456789\u{1b}[31m"]).exits(64);
    outcome.prints("--tokn").prints_not("sk-live").prints_not("\u{1b}[31m");
}

/// A project's interpreter that prints its arguments and environment.
const PROGRAM: &str = "#!/bin/sh\necho \"login failed with $DB_PASSWORD and $EXTRA\" >&2\nexit 1\n";

#[test]
fn every_command_masks_the_output_of_project_programs() {
    let config = "[database]\nurl = \"${DATABASE_URL}\"\n\
                  [tenants]\nregistry = { table = \"public.tenants\", schema_column = \"schema_name\" }\n\
                  [migrations]\nframework = \"django\"\npython = \"./python\"\nmanage = \"manage.py\"\n\
                  manifest = { file = \"portcullis.manifest.json\" }\n\
                  apply = { env = { EXTRA = \"postgres://me:another-secret-value@db/x\" } }\n";
    let database = Database::fresh();
    let portcullis = Portcullis::new()
        .config(config)
        .file("python", PROGRAM)
        .file("manage.py", "")
        .env("DATABASE_URL", &database.url())
        .env("DB_PASSWORD", "correct-horse-battery")
        .env("PGPASSWORD", "correct-horse-battery");
    fs::set_permissions(portcullis.path("python"), fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = portcullis.run(["manifest", "django"]).prints("login failed with ********");
    outcome.prints_not("correct-horse").prints_not("another-secret-value");
}

#[test]
fn commands_on_tenants_mask_the_output_of_their_programs() {
    let leak =
        r#"run = ["sh", "-c", "echo $EXTRA; echo login as $DB_PASSWORD failed >&2; exit 1", "{schema}"]"#;
    let config = format!(
        r#"
        database = {{ url = "${{DATABASE_URL}}" }}
        tenants = {{ registry = {{ table = "tenants", schema_column = "name" }} }}
        [migrations]
        framework = "custom"
        tenant = "changes"
        manifest = {{ file = "manifest.json" }}
        ledger = {{ table = "applied", id = "change", files = ["{{id}}.sql"] }}
        apply = {{ {leak}, env = {{ EXTRA = "postgres://me:another-secret-value@db/x" }} }}
        [[step]]
        name = "demo"
        bootstrap = {{ tenants = ["demo"], {} }}
        "#,
        leak.replace(", \"{schema}\"", "")
    );
    let database = Database::fresh();
    database.execute("CREATE TABLE tenants (name text); INSERT INTO tenants VALUES ('a'); CREATE SCHEMA a; CREATE TABLE a.applied (change text)");
    let portcullis = Portcullis::new()
        .config(&config)
        .file("changes/one.sql", "SELECT 1;\n")
        .env("DATABASE_URL", &database.url())
        .env("DB_PASSWORD", "correct-horse-battery");
    portcullis.run(["manifest", "files"]).exits(0);
    for outcome in [
        portcullis.run(["migrate", "a"]),
        portcullis.run(["repair", "a"]),
        portcullis.run(["tenant", "create", "b"]),
        portcullis.run(["tenant", "bootstrap"]),
        portcullis.run(["run", "--no-server"]),
    ] {
        assert!(outcome.code != Some(0), "{outcome}");
        for written in [&outcome.stdout, &outcome.stderr] {
            let shown = written.contains("correct-horse") || written.contains("another-secret");
            assert!(!shown, "{outcome}");
        }
        assert!(outcome.stderr.contains("login as ******** failed"), "{outcome}");
    }
}

#[test]
fn the_history_holds_no_secret() {
    let project = Project::new("").env("API_TOKEN", "correct-horse-battery").step(
        "[[step]]\nname = \"broken\"\nsql = { run = \"SELECT 'correct-horse-battery'::integer\", once_per_release = true }\n",
    );
    project.start().exits(79).prints("********").prints_not("correct-horse");
    run(&project, &["history", "--format", "json"]).exits(0).prints("broken").prints_not("correct-horse");
}

fn command(script: &str) -> String {
    format!("[[step]]\nname = \"leaky\"\ncommand.run = [\"sh\", \"-c\", '''{script}''']\n")
}

/// The database in parts, with this line for its password, which is in a file.
fn by_parts(line: &str) -> (Project, String) {
    let project = Project::new("").env("PORTCULLIS_LOG", "trace");
    let [password, port, name] = parts_of(&project);
    let text = format!("host = \"127.0.0.1\"\nport = {port}\nname = \"{name}\"\nuser = \"postgres\"\n{line}");
    let project = project.replace("url = \"${DATABASE_URL}\"", &text).env("DATABASE_URL", "");
    (project.file("password", &format!("{password}\n")), password)
}

/// Password, port and name.
fn parts_of(project: &Project) -> [String; 3] {
    let url = project.database.url();
    let (password, address) = url.strip_prefix("postgres://postgres:").unwrap().split_once('@').unwrap();
    let (server, name) = address.split_once('/').unwrap();
    [password, server.split_once(':').unwrap().1, name].map(str::to_owned)
}

/// Runs every command, a successful start and one that ends with the box.
fn assert_never_printed(project: &Project, password: &str) {
    for arguments in [vec!["check"], vec!["plan"], vec!["plan", "--format", "json"]] {
        run(project, &arguments).exits(0).prints_not(password);
    }
    project.start().exits(0).prints_not(password);
    project.database.execute("DROP TABLE b.item");
    let shown = project.start().exits(1).prints_not(password);
    assert!(shown.failure_box().contains("item"), "{shown}");
    run(project, &["verify", "--format", "json"]).exits(1).prints_not(password);
    run(project, &["verify"]).exits(1).prints_not(password);
}

/// A child inherits the environment of the run, but never the content of a password file.
fn assert_no_child_has(project: Project, password: &str) {
    let project = project.step(&sh("environment", "after = \"start\"", PRINT_ENVIRONMENTS));
    project.start().exits(79).prints("environment: | portcullis").prints_not(password);
}

fn run(project: &Project, arguments: &[&str]) -> Outcome {
    match *arguments {
        [one] => project.portcullis.run([one]),
        [one, two, three] => project.portcullis.run([one, two, three]),
        _ => unreachable!("one argument or three"),
    }
}
