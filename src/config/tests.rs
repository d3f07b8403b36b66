//! Tests the reading of a complete text, and the rendered problems.
#![expect(clippy::unwrap_used, reason = "tests")]

mod documentation;
mod limits;
mod secrets;
mod wording;

use std::{path::Path, time::Duration};

use super::{
    Password,
    environment::Environment,
    load::{Parsed, load, parse as parse_with},
    render::render,
    secret::Secret,
    *,
};

fn parsed(text: &str, env: &Environment) -> Parsed {
    parse_with(text, env, &Overrides::default())
}

/// The rendered errors and warnings.
fn rendered(text: &str, env: &Environment) -> String {
    render(Path::new("config.toml"), text, &parsed(text, env).problems, false)
}

fn messages(text: &str, env: &Environment) -> Vec<String> {
    parsed(text, env).problems.into_iter().map(|problem| problem.message).collect()
}

fn valid(text: &str, env: &Environment) -> Config {
    let Parsed { config, problems, .. } = parsed(text, env);
    config.map_or_else(
        || unreachable!("{}", render(Path::new("config.toml"), text, &problems, false)),
        |config| *config,
    )
}

const SKETCH: &str = r#"
role = "${SERVICE_TYPE:-web}"

[database]
url      = "${DATABASE_URL:-sqlite://var}"
direct   = { url = "${DATABASE_DIRECT_URL:-}" }
reader   = { user = "portcullis_ro", password = { file = "/run/secrets/ro" } }

[tenants]
registry = { table = "tenants", schema_column = "schema_name", where = "status <> 'pending'", min_rows = 0 }

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
fn a_typical_configuration_is_valid_on_sqlite_and_on_postgres() {
    let config = valid(SKETCH, &Environment::default());
    assert_eq!(config.database, Some(Database::Sqlite(Sqlite { folder: "var".into() })));
    assert_eq!(config.role.as_deref(), Some("web"));
    assert_eq!(config.steps.len(), 9);
    assert_eq!(messages(SKETCH, &Environment::default()), [""; 0]);

    let env = Environment::from([("DATABASE_URL", "postgres://app:pw@db/shop"), ("SERVICE_TYPE", "worker")]);
    let config = valid(SKETCH, &env);
    let Some(Database::Postgres(database)) = config.database else { unreachable!() };
    assert_eq!((database.address().as_str(), database.user.as_str()), ("db:5432", "app"));
    let reader = database.reader.unwrap();
    assert_eq!((reader.address().as_str(), reader.user.as_str()), ("db:5432", "portcullis_ro"));
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
fn absent_connection_parts_come_from_libpqs_variables() {
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
    assert_eq!((one.address().as_str(), one.user.as_str(), one.name.as_str()), ("h:1", "me", "d"));
    assert_eq!(one.password, Password::Literal(Secret::new("hunter2")));
}

#[test]
fn a_missing_file_and_a_folder_are_different_failures() {
    let missing =
        load(Path::new("/no/such/file.toml"), &Environment::default(), &Overrides::default()).unwrap_err();
    assert_eq!((missing.id(), missing.code()), ("config-missing", 78));
    let folder = tempfile::tempdir().unwrap();
    let unreadable = load(folder.path(), &Environment::default(), &Overrides::default()).unwrap_err();
    assert_eq!((unreadable.id(), unreadable.code()), ("config-unreadable", 78));
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "rol = 1").unwrap();
    let invalid = load(&file, &Environment::default(), &Overrides::default()).unwrap_err();
    assert_eq!((invalid.id(), invalid.code()), ("config-invalid", 78));
}

#[test]
fn a_background_program_needs_a_supervised_server() {
    let step = "[[step]]\nname = \"proxy\"\ncommand = { run = [\"proxy\"], background = true }\n";
    let none = Environment::default();
    insta::assert_snapshot!(rendered(step, &none), @r#"
    error: step `proxy` runs in the background, which needs `mode = "supervise"`
     --> config.toml:3:43
      |
    3 | command = { run = ["proxy"], background = true }
      |                                           ^^^^
      |
      = help: write `mode = "supervise"` in `[server]`, or remove `background`
    "#);
    let supervised = |step: &str| messages(&format!("{step}[server]\nmode = \"supervise\"\n"), &none);
    assert!(supervised(step).is_empty());
    let retried = step.replace("true }", "true, retries = 3 }");
    assert_eq!(supervised(&retried), ["`retries` has no effect with `background = true`"]);
}

#[test]
fn a_quarantine_after_a_blocking_migration_is_a_warning() {
    let gate = "[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\n\n[migrations]";
    let text = SKETCH.replace("[migrations]", gate);
    let doubt =
        "step `tenant schemas` blocks when one tenant's migration fails, before the gate could quarantine it";
    assert_eq!(messages(&text, &Environment::default()), [doubt]);
    let warned = text.replace("migrate.tenants = {}", "migrate.tenants = {}\non_failure = \"warn\"");
    assert!(messages(&warned, &Environment::default()).is_empty());
}

#[test]
fn a_quarantine_needs_a_limit_and_an_acceptance_a_date() {
    for (text, message) in [
        ("[gate]\nincomplete = \"quarantine\"", "`[gate]` needs `max_quarantined`"),
        ("[gate]\nmax_quarantined = 3", "`max_quarantined` needs `incomplete = \"quarantine\"`"),
        ("[[accept]]\ntenant = \"a\"\nwhat = \"t\"\nreason = \"r\"", "an `[[accept]]` needs `until`"),
    ] {
        assert_eq!(messages(text, &Environment::default()), [message], "{text}");
    }
    let text = "[[accept]]\ntenant = \"a\"\nwhat = \"t\"\nreason = \"r\"\nuntil = \"2027-02-30\"";
    assert!(messages(text, &Environment::default())[0].contains("a day such as"), "{text}");
}

#[test]
fn the_command_line_overrides_the_file() {
    let text = SKETCH.replace("role = \"${SERVICE_TYPE:-web}\"", "role = \"web\"");
    let overridden = |overrides: Overrides| {
        let config = parse_with(&text, &Environment::default(), &overrides).config.unwrap();
        let apply = config.migrations.unwrap().apply;
        (config.role.unwrap(), apply.jobs, apply.cooperate)
    };
    assert_eq!(overridden(Overrides::default()), ("web".into(), 4, false));
    let overrides = Overrides { role: Some("beat".into()), jobs: Some(9), cooperate: true };
    assert_eq!(overridden(overrides), ("beat".into(), 9, true));
}

#[test]
fn a_former_key_is_a_warning_alone_and_an_error_with_the_current_one() {
    let env = Environment::default();
    let former = valid("[gate]\nsettle = \"5s\"", &env);
    assert_eq!(former.gate.settle, Duration::from_secs(5));
    assert_eq!(messages("[gate]\nsettle = \"5s\"", &env), ["`settle` is now `settle_timeout`"]);
    let shown = rendered("[gate]\nsettle = \"5s\"", &env);
    assert!(shown.contains("settle = \"5s\""), "{shown}");
    let both = "[gate]\nsettle = \"5s\"\nsettle_timeout = \"6s\"";
    assert_eq!(messages(both, &env), ["`settle` and `settle_timeout` are the same key"]);
    let wrong = "[gate]\nsettle = 5";
    assert_eq!(messages(wrong, &env).len(), 2);
}

#[test]
fn libpqs_variables_are_used_or_refused() {
    let url = "[database]\nurl = \"postgres://app@db/shop\"";
    let strict = "[database]\nurl = \"postgres://app@db/shop?sslmode=verify-full\"";
    for (text, variable, value, mode) in [
        (url, "PGSSLMODE", "require", "require"),
        (url, "PGSSLROOTCERT", "system", "verify-full"),
        (strict, "PGSSLMODE", "disable", "verify-full"),
    ] {
        let database = valid(text, &Environment::from([(variable, value)])).database;
        let Some(Database::Postgres(postgres)) = database else { unreachable!() };
        assert_eq!(postgres.parameters["sslmode"], mode, "{variable}");
    }
    let refused = |variable: &str, value: &str| {
        let env = Environment::from([(variable, value)]);
        messages(url, &env).join("; ")
    };
    for (variable, value) in
        [("PGSSLMODE", "sometimes"), ("PGSSLCRL", "/crl.pem"), ("PGREQUIREAUTH", "scram-sha-256")]
    {
        assert!(refused(variable, value).contains(&format!("variable `{variable}`")), "{variable}");
    }
    assert!(refused("PGSERVICE", "main").contains("the service `main` is in no service file"));
    let weak = "[database]\nurl = \"postgres://app@db/shop?sslmode=require&sslrootcert=system\"";
    assert_eq!(messages(weak, &Environment::default()).len(), 1);
}
