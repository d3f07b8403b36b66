//! Deletes a tenant: its rows first, then its schema. The next holder of the lock completes an interrupted deletion.

use super::{
    Postgres, apply::exists, connection::Connection, drop_schema, error::QueryError, journal, lock,
    provision::refuse_name, quote::literal,
};
use crate::{
    config,
    database::{ApplyError, DatabaseError, Limits, nonce},
    tenants::{inspection::Deleted, manifest::Domains},
};

impl Postgres {
    pub(crate) async fn delete(
        &self,
        schema: &str,
        domains: Option<&Domains>,
        run: &str,
        limits: &Limits,
    ) -> Result<Deleted, DatabaseError> {
        let refuse = |why: String| Err(DatabaseError::Failed(why.into()));
        let Some(registry) = &self.registry else { return refuse("no registry is configured".into()) };
        let mut connection = self.writer_for(limits).await?;
        lock::schema(&mut connection, schema, "pg_try_advisory_lock", false)
            .await
            .map_err(ApplyError::into_failed)?;
        let registered = self.is_registered(&mut connection, registry, schema).await?;
        let schema_exists = exists(&mut connection, schema).await.map_err(ApplyError::into_failed)?;
        if !registered && !schema_exists {
            return refuse("no registry row and no schema of that name exists".into());
        }
        // A row with such a name is deleted alone: a schema that is not a tenant's is never dropped. The row of the shared
        // schema is no tenant's.
        let shared = &self.config.shared_schema;
        let refused = refuse_name(schema, shared).filter(|_| schema_exists);
        let schema_exists = schema_exists && refused.is_none();
        if let Some(why) = refused.filter(|_| !registered || schema == shared) {
            return refuse(why);
        }
        if schema_exists {
            match owner(&mut connection, schema, &self.registry_name()).await? {
                Owner::Other(registry) => {
                    return refuse(format!(
                        "the journal records that it belongs to the registry `{registry}`"
                    ));
                }
                Owner::Unknown if !registered => {
                    return refuse(
                        "the registry does not contain it, and the journal does not record that the schema of that name is one of the \
                        registry's tenants: register it first, or drop the schema by hand"
                            .into(),
                    );
                }
                Owner::Unknown | Owner::This => {}
            }
            journal::ensure(&mut connection).await?;
        }
        let deletion = Deletion { schema, run, registry, domains, schema_exists };
        let deleted = self.delete_all(&mut connection, &deletion, limits).await;
        if deleted.is_err() {
            connection.roll_back().await;
        }
        connection.close().await;
        deleted.map_err(ApplyError::into_failed)
    }

    async fn delete_all(
        &self,
        connection: &mut Connection,
        deletion: &Deletion<'_>,
        limits: &Limits,
    ) -> Result<Deleted, ApplyError> {
        let Deletion { schema, run, registry, domains, schema_exists } = *deletion;
        let begin = drop_schema::begin(limits);
        let nonce = nonce();
        connection.rows(&begin).await?;
        if schema_exists {
            drop_schema::refuse_outside(connection, schema).await?;
        }
        let rows = self.delete_rows(connection, registry, domains, schema).await;
        let (rows, domains) = rows?;
        let entries = journal::entries_of(schema, &self.registry_name());
        let delete_entries = format!("DELETE FROM portcullis.journal WHERE {entries}");
        let mut deleted = Deleted { rows, domains, tables: None, transactions: 1 };
        if schema_exists {
            let insert_entry = journal::insert_entry(
                (&nonce, run, &self.registry_name()),
                schema,
                journal::Kind::Removing,
                false,
            );
            connection.rows(&format!("{delete_entries}; {insert_entry}; COMMIT")).await?;
            let dropped = drop_schema::drop_tables(connection, schema, limits).await?;
            connection.rows(&begin).await?;
            drop_schema::drop_schema(connection, schema, limits).await?;
            connection.rows(&journal::delete_entries(&nonce)).await?;
            deleted.tables = Some(dropped.tables);
            deleted.transactions += dropped.transactions + 1;
        } else if journal::exists(connection).await? {
            connection.rows(&delete_entries).await?;
        }
        connection.run("COMMIT", limits.deadline).await?;
        Ok(deleted)
    }
}

struct Deletion<'a> {
    schema: &'a str,
    run: &'a str,
    registry: &'a config::Registry,
    domains: Option<&'a Domains>,
    schema_exists: bool,
}

/// The owner of a schema according to the journal.
enum Owner {
    This,
    /// Another registry, by name.
    Other(String),
    Unknown,
}

/// Finds the owner. An intent of a framework's command has no ownership tag and proves nothing against another registry.
async fn owner(connection: &mut Connection, schema: &str, this_registry: &str) -> Result<Owner, QueryError> {
    let mut owner = Owner::Unknown;
    for entry in journal::entries(connection, &format!("tenant = {}", literal(schema))).await? {
        let proved = journal::is_proved(connection, &entry.nonce).await?;
        if entry.registry != this_registry && proved {
            return Ok(Owner::Other(entry.registry));
        }
        if entry.registry == this_registry
            && (proved || matches!(entry.kind, journal::Kind::Command | journal::Kind::Created))
        {
            owner = Owner::This;
        }
    }
    Ok(owner)
}
