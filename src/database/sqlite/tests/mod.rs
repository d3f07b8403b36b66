//! Tests of the SQLite engine, each in its own folder.

#![expect(clippy::unwrap_used, reason = "tests")]

mod changes;
mod inspection;
mod provisioning;

use std::{fs, future::Future, time::Duration};

use sqlx::Connection;

use super::{LEDGER as LAYOUT, Sqlite, files};
use crate::{
    config::{self, Selection},
    database::{
        Creation, InspectRequest, Limits, MigrationFile, NO_PROGRESS, ProvisionError, ProvisionRequest,
        Schema, notice_channel, resolve,
    },
    deadline::Deadline,
    frameworks::sql::LEDGER,
    tenants::inspection::{Inspection, SchemaSnapshot, SchemaState},
    tenants::manifest::{Expected, Manifest},
};

fn limits() -> Limits {
    Limits {
        lock_timeout: Duration::from_millis(50),
        statement_timeout: None,
        search_path: Vec::new(),
        all_in_one: false,
        nowait: false,
        notices: None,
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
            database: None,
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
        let derived = self.database().derive(&shared, &tenant, &[], notice_channel().0).await.unwrap();
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
        self.provision_as(&Creation::of(tenant, "test"), &|_| Ok(())).await
    }

    async fn provision_as(
        &self,
        new: &Creation,
        verify: &dyn Fn(&SchemaState) -> Result<(), String>,
    ) -> Result<(), ProvisionError> {
        let (expected, limits) = (self.manifest().await.tenant, limits());
        let request = ProvisionRequest { new, expected: &expected, layout: LAYOUT, limits: &limits, verify };
        self.database().provision(&request, &self.files("tenant")).await
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
