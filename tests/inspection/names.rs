//! An inspection reads each tenant's own tables, with any `search_path` and with missing permissions.

use crate::support::{
    cluster::{Database, cluster},
    fleet,
};

#[test]
fn a_tenant_is_never_found_through_search_path() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&["complete", "tableless", "ledgerless"]));
    // Complete copies of the tables and of the catalog come first on every search path.
    database.execute(
        "CREATE TABLE public.item (LIKE demo.item); \
         CREATE TABLE public.pg_class AS SELECT * FROM pg_catalog.pg_class; \
         CREATE TABLE public.pg_attribute AS SELECT attrelid, attname, attnum, attisdropped FROM pg_catalog.pg_attribute; \
         CREATE TABLE public.pg_namespace AS SELECT * FROM pg_catalog.pg_namespace; \
         CREATE FUNCTION public.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT false'; \
         DROP TABLE tableless.item; DROP TABLE ledgerless._sqlx_migrations",
    );
    database.execute(&format!(
        "ALTER DATABASE {} SET search_path = public, complete, demo, pg_catalog",
        database.name()
    ));
    let outcome = fleet.run(["verify", "--format", "json"]).exits(1);
    let findings = fleet::findings(&outcome);
    let found: Vec<(&str, &str)> =
        findings.iter().map(|(tenant, kind)| (tenant.as_str(), kind.as_str())).collect();
    assert_eq!(found, [("ledgerless", "no_ledger"), ("tableless", "missing_tables")], "{outcome}");
}

#[test]
fn a_schema_without_read_permission_is_named_and_the_others_are_inspected() {
    let database = Database::fresh();
    let reader = format!("{}_reader", database.name());
    let fleet = fleet::complete(&database.url()).env("READER", &reader);
    let names = fleet::names(130);
    for few in names.chunks(10) {
        database.execute(&fleet::copies(few));
    }
    let password = cluster().split(':').nth(2).unwrap().split('@').next().unwrap().to_owned();
    database.execute(&format!(
        "CREATE ROLE {reader} LOGIN PASSWORD '{password}'; GRANT SELECT ON public.tenants, public._sqlx_migrations TO {reader}; \
         DO $$ DECLARE s text; BEGIN FOR s IN SELECT name FROM public.tenants LOOP \
         EXECUTE format('GRANT USAGE ON SCHEMA %I TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {reader}', s, s); \
         END LOOP; END $$; \
         REVOKE ALL ON SCHEMA t51 FROM {reader}; REVOKE ALL ON t52._sqlx_migrations FROM {reader}",
    ));
    let outcome = fleet.run(["verify", "--format", "json"]).exits(74);
    let found = fleet::findings(&outcome);
    assert!(found.iter().all(|(_, why)| why.contains("no privilege")), "{outcome}");
    assert_eq!(
        found.iter().map(|(tenant, _)| tenant.as_str()).collect::<Vec<_>>(),
        ["t51", "t52"],
        "{outcome}"
    );
    // Proven findings take precedence, and both are reported.
    database.execute("DROP TABLE t99.item; ALTER TABLE t98._sqlx_migrations DROP COLUMN checksum");
    let outcome = fleet.run(["verify", "--format", "json"]).exits(1);
    let found: Vec<String> = fleet::findings(&outcome).into_iter().map(|(tenant, _)| tenant).collect();
    assert_eq!(found, ["t51", "t52", "t98", "t99"], "{outcome}");
    let junit = fleet.run(["verify", "--format", "junit"]).exits(1);
    // One for each tenant and one for the shared schema.
    junit
        .prints(
            "<testsuite name=\"portcullis verify\" tests=\"132\" failures=\"1\" errors=\"3\" skipped=\"0\">",
        )
        .prints("<testcase classname=\"tenant\" name=\"t99\"><failure message=\"table missing: item")
        .prints("<testcase classname=\"tenant\" name=\"t51\"><error message=\"cannot read: no privilege")
        .prints("<testcase classname=\"tenant\" name=\"t50\"></testcase>");
    let github = fleet.run(["verify", "--format", "github"]).exits(1);
    github
        .prints("::error title=t99::table missing: item")
        .prints("::error title=t51::cannot read: no privilege");
    database.execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}"));
}

#[test]
fn a_locked_ledger_is_named_and_the_others_are_inspected() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&fleet::names(20)));
    let outcome = database
        .while_held("LOCK TABLE t7._sqlx_migrations", || fleet.run(["verify", "--format", "json"]).exits(74));
    let found = fleet::findings(&outcome);
    assert!(
        matches!(&found[..], [(tenant, why)] if tenant == "t7" && why.contains("lock timeout")),
        "{outcome}"
    );
    fleet.run(["verify"]).exits(0);
}

#[test]
fn an_expected_table_must_not_be_another_kind_of_relation() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url())
        .file("tenant/3_totals.sql", "CREATE VIEW totals AS SELECT count(n) AS items FROM item;\n");
    fleet.run(["manifest", "sql"]).exits(0);
    fleet.run(["run", "--no-server"]).exits(0);
    let manifest = std::fs::read_to_string(fleet.path("portcullis.manifest.json")).unwrap();
    assert!(manifest.contains("\"totals\": \"view\""), "{manifest}");
    for name in ["complete", "hidden", "swapped", "parted"] {
        let view = format!("CREATE VIEW {name}.totals AS SELECT count(n) AS items FROM {name}.item");
        database.execute(&(fleet::copy(name) + &view));
    }
    database.execute(
        "DROP TABLE hidden.item CASCADE; CREATE VIEW hidden.item AS SELECT * FROM complete.item; \
         CREATE VIEW hidden.totals AS SELECT 1 AS items; \
         DROP VIEW swapped.totals; CREATE TABLE swapped.totals (items bigint); \
         DROP TABLE parted.item CASCADE; CREATE TABLE parted.item (n bigint, note text) PARTITION BY LIST (n); \
         CREATE VIEW parted.totals AS SELECT 1 AS items",
    );
    let outcome = fleet.run(["verify", "--format", "json"]).exits(1);
    let found = ["hidden", "swapped"].map(|tenant| (tenant.to_owned(), "other_kind".to_owned()));
    assert_eq!(fleet::findings(&outcome), found, "{outcome}");
    fleet
        .run(["verify"])
        .exits(1)
        .prints("item is a view, not a table")
        .prints("totals is a table, not a view");
}
