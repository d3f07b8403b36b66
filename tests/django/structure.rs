//! The structure of a framework's tenants: they are compared with each other.

use std::process::Command;

use crate::{
    inspection::mutations::{Change, Found, Mutations, for_any_schema, number},
    support::django::{Project, TENANT},
};

/// Tenants that were restored from a dump of the complete one.
fn restored<N: AsRef<str>>(project: &Project, names: &[N]) {
    let url = project.database.url();
    let schema = format!("--schema={TENANT}");
    let arguments = ["--schema-only", "--quote-all-identifiers", &schema, &url];
    let dump = Command::new("pg_dump").args(arguments).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dump = String::from_utf8(dump.stdout).unwrap();
    let lines: Vec<&str> = dump.lines().filter(|line| !line.starts_with('\\')).collect();
    let dump = lines.join("\n");
    for name in names {
        let name = name.as_ref();
        project.database.execute(&dump.replace(&format!("\"{TENANT}\""), &format!("\"{name}\"")));
        project.database.execute(&format!(
            "INSERT INTO {name}.django_migrations SELECT * FROM {TENANT}.django_migrations; \
             INSERT INTO public.customers_client (schema_name, name, created_on) VALUES ('{name}', '{name}', now())"
        ));
    }
}

#[test]
fn a_tenant_that_differs_from_the_others_is_named_with_its_differences() {
    let project = Project::complete();
    restored(&project, &["copy0", "copy1", "copy2"]);
    project.portcullis.run(["verify", "--structure"]).exits(0);

    // The framework may have given constraints, indexes and sequences other names.
    project.database.execute(
        "ALTER TABLE copy0.finance_invoice RENAME CONSTRAINT finance_invoice_pkey TO earlier; \
         ALTER TABLE copy1.finance_invoice ADD COLUMN gone integer; ALTER TABLE copy1.finance_invoice DROP COLUMN gone",
    );
    project.portcullis.run(["verify", "--structure"]).exits(0);

    project.database.execute(
        "ALTER TABLE copy2.finance_invoice DROP CONSTRAINT finance_invoice_pkey CASCADE; \
         ALTER TABLE copy2.finance_invoice ALTER COLUMN id SET GENERATED ALWAYS",
    );
    let outcome = project.portcullis.run(["verify", "--structure"]).exits(1).prints("copy2");
    outcome
        .prints("column finance_invoice.id: bigint GENERATED ALWAYS")
        .prints("is missing (PRIMARY KEY (id)) (compared with copy0 and 2 tenants equal)")
        .prints_not("copy1:")
        .prints_not("copy0:");
}

#[test]
fn the_template_decides_even_against_the_majority() {
    let project = Project::complete();
    project.configure("manifest  = {", "template  = { file = \"portcullis.template.sql\" }\nmanifest  = {");
    project.portcullis.run(["tenant", "template"]).exits(0);
    restored(&project, &["copy0", "copy1"]);
    for copy in ["copy0", "copy1"] {
        project
            .database
            .execute(&format!("ALTER TABLE {copy}.finance_invoice ALTER COLUMN status DROP NOT NULL"));
    }
    let outcome = project.portcullis.run(["verify", "--structure"]).exits(1);
    outcome.prints("2 schemas: copy0, copy1").prints("(compared with demo, which equals the template)");
}

#[test]
fn every_change_of_a_django_tenant_is_found_or_of_a_kind_that_is_out_of_scope() {
    let project = Project::complete();
    let names = |letter: char, count| (0..count).map(move |number| format!("{letter}{number:04}"));
    let altered: Vec<String> = names('m', number("DJANGO_MUTATIONS", 25)).collect();
    let untouched: Vec<String> = names('u', 12).collect();
    let all: Vec<&String> = altered.iter().chain(&untouched).collect();
    restored(&project, &all);
    // A framework may have given constraints, indexes and owned sequences other names.
    let changes: Vec<Change> = for_any_schema()
        .into_iter()
        .map(|(kind, sql, found)| {
            let is_name = sql.contains("RENAME CONSTRAINT") || sql.contains("ALTER INDEX");
            (kind, sql, if is_name { Found::OutOfScope } else { found })
        })
        .collect();
    let (original, untouched) = untouched.split_first().unwrap();
    let mutations = Mutations { database: &project.database, original, ledger: "django_migrations" };
    mutations.check(&changes, &altered, untouched, || {
        project.portcullis.run(["verify", "--structure", "--format", "json"])
    });
}
