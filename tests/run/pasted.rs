//! For each finding of `docs/gate.md`: the command lines of the box, pasted into a shell, open the gate.

use super::on_both_engines;
use crate::support::{
    faults::{self, Place, paste_every_row},
    process::Outcome,
    project::Project,
    sample::{Engine, Sample},
};

on_both_engines! {
    every_row_opens_the_gate
    an_empty_database
    pending_migrations
    deleted_ledger_rows
    a_deleted_ledger_row_in_the_way_of_a_migration
    deleted_ledger_rows_of_many_tenants
    deleted_ledger_rows_of_the_shared_schema
    lost_tables_and_columns
    a_failed_migration
    an_altered_migration
    a_migration_with_other_line_ends
    a_lost_ledger
    a_lost_schema
    an_unregistered_tenant
    lost_tables_of_the_only_tenant
    a_source_that_must_be_recorded_first
    lost_tables_of_the_shared_schema
    lost_objects_other_than_tables
    changed_objects
    another_kind_of_object
    migrations_of_other_code
    migrations_of_newer_code
    an_empty_registry
    too_few_tenants
}

/// The gate without the steps that migrate.
const GATE: [&str; 2] = ["SKIP_MIGRATIONS", "SKIP_DEMO_TENANTS"];

fn gate(sample: Sample) -> Sample {
    GATE.into_iter().fold(sample, |sample, name| sample.env(name, "1"))
}

/// The commands of the box except for the one that opens the gate with the findings.
fn remedies(blocked: &Outcome) -> Vec<&str> {
    blocked.commands().into_iter().filter(|command| !command.starts_with("PORTCULLIS_OVERRIDE")).collect()
}

/// The blocked start, after all its commands were pasted and the next start was not blocked.
#[track_caller]
fn mended(sample: &Sample) -> Outcome {
    mended_after(sample, 1, || {})
}

/// The same after a decision that the box leaves to its reader; the start is blocked with this exit code.
#[track_caller]
fn mended_after(sample: &Sample, code: i32, decide: impl FnOnce()) -> Outcome {
    let blocked = sample.portcullis.run(["run", "--no-server"]).exits(code);
    decide();
    let commands = remedies(&blocked);
    assert!(!commands.is_empty(), "the box has no command: {blocked}");
    for command in commands {
        // A reader confirms the deletion at the terminal.
        let confirmed = if command.contains(" tenant delete ") { " --yes" } else { "" };
        let outcome = sample.portcullis.paste(&format!("{command}{confirmed}"));
        // `verify` only shows the findings.
        assert!(outcome.code == Some(0) || command.contains(" verify"), "{command}: {outcome}\n{blocked}");
    }
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    blocked
}

/// The sample with the tenants of all faults, started once.
pub(crate) fn faulty(engine: Engine) -> Sample {
    let sample = Sample::on(engine);
    let config = std::fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let sample = sample
        .file("config.toml", &faults::configured(&config))
        .file(faults::MIGRATION.0, faults::MIGRATION.1);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    gate(sample)
}

struct Shell {
    sample: Sample,
    engine: Engine,
}

impl Place for Shell {
    fn execute(&self, tenant: Option<&str>, sql: &str) {
        self.sample.execute(tenant, sql);
    }
    fn drop_schema(&self, tenant: &str) {
        self.sample.drop_schema(tenant);
    }
    fn empty(&self) {
        match self.engine {
            Engine::Postgres => self.sample.execute(None, faults::EMPTY),
            Engine::Sqlite => std::fs::remove_dir_all(self.sample.portcullis.path("var")).unwrap(),
        }
    }
    fn gate(&self) -> Outcome {
        self.sample.portcullis.run(["run", "--no-server"])
    }
    fn verify(&self, tenant: &str) -> Outcome {
        self.sample.portcullis.run(["verify", tenant])
    }
    fn paste(&self, line: &str) -> Outcome {
        self.sample.portcullis.paste(line)
    }
    fn program(&self) -> String {
        "portcullis".into()
    }
    fn is_sqlite(&self) -> bool {
        self.engine == Engine::Sqlite
    }
}

fn every_row_opens_the_gate(engine: Engine) {
    paste_every_row(&Shell { sample: faulty(engine), engine });
}

fn an_empty_database(engine: Engine) {
    let blocked = mended(&gate(Sample::on(engine)));
    assert_eq!(blocked.commands(), ["portcullis migrate"], "{blocked}");
    blocked.prints("the database is empty: this is its first start").prints_not("backup");
}

fn pending_migrations(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(
        Some("acme"),
        "DELETE FROM _sqlx_migrations WHERE version = 4; ALTER TABLE finance_invoice DROP COLUMN paid_on",
    );
    let blocked = mended(&sample);
    blocked.prints("portcullis migrate acme").prints_not("not recorded");
    assert_eq!(sample.number(Some("acme"), "SELECT count(paid_on) FROM {}finance_invoice"), 2);
}

fn deleted_ledger_rows(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(Some("acme"), "DELETE FROM _sqlx_migrations WHERE version IN (1, 2)");
    sample.execute(Some("acme"), "UPDATE finance_invoice SET total_cents = 7");
    mended(&sample)
        .prints("not recorded 1 customers, 2 invoices (the tables and columns exist)")
        .prints("portcullis repair --record acme");
    // The migrations did not run again.
    assert_eq!(sample.number(Some("acme"), "SELECT sum(total_cents) FROM {}finance_invoice"), 28);
    let checksums = |tenant| {
        let sql = "SELECT count(*) FROM {}_sqlx_migrations WHERE version IN (1, 2) AND success AND description <> ''";
        sample.number(Some(tenant), sql)
    };
    assert_eq!((checksums("acme"), checksums("demo")), (2, 2));
    sample.portcullis.run(["history"]).exits(0).prints("`2 invoices` recorded without running");
}

fn a_deleted_ledger_row_in_the_way_of_a_migration(engine: Engine) {
    // This start migrates.
    let sample = Sample::complete_on(engine);
    sample.execute(
        Some("acme"),
        "DELETE FROM _sqlx_migrations WHERE version IN (2, 4); ALTER TABLE finance_invoice DROP COLUMN paid_on",
    );
    let blocked = mended(&sample).prints("already exists").prints("2_invoices.sql");
    assert_eq!(blocked.commands(), ["portcullis repair --record acme"], "{blocked}");
    assert_eq!(sample.number(Some("acme"), "SELECT count(paid_on) FROM {}finance_invoice"), 2);
}

fn lost_tables_and_columns(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    sample.execute(Some("demo"), "ALTER TABLE finance_invoice DROP COLUMN paid_on");
    let blocked = mended(&sample).prints("portcullis repair --restore acme demo");
    blocked.prints("lost rows come from a backup alone");
    assert_eq!(sample.number(Some("acme"), "SELECT count(*) FROM {}finance_invoice"), 0);
    assert_eq!(sample.number(Some("demo"), "SELECT count(*) FROM {}finance_invoice"), 4);
}

fn a_failed_migration(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    let failed = "UPDATE _sqlx_migrations SET success = false WHERE version = 4";
    sample.execute(Some("acme"), failed);
    sample.execute(Some("acme"), "ALTER TABLE finance_invoice DROP COLUMN paid_on");
    let refused = sample.portcullis.run(["repair", "acme", "--record"]).exits(1);
    refused.prints("column missing").prints("portcullis repair --restore acme");
    sample.portcullis.run(["repair", "acme", "--restore"]).exits(1).prints("restored: ").prints("dirty");
    mended(&sample).prints("portcullis repair --record acme");
}

fn an_altered_migration(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    let altered = "UPDATE _sqlx_migrations SET checksum = (SELECT checksum FROM _sqlx_migrations WHERE version = 1) \
                   WHERE version = 2";
    sample.execute(Some("acme"), altered);
    mended(&sample).prints("altered").prints("portcullis repair --record acme");
}

fn a_migration_with_other_line_ends(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    let file = "migrations/tenant/2_invoices.sql";
    let text = std::fs::read_to_string(sample.portcullis.path(file)).unwrap();
    let sample = sample.file(file, &text.replace('\n', "\r\n"));
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    let blocked = sample.portcullis.run(["run", "--no-server"]).exits(1).prints("only the line ends differ");
    assert_eq!(remedies(&blocked), [] as [&str; 0], "{blocked}");
    blocked.prints("restore the line ends of the files that were applied to");
}

fn a_lost_ledger(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(Some("acme"), "DROP TABLE _sqlx_migrations");
    mended(&sample).prints("no ledger").prints("portcullis repair --record acme");
    assert_eq!(sample.number(Some("acme"), "SELECT count(*) FROM {}finance_invoice"), 4);
}

#[test]
fn an_invalid_unique_index() {
    let project =
        Project::new("").file("tenant/2_unique.sql", "CREATE UNIQUE INDEX item_n ON item (n);\n").started();
    project.database.execute(
        "INSERT INTO a.item VALUES (1); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'a.item_n'::regclass",
    );
    let blocked = project.start().exits(1).prints("invalid index");
    assert_eq!(blocked.commands()[0], "portcullis repair --restore a", "{blocked}");
    project.portcullis.paste(blocked.commands()[0]).exits(0);
    project.start().exits(0);
}

fn deleted_ledger_rows_of_many_tenants(engine: Engine) {
    let sample = Sample::complete_on(engine);
    for tenant in ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"] {
        sample.portcullis.run(["tenant", "create", tenant]).exits(0);
        sample.execute(Some(tenant), "DELETE FROM _sqlx_migrations WHERE version = 1");
    }
    for tenant in ["acme", "globex", "demo"] {
        sample.execute(Some(tenant), "DELETE FROM _sqlx_migrations WHERE version = 1");
    }
    let sample = gate(sample);
    let blocked = mended(&sample);
    blocked
        .prints("12 schemas: acme, demo, globex, t1, t2, t3, t4, t5, t6, t7 and 2 more")
        .prints("portcullis repair --record --all-affected");
}

fn deleted_ledger_rows_of_the_shared_schema(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(None, "DELETE FROM _sqlx_migrations WHERE version = 2");
    let blocked = mended(&sample).prints("not recorded 2 plans");
    assert_eq!(blocked.commands(), ["portcullis repair --record --shared"], "{blocked}");
}

fn a_lost_schema(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.drop_schema("globex");
    mended(&sample).prints("restore globex from a backup, or delete the tenant");
}

fn an_unregistered_tenant(engine: Engine) {
    let sample = Sample::complete_on(engine).env("SKIP_MIGRATIONS", "1");
    let config = std::fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let named =
        config.replace("verify = { tenants = [\"demo\"", "verify = { tenants = [\"initech\", \"demo\"");
    let sample = sample.file("config.toml", &named);
    mended(&sample).prints("portcullis tenant create initech");
}

fn lost_tables_of_the_only_tenant(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    for tenant in ["demo", "globex"] {
        sample.portcullis.run(["tenant", "delete", tenant, "--yes"]).exits(0);
    }
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    let blocked = mended(&sample);
    assert_eq!(remedies(&blocked)[1..], ["portcullis repair --restore acme"], "{blocked}");
    sample.portcullis.run(["verify", "--structure"]).exits(0);
}

fn a_source_that_must_be_recorded_first(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(Some("acme"), "DELETE FROM _sqlx_migrations WHERE version = 2");
    for tenant in ["demo", "globex"] {
        sample.execute(Some(tenant), "DROP TABLE finance_invoice");
    }
    let blocked = mended(&sample);
    let commands: Vec<&str> =
        blocked.commands().into_iter().filter(|command| command.contains(" repair ")).collect();
    // On PostgreSQL, whose structure is not in the shipped manifest, acme alone shows the table.
    let ordered = ["portcullis repair --record acme", "portcullis repair --restore demo globex"];
    assert_eq!(commands, ordered, "{blocked}");
}

fn lost_tables_of_the_shared_schema(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(None, "DROP TABLE billing_plan");
    mended(&sample).prints("portcullis repair --restore --shared");
    assert_eq!(sample.number(None, "SELECT count(*) FROM {}billing_plan"), 0);
}

/// A sample whose gate compares structures.
fn with_structure(engine: Engine) -> Sample {
    let sample = gate(Sample::complete_on(engine));
    let config = std::fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    sample.file("config.toml", &format!("{config}\n[gate]\nstructure = \"block\"\n"))
}

fn changed_objects(engine: Engine) {
    let sample = with_structure(engine);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    let index = |column| {
        format!(
            "DROP INDEX finance_invoice_customer; CREATE INDEX finance_invoice_customer ON finance_invoice ({column})"
        )
    };
    sample.execute(Some("acme"), &index("total_cents"));
    let change = || sample.execute(Some("acme"), &index("customer_id, issued_on"));
    let blocked = mended_after(&sample, 1, change).prints("change the objects to the expected definitions");
    assert_eq!(remedies(&blocked), ["portcullis verify acme"], "{blocked}");
}

#[test]
fn a_structure_of_another_server() {
    // The shipped manifest was derived on SQLite.
    let sample = with_structure(Engine::Postgres);
    let blocked = mended_after(&sample, 74, || {});
    assert_eq!(remedies(&blocked), ["portcullis manifest sql"], "{blocked}");
}

fn lost_objects_other_than_tables(engine: Engine) {
    let sample = with_structure(engine);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    for tenant in ["t1", "t2"] {
        sample.portcullis.run(["tenant", "create", tenant]).exits(0);
    }
    for tenant in ["acme", "demo", "t1", "t2"] {
        sample.execute(Some(tenant), "DROP INDEX finance_invoice_customer");
    }
    mended(&sample).prints("structure").prints("portcullis repair --restore --all-affected");
    sample.portcullis.run(["verify", "--structure"]).exits(0);
}

fn another_kind_of_object(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(
        Some("acme"),
        "ALTER TABLE finance_invoice RENAME TO earlier; CREATE VIEW finance_invoice AS SELECT * FROM earlier",
    );
    let drop = || sample.execute(Some("acme"), "DROP VIEW finance_invoice; DROP TABLE earlier");
    mended_after(&sample, 1, drop).prints("rename or drop it, then create the table");
}

fn migrations_of_other_code(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    sample.execute(
        Some("acme"),
        "UPDATE _sqlx_migrations SET version = 99 WHERE version = 4; ALTER TABLE finance_invoice DROP COLUMN paid_on",
    );
    let blocked = sample.portcullis.run(["run", "--no-server"]).exits(1).prints("diverged");
    assert_eq!(remedies(&blocked), [] as [&str; 0], "{blocked}");
    blocked.prints("start the release that has migrated acme, or migrate back with that release");
}

fn migrations_of_newer_code(engine: Engine) {
    let sample = gate(Sample::complete_on(engine));
    let shipped = std::fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let sample = sample.file("config.toml", &format!("{shipped}\n[gate]\nahead = \"block\"\n"));
    sample.execute(
        Some("acme"),
        "INSERT INTO _sqlx_migrations SELECT 99, 'newer', installed_on, success, checksum, execution_time \
         FROM _sqlx_migrations WHERE version = 4",
    );
    let blocked = sample.portcullis.run(["run", "--no-server"]).exits(1).prints("ahead");
    assert_eq!(remedies(&blocked), [] as [&str; 0], "{blocked}");
    blocked.prints("start the release that has migrated acme, or migrate back with that release");
}

/// A sample whose registry must have this many rows.
fn with_min_rows(sample: Sample, least: u32) -> Sample {
    let config = std::fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let column = "schema_column = \"schema_name\"";
    let counted = config.replace(column, &format!("{column}, min_rows = {least}"));
    sample.file("config.toml", &counted).env("SKIP_DEMO_TENANTS", "1")
}

fn an_empty_registry(engine: Engine) {
    let sample = with_min_rows(Sample::on(engine), 1);
    let blocked = sample.portcullis.run(["run", "--no-server"]).exits(74);
    assert_eq!(remedies(&blocked), ["portcullis tenant create NAME"], "{blocked}");
    sample.portcullis.paste("portcullis tenant create acme").exits(0);
    sample.portcullis.run(["run", "--no-server"]).exits(0);
}

fn too_few_tenants(engine: Engine) {
    let sample = with_min_rows(Sample::complete_on(engine), 4);
    let blocked = sample.portcullis.run(["run", "--no-server"]).exits(74);
    assert_eq!(remedies(&blocked), [] as [&str; 0], "{blocked}");
    blocked.prints("the registry has 3 rows and `min_rows` is 4; restore the rows from a backup, or correct");
}

#[test]
fn an_unreadable_schema() {
    let sample = gate(Sample::complete_on(Engine::Postgres));
    let reader = format!("{}_reader", sample.database().name());
    let config = std::fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let url = "url = \"${DATABASE_URL:-sqlite://var}\"";
    let other = config.replace(url, &format!("{url}\nreader = {{ user = \"{reader}\", password = \"r\" }}"));
    let sample = sample.file("config.toml", &other);
    let with_role = std::panic::AssertUnwindSafe(|| {
        for schema in ["public", "demo", "acme", "globex"] {
            sample.execute(
                None,
                &format!("GRANT USAGE ON SCHEMA {schema} TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}"),
            );
        }
        sample.execute(Some("acme"), &format!("REVOKE SELECT ON _sqlx_migrations FROM {reader}"));
        let grant = || sample.execute(Some("acme"), &format!("GRANT SELECT ON _sqlx_migrations TO {reader}"));
        let blocked = mended_after(&sample, 74, grant)
            .prints("cannot read")
            .prints("give this user the privilege that the message names");
        assert_eq!(remedies(&blocked), ["portcullis verify acme"], "{blocked}");
    });
    sample.database().execute(&format!("CREATE ROLE {reader} LOGIN PASSWORD 'r'"));
    let result = std::panic::catch_unwind(with_role);
    sample.database().execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}"));
    result.unwrap();
}

#[test]
fn a_schema_that_vanishes() {
    let sample = gate(Sample::complete_on(Engine::Postgres));
    let waiting = "SELECT FROM pg_locks WHERE NOT granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let drop = format!(
        "DELETE FROM public.tenants WHERE schema_name = 'acme'; DROP SCHEMA acme CASCADE; \
         DO $$ BEGIN WHILE NOT EXISTS ({waiting}) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
    );
    let held = "SELECT mode FROM pg_locks WHERE granted AND relation = 'acme._sqlx_migrations'::regclass \
                AND mode = 'AccessExclusiveLock'";
    std::thread::scope(|scope| {
        scope.spawn(|| sample.database().execute(&drop));
        sample.database().until(true, held);
        mended_after(&sample, 74, || {}).prints("vanished").prints("portcullis verify");
    });
}

#[test]
fn the_commands_work_in_a_container_that_replaces_the_servers_arguments() {
    // As `docker compose run --rm web` with the entrypoint `portcullis run --`, or as the arguments of a pod's container.
    let run = "unshare --user --map-root-user --pid --fork --kill-child --mount-proc portcullis run --";
    let sample = gate(Sample::complete_on(Engine::Sqlite)).env("PORTCULLIS_RUN_WITH", run);
    sample.execute(
        Some("acme"),
        "DELETE FROM _sqlx_migrations WHERE version = 1; DELETE FROM _sqlx_migrations WHERE version = 4; \
         ALTER TABLE finance_invoice DROP COLUMN paid_on",
    );
    let blocked = mended(&sample);
    assert_eq!(blocked.commands()[0], format!("{run} portcullis repair --record acme"), "{blocked}");
}

#[test]
fn a_command_that_is_pasted_has_the_configuration_of_the_blocked_start() {
    let sample = gate(Sample::complete_on(Engine::Sqlite));
    std::fs::rename(sample.portcullis.path("config.toml"), sample.portcullis.path("other.toml")).unwrap();
    sample.execute(Some("acme"), "DELETE FROM _sqlx_migrations WHERE version = 1");
    let blocked = sample.portcullis.run(["run", "--config", "other.toml", "--no-server"]).exits(1);
    assert_eq!(blocked.commands()[0], "portcullis --config other.toml repair --record acme", "{blocked}");
    sample.portcullis.paste(blocked.commands()[0]).exits(0);
    sample.portcullis.run(["run", "--config", "other.toml", "--no-server"]).exits(0);
}

#[test]
fn a_view_as_the_registry() {
    let sample = Sample::complete_on(Engine::Postgres);
    sample.execute(None, "CREATE VIEW companies AS SELECT * FROM tenants WHERE schema_name <> 'acme'");
    let config = std::fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let config = config.replace("table = \"tenants\"", "table = \"companies\"");
    let sample = sample.file("config.toml", &config);
    sample.portcullis.run(["verify"]).exits(74).prints("acme").prints("not listed");
    sample.execute(None, "CREATE OR REPLACE VIEW companies AS SELECT * FROM tenants");
    sample.portcullis.run(["verify"]).exits(0).prints("3 tenants complete");
}
