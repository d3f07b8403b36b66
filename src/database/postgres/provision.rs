//! Creates one complete tenant: in one transaction, or, if that is not possible, in several that the journal connects.

use super::{
    Postgres,
    apply::exists,
    catalog::{self, Group, More},
    connection::Connection,
    error::QueryError,
    journal, ledgers, lock, metadata_schema,
    quote::identifier,
    read_only::Reading,
    run_migration::{self, Transaction},
};
use crate::{
    cause::Cause,
    config,
    database::{
        ApplyError, Creation, DatabaseError, Limits, MigrationFile, ProvisionError, ProvisionRequest,
        RegistryRow, Schema,
    },
    tenants::{inspection::SchemaState, ledger::LedgerLayout, manifest::Expected},
};

/// PostgreSQL truncates longer names without an error.
const MAX_NAME: usize = 63;

impl Postgres {
    pub(crate) async fn provision(
        &self,
        request: &ProvisionRequest<'_>,
        files: &[MigrationFile],
    ) -> Result<(), ProvisionError> {
        let ProvisionRequest { new, expected, layout, limits, verify } = *request;
        if !files.iter().any(|file| file.no_transaction) {
            let build = async |connection: &mut Connection| {
                // A file that contains COMMIT commits the journal's entry, too.
                let schema = self.create_schema(new, true, true);
                connection.rows(&schema).await?;
                for file in files {
                    run_migration::file(connection, &new.schema, file, limits, Transaction::Private).await?;
                }
                Ok(())
            };
            match self.provision_in_one_transaction(request, build).await {
                Err(error) if needs_commit(&error.why) => {}
                other => return other,
            }
        }
        self.create(new, true, limits).await?;
        self.apply(&Schema::Tenant(new.schema.clone()), files, limits).await?;
        verify(&self.inspect_schema(&new.schema, expected, layout).await?).map_err(ApplyError::of)?;
        self.finish(new, limits).await
    }

    /// Creates everything in one transaction, invisible to other sessions until it is complete. `build` creates the schema.
    pub(super) async fn provision_in_one_transaction(
        &self,
        request: &ProvisionRequest<'_>,
        build: impl AsyncFnOnce(&mut Connection) -> Result<(), ProvisionError>,
    ) -> Result<(), ProvisionError> {
        let ProvisionRequest { new, expected, layout, limits, verify } = *request;
        let registry = self.registry_for(new)?;
        let mut connection = self.prepared(limits).await?;
        let created = async {
            self.open(&mut connection, registry, new, limits).await?;
            self.write_rows(&mut connection, registry, new).await?;
            build(&mut connection).await?;
            self.close_journal(&mut connection, new).await
        };
        if let Err(error) = created.await {
            // Other sessions do not have to wait until the server notices the closed connection.
            connection.roll_back().await;
            connection.close().await;
            return Err(error);
        }
        let mut reading = Reading::inside(connection);
        let state = inspect(&mut reading, &new.schema, expected, layout).await;
        let mut connection = reading.into_inner();
        verify(&state?).map_err(ApplyError::of)?;
        connection.run("COMMIT", limits.deadline).await?;
        self.release(connection).await;
        Ok(())
    }

    /// Creates the empty schema, its ownership tag and the journal's entry in one transaction.
    pub(crate) async fn begin(&self, new: &Creation, limits: &Limits) -> Result<(), ProvisionError> {
        self.create(new, false, limits).await
    }

    async fn create(&self, new: &Creation, ledger: bool, limits: &Limits) -> Result<(), ProvisionError> {
        let registry = self.registry_for(new)?;
        let mut connection = self.prepared(limits).await?;
        self.open(&mut connection, registry, new, limits).await?;
        match new.rows {
            RegistryRow::BeforeMigrations => self.write_rows(&mut connection, registry, new).await?,
            RegistryRow::AfterMigrations => {
                // Checks before the long migrations that the rows can be written.
                connection.rows("SAVEPOINT rows").await?;
                self.write_rows(&mut connection, registry, new).await?;
                connection.rows("ROLLBACK TO SAVEPOINT rows").await?;
            }
            RegistryRow::Never => {}
        }
        let schema = self.create_schema(new, ledger, new.rows == RegistryRow::BeforeMigrations);
        connection.rows(&format!("{schema}; COMMIT")).await?;
        self.release(connection).await;
        Ok(())
    }

    /// Writes the rows and completes the journal's entry in one transaction.
    pub(crate) async fn finish(&self, new: &Creation, limits: &Limits) -> Result<(), ProvisionError> {
        let registry = self.registry_for(new)?;
        let mut connection = self.prepared(limits).await?;
        connection.rows(&run_migration::begin(limits)).await?;
        lock::schema(&mut connection, &new.schema, "pg_try_advisory_xact_lock", false).await?;
        let registers = new.rows == RegistryRow::AfterMigrations;
        // Another session may have registered the tenant during the migrations, and not every registry's column is unique.
        if registers && self.is_registered(&mut connection, registry, &new.schema).await? {
            let why = format!("another session registered `{}` during its creation", new.schema);
            return Err(ApplyError::of(why).into());
        }
        self.close_journal(&mut connection, new).await?;
        if registers {
            self.write_rows(&mut connection, registry, new).await?;
        }
        connection.rows("COMMIT").await?;
        self.release(connection).await;
        Ok(())
    }

    /// The state of one schema, registered or not.
    pub(crate) async fn inspect_schema(
        &self,
        schema: &str,
        expected: &Expected,
        shape: LedgerLayout<'_>,
    ) -> Result<SchemaState, DatabaseError> {
        let mut connection = self.writer().await?;
        connection.rows("BEGIN READ ONLY").await?;
        let mut reading = Reading::inside(connection);
        let state = inspect(&mut reading, schema, expected, shape).await;
        reading.close().await;
        state.map_err(DatabaseError::from)
    }

    /// A connection to a database in which the journal exists.
    async fn prepared(&self, limits: &Limits) -> Result<Connection, ProvisionError> {
        let mut connection = self.writer_for(limits).await?;
        journal::ensure(&mut connection).await.map_err(|error| {
            let why = error.cause();
            let text =
                format!("cannot create the journal in the schema `{}`: {why}", metadata_schema::SCHEMA);
            ProvisionError::refusing(why.with_text(text))
        })?;
        Ok(connection)
    }

    /// Begins a transaction under the schema's lock and fails if the tenant already exists, even partly.
    async fn open(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        new: &Creation,
        limits: &Limits,
    ) -> Result<(), ProvisionError> {
        connection.rows(&run_migration::begin(limits)).await?;
        lock::schema(connection, &new.schema, "pg_try_advisory_xact_lock", false).await?;
        let registered = self.is_registered(connection, registry, &new.schema).await?;
        let schema_exists = exists(connection, &new.schema).await?;
        let condition = journal::entries_of(&new.schema, &self.registry_name());
        for entry in journal::entries(connection, &condition).await? {
            let proved = schema_exists && journal::is_proved(connection, &entry.nonce).await?;
            if proved && (entry.rows || !registered) {
                return Err(ProvisionError::later(format!(
                    "`{}` still exists incompletely from {}",
                    new.schema, entry.started_by
                )));
            }
        }
        let schema = format!("the schema `{}`", new.schema);
        ProvisionError::if_exists(&new.schema, registered, schema_exists.then_some(schema.as_str()))
    }

    pub(super) fn create_schema(&self, new: &Creation, ledger: bool, rows: bool) -> String {
        let ledger =
            if ledger { format!("; {}", run_migration::create_ledger(&new.schema)) } else { String::new() };
        let registry = self.registry_name();
        format!(
            "CREATE SCHEMA {}; {}{ledger}",
            identifier(&new.schema),
            journal::insert_entry(
                (&new.nonce, &new.run, &registry),
                &new.schema,
                journal::Kind::Making,
                rows
            ),
        )
    }

    async fn close_journal(&self, connection: &mut Connection, new: &Creation) -> Result<(), ProvisionError> {
        let transaction = journal::complete(connection, &new.nonce, &new.schema).await?;
        let gone =
            "the journal's entry or the schema's ownership tag no longer exists: another run has taken over";
        new.commit_marker.note(transaction.ok_or_else(|| ApplyError::of(gone))?);
        Ok(())
    }

    fn registry_for(&self, new: &Creation) -> Result<&config::Registry, ProvisionError> {
        let registry = self.registry.as_ref().ok_or_else(ProvisionError::unregistrable)?;
        refuse_name(&new.schema, &self.config.shared_schema)
            .map_or(Ok(registry), |why| Err(ProvisionError::refusing(why)))
    }
}

/// Whether a file failed because it cannot run in the transaction of the files before it: it uses a new value of an
/// enum, alters a table with pending trigger events, or cannot run in a transaction (VACUUM).
pub(super) fn needs_commit(why: &Cause) -> bool {
    matches!(why.sqlstate(), Some("55P04" | "55006" | "25001"))
}

/// The reason why a schema cannot have this name.
pub(super) fn refuse_name(tenant: &str, shared: &str) -> Option<String> {
    let why = if tenant.is_empty() || tenant.contains('\0') {
        "is empty or contains a NUL".to_owned()
    } else if tenant.len() > MAX_NAME {
        format!("is longer than {MAX_NAME} bytes")
    } else if tenant.starts_with("pg_") || tenant == "information_schema" {
        "is reserved by PostgreSQL".to_owned()
    } else if tenant == shared {
        "is the shared schema".to_owned()
    } else if tenant == metadata_schema::SCHEMA {
        "is the schema of Portcullis's own tables".to_owned()
    } else {
        return None;
    };
    Some(format!("the name `{}` {why}", tenant.escape_debug()))
}

async fn inspect(
    reading: &mut Reading,
    schema: &str,
    expected: &Expected,
    shape: LedgerLayout<'_>,
) -> Result<SchemaState, QueryError> {
    let groups =
        [Group { schemas: vec![schema.to_owned()], tables: &expected.tables, kinds: &expected.kinds }];
    let mut all = catalog::facts(reading, &groups, shape.table, &mut More::default()).await?;
    catalog::missing(reading, &groups, &mut all).await?;
    match all.remove(schema) {
        None => Ok(SchemaState::NoSchema),
        Some(facts) if facts.has_ledger_to_read() => {
            let rows = reading.rows(&ledgers::select(shape, 0, schema)).await?;
            Ok(facts.with_ledger(rows.iter().map(ledgers::recorded).collect::<Result<_, _>>()?))
        }
        Some(facts) => Ok(facts.without_ledger(&expected.tables, shape.table)),
    }
}
