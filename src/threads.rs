//! Starts threads and runtimes. It fails, and does not panic, where the container has too few descriptors or threads.
#![expect(clippy::disallowed_methods, reason = "the one place that starts threads")]

use std::{
    io,
    os::unix::net::UnixStream,
    sync::OnceLock,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use tokio::{runtime, task};

/// Runs the work in its own thread. The box keeps the binary small: one function starts every thread.
pub(crate) fn spawn(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(work)
}

/// A runtime for the current thread.
pub(crate) fn runtime() -> io::Result<runtime::Runtime> {
    // Without a descriptor for its last pair of sockets, tokio panics.
    let pairs = [UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?];
    drop(pairs);
    runtime::Builder::new_current_thread().enable_all().thread_keep_alive(Duration::MAX).build()
}

/// Runs blocking work in the runtime's pool, which is filled.
pub(crate) fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> task::JoinHandle<T> {
    task::spawn_blocking(work)
}

/// The pool panics if it has no thread and can start none. After this check it can, and its thread stays.
pub(crate) fn fill_pool() -> io::Result<()> {
    static FILLED: OnceLock<()> = OnceLock::new();
    if FILLED.get().is_none() {
        let _ = spawn("check", Box::new(|| {}))?.join();
        let _ = FILLED.set(());
    }
    Ok(())
}
