//! The wish that everything running end: a signal that arrived, or a sibling that failed.

use tokio::sync::watch;

/// The asking side, which the engine holds.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<Option<i32>>);

/// The listening side, one for each step.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<Option<i32>>);

pub(crate) fn pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks; the first signal asked for stays.
    pub(crate) fn stop(&self, signal: i32) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(signal);
            first
        });
    }
}

impl Stop {
    /// The signal to pass on to children; pends as long as nobody asks.
    pub(crate) async fn requested(&mut self) -> i32 {
        loop {
            if let Some(signal) = *self.0.borrow_and_update() {
                return signal;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The future's result, or the signal that asked for the end first. The future is then dropped: only
    /// for work that may end anywhere, such as SQL, which rolls back with its connection.
    pub(crate) async fn race<T>(&mut self, work: impl Future<Output = T>) -> Result<T, i32> {
        tokio::select! {
            biased;
            signal = self.requested() => Err(signal),
            done = work => Ok(done),
        }
    }
}
