//! The expected state: in development, for the next release, for older code, and by tenant type.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{django::Project, process::Outcome};

const NOTE: &str = r#"
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("finance", "PARENT")]
    operations = [migrations.AddField("invoice", "NAME", models.TextField(default=""))]
"#;

/// Adds a migration to the project's `finance`.
fn add(project: &Project, name: &str, parent: &str, column: &str) {
    add_in(project.portcullis.folder(), name, parent, column);
}

fn add_in(folder: &Path, name: &str, parent: &str, column: &str) {
    let path = folder.join(format!("finance/migrations/{name}.py"));
    fs::write(path, NOTE.replace("PARENT", parent).replace("NAME", column)).unwrap();
}

fn remove(project: &Project, name: &str) {
    fs::remove_file(project.portcullis.path(&format!("finance/migrations/{name}.py"))).unwrap();
}

fn build_manifest(project: &Project) -> Outcome {
    project.portcullis.run(["manifest", "django"]).exits(0)
}

#[test]
fn a_development_start_derives_the_manifest_from_django_and_logs_it() {
    let project = Project::complete();
    fs::remove_file(project.portcullis.path("portcullis.manifest.json")).unwrap();
    project.configure("manifest  = { file = \"portcullis.manifest.json\" }", "manifest  = { auto = true }");
    project.portcullis.run(["verify"]).exits(0);
    add(&project, "0005_note", "0004_invoice_payment", "note");
    project.portcullis.run(["verify"]).exits(1).prints("finance.0005_note");
    project.configure("[[step]]\nname = \"invoice totals\"", "[[step]]\nname = \"totals\"");
    let started = project.portcullis.run(["run", "--no-server"]).exits(0);
    started
        .prints("this start runs Python an additional time")
        .prints("RUN portcullis manifest django")
        .prints("finance.0005_note");
    let files = fs::read_dir(project.portcullis.folder()).unwrap().map(|file| file.unwrap().file_name());
    assert!(!files.into_iter().any(|name| name.to_string_lossy().contains("manifest")), "nothing is left");
}

#[test]
fn verify_compares_production_with_the_next_releases_manifest() {
    let project = Project::complete();
    add(&project, "0005_note", "0004_invoice_payment", "note");
    build_manifest(&project);
    let (now, next) = ("portcullis.manifest.json", "next.json");
    fs::rename(project.portcullis.path(now), project.portcullis.path(next)).unwrap();
    remove(&project, "0005_note");
    build_manifest(&project);
    project.portcullis.run(["verify"]).exits(0);
    project
        .portcullis
        .run(["verify", "--manifest", next])
        .exits(1)
        .prints("demo")
        .prints("finance.0005_note");
    // A release that removes a column expects less than exists.
    let text = fs::read_to_string(project.portcullis.path(now)).unwrap();
    fs::write(project.portcullis.path(next), text.replace("\"paid_on\", ", "")).unwrap();
    project.portcullis.run(["verify", "--manifest", next]).exits(0);
}

#[test]
fn verify_can_be_limited_to_one_app() {
    let project = Project::complete();
    project.database.execute(
        "DROP TABLE demo.finance_invoice CASCADE; DELETE FROM demo.django_migrations WHERE app = 'contacts'",
    );
    let finance = project.portcullis.run(["verify", "--app", "finance"]).exits(1);
    finance.prints("finance_invoice").prints_not("contacts.0001");
    project
        .portcullis
        .run(["verify", "--app", "contacts"])
        .exits(1)
        .prints("contacts.0001")
        .prints_not("finance_invoice");
    project.portcullis.run(["verify", "--app", "auth"]).exits(0).prints("only the app `auth`");
    project.portcullis.run(["verify", "--app", "finances"]).exits(64).prints("its apps are auth,");
    // A finding about the complete schema concerns every app.
    project.database.execute("DROP SCHEMA demo CASCADE");
    project.portcullis.run(["verify", "--app", "auth"]).exits(1).prints("no schema");
}

#[test]
fn a_new_migration_adds_one_line_to_the_manifest() {
    let project = Project::new();
    build_manifest(&project);
    let path = project.portcullis.path("portcullis.manifest.json");
    let before = fs::read_to_string(&path).unwrap();
    add(&project, "0005_note", "0004_invoice_payment", "note");
    build_manifest(&project);
    let after = fs::read_to_string(&path).unwrap();
    let new: Vec<&str> = after.lines().filter(|line| !before.contains(line.trim_end_matches(','))).collect();
    // The digest of the manifest, the migration in both schemas, the columns, what it creates, and the digest of the module.
    assert_eq!(new.len(), 7, "{new:?}");
    assert!(new.iter().any(|line| line.contains("\"id\": \"finance.0005_note\"")), "{new:?}");
    let facts: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(facts["registry"]["table"], "customers_client");
    assert_eq!(facts["shared_schema"], "public");
    assert_eq!(facts["versions"]["django"], "5.2.19");
    assert_eq!(facts["versions"]["django_tenants"], "4.0.1");
    assert_eq!(facts["owners"]["finance_invoice"]["app"], "finance");
    assert_eq!(facts["shared"]["tables"].get("finance_invoice"), None);
    assert_eq!(facts["tenant"]["tables"]["finance_invoice"][0], "contact_id");
}

#[test]
fn a_table_is_judged_in_each_spelling_of_its_name() {
    let project = Project::complete();
    for (number, spelling, name) in
        [(5, "'Invoices.Old'", "Invoices.Old"), (6, "'\"Quoted.Invoices\"'", "Quoted.Invoices")]
    {
        let before = if number == 5 { "0004_invoice_payment" } else { "0005_spelling" };
        let migration = format!(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
             dependencies = [(\"finance\", \"{before}\")]\n    operations = [migrations.AlterModelTable(\"invoice\", {spelling})]\n"
        );
        let path = format!("finance/migrations/{number:04}_spelling.py");
        fs::write(project.portcullis.path(&path), migration).unwrap();
        build_manifest(&project);
        project.portcullis.run(["migrate"]).exits(0);
        project.portcullis.run(["verify"]).exits(0);
        let rename = |from: &str, to: &str| {
            project.database.execute(&format!("ALTER TABLE demo.\"{from}\" RENAME TO \"{to}\""));
        };
        rename(name, "lost");
        project.portcullis.run(["verify"]).exits(1).prints(name);
        rename("lost", name);
    }
}

#[test]
fn older_code_reports_ahead_retired_or_diverged_ledgers() {
    let project = Project::complete();
    add(&project, "0005_note", "0004_invoice_payment", "note");
    build_manifest(&project);
    project.portcullis.run(["migrate"]).exits(0);

    // The previous release: the new migration is unknown, and nothing is pending.
    remove(&project, "0005_note");
    build_manifest(&project);
    project.portcullis.run(["verify"]).exits(0).prints("warning").prints("finance.0005_note").prints("ahead");
    project.configure("[tenants]", "[gate]\nahead = \"block\"\n\n[tenants]");
    project.portcullis.run(["verify"]).exits(1).prints("finance.0005_note");
    project.configure("[gate]\nahead = \"block\"\n\n", "");
    project.portcullis.run(["migrate"]).exits(0).prints("nothing pending");

    // Another branch: it has another migration besides the unknown one.
    add(&project, "0005_other", "0004_invoice_payment", "other");
    build_manifest(&project);
    project.portcullis.run(["verify"]).exits(1).prints("diverged").prints("finance.0005_note");
    project.portcullis.run(["migrate", "--all"]).exits(1).prints("diverged");
    let others = "SELECT name::text FROM demo.django_migrations WHERE name = '0005_other'";
    assert!(project.database.column(others).is_empty(), "nothing was applied onto it");
    remove(&project, "0005_other");

    // The app is removed: one line for all of its rows.
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(settings, text.replace("    \"finance\",\n", "")).unwrap();
    build_manifest(&project);
    let removed = project.portcullis.run(["verify"]).exits(0);
    let about_demo = removed.stdout.lines().filter(|line| line.contains("demo") && line.contains("finance."));
    assert_eq!(about_demo.count(), 1, "{removed}");
    removed.prints("retired");
}

const TYPES: &str = r#"
HAS_MULTI_TYPE_TENANTS = True
MULTI_TYPE_DATABASE_FIELD = "kind"
BASIC = ["django.contrib.contenttypes", "django.contrib.auth", "contacts"]
TENANT_TYPES = {
    "public": {"APPS": SHARED_APPS, "URLCONF": "invoicing.urls_public"},
    "full": {"APPS": [*BASIC, "finance"], "URLCONF": "invoicing.urls"},
    "light": {"APPS": BASIC, "URLCONF": "invoicing.urls"},
}
"#;

const KIND: &str = r#"
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial")]
    operations = [migrations.AddField("client", "kind", models.CharField(max_length=10, default="full"))]
"#;

/// Gives the project's tenants types: `full` ones have the app `finance`, `light` ones do not.
pub(super) fn with_types(project: &Project) {
    let append = |name: &str, text: &str| {
        let path = project.portcullis.path(name);
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + text).unwrap();
    };
    append("invoicing/settings.py", TYPES);
    append("customers/migrations/0002_client_kind.py", KIND);
    let models = project.portcullis.path("customers/models.py");
    let text = fs::read_to_string(&models).unwrap();
    let field = "    kind = models.CharField(max_length=10, default=\"full\")\n";
    fs::write(models, text.replacen("    name =", &format!("{field}    name ="), 1)).unwrap();
}

#[test]
fn each_tenant_is_compared_with_the_tables_of_its_type() {
    let project = Project::new();
    with_types(&project);
    build_manifest(&project);
    let manifest = fs::read_to_string(project.portcullis.path("portcullis.manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert!(manifest["types"]["full"].get("finance_invoice").is_some());
    assert!(manifest["types"]["light"].get("finance_invoice").is_none());
    assert_eq!(manifest["registry"]["type_column"], "kind");

    project.portcullis.run(["migrate", "--shared"]).exits(0);
    let create = "from customers.models import Client\n\
                  Client(schema_name='big', name='Big', kind='full').save(verbosity=0)\n\
                  Client(schema_name='small', name='Small', kind='light').save(verbosity=0)";
    project.manage(&["shell", "-v0", "-c", create]).exits(0);
    project.portcullis.run(["verify"]).exits(0).prints("2 tenants complete");

    // Each tenant has lost a table of its type, and only that is a finding.
    project.database.execute("DROP TABLE big.finance_invoice");
    project.portcullis.run(["verify"]).exits(1).prints("big").prints("finance.Invoice").prints("1 of 3");
    project.portcullis.run(["repair", "big", "--replay", "finance"]).exits(0);
    project.portcullis.run(["repair", "small", "--replay", "finance"]).exits(1).prints("cannot be replayed");
    project.database.execute("DROP TABLE big.finance_invoice");
    let all = project.portcullis.run(["repair", "--all-affected", "--replay", "finance"]).exits(0);
    all.prints("big: complete").prints_not("small");
    project.database.execute("ALTER TABLE small.contacts_contact DROP COLUMN city");
    project.portcullis.run(["verify"]).exits(1).prints("small").prints("contacts_contact").prints("1 of 3");
    project.database.execute("ALTER TABLE small.contacts_contact ADD COLUMN city varchar(100)");

    // A migration is recorded in both types and creates its column in one.
    add(&project, "0005_note", "0004_invoice_payment", "note");
    build_manifest(&project);
    project.portcullis.run(["migrate"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    let notes = "SELECT table_schema::text FROM information_schema.columns WHERE column_name = 'note'";
    assert_eq!(project.database.column(notes), ["big"]);
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
}

/// Two tenants of a project whose `contacts` and `finance` were in SHARED_APPS, and are now in TENANT_APPS.
fn moved() -> Project {
    let project = Project::new();
    let settings = project.portcullis.path("invoicing/settings.py");
    let shipped = fs::read_to_string(&settings).unwrap();
    let before = shipped.replace("    \"contacts\",\n    \"finance\",\n", "").replace(
        "    \"django.contrib.staticfiles\",\n",
        "    \"contacts\",\n    \"finance\",\n    \"django.contrib.staticfiles\",\n",
    );
    fs::write(&settings, before).unwrap();
    build_manifest(&project);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.manage(&["bootstrap_demo_tenants", "demo", "acme", "-v0"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    project.database.execute(
        "INSERT INTO public.contacts_contact (name, email, city, sort_name) VALUES ('Ada', '', '', '')",
    );
    fs::write(&settings, shipped).unwrap();
    project
}

#[test]
fn an_app_that_moved_from_shared_to_tenants_is_found_and_replayed() {
    let project = moved();
    build_manifest(&project);
    let blocked = project.portcullis.run(["verify"]).exits(1);
    blocked
        .prints("contacts.Contact")
        .prints("finance.Invoice")
        .prints("shadowed")
        .prints("acme")
        .prints("demo")
        .prints("portcullis repair --all-affected --replay contacts");
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    // Its foreign key would reference public's contacts.
    let early = project.portcullis.run(["repair", "acme", "--replay", "finance"]).exits(1);
    early.prints("depend on those of contacts").prints("portcullis repair acme --replay contacts");
    let asked = project.portcullis.run(["repair", "--all-affected", "--replay", "contacts"]).exits(1);
    asked.prints("portcullis repair acme --replay contacts --allow-code");
    project
        .portcullis
        .run(["repair", "--all-affected", "--replay", "contacts", "--allow-code"])
        .exits(1)
        .prints("public.contacts_contact contains 1 row")
        .prints("acme: contacts.0001_initial run again")
        .prints("demo: contacts.0001_initial run again");
    project.portcullis.run(["repair", "--all-affected", "--replay", "finance"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    assert_eq!(project.database.column("SELECT name::text FROM public.contacts_contact"), ["Ada"]);
    let abroad = "SELECT conrelid::regclass::text FROM pg_constraint JOIN pg_class t ON t.oid = confrelid \
                  WHERE connamespace = 'acme'::regnamespace AND contype = 'f' AND t.relnamespace <> connamespace";
    assert!(project.database.column(abroad).is_empty(), "every foreign key stays in the tenant");
}

#[test]
fn migrate_does_not_touch_public_when_a_moved_app_has_a_new_migration() {
    let project = moved();
    add(&project, "0005_note", "0004_invoice_payment", "note");
    build_manifest(&project);
    let notes = || {
        project.database.column(
            "SELECT table_schema::text FROM information_schema.columns WHERE column_name = 'note' ORDER BY 1",
        )
    };
    let refused = project.portcullis.run(["migrate"]).exits(1);
    refused.prints("shadowed").prints("finance.0005_note").prints("--all-affected --replay contacts");
    assert!(notes().is_empty(), "public's invoices are as they were");
    project
        .portcullis
        .run(["repair", "--all-affected", "--replay", "contacts", "--allow-code"])
        .exits(1)
        .prints("--replay finance");
    let repaired = project.portcullis.run(["repair", "--all-affected", "--replay", "finance"]).exits(0);
    repaired.prints("acme: finance.0005_note run again");
    project.portcullis.run(["verify"]).exits(0);
    assert_eq!(notes(), ["acme", "demo"]);
    // Django itself would have changed the copy in public.
    let by_django = moved();
    add(&by_django, "0005_note", "0004_invoice_payment", "note");
    by_django.manage(&["migrate_schemas", "--tenant", "--schema=acme", "-v0"]).exits(0);
    let changed = "SELECT table_schema::text FROM information_schema.columns WHERE column_name = 'note'";
    assert_eq!(by_django.database.column(changed), ["public"]);
}

#[test]
fn a_project_in_a_subfolder_is_found_by_its_manage_py() {
    let project = Project::new();
    let folder = project.portcullis.folder();
    let inside = folder.join("src");
    fs::create_dir(&inside).unwrap();
    for name in ["manage.py", "invoicing", "customers", "contacts", "finance"] {
        fs::rename(folder.join(name), inside.join(name)).unwrap();
    }
    project.configure("manage    = \"manage.py\"", "manage    = \"src/manage.py\"");
    build_manifest(&project);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    add_in(&inside, "0005_note", "0004_invoice_payment", "note");
    project.portcullis.run(["verify"]).exits(78).prints("0005_note.py");
}
