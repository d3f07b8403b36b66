//! `apply = { replay = true }`: the statements that Django runs for one tenant run for the others, and their schemas are equal.

use std::{fs, path::Path, process::Command};

use nix::sys::signal::Signal;

use super::django_6;
use crate::documents::blocks::{block, comparable};
use crate::support::{
    cluster::cluster,
    django::{Project, Release},
    process::{Outcome, Running},
};

/// The number of random apps for each of two releases in the ordinary run; `PORTCULLIS_TEST_SEQUENCES` sets another one.
const SEQUENCES: u32 = 25;

/// A project with an app of the fixtures, in which the tenants have the app's first migration.
struct Replay {
    project: Project,
    tenants: Vec<&'static str>,
}

impl Replay {
    /// Creates these tenants with Django, each with the apps' first migrations and with rows.
    fn new(release: Release, apps: &[&str], tenants: &[&'static str]) -> Self {
        let project = if release == Release::Six { django_6::project() } else { Project::complete() };
        let apps = apps.iter().map(|app| format!("    \"{app}\",")).collect::<Vec<_>>().join("\n");
        edit(
            &project,
            "invoicing/settings.py",
            "TENANT_APPS = [",
            &format!("TENANT_APPS = [\n{apps}\n    \"django.contrib.postgres\","),
        );
        project.configure(
            "apply     = { jobs = 4, canary = [\"demo\"],",
            "apply     = { replay = true, jobs = 4,",
        );
        Self { project, tenants: tenants.to_vec() }
    }

    /// Has Django create the first tenant, of which the others are copies.
    fn create_tenants(&self) {
        let project = &self.project;
        project.portcullis.run(["manifest", "django"]).exits(0);
        project.portcullis.run(["migrate", "--shared"]).exits(0);
        project.manage(&["migrate_schemas", "--tenant", "-v0"]).exits(0);
        let Some((first, others)) = self.tenants.split_first() else { return };
        project.portcullis.run(["tenant", "create", first, "--set", "name=x"]).exits(0);
        project.copy_tenant(first, others);
        for tenant in others {
            // The numbers of later rows differ between tenants.
            for table in ["django_content_type", "auth_permission"] {
                project.database.execute(&format!(
                    "SELECT setval(pg_get_serial_sequence('{tenant}.{table}', 'id'), 1000)"
                ));
            }
        }
    }

    fn migrate(&self) -> Outcome {
        self.project.portcullis.run(["manifest", "django"]).exits(0);
        self.project.portcullis.run(["migrate", "--shared"]).exits(0);
        self.project.portcullis.run(["migrate", "--all"])
    }

    /// The schema as pg_dump writes it, and the rows that Django writes, without numbers and times.
    fn dump(&self, tenant: &str) -> String {
        let mut command = Command::new("pg_dump");
        let url = cluster();
        let (server, _) = url.rsplit_once('/').unwrap();
        command.args(["--schema-only", &format!("--schema={tenant}")]);
        command.arg(format!("{server}/{}", self.project.database.name()));
        let dump = Running::start(command, false).wait().exits(0).stdout;
        let is_schema = |line: &&str| !line.starts_with("--") && !line.contains("restrict ");
        let dump = dump.lines().filter(is_schema).collect::<Vec<_>>().join("\n");
        let quoted = format!("\"{tenant}\"");
        let rows = format!(
            "SELECT 'applied ' || app || ' ' || name FROM {quoted}.django_migrations UNION ALL \
             SELECT 'type ' || app_label || ' ' || model FROM {quoted}.django_content_type UNION ALL \
             SELECT concat_ws(' ', 'permission', t.app_label, t.model, p.codename, p.name) FROM {quoted}.auth_permission p \
             JOIN {quoted}.django_content_type t ON t.id = p.content_type_id ORDER BY 1"
        );
        let rows = self.project.database.column(&rows).join("\n");
        format!("{dump}\n{rows}")
            .replace(&format!("{tenant}."), "TENANT.")
            .replace(&format!("SCHEMA {tenant}"), "SCHEMA TENANT")
    }

    /// Fails unless every tenant has the schema of the first.
    fn assert_equal(&self) {
        let first = self.dump(self.tenants[0]);
        for tenant in &self.tenants[1..] {
            let dump = self.dump(tenant);
            if dump != first {
                let (lines, expected): (Vec<_>, Vec<_>) = (dump.lines().collect(), first.lines().collect());
                let only = |of: &[&str], other: &[&str]| {
                    of.iter().filter(|line| !other.contains(line)).copied().collect::<Vec<_>>().join("\n")
                };
                panic!(
                    "only in {tenant}:\n{}\nonly in {}:\n{}",
                    only(&lines, &expected),
                    self.tenants[0],
                    only(&expected, &lines)
                );
            }
        }
    }
}

fn edit(project: &Project, file: &str, from: &str, to: &str) {
    let path = project.portcullis.path(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} does not contain {from:?}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/django")
}

/// Copies the app `shapes` with these migrations.
fn copy_shapes(project: &Project, migrations: &[&str]) {
    let (from, to) = (fixtures().join("shapes"), project.portcullis.path("shapes"));
    fs::create_dir_all(to.join("migrations")).unwrap();
    let files = ["__init__", "models", "migrations/__init__"].map(str::to_owned);
    for file in files.into_iter().chain(migrations.iter().map(|name| format!("migrations/{name}"))) {
        fs::copy(from.join(format!("{file}.py")), to.join(format!("{file}.py"))).unwrap();
    }
}

const ROWS: &str = "INSERT INTO {}.shapes_shape (name, code, size, note) VALUES ('a', 'x', 1, 'n'), ('b', 'y', NULL, 'n'); \
    INSERT INTO {}.shapes_corner (x, y, shape_id) SELECT id, 1, id FROM {}.shapes_shape; \
    INSERT INTO {}.shapes_label (text) VALUES ('t'); \
    INSERT INTO {}.shapes_label_shapes (label_id, shape_id) SELECT l.id, s.id FROM {}.shapes_label l, {}.shapes_shape s;";

fn every_operation(release: Release) {
    let replay = Replay::new(release, &["shapes"], &["acme", "bolt", "corp"]);
    copy_shapes(&replay.project, &["0001_initial"]);
    replay.create_tenants();
    for tenant in &replay.tenants {
        replay.project.database.execute(&ROWS.replace("{}", tenant));
    }
    // Django inserts these rows again.
    replay.project.database.execute(
        "DELETE FROM bolt.auth_permission WHERE codename = 'view_contact'; DELETE FROM corp.auth_permission \
         WHERE content_type_id = (SELECT id FROM corp.django_content_type WHERE model = 'contact'); \
         DELETE FROM corp.django_content_type WHERE model = 'contact'",
    );
    copy_shapes(
        &replay.project,
        &["0002_operations", "0003_renamed", "0004_one", "0005_two", "0004_squashed"],
    );
    let migrated = replay.migrate().exits(0);
    let shown = comparable(&block("docs/replay.md", "$ portcullis migrate --all"));
    let (before, after) = shown.lines().nth(1).unwrap().split_once("`acme`").unwrap();
    let printed = comparable(&migrated.stderr);
    assert!(printed.contains(before) && printed.contains(after), "{migrated}");
    assert!(migrated.stderr.contains("its statements run for 3 tenants"), "{migrated}");
    assert!(!migrated.stderr.contains("do not fit"), "{migrated}");
    replay.assert_equal();
    replay.project.portcullis.run(["verify"]).exits(0);
    replay.project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
}

/// The operations that a recording may contain. The app `shapes` uses each of them.
const RECORDED: [&str; 23] = [
    "AddConstraint",
    "AddConstraintNotValid",
    "AddField",
    "AddIndex",
    "AlterConstraint",
    "AlterField",
    "AlterIndexTogether",
    "AlterModelManagers",
    "AlterModelOptions",
    "AlterModelTable",
    "AlterModelTableComment",
    "AlterOrderWithRespectTo",
    "AlterUniqueTogether",
    "CreateModel",
    "DeleteModel",
    "RemoveConstraint",
    "RemoveField",
    "RemoveIndex",
    "RenameField",
    "RenameIndex",
    "RenameModel",
    "SeparateDatabaseAndState",
    "ValidateConstraint",
];

/// The operations that Django itself runs for each tenant: code, SQL, extensions, collations and what runs outside of a
/// transaction. The recorder has a rule of its own for content types.
const NOT_RECORDED: [&str; 16] = [
    "AddIndexConcurrently",
    "BloomExtension",
    "BtreeGinExtension",
    "BtreeGistExtension",
    "CITextExtension",
    "CreateCollation",
    "CreateExtension",
    "CryptoExtension",
    "HStoreExtension",
    "RemoveCollation",
    "RemoveIndexConcurrently",
    "RenameContentType",
    "RunPython",
    "RunSQL",
    "TrigramExtension",
    "UnaccentExtension",
];

/// The base classes of operations.
const ABSTRACT: [&str; 6] = [
    "CollationOperation",
    "FieldOperation",
    "IndexOperation",
    "ModelOperation",
    "ModelOptionOperation",
    "AlterTogetherOptionOperation",
];

#[test]
fn every_operation_that_django_has_is_recorded_and_tried_or_left_to_django() {
    for release in [Release::Five, Release::Six] {
        let replay = Replay::new(release, &["shapes"], &[]);
        let migrations = ["0001_initial", "0002_operations", "0003_renamed"];
        copy_shapes(&replay.project, &migrations);
        let recorder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/frameworks/django/recorder.py");
        let script = fixtures().join("operations.py");
        let printed = replay.project.python(&[script.to_str().unwrap(), recorder.to_str().unwrap()]).exits(0);
        let operations: Vec<(String, bool, bool)> =
            printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(operations.len() > 40, "{printed}");
        for (name, recorded, tried) in operations {
            let name = name.as_str();
            let known = (RECORDED.contains(&name), NOT_RECORDED.contains(&name) || ABSTRACT.contains(&name));
            assert!(known.0 != known.1, "{release:?} has the operation {name}, which these lists lack");
            if name == "RunPython" || name == "RunSQL" || name == "SeparateDatabaseAndState" {
                // `check_operation` has rules of their own for these.
                continue;
            }
            assert_eq!(recorded, known.0, "{release:?} {name}");
            assert!(tried || !recorded, "the app `shapes` does not use {name}");
        }
    }
}

#[test]
fn every_operation_of_django_5_has_the_same_result_by_replay() {
    every_operation(Release::Five);
}

#[test]
fn every_operation_of_django_6_has_the_same_result_by_replay() {
    every_operation(Release::Six);
}

fn random_sequences(release: Release, seed: &str) {
    let sequences = std::env::var("PORTCULLIS_TEST_SEQUENCES").ok().and_then(|text| text.parse().ok());
    let sequences = sequences.unwrap_or(SEQUENCES);
    let apps: Vec<String> = (0..sequences).map(|number| format!("random{number}")).collect();
    let replay =
        Replay::new(release, &apps.iter().map(String::as_str).collect::<Vec<_>>(), &["acme", "bolt"]);
    let folder = replay.project.portcullis.folder().to_owned();
    let script = fixtures().join("sequences.py");
    let arguments = [script.to_str().unwrap(), folder.to_str().unwrap(), seed, &sequences.to_string()];
    replay.project.python(&arguments).exits(0);
    let later = later_migrations(&folder, &apps);
    for (path, _) in &later {
        fs::remove_file(path).unwrap();
    }
    replay.create_tenants();
    for tenant in &replay.tenants {
        fill(&replay.project, tenant);
    }
    for (path, text) in &later {
        fs::write(path, text).unwrap();
    }
    let migrated = replay.migrate().exits(0);
    assert!(migrated.stderr.contains("its statements run for "), "{migrated}");
    assert!(!migrated.stderr.contains("do not fit"), "{migrated}");
    replay.assert_equal();
    replay.project.portcullis.run(["verify"]).exits(0);
}

/// The migrations after the first of each app.
fn later_migrations(folder: &Path, apps: &[String]) -> Vec<(std::path::PathBuf, String)> {
    let mut later = Vec::new();
    for app in apps {
        for entry in fs::read_dir(folder.join(app).join("migrations")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !["__init__.py", "__pycache__"].contains(&name) && !name.starts_with("0001") {
                later.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(later.len() > apps.len(), "{later:?}");
    later
}

/// Inserts two rows into each of the random apps' tables that refers to no other.
fn fill(project: &Project, tenant: &str) {
    let tables = project.database.column(&format!(
        "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = '{tenant}'::regnamespace AND c.relkind = 'r' \
         AND c.relname LIKE 'random%' AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') \
         ORDER BY 1"
    ));
    assert!(!tables.is_empty());
    for table in tables {
        let columns = project.database.column(&format!(
            "SELECT format('%I', a.attname) || '|' || CASE WHEN t.typcategory = 'B' THEN 'true' \
             WHEN t.typname = 'jsonb' THEN '''{{}}''' WHEN t.typcategory = 'D' THEN 'now()' WHEN t.typcategory = 'N' THEN '5' ELSE '''x''' END \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = '{tenant}.{table}'::regclass \
             AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'id' ORDER BY a.attnum"
        ));
        let (names, values): (Vec<_>, Vec<_>) =
            columns.iter().filter_map(|column| column.split_once('|')).unzip();
        let (names, values) = (names.join(", "), values.join(", "));
        project
            .database
            .execute(&format!("INSERT INTO {tenant}.{table} ({names}) VALUES ({values}), ({values})"));
    }
}

#[test]
fn random_migrations_of_django_5_have_the_same_result_by_replay() {
    random_sequences(Release::Five, "7");
}

#[test]
fn random_migrations_of_django_6_have_the_same_result_by_replay() {
    random_sequences(Release::Six, "8");
}

/// A migration of `shapes` with these operations.
fn migration(number: u32, extra: &str, operations: &str) -> (String, String) {
    let previous = if number == 2 { "0001_initial".to_owned() } else { format!("{:04}_next", number - 1) };
    let text = format!(
        "import uuid\nfrom django.contrib.postgres.operations import AddIndexConcurrently, CreateCollation\n\
         from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    {extra}\n    \
         dependencies = [(\"shapes\", \"{previous}\")]\n    operations = [{operations}]\n"
    );
    (format!("shapes/migrations/{number:04}_next.py"), text)
}

#[test]
fn what_could_differ_between_tenants_is_left_to_django_with_the_reason() {
    let replay = Replay::new(Release::Five, &["shapes"], &["acme", "bolt", "corp"]);
    let project = &replay.project;
    copy_shapes(project, &["0001_initial"]);
    replay.create_tenants();
    project.database.execute("CREATE TABLE public.legacy (id bigint)");
    let legacy = "migrations.SeparateDatabaseAndState(state_operations=[migrations.CreateModel(\"Legacy\", \
        [(\"id\", models.BigAutoField(primary_key=True))], {\"db_table\": 'public\".\"legacy'})])";
    // Each of these migrations is a reason.
    let reasons = [
        ("", "migrations.RunPython(lambda apps, editor: None)", "shapes.0002_next runs Python code"),
        ("", "migrations.RunSQL(\"SELECT 1\")", "shapes.0003_next runs its own SQL"),
        (
            "",
            "migrations.AddField(\"label\", \"token\", models.UUIDField(default=uuid.uuid4))",
            "shapes.0004_next computes the default of label.token",
        ),
        (
            "atomic = False",
            "migrations.AddField(\"label\", \"n\", models.IntegerField(null=True))",
            "shapes.0005_next does not run in a transaction",
        ),
        (
            "atomic = False",
            "AddIndexConcurrently(\"label\", models.Index(fields=[\"text\"], name=\"label_later\"))",
            "shapes.0006_next has the operation django.contrib.postgres.operations.AddIndexConcurrently",
        ),
        (
            "",
            "CreateCollation(\"german\", provider=\"icu\", locale=\"de-x-icu\")",
            "shapes.0007_next has the operation django.contrib.postgres.operations.CreateCollation",
        ),
    ];
    let write = |number: u32, extra: &str, operations: &str| {
        let (file, text) = migration(number, extra, operations);
        fs::write(project.portcullis.path(&file), text).unwrap();
    };
    for (number, (extra, operations, _)) in (2..).zip(reasons) {
        write(number, extra, operations);
    }
    let migrated = replay.migrate().exits(0).prints("Django migrates 3 tenants");
    for (_, _, reason) in reasons {
        assert!(migrated.stderr.contains(reason), "{reason}: {migrated}");
    }
    write(8, "", legacy);
    replay.migrate().exits(0).prints("its statements run for 3 tenants").prints_not("do not fit");
    write(9, "", "migrations.AlterModelTableComment(\"legacy\", \"kept\")");
    replay.migrate().exits(0).prints("(`bolt`, `corp`, `demo`): the statements would change public.legacy");
    project.portcullis.run(["verify"]).exits(0);
    replay.assert_equal();

    // A receiver of a signal may write anything.
    edit(
        project,
        "shapes/models.py",
        "\"\"\"",
        "from django.db.models.signals import post_migrate\n\n\ndef seed(**_):\n    pass\n\n\npost_migrate.connect(seed)\n\"\"\"",
    );
    let (file, text) =
        migration(10, "", "migrations.AddField(\"label\", \"m\", models.IntegerField(null=True))");
    fs::write(project.portcullis.path(&file), text).unwrap();
    let migrated = replay.migrate().exits(0);
    assert!(
        migrated.stderr.contains("the signal's receiver shapes.models.seed runs for each schema"),
        "{migrated}"
    );
}

#[test]
fn tenants_with_another_structure_have_a_recording_of_their_own_or_are_left_to_django() {
    let replay = Replay::new(Release::Five, &["shapes"], &["acme", "bolt", "corp", "dune", "echo", "fast"]);
    let database = &replay.project.database;
    copy_shapes(&replay.project, &["0001_initial"]);
    replay.create_tenants();
    // The catalog of this tenant differs, and its structure does not.
    database.execute(
        "ALTER TABLE fast.shapes_corner ADD COLUMN z text; ALTER TABLE fast.shapes_corner DROP COLUMN z",
    );
    for tenant in ["corp", "dune"] {
        database.execute(&format!("CREATE INDEX by_hand ON {tenant}.shapes_corner (y)"));
    }
    // The operation drops the constraint by its name in each schema.
    database.execute("ALTER TABLE echo.shapes_shape RENAME CONSTRAINT shapes_shape_code_key TO another_name");
    let operations = "migrations.AlterField(\"shape\", \"code\", models.CharField(max_length=30))";
    let (file, text) = migration(2, "", operations);
    fs::write(replay.project.portcullis.path(&file), text).unwrap();
    let migrated = replay.migrate().exits(0);
    for line in [
        "(`corp`, `dune`): the structure would differ",
        "(`echo`): constraint",
        "its statements run for 1 tenant ",
    ] {
        assert!(migrated.stderr.contains(line), "{line}: {migrated}");
    }
    assert_eq!(replay.dump("acme"), replay.dump("bolt"));
    assert_eq!(replay.dump("acme"), replay.dump("fast"));
    assert!(!migrated.stderr.contains("`fast`"), "{migrated}");
    assert_eq!(replay.dump("acme"), replay.dump("echo").replace("another_name", ""));
    assert_eq!(replay.dump("corp"), replay.dump("dune"));
    assert!(replay.dump("dune").contains("by_hand"));
    replay.project.portcullis.run(["verify"]).exits(0);
}

/// Objects of the kinds that few schemas have, in a tenant `{}`. The tables stay as they are.
const RARE: [&str; 16] = [
    "CREATE VIEW {}.rare AS SELECT 1 AS x",
    "CREATE MATERIALIZED VIEW {}.rare AS SELECT 1 AS x",
    "CREATE RULE rare AS ON DELETE TO {}.shapes_label DO ALSO NOTHING",
    "CREATE POLICY rare ON {}.shapes_label USING (false)",
    "CREATE TRIGGER rare BEFORE UPDATE ON {}.shapes_label FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE {}.shapes_corner DISABLE TRIGGER ALL",
    "ALTER TABLE {}.shapes_label INHERIT public.parent",
    "CREATE FUNCTION {}.rare() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TYPE {}.rare AS ENUM ('a')",
    "CREATE TYPE {}.rare AS (a int)",
    "CREATE DOMAIN {}.rare AS int",
    "CREATE TYPE {}.rare AS RANGE (subtype = int4)",
    "CREATE STATISTICS {}.rare ON x, y FROM {}.shapes_corner",
    "CREATE COLLATION {}.rare FROM \"C\"",
    "CREATE TEXT SEARCH CONFIGURATION {}.rare (COPY = simple)",
    "CREATE FOREIGN TABLE {}.rare (a int) SERVER nowhere",
];

#[test]
fn an_object_of_any_kind_is_a_difference_between_tenants() {
    let replay = Replay::new(Release::Five, &["shapes"], &["acme", "bolt"]);
    let (project, database) = (&replay.project, &replay.project.database);
    copy_shapes(project, &["0001_initial"]);
    replay.create_tenants();
    database.execute(
        "CREATE TABLE public.parent (); CREATE FOREIGN DATA WRAPPER none; CREATE SERVER nowhere FOREIGN DATA WRAPPER none",
    );
    let others: Vec<String> = (0..RARE.len()).map(|number| format!("other{number:02}")).collect();
    project.copy_tenant("acme", &others.iter().map(String::as_str).collect::<Vec<_>>());
    for (tenant, sql) in others.iter().zip(RARE) {
        database.execute(&sql.replace("{}", tenant));
    }
    project.configure("jobs = 4,", "jobs = 1,");
    // The second time, every tenant has such an object.
    for (number, differ) in [
        (2, "do not fit 16 tenants (`other00`, `other01`, `other02`, ...): the structure would differ"),
        (3, "do not fit 1 tenant (`other00`): the structure would differ"),
    ] {
        let add = format!("migrations.AddField(\"label\", \"n{number}\", models.IntegerField(null=True))");
        let (file, text) = migration(number, "", &add);
        fs::write(project.portcullis.path(&file), text).unwrap();
        replay.migrate().exits(0).prints(differ);
        replay.assert_equal();
        project.portcullis.run(["verify"]).exits(0);
        database.execute(
            "DELETE FROM customers_client WHERE schema_name LIKE 'other%' AND schema_name <> 'other00'",
        );
        for tenant in ["acme", "bolt", "demo", "other00"] {
            database.execute(&format!(
                "CREATE OR REPLACE FUNCTION {tenant}.everywhere() RETURNS int LANGUAGE sql AS 'SELECT 1'"
            ));
        }
    }
}

#[test]
fn a_deferred_trigger_finds_the_tables_of_its_tenant() {
    let replay = Replay::new(Release::Five, &["shapes"], &["acme", "bolt", "corp"]);
    let database = &replay.project.database;
    copy_shapes(&replay.project, &["0001_initial"]);
    replay.create_tenants();
    database.execute(
        "CREATE FUNCTION public.finds_shapes() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM FROM shapes_shape; RETURN NULL; END'",
    );
    for tenant in replay.tenants.iter().chain(&["demo"]) {
        database.execute(&format!(
            "CREATE CONSTRAINT TRIGGER finds_shapes AFTER INSERT ON {tenant}.django_migrations \
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.finds_shapes()"
        ));
    }
    let operations = "migrations.AlterField(\"shape\", \"code\", models.CharField(max_length=30))";
    let (file, text) = migration(2, "", operations);
    fs::write(replay.project.portcullis.path(&file), text).unwrap();
    replay.migrate().exits(0).prints("its statements run for 3 tenants").prints_not("do not fit");
    replay.assert_equal();
}

#[test]
fn a_replay_that_is_blocked_names_the_session_and_one_that_ends_leaves_every_tenant_complete_or_unchanged() {
    let names = ["acme", "bolt", "corp", "dune", "echo"];
    let replay = Replay::new(Release::Five, &["shapes"], &names);
    let (project, database) = (&replay.project, &replay.project.database);
    copy_shapes(project, &["0001_initial"]);
    replay.create_tenants();
    project.configure("jobs = 4,", "jobs = 1, lock_timeout = \"1s\",");
    let before = replay.dump("echo");
    copy_shapes(project, &["0002_operations"]);
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    // Each run migrates the tenants in their order: Django the first one, and the replay waits for the lock of a later one.
    let lock = |tenant: &str| {
        format!(
            "SET application_name = 'nightly export'; LOCK TABLE {tenant}.shapes_label IN ACCESS SHARE MODE"
        )
    };
    for (tenant, signal) in [("corp", Signal::SIGTERM), ("dune", Signal::SIGKILL)] {
        database.while_held(&lock(tenant), || {
            let migrating = project.portcullis.spawn(["migrate", "--all"]);
            migrating.wait_for_line(&format!("`{tenant}` waits for a lock of backend"));
            migrating.signal(signal);
            let ended = migrating.wait();
            if signal == Signal::SIGTERM {
                ended.exits(143);
            }
        });
    }
    assert_eq!(replay.dump("acme"), replay.dump("bolt"));
    assert_eq!(replay.dump("acme"), replay.dump("corp"));
    assert_eq!(replay.dump("dune"), before);
    assert_eq!(replay.dump("echo"), before);
    let failed = database.while_held(&lock("echo"), || project.portcullis.run(["migrate", "--all"]));
    let text = failed.exits(1).failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("it waited for a lock of backend") && text.contains("`nightly export`"), "{text}");
    assert_eq!(replay.dump("echo"), before);
    project.portcullis.run(["migrate", "--all"]).exits(0);
    replay.assert_equal();
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn cooperating_replicas_share_the_tenants_of_a_group() {
    let names = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"];
    let replay = Replay::new(Release::Five, &["shapes"], &names);
    copy_shapes(&replay.project, &["0001_initial"]);
    replay.create_tenants();
    replay.project.configure("replay = true,", "replay = true, cooperate = true,");
    copy_shapes(&replay.project, &["0002_operations"]);
    replay.project.portcullis.run(["manifest", "django"]).exits(0);
    replay.project.portcullis.run(["migrate", "--shared"]).exits(0);
    let replicas: Vec<_> = (0..2).map(|_| replay.project.portcullis.spawn(["migrate", "--all"])).collect();
    for replica in replicas {
        replica.wait().exits(0);
    }
    replay.assert_equal();
    replay.project.portcullis.run(["verify"]).exits(0);
}

const SHAPES: [&str; 6] =
    ["0001_initial", "0002_operations", "0003_renamed", "0004_one", "0005_two", "0004_squashed"];

/// Drops the tables of `shapes`, and leaves its rows in the ledger.
fn lose_shapes(project: &Project, tenant: &str) {
    let tables = project.database.column(&format!(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = '{tenant}' AND tablename LIKE 'shapes%'"
    ));
    assert!(tables.len() > 5, "{tables:?}");
    project.database.execute(&format!("DROP TABLE {} CASCADE", tables.join(", ")));
}

fn lost_app(release: Release) {
    let replay = Replay::new(release, &["shapes"], &["acme"]);
    copy_shapes(&replay.project, &SHAPES);
    replay.create_tenants();
    let before = replay.dump("acme");
    lose_shapes(&replay.project, "acme");
    let repaired = replay.project.portcullis.run(["repair", "acme", "--replay", "shapes"]).exits(0);
    repaired.prints("shapes.0004_squashed run again").prints("5/5  ok");
    assert_eq!(replay.dump("acme"), before);
    let left = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'portcullis_replay%'";
    assert_eq!(replay.project.database.column(left), [""; 0]);
    replay.project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
}

#[test]
fn a_lost_app_of_django_5_is_rebuilt_as_django_created_it() {
    lost_app(Release::Five);
}

#[test]
fn a_lost_app_of_django_6_is_rebuilt_as_django_created_it() {
    lost_app(Release::Six);
}

#[test]
fn a_replay_that_waits_for_a_shared_table_blocks_nobody() {
    let replay = Replay::new(Release::Five, &["shapes"], &["acme"]);
    let (project, database) = (&replay.project, &replay.project.database);
    copy_shapes(project, &SHAPES);
    replay.create_tenants();
    lose_shapes(project, "acme");
    let busy = "UPDATE customers_client SET name = name WHERE schema_name = 'acme'";
    let repair = database.while_held(busy, || {
        let repair = project.portcullis.spawn(["repair", "acme", "--replay", "shapes"]);
        let waiting = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                       AND query LIKE '%REFERENCES public.customers_client%'";
        // Several attempts, between which the shared table is free.
        for _ in 0..3 {
            database.until(true, waiting);
            for _ in 0..5 {
                let login = "SET statement_timeout = '1s'; SELECT FROM customers_client; UPDATE customers_client SET name = name WHERE schema_name = 'demo'";
                database.execute(login);
            }
            database.until(false, waiting);
        }
        repair
    });
    repair.wait().exits(0).prints("5/5  ok");
    project.portcullis.run(["verify", "--tenant", "acme"]).exits(0);
}
