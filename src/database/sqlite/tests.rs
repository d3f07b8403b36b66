//! Tests of the SQLite engine, each in its own folder.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, future::Future, path::Path, time::Duration};

use sqlx::Connection;

use super::{Sqlite, files};
use crate::{
    cause::Kind,
    config::{self, Selection},
    database::{
        ApplyEnd, Creation, DatabaseError, InspectRequest, Limits, LockMode, LockState, MigrationFile,
        NO_PROGRESS, ProvisionError, ProvisionState, Schema, resolve,
    },
    deadline::Deadline,
    frameworks::sql::LEDGER,
    tenants::{
        inspection::{Inspection, Rows, SchemaSnapshot, SchemaState},
        manifest::{Expected, Manifest},
    },
};

fn limits() -> Limits {
    Limits {
        lock_timeout: Duration::from_millis(50),
        statement_timeout: None,
        search_path: Vec::new(),
        all_in_one: false,
        nowait: false,
        deadline: Deadline::after(LIMIT),
    }
}

const LIMIT: Duration = Duration::from_secs(20);

struct Project {
    folder: tempfile::TempDir,
    registry: config::Registry,
}

impl Project {
    fn new() -> Self {
        let registry = config::Registry {
            table: "tenants".into(),
            schema_column: "schema_name".into(),
            condition: None,
            at_least: 0,
        };
        let project = Self { folder: tempfile::tempdir().unwrap(), registry };
        project.write(
            "shared/1_tenants.sql",
            "CREATE TABLE tenants (schema_name TEXT PRIMARY KEY, status TEXT);",
        );
        project.write(
            "tenant/1_finance.sql",
            "CREATE TABLE finance_invoice (id BIGINT PRIMARY KEY, total BIGINT);",
        );
        project.write("tenant/2_note.sql", "ALTER TABLE finance_invoice ADD COLUMN note TEXT;");
        project
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn database(&self) -> Sqlite {
        Sqlite::new(&config::Sqlite { folder: self.at("var") }, Some(&self.registry))
    }

    fn write(&self, name: &str, sql: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), sql).unwrap();
    }

    fn files(&self, folder: &str) -> Vec<MigrationFile> {
        resolve(&self.at(folder)).unwrap()
    }

    async fn sql(&self, file: &str, sql: &str) {
        let path = self.at("var").join(file);
        let mut connection = files::write(&path, false, files::BUSY_TIMEOUT).await.unwrap();
        files::rows(&mut connection, sql).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn manifest(&self) -> Manifest {
        let (shared, tenant) = (self.files("shared"), self.files("tenant"));
        let derived = self.database().derive(&shared, &tenant, &[]).await.unwrap();
        let expected = |files: &[MigrationFile], tables: crate::database::TableSet| Expected {
            migrations: files.iter().map(MigrationFile::expected).collect(),
            tables: tables.tables,
            kinds: tables.kinds,
            creates: tables.creates,
            structure: tables.structure,
        };
        Manifest::new(&LEDGER, expected(&shared, derived.shared), expected(&tenant, derived.tenant))
    }

    async fn inspect(&self, tenants: &Selection) -> Inspection {
        let manifest = self.manifest().await;
        let request = InspectRequest {
            manifest: &manifest,
            shared: true,
            tenants: Some(tenants),
            timeout: Duration::from_secs(20),
            allow_standby: false,
            structure: false,
            on_progress: NO_PROGRESS,
        };
        self.database().inspect(&request).await.unwrap()
    }

    async fn provision(&self, tenant: &str) -> Result<(), ProvisionError> {
        let expected = self.manifest().await.tenant;
        self.database()
            .provision(
                &Creation::of(tenant, "test"),
                &self.files("tenant"),
                &expected,
                &limits(),
                &|_| Ok(()),
            )
            .await
    }

    async fn shared(&self) {
        self.database().apply(&Schema::Shared, &self.files("shared"), &limits()).await.unwrap();
    }

    fn tenants(&self) -> Vec<String> {
        let names = fs::read_dir(self.at("var/tenants")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn run<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn snapshot(state: &SchemaState) -> &SchemaSnapshot {
    match state {
        SchemaState::Read(snapshot) => snapshot,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_provisioned_tenant_is_complete() {
    run(async {
        let project = Project::new();
        project.database().ping().await.unwrap();
        assert_eq!(project.inspect(&Selection::All).await.shared, Some(SchemaState::NoSchema));
        assert!(!project.at("var").exists(), "an inspection creates nothing");
        project.shared().await;
        project.database().ping().await.unwrap();
        for name in ["demo", "a'b.c \"D\""] {
            project.provision(name).await.unwrap();
        }
        let found = project.inspect(&Selection::All).await;
        assert_eq!((found.registered, found.tenants.len(), found.orphans.len()), (2, 2, 0));
        for state in found.tenants.values().chain(&found.shared) {
            let snapshot = snapshot(state);
            assert!(
                snapshot.missing_tables.is_empty() && snapshot.missing_columns.is_empty(),
                "{snapshot:?}"
            );
            assert!(snapshot.ledger.iter().all(|row| row.succeeded && row.checksum.is_some()));
        }
        assert_eq!(project.tenants().len(), 2, "no staging file is left");
        assert_eq!(project.manifest().await.tenant.tables["finance_invoice"].len(), 3);
    });
}

#[test]
fn an_inspection_finds_every_kind_of_damage() {
    run(async {
        let project = Project::new();
        project.shared().await;
        for name in ["lying", "column", "gone", "ledgerless", "broken", "dirty", "stray"] {
            project.provision(name).await.unwrap();
        }
        project.sql("tenants/lying.sqlite", "DROP TABLE finance_invoice").await;
        project.sql("tenants/column.sqlite", "ALTER TABLE finance_invoice DROP COLUMN note").await;
        fs::remove_file(project.at("var/tenants/gone.sqlite")).unwrap();
        project.sql("tenants/ledgerless.sqlite", "DROP TABLE _sqlx_migrations").await;
        fs::write(
            project.at("var/tenants/broken.sqlite"),
            "this is not a database, and it is longer than a header",
        )
        .unwrap();
        project
            .sql("tenants/dirty.sqlite", "UPDATE _sqlx_migrations SET success = 0 WHERE version = 2")
            .await;
        project.sql("shared.sqlite", "DELETE FROM tenants WHERE schema_name = 'stray'").await;
        project.sql("shared.sqlite", "INSERT INTO tenants (schema_name) VALUES ('../shared')").await;
        let found = project.inspect(&Selection::All).await;
        assert!(snapshot(&found.tenants["lying"]).missing_tables.contains("finance_invoice"));
        assert!(snapshot(&found.tenants["column"]).missing_columns["finance_invoice"].contains("note"));
        assert_eq!(found.tenants["gone"], SchemaState::NoSchema);
        assert!(
            matches!(&found.tenants["ledgerless"], SchemaState::NoLedger { tables } if tables.len() == 1)
        );
        assert!(
            matches!(&found.tenants["broken"], SchemaState::Failed(why) if why.text.contains("not a database"))
        );
        assert!(matches!(&found.tenants["../shared"], SchemaState::Failed(_)));
        assert!(snapshot(&found.tenants["dirty"]).ledger.iter().any(|row| row.id == "2" && !row.succeeded));
        assert!(found.orphans.iter().eq(["stray"]));
        let found = project.inspect(&Selection::Named(vec!["nobody".into()])).await;
        assert!(found.unregistered.contains("nobody") && found.tenants.is_empty());
    });
}

#[test]
fn rebuilding_a_table_does_not_delete_the_rows_that_refer_to_it_and_a_dangling_row_is_an_error() {
    run(async {
        let project = Project::new();
        project.shared().await;
        let tables = "CREATE TABLE one (id INTEGER PRIMARY KEY); \
                      CREATE TABLE many (one INTEGER NOT NULL REFERENCES one (id) ON DELETE CASCADE); \
                      INSERT INTO one VALUES (1); INSERT INTO many VALUES (1);";
        project.write("tenant/3_tables.sql", tables);
        project.provision("demo").await.unwrap();
        let rebuild = "PRAGMA foreign_keys = ON; CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT); \
                       INSERT INTO new (id) SELECT id FROM one; DROP TABLE one; ALTER TABLE new RENAME TO one;";
        project.write("tenant/4_rebuild.sql", rebuild);
        let schema = Schema::Tenant("demo".into());
        project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap();
        let counted = project.database().count(&schema, &["many".into()]).await.unwrap();
        assert_eq!(counted, [("many".into(), Rows::Counted(1))]);
        project.write("tenant/5_dangling.sql", "DELETE FROM one;");
        let error = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap_err();
        assert!(error.why.text.contains("1 row of `many`"), "{error:?}");
        fs::remove_file(project.at("tenant/5_dangling.sql")).unwrap();
        let found = project.inspect(&Selection::All).await;
        assert_eq!(snapshot(&found.tenants["demo"]).ledger.len(), 4);
    });
}

#[test]
fn a_failing_migration_is_rolled_back_and_reported_with_its_line() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        project.write("tenant/3_good.sql", "CREATE TABLE good (id BIGINT);");
        project.write("tenant/4_bad.sql", "SELECT 'ä;';\n\nCREATE TABLE good (id BIGINT);");
        let schema = Schema::Tenant("demo".into());
        let error = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap_err();
        assert_eq!(error.migration.as_deref(), Some("4 bad"));
        assert!(error.place.as_ref().unwrap().ends_with("4_bad.sql:3"), "{error:?}");
        project.write("tenant/4_bad.sql", "CREATE TABLE other (id BIGINT);");
        let found = project.inspect(&Selection::All).await;
        assert_eq!(error.applied, ["3 good"], "each file has its own transaction");
        assert_eq!(snapshot(&found.tenants["demo"]).ledger.len(), 3);
        let applied = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap();
        assert_eq!(applied.migrations, ["4 bad"]);
        project.write("tenant/5_commit.sql", "CREATE TABLE a (id BIGINT); COMMIT; BEGIN;");
        let error = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap_err();
        assert!(error.end == ApplyEnd::Dirty && error.why.text.contains("COMMIT"), "{error:?}");
    });
}

#[test]
fn an_altered_file_is_refused() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        project.write("tenant/2_note.sql", "ALTER TABLE finance_invoice ADD COLUMN remark TEXT;");
        let schema = Schema::Tenant("demo".into());
        let error = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap_err();
        assert!(
            error.why.text.contains("altered") && error.migration.as_deref() == Some("2 note"),
            "{error:?}"
        );
    });
}

#[test]
fn a_tenant_that_fails_verification_is_removed_completely() {
    run(async {
        let project = Project::new();
        project.shared().await;
        let expected = project.manifest().await.tenant;
        let (database, files) = (project.database(), project.files("tenant"));
        let refuse = |state: &SchemaState| {
            assert_eq!(snapshot(state).ledger.len(), 2);
            Err("no".to_owned())
        };
        let new = Creation::of("demo", "test");
        let error = database.provision(&new, &files, &expected, &limits(), &refuse).await.unwrap_err();
        assert_eq!((error.why.text.as_str(), error.left), ("no", None));
        assert_eq!(database.roll_back(&new, &limits()).await.unwrap(), ProvisionState::Absent);
        assert!(project.tenants().is_empty());
        assert!(project.inspect(&Selection::All).await.tenants.is_empty());
        project.write("var/tenants/squatter.sqlite", "");
        let error = project.provision("squatter").await.unwrap_err();
        assert!(error.why.text.contains("does not contain"), "{error:?}");
        assert!(project.at("var/tenants/squatter.sqlite").exists(), "an existing file is not removed");
    });
}

#[test]
fn only_the_last_transaction_of_an_attempt_proves_its_outcome() {
    run(async {
        let project = Project::new();
        project.shared().await;
        let (database, files) = (project.database(), project.files("tenant"));
        let expected = project.manifest().await.tenant;
        let new = Creation::of("demo", "test");
        database.provision(&new, &files, &expected, &limits(), &|_| Ok(())).await.unwrap();
        assert_eq!(project.tenants(), ["demo.sqlite"]);
        assert_eq!(database.roll_back(&new, &limits()).await.unwrap(), ProvisionState::Complete);
        // Another attempt with the same name did not create the existing file.
        let other = Creation::of("demo", "test");
        assert_eq!(database.roll_back(&other, &limits()).await.unwrap(), ProvisionState::Absent);
        assert_eq!(project.tenants(), ["demo.sqlite"]);
        assert_eq!(snapshot(&project.inspect(&Selection::All).await.tenants["demo"]).ledger.len(), 2);
    });
}

#[test]
fn an_attempt_that_stops_between_its_file_and_its_row_leaves_neither() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        let new = Creation::of("demo", "test");
        let staging_path = super::cleanup::staging_path(&project.at("var/tenants/demo.sqlite"), &new.nonce);
        fs::hard_link(project.at("var/tenants/demo.sqlite"), &staging_path).unwrap();
        // The row was committed: only the staging name is removed.
        assert_eq!(project.database().roll_back(&new, &limits()).await.unwrap(), ProvisionState::Absent);
        assert_eq!(project.tenants(), ["demo.sqlite"]);
        fs::hard_link(project.at("var/tenants/demo.sqlite"), &staging_path).unwrap();
        project.sql("shared.sqlite", "DELETE FROM tenants").await;
        assert_eq!(project.database().roll_back(&new, &limits()).await.unwrap(), ProvisionState::Absent);
        assert!(project.tenants().is_empty());
    });
}

#[test]
fn a_tenant_that_lost_its_file_is_not_created_again() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        assert!(project.provision("demo").await.unwrap_err().why.text.contains("already exists"));
        fs::remove_file(project.at("var/tenants/demo.sqlite")).unwrap();
        let schema = Schema::Tenant("demo".into());
        let error = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap_err();
        assert!(error.why.text.contains("does not create it again"), "{error:?}");
        assert!(project.provision("demo").await.unwrap_err().why.text.contains("already contains `demo`"));
    });
}

#[test]
fn one_run_at_a_time_holds_the_lock_and_others_see_its_holder() {
    run(async {
        let project = Project::new();
        let mut first = project.database().lock_session("run-1");
        let mut second = project.database().lock_session("run-2");
        assert_eq!(first.try_acquire(LockMode::Exclusive, LIMIT).await.unwrap(), None);
        let holder = second.try_acquire(LockMode::Exclusive, LIMIT).await.unwrap().unwrap();
        assert!(holder.contains("portcullis run-1, process ") && holder.contains(", since 2"), "{holder}");
        assert_eq!(second.try_acquire(LockMode::Shared, LIMIT).await.unwrap(), Some(holder.clone()));
        assert_eq!(project.database().lock_holder().await.unwrap(), Some(holder));
        assert_eq!(first.check(LIMIT).await, Ok(LockState::Held));
        first.release_lock(LIMIT, true).await.unwrap();
        assert!(matches!(first.check(LIMIT).await, Ok(LockState::Lost(_))));
        assert_eq!(second.try_acquire(LockMode::Shared, LIMIT).await.unwrap(), None);
        assert_eq!(first.try_acquire(LockMode::Shared, LIMIT).await.unwrap(), None);
        // A lock on a removed file excludes no other run.
        std::fs::remove_file(project.at("var/portcullis.lock")).unwrap();
        assert!(matches!(first.check(LIMIT).await, Ok(LockState::Lost(why)) if why.contains("removed")));
    });
}

#[test]
fn a_folder_that_cannot_exist_is_a_permanent_error() {
    run(async {
        let project = Project::new();
        project.write("var", "a file");
        assert!(matches!(project.database().ping().await, Err(DatabaseError::Never(_))));
        let nowhere = config::Sqlite { folder: Path::new("/dev/null/var").into() };
        assert!(matches!(Sqlite::new(&nowhere, None).ping().await, Err(DatabaseError::Never(_))));
    });
}

#[test]
fn a_busy_file_is_retried_for_a_limited_time() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        let path = project.at("var/tenants/demo.sqlite");
        let mut holder = files::write(&path, false, files::BUSY_TIMEOUT).await.unwrap();
        files::rows(&mut holder, "BEGIN IMMEDIATE").await.unwrap();
        project.write("tenant/3_more.sql", "CREATE TABLE more (id BIGINT);");
        let schema = Schema::Tenant("demo".into());
        let error = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap_err();
        assert!(error.is_locked(), "{error:?}");
        files::rows(&mut holder, "ROLLBACK").await.unwrap();
        project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap();
    });
}

#[test]
fn an_interrupted_write_of_a_killed_process_is_rolled_back_before_reading() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        let path = project.at("var/tenants/demo.sqlite");
        let journal = project.at("var/tenants/demo.sqlite-journal");
        let mut killed = files::write(&path, false, files::BUSY_TIMEOUT).await.unwrap();
        // More than fits into the cache, so that the journal and the pages are written before the commit.
        let half = "PRAGMA cache_size = 2; BEGIN IMMEDIATE; DROP TABLE finance_invoice; CREATE TABLE many AS \
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) SELECT n, hex(randomblob(99)) FROM n";
        files::rows(&mut killed, half).await.unwrap();
        let (data, rollback_journal) = (fs::read(&path).unwrap(), fs::read(&journal).unwrap());
        files::rows(&mut killed, "ROLLBACK").await.unwrap();
        killed.close().await.unwrap();
        // The state on the disk after the kill.
        fs::write(&path, data).unwrap();
        fs::write(&journal, rollback_journal).unwrap();
        let found = project.inspect(&Selection::All).await;
        let snapshot = snapshot(&found.tenants["demo"]);
        assert!(snapshot.missing_tables.is_empty() && snapshot.ledger.len() == 2, "{snapshot:?}");
        assert!(!journal.exists());
    });
}

#[test]
fn a_fifo_or_a_link_at_a_tenants_path_is_reported_and_does_not_hang_the_run() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        project.provision("other").await.unwrap();
        let path = project.at("var/tenants/demo.sqlite");
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let failed = |found: Inspection| match &found.tenants["demo"] {
            SchemaState::Failed(why) => why.text.clone(),
            other => unreachable!("{other:?}"),
        };
        let why = failed(project.inspect(&Selection::All).await);
        assert!(why.contains("not a regular file"), "{why}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(project.at("var/tenants/other.sqlite"), &path).unwrap();
        let why = failed(project.inspect(&Selection::All).await);
        assert!(why.contains("symbolic link"), "{why}");
    });
}

#[test]
fn a_damaged_file_is_reported_as_corrupt() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        project.write("var/tenants/demo.sqlite", &"no database ".repeat(100));
        let found = project.inspect(&Selection::All).await;
        assert!(
            matches!(&found.tenants["demo"], SchemaState::Failed(why) if why.kind == Kind::Corrupt),
            "{found:?}"
        );
    });
}

#[test]
fn a_name_that_is_not_valid_as_a_file_name_has_no_path() {
    let sqlite = Sqlite::new(&config::Sqlite { folder: "var".into() }, None);
    for name in ["", ".", "..", "a/b", ".hidden", "a\0b", "a\nb"] {
        assert_eq!(sqlite.tenant(name), None, "{name:?}");
    }
    assert_eq!(sqlite.tenant("demo").unwrap(), Path::new("var/tenants/demo.sqlite"));
}
