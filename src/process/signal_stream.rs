//! Reads signals while the runtime runs: a child's end is passed to the reaper, a request to end to the engine.

use std::{
    fs::File,
    io::{self, Read},
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
    task::yield_now,
};

use super::{
    fatal_signals::FatalSignals,
    signals::{self, SignalSet},
};

/// The number of signals read before other tasks run, because real-time signals queue up.
const BATCH: usize = 32;

/// The signals that request the end, in the order of arrival.
pub(crate) struct Signals(mpsc::UnboundedReceiver<i32>);

impl Signals {
    pub(crate) async fn next(&mut self) -> i32 {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// A signal that has already arrived.
    pub(crate) fn arrived(&mut self) -> Option<i32> {
        self.0.try_recv().ok()
    }
}

/// Starts reading signals; none that arrived since they were blocked is lost. `on_child` is called when at least one
/// child has ended or stopped, `on_ending` with each signal that requests the end.
pub(super) fn listen(
    ending: FatalSignals,
    on_child: impl Fn() + 'static,
    on_ending: impl Fn() + 'static,
) -> io::Result<Signals> {
    let awaited = ending.all().or(SignalSet::of(&[libc::SIGCHLD]));
    let arrivals = File::from(signals::descriptor(awaited)?);
    // SAFETY: the file owns its descriptor, and no other code replaces it.
    let arrivals = unsafe { AsyncFd::register_with_interest(arrivals, Interest::READABLE)? };
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        loop {
            let Ok(mut ready) = arrivals.readable().await else {
                return;
            };
            for _ in 0..BATCH {
                let Ok(Ok((signal, code))) = ready.try_io(|arrivals| read_signal(arrivals.get_ref())) else {
                    break;
                };
                if signal == libc::SIGCHLD {
                    on_child();
                } else if ending.contains(signal, code) {
                    on_ending();
                    // After the start-up, the receiver is gone; the handover reads pending signals itself.
                    let _ = sender.send(signal);
                }
            }
            drop(ready);
            yield_now().await;
        }
    });
    Ok(Signals(receiver))
}

/// The signal's number and its `si_code`.
fn read_signal(mut arrivals: &File) -> io::Result<(i32, i32)> {
    const INFO_BYTES: usize = size_of::<libc::signalfd_siginfo>();
    let mut info = [0; INFO_BYTES];
    if arrivals.read(&mut info)? != INFO_BYTES {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // The first fields are the number, an errno and the code.
    let field = |at: usize| i32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    Ok((field(0), field(8)))
}
