//! Migrations, and the lock under which they run.

use std::fs;

use super::{super::files, LIMIT, Project, limits, run, snapshot};
use crate::{
    config::Selection,
    database::{ApplyEnd, LockMode, LockState, Schema},
    tenants::inspection::Rows,
};

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
fn one_run_at_a_time_holds_the_lock_and_others_see_its_holder() {
    run(async {
        let project = Project::new();
        let mut first = project.database().lock_session("run-1");
        let mut second = project.database().lock_session("run-2");
        assert_eq!(first.try_acquire(LockMode::Exclusive, LIMIT).await.unwrap(), None);
        let holder = second.try_acquire(LockMode::Exclusive, LIMIT).await.unwrap().unwrap();
        assert_eq!(holder.run.as_deref(), Some("run-1"));
        let words = &holder.words;
        assert!(words.contains("portcullis run-1, process ") && words.contains(", since 2"), "{words}");
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
