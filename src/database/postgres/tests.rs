//! PostgreSQL, on a real server: each test in a database of its own.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

mod kept;

use std::{collections::BTreeMap, fs, future::Future, path::Path, str::FromStr, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connect;
use crate::{
    config::{
        self, Selection,
        secret::{Password, Secret},
    },
    database::{
        Attempt, Creation, Database, DatabaseError, Limits, MigrationFile, Question, Schema, Share, UNHEARD,
        Undone, resolve,
    },
    failure::Left,
    tenants::{
        found::{Found, Look, Seen},
        manifest::{Expected, FORMAT, Framework, Manifest},
    },
};

const LIMITS: Limits = Limits {
    lock_timeout: Duration::from_millis(100),
    statement_timeout: Some(Duration::from_secs(20)),
    gives_way: false,
};

fn server() -> config::Postgres {
    let url = std::env::var("PORTCULLIS_TEST_POSTGRES")
        .expect("PORTCULLIS_TEST_POSTGRES is not set: `make test` starts a server and sets it");
    let options = PgConnectOptions::from_str(&url).unwrap();
    let login = url.split_once("://").unwrap().1.rsplit_once('@').map_or("", |(login, _)| login);
    let socket = options.get_socket().map(|path| path.display().to_string());
    config::Postgres {
        host: socket.unwrap_or_else(|| options.get_host().to_owned()),
        port: options.get_port(),
        name: options.get_database().unwrap_or("postgres").to_owned(),
        user: options.get_username().to_owned(),
        password: login
            .split_once(':')
            .map_or(Password::None, |(_, word)| Password::Given(Secret::new(word))),
        parameters: BTreeMap::new(),
        shared_schema: "public".into(),
        direct: None,
        reader: None,
    }
}

/// A database of its own, a registry, two migrations for the shared schema and two for a tenant.
struct Place {
    config: config::Postgres,
    registry: config::Registry,
    folder: tempfile::TempDir,
}

impl Place {
    fn database(&self) -> Database {
        let config = config::Database::Postgres(Box::new(self.config.clone()));
        Database::new(&config, Some(&self.registry))
    }

    fn write(&self, name: &str, sql: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, sql).unwrap();
    }

    fn files(&self, folder: &str) -> Vec<MigrationFile> {
        resolve(&self.folder.path().join(folder)).unwrap()
    }

    async fn sql(&self, sql: &str) {
        let mut connection = connect::connect(&self.config).await.unwrap();
        connect::rows(&mut connection, sql).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn count(&self, table: &str) -> String {
        let mut connection = connect::connect(&self.config).await.unwrap();
        let rows = connect::rows(&mut connection, &format!("SELECT count(*)::text FROM {table}")).await;
        connect::text(rows.unwrap().first().unwrap(), 0).unwrap().unwrap()
    }

    async fn manifest(&self) -> Manifest {
        let (shared, tenant) = (self.files("shared"), self.files("tenant"));
        let derived = self.database().derive(&shared, &tenant).await.unwrap();
        let expected = |files: &[MigrationFile], made: crate::database::Made| Expected {
            migrations: files.iter().map(MigrationFile::expected).collect(),
            tables: made.tables,
            kinds: made.kinds,
        };
        Manifest {
            format: 1,
            framework: Framework::Sql,
            shared: expected(&shared, derived.shared),
            tenant: expected(&tenant, derived.tenant),
            types: BTreeMap::new(),
            django: None,
        }
    }

    async fn look(&self, tenants: &Selection) -> Result<Found, DatabaseError> {
        let manifest = self.manifest().await;
        let question = Question {
            manifest: &manifest,
            shared: true,
            tenants: Some(tenants),
            timeout: Duration::from_secs(20),
            allow_standby: false,
            looked: UNHEARD,
        };
        self.database().look(&question).await
    }

    async fn provision(&self, tenant: &str) -> Result<(), crate::database::ProvisionError> {
        let expected = self.manifest().await.tenant;
        self.database()
            .provision(&Creation::of(tenant, "test"), &self.files("tenant"), &expected, &LIMITS, &|_| Ok(()))
            .await
    }

    async fn shared(&self) {
        self.database().apply(&Schema::Shared, &self.files("shared"), &LIMITS).await.unwrap();
    }
}

fn with_place<F: Future<Output = ()>>(test: impl FnOnce(&'static Place) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let admin = server();
        let name = format!("portcullis_{:x}", fastrand::u64(..));
        let mut connection = connect::connect(&admin).await.unwrap();
        connect::rows(&mut connection, &format!("CREATE DATABASE {name}")).await.unwrap();
        let config = config::Postgres { name: name.clone(), ..admin.clone() };
        let registry = config::Registry {
            table: "tenants".into(),
            schema_column: "schema_name".into(),
            condition: None,
            at_least: 0,
        };
        // Leaked, so that the test's future may borrow it; the folder is removed by hand.
        let place: &'static Place =
            Box::leak(Box::new(Place { config, registry, folder: tempfile::tempdir().unwrap() }));
        place.write(
            "shared/1_tenants.sql",
            "CREATE TABLE tenants (schema_name TEXT PRIMARY KEY, status TEXT);",
        );
        place.write(
            "tenant/1_finance.sql",
            "CREATE TABLE finance_invoice (id BIGINT PRIMARY KEY, total BIGINT);",
        );
        place.write("tenant/2_note.sql", "ALTER TABLE finance_invoice ADD COLUMN note TEXT;");
        test(place).await;
        connect::rows(&mut connection, &format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        fs::remove_dir_all(place.folder.path()).unwrap();
    });
}

fn seen(look: &Look) -> &Seen {
    match look {
        Look::Seen(seen) => seen,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_provisioned_tenant_is_seen_whole() {
    with_place(|place| async move {
        let fresh = place.look(&Selection::All).await.unwrap();
        assert!(matches!(fresh.shared, Some(Look::NoLedger { .. })), "{fresh:?}");
        place.shared().await;
        for name in ["demo", "a\"b.c-D$$'", &"x".repeat(63)] {
            place.provision(name).await.unwrap();
        }
        let found = place.look(&Selection::All).await.unwrap();
        assert_eq!(found.registered, 3);
        for look in found.tenants.values().chain(&found.shared) {
            let seen = seen(look);
            assert!(seen.missing_tables.is_empty() && seen.missing_columns.is_empty(), "{seen:?}");
            assert!(seen.ledger.iter().all(|row| row.succeeded));
        }
        assert_eq!(seen(&found.tenants["demo"]).ledger.len(), 2);
        assert!(found.orphans.is_empty());
        let expected = place.manifest().await.tenant;
        assert_eq!(expected.tables["finance_invoice"].len(), 3);
    });
}

#[test]
fn every_kind_of_damage_is_seen() {
    with_place(|place| async move {
        place.shared().await;
        for name in ["lying", "column", "gone", "ledgerless", "index", "whole", "stray"] {
            place.provision(name).await.unwrap();
        }
        place
            .sql(
                "DROP TABLE lying.finance_invoice; ALTER TABLE \"column\".finance_invoice DROP COLUMN note; \
                 DROP SCHEMA gone CASCADE; DROP TABLE ledgerless._sqlx_migrations; \
                 CREATE UNIQUE INDEX bad ON \"index\".finance_invoice (total); \
                 UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"index\".bad'::regclass; \
                 DELETE FROM tenants WHERE schema_name = 'stray'; \
                 UPDATE whole._sqlx_migrations SET success = false WHERE version = 2",
            )
            .await;
        let found = place.look(&Selection::All).await.unwrap();
        assert!(seen(&found.tenants["lying"]).missing_tables.contains("finance_invoice"));
        assert!(seen(&found.tenants["column"]).missing_columns["finance_invoice"].contains("note"));
        assert_eq!(found.tenants["gone"], Look::NoSchema);
        let Look::NoLedger { tables } = &found.tenants["ledgerless"] else { unreachable!() };
        assert!(tables.contains("finance_invoice"));
        let index = seen(&found.tenants["index"]).invalid_indexes.first().unwrap();
        assert!(index.unique && index.name == "bad" && index.table == "finance_invoice");
        assert!(found.orphans.contains("stray") && found.orphans.len() == 1);
        assert!(seen(&found.tenants["whole"]).ledger.iter().any(|row| row.id == "2" && !row.succeeded));
        let named = Selection::Named(vec!["whole".into(), "nobody".into()]);
        let found = place.look(&named).await.unwrap();
        assert!(found.unregistered.contains("nobody") && found.tenants.len() == 1 && found.registered == 6);
        // Of so many schemas, indexes are asked for otherwise.
        place
            .sql("INSERT INTO tenants (schema_name) SELECT 'absent_' || n FROM generate_series(1, 20) n")
            .await;
        let found = place.look(&Selection::All).await.unwrap();
        assert_eq!(&seen(&found.tenants["index"]).invalid_indexes.first().unwrap().name, "bad");
    });
}

#[test]
fn one_unreadable_ledger_does_not_hide_the_others() {
    with_place(|place| async move {
        place.shared().await;
        for index in 0..7 {
            place.provision(&format!("t{index}")).await.unwrap();
        }
        place.sql("ALTER TABLE t3._sqlx_migrations DROP COLUMN checksum").await;
        let found = place.look(&Selection::All).await.unwrap();
        let Look::Failed(why) = &found.tenants["t3"] else { unreachable!() };
        assert!(why.contains("checksum"), "{why}");
        assert_eq!(found.tenants.values().filter(|look| matches!(look, Look::Seen(_))).count(), 6);
    });
}

#[test]
fn a_reader_without_a_privilege_says_so() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("open").await.unwrap();
        place.provision("closed").await.unwrap();
        let role = format!("{}_ro", place.config.name);
        place
            .sql(&format!(
                "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON tenants, _sqlx_migrations TO {role}; \
                 GRANT USAGE ON SCHEMA open TO {role}; GRANT SELECT ON open._sqlx_migrations TO {role}"
            ))
            .await;
        let manifest = place.manifest().await;
        let mut config = place.config.clone();
        config.reader = Some(Box::new(config::Postgres {
            user: role.clone(),
            password: Password::Given(Secret::new("x")),
            ..config.clone()
        }));
        let database = Database::new(&config::Database::Postgres(Box::new(config)), Some(&place.registry));
        let question = Question {
            manifest: &manifest,
            shared: true,
            tenants: Some(&Selection::All),
            timeout: Duration::from_secs(20),
            allow_standby: false,
            looked: UNHEARD,
        };
        let found = database.look(&question).await.unwrap();
        place.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
        assert!(seen(&found.tenants["open"]).missing_tables.is_empty());
        let Look::Failed(why) = &found.tenants["closed"] else { unreachable!("{found:?}") };
        assert!(why.contains("no privilege"), "{why}");
    });
}

#[test]
fn a_failing_migration_is_rolled_back_and_named_with_its_line() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        place.write("tenant/3_good.sql", "CREATE TABLE good (id BIGINT);");
        place.write("tenant/4_bad.sql", "SELECT 'ä;';\n\nCREATE TABLE good (id BIGINT);");
        let apply = async || {
            let files = place.files("tenant");
            place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await
        };
        let error = apply().await.unwrap_err();
        assert_eq!(error.migration.as_deref(), Some("4 bad"));
        assert!(error.place.as_ref().unwrap().ends_with("4_bad.sql:3"), "{error:?}");
        assert!(error.why.contains("already exists") && !error.dirty, "{error:?}");
        assert_eq!(place.count("demo._sqlx_migrations").await, "2");
        place.write("tenant/4_bad.sql", "SELECT 1;\nSELECT nothing_here;");
        let error = apply().await.unwrap_err();
        assert!(error.place.as_ref().unwrap().ends_with("4_bad.sql:2"), "{error:?}");
        place.write("tenant/4_bad.sql", "CREATE TABLE other (id BIGINT);");
        assert_eq!(apply().await.unwrap().migrations, ["3 good", "4 bad"]);
        assert!(apply().await.unwrap().migrations.is_empty());
    });
}

#[test]
fn a_file_that_commits_leaves_the_ledger_dirty() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        place.write(
            "tenant/3_commit.sql",
            "CREATE TABLE a (id BIGINT); COMMIT; BEGIN; CREATE TABLE b (id BIGINT);",
        );
        let files = place.files("tenant");
        let error =
            place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await.unwrap_err();
        assert!(error.dirty && error.why.contains("COMMIT"), "{error:?}");
        let again =
            place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await.unwrap_err();
        assert!(again.why.contains("3 commit"), "{again:?}");
    });
}

#[test]
fn a_files_settings_do_not_leak_into_the_next() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        place.sql("CREATE SCHEMA elsewhere").await;
        place.write("tenant/3_leak.sql", "SET search_path = elsewhere; SET LOCAL lock_timeout = 1;");
        place.write("tenant/4_table.sql", "CREATE TABLE here (id BIGINT);");
        place.write(
            "tenant/5_index.sql",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY here_id ON here (id);",
        );
        place.write("tenant/6_last.sql", "CREATE TABLE last (id BIGINT);");
        let files = place.files("tenant");
        let applied = place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await.unwrap();
        assert_eq!(applied.migrations.len(), 4);
        // A new tenant runs the same files inside one transaction.
        place.provision("second").await.unwrap();
        let found = place.look(&Selection::All).await.unwrap();
        for look in found.tenants.values() {
            assert!(
                seen(look).missing_tables.is_empty() && seen(look).invalid_indexes.is_empty(),
                "{look:?}"
            );
            assert_eq!(seen(look).ledger.len(), 6);
        }
    });
}

#[test]
fn a_file_that_fails_outside_a_transaction_leaves_the_ledger_dirty() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        place.sql("INSERT INTO demo.finance_invoice VALUES (1, 7), (2, 7)").await;
        let index = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY one ON finance_invoice (total);";
        place.write("tenant/3_index.sql", index);
        let files = place.files("tenant");
        let error =
            place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await.unwrap_err();
        assert!(error.dirty && error.place.as_ref().unwrap().ends_with("3_index.sql:2"), "{error:?}");
        let found = place.look(&Selection::All).await.unwrap();
        let seen = seen(&found.tenants["demo"]);
        assert!(seen.invalid_indexes.iter().any(|index| index.unique && index.name == "one"));
        assert!(seen.ledger.iter().any(|row| row.id == "3" && !row.succeeded));
    });
}

#[test]
fn a_registry_that_is_not_there_is_never_a_registry_without_tenants() {
    with_place(|place| async move {
        let mut manifest = place.manifest().await;
        let look = async |manifest: &Manifest, shared| {
            let tenants = Some(&Selection::All);
            let timeout = Duration::from_secs(20);
            let question =
                Question { manifest, shared, tenants, timeout, allow_standby: false, looked: UNHEARD };
            place.database().look(&question).await
        };
        let fresh = look(&manifest, true).await.unwrap();
        assert!(matches!(fresh.shared, Some(Look::NoLedger { .. })) && fresh.registered == 0);
        assert!(look(&manifest, false).await.is_err());
        let nothing = Manifest { shared: Expected::default(), ..manifest.clone() };
        assert!(look(&nothing, true).await.is_err());
        place.shared().await;
        place.sql("DROP TABLE tenants").await;
        let lying = look(&manifest, true).await.unwrap();
        assert!(seen(lying.shared.as_ref().unwrap()).missing_tables.contains("tenants"));
        manifest.shared.tables.clear();
        assert!(look(&manifest, true).await.is_err());
    });
}

#[test]
fn a_migration_waits_for_a_lock_only_so_long() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        place.write("tenant/3_more.sql", "ALTER TABLE finance_invoice ADD COLUMN more TEXT;");
        let mut holder: PgConnection = connect::connect(&place.config).await.unwrap();
        connect::rows(&mut holder, "BEGIN; LOCK TABLE demo.finance_invoice").await.unwrap();
        let files = place.files("tenant");
        let error =
            place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await.unwrap_err();
        assert!(error.locked && !error.dirty, "{error:?}");
        connect::rows(&mut holder, "ROLLBACK").await.unwrap();
        place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await.unwrap();
    });
}

#[test]
fn a_migration_that_is_given_up_is_rolled_back_by_the_server() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        place.write("tenant/3_slow.sql", "CREATE TABLE slow (id BIGINT); SELECT pg_sleep(3600);");
        let files = place.files("tenant");
        let (database, schema) = (place.database(), Schema::Tenant("demo".into()));
        let limits = Limits { statement_timeout: None, ..LIMITS };
        let mut watcher = connect::connect(&place.config).await.unwrap();
        let running = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() \
            AND query LIKE 'CREATE TABLE slow%'";
        let mut wait_for = async |count: u64| {
            while connect::number(&connect::rows(&mut watcher, running).await.unwrap(), 0).unwrap() != count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            outcome = database.apply(&schema, &files, &limits) => unreachable!("{outcome:?}"),
            () = wait_for(1) => {}
        }
        wait_for(0).await;
        assert_eq!(place.count("demo._sqlx_migrations").await, "2");
    });
}

#[test]
fn a_tenant_that_lost_its_schema_is_not_made_again() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        place.sql("DROP SCHEMA demo CASCADE").await;
        let files = place.files("tenant");
        let error =
            place.database().apply(&Schema::Tenant("demo".into()), &files, &LIMITS).await.unwrap_err();
        assert!(error.why.contains("not made again"), "{error:?}");
        let error = place.provision("demo").await.unwrap_err();
        assert!(
            error.left == Some(Left::Unproved) && error.why.contains("names `demo` already"),
            "{error:?}"
        );
        place.sql("CREATE SCHEMA squatter").await;
        let error = place.provision("squatter").await.unwrap_err();
        assert!(error.why.contains("the registry does not name"), "{error:?}");
        assert_eq!(registered(&place.database()).await, ["demo"]);
    });
}

#[test]
fn a_tenant_that_is_not_verified_leaves_nothing() {
    with_place(|place| async move {
        place.shared().await;
        let expected = place.manifest().await.tenant;
        let files = place.files("tenant");
        let refuse = |look: &Look| {
            assert_eq!(seen(look).ledger.len(), 2);
            Err("no".to_owned())
        };
        let error = place
            .database()
            .provision(&Creation::of("demo", "test"), &files, &expected, &LIMITS, &refuse)
            .await
            .unwrap_err();
        assert_eq!((error.why.as_str(), error.left), ("no", None));
        place.write("tenant/3_bad.sql", "SELECT 1;\nnonsense;");
        let files = place.files("tenant");
        let error = place
            .database()
            .provision(&Creation::of("demo", "test"), &files, &expected, &LIMITS, &|_| Ok(()))
            .await
            .unwrap_err();
        assert!(error.place.unwrap().ends_with("3_bad.sql:2"));
        assert!(registered(&place.database()).await.is_empty());
        let mut connection = connect::connect(&place.config).await.unwrap();
        assert!(!super::apply::exists(&mut connection, "demo").await.unwrap());
    });
}

#[test]
fn what_became_of_an_attempt_is_proved_by_its_last_transaction_alone() {
    with_place(|place| async move {
        place.shared().await;
        let (expected, files, database) =
            (place.manifest().await.tenant, place.files("tenant"), place.database());
        let new = Creation::of("demo", "test");
        database.provision(&new, &files, &expected, &LIMITS, &|_| Ok(())).await.unwrap();
        assert_eq!(database.undo(&new, &LIMITS).await.unwrap(), Undone::Whole);
        // Another attempt at the same name did not make what stands there.
        assert_eq!(database.undo(&Creation::of("demo", "test"), &LIMITS).await.unwrap(), Undone::Nothing);
        // Nor did one whose transaction was rolled back before somebody else made it.
        let refused = Creation::of("acme", "test");
        let refuse = |_: &Look| Err("no".to_owned());
        database.provision(&refused, &files, &expected, &LIMITS, &refuse).await.unwrap_err();
        place.provision("acme").await.unwrap();
        assert_eq!(database.undo(&refused, &LIMITS).await.unwrap(), Undone::Nothing);
        assert_eq!(registered(&database).await, ["acme", "demo"]);
    });
}

/// Whom the registry names, as a look that expects nothing finds it.
async fn registered(database: &Database) -> Vec<String> {
    let expected = Expected::default();
    let manifest = Manifest {
        format: FORMAT,
        framework: Framework::Sql,
        shared: expected.clone(),
        tenant: expected,
        types: BTreeMap::new(),
        django: None,
    };
    let question = Question {
        manifest: &manifest,
        shared: false,
        tenants: Some(&Selection::All),
        timeout: Duration::from_secs(20),
        allow_standby: false,
        looked: UNHEARD,
    };
    database.look(&question).await.unwrap().tenants.into_keys().collect()
}

#[test]
fn the_lock_is_one_runs_at_a_time_and_names_its_holder() {
    with_place(|place| async move {
        let database = place.database();
        let mut first = database.lock_session("run-1").await.unwrap();
        let mut second = database.lock_session("run-2").await.unwrap();
        assert_eq!(first.try_take(Share::Alone).await.unwrap(), None);
        let holder = second.try_take(Share::Alone).await.unwrap().unwrap();
        assert!(holder.contains("portcullis run-1") && holder.contains(", since 2"), "{holder}");
        assert_eq!(second.try_take(Share::WithOthers).await.unwrap(), Some(holder));
        assert_eq!(first.check().await, Ok(()));
        first.let_go().await.unwrap();
        assert!(first.check().await.is_err());
        assert_eq!(second.try_take(Share::WithOthers).await.unwrap(), None);
        assert_eq!(first.try_take(Share::WithOthers).await.unwrap(), None);
        first.let_go().await.unwrap();
        assert!(first.try_take(Share::Alone).await.unwrap().unwrap().contains("portcullis run-2"));
        second.let_go().await.unwrap();
        // sqlx's own tool holds its lock while it migrates.
        let mut tool = connect::connect(&place.config).await.unwrap();
        let key = 0x3d32_ad9e_i64 * i64::from(crc32fast::hash(place.config.name.as_bytes()));
        connect::rows(&mut tool, &format!("SELECT pg_advisory_lock({key})::text")).await.unwrap();
        let holder = first.try_take(Share::Alone).await.unwrap().unwrap();
        assert!(holder.starts_with("sqlx's own tool"), "{holder}");
    });
}

#[test]
fn a_session_that_was_silently_made_again_does_not_hold_the_lock() {
    with_place(|place| async move {
        let port = forwarding((place.config.host.clone(), place.config.port)).await;
        let mut config = place.config.clone();
        (config.host, config.port) = ("127.0.0.1".into(), port);
        let through = Database::new(&config::Database::Postgres(Box::new(config)), Some(&place.registry));
        let mut session = through.lock_session("run-1").await.unwrap();
        assert_eq!(session.try_take(Share::Alone).await.unwrap(), None);
        assert_eq!(session.check().await, Ok(()));
        place
            .sql(
                "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                 WHERE application_name LIKE 'portcullis run-1 %'",
            )
            .await;
        session.ended().await;
        let mut why = session.check().await.unwrap_err();
        for _ in 0..2 {
            why = session.check().await.unwrap_err();
        }
        assert!(why.contains("another backend answers"), "{why}");
    });
}

/// Passes connections on to the server, and hides what the server says of their end.
async fn forwarding(server: (String, u16)) -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = tokio::net::TcpStream::connect(server.clone()).await.unwrap();
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let asks =
                    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let mut piece = vec![0; 65_536];
                loop {
                    let length = from_server.read(&mut piece).await.unwrap_or(0);
                    let fatal = piece[..length].windows(5).any(|word| word == b"FATAL");
                    if length == 0 || fatal || to_client.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
                asks.abort();
            });
        }
    });
    port
}

#[test]
fn sessions_of_a_run_without_the_lock_are_ended_and_those_of_a_holder_are_not() {
    with_place(|place| async move {
        let mut holder = place.database().lock_session("run-1").await.unwrap();
        assert_eq!(holder.try_take(Share::WithOthers).await.unwrap(), None);
        let names = [
            "portcullis:run-1",
            "portcullis:run-2",
            "portcullis:run-3 sql",
            "portcullis",
            "portcullis run-4",
        ];
        let mut sessions = Vec::new();
        for name in names {
            sessions.push(connect::connect_as(&place.config, Some(name)).await.unwrap());
        }
        let strays = holder.end_strays().await.unwrap();
        let mut ended: Vec<_> = strays
            .iter()
            .map(|stray| (stray.name.split(',').next().unwrap_or_default(), stray.fenced))
            .collect();
        ended.sort_unstable();
        assert_eq!(ended, [("portcullis:run-2", false), ("portcullis:run-3 sql", true)]);
        while !holder.end_strays().await.unwrap().is_empty() {}
        let mut alive = Vec::new();
        for session in &mut sessions {
            alive.push(connect::rows(session, "SELECT 1").await.is_ok());
        }
        assert_eq!(alive, [true, false, false, true, true]);
    });
}

#[test]
fn a_registrys_condition_decides_who_is_a_tenant() {
    with_place(|place| async move {
        place.shared().await;
        let mut registry = place.registry.clone();
        registry.table = "public.tenants".into();
        registry.condition = Some("status <> 'pending' -- not yet".into());
        let config = config::Database::Postgres(Box::new(place.config.clone()));
        let database = Database::new(&config, Some(&registry));
        assert!(registered(&Database::new(&config, None)).await.is_empty());
        place
            .sql("INSERT INTO tenants VALUES ('b', 'live'), ('a', 'live'), ('c', 'pending'), ('d', NULL)")
            .await;
        assert_eq!(registered(&database).await, ["a", "b"]);
    });
}

#[test]
fn a_look_out_of_time_is_an_error() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        let mut holder = connect::connect(&place.config).await.unwrap();
        connect::rows(&mut holder, "BEGIN; LOCK TABLE tenants").await.unwrap();
        let manifest = place.manifest().await;
        let question = Question {
            manifest: &manifest,
            shared: false,
            tenants: Some(&Selection::All),
            timeout: Duration::from_millis(300),
            allow_standby: false,
            looked: UNHEARD,
        };
        let error = place.database().look(&question).await.unwrap_err();
        assert!(matches!(error, DatabaseError::TimedOut | DatabaseError::Failed(_)), "{error:?}");
    });
}

#[test]
fn sql_runs_and_its_errors_have_a_line() {
    with_place(|place| async move {
        let database = place.database();
        database
            .run_sql("CREATE TABLE a (id INT); INSERT INTO a VALUES (1)", Duration::from_secs(20), false)
            .await
            .unwrap();
        let error =
            database.run_sql("SELECT 1;\nSELECT nope", Duration::from_secs(5), false).await.unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
        let error =
            database.run_sql("SELECT pg_sleep(30)", Duration::from_millis(50), false).await.unwrap_err();
        assert_eq!(error, DatabaseError::TimedOut);
    });
}

#[test]
fn what_is_not_yet_and_what_is_never_are_told_apart() {
    with_place(|place| async move {
        let ping = async |config: config::Postgres| {
            Database::new(&config::Database::Postgres(Box::new(config)), None).ping().await
        };
        assert_eq!(ping(place.config.clone()).await, Attempt::Ready);
        let mut missing = place.config.clone();
        missing.name = "no_such_database".into();
        assert!(matches!(ping(missing).await, Attempt::Never(why) if why.contains("no_such_database")));
        let mut role = place.config.clone();
        role.user = "no_such_role".into();
        assert!(matches!(ping(role).await, Attempt::Never(_)));
        let mut closed = place.config.clone();
        (closed.host, closed.port) = ("127.0.0.1".into(), 1);
        assert!(matches!(ping(closed).await, Attempt::NotYet(why) if why.contains("refused")));
        let mut unknown = place.config.clone();
        unknown.host = "nowhere.invalid".into();
        assert!(matches!(ping(unknown).await, Attempt::NotYet(_)));
        let mut unreadable = place.config.clone();
        unreadable.password = Password::File(Path::new("/nonexistent").into());
        assert!(matches!(ping(unreadable).await, Attempt::Never(why) if why.contains("/nonexistent")));
        let mut certificate = place.config.clone();
        certificate.parameters = BTreeMap::from([("sslrootcert".into(), "/nonexistent.pem".into())]);
        assert!(matches!(ping(certificate).await, Attempt::Never(why) if why.contains("sslrootcert")));
    });
}
