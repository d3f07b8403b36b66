//! The holder's heartbeat: it alone has the lock's session, and on the loss of the lock it kills what works under it.
//!
//! Silence is not loss: while the session does not answer, another connection is asked whether the server still lists it. Only
//! what nothing could prove for `[lock] silence_timeout` counts as lost (`database::postgres::lock::session` says why nobody
//! else can have the lock before that).

use std::{cell::RefCell, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{
    cause::Kind,
    database::{DatabaseError, LockSession, LockState},
    deadline::Deadline,
    process::Processes,
    words::duration,
};

/// Between two checks that the lock is still held. What the server itself says is heard at once.
const BEAT: Duration = Duration::from_secs(1);

/// How long the lock's session may take to answer before another connection is asked.
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);

/// For the other connection, login included.
const WITNESS: Duration = Duration::from_secs(3);

/// For the end in peace.
const RELEASE: Duration = Duration::from_secs(2);

/// In this time a holder whose session has ended knows that, and nothing of it works any more.
pub(super) const FENCE: Duration = Duration::from_millis(3_500);

/// The way to the task that holds the lock.
pub(super) struct LockHeartbeat {
    requests: mpsc::UnboundedSender<Request>,
    task: RefCell<Option<JoinHandle<()>>>,
}

/// What the session is wanted for.
enum Request {
    /// A check, now.
    Check(oneshot::Sender<()>),
    AcquireTenants(Vec<String>, oneshot::Sender<Result<Vec<bool>, DatabaseError>>),
    ReleaseTenants(Vec<String>),
    /// The end, in peace.
    Release,
}

impl LockHeartbeat {
    /// Keeps the session from now on. `lost` receives why it could not, after everything below `processes` was killed.
    pub(super) fn start(
        session: LockSession,
        silence_timeout: Duration,
        processes: Processes,
        lost: watch::Sender<Option<String>>,
    ) -> Self {
        let (requests, received) = mpsc::unbounded_channel();
        let task = tokio::task::spawn_local(async move {
            let mut holder = Holder { session, silence_timeout, proved: Instant::now() };
            if let Err(why) = holder.keep(received).await {
                processes.kill();
                lost.send_replace(Some(why));
            }
        });
        Self { requests, task: RefCell::new(Some(task)) }
    }

    /// Returns once it is proved that the lock is held; false if it is lost.
    pub(super) async fn check(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Check(answer)).is_ok() && answered.await.is_ok()
    }

    /// Takes tenants' own locks, and returns for each whether it was free; None if the lock was lost.
    pub(super) async fn take(&self, tenants: Vec<String>) -> Option<Result<Vec<bool>, DatabaseError>> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::AcquireTenants(tenants, answer)).ok()?;
        answered.await.ok()
    }

    pub(super) fn give(&self, tenants: Vec<String>) {
        // Where the task has ended, nothing is held.
        let _ = self.requests.send(Request::ReleaseTenants(tenants));
    }

    /// Gives the lock back. A peer that is silent does not hold up the end: the session ends with this process.
    pub(super) async fn release(&self) {
        let _ = self.requests.send(Request::Release);
        let task = self.task.take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

struct Holder {
    session: LockSession,
    silence_timeout: Duration,
    /// When the last question was sent whose answer proved that the lock is held.
    proved: Instant,
}

impl Holder {
    /// Returns when it was released, or why it was lost.
    async fn keep(&mut self, mut requests: mpsc::UnboundedReceiver<Request>) -> Result<(), String> {
        // It was taken just now.
        let mut next = Instant::now() + BEAT;
        loop {
            tokio::select! {
                biased;
                why = self.session.ended() => return Err(why),
                request = requests.recv() => match request {
                    None | Some(Request::Release) => {
                        let _ = Deadline::after(RELEASE).limit(self.session.release_lock(RELEASE)).await;
                        return Ok(());
                    }
                    Some(Request::Check(answer)) => {
                        self.prove().await?;
                        let _ = answer.send(());
                    }
                    Some(Request::AcquireTenants(tenants, answer)) => {
                        let taken = loop {
                            match self.session.acquire_tenants(&tenants, QUERY_TIMEOUT).await {
                                Err(error) if is_silent(&error) => self.prove().await?,
                                taken => break taken,
                            }
                        };
                        let _ = answer.send(taken);
                    }
                    Some(Request::ReleaseTenants(tenants)) => {
                        // What cannot be given back now is given back with the end.
                        let _ = self.session.release_tenants(&tenants, QUERY_TIMEOUT).await;
                    }
                },
                () = time::sleep_until(next) => {
                    self.prove().await?;
                    // One that cannot be asked now is asked at the next beat.
                    let _ = self.session.end_orphaned_backends(QUERY_TIMEOUT).await;
                    next = Instant::now() + BEAT;
                }
            }
        }
    }

    /// Returns once something proves that the lock is held, or why it counts as lost.
    async fn prove(&mut self) -> Result<(), String> {
        loop {
            let sent = Instant::now();
            let why = match self.session.check(QUERY_TIMEOUT).await {
                Ok(proof) => return self.judge(proof, sent),
                Err(error) if is_silent(&error) => error.to_string(),
                Err(error) => return Err(error.to_string()),
            };
            let sent = Instant::now();
            let witness = self.session.witness(WITNESS);
            let seen = tokio::select! {
                biased;
                why = self.session.ended() => return Err(why),
                seen = witness => seen,
            };
            match seen {
                Ok(proof) => return self.judge(proof, sent),
                Err(error) => tracing::debug!(%why, %error, "nothing proves that the lock is held"),
            }
            if self.proved.elapsed() >= self.silence_timeout {
                return Err(format!("no answer in {}", duration(self.silence_timeout)));
            }
            time::sleep(QUERY_TIMEOUT / 4).await;
        }
    }

    fn judge(&mut self, proof: LockState, sent: Instant) -> Result<(), String> {
        match proof {
            LockState::Held => {
                self.proved = sent;
                Ok(())
            }
            LockState::Lost(why) => Err(why),
        }
    }
}

fn is_silent(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::TimedOut => true,
        DatabaseError::NotYet(why) | DatabaseError::Failed(why) => why.kind == Kind::Silent,
        DatabaseError::Never(_) => false,
    }
}
