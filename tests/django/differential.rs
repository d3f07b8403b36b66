//! Compares the gate's verdicts on broken tenants with Django's, on Django 5.2 and 6.0.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use super::django_6;
use crate::support::django::{Project, TENANT};

const ORACLE: &str = include_str!("../fixtures/django/showmigrations.py");

/// A tenant's name, the SQL that breaks it (`{}` is its schema), and whether Django's check is wrong about it.
const BROKEN: &[(&str, &str, DjangoCheck)] = &[
    ("complete", "SELECT 1", DjangoCheck::Right(&[])),
    (
        "last_pending",
        "DELETE FROM {}.django_migrations WHERE name = '0004_invoice_payment'",
        DjangoCheck::Right(&[]),
    ),
    ("gap", "DELETE FROM {}.django_migrations WHERE name = '0002_contact_place'", DjangoCheck::Right(&[])),
    (
        "gap_in_shared_app",
        "DELETE FROM {}.django_migrations WHERE app = 'customers'",
        DjangoCheck::Right(&[]),
    ),
    ("whole_app_pending", "DELETE FROM {}.django_migrations WHERE app = 'finance'", DjangoCheck::Right(&[])),
    ("empty_ledger", "DELETE FROM {}.django_migrations", DjangoCheck::Right(&[])),
    (
        "only_originals",
        "DELETE FROM {}.django_migrations WHERE name LIKE '0001_squashed%'",
        DjangoCheck::Right(&[]),
    ),
    (
        "squash_in_part",
        "DELETE FROM {}.django_migrations WHERE name IN ('0003_invoice_status', '0001_squashed_0003_invoice_status')",
        DjangoCheck::Right(&[]),
    ),
    (
        "squash_row_lies",
        "DELETE FROM {}.django_migrations WHERE name IN ('0002_invoice_lines', '0003_invoice_status')",
        DjangoCheck::Right(&[]),
    ),
    (
        "squash_without_originals",
        "DELETE FROM {}.django_migrations WHERE app = 'finance' \
         AND name IN ('0001_initial', '0002_invoice_lines', '0003_invoice_status')",
        DjangoCheck::Right(&[]),
    ),
    (
        "ahead",
        "INSERT INTO {}.django_migrations (app, name, applied) VALUES ('finance', '0099_future', now())",
        DjangoCheck::Right(&["ahead"]),
    ),
    (
        "retired",
        "INSERT INTO {}.django_migrations (app, name, applied) VALUES ('gone', '0001_initial', now())",
        DjangoCheck::Right(&["retired"]),
    ),
    (
        "twice",
        "INSERT INTO {}.django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now())",
        DjangoCheck::Right(&["recorded_twice"]),
    ),
    (
        "diverged",
        "UPDATE {}.django_migrations SET name = '0004_other' WHERE name = '0004_invoice_payment'",
        DjangoCheck::Right(&["diverged"]),
    ),
    ("lying", "DROP TABLE {}.finance_invoice", DjangoCheck::Wrong(&["missing_tables"])),
    (
        "lying_column",
        "ALTER TABLE {}.finance_invoice DROP COLUMN total",
        DjangoCheck::Wrong(&["missing_columns"]),
    ),
    (
        "shadowed",
        "DROP TABLE {}.contacts_contact; CREATE TABLE IF NOT EXISTS public.contacts_contact (id bigint)",
        DjangoCheck::Wrong(&["shadowed"]),
    ),
    ("no_ledger", "DROP TABLE {}.django_migrations", DjangoCheck::Wrong(&["no_ledger"])),
    ("no_schema", "DROP SCHEMA {} CASCADE", DjangoCheck::Wrong(&["no_schema"])),
];

/// Whether Django's check is right, and the gate's findings other than pending migrations.
#[derive(Clone, Copy)]
enum DjangoCheck {
    Right(&'static [&'static str]),
    Wrong(&'static [&'static str]),
}

/// The shared schema.
const PUBLIC: &str = "public";

/// Generated ledgers in addition to the manually broken ones.
const GENERATED: usize = 24;

#[test]
fn the_gate_agrees_with_django_for_every_tenant() {
    let project = Project::complete();
    assert_agreement(&project, "django-5.2");
}

#[test]
fn the_gate_agrees_with_django_6_about_squashes_of_squashes() {
    let project = django_6::project();
    assert_agreement(&project, "django-6.0");
}

/// Breaks tenants and compares the verdicts of both.
fn assert_agreement(project: &Project, rules: &str) {
    let manifest = fs::read_to_string(project.portcullis.path("portcullis.manifest.json")).unwrap();
    assert!(manifest.contains(&format!("\"framework\": \"{rules}\"")), "{manifest}");
    let (broken, generated) = break_tenants(project);
    project.database.execute(
        "DELETE FROM public.django_migrations WHERE name IN ('0003_invoice_status', '0002_contact_place', '0012_alter_user_first_name_max_length')",
    );
    let expected = django_verdicts(project);
    let (found, text) = gate_verdicts(project);
    assert!(found.contains_key(TENANT), "{text}");

    let right = broken.iter().filter(|(_, django)| matches!(django, DjangoCheck::Right(_)));
    let public = PUBLIC.to_owned();
    assert!(!found[PUBLIC].pending.is_empty(), "{text}");
    for name in right.map(|(name, _)| name).chain(&generated).chain([&public]) {
        assert_eq!(found[name].pending, expected[name].pending, "{name}: {text}");
        // migrate --check passes over a gap that a squash hides; showmigrations does not.
        assert!(expected[name].content || !found[name].pending.is_empty(), "{name}");
        assert_eq!(found[name].complete, found[name].pending.is_empty(), "{name}");
    }
    let pending = generated.iter().filter(|name| !found[*name].pending.is_empty()).count();
    assert!(
        pending > 5 && pending < GENERATED,
        "{pending} of {GENERATED} are behind: the ledgers vary too little"
    );

    for (name, django) in &broken {
        let (DjangoCheck::Right(findings) | DjangoCheck::Wrong(findings)) = django;
        for finding in *findings {
            assert!(found[name].findings.iter().any(|found| found == finding), "{name}: {text}");
        }
        assert!(matches!(django, DjangoCheck::Right(_)) || !found[name].complete, "{name}");
    }
    for name in ["lying", "lying_column", "shadowed"] {
        assert!(expected[name].content, "Django is content with `{name}`, whose ledger is complete");
    }
}

#[test]
fn the_check_of_django_tenants_stops_at_the_first_tenant_and_hangs() {
    let project = Project::complete();
    project.copies(&["ghost".into(), "second".into(), "third".into()]);
    project.database.execute("DROP TABLE ghost.django_migrations; DELETE FROM second.django_migrations; DELETE FROM third.django_migrations");
    let ledgers = || {
        project.database.column("SELECT count(*)::text FROM pg_tables WHERE schemaname = 'ghost' AND tablename = 'django_migrations'")
    };

    project
        .portcullis
        .run(["verify"])
        .exits(1)
        .prints("ghost")
        .prints("second")
        .prints("third")
        .prints("0004_invoice_payment");
    assert_eq!(ledgers(), ["0"], "the gate writes nothing");
    // A schema with a ledger and without a tenant is named and is no finding.
    project.database.execute("DELETE FROM customers_client WHERE schema_name = 'third'");
    project.portcullis.run(["verify"]).exits(1).prints("schemas without a tenant: third");

    let check = project.manage(&["migrate_schemas", "--check", "--no-color"]).exits(1);
    assert_eq!(ledgers(), ["1"], "a check that creates a table");
    assert!(
        !check.stdout.contains("0004_invoice_payment") && !check.stderr.contains("0004_invoice_payment"),
        "{check}"
    );
    let reached = ["ghost", "second", "third"].iter().filter(|name| check.stdout.contains(**name)).count();
    assert_eq!(reached, 1, "it stops at the first\n{check}");
    // A pool of processes does not notice the exit of one of them and hangs until the time limit.
    project.manage_within(6, &["migrate_schemas", "--check", "--executor=multiprocessing"]).exits(124);
}

/// Creates the broken tenants; returns their names and those of the generated ones.
fn break_tenants(project: &Project) -> (BTreeMap<String, DjangoCheck>, Vec<String>) {
    let broken: BTreeMap<String, DjangoCheck> =
        BROKEN.iter().map(|(name, _, django)| ((*name).to_owned(), *django)).collect();
    let generated: Vec<String> = (0..GENERATED).map(|number| format!("generated_{number}")).collect();
    project.copies(&broken.keys().chain(&generated).cloned().collect::<Vec<_>>());
    for (name, sql, _) in BROKEN {
        project.database.execute(&sql.replace("{}", name));
    }
    // The bits of a hash select the deleted rows, identically at every run. Most rows stay.
    for (number, name) in generated.iter().enumerate() {
        let modulus = 2 + number % 11;
        project.database.execute(&format!(
            "INSERT INTO {name}.django_migrations (app, name, applied) SELECT app, name, now() \
             FROM (VALUES ('contacts', '0001_initial'), ('contacts', '0002_contact_place')) AS replaced (app, name) \
             WHERE (app, name) NOT IN (SELECT app, name FROM {name}.django_migrations); \
             DELETE FROM {name}.django_migrations \
             WHERE app IN ('finance', 'contacts') AND abs(hashtext(app || name || '{name}')) % {modulus} = 0"
        ));
    }
    (broken, generated)
}

pub(super) struct DjangoVerdict {
    pub(super) pending: Vec<String>,
    pub(super) content: bool,
}

pub(super) fn django_verdicts(project: &Project) -> BTreeMap<String, DjangoVerdict> {
    let outcome = project.python(&["-c", ORACLE]).exits(0);
    let results: BTreeMap<String, Value> = serde_json::from_str(&outcome.stdout).unwrap();
    let verdict = |result: &Value| DjangoVerdict {
        pending: strings(&result["pending"]),
        content: result["content"].as_bool().unwrap(),
    };
    results.iter().map(|(name, result)| (name.clone(), verdict(result))).collect()
}

pub(super) struct GateVerdict {
    pub(super) pending: Vec<String>,
    pub(super) complete: bool,
    pub(super) findings: Vec<String>,
}

pub(super) fn gate_verdicts(project: &Project) -> (BTreeMap<String, GateVerdict>, String) {
    let outcome = project.portcullis.run(["verify", "--format", "json"]).exits(1);
    let result: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let judged = |verdict: &Value| {
        let findings = verdict["findings"].as_array().unwrap();
        let pending = findings.iter().find(|finding| finding["kind"] == "pending");
        let mut pending = pending.map(|finding| strings(&finding["migrations"])).unwrap_or_default();
        pending.sort();
        GateVerdict {
            pending,
            complete: verdict["outcome"] == "complete",
            findings: findings.iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect(),
        }
    };
    let tenants = result["tenants"].as_object().unwrap();
    let text = project.portcullis.run(["verify"]).exits(1).stderr;
    let mut found: BTreeMap<_, _> =
        tenants.iter().map(|(name, verdict)| (name.clone(), judged(verdict))).collect();
    found.insert(PUBLIC.into(), judged(&result["shared"]));
    (found, text)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
