//! The one lock of a run: taken by the first step that changes something, kept until the last of them.

use std::time::Duration;

use tokio::{
    sync::{Mutex, watch},
    time::{self, Instant},
};

use super::{
    Work,
    keeper::{FENCE, Keeper},
    provision::begun,
};
use crate::{
    database::{DatabaseError, LockSession, Share},
    failure::Failure,
};

/// The longest pause between two attempts; the real one is jittered below it.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks whether an earlier run's sessions are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The shortest pause between two lines about the same holder.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// The lock, if this run holds it.
pub(crate) struct RunLock {
    held: Mutex<Option<(Share, Keeper)>>,
    lost: watch::Sender<Option<String>>,
}

impl Default for RunLock {
    fn default() -> Self {
        Self { held: Mutex::default(), lost: watch::Sender::new(None) }
    }
}

impl RunLock {
    /// Returns once this run holds the lock alone. `say` hears who holds it meanwhile. True if it had to be
    /// waited for.
    pub(crate) async fn hold(&self, work: &Work, say: &dyn Fn(String)) -> Result<bool, Failure> {
        self.hold_as(Share::Alone, work, say).await
    }

    /// The same, alone or with other runs that share it. A run that holds it otherwise lets go first, and whoever
    /// asked must look again at what there is to do.
    pub(crate) async fn hold_as(
        &self,
        share: Share,
        work: &Work,
        say: &dyn Fn(String),
    ) -> Result<bool, Failure> {
        let mut held = self.held.lock().await;
        self.not_lost()?;
        match held.take() {
            Some((as_asked, keeper)) if as_asked == share => {
                *held = Some((share, keeper));
                return Ok(false);
            }
            Some((_, keeper)) => keeper.let_go().await,
            None => {}
        }
        let deadline = Instant::now() + work.config.lock_timeout;
        let mut session = open(work).await?;
        let waited = take(&mut session, share, work, deadline, say).await?;
        // What comes next wants a connection, and a login takes as long as that.
        let (ended, ()) = tokio::join!(end_strays(&mut session, work, deadline, say), log_in(work));
        if let Err(failure) = ended {
            let _ = time::timeout(PAUSE, session.let_go()).await;
            return Err(failure);
        }
        *held = Some((share, Keeper::start(session, work.processes().ok().cloned(), self.lost.clone())));
        begun::recover(work, say).await;
        Ok(waited)
    }

    /// Fails if the lock is not held: whoever has lost it, or let it go, changes nothing more.
    pub(crate) async fn still_held(&self) -> Result<(), Failure> {
        let kept = match self.held.lock().await.as_ref() {
            Some((_, keeper)) => keeper.check().await,
            None => false,
        };
        self.not_lost()?;
        if kept { Ok(()) } else { Err(nobody_keeps_it()) }
    }

    /// The work's result, unless the lock is lost first: then the work is dropped, and all programs were killed.
    pub(crate) async fn fenced<T, E: From<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut lost = self.lost.subscribe();
        tokio::select! {
            biased;
            _ = lost.wait_for(Option::is_some) => {}
            done = work => return done,
        }
        // It was lost, or else nothing would have ended the wait.
        self.not_lost().and_then(|()| Err(nobody_keeps_it())).map_err(E::from)
    }

    /// Takes tenants' own locks beside that of the run, and says for each whether it was free.
    pub(crate) async fn take_tenants(&self, tenants: Vec<String>) -> Result<Vec<bool>, Failure> {
        let taken = match self.held.lock().await.as_ref() {
            Some((_, keeper)) => keeper.take(tenants).await,
            None => None,
        };
        self.not_lost()?;
        taken.ok_or_else(nobody_keeps_it)?.map_err(|error| error.into_failure("taking a tenant's lock"))
    }

    pub(crate) async fn give_tenants(&self, tenants: Vec<String>) {
        if let Some((_, keeper)) = self.held.lock().await.as_ref() {
            keeper.give(tenants);
        }
    }

    /// Who holds it, in words, if another run does. A look that fails says nothing.
    pub(crate) async fn held_by_another(&self, work: &Work) -> Option<String> {
        if self.held.lock().await.is_some() {
            return None;
        }
        let holder = work.database().ok()?.lock_holder().await.ok().flatten()?;
        Some(work.how_far(holder).await)
    }

    /// Gives the lock back, if it is held.
    pub(crate) async fn release(&self) {
        if let Some((_, keeper)) = self.held.lock().await.take() {
            keeper.let_go().await;
        }
    }

    /// Fails if the lock is known to be lost.
    pub(crate) fn not_lost(&self) -> Result<(), Failure> {
        match self.lost.borrow().as_ref() {
            Some(why) => Err(Failure::LockLost { why: why.clone() }),
            None => Ok(()),
        }
    }
}

async fn open(work: &Work) -> Result<LockSession, Failure> {
    work.database()?.lock_session(&work.run).await.map_err(failure)
}

async fn log_in(work: &Work) {
    if let Ok(database) = work.database() {
        database.log_in().await;
    }
}

/// Waits until the session holds the lock; true if it had to.
async fn take(
    session: &mut LockSession,
    share: Share,
    work: &Work,
    deadline: Instant,
    say: &dyn Fn(String),
) -> Result<bool, Failure> {
    let mut last: Option<(String, Instant)> = None;
    loop {
        let Some(holder) = session.try_take(share).await.map_err(failure)? else {
            return Ok(last.is_some());
        };
        let holder = work.how_far(holder).await;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::LockTimedOut { after: work.config.lock_timeout, holder });
        }
        // What changes is how far the holder has come; that is worth a line now and then.
        if last.as_ref().is_none_or(|(said, at)| *said != holder && at.elapsed() >= SAY_AGAIN) {
            say(format!("waiting for the lock: {holder}"));
            last = Some((holder, Instant::now()));
        }
        let pause = PAUSE.mul_f64(0.25 + 0.75 * fastrand::f64()).min(left);
        if session.until_free(pause).await.is_err() {
            // Only the one that waited broke; whether there can be another is the next question.
            *session = open(work).await?;
        }
    }
}

/// Ends what earlier runs have left in the database. Where a framework's own session was among it, its run may not
/// know yet that it has lost the lock: for as long as that can take, nobody of it may come back.
async fn end_strays(
    session: &mut LockSession,
    work: &Work,
    deadline: Instant,
    say: &dyn Fn(String),
) -> Result<(), Failure> {
    let mut quiet_since: Option<Instant> = None;
    let mut said = false;
    loop {
        let strays = session.end_strays().await.map_err(failure)?;
        if let Some(stray) = strays.iter().find(|stray| !stray.fenced) {
            quiet_since = Some(Instant::now() + LOOK_AGAIN);
            if Instant::now() >= deadline {
                let holder = format!("an earlier run's session is still there: {}", stray.name);
                return Err(Failure::LockTimedOut { after: work.config.lock_timeout, holder });
            }
            if !said {
                say(format!("an earlier run's session is ended first: {}", stray.name));
                said = true;
            }
        }
        let quiet = quiet_since.is_none_or(|since| since.elapsed() >= FENCE);
        if quiet && strays.iter().all(|stray| stray.fenced) {
            return Ok(());
        }
        time::sleep(LOOK_AGAIN).await;
    }
}

fn nobody_keeps_it() -> Failure {
    Failure::LockLost { why: "nobody keeps it".into() }
}

fn failure(error: DatabaseError) -> Failure {
    error.into_failure("taking the lock")
}
