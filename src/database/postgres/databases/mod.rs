//! A database for each tenant: `[database]` has the registry, the lock, the journal, the history and the shared schema;
//! each tenant is the shared schema of its own database, on the same server or on another.

mod create;
mod examine;
mod inspect;
mod journal;
mod location;
mod lock;
mod server;

pub(super) use self::location::expression;
pub(crate) use self::lock::Session as DatabasesSession;
use std::{cell::RefCell, collections::BTreeMap, ops::Deref};

use super::Postgres;
use crate::{
    config::{self, secret::Secret},
    credentials,
    database::{
        Applied, ApplyEnd, ApplyError, DatabaseError, Limits, MigrationFile, Schema, TableSet,
        examined::Examined, restorable::Restorable,
    },
    tenants::{
        inspection::{LedgerRow, Rows, SchemaState},
        ledger::LedgerLayout,
        manifest::Expected,
        structure::{Structure, difference::Difference},
    },
};

/// The engine of a registry whose tenants have their own databases.
#[derive(Debug)]
pub(crate) struct TenantDatabases(pub(crate) Router);

/// The operations that go to tenants' databases; it dereferences to the handle of `[database]` for the others.
#[derive(Debug)]
pub(crate) struct Router {
    home: Postgres,
    registry: config::Registry,
    database: config::TenantDatabase,
    /// Known names or URLs by tenant, from the last inspection.
    locations: RefCell<BTreeMap<String, String>>,
}

impl Deref for Router {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        &self.home
    }
}

impl TenantDatabases {
    pub(crate) fn new(
        config: &config::Postgres,
        registry: &config::Registry,
        database: &config::TenantDatabase,
        run: &str,
    ) -> Self {
        Self(Router {
            home: Postgres::new(config, Some(registry), run),
            registry: registry.clone(),
            database: database.clone(),
            locations: RefCell::default(),
        })
    }
}

/// The error of a tenant's database, in which the lock is that of the shared schema.
fn of_database(error: ApplyError, schema: &Schema) -> ApplyError {
    match schema {
        Schema::Tenant(tenant) if error.end == ApplyEnd::HeldByOther => {
            let text = format!("another session is changing the database of `{tenant}`");
            ApplyError { why: error.why.with_text(text), ..error }
        }
        _ => error,
    }
}

impl Router {
    /// The database of a schema, in which it is the shared schema.
    async fn of(&self, schema: &Schema) -> Result<Postgres, DatabaseError> {
        match schema {
            Schema::Shared => Ok(self.home.clone()),
            Schema::Tenant(tenant) => self.tenant(tenant).await,
        }
    }

    pub(crate) async fn apply(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<Applied, ApplyError> {
        let done = self.of(schema).await?.apply(&Schema::Shared, files, limits).await;
        done.map_err(|error| of_database(error, schema))
    }

    pub(crate) async fn record(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let done = self.of(schema).await?.record(&Schema::Shared, files, limits).await;
        done.map_err(|error| of_database(error, schema))
    }

    pub(crate) async fn restore(
        &self,
        schema: &Schema,
        statements: &[String],
        verify: &dyn Fn(&Structure) -> Result<(), String>,
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let done = self.of(schema).await?.restore(&Schema::Shared, statements, verify, limits).await;
        done.map_err(|error| of_database(error, schema))
    }

    pub(crate) async fn structure(&self, schema: &Schema) -> Result<(String, Structure), DatabaseError> {
        self.of(schema).await?.structure(&Schema::Shared).await
    }

    pub(crate) async fn restorable(
        &self,
        schema: &Schema,
        expected: &Structure,
        differences: &[Difference],
    ) -> Restorable {
        match self.of(schema).await {
            Ok(database) => database.restorable(&Schema::Shared, expected, differences).await,
            Err(_) => Restorable::default(),
        }
    }

    pub(crate) async fn count(
        &self,
        schema: &Schema,
        tables: &[String],
    ) -> Result<Vec<(String, Rows)>, DatabaseError> {
        self.of(schema).await?.count(&Schema::Shared, tables).await
    }

    pub(crate) async fn inspect_schema(
        &self,
        tenant: &str,
        expected: &Expected,
        shape: LedgerLayout<'_>,
    ) -> Result<SchemaState, DatabaseError> {
        let database = self.tenant(tenant).await?;
        database.inspect_schema(&database.config.shared_schema, expected, shape).await
    }

    pub(crate) async fn recorded(
        &self,
        schema: &Schema,
        shape: LedgerLayout<'_>,
    ) -> Result<Vec<LedgerRow>, DatabaseError> {
        self.of(schema).await?.recorded(&Schema::Shared, shape).await
    }

    pub(crate) async fn tables(&self, schema: &str, ledger: &str) -> Result<TableSet, DatabaseError> {
        let database = if schema == self.home.config.shared_schema {
            self.home.clone()
        } else {
            self.tenant(schema).await?
        };
        database.tables(&database.config.shared_schema, ledger).await
    }

    pub(crate) async fn database_url(&self, tenant: &str) -> Result<Secret, DatabaseError> {
        let database = self.tenant(tenant).await?;
        let config = database.direct();
        let password = credentials::for_program(config).await?;
        Ok(config.url(password.as_ref()))
    }

    pub(crate) async fn unreadable_tables(
        &self,
        tenants: &[(String, Vec<String>)],
    ) -> Result<Vec<String>, DatabaseError> {
        let mut unreadable = Vec::new();
        for (tenant, tables) in tenants {
            let database = match self.tenant(tenant).await {
                Ok(database) => database,
                Err(error) => {
                    unreadable.push(format!("{tenant}: {error}"));
                    continue;
                }
            };
            let schema = database.config.shared_schema.clone();
            match database.unreadable_tables(&[(schema, tables.clone())]).await {
                Ok(found) => unreadable.extend(found.into_iter().map(|why| format!("{tenant}: {why}"))),
                Err(error) => unreadable.push(format!("{tenant}: {error}")),
            }
        }
        Ok(unreadable)
    }

    /// The facts about `[database]` and its server.
    pub(crate) async fn examine(&self, _: &[String]) -> Examined {
        self.home.examine(&[]).await
    }
}
