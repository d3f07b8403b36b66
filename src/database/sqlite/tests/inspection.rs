//! The inspection of files, damaged ones too.

use std::{fs, path::Path};

use sqlx::Connection;

use super::{
    super::{Sqlite, files},
    Project, run, snapshot,
};
use crate::{
    cause::Kind,
    config::{self, Selection},
    database::DatabaseError,
    tenants::inspection::{Inspection, SchemaState},
};

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
