//! The database that a project changes, and commands that change no database.

use std::fs;

use crate::support::{cluster::Database, django::Project};

#[test]
fn a_project_that_connects_to_another_database_is_rejected_before_any_change() {
    let project = Project::new();
    let other = Database::fresh();
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    let named = r#""NAME": os.environ.get("DB_NAME", "invoicing")"#;
    assert!(text.contains(named));
    fs::write(&settings, text.replace(named, &format!("\"NAME\": \"{}\"", other.name()))).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let outcome = project.portcullis.run(["migrate", "--shared"]).exits(78);
    outcome.prints(other.name()).prints(project.database.name()).prints("other-database");
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    assert!(other.column(tables).is_empty() && project.database.column(tables).is_empty());
}

#[test]
fn building_the_manifest_runs_no_command_that_changes_the_database() {
    let project = Project::new();
    let manage = "import os, sys\n\
                  from django.core.management import ManagementUtility\n\
                  os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"invoicing.settings\")\n\
                  ManagementUtility(sys.argv).execute()\n\
                  sys.exit(0)\n";
    fs::write(project.portcullis.path("manage.py"), manage).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    assert!(project.database.column(tables).is_empty());
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    assert!(!project.database.column(tables).is_empty());
}
