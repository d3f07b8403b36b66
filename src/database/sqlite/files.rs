//! Opens SQLite files, runs statements on them, and words what they say.

use std::{fs, io::Read, path::Path, time::Duration};

use futures_util::TryStreamExt;
use nix::unistd::{AccessFlags, access};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Either,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};

use crate::database::DatabaseError;

/// For another process's write.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// SQLite's primary result codes for a file or table that somebody else has locked.
const BUSY_CODES: [i64; 2] = [5, 6];

/// A write was cut off in the middle (SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK): who may only read cannot undo it.
const CUT_OFF: [&str; 2] = ["264", "776"];

/// Reads no more than the file's header.
const TOUCH: &str = "PRAGMA schema_version";

/// Opens a file that exists, only to read. What a killed process left half written is undone first, as any other program
/// that opens the file would do it. The error is in words.
pub(super) async fn read(path: &Path) -> Result<SqliteConnection, String> {
    refuse_stuck_log(path)?;
    let only = options(path).read_only(true);
    let open = |error| format!("cannot open `{}`: {}", path.display(), words(&error));
    let mut connection = only.connect().await.map_err(open)?;
    match rows(&mut connection, TOUCH).await {
        Err(error) if is_cut_off(&error) => {
            undo(path).await?;
            only.connect().await.map_err(open)
        }
        // Any other error is that of whoever reads next.
        _ => Ok(connection),
    }
}

async fn undo(path: &Path) -> Result<(), String> {
    let undone = async {
        let mut connection = options(path).connect().await?;
        rows(&mut connection, TOUCH).await?;
        connection.close().await
    };
    undone.await.map_err(|error| {
        format!(
            "`{}` was left in the middle of a write, which cannot be undone: {}; make the file and its folder writable",
            path.display(),
            words(&error)
        )
    })
}

fn is_cut_off(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| CUT_OFF.contains(&&*code))
}

/// Opens a file to write, and makes it and its folder if that is wanted.
pub(super) async fn write(
    path: &Path,
    create: bool,
    busy: Duration,
) -> Result<SqliteConnection, DatabaseError> {
    if create && let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| {
            DatabaseError::Never(format!("cannot make the folder `{}`: {error}", folder.display()))
        })?;
    }
    options(path).create_if_missing(create).busy_timeout(busy).connect().await.map_err(|error| {
        let why = format!("cannot open `{}`: {}", path.display(), words(&error));
        if is_busy(&error) { DatabaseError::NotYet(why) } else { DatabaseError::Never(why) }
    })
}

pub(super) async fn memory() -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await
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

pub(super) fn words(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(said) => format!("{} (code {})", said.message(), said.code().unwrap_or_default()),
        None => error.to_string(),
    }
}

pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|said| said.code()?.parse::<i64>().ok());
    // The low byte of an extended code is the primary one.
    code.is_some_and(|code| BUSY_CODES.contains(&(code & 0xff)))
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
}

/// Readers of a file with a write-ahead log must write its index beside it; SQLite itself only says that
/// it cannot open the file.
fn refuse_stuck_log(path: &Path) -> Result<(), String> {
    let mut header = [0_u8; 20];
    let opened =
        fs::File::open(path).map_err(|error| format!("cannot open `{}`: {error}", path.display()))?;
    // A shorter file has no header yet.
    if opened.take(20).read(&mut header).is_ok_and(|length| length == 20) && header.get(18..) == Some(&[2, 2])
    {
        let folder = path.parent().unwrap_or(Path::new("."));
        if access(folder, AccessFlags::W_OK).is_err() {
            return Err(format!(
                "`{}` has a write-ahead log, and its folder is not writable: make the folder writable, or the \
                 file `PRAGMA journal_mode = delete`",
                path.display()
            ));
        }
    }
    Ok(())
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
