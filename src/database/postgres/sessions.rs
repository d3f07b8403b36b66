//! Sessions that change one schema after the other: a login costs more than a small migration does. What a file leaves
//! in its session ends with the file's schema all the same.

use std::cell::RefCell;

use sqlx::{Connection, postgres::PgConnection};

use super::{
    DatabaseError, Postgres, connect,
    run::{self, Lifetime},
};

/// A server process never gives back what it caches of each schema's tables.
pub(super) const SCHEMAS_A_SESSION: u32 = 50;

/// Those that nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Sessions(RefCell<Vec<Session>>);

/// One that changes a schema. Closed or dropped, it rolls back what was not committed.
#[derive(Debug)]
pub(super) struct Session {
    connection: PgConnection,
    schemas: u32,
}

impl Session {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(super) async fn close(self) {
        let _ = self.connection.close().await;
    }
}

impl Sessions {
    /// One that stands as a new one does.
    pub(super) async fn take(&self, postgres: &Postgres) -> Result<Session, DatabaseError> {
        let kept = self.0.borrow_mut().pop();
        if let Some(mut session) = kept {
            let settings = run::session(&session.connection, Lifetime::Session);
            // The server may have ended it meanwhile.
            if connect::rows(&mut session.connection, &settings).await.is_ok() {
                return Ok(session);
            }
        }
        Ok(Session { connection: postgres.writer().await?, schemas: 0 })
    }

    /// Takes back one that ended well, for the next schema; `used` if a file may have left something in it. Behind a
    /// pooler, a session is anybody's.
    pub(super) async fn keep(&self, mut session: Session, used: bool, postgres: &Postgres) {
        session.schemas += 1;
        let fit = session.schemas < SCHEMAS_A_SESSION && !postgres.is_pooled();
        // Settings, role, temporary tables, prepared statements, cursors, LISTEN, and the schema's own lock.
        if fit && (!used || connect::rows(&mut session.connection, "DISCARD ALL").await.is_ok()) {
            self.0.borrow_mut().push(session);
        } else {
            session.close().await;
        }
    }
}
