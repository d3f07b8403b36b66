//! What applies migrations to one schema after the other, whichever the engine.

use super::{Applied, ApplyError, Limits, MigrationFile, Schema, postgres, sqlite};

/// It keeps sessions from one schema to the next, until it is dropped.
#[derive(Debug)]
pub(crate) enum Applier {
    Postgres(postgres::apply::Applier),
    Sqlite(sqlite::Sqlite),
}

impl Applier {
    /// Applies those of `files` that the schema's ledger lacks, in order; it may be given all of them.
    pub(crate) async fn apply(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<Applied, ApplyError> {
        match self {
            Self::Postgres(it) => it.apply(schema, files, limits).await,
            Self::Sqlite(it) => it.apply(schema, files, limits).await,
        }
    }
}
