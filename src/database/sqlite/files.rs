//! Opens SQLite files, runs statements on them, and words what they say.

use std::{path::Path, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Either,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};

use super::disk;
use crate::{
    cause::{Cause, Code, Kind},
    database::DatabaseError,
};

/// For another process's write.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// A write was cut off in the middle (SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK): who may only read cannot undo it.
const CUT_OFF: [i32; 2] = [264, 776];

/// Reads no more than the file's header.
const TOUCH: &str = "PRAGMA schema_version";

/// Opens a file, only to read; None if there is none. What a killed process left half written is undone first, as any other
/// program that opens the file would do it.
pub(super) async fn read(path: &Path) -> Result<Option<SqliteConnection>, Cause> {
    if !disk::readable(path).await? {
        return Ok(None);
    }
    let only = options(path).read_only(true);
    let open = |error| {
        let why = cause(&error);
        let text = format!("cannot open `{}`: {why}", path.display());
        why.with_text(text)
    };
    let mut connection = only.connect().await.map_err(open)?;
    match rows(&mut connection, TOUCH).await {
        Err(error) if is_cut_off(&error) => {
            undo(path).await?;
            only.connect().await.map(Some).map_err(open)
        }
        // Any other error is that of whoever reads next.
        _ => Ok(Some(connection)),
    }
}

/// The same for a file that must be there.
pub(super) async fn read_existing(path: &Path) -> Result<SqliteConnection, DatabaseError> {
    let missing =
        || Cause::new(Kind::Missing, format!("cannot open `{}`: there is no such file", path.display()));
    read(path).await.and_then(|opened| opened.ok_or_else(missing)).map_err(DatabaseError::Failed)
}

async fn undo(path: &Path) -> Result<(), Cause> {
    let state = async {
        let mut connection = options(path).connect().await?;
        rows(&mut connection, TOUCH).await?;
        connection.close().await
    };
    state.await.map_err(|error| {
        let why = cause(&error);
        let text = format!(
            "`{}` was left in the middle of a write, which cannot be undone: {why}; make the file and its folder writable",
            path.display(),
        );
        why.with_text(text)
    })
}

fn is_cut_off(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| CUT_OFF.contains(&code))
}

/// Opens a file to write, and makes it and its folder if that is wanted.
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

/// A file that cannot be used now, or not at all.
pub(super) fn refused(error: &sqlx::Error) -> DatabaseError {
    let why = cause(error);
    if why.kind == Kind::Locked { DatabaseError::NotYet(why) } else { DatabaseError::Never(why) }
}

pub(super) fn failed(error: &sqlx::Error) -> DatabaseError {
    DatabaseError::Failed(cause(error))
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

/// Runs several statements. The error comes with how many of them were done.
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

/// What an error means.
pub(super) fn cause(error: &sqlx::Error) -> Cause {
    let (Some(said), Some(code)) = (error.as_database_error(), code(error)) else {
        return error.to_string().into();
    };
    let text = format!("{} (code {code})", said.message());
    Cause { kind: Kind::of_sqlite(code), code: Some(Code::Sqlite(code)), text }
}

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    cause(error).kind == Kind::Locked
}

/// A name, quoted.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "\u{fffd}").replace('"', "\"\""))
}

/// A text; SQLite knows no escapes in it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "\u{fffd}").replace('\'', "''"))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .statement_cache_capacity(0)
        .disable_statement_logging()
        // As SQLite does by itself: a table that is rebuilt would lose the rows that refer to it. A migration is checked at its end.
        .foreign_keys(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted_whatever_they_hold() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's \\"), "'it''s \\'");
    }
}
