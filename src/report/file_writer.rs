//! Writes files in a separate thread, so that a FIFO or a dead mount at a file's path delays nothing else.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::threads;

/// The time limit for writing the files before an event's line is printed; a late file is not waited for again.
const PROMPT: Duration = Duration::from_millis(100);
/// The time limit at the end of the program.
pub(super) const LAST: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(&Path) -> io::Result<()> + Send>;

/// The sending end. Its thread starts with the first job.
#[derive(Debug, Default)]
pub(super) struct FileWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    started: bool,
    /// The latest job of each file.
    jobs: BTreeMap<PathBuf, Job>,
    working: bool,
    /// A job was late, and the queue has not been empty since.
    is_late: bool,
    failed: Vec<(PathBuf, io::Error)>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({} jobs)", self.jobs.len())
    }
}

impl FileWriter {
    /// Writes the file, and replaces a queued job for it.
    pub(super) fn write(&self, path: &Path, job: impl FnOnce(&Path) -> io::Result<()> + Send + 'static) {
        let mut state = self.0.state();
        state.jobs.insert(path.to_owned(), Box::new(job));
        if !state.started {
            let shared = Arc::clone(&self.0);
            let thread = threads::spawn("files", Box::new(move || work(&shared)));
            state.started = thread.is_ok();
        }
        self.0.changed.notify_all();
    }

    /// Waits until the files are written, unless a file is late.
    pub(super) fn settle(&self) {
        let state = self.0.state();
        if !state.is_late {
            self.wait(state, PROMPT);
        }
    }

    /// Waits for the last jobs.
    pub(super) fn flush(&self, limit: Duration) {
        let state = self.0.state();
        let patience = if state.is_late { PROMPT } else { LAST };
        self.wait(state, patience.min(limit));
    }

    /// Takes the failures since the last call.
    pub(super) fn failed(&self) -> Vec<(PathBuf, io::Error)> {
        std::mem::take(&mut self.0.state().failed)
    }

    fn wait(&self, state: MutexGuard<'_, State>, limit: Duration) {
        let busy = |state: &mut State| state.started && (state.working || !state.jobs.is_empty());
        let waited = self.0.changed.wait_timeout_while(state, limit, busy);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            state.is_late = true;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(shared: &Shared) {
    let mut state = shared.state();
    loop {
        let Some((path, job)) = state.jobs.pop_first() else {
            state.is_late = false;
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        state.working = true;
        drop(state);
        let result = job(&path);
        state = shared.state();
        state.working = false;
        state.failed.extend(result.err().map(|error| (path, error)));
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_file_that_hangs_delays_nothing_and_the_latest_content_is_written() {
        let writer = FileWriter::default();
        let (go, gone) = mpsc::channel::<()>();
        writer.write(Path::new("a"), move |_| gone.recv().map_err(io::Error::other));
        writer.settle();
        let (written, order) = mpsc::channel();
        for number in 0..3 {
            let written = written.clone();
            writer.write(Path::new("b"), move |_| written.send(number).map_err(io::Error::other));
        }
        writer.settle();
        go.send(()).unwrap();
        assert_eq!(order.recv(), Ok(2));
        writer.flush(LAST);
        assert!(order.try_recv().is_err());
        assert!(writer.failed().is_empty());
    }
}
