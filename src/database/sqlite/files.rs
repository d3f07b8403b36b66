//! Opens SQLite files, runs statements on them and describes their errors.

use std::{path::Path, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Either,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};

use super::disk;
use crate::{
    cause::{Cause, Code, Kind},
    database::{ApplyError, DatabaseError, ProvisionError},
    tenants::manifest::Kind as TableKind,
};

/// The wait for another process's write.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A write was interrupted (SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK); a read-only connection cannot roll it back.
const INTERRUPTED: [i32; 2] = [264, 776];

/// Reads only the file's header.
const READ_HEADER: &str = "PRAGMA schema_version";

/// Opens a file read-only; None if it does not exist. An interrupted write of a killed process is rolled back first, as
/// by any program that opens the file.
pub(super) async fn read(path: &Path) -> Result<Option<SqliteConnection>, Cause> {
    if !disk::readable(path).await? {
        return Ok(None);
    }
    let read_only = options(path).read_only(true);
    let open = |error| {
        let why = cause(&error);
        let text = format!("cannot open `{}`: {why}", path.display());
        why.with_text(text)
    };
    let mut connection = read_only.connect().await.map_err(open)?;
    match rows(&mut connection, READ_HEADER).await {
        Err(error) if is_interrupted(&error) => {
            roll_back(path).await?;
            read_only.connect().await.map(Some).map_err(open)
        }
        // The next read reports any other error.
        _ => Ok(Some(connection)),
    }
}

/// The same for a file that must exist.
pub(super) async fn read_existing(path: &Path) -> Result<SqliteConnection, DatabaseError> {
    let missing =
        || Cause::new(Kind::Missing, format!("cannot open `{}`: the file does not exist", path.display()));
    read(path).await.and_then(|opened| opened.ok_or_else(missing)).map_err(DatabaseError::Failed)
}

async fn roll_back(path: &Path) -> Result<(), Cause> {
    let state = async {
        let mut connection = options(path).connect().await?;
        rows(&mut connection, READ_HEADER).await?;
        connection.close().await
    };
    state.await.map_err(|error| {
        let why = cause(&error);
        let text = format!(
            "`{}` contains an interrupted write that cannot be rolled back: {why}; make the file and its folder writable",
            path.display(),
        );
        why.with_text(text)
    })
}

fn is_interrupted(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| INTERRUPTED.contains(&code))
}

/// Opens a file for writing; `create` creates it and its folder.
pub(super) async fn write(
    path: &Path,
    create: bool,
    busy: Duration,
) -> Result<SqliteConnection, DatabaseError> {
    if create && let Some(folder) = path.parent() {
        disk::make_folder(folder).await.map_err(DatabaseError::Never)?;
    }
    disk::exists(path).await.map_err(DatabaseError::Never)?;
    let opened = options(path).create_if_missing(create).busy_timeout(busy).connect().await;
    opened
        .map_err(|error| refused(&error).with_text(|why| format!("cannot open `{}`: {why}", path.display())))
}

/// The error of a file that cannot be used now, or never.
pub(super) fn refused(error: &sqlx::Error) -> DatabaseError {
    let why = cause(error);
    if why.kind == Kind::Locked { DatabaseError::NotYet(why) } else { DatabaseError::Never(why) }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(cause(&error))
    }
}

/// An error that belongs to no file.
impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        Self::of(cause(&error))
    }
}

impl From<sqlx::Error> for ProvisionError {
    fn from(error: sqlx::Error) -> Self {
        ApplyError::from(error).into()
    }
}

pub(super) async fn memory() -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .in_memory(true)
        .disable_statement_logging()
        .foreign_keys(false)
        .connect()
        .await
}

pub(super) async fn rows(
    connection: &mut SqliteConnection,
    sql: &str,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await
}

/// Runs several statements. The error includes the number of completed ones.
pub(super) async fn statements(
    connection: &mut SqliteConnection,
    sql: &str,
) -> Result<(), (usize, sqlx::Error)> {
    let mut done = 0;
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
    loop {
        match stream.try_next().await {
            Ok(Some(Either::Left(_))) => done += 1,
            Ok(Some(Either::Right(_))) => {}
            Ok(None) => return Ok(()),
            Err(error) => return Err((done, error)),
        }
    }
}

/// The cause of an error.
pub(super) fn cause(error: &sqlx::Error) -> Cause {
    let (Some(database_error), Some(code)) = (error.as_database_error(), code(error)) else {
        return error.to_string().into();
    };
    let text = format!("{} (code {code})", database_error.message());
    Cause { kind: Kind::of_sqlite(code), code: Some(Code::Sqlite(code)), text }
}

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    cause(error).kind == Kind::Locked
}

/// A quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "\u{fffd}").replace('"', "\"\""))
}

/// A string literal; SQLite has no escapes in it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "\u{fffd}").replace('\'', "''"))
}

/// The kind of a `sqlite_master.type`.
pub(super) fn kind(kind: &str) -> TableKind {
    if kind == "view" { TableKind::View } else { TableKind::Table }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(0)
        .disable_statement_logging()
        // SQLite's default: rebuilding a table would delete the rows that refer to it. Each migration is checked at its end.
        .foreign_keys(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_and_any_text_is_quoted() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's \\"), "'it''s \\'");
    }
}
