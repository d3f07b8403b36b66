//! Third-party apps of the usual kind: the gate agrees with Django's own commands about their migrations and models.

use std::{collections::BTreeMap, fs};

use super::{
    differential::{django_verdicts, gate_verdicts},
    manifest::with_types,
};
use crate::support::{
    cluster::Database,
    django::{Project, Release},
};

const SETTINGS: &str = include_str!("../fixtures/django/apps/settings.py");

fn append(project: &Project, file: &str, text: &str) {
    let path = project.portcullis.path(file);
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, before + text).unwrap();
}

/// The tables of a schema with their columns.
fn columns(project: &Project, schema: &str) -> Vec<String> {
    project.database.column(&format!(
        "SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns \
         WHERE table_schema = '{schema}' ORDER BY 1"
    ))
}

/// Deletes the newest rows of an app from a tenant's ledger.
fn forget(project: &Project, tenant: &str, app: &str, rows: usize) {
    project.database.execute(&format!(
        "DELETE FROM {tenant}.django_migrations WHERE id IN \
         (SELECT id FROM {tenant}.django_migrations WHERE app = '{app}' ORDER BY id DESC LIMIT {rows})"
    ));
}

/// The pending migrations of every schema, as both see them.
fn assert_same_pending(project: &Project) {
    let django = django_verdicts(project);
    let (gate, text) = gate_verdicts(project);
    let pending = |name: &String| (name.clone(), gate[name].pending.clone());
    let of_gate: BTreeMap<String, Vec<String>> = gate.keys().map(pending).collect();
    let of_django: BTreeMap<String, Vec<String>> =
        django.into_iter().map(|(name, verdict)| (name, verdict.pending)).collect();
    assert_eq!(of_gate, of_django, "{text}");
}

#[test]
fn the_gate_agrees_with_django_about_third_party_apps() {
    let project = Project::on(Release::Apps);
    append(&project, "invoicing/settings.py", SETTINGS);
    let models = project.portcullis.path("contacts/models.py");
    let text = fs::read_to_string(&models).unwrap();
    let history = "from simple_history.models import HistoricalRecords\n\n\nclass Contact(models.Model):\n    history = HistoricalRecords()\n";
    fs::write(&models, text.replace("\n\nclass Contact(models.Model):\n", history)).unwrap();
    // simple-history adds a model of its own.
    project.manage(&["makemigrations", "--check", "--dry-run"]).exits(1);
    let warned = project.portcullis.run(["manifest", "django"]).exits(0);
    warned
        .prints("the models of `contacts` have changes without a migration (Create model HistoricalContact)");
    project.manage(&["makemigrations", "contacts", "-v0"]).exits(0);
    project.manage(&["makemigrations", "--check", "--dry-run"]).exits(0);
    project.portcullis.run(["manifest", "django"]).exits(0).prints_not("without a migration");

    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.portcullis.run(["tenant", "create", "demo"]).exits(0);
    project.portcullis.run(["verify"]).exits(0).prints("1 tenant complete");
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    let manifest = fs::read_to_string(project.portcullis.path("portcullis.manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let expected: Vec<&String> = manifest["tenant"]["tables"].as_object().unwrap().keys().collect();
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'demo' AND tablename <> 'django_migrations' ORDER BY 1";
    assert_eq!(expected, project.database.column(tables).iter().collect::<Vec<_>>());
    for app in ["account_", "django_celery_beat_", "wagtailcore_", "contacts_historicalcontact"] {
        assert!(expected.iter().any(|table| table.starts_with(app)), "{app}: {expected:?}");
    }

    let apps = ["account", "socialaccount", "django_celery_beat", "wagtailcore", "wagtailimages", "contacts"];
    project.copies(&apps.map(str::to_owned));
    for (rows, app) in apps.iter().enumerate() {
        forget(&project, app, app, rows + 1);
    }
    assert_same_pending(&project);
    // A lost table of any of them is a finding, although the ledger is complete.
    project.database.execute(
        "DROP TABLE demo.wagtailcore_pageviewrestriction_groups, demo.django_celery_beat_periodictasks",
    );
    let (gate, _) = gate_verdicts(&project);
    assert!(!gate["demo"].complete && gate["demo"].findings.contains(&"missing_tables".to_owned()));
}

#[test]
fn the_gate_agrees_with_django_about_every_type_of_tenant() {
    let project = Project::new();
    with_types(&project);
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    let kinds = [("big", "full"), ("huge", "full"), ("small", "light"), ("tiny", "light")];
    let create = kinds.map(|(name, kind)| {
        format!("Client(schema_name='{name}', name='{name}', kind='{kind}').save(verbosity=0)")
    });
    let create = format!("from customers.models import Client\n{}", create.join("\n"));
    project.manage(&["shell", "-v0", "-c", &create]).exits(0);
    // Portcullis and Django create the same tables for each type.
    project.portcullis.run(["tenant", "create", "own_big", "--set", "kind=full"]).exits(0);
    project.portcullis.run(["tenant", "create", "own_small", "--set", "kind=light"]).exits(0);
    assert_eq!(columns(&project, "own_big"), columns(&project, "big"));
    assert_eq!(columns(&project, "own_small"), columns(&project, "small"));
    assert_ne!(columns(&project, "big"), columns(&project, "small"));
    project.portcullis.run(["verify"]).exits(0).prints("6 tenants complete");
    for (tenant, app, rows) in [("big", "finance", 2), ("small", "finance", 1), ("tiny", "contacts", 1)] {
        forget(&project, tenant, app, rows);
    }
    assert_same_pending(&project);
}

const ROUTER: &str = r#"
class Reports:
    """Invoices are in a database of their own."""

    def allow_migrate(self, db, app_label, **hints):
        if app_label == "finance":
            return db == "reports"
        return False if db == "reports" else None
"#;

#[test]
fn the_gate_agrees_with_django_about_a_database_that_a_router_divides() {
    let project = Project::new();
    let reports = Database::fresh();
    append(&project, "invoicing/routers.py", ROUTER);
    append(
        &project,
        "invoicing/settings.py",
        &format!(
            "\nDATABASES[\"reports\"] = {{**DATABASES[\"default\"], \"ENGINE\": \"django.db.backends.postgresql\", \"NAME\": \"{}\"}}\n\
             DATABASE_ROUTERS.insert(0, \"invoicing.routers.Reports\")\n",
            reports.name()
        ),
    );
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.portcullis.run(["tenant", "create", "demo"]).exits(0);
    // The ledger records the migrations of every app; the tables are only those of this database.
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    let verified = project.portcullis.run(["verify"]).exits(0);
    verified.prints("neither migrates nor judges: reports");
    assert!(!columns(&project, "demo").iter().any(|column| column.starts_with("finance_")));
    assert!(reports.column("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").is_empty());
    forget(&project, "demo", "finance", 2);
    assert_same_pending(&project);
}

#[test]
fn the_gate_agrees_with_django_about_geometry_columns() {
    let mut project = Project::new();
    project.database.execute("CREATE EXTENSION postgis");
    append(
        &project,
        "invoicing/settings.py",
        "\nORIGINAL_BACKEND = \"django.contrib.gis.db.backends.postgis\"\nSHARED_APPS.append(\"django.contrib.gis\")\n\
         INSTALLED_APPS.append(\"django.contrib.gis\")\n",
    );
    append(
        &project,
        "contacts/models.py",
        "    position = gis.PointField(null=True, geography=True)\n    area = gis.MultiPolygonField(null=True, srid=3035)\n",
    );
    let models = project.portcullis.path("contacts/models.py");
    let text = fs::read_to_string(&models).unwrap();
    fs::write(
        &models,
        text.replacen(
            "from django.db import models",
            "from django.contrib.gis.db import models as gis\nfrom django.db import models",
            1,
        ),
    )
    .unwrap();
    project.manage(&["makemigrations", "contacts", "-v0"]).exits(0);
    // The manifest needs no database, with this backend neither.
    let host = std::env::var("PORTCULLIS_TEST_POSTGRES").unwrap();
    let (_, host) = host.rsplit_once('@').unwrap();
    let host = host.split(':').next().unwrap().to_owned();
    project.set("DB_HOST", "127.0.0.255");
    project.portcullis.run(["manifest", "django"]).exits(0).prints_not("without a migration");
    project.set("DB_HOST", &host);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.portcullis.run(["tenant", "create", "demo"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    forget(&project, "demo", "contacts", 1);
    assert_same_pending(&project);
    project.portcullis.run(["tenant", "create", "acme"]).exits(0);
    project.database.execute("ALTER TABLE acme.contacts_contact DROP COLUMN area");
    project.portcullis.run(["verify", "acme"]).exits(1).prints("contacts_contact.area");
}
