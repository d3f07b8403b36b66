//! Runs the lock's heartbeat. Its task alone uses the lock's session, and kills all programs of the run if the lock
//! is lost. Silence is not loss: while the session does not answer, a second connection checks whether the server
//! still lists it. The lock counts as lost only if nothing proves it for `[lock] silence_timeout`
//! (`database::postgres::lock::session` explains why no other run can acquire the lock before that).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    cause::Kind,
    database::{DatabaseError, LockSession, LockState},
    deadline::Deadline,
    process::Processes,
    retry::{Pauses, Retry},
    words::duration,
};

/// The interval between two checks. A notification from the server is handled immediately.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The time limit of a query on the lock's session, before a second connection is used.
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit of the second connection, including its login.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(3);

/// The time limit of a regular release.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit of a release that comes during a check with all its parts. A server that is still silent is not waited for.
const RELEASE_LIMIT: Duration = QUERY_TIMEOUT
    .saturating_add(WITNESS_TIMEOUT)
    .saturating_add(QUERY_TIMEOUT)
    .saturating_add(RELEASE_TIMEOUT);

/// Within this time, a holder whose session has ended notices it and has stopped all its work, also if it is not
/// informed of the end: the end of the checks in progress, the pause, one silent query, the second connection, KILL.
pub(super) const FENCE: Duration = QUERY_TIMEOUT
    .saturating_add(BEAT_INTERVAL)
    .saturating_add(QUERY_TIMEOUT)
    .saturating_add(WITNESS_TIMEOUT)
    .saturating_add(Duration::from_millis(500));

/// The channel to the task that holds the lock.
pub(super) struct LockHeartbeat {
    requests: mpsc::UnboundedSender<Request>,
    task: RefCell<Option<JoinHandle<()>>>,
    /// A lock that is no longer needed cannot be lost.
    released: Rc<Cell<bool>>,
}

/// A request to the task.
enum Request {
    /// Checks the lock immediately.
    Check(oneshot::Sender<()>),
    AcquireTenants(Vec<String>, oneshot::Sender<Result<Vec<bool>, DatabaseError>>),
    ReleaseTenants(Vec<String>),
    /// Releases the lock and ends the task.
    Release,
}

impl LockHeartbeat {
    /// Starts the heartbeat. `lost` receives the reason of a loss, after every program below `processes` was killed.
    pub(super) fn start(
        session: LockSession,
        silence_timeout: Duration,
        processes: Processes,
        lost: watch::Sender<Option<String>>,
    ) -> Self {
        let (requests, received) = mpsc::unbounded_channel();
        let released = Rc::new(Cell::new(false));
        let is_released = Rc::clone(&released);
        let task = tokio::task::spawn_local(async move {
            let mut holder = Holder { session, silence_timeout, processes, proved: Instant::now() };
            if let Err(why) = holder.run(received).await
                && !is_released.get()
            {
                holder.processes.kill();
                lost.send_replace(Some(why));
            }
        });
        Self { requests, task: RefCell::new(Some(task)), released }
    }

    /// Returns true once the server has proved that the lock is held; false if it is lost.
    pub(super) async fn check(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Check(answer)).is_ok() && answered.await.is_ok()
    }

    /// Acquires tenants' own locks, and returns for each whether it was free; None if the lock was lost.
    pub(super) async fn acquire_tenants(
        &self,
        tenants: Vec<String>,
    ) -> Option<Result<Vec<bool>, DatabaseError>> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::AcquireTenants(tenants, answer)).ok()?;
        answered.await.ok()
    }

    pub(super) fn release_tenants(&self, tenants: Vec<String>) {
        // If the task has ended, no lock is held.
        let _ = self.requests.send(Request::ReleaseTenants(tenants));
    }

    /// Releases the lock. A silent server does not delay the end: the session ends with the task.
    pub(super) async fn release(&self) {
        self.released.set(true);
        let _ = self.requests.send(Request::Release);
        if let Some(mut task) = self.task.take()
            && Deadline::after(RELEASE_LIMIT).limit(&mut task).await.is_err()
        {
            task.abort();
        }
    }
}

struct Holder {
    session: LockSession,
    silence_timeout: Duration,
    processes: Processes,
    /// The time at which the last successful check was sent.
    proved: Instant,
}

impl Holder {
    /// Returns once the lock is released, or with the reason of its loss.
    async fn run(&mut self, mut requests: mpsc::UnboundedReceiver<Request>) -> Result<(), String> {
        // The lock was acquired just now.
        let mut next = Deadline::after(BEAT_INTERVAL);
        loop {
            tokio::select! {
                biased;
                why = self.session.ended() => return Err(why),
                request = requests.recv() => match request {
                    None | Some(Request::Release) => {
                        let ended = !self.processes.has_fenced();
                        let released = self.session.release_lock(RELEASE_TIMEOUT, ended);
                        let _ = Deadline::after(RELEASE_TIMEOUT).limit(released).await;
                        return Ok(());
                    }
                    Some(Request::Check(answer)) => {
                        self.prove().await?;
                        let _ = answer.send(());
                    }
                    Some(Request::AcquireTenants(tenants, answer)) => {
                        let acquired = loop {
                            match self.session.acquire_tenants(&tenants, QUERY_TIMEOUT).await {
                                Err(error) if is_silent(&error) => self.prove().await?,
                                acquired => break acquired,
                            }
                        };
                        let _ = answer.send(acquired);
                    }
                    Some(Request::ReleaseTenants(tenants)) => {
                        // A lock that cannot be released now is released when the session ends.
                        let _ = self.session.release_tenants(&tenants, QUERY_TIMEOUT).await;
                    }
                },
                () = next.passed() => {
                    self.prove().await?;
                    // Backends that cannot be checked now are checked at the next beat.
                    let _ = self.session.end_orphaned_backends(QUERY_TIMEOUT).await;
                    next = Deadline::after(BEAT_INTERVAL);
                }
            }
        }
    }

    /// Returns once the lock is proved to be held, or with the reason why it counts as lost.
    async fn prove(&mut self) -> Result<(), String> {
        let mut retry = Retry::new(Pauses::even(QUERY_TIMEOUT / 4));
        loop {
            let sent = Instant::now();
            let why = match self.session.check(QUERY_TIMEOUT).await {
                Ok(proof) => return self.judge(proof, sent),
                Err(error) if is_silent(&error) => error.to_string(),
                Err(error) => return Err(error.to_string()),
            };
            let sent = Instant::now();
            let witness = self.session.witness(WITNESS_TIMEOUT);
            let witnessed = tokio::select! {
                biased;
                why = self.session.ended() => return Err(why),
                witnessed = witness => witnessed,
            };
            match witnessed {
                Ok(proof) => return self.judge(proof, sent),
                Err(error) => tracing::debug!(%why, %error, "nothing proves that the lock is held"),
            }
            if self.proved.elapsed() >= self.silence_timeout {
                return Err(format!("no answer in {}", duration(self.silence_timeout)));
            }
            retry.pause().await;
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
