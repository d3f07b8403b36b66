//! The lock for a whole run: the system's own lock on a file in the folder, which ends with its process.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
};

use super::Sqlite;
use crate::database::DatabaseError;

const LOCK_FILE: &str = "portcullis.lock";

/// Held as long as the file is open.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    pub(in super::super) fn release(self) {
        drop(self.file);
    }
}

impl Sqlite {
    pub(in super::super) fn lock_holder(&self) -> Result<Option<String>, DatabaseError> {
        let path = self.folder.join(LOCK_FILE);
        let Ok(mut file) = File::open(&path) else {
            return Ok(None);
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            Err(TryLockError::Error(error)) => {
                Err(DatabaseError::Failed(format!("cannot look at the lock `{}`: {error}", path.display())))
            }
        }
    }

    pub(in super::super) fn try_lock(&self, run: &str) -> Result<Result<Lock, String>, DatabaseError> {
        let path = self.folder.join(LOCK_FILE);
        let refuse = |error: std::io::Error| {
            DatabaseError::Never(format!("cannot lock `{}`: {error}", path.display()))
        };
        fs::create_dir_all(&self.folder).map_err(refuse)?;
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(refuse)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Ok(Err(holder(&mut file)));
            }
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        file.set_len(0).map_err(refuse)?;
        file.rewind().map_err(refuse)?;
        write!(file, "portcullis {run}, process {}", std::process::id()).map_err(refuse)?;
        Ok(Ok(Lock { file }))
    }
}

/// What the holder wrote about itself.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    if text.is_empty() { "another process".to_owned() } else { text }
}
