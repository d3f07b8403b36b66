//! The one lock of a run: taken by the first step that changes something, kept until the last of them.

use std::time::Duration;

use tokio::{sync::Mutex, time};

use super::{Work, provision::begun};
use crate::{
    database::Lock,
    failure::{Failure, words},
};

/// The longest pause between two attempts; the real one is jittered below it.
const PAUSE: Duration = Duration::from_secs(1);

/// The shortest pause between two lines about the same holder.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// How long the lock's session may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// The lock, if this run holds it.
#[derive(Default)]
pub(crate) struct RunLock(Mutex<Option<Lock>>);

impl RunLock {
    /// Returns once this run holds the lock. `say` hears who holds it meanwhile. True if it had to be waited for.
    pub(crate) async fn hold(&self, work: &Work, say: &dyn Fn(String)) -> Result<bool, Failure> {
        let mut held = self.0.lock().await;
        if held.is_some() {
            return Ok(false);
        }
        let (started, timeout) = (time::Instant::now(), work.config.lock_timeout);
        let mut last = None;
        loop {
            let attempt = work
                .database()?
                .try_lock(&work.run)
                .await
                .map_err(|error| error.into_failure("taking the lock"))?;
            let holder = match attempt {
                Ok(lock) => {
                    *held = Some(lock);
                    begun::recover(work, say).await;
                    return Ok(last.is_some());
                }
                Err(holder) => work.how_far(holder).await,
            };
            if started.elapsed() >= timeout {
                return Err(Failure::LockTimedOut { after: timeout, holder });
            }
            // What changes is how far the holder has come; that is worth a line now and then.
            if last.as_ref().is_none_or(|(said, at): &(String, time::Instant)| {
                *said != holder && at.elapsed() >= SAY_AGAIN
            }) {
                say(format!("waiting for the lock: {holder}"));
                last = Some((holder, time::Instant::now()));
            }
            time::sleep(PAUSE.mul_f64(0.25 + 0.75 * fastrand::f64())).await;
        }
    }

    /// Fails if the lock was held and no longer is: whoever lost it changes nothing more.
    pub(crate) async fn still_held(&self) -> Result<(), Failure> {
        match self.0.lock().await.as_mut() {
            Some(lock) => {
                let silent = |_| Err(format!("no answer in {}", words(ANSWER)));
                let held = time::timeout(ANSWER, lock.held()).await.unwrap_or_else(silent);
                held.map_err(|why| Failure::LockLost { why })
            }
            None => Ok(()),
        }
    }

    /// Who holds it, in words, if another run does. A look that fails says nothing.
    pub(crate) async fn held_by_another(&self, work: &Work) -> Option<String> {
        if self.0.lock().await.is_some() {
            return None;
        }
        let holder = work.database().ok()?.lock_holder().await.ok().flatten()?;
        Some(work.how_far(holder).await)
    }

    /// Gives the lock back, if it is held.
    pub(crate) async fn release(&self) {
        if let Some(lock) = self.0.lock().await.take() {
            // A peer that is silent does not hold up the end: the session ends with this process.
            let _ = time::timeout(ANSWER, lock.release()).await;
        }
    }
}
