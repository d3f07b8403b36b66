//! The whole way from text to configuration, and what a person reads when it is wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Duration};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{environment::Environment, secret::Password, *};

/// What the operator reads, errors and warnings alike.
fn rendered(text: &str, env: &Environment) -> String {
    let problems = match parse(text, env) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    render(Path::new("config.toml"), text, &problems, false)
}

fn messages(text: &str, env: &Environment) -> Vec<String> {
    match parse(text, env) {
        Ok((_, warnings)) => warnings.into_iter().map(|problem| problem.message).collect(),
        Err(problems) => problems.into_iter().map(|problem| problem.message).collect(),
    }
}

fn valid(text: &str, env: &Environment) -> Config {
    match parse(text, env) {
        Ok((config, _)) => config,
        Err(problems) => {
            unreachable!("{}", render(Path::new("config.toml"), text, &problems, false))
        }
    }
}

const SKETCH: &str = r#"
role = "${SERVICE_TYPE:-web}"

[database]
url      = "${DATABASE_URL:-sqlite://var}"
direct   = { url = "${DATABASE_DIRECT_URL:-}" }
reader   = { user = "portcullis_ro", password = { file = "/run/secrets/ro" } }

[tenants]
registry = { table = "tenants", schema_column = "schema_name", where = "status <> 'pending'", at_least = 0 }

[migrations]
shared  = "migrations/shared"
tenant  = "migrations/tenant"
manifest = { file = "portcullis.manifest.json" }
apply   = { jobs = 4, canary = ["demo"], on_tenant_failure = "continue", max_failures = 5, timeout = "10m" }

[[step]]
name = "database"
wait.database = { timeout = "2m" }

[[step]]
name = "broker"
after = "start"
when = { role = ["worker", "celery-*"] }
wait.redis = { url = "${CELERY_BROKER_URL:-redis://localhost}", timeout = "1m" }

[[step]]
name = "postgis"
when = { role = ["web"], pending = "shared" }
sql = { run = "CREATE EXTENSION IF NOT EXISTS postgis" }

[[step]]
name = "shared schema"
when = { role = ["web"], unless_env = "SKIP_MIGRATIONS" }
migrate.shared = {}

[[step]]
name = "tenant schemas"
when = { role = ["web"], unless_env = "SKIP_MIGRATIONS" }
migrate.tenants = {}

[[step]]
name = "demo tenants"
when = { role = ["web"], env = "CREATE_DEMO_TENANT" }
bootstrap = { tenants = ["demo"] }

[[step]]
name = "demo tenant is complete"
when = { env = "CREATE_DEMO_TENANT" }
verify = { tenants = ["demo"] }

[[step]]
name = "every tenant is complete"
verify = { tenants = "all", wait = "15m" }

[[step]]
name = "static files"
when = { role = ["web"], unless_env = "SKIP_COLLECTSTATIC" }
command = { run = ["python", "manage.py", "collectstatic", "--noinput"], timeout = "5m" }
on_failure = "warn"

[server]
command = ["gunicorn", "app.wsgi", "--bind", "0.0.0.0:8000"]
passthrough = [["bash"], ["sh"], ["python", "manage.py", "shell"]]
mode = "exec"
"#;

#[test]
fn the_sketch_of_the_contract_is_valid_on_sqlite_and_on_postgres() {
    let config = valid(SKETCH, &Environment::default());
    assert_eq!(config.database, Some(Database::Sqlite(Sqlite { folder: "var".into() })));
    assert_eq!(config.role.as_deref(), Some("web"));
    assert_eq!(config.steps.len(), 9);
    assert_eq!(messages(SKETCH, &Environment::default()), [""; 0]);

    let env = Environment::from([("DATABASE_URL", "postgres://app:pw@db/shop"), ("SERVICE_TYPE", "worker")]);
    let config = valid(SKETCH, &env);
    let Some(Database::Postgres(database)) = config.database else { unreachable!() };
    assert_eq!((database.host.as_str(), database.port, database.user.as_str()), ("db", 5432, "app"));
    let reader = database.reader.unwrap();
    assert_eq!((reader.host.as_str(), reader.user.as_str()), ("db", "portcullis_ro"));
    assert_eq!(reader.password, Password::File("/run/secrets/ro".into()));
    assert_eq!(database.direct, None);
}

#[test]
fn an_empty_file_is_valid_and_does_nothing() {
    let config = valid("", &Environment::default());
    assert!(config.steps.is_empty() && config.server.command.is_empty() && config.database.is_none());
    assert_eq!((config.lock_timeout, config.gate.settle), (Duration::from_mins(30), Duration::from_mins(2)));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = r#"
rol = "web"

[database]
host = "db"
prot = 5432
sslmode = "requird"

[gate]
ahead = "wran"
settle = 120

[[step]]
name = "databse"
wiat.database = {}

[[step]]
name = "broker"
after = ["database"]
wait.redsi = { url = "redis://:hunter2@h" }

[[step]]
name = "verify"
on_failure = "warn"
verify = { tenants = "al", timeout = "5x" }

[[step]]
sql = { run = "SELECT 1", timout = "1s" }
command = { run = [] }
"#;
    assert_snapshot!(rendered(text, &Environment::default()), @"");
}

#[test]
fn a_text_that_is_no_toml_is_read_as_far_as_it_goes() {
    let text = "role = \n[gate]\nahead = \"blok\"\nsettle = = 2\n[lock\ntimeout = \"1m\"\n";
    assert_snapshot!(rendered(text, &Environment::default()), @"");
}

#[test]
fn a_value_from_a_variable_is_called_by_its_name() {
    let text = r#"
[gate]
settle = "${SETTLE}"
ahead = "${AHEAD:?say what a newer database means}"
[lock]
timeout = "${TIMEOUT:-5 minutes}"
[[step]]
name = "s"
when = { env = "FLAG", unless_env = ["OTHER"] }
wait.tcp = { address = "${ADDRESS}", timeout = "${TIMEOUTS}" }
"#;
    let env = Environment::from([
        ("SETTLE", "hunter2"),
        ("FLAG", "hunter2"),
        ("OTHER", "no"),
        ("ADDRESS", "hunter2"),
        ("TIMEOUT", ""),
    ]);
    assert_snapshot!(rendered(text, &env), @"");
}

#[test]
fn steps_that_overtake_a_writer_or_lack_a_table_are_refused() {
    let text = r#"
[database]
url = "sqlite://var"
[[step]]
name = "wait"
wait.database = {}
[[step]]
name = "tables"
migrate.shared = {}
[[step]]
name = "all"
after = ["wait"]
verify = { tenants = "all" }
"#;
    assert_snapshot!(rendered(text, &Environment::default()), @"");
}

#[test]
fn a_server_that_nothing_guards_is_warned_of() {
    let text = r#"
[database]
url = "sqlite://var"
[tenants]
registry = { table = "tenants", schema_column = "s" }
[migrations]
shared = "s"
tenant = "t"
[[step]]
name = "all"
when = { unless_env = "SKIP" }
verify = { tenants = "all" }
"#;
    assert_snapshot!(rendered(text, &Environment::default()), @"");
}

#[test]
fn one_thing_wrong_is_one_message() {
    for (text, message) in [
        ("[database]\nhost = \"h\"\nname = \"n\"", "`[database]` needs `user` (or the variable `PGUSER`)"),
        ("[database]\nurl = \"sqlite://v\"\nhost = \"h\"", "`host` has no meaning beside a sqlite:// URL"),
        ("[database]\nurl = \"postgres://u@h/d\"\nuser = \"x\"", "`user` is given twice: here and in `url`"),
        ("[database]\nurl = \"${NONE}\"", "the variable `NONE` is not set"),
        ("[[step]]\nname = \"a\"", "step `a` does nothing"),
        ("[[step]]\nname = \"\"\ncommand = { run = [\"x\"] }", "a `[[step]]` needs `name`"),
        ("[step]\nname = \"a\"", "this must be a list of tables, not a table"),
        (
            "[server]\npassthrough = [\"sh\"]",
            "`sh` is not a list of words, as in [[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]",
        ),
        (
            "[server]\npassthrough = [[]]",
            "this must be a list of words, as in [[\"sh\"], [\"python\", \"manage.py\", \"shell\"]], not a list",
        ),
        ("[lock]\ntimeout = \"0s\"", "`0s` is not longer than nothing"),
        ("[lock]\ntimeout = \"900h\"", "`900h` is not at most 168h"),
        (
            "[[step]]\nname = \"a\"\nafter = \"start\"\nwait = { tcp = { address = \"h:1\" }, file = { path = \"f\" } }",
            "`wait` takes one of tcp, http, database, redis, file: `file` is one too many",
        ),
        (
            "[[step]]\nname = \"a\"\ncommand = { run = [\"x\"], accept = 256 }",
            "`256` is not a whole number from 0 to 255",
        ),
        (
            "[[step]]\nname = \"a\"\nbootstrap = { tenants = [\"${NONE:-}\"] }\n[database]\nurl=\"sqlite://v\"\n[tenants]\nregistry = { table = \"t\", schema_column = \"s\" }\n[migrations]\nshared=\"s\"\ntenant=\"t\"",
            "this names no tenant",
        ),
    ] {
        assert_eq!(messages(text, &Environment::default()), [message], "{text}");
    }
}

#[test]
fn a_password_comes_from_a_variable_or_its_file_but_not_from_both() {
    let text = "[database]\nhost = \"h\"\nname = \"n\"\nuser = \"u\"\npassword = { env = \"DB_PASSWORD\" }";
    let password = |env: &Environment| match valid(text, env).database {
        Some(Database::Postgres(database)) => database.password,
        _ => Password::None,
    };
    let given = Environment::from([("DB_PASSWORD", "hunter2")]);
    assert_eq!(password(&given), Password::Given(Secret::new("hunter2")));
    let file = Environment::from([("DB_PASSWORD_FILE", "/run/p")]);
    assert_eq!(password(&file), Password::File("/run/p".into()));
    let both = Environment::from([("DB_PASSWORD", "hunter2"), ("DB_PASSWORD_FILE", "/run/p")]);
    assert_eq!(
        messages(text, &both),
        ["both `DB_PASSWORD` and `DB_PASSWORD_FILE` are set: unset one of them"]
    );
    let neither = messages(text, &Environment::default());
    assert_eq!(neither, ["neither `DB_PASSWORD` nor `DB_PASSWORD_FILE` is set"]);
}

#[test]
fn absent_parts_come_from_the_variables_of_libpq() {
    let env = Environment::from([
        ("PGHOST", "h"),
        ("PGPORT", "1"),
        ("PGUSER", "u"),
        ("PGDATABASE", "d"),
        ("PGPASSWORD", "hunter2"),
    ]);
    let Some(Database::Postgres(one)) = valid("[database]\nuser = \"me\"", &env).database else {
        unreachable!()
    };
    assert_eq!((one.host.as_str(), one.port, one.user.as_str(), one.name.as_str()), ("h", 1, "me", "d"));
    assert_eq!(one.password, Password::Given(Secret::new("hunter2")));
}

#[test]
fn a_missing_file_and_a_folder_are_two_failures() {
    let missing = load(Path::new("/no/such/file.toml"), &Environment::default()).unwrap_err();
    assert_eq!((missing.id(), missing.code()), ("config-missing", 78));
    let folder = tempfile::tempdir().unwrap();
    let unreadable = load(folder.path(), &Environment::default()).unwrap_err();
    assert_eq!((unreadable.id(), unreadable.code()), ("config-unreadable", 78));
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "rol = 1").unwrap();
    let invalid = load(&file, &Environment::default()).unwrap_err();
    assert_eq!((invalid.id(), invalid.code()), ("config-invalid", 78));
}

/// Every place that takes a text, filled from the same variable.
const SECRETS_EVERYWHERE: &str = r#"
role = "${S}"
[database]
url = "${S}"
host = "${S}"
port = "${S}"
password = { env = "S" }
sslmode = "${S}"
direct = { url = "${S}", password = "${S}" }
[tenants]
registry = { table = "${S}", schema_column = "${S}", at_least = "${S}" }
[migrations]
shared = ["${S}"]
apply = { jobs = "${S}", on_tenant_failure = "${S}", timeout = "${S}" }
[gate]
ahead = "${S}"
allow_standby = "${S}"
[[step]]
name = "${S}"
after = "${S}"
when = { env = "S", role = [["${S}"]], pending = "${S}" }
wait.tcp = { address = "${S}", timeout = "${S}" }
[[step]]
name = "b"
after = ["${S}"]
wait.http = { url = "${S}", status = "${S}" }
[[step]]
name = "c"
verify = { tenants = "${S}", shared = "${S}" }
[[step]]
name = "d"
on_failure = "${S}"
command = { run = "${S}", retries = "${S}", env = { A = ["${S}"] } }
[server]
mode = "${S}"
passthrough = ["${S}"]
"#;

proptest! {
    #[test]
    fn a_secret_from_the_environment_never_reaches_a_message(secret in "[A-Z@:/%?$]{0,4}[QXZ]{6}[!-~]{0,8}") {
        let env = Environment::from([("S", secret.as_str())]);
        prop_assert!(!rendered(SECRETS_EVERYWHERE, &env).contains(&secret));
    }

    #[test]
    fn a_password_never_shows_in_the_configuration(secret in "[QXZ]{6}[a-z0-9]{0,8}") {
        let text = r#"
            [database]
            url = "postgres://app:${S}@db/shop"
            direct = { password = "${S}x" }
            reader = { user = "ro", password = { env = "S" } }
            [[step]]
            name = "a"
            wait.redis = { url = "redis://:${S}@broker" }
            [[step]]
            name = "b"
            command = { run = ["true"], env = { TOKEN = "${S}" } }
        "#;
        let config = valid(text, &Environment::from([("S", secret.as_str())]));
        let shown = format!("{config:?}");
        prop_assert!(!shown.contains(&secret));
    }
}
