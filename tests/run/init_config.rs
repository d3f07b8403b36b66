//! `init-config`: the written file passes `check` as it is, and starts the project that it was written for.

use std::{fs, path::Path, process::Command};

use crate::support::{
    portcullis::Portcullis,
    process::{Outcome, Running},
    sample::{Engine, Sample},
};

/// The written file, after `check` without a warning.
fn written(portcullis: &Portcullis) -> (String, Outcome) {
    let outcome = portcullis.run(["init-config"]).exits(0).prints("config.toml: written");
    portcullis.run(["check"]).exits(0).prints_not("warning");
    (fs::read_to_string(portcullis.path("config.toml")).unwrap(), outcome)
}

#[test]
fn a_folder_of_sql_migrations_starts_with_the_written_file() {
    let sample = Sample::on(Engine::Sqlite);
    fs::remove_file(sample.portcullis.path("config.toml")).unwrap();
    let (text, outcome) = written(&sample.portcullis);
    outcome.prints("portcullis manifest sql");
    assert!(text.contains("registry = { table = \"tenants\", schema_column = \"schema_name\" }"), "{text}");
    let sample = sample.env("DATABASE_URL", "sqlite://var");
    sample
        .portcullis
        .run(["run", "--", "echo", "the server started"])
        .exits(0)
        .prints("every tenant is complete: ok")
        .prints("the server started");
}

/// A table of another name in folders of other names: which is the shared schema follows from the files.
#[test]
fn sql_migrations_are_found_by_their_contents() {
    let shared =
        "CREATE TABLE \"public\".company (\n  id bigint PRIMARY KEY,\n  db_schema text NOT NULL\n);\n";
    let portcullis = Portcullis::new()
        .file("backend/db/company/0001_account.sql", "CREATE TABLE account (id bigint);\n")
        .file("backend/db/main/0001_company.sql", shared);
    let (text, _) = written(&portcullis);
    for line in [
        "registry = { table = \"public.company\", schema_column = \"db_schema\" }",
        "shared = \"backend/db/main\"\ntenant = \"backend/db/company\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }

    // The names alone: the table of the tenants is elsewhere.
    let portcullis = Portcullis::new()
        .file("db/shared/1_plan.sql", "CREATE TABLE plan (id bigint);\n")
        .file("db/tenants/1_account.sql", "CREATE TABLE account (id bigint);\n");
    let (text, outcome) = written(&portcullis);
    outcome.prints("no table that lists the schemas: correct `registry`");
    assert!(text.contains("shared = \"db/shared\"\ntenant = \"db/tenants\""), "{text}");

    // Two folders that nothing distinguishes are no guess.
    let portcullis = Portcullis::new()
        .file("db/a/1_plan.sql", "CREATE TABLE plan (id bigint);\n")
        .file("db/b/1_account.sql", "CREATE TABLE account (id bigint);\n");
    let (text, outcome) = written(&portcullis);
    outcome.prints("found: nothing").prints("docs/quick-start.md");
    assert!(!text.contains("[migrations]"), "{text}");
}

#[test]
fn the_server_of_a_django_project_is_that_of_its_dockerfile() {
    let project = || {
        Portcullis::new()
            .file("manage.py", "from django.core.management import execute_from_command_line\n")
            .file(
                "shop/settings.py",
                "TENANT_MODEL = 'clinics.Clinic'\nASGI_APPLICATION = 'shop.asgi.application'\n",
            )
    };
    let (text, _) = written(&project());
    let guess = "command = [\"uvicorn\", \"shop.asgi:application\", \"--host\", \"0.0.0.0\", \"--port\", \"${PORT:-8000}\"]";
    assert!(text.contains(guess), "{text}");
    let dockerfile = "FROM python\nCMD [\"sh\", \"-c\", \"python manage.py migrate_schemas && daphne shop.asgi:application\"]\n";
    let (text, _) = written(&project().file("Dockerfile", dockerfile));
    assert!(text.contains("command = [\"daphne\", \"shop.asgi:application\"]"), "{text}");
}

#[test]
fn a_django_project_names_its_registry_its_server_and_its_variables() {
    let portcullis = Portcullis::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django/.");
    let mut copy = Command::new("cp");
    copy.arg("-R").args([&source, portcullis.folder()]);
    Running::start(copy, false).wait().exits(0);
    fs::remove_file(portcullis.path("config.toml")).unwrap();
    let (text, outcome) = written(&portcullis);
    outcome.prints("TENANT_MODEL in invoicing/settings.py").prints("portcullis manifest django");
    for line in [
        "framework = \"django\"",
        "registry = { table = \"customers_client\", schema_column = \"schema_name\", where = \"schema_name <> 'public'\" }",
        "host = \"${DB_HOST:-localhost}\"",
        "wait.redis = { url = \"${REDIS_URL:-redis://localhost}\", timeout = \"1m\" }",
        "command = [\"gunicorn\", \"invoicing.wsgi\", \"--bind\", \"0.0.0.0:${PORT:-8000}\"]",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_django_project_without_tenants_migrates_with_its_own_command() {
    let portcullis = Portcullis::new()
        .file("manage.py", "from django.core.management import execute_from_command_line\n")
        .file("shop/settings/base.py", "WSGI_APPLICATION = 'shop.wsgi.application'\n");
    let (text, _) = written(&portcullis);
    assert!(text.contains("run = [\"python\", \"manage.py\", \"migrate\", \"--noinput\"]"), "{text}");
    assert!(text.contains("\"shop.wsgi\"") && !text.contains("[tenants]"), "{text}");
}

#[test]
fn a_project_without_a_database_waits_for_its_services_only() {
    let portcullis = Portcullis::new()
        .file("package.json", "{ \"scripts\": { \"start\": \"node .\" } }")
        .file("compose.yaml", "services: { web: { environment: { SESSION_REDIS_URL: redis://redis } } }\n");
    let (text, _) = written(&portcullis);
    assert!(text.contains("${SESSION_REDIS_URL:-redis://localhost}"), "{text}");
    assert!(text.contains("command = [\"npm\", \"start\"]") && !text.contains("[database]"), "{text}");

    let (text, outcome) = written(&Portcullis::new());
    outcome.prints("found: nothing");
    assert!(text.contains("# command = "), "{text}");
}

/// Hostile names and contents end up in no key of the file.
#[test]
fn files_that_are_no_project_are_not_taken_for_one() {
    let portcullis = Portcullis::new()
        .file("manage.py", "execute_from_command_line\n")
        .file("a/settings.py", "TENANT_MODEL = \"a.B\\\" }\\n[server]\"\nWSGI_APPLICATION = get('x')\n")
        .file("Procfile", "web: sh -c \"exec $SERVER\"\n")
        .file("package.json", "{ not json");
    let (text, _) = written(&portcullis);
    assert!(!text.contains("[tenants]") && text.contains("# command = "), "{text}");
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let portcullis = Portcullis::new().config("role = \"mine\"\n");
    portcullis.run(["init-config"]).exits(64).prints("config.toml exists");
    assert_eq!(fs::read_to_string(portcullis.path("config.toml")).unwrap(), "role = \"mine\"\n");
    portcullis.run(["init-config", "--config", "other.toml"]).exits(0);
    portcullis.run(["check", "--config", "other.toml"]).exits(0);
    portcullis
        .run(["init-config", "--config", "nowhere/x.toml"])
        .exits(64)
        .prints("cannot write nowhere/x.toml");
}
