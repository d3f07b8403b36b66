//! Makes one tenant whole in one transaction: registry row, schema, ledger, every migration, verified.

use sqlx::{Connection, postgres::PgConnection};

use super::{
    LEDGER, Postgres,
    apply::exists,
    catalog::{self, Group, More},
    connect, ledgers, lock,
    quote::{identifier, literal, qualified},
    reading::Reading,
    registry,
    run::{self, Mode, bare},
};
use crate::{
    config,
    database::{ApplyError, DatabaseError, Limits, MigrationFile, ProvisionError},
    tenants::{found::Look, manifest::Expected},
};

/// PostgreSQL cuts longer names off without a word.
const MAX_NAME: usize = 63;

impl Postgres {
    pub(in super::super) async fn provision(
        &self,
        tenant: &str,
        files: &[MigrationFile],
        expected: &Expected,
        limits: &Limits,
        verify: &dyn Fn(&Look) -> Result<(), String>,
    ) -> Result<(), ProvisionError> {
        let Some(registry) = &self.registry else {
            return Err(ApplyError::saying("there is no registry to write the tenant into").into());
        };
        if let Some(why) = refuse_name(tenant, &self.config.shared_schema) {
            return Err(ApplyError::saying(&why).into());
        }
        let mut connection = self.writer().await.map_err(ApplyError::from)?;
        self.build(&mut connection, registry, tenant, files, limits).await?;
        // From here on the connection is lent to the look, which reads inside the transaction.
        let mut reading = Reading::inside(connection);
        let look = look(&mut reading, tenant, expected).await.map_err(|error| bare(&error))?;
        let mut connection = reading.into_inner();
        if let Err(why) = verify(&look) {
            return Err(ApplyError::saying(&why).into());
        }
        match connect::rows(&mut connection, "COMMIT").await {
            Ok(_) => {
                let _ = connection.close().await;
                Ok(())
            }
            Err(error) if connect::is_lost(&error) => self.whole_after_all(tenant, &error).await,
            Err(error) => Err(bare(&error).into()),
        }
    }

    async fn build(
        &self,
        connection: &mut PgConnection,
        registry: &config::Registry,
        tenant: &str,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", limits.lock_timeout.as_millis());
        connect::rows(connection, &begin).await.map_err(|error| bare(&error))?;
        lock::schema(connection, tenant, "pg_try_advisory_xact_lock", limits.gives_way).await?;
        let (schema, name) = registry::table(registry, &self.config.shared_schema);
        let (table, column) = (qualified(schema, name), identifier(&registry.schema_column));
        let row = format!("SELECT 1::text FROM {table} WHERE {column}::text = {}", literal(tenant));
        let registered = !connect::rows(connection, &row).await.map_err(|error| bare(&error))?.is_empty();
        refuse_existing(tenant, registered, exists(connection, tenant).await?)?;
        let make = format!(
            "INSERT INTO {table} ({column}) VALUES ({}); CREATE SCHEMA {}; {}",
            literal(tenant),
            identifier(tenant),
            run::create_ledger(tenant),
        );
        connect::rows(connection, &make).await.map_err(|error| bare(&error))?;
        let counts = format!(
            "SET LOCAL search_path = {}; {row} AND {}",
            identifier(&self.config.shared_schema),
            registry::condition(registry),
        );
        if connect::rows(connection, &counts).await.map_err(|error| bare(&error))?.is_empty() {
            return Err(ApplyError::saying("a new row does not meet the registry's `where`"));
        }
        for file in files {
            run::file(connection, tenant, file, limits, Mode::Unseen).await?;
        }
        Ok(())
    }

    /// The answer to COMMIT was lost. One transaction was either all or nothing: whichever it was.
    async fn whole_after_all(&self, tenant: &str, error: &sqlx::Error) -> Result<(), ProvisionError> {
        let why = format!("the connection broke at COMMIT: {}", connect::words(error));
        let unknown = |_| ProvisionError { why: why.clone(), ..ProvisionError::default() };
        let mut connection = run::writer(self.direct()).await.map_err(unknown)?;
        match exists(&mut connection, tenant).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ProvisionError { why, rolled_back: true, ..ProvisionError::default() }),
            Err(_) => Err(ProvisionError { why, ..ProvisionError::default() }),
        }
    }
}

/// Nothing that stood there before is adopted.
fn refuse_existing(tenant: &str, registered: bool, schema: bool) -> Result<(), ApplyError> {
    match (registered, schema) {
        (false, false) => Ok(()),
        (true, true) => Err(ApplyError::saying(&format!("`{tenant}` exists already"))),
        (false, true) => Err(ApplyError::saying(&format!(
            "a schema `{tenant}` stands there that the registry does not name"
        ))),
        (true, false) => Err(ApplyError::saying(&format!(
            "the registry names `{tenant}` already, and its schema is not there"
        ))),
    }
}

fn refuse_name(tenant: &str, shared: &str) -> Option<String> {
    let why = if tenant.is_empty() || tenant.contains('\0') {
        "is empty or holds a NUL".to_owned()
    } else if tenant.len() > MAX_NAME {
        format!("is longer than {MAX_NAME} bytes")
    } else if tenant.starts_with("pg_") || tenant == "information_schema" {
        "is reserved by PostgreSQL".to_owned()
    } else if tenant == shared {
        "is the shared schema".to_owned()
    } else {
        return None;
    };
    Some(format!("the name `{}` {why}", tenant.escape_debug()))
}

async fn look(reading: &mut Reading, tenant: &str, expected: &Expected) -> Result<Look, sqlx::Error> {
    let groups =
        [Group { schemas: vec![tenant.to_owned()], tables: &expected.tables, kinds: &expected.kinds }];
    let mut all = catalog::facts(reading, &groups, LEDGER.table, &mut More::default()).await?;
    catalog::missing(reading, &groups, &mut all).await?;
    match all.remove(tenant) {
        None => Ok(Look::NoSchema),
        Some(facts) if facts.has_ledger_to_read() => {
            let rows = reading.rows(&ledgers::select(LEDGER, 0, tenant)).await?;
            Ok(facts.with_ledger(rows.iter().map(ledgers::recorded).collect::<Result<_, _>>()?))
        }
        Some(facts) => Ok(facts.without_ledger(&expected.tables, LEDGER.table)),
    }
}

impl From<DatabaseError> for ProvisionError {
    fn from(error: DatabaseError) -> Self {
        ApplyError::from(error).into()
    }
}
