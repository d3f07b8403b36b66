//! What the migrations make where nothing was before: in two schemas of one transaction that is rolled back.

use std::time::Duration;

use super::{
    LEDGER, Postgres, catalog, connect,
    connection::Connection,
    quote::identifier,
    run::{self, Mode},
};
use crate::{
    database::{ApplyError, DatabaseError, Derived, Limits, Made, MigrationFile},
    deadline::Deadline,
};

/// For a lock on what both a migration and somebody else touch.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// For all migrations together.
const TIMEOUT: Duration = Duration::from_mins(30);

impl Postgres {
    pub(crate) async fn derive(
        &self,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
    ) -> Result<Derived, DatabaseError> {
        let mut connection = run::writer(self.direct()).await?;
        connection.rows("BEGIN").await.map_err(|error| connect::failed(&error))?;
        // Names that nobody else can have: what is removed again is certainly our own.
        let nonce = fastrand::u64(..);
        let names = ["shared", "tenant"].map(|which| format!("portcullis_{which}_{nonce:016x}"));
        let deadline = Deadline::after(TIMEOUT);
        let limits =
            Limits { lock_timeout: LOCK_TIMEOUT, statement_timeout: None, gives_way: false, deadline };
        let derived = async {
            Ok(Derived {
                shared: schema(&mut connection, &names[0], shared, &limits).await?,
                tenant: schema(&mut connection, &names[1], tenant, &limits).await?,
            })
        }
        .await;
        let undone = connection.rows("ROLLBACK").await;
        if derived.is_err() {
            // A file that committed has left them there. Its own error is the one to tell.
            for name in &names {
                let drop = format!("RESET ALL; DROP SCHEMA IF EXISTS {} CASCADE", identifier(name));
                let _ = connection.rows(&drop).await;
            }
        } else {
            undone.map_err(|error| connect::failed(&error))?;
        }
        connection.close().await;
        derived
    }
}

async fn schema(
    connection: &mut Connection,
    name: &str,
    files: &[MigrationFile],
    limits: &Limits,
) -> Result<Made, DatabaseError> {
    let create = format!("CREATE SCHEMA {}; {}", identifier(name), run::create_ledger(name));
    connection.rows(&create).await.map_err(|error| connect::failed(&error))?;
    for file in files {
        run::file(connection, name, file, limits, Mode::Unseen).await.map_err(ApplyError::into_failed)?;
    }
    let mut made = Made::default();
    let read = |error: sqlx::Error| connect::failed(&error);
    for row in connection.rows(&catalog::tables(name, LEDGER.table)).await.map_err(read)? {
        let Some(table) = connect::text(&row, 0).map_err(read)? else { continue };
        let kind = connect::text(&row, 2).map_err(read)?.and_then(|kind| catalog::kind(&kind));
        made.note(table, kind.unwrap_or_default(), connect::text(&row, 1).map_err(read)?);
    }
    Ok(made)
}
