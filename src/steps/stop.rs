//! Requests the end of all running steps, after a signal or a sibling's failure.

use tokio::sync::watch;

/// The requesting side, held by the engine.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<Option<i32>>);

/// The receiving side, one per step.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<Option<i32>>);

pub(crate) fn pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Requests the end; the first signal is kept.
    pub(crate) fn stop(&self, signal: i32) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(signal);
            first
        });
    }
}

impl Stop {
    /// The signal to send to children; pends until the end is requested.
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

    /// Returns the future's result, or the signal if the end is requested first. The future is then dropped, so it
    /// must be safe to end at any point, as SQL is: it is rolled back with its connection.
    pub(crate) async fn race<T>(&mut self, work: impl Future<Output = T>) -> Result<T, i32> {
        tokio::select! {
            biased;
            signal = self.requested() => Err(signal),
            done = work => Ok(done),
        }
    }
}
