//! The lock for a whole run: the system's own lock on a file in the folder, which ends with its process.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sqlx::{Connection, Row, SqliteConnection};

use super::Sqlite;
use crate::database::{DatabaseError, Share};

const LOCK_FILE: &str = "portcullis.lock";

/// Waits for the lock, then holds it as long as the file is open.
#[derive(Debug)]
pub(crate) struct Session {
    path: PathBuf,
    run: String,
    file: Option<File>,
}

impl Sqlite {
    pub(in super::super) fn lock_holder(&self) -> Result<Option<String>, DatabaseError> {
        let path = self.folder.join(LOCK_FILE);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot("look at", &path, &error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(cannot("look at", &path, &error)),
        }
    }

    pub(in super::super) fn lock_session(&self, run: &str) -> Result<Session, DatabaseError> {
        let path = self.folder.join(LOCK_FILE);
        fs::create_dir_all(&self.folder).map_err(|error| refuse(&path, &error))?;
        Ok(Session { path, run: run.to_owned(), file: None })
    }
}

impl Session {
    /// Tries once. The answer is the present holder, in words; None if it is held now.
    pub(in super::super) async fn try_take(&mut self, share: Share) -> Result<Option<String>, DatabaseError> {
        let refuse = |error: io::Error| refuse(&self.path, &error);
        let mut options = File::options();
        let mut file =
            options.create(true).truncate(false).read(true).write(true).open(&self.path).map_err(refuse)?;
        let locked = match share {
            Share::Alone => file.try_lock(),
            Share::WithOthers => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Some(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        if !is_at(&file, &self.path) {
            // Somebody removed it between the two: a lock on that file keeps nobody out.
            return Ok(Some("a process that has just removed the lock's file".into()));
        }
        file.set_len(0).map_err(refuse)?;
        file.rewind().map_err(refuse)?;
        let since = now().await.map(|now| format!(", since {now} UTC")).unwrap_or_default();
        write!(file, "portcullis {}, process {}{since}", self.run, std::process::id()).map_err(refuse)?;
        self.file = Some(file);
        Ok(None)
    }

    /// Whether the file that is locked is still the one that others find.
    pub(in super::super) fn check(&self) -> Result<(), String> {
        match &self.file {
            Some(file) if is_at(file, &self.path) => Ok(()),
            _ => Err(format!("`{}` was removed or replaced", self.path.display())),
        }
    }

    pub(in super::super) fn let_go(&mut self) {
        self.file = None;
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |ours: fs::Metadata, theirs: fs::Metadata| ours.dev() == theirs.dev() && ours.ino() == theirs.ino();
    file.metadata().is_ok_and(|ours| fs::metadata(path).is_ok_and(|theirs| same(ours, theirs)))
}

/// What the holder wrote about itself.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    if text.is_empty() { "another process".to_owned() } else { text }
}

/// SQLite writes dates.
async fn now() -> Result<String, sqlx::Error> {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
    let row = sqlx::query("SELECT datetime('now')").fetch_one(&mut connection).await?;
    let _ = connection.close().await;
    row.try_get(0)
}

fn refuse(path: &Path, error: &io::Error) -> DatabaseError {
    DatabaseError::Never(format!("cannot lock `{}`: {error}", path.display()))
}

fn cannot(doing: &str, path: &Path, error: &io::Error) -> DatabaseError {
    DatabaseError::Failed(format!("cannot {doing} the lock `{}`: {error}", path.display()))
}
