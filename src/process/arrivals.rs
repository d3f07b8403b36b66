//! Signals as they arrive while a runtime is there: a child's end for the reaper, the others for the engine.

use std::{
    fs::File,
    io::{self, Read},
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
};

use super::signals::{self, SignalSet};

/// TERM, INT, QUIT and HUP as they arrive.
pub(crate) struct Signals(mpsc::UnboundedReceiver<i32>);

impl Signals {
    pub(crate) async fn next(&mut self) -> i32 {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// One that has arrived already.
    pub(crate) fn arrived(&mut self) -> Option<i32> {
        self.0.try_recv().ok()
    }
}

/// Starts to read signals; nothing that arrived since they were blocked is lost. `child_ended` is called when at
/// least one child has.
pub(super) fn listen(child_ended: impl Fn() + 'static) -> io::Result<Signals> {
    let awaited = SignalSet::ENDING.or(SignalSet::of(&[libc::SIGCHLD]));
    let arrivals = File::from(signals::descriptor(awaited)?);
    // SAFETY: the file owns its descriptor, and nobody replaces it.
    let arrivals = unsafe { AsyncFd::register_with_interest(arrivals, Interest::READABLE)? };
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::task::spawn_local(watch_signals(child_ended, arrivals, sender));
    Ok(Signals(receiver))
}

async fn watch_signals(child_ended: impl Fn(), arrivals: AsyncFd<File>, sender: mpsc::UnboundedSender<i32>) {
    const INFO_BYTES: usize = size_of::<libc::signalfd_siginfo>();
    loop {
        let Ok(mut ready) = arrivals.readable().await else {
            return;
        };
        let mut info = [0; INFO_BYTES];
        while let Ok(Ok(INFO_BYTES)) = ready.try_io(|arrivals| arrivals.get_ref().read(&mut info)) {
            // The signal's number is the first field.
            let signal = i32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
            if signal == libc::SIGCHLD {
                child_ended();
            } else {
                // Nobody listens once the start-up is over; the handover looks at what is pending itself.
                let _ = sender.send(signal);
            }
        }
    }
}
