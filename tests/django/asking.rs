//! Deriving the manifest from a project: warnings about its models, missing variables, further databases.

use std::fs;

use super::doctor::check;
use crate::support::{cluster::Database, django::Project};

fn append(project: &Project, file: &str, text: &str) {
    let path = project.portcullis.path(file);
    let before = fs::read_to_string(&path).unwrap();
    fs::write(path, before + text).unwrap();
}

#[test]
fn models_that_differ_from_the_migrations_are_reported_as_django_reports_them() {
    let project = Project::new();
    project.manage(&["makemigrations", "--check", "--dry-run"]).exits(0);
    project.portcullis.run(["manifest", "django"]).exits(0).prints_not("without a migration");
    append(&project, "contacts/models.py", "    vip = models.BooleanField(null=False)\n");
    project.manage(&["makemigrations", "--check", "--dry-run"]).exits(1);
    let warned = project.portcullis.run(["manifest", "django"]).exits(0);
    warned
        .prints("the models of `contacts` have changes without a migration (Add field vip to contact)")
        .prints("python manage.py makemigrations contacts")
        .prints_not("`finance`");
}

#[test]
fn a_variable_that_the_settings_need_is_named() {
    let project = Project::new();
    append(
        &project,
        "invoicing/settings.py",
        "\nos.environ.get(\"OPTIONAL\")\nLICENCE = os.environ[\"LICENCE_KEY\"]\n",
    );
    let refused = project.portcullis.run(["manifest", "django"]).exits(79);
    refused
        .prints("the project's settings need the environment variable `LICENCE_KEY`, which is not set")
        .prints("LICENCE_KEY=build portcullis manifest django");
    // Packages for settings have exceptions of their own.
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    let wrapped = "try:\n    LICENCE = os.environ[\"LICENCE_KEY\"]\nexcept KeyError:\n    raise ValueError(\"LICENCE_KEY not found. Declare it as envvar\") from None\n";
    fs::write(&settings, text.replace("LICENCE = os.environ[\"LICENCE_KEY\"]\n", wrapped)).unwrap();
    project
        .portcullis
        .run(["manifest", "django"])
        .exits(79)
        .prints("variable `LICENCE_KEY`, which is not set");
    // Another error is none of a variable.
    fs::write(&settings, "raise KeyError('OTHER')\n").unwrap();
    project
        .portcullis
        .run(["manifest", "django"])
        .exits(79)
        .prints("KeyError: 'OTHER'")
        .prints_not("is not set");
}

#[test]
fn further_databases_of_the_project_are_named_at_every_start() {
    let project = Project::complete();
    project.portcullis.run(["verify"]).exits(0).prints_not("neither migrates nor judges");
    assert_eq!(check(&project, "other-databases").0, "passed");
    let reports = Database::fresh();
    let router = "class Reports:\n    def allow_migrate(self, db, app_label, **hints):\n        return app_label == \"contacts\" if db == \"reports\" else None\n";
    fs::write(project.portcullis.path("invoicing/routers.py"), router).unwrap();
    append(
        &project,
        "invoicing/settings.py",
        &format!(
            "\nDATABASES[\"reports\"] = {{**DATABASES[\"default\"], \"ENGINE\": \"django.db.backends.postgresql\", \"NAME\": \"{}\"}}\n\
             DATABASES[\"copy\"] = {{**DATABASES[\"default\"], \"TEST\": {{\"MIRROR\": \"default\"}}}}\n\
             DATABASE_ROUTERS.insert(0, \"invoicing.routers.Reports\")\n",
            reports.name()
        ),
    );
    project.portcullis.run(["manifest", "django"]).exits(0);
    let line = "databases of the project that Portcullis neither migrates nor judges: reports";
    project.portcullis.run(["verify"]).exits(0).prints(line);
    project.portcullis.run(["run", "--no-server"]).exits(0).prints(line);
    let (outcome, message) = check(&project, "other-databases");
    assert_eq!(outcome, "warned");
    assert!(message.contains("reports") && !message.contains("copy"), "{message}");
    assert!(reports.column("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").is_empty());
}

#[test]
fn a_configuration_without_migrations_is_told_about_frameworks() {
    let project = Project::new();
    project.configure("framework = \"django\"\n", "");
    project.configure("manage    = \"manage.py\"\n", "");
    project
        .portcullis
        .run(["check"])
        .exits(78)
        .prints("`[migrations]` has neither `shared` nor `framework`")
        .prints("framework = \"django\"");
}

/// A manage.py whose `execute_from_command_line` runs after these lines.
fn manage(lines: &str) -> String {
    format!(
        "import os, sys, threading, time\nos.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"invoicing.settings\")\n\
         from django.core.management import execute_from_command_line\n{lines}\n"
    )
}

const EXECUTE: &str = "execute_from_command_line(sys.argv)";

#[test]
fn no_manage_py_makes_a_question_change_the_database() {
    let project = Project::new();
    let other = "import shutil; shutil.copy(\"invoicing/settings.py\", \"invoicing/other.py\"); os.environ[\"DJANGO_SETTINGS_MODULE\"] = \"invoicing.other\"";
    for (lines, answer) in [
        ("sys.stdout.write(\"no line end\"); sys.stdout.buffer.write(b\"caf\\xe9 \\xff\")\nEXECUTE", ""),
        ("print(\"{\\\"applied\\\": \\\"finance.0001_initial\\\"}\")\nEXECUTE", ""),
        (&format!("{other}\nEXECUTE"), ""),
        ("threading.Thread(target=lambda: time.sleep(0.5)).start()\nEXECUTE", ""),
        ("import atexit; atexit.register(lambda: print(\"bye\", end=\"\"))\nEXECUTE\nsys.exit(3)", ""),
        (
            "child = os.fork()\nif child == 0:\n    EXECUTE\n    os._exit(0)\nos.waitpid(child, 0)",
            "calls neither",
        ),
        ("if os.fork() == 0:\n    os._exit(0)\nEXECUTE", ""),
        ("os._exit(0)", "did not write the manifest"),
        ("os._exit(7)", "exited with 7"),
        ("sys.exit(4)", "exited with 4"),
        (
            "import subprocess; subprocess.run([sys.executable, \"-m\", \"django\", *sys.argv[1:]])",
            "calls neither",
        ),
        (
            "os.execv(sys.executable, [sys.executable, \"-m\", \"django\", *sys.argv[1:]])",
            "did not write the manifest",
        ),
        ("raise RuntimeError(\"not today\")", "RuntimeError: not today"),
    ] {
        fs::write(project.portcullis.path("manage.py"), manage(&lines.replace("EXECUTE", EXECUTE))).unwrap();
        let manifest = project.portcullis.path("portcullis.manifest.json");
        let _ = fs::remove_file(&manifest);
        let asked = project.portcullis.run(["manifest", "django"]);
        if answer.is_empty() {
            asked.exits(0);
            assert!(manifest.exists(), "{lines}");
        } else {
            asked.exits(79).prints(answer);
            assert!(!manifest.exists(), "{lines}");
        }
    }
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    assert!(project.database.column(tables).is_empty());

    // A program that ends early has migrated nothing.
    fs::write(project.portcullis.path("manage.py"), manage(EXECUTE)).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    fs::write(project.portcullis.path("manage.py"), manage("os._exit(0)")).unwrap();
    let migrated = project.portcullis.run(["migrate", "--shared"]).exits(1);
    migrated.prints("exited with 0 before it had migrated every schema");
    assert!(!project.database.column(tables).contains(&"customers_client".to_owned()));
}
