//! Runs all file operations that may hang (a FIFO, a device, a dead network mount) outside the thread that handles
//! signals. A hanging call cannot be ended: its thread remains, and the program exits without it. Functions that end
//! in `_now` block: they are for work inside `within`, and for the time before a runtime starts. `clippy.toml` bans
//! the standard library's calls everywhere else, except for `/proc` and open descriptors.
#![expect(clippy::disallowed_methods, reason = "the one place that touches files")]

use std::{
    fs::{File, Metadata, OpenOptions, ReadDir},
    io::{self, Read, Seek, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{OpenOptionsExt, fchown},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use nix::{
    sys::memfd::{MFdFlags, memfd_create},
    unistd::{AccessFlags, access},
};
use tokio::task::JoinHandle;

use crate::{deadline::Deadline, threads, words};

/// The number of calls that may hang at the same time; a further call fails instead of using another thread.
const MAX_HANGING: usize = 64;

/// The time limit of a file operation; a longer one is on a dead mount or a FIFO.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Runs file work in its own thread. A time-out is returned as an error; the work continues unobserved.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> impl Future<Output = io::Result<T>> {
    let work = blocking(work);
    async move {
        let why = || format!("no answer from the file system in {}", words::duration(limit));
        let timed_out = |_| Err(io::Error::new(io::ErrorKind::TimedOut, why()));
        Deadline::after(limit).limit(work).await.unwrap_or_else(timed_out)
    }
}

/// Starts immediately, so that the future does not own the work.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> impl Future<Output = io::Result<T>> {
    let started = admit().map(|()| {
        threads::spawn_blocking(move || {
            let result = work();
            RUNNING.fetch_sub(1, Ordering::Relaxed);
            result
        })
    });
    async move {
        // The runtime is shutting down, or the work panicked.
        started?.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Counts one more operation.
fn admit() -> io::Result<()> {
    threads::check_thread_limit()?;
    let one_more = |running| (running < MAX_HANGING).then_some(running + 1);
    let counted = RUNNING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
    let hang = |_| {
        io::Error::other(format!("{MAX_HANGING} earlier file operations and name resolutions still hang"))
    };
    counted.map(drop).map_err(hang)
}

/// A blocking query that is repeated: while it hangs, further calls wait for its answer and use no further thread.
pub(crate) struct Outstanding<T>(Option<JoinHandle<io::Result<T>>>);

impl<T> Default for Outstanding<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Outstanding<T> {
    /// Cancel safe: after the future is dropped, the next call gets the answer.
    pub(crate) async fn poll(
        &mut self,
        query: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let running = self.0.get_or_insert_with(|| tokio::spawn(blocking(query)));
        let answer = running.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        self.0 = None;
        answer
    }
}

/// Reads a regular file as text.
pub(crate) fn read(path: &Path, limit: Duration) -> impl Future<Output = io::Result<String>> + use<> {
    let path = path.to_owned();
    within(limit, move || text(read_now(&path, u64::MAX)?))
}

/// Reads a regular file, or fails if it is larger than `most` bytes. Anything else is an error; nothing is read from
/// a FIFO or a device.
pub(crate) fn read_now(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    bytes(open_regular(path)?, most)
}

/// The first bytes of a regular file.
pub(crate) fn beginning_now(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads text that may also come from a pipe (`<(...)` of a shell); waits for the pipe.
pub(crate) fn read_text_now(path: &Path, most: u64) -> io::Result<String> {
    text(bytes(File::open(path)?, most)?)
}

fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

fn bytes(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read > most) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

/// Fails if the bytes are not UTF-8.
pub(crate) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

/// The metadata of the file, after following links.
pub(crate) fn metadata_now(path: &Path) -> io::Result<Metadata> {
    std::fs::metadata(path)
}

pub(crate) fn list_now(folder: &Path) -> io::Result<ReadDir> {
    std::fs::read_dir(folder)
}

/// Whether the kernel would allow the access.
pub(crate) fn access_now(path: &Path, flags: AccessFlags) -> io::Result<()> {
    access(path, flags).map_err(io::Error::from)
}

pub(crate) fn remove_now(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// Writes a new file next to the target and renames it, so that no reader ever sees a partial file.
pub(crate) fn replace(
    path: &Path,
    text: String,
    limit: Duration,
) -> impl Future<Output = io::Result<()>> + use<> {
    let path = path.to_owned();
    within(limit, move || replace_now(&path, text.as_bytes()))
}

/// Like `replace`, in the calling thread.
pub(crate) fn replace_now(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    // Two containers share a folder, and their processes have the same id.
    temporary.push(format!(".{:016x}.new", fastrand::u64(..)));
    let temporary = PathBuf::from(temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    file.write_all(bytes).and_then(|()| std::fs::rename(&temporary, path)).inspect_err(|_| {
        // The temporary file is useless if the rename failed.
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Like `replace_now`, for a file that only its owner may read; None is this process's user. It follows no link.
pub(crate) fn replace_private_now(path: &Path, bytes: &[u8], owner: Option<u32>) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        if owner.is_some() {
            fchown(&file, owner, None)?;
        }
        file.write_all(bytes)?;
        std::fs::rename(&temporary, path)
    })();
    written.inspect_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            let _ = std::fs::remove_file(&temporary);
        }
    })
}

/// Overwrites or creates the file itself, in the calling thread.
pub(crate) fn overwrite_now(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Non-blocking: a FIFO without a reader is an error.
    options.write(true).truncate(true).create(true).custom_flags(libc::O_NONBLOCK);
    options.open(path)?.write_all(bytes)
}

/// An anonymous file, for a child that inherits it and reads it from the beginning.
pub(crate) fn in_memory(name: &str, text: &str) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MFdFlags::empty())?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{sync::mpsc, time::Duration};

    use super::*;
    use crate::deadline::{Deadline, Elapsed};

    #[test]
    fn a_file_that_is_replaced_by_several_writers_is_always_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        replace_now(&path, b"0").unwrap();
        std::thread::scope(|scope| {
            for digit in b'1'..=b'4' {
                let text = vec![digit; 10_000];
                let path = &path;
                scope.spawn(move || (0..100).for_each(|_| replace_now(path, &text).unwrap()));
            }
            for _ in 0..1_000 {
                let text = std::fs::read(&path).unwrap();
                assert!([1, 10_000].contains(&text.len()) && text.iter().all(|byte| *byte == text[0]));
            }
        });
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_query_that_hangs_is_started_once() {
        let (answer, hangs) = mpsc::channel();
        let mut query = Outstanding::default();
        let soon = || Deadline::after(Duration::from_millis(20));
        assert_eq!(soon().limit(query.poll(move || Ok(hangs.recv().unwrap()))).await.err(), Some(Elapsed));
        let never = || unreachable!("the first query still hangs");
        assert_eq!(soon().limit(query.poll(never)).await.err(), Some(Elapsed));
        answer.send(7).unwrap();
        assert_eq!(query.poll(never).await.unwrap(), 7);
        assert_eq!(query.poll(|| Ok(8)).await.unwrap(), 8);
    }
}
