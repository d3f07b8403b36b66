//! Creates one complete tenant as a copy of a template, in one transaction.

use super::{
    Postgres, connect, connection::Connection, rename::rename, run_migration::apply_error,
    structure::structure,
};
use crate::{
    config,
    database::{ApplyError, Creation, DatabaseError, Limits, ProvisionError, template::Template},
    tenants::{inspection::SchemaState, ledger::LedgerLayout, manifest::Expected},
};

/// The settings at the start of pg_dump's output, for this transaction only.
const AS_DUMPED: &str = "SET LOCAL search_path = ''; SET LOCAL check_function_bodies = false; SET LOCAL xmloption = content; \
    SET LOCAL row_security = off; SET LOCAL client_min_messages = warning; SET LOCAL standard_conforming_strings = on";

/// The server's major version.
pub(super) const VERSION: &str =
    "SELECT (pg_catalog.current_setting('server_version_num')::int / 10000)::text";

impl Postgres {
    pub(crate) async fn copy(
        &self,
        new: &Creation,
        template: &Template,
        (expected, shape): (&Expected, LedgerLayout),
        limits: &Limits,
        verify: &dyn Fn(&SchemaState) -> Result<(), String>,
    ) -> Result<(), ProvisionError> {
        let registry = self.registry_for(new)?;
        let mut connection = self.prepared(limits).await?;
        if let Err(error) = self.copy_in_transaction(&mut connection, registry, new, template, limits).await {
            // Other sessions do not have to wait until the server notices the closed connection.
            let _ = connection.rows("ROLLBACK").await;
            return Err(error);
        }
        self.verify_and_commit(connection, &new.schema, (expected, shape), verify, limits).await
    }

    /// The server's major version and the digest of a schema's structure.
    pub(crate) async fn structure(&self, schema: &str) -> Result<(String, String), DatabaseError> {
        let mut connection = self.writer().await?;
        let read = async {
            connection.rows("BEGIN READ ONLY").await?;
            Ok((version(&mut connection).await?, structure(&mut connection, schema).await?))
        };
        read.await.map_err(|error: sqlx::Error| connect::failed(&error))
    }

    async fn copy_in_transaction(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        new: &Creation,
        template: &Template,
        limits: &Limits,
    ) -> Result<(), ProvisionError> {
        let failed = |error: sqlx::Error| ProvisionError::from(apply_error(&error));
        self.open(connection, registry, new, limits).await?;
        let version = version(connection).await.map_err(failed)?;
        if version != template.server {
            let built_on = &template.server;
            let why = format!(
                "the template was built on PostgreSQL {built_on}, but this server is version {version}: build the template again there"
            );
            return Err(ProvisionError::refusing(why));
        }
        self.write_rows(connection, registry, new).await?;
        let schema = format!("{}; {AS_DUMPED}", self.create_schema(new, false, true));
        connection.rows(&schema).await.map_err(failed)?;
        let sql = rename(&template.sql, &template.schema, &new.schema);
        connection.run(&sql, limits.deadline).await.map_err(failed)?;
        if structure(connection, &new.schema).await.map_err(failed)? != template.structure {
            return Err(ApplyError::of("the structure of the copy differs from the template").into());
        }
        Ok(self.close_journal(connection, new).await?)
    }
}

async fn version(connection: &mut Connection) -> Result<String, sqlx::Error> {
    let rows = connection.rows(VERSION).await?;
    rows.first().map_or(Ok(None), |row| connect::text(row, 0)).map(Option::unwrap_or_default)
}
