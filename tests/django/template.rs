//! New Django tenants copied from a template: exact, fast, in one transaction; a stale template is rejected.

use std::{fs, process::Command};

use sha2::{Digest, Sha256};

use super::doctor;
use crate::support::{
    cluster::cluster,
    django::Project,
    process::{Outcome, Running},
};

/// Every kind of object that a tenant's schema may contain, with unqualified names, as in a project's migration.
const KINDS: &str = r#"
    CREATE SEQUENCE numbers START 100 INCREMENT 5;
    CREATE TYPE colour AS ENUM ('red', 'gr''een');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TABLE parent (
      id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      number bigint NOT NULL DEFAULT nextval('numbers'),
      price numeric(10, 2) DEFAULT 1.50 CHECK (price >= 0),
      twice numeric GENERATED ALWAYS AS (price * 2) STORED,
      shade colour DEFAULT 'red', amount positive, note text COLLATE "C"
    );
    CREATE TABLE child (
      id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
      span int4range, "Odd Name" text, EXCLUDE USING gist (span WITH &&)
    );
    CREATE INDEX child_partial ON child (lower("Odd Name") DESC NULLS LAST) WHERE parent_id > 0;
    CREATE TABLE measure (day date NOT NULL, value int) PARTITION BY RANGE (day);
    CREATE TABLE measure_2026 PARTITION OF measure FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE measure_rest PARTITION OF measure DEFAULT;
    CREATE INDEX measure_day ON measure (day);
    CREATE VIEW cheap AS SELECT p.id, p.price FROM parent p WHERE p.price < 10;
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM parent;
    CREATE FUNCTION twice(x int) RETURNS int LANGUAGE plpgsql STABLE AS $fn$
      BEGIN -- it's quoted
      RETURN x * 2 + length('$$ it''s "quoted"') /* as is, "too" */; END $fn$;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'touched'; RETURN NEW; END $$;
    CREATE TRIGGER touched BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE STATISTICS parent_stats ON price, number FROM parent;
    ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
    CREATE POLICY visible ON parent FOR SELECT USING (price IS NOT NULL);
    COMMENT ON TABLE parent IS 'the parent''s; comment -- with ; and $$';
    COMMENT ON COLUMN child."Odd Name" IS 'odd';
    GRANT SELECT ON parent, cheap TO PUBLIC;
    GRANT UPDATE (note) ON parent TO PUBLIC;
    INSERT INTO parent (price, amount, note) VALUES (3, 1, 'a''b\c'), (4, 2, E'line\nbreak; -- no comment'), (NULL, NULL, '$$ "x"');
    INSERT INTO child VALUES (1, 1, '[1,5)', 'é'), (2, 2, '[5,9)', NULL);
    INSERT INTO measure VALUES ('2026-06-01', 1), ('2030-01-01', 2);
    REFRESH MATERIALIZED VIEW totals;
"#;

/// A project whose tenants have every kind of object besides the example's tables, and whose template is built.
fn with_template() -> Project {
    let project = Project::complete();
    edit(
        &project,
        "config.toml",
        "manifest  = {",
        "template  = { file = \"portcullis.template.sql\" }\nmanifest  = {",
    );
    project.portcullis.run(["tenant", "template"]).exits(0).prints("portcullis.template.sql");
    project
}

fn edit(project: &Project, name: &str, old: &str, new: &str) {
    let path = project.portcullis.path(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old} is not in {text}");
    fs::write(path, text.replace(old, new)).unwrap();
}

/// Adds a migration that creates every kind of object.
fn every_kind(project: &Project) {
    let text = format!(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
         dependencies = [(\"finance\", \"0004_invoice_payment\")]\n    operations = [migrations.RunSQL(r'''{}''')]\n",
        KINDS.replace("'''", "'' '")
    );
    fs::write(project.portcullis.path("finance/migrations/0005_every_kind.py"), text).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate"]).exits(0);
}

/// The pg_dump of a schema with a normalized schema name and without times.
fn dump(project: &Project, schema: &str) -> String {
    let url = format!("{}/{}", cluster().rsplit_once('/').unwrap().0, project.database.name());
    let pattern = format!("--schema=\"{}\"", schema.replace('"', "\"\""));
    let mut command = Command::new("pg_dump");
    command.args([pattern.as_str(), "--no-owner", "--quote-all-identifiers", "--inserts"]).arg(url);
    let printed: Outcome = Running::start(command, false).wait().exits(0);
    let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
    let in_text = quoted.replace('\'', "''");
    let same = printed
        .stdout
        .replace(&in_text, "\"TENANT\"")
        .replace(&quoted, "\"TENANT\"")
        .replace(&format!("Schema: {schema}"), "Schema: TENANT");
    let mut lines: Vec<String> = same
        .lines()
        .filter(|line| {
            !line.starts_with('\\') && !line.starts_with("--") && !line.starts_with("COMMENT ON SCHEMA")
        })
        // The time at which a migration was recorded.
        .map(|line| {
            if line.contains("\"django_migrations\" VALUES") {
                line.rsplit_once(", '").unwrap().0.to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    // Independent objects appear in the order of their creation.
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn a_copy_equals_a_schema_that_the_framework_migrated() {
    let project = Project::complete();
    every_kind(&project);
    project.portcullis.run(["tenant", "create", "plain"]).exits(0);
    edit(
        &project,
        "config.toml",
        "manifest  = {",
        "template  = { file = \"portcullis.template.sql\" }\nmanifest  = {",
    );
    project.portcullis.run(["tenant", "template"]).exits(0);
    let template = fs::read_to_string(project.portcullis.path("portcullis.template.sql")).unwrap();
    let remaining = project
        .database
        .column("SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'portcullis\\_template%'");
    assert!(remaining.is_empty(), "{remaining:?}");
    let framework = dump(&project, "plain");
    assert!(template.contains("CREATE TRIGGER") && framework.contains("CREATE TRIGGER"));
    for name in ["acme", "Ac\"me's", "a.b-c$$d", "_Ünï", "select"] {
        project.portcullis.run(["tenant", "create", name]).exits(0);
        let copy = dump(&project, name);
        if copy != framework {
            let (a, b): (Vec<&str>, Vec<&str>) = (copy.lines().collect(), framework.lines().collect());
            let only = |one: &[&str], other: &[&str]| {
                one.iter()
                    .filter(|line| !other.contains(line))
                    .map(|line| (*line).to_owned())
                    .collect::<Vec<_>>()
            };
            panic!(
                "{name}: only in the copy: {:#?}\nonly in the framework's: {:#?}",
                only(&a, &b),
                only(&b, &a)
            );
        }
    }
    project.portcullis.run(["verify"]).exits(0);
    // Sequences continue after the template's last value, and the copy's functions and triggers work.
    project.database.execute(
        "SET search_path = acme; INSERT INTO acme.parent (price) VALUES (9); UPDATE acme.parent SET price = 8 WHERE price = 9",
    );
    assert_eq!(
        project.database.column("SELECT number::text || note FROM acme.parent WHERE price = 8"),
        ["115touched"]
    );
    project.manage(&["migrate_schemas", "--check", "--schema=acme", "-v0"]).exits(0);
}

#[test]
fn a_stale_changed_or_missing_template_is_rejected() {
    let project = with_template();
    let path = project.portcullis.path("portcullis.template.sql");
    let text = fs::read_to_string(&path).unwrap();
    let create = || project.portcullis.run(["tenant", "create", "acme"]);
    let doctor = || doctor::check(&project, "template-fits");
    assert_eq!(doctor().0, "passed");
    let refused = |why: &str| {
        let (outcome, printed) = doctor();
        assert!(outcome == "failed" && printed.contains(why), "{outcome}: {printed}");
        let outcome = create().exits(78).prints("template-unusable").prints("portcullis tenant template");
        let words: Vec<&str> = outcome.failure_box().split_whitespace().collect();
        assert!(words.join(" ").contains(why), "{outcome}");
    };

    fs::write(&path, text.replace("finance_invoice", "finance_invoise")).unwrap();
    refused("it was changed after it was built");
    fs::remove_file(&path).unwrap();
    refused("it does not exist");
    fs::write(&path, &text).unwrap();
    let migration = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
        dependencies = [(\"finance\", \"0004_invoice_payment\")]\n    operations = []\n";
    fs::write(project.portcullis.path("finance/migrations/0005_more.py"), migration).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    refused("the template was built for release");
    let remaining = project.database.column("SELECT nspname::text FROM pg_namespace WHERE nspname = 'acme'");
    assert!(remaining.is_empty());

    project.portcullis.run(["tenant", "template"]).exits(0);
    create().exits(0);
    project.portcullis.run(["verify", "--tenant", "acme"]).exits(0);

    // A template of another major version with a correct digest.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, written_on(&text, "9")).unwrap();
    let (outcome, printed) = doctor();
    assert!(outcome == "failed" && printed.contains("it was built on PostgreSQL 9"), "{outcome}: {printed}");
    project.portcullis.run(["tenant", "create", "globex"]).exits(73).prints("built on PostgreSQL 9");
}

/// The same template as if another version of the server had written it.
fn written_on(template: &str, version: &str) -> String {
    let (header, rest) = template.split_once("-- release: ").unwrap();
    let mut rest = rest.splitn(6, '\n');
    let mut field = || rest.next().unwrap().rsplit(": ").next().unwrap().to_owned();
    let (release, _, schema, structure, _) = (field(), field(), field(), field(), field());
    let sql = rest.next().unwrap();
    let digested = [release.as_str(), version, &schema, &structure, sql].join("\n");
    let digest = Sha256::digest(digested).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!(
        "{header}-- release: {release}\n-- server: {version}\n-- schema: {schema}\n-- structure: {structure}\n-- digest: {digest}\n{sql}"
    )
}

/// Makes the creation of objects with such a name fail.
fn fails_at(project: &Project, object: &str) {
    project.database.execute(&format!(
        "CREATE FUNCTION public.in_the_way() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '{object}') \
         THEN RAISE EXCEPTION 'not today'; END IF; END $$; \
         CREATE EVENT TRIGGER in_the_way ON ddl_command_end EXECUTE FUNCTION public.in_the_way()",
    ));
}

#[test]
fn a_failing_copy_leaves_nothing() {
    let project = with_template();
    // The creation of this table fails after the schema was created.
    fails_at(&project, "acme.finance_invoice%");
    project.portcullis.run(["tenant", "create", "acme"]).exits(73).prints("not today").prints("rolled back");
    let remaining = project.database.column(
        "SELECT nspname::text FROM pg_namespace WHERE nspname = 'acme' \
         UNION ALL SELECT schema_name::text FROM customers_client WHERE schema_name = 'acme' \
         UNION ALL SELECT tenant FROM portcullis.journal",
    );
    assert!(remaining.is_empty(), "{remaining:?}");
}

#[test]
fn a_copy_that_differs_from_the_template_is_rolled_back() {
    let project = with_template();
    // No table is missing, but one differs from the framework's.
    project.database.execute(
        "CREATE FUNCTION public.meddles() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' \
         AND object_identity = 'acme.finance_invoice') THEN ALTER TABLE acme.finance_invoice ADD COLUMN extra int; END IF; END $$; \
         CREATE EVENT TRIGGER meddles ON ddl_command_end EXECUTE FUNCTION public.meddles()",
    );
    let outcome = project.portcullis.run(["tenant", "create", "acme"]).exits(73);
    let words: Vec<&str> = outcome.failure_box().split_whitespace().collect();
    assert!(
        words.join(" ").contains("the structure of the copy differs from the template (rolled back)"),
        "{outcome}"
    );
    let remaining = project.database.column("SELECT nspname::text FROM pg_namespace WHERE nspname = 'acme'");
    assert!(remaining.is_empty(), "{remaining:?}");
}

#[test]
fn a_template_can_be_built_when_the_registry_has_required_columns() {
    let project = Project::without_tenants();
    project.database.execute("ALTER TABLE customers_client ADD owner_id int NOT NULL");
    edit(
        &project,
        "config.toml",
        "manifest  = {",
        "template  = { file = \"portcullis.template.sql\" }\nmanifest  = {",
    );
    project.portcullis.run(["tenant", "template"]).exits(0);
    project.portcullis.run(["tenant", "create", "acme"]).exits(64).prints("--set owner_id=VALUE");
}

#[test]
fn a_failed_template_build_reports_the_schema_that_it_leaves() {
    let project = with_template();
    // Both the creation and the removal fail.
    fails_at(&project, "portcullis_template%.finance_invoice");
    project.database.execute(
        "CREATE FUNCTION public.keeps() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the schema is protected'; END $$; \
         CREATE EVENT TRIGGER keeps ON ddl_command_start WHEN TAG IN ('DROP SCHEMA') EXECUTE FUNCTION public.keeps()",
    );
    let failed = project.portcullis.run(["tenant", "template"]).exits(73);
    let words = failed.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("the schema is protected") && words.contains("(not rolled back yet: the next run"),
        "{failed}"
    );
    failed.prints("not today");
    project.database.execute("DROP EVENT TRIGGER in_the_way; DROP EVENT TRIGGER keeps");
    edit(&project, "config.toml", "template  = {", "# template  = {");
    project.portcullis.run(["tenant", "create", "acme"]).exits(0).prints("left unfinished, was removed");
}
