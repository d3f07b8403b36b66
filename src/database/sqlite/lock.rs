//! The lock for a whole run: the system's own lock on a file in the folder, which ends with its process.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
};

use super::Sqlite;
use crate::database::DatabaseError;

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
    pub(in super::super) fn try_lock(&self, run: &str) -> Result<Result<Lock, String>, DatabaseError> {
        let path = self.folder.join("portcullis.lock");
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
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                return Ok(Err(holder));
            }
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        file.set_len(0).map_err(refuse)?;
        file.rewind().map_err(refuse)?;
        write!(file, "portcullis {run}, process {}", std::process::id()).map_err(refuse)?;
        Ok(Ok(Lock { file }))
    }
}
