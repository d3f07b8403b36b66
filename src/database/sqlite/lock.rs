//! A run's lock: the operating system's lock on a file in the folder. It ends with its process.

#![expect(clippy::disallowed_methods, reason = "every call is inside `files::within`")]

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    future::{Ready, ready},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use nix::fcntl::OFlag;

use super::Sqlite;
use crate::{
    cause::Cause,
    database::{DatabaseError, LockHolder, LockMode, LockState},
    files,
    words::rfc3339,
};

const LOCK_FILE: &str = "portcullis.lock";
/// The beginning of a run's description of itself.
const RUN: &str = "portcullis ";

/// Acquires the lock and holds it while the file is open.
#[derive(Debug)]
pub(crate) struct Session {
    path: PathBuf,
    run: String,
    file: Option<File>,
}

impl Sqlite {
    pub(crate) async fn lock_holder(&self) -> Result<Option<LockHolder>, DatabaseError> {
        let path = self.folder.join(LOCK_FILE);
        let name = path.clone();
        let state = move || {
            let mut file = match open(OpenOptions::new().read(true), &path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            match file.try_lock_shared() {
                Ok(()) => Ok(None),
                Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        with_timeout(files::TIMEOUT, state).await?.map_err(|error| {
            DatabaseError::Failed(Cause::io(
                &format!("cannot read the lock file `{}`", name.display()),
                &error,
            ))
        })
    }

    pub(crate) fn lock_session(&self, run: &str) -> Session {
        Session { path: self.folder.join(LOCK_FILE), run: run.to_owned(), file: None }
    }
}

impl Session {
    /// Tries once. Returns the current holder; None if this session now holds the lock.
    pub(crate) async fn try_acquire(
        &mut self,
        mode: LockMode,
        limit: Duration,
    ) -> Result<Option<LockHolder>, DatabaseError> {
        let (path, run) = (self.path.clone(), self.run.clone());
        let acquired = with_timeout(limit, move || acquire(&path, &run, mode)).await?;
        let acquired = acquired.map_err(|error| {
            DatabaseError::Never(Cause::io(&format!("cannot lock `{}`", self.path.display()), &error))
        })?;
        match acquired {
            Acquired::Held(file) => {
                self.file = Some(file);
                Ok(None)
            }
            Acquired::By(holder) => Ok(Some(holder)),
        }
    }

    /// Whether the locked file is still the file at the path.
    pub(crate) async fn check(&mut self, limit: Duration) -> Result<LockState, DatabaseError> {
        let path = self.path.clone();
        let lost = LockState::Lost(format!("`{}` was removed or replaced", path.display()));
        let Some(file) = self.file.as_ref().and_then(|file| file.try_clone().ok()) else { return Ok(lost) };
        let same = with_timeout(limit, move || Ok(is_at(&file, &path))).await?;
        Ok(if same.unwrap_or(false) { LockState::Held } else { lost })
    }

    pub(crate) fn release_lock(&mut self, _: Duration, _: bool) -> Ready<Result<(), DatabaseError>> {
        self.file = None;
        ready(Ok(()))
    }
}

enum Acquired {
    Held(File),
    By(LockHolder),
}

fn acquire(path: &Path, run: &str, mode: LockMode) -> io::Result<Acquired> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = open(OpenOptions::new().create(true).truncate(false).read(true).write(true), path)?;
    let locked = match mode {
        LockMode::Exclusive => file.try_lock(),
        LockMode::Shared => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Acquired::By(holder(&mut file))),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if !is_at(&file, path) {
        // Another process removed the file after it was opened: a lock on it excludes no other run.
        return Ok(Acquired::By("a process that has just removed the lock file".into()));
    }
    file.set_len(0)?;
    file.rewind()?;
    let now = rfc3339(SystemTime::now());
    let (day, time) = (now.get(..10).unwrap_or_default(), now.get(11..19).unwrap_or_default());
    write!(file, "{RUN}{run}, process {}, since {day} {time} UTC", std::process::id())?;
    Ok(Acquired::Held(file))
}

/// Opens without waiting for the other end of a FIFO and without following links.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// The result of the work, or `TimedOut` if the file system does not respond.
async fn with_timeout<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<io::Result<T>, DatabaseError> {
    match files::within(limit, work).await {
        Err(error) if error.kind() == ErrorKind::TimedOut => Err(DatabaseError::TimedOut),
        done => Ok(done),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: fs::Metadata, other: fs::Metadata| one.dev() == other.dev() && one.ino() == other.ino();
    file.metadata().is_ok_and(|one| fs::metadata(path).is_ok_and(|other| same(one, other)))
}

/// The holder, which has described itself in the file.
fn holder(file: &mut File) -> LockHolder {
    let mut words = String::new();
    let _ = file.read_to_string(&mut words);
    if words.is_empty() {
        return "another process".into();
    }
    let run = words.strip_prefix(RUN).and_then(|rest| rest.split_once(','));
    let run = run.map(|(run, _)| run.to_owned());
    LockHolder { words, run }
}
