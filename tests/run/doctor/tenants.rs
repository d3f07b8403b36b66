//! Checks of the tenants, the manifest and the leftovers of a killed run, on both engines.

use std::fs;

use super::assert_outcomes;
use crate::run::on_both_engines;
use crate::support::sample::{Engine, Sample};

on_both_engines! {
    a_correct_installation_fails_no_check
    each_broken_tenant_fails_its_own_checks
    a_missing_manifest_hides_no_other_check
    the_doctor_reports_the_leftovers_of_a_killed_run
}

fn a_correct_installation_fails_no_check(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let passed = [
        "configuration-valid",
        "gate-blocks",
        "server-command",
        "manifest-fresh",
        "database-reachable",
        "lock",
        "registry-readable",
        "registry-duplicates",
        "orphan-schemas",
        "shared-complete",
        "demo-complete",
        "tenants-complete",
        "tables-answer",
        "leftovers",
    ];
    let mut expected: Vec<(&str, &str)> = passed.iter().map(|id| (*id, "passed")).collect();
    match engine {
        // The cluster's role is a superuser.
        Engine::Postgres => expected.extend([
            ("role-privileges", "warned"),
            ("gate-role", "not_applicable"),
            ("pooler", "passed"),
            ("server-limits", "passed"),
            ("clock", "passed"),
        ]),
        Engine::Sqlite => expected.extend([
            ("role-privileges", "not_applicable"),
            ("gate-role", "not_applicable"),
            ("pooler", "not_applicable"),
            ("server-limits", "not_applicable"),
            ("clock", "not_applicable"),
        ]),
    }
    assert_outcomes(&sample.portcullis, &expected);
    let text = sample.portcullis.run(["doctor"]).exits(0).prints("3 tenants complete");
    text.prints_not("\u{1b}[");
}

fn each_broken_tenant_fails_its_own_checks(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    let found = assert_outcomes(
        &sample.portcullis,
        &[
            ("tenants-complete", "failed"),
            ("demo-complete", "failed"),
            ("shared-complete", "passed"),
            ("tables-answer", "passed"),
        ],
    );
    assert!(found["tenants-complete"].1.contains("acme: table missing: finance_invoice"), "{found:#?}");
    sample.execute(None, "DELETE FROM tenants WHERE schema_name = 'acme'");
    assert_outcomes(
        &sample.portcullis,
        &[("orphan-schemas", "warned"), ("demo-complete", "failed"), ("tenants-complete", "passed")],
    );
    sample.execute(None, "UPDATE _sqlx_migrations SET success = false WHERE version = 3");
    assert_outcomes(
        &sample.portcullis,
        &[("shared-complete", "failed"), ("demo-complete", "failed"), ("tenants-complete", "passed")],
    );
}

fn a_missing_manifest_hides_no_other_check(engine: Engine) {
    let sample = Sample::complete_on(engine);
    fs::remove_file(sample.portcullis.path("portcullis.manifest.json")).unwrap();
    assert_outcomes(
        &sample.portcullis,
        &[
            ("manifest-fresh", "failed"),
            ("tenants-complete", "not_applicable"),
            ("database-reachable", "passed"),
            ("registry-readable", "passed"),
            ("lock", "passed"),
            ("leftovers", "passed"),
        ],
    );
}

fn the_doctor_reports_the_leftovers_of_a_killed_run(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let sample = match engine {
        Engine::Postgres => {
            sample.execute(
                None,
                "CREATE SCHEMA portcullis_tenant_0123456789abcdef; INSERT INTO portcullis.journal (nonce, run, registry, tenant, kind) \
                 VALUES ('1', '2', 'public.tenants', 'initech', 'command')",
            );
            sample
        }
        Engine::Sqlite => sample.file("var/tenants/initech.0123456789abcdef.new", ""),
    };
    let found = assert_outcomes(&sample.portcullis, &[("leftovers", "warned")]);
    assert!(found["leftovers"].1.contains("0123456789abcdef"), "{found:#?}");
    let mentioned = found["leftovers"].1.contains("had the framework create initech");
    assert_eq!(mentioned, engine == Engine::Postgres, "{found:#?}");
}

#[test]
fn a_duplicate_name_in_the_registry_is_a_failure() {
    let sample = Sample::complete_on(Engine::Postgres);
    sample.execute(None, "ALTER TABLE tenants DROP CONSTRAINT tenants_pkey CASCADE; INSERT INTO tenants SELECT * FROM tenants WHERE schema_name = 'acme'");
    let found = assert_outcomes(&sample.portcullis, &[("registry-duplicates", "failed")]);
    assert!(found["registry-duplicates"].1.contains("acme"), "{found:#?}");
}
