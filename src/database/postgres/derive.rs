//! What the migrations make where nothing was before: in two schemas of one transaction that is rolled back.

use sqlx::{Connection, postgres::PgConnection};

use super::{
    LEDGER, Postgres, catalog, connect,
    quote::identifier,
    run::{self, Mode},
};
use crate::database::{ApplyError, DatabaseError, Derived, Limits, Made, MigrationFile};

/// For a lock on what both a migration and somebody else touch.
const LIMITS: Limits =
    Limits { lock_timeout: std::time::Duration::from_secs(5), statement_timeout: None, gives_way: false };

impl Postgres {
    pub(in super::super) async fn derive(
        &self,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
    ) -> Result<Derived, DatabaseError> {
        let mut connection = run::writer(self.direct()).await?;
        connect::rows(&mut connection, "BEGIN").await.map_err(|error| connect::failed(&error))?;
        // Names that nobody else can have: what is removed again is certainly our own.
        let nonce = fastrand::u64(..);
        let names = ["shared", "tenant"].map(|which| format!("portcullis_{which}_{nonce:016x}"));
        let derived = both(&mut connection, &names, shared, tenant).await;
        let undone = connect::rows(&mut connection, "ROLLBACK").await;
        if derived.is_err() {
            // A file that committed has left them there. Its own error is the one to tell.
            for name in &names {
                let drop = format!("RESET ALL; DROP SCHEMA IF EXISTS {} CASCADE", identifier(name));
                let _ = connect::rows(&mut connection, &drop).await;
            }
        } else {
            undone.map_err(|error| connect::failed(&error))?;
        }
        let _ = connection.close().await;
        derived
    }
}

async fn both(
    connection: &mut PgConnection,
    [in_shared, in_tenant]: &[String; 2],
    shared: &[MigrationFile],
    tenant: &[MigrationFile],
) -> Result<Derived, DatabaseError> {
    Ok(Derived {
        shared: schema(connection, in_shared, shared).await?,
        tenant: schema(connection, in_tenant, tenant).await?,
    })
}

async fn schema(
    connection: &mut PgConnection,
    name: &str,
    files: &[MigrationFile],
) -> Result<Made, DatabaseError> {
    let create = format!("CREATE SCHEMA {}; {}", identifier(name), run::create_ledger(name));
    connect::rows(connection, &create).await.map_err(|error| connect::failed(&error))?;
    for file in files {
        run::file(connection, name, file, &LIMITS, Mode::Unseen).await.map_err(ApplyError::into_failed)?;
    }
    let mut made = Made::default();
    let read = |error: sqlx::Error| connect::failed(&error);
    for row in connect::rows(connection, &catalog::tables(name, LEDGER.table)).await.map_err(read)? {
        let Some(table) = connect::text(&row, 0).map_err(read)? else { continue };
        let kind = connect::text(&row, 2).map_err(read)?.and_then(|kind| catalog::kind(&kind));
        made.note(table, kind.unwrap_or_default(), connect::text(&row, 1).map_err(read)?);
    }
    Ok(made)
}
