//! Starts threads and runtimes. It fails, and does not panic, where the container has too few descriptors or threads.
#![expect(clippy::disallowed_methods, reason = "the one place that starts threads")]

use std::{
    io,
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicI32, Ordering},
    },
    thread::{self, Builder, JoinHandle},
    time::Duration,
};

use nix::unistd::gettid;
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

/// Runs blocking work in the runtime's pool, after [`check_thread_limit`].
pub(crate) fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> task::JoinHandle<T> {
    task::spawn_blocking(work)
}

/// The pool panics if it has no thread and can start none. After this check it can, and its thread stays.
pub(crate) fn check_thread_limit() -> io::Result<()> {
    static CHECKED: OnceLock<()> = OnceLock::new();
    static THREAD: AtomicI32 = AtomicI32::new(0);
    if CHECKED.get().is_none() {
        let _ = spawn("check", Box::new(|| THREAD.store(gettid().as_raw(), Ordering::Relaxed)))?.join();
        // The kernel counts the thread until it has no folder.
        let folder = format!("/proc/self/task/{}", THREAD.load(Ordering::Relaxed));
        for _ in 0..1_000 {
            if !Path::new(&folder).exists() {
                break;
            }
            thread::yield_now();
        }
        let _ = CHECKED.set(());
    }
    Ok(())
}
