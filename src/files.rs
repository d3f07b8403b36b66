//! File work that may hang (a FIFO, a dead network mount), kept off the one thread that must react to signals.
//!
//! A hanging call cannot be ended: the thread stays behind, and the program ends without it. Callers limit how long they
//! wait with a `Deadline`. Calls of `std::fs` after the start go through here, apart from `/proc` and descriptors that
//! are open already.

use std::{
    io::{self, Read, Seek, Write},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::task::JoinHandle;

use crate::{deadline::Deadline, words};

/// How many calls may hang at once; one more fails instead of taking another thread.
const MOST: usize = 64;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Runs blocking work in a thread of its own. Dropping the future leaves the work to itself.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if RUNNING.fetch_add(1, Ordering::Relaxed) >= MOST {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::other(format!("{MOST} earlier file operations still hang")));
    }
    let counted = move || {
        let result = work();
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        result
    };
    // The runtime ends, or the work panicked.
    tokio::task::spawn_blocking(counted).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// A blocking question that is asked again and again: while it hangs, asking waits for its answer, and no further
/// thread is taken.
pub(crate) struct Outstanding<T>(Option<JoinHandle<io::Result<T>>>);

impl<T> Default for Outstanding<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Outstanding<T> {
    /// Dropping the future loses nothing: the next call gets the answer.
    pub(crate) async fn ask(
        &mut self,
        question: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let running = self.0.get_or_insert_with(|| tokio::spawn(blocking(question)));
        let answer = running.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        self.0 = None;
        answer
    }
}

/// The whole file as text.
pub(crate) async fn read_to_string(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    blocking(move || std::fs::read_to_string(path)).await
}

/// The whole file.
pub(crate) async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    blocking(move || std::fs::read(path)).await
}

/// At most so many bytes of text, in the calling thread: only where no runtime has started yet.
pub(crate) fn read_text_now(path: &Path, most: u64) -> io::Result<String> {
    text_of(std::fs::File::open(path)?, most)
}

/// The same of a regular file alone, so that a FIFO is neither waited for nor emptied.
pub(crate) fn read_regular_now(path: &Path, most: u64) -> io::Result<String> {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { text_of(file, most) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn text_of(file: std::fs::File, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = file.take(most + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > most) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(text)
}

/// The same, with a limit: what takes longer lies on a dead mount, or is a FIFO.
pub(crate) async fn read_within(path: &Path, limit: Duration) -> io::Result<String> {
    within(limit, read_to_string(path)).await
}

/// File work with a limit; a time-out is an error like any other.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timed_out = |_| {
        let why = format!("no answer from the file system in {}", words::duration(limit));
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    };
    Deadline::after(limit).limit(work).await.unwrap_or_else(timed_out)
}

/// Writes beside the file and renames, so that no reader ever sees half of it.
pub(crate) async fn replace(path: &Path, text: String) -> io::Result<()> {
    let path = path.to_owned();
    blocking(move || replace_now(&path, text.as_bytes())).await
}

/// The same, in the calling thread.
pub(crate) fn replace_now(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path)).inspect_err(|_| {
        // A file that could not be put in its place is of no use.
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Writes into the file itself, in the calling thread; it is made if it is absent.
pub(crate) fn overwrite_now(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    // Opened without waiting: a FIFO that nobody reads is an error.
    options.write(true).truncate(true).create(true).custom_flags(libc::O_NONBLOCK);
    options.open(path)?.write_all(bytes)
}

/// A file that needs no place, to be read from its beginning by whoever inherits it.
pub(crate) fn in_memory(name: &str, text: &str) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create(name, MFdFlags::empty())?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{sync::mpsc, time::Duration};

    use super::*;
    use crate::deadline::{Deadline, Passed};

    #[tokio::test]
    async fn a_question_that_hangs_is_asked_once() {
        let (answer, hangs) = mpsc::channel();
        let mut question = Outstanding::default();
        let soon = || Deadline::after(Duration::from_millis(20));
        assert_eq!(soon().limit(question.ask(move || Ok(hangs.recv().unwrap()))).await.err(), Some(Passed));
        let never = || unreachable!("the first question still hangs");
        assert_eq!(soon().limit(question.ask(never)).await.err(), Some(Passed));
        answer.send(7).unwrap();
        assert_eq!(question.ask(never).await.unwrap(), 7);
        assert_eq!(question.ask(|| Ok(8)).await.unwrap(), 8);
    }
}
