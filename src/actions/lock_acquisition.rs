//! Waits until a session of this run holds the lock, and until earlier runs have no session left.

use std::time::Duration;

use tokio::time::Instant;

use super::{context::RunContext, history, lock_heartbeat::FENCE};
use crate::{
    cause::{Cause, Kind},
    database::{DatabaseError, LockHolder, LockMode, LockProof, LockSession},
    deadline::Deadline,
    failure::Failure,
    retry::{Pauses, Retry},
    words::duration,
};

/// Between two attempts to acquire the lock.
pub(super) const PAUSES: Pauses = Pauses::even(Duration::from_millis(800));
/// Pauses of a run without a session.
const FULL_PAUSES: u32 = 4;
/// The shortest limit of one query, even if the lock's own limit is shorter.
const MIN_QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two checks for an earlier run's sessions.
pub(super) const CHECK_PAUSE: Duration = Duration::from_millis(100);
/// The shortest pause between two messages about the same holder.
const REPEAT_MESSAGE: Duration = Duration::from_secs(5);

/// Opens a session for the lock, or returns why the server has no free connection.
async fn open(context: &RunContext, deadline: Deadline) -> Result<Result<LockSession, Cause>, Failure> {
    let opening = context.database()?.lock_session(&context.run, context.config.lock_silence_timeout);
    match query_deadline(deadline).limit(opening).await.unwrap_or(Err(DatabaseError::TimedOut)) {
        Ok(session) => Ok(Ok(session)),
        Err(DatabaseError::NotYet(why) | DatabaseError::Failed(why))
            if why.kind == Kind::TooManyConnections =>
        {
            Ok(Err(why))
        }
        Err(error) => Err(failure(error)),
    }
}

/// The deadline of one query: the remaining time, but always enough for a healthy server to answer.
fn query_deadline(deadline: Deadline) -> Deadline {
    deadline.max(Deadline::after(MIN_QUERY_TIMEOUT))
}

/// Waits until a session holds the lock; returns true if it waited. Also waits for a server without free connections.
pub(super) async fn wait_for_lock(
    mode: LockMode,
    context: &RunContext,
    deadline: Deadline,
    on_note: &dyn Fn(String),
) -> Result<(LockSession, LockProof, bool), Failure> {
    let mut opened = None;
    let mut last: Option<(String, Instant)> = None;
    let mut retry = Retry::new(PAUSES).until(deadline);
    loop {
        let holder = match opened.take() {
            None => match open(context, deadline).await? {
                Ok(session) => {
                    opened = Some(session);
                    continue;
                }
                Err(full) => full.text,
            },
            Some(mut session) => {
                let holder = match try_acquire(&mut session, mode, deadline, context).await? {
                    Ok(proof) => return Ok((session, proof, last.is_some())),
                    Err(holder) => holder,
                };
                opened = Some(session);
                history::with_progress(context, holder).await
            }
        };
        let Some(pause) = retry.next() else {
            return Err(Failure::LockTimedOut { after: context.config.lock_timeout, holder });
        };
        // The holder's progress changes often; it is reported at most once per interval.
        if last.as_ref().is_none_or(|(message, at)| *message != holder && at.elapsed() >= REPEAT_MESSAGE) {
            on_note(format!("waiting for the lock: {holder}"));
            last = Some((holder, Instant::now()));
        }
        if let Some(session) = &mut opened
            && session.until_free(pause).await.is_ok()
        {
            continue;
        }
        // Only this session broke, or the server is full. The next attempt shows whether another can be opened. The holder,
        // which may wait for a connection, tries more often.
        opened = None;
        deadline.within(pause * FULL_PAUSES).passed().await;
    }
}

async fn try_acquire(
    session: &mut LockSession,
    mode: LockMode,
    deadline: Deadline,
    context: &RunContext,
) -> Result<Result<LockProof, LockHolder>, Failure> {
    let limit = query_deadline(deadline).left();
    session.try_acquire(mode, limit).await.map_err(|error| match error.into_cause() {
        why if why.kind == Kind::Silent => Failure::LockTimedOut {
            after: context.config.lock_timeout,
            holder: format!("the server does not report the holder: {why}"),
        },
        why => failure(DatabaseError::Failed(why)),
    })
}

/// Ends the orphaned backends of earlier runs. If a run with programs vanished, it may not know yet that it has lost the
/// lock. So none of their backends may exist for as long as that run can take to notice.
pub(super) async fn end_orphaned_backends(
    session: &mut LockSession,
    context: &RunContext,
    deadline: Deadline,
    on_note: &dyn Fn(String),
) -> Result<(), Failure> {
    let limit = || query_deadline(deadline).left();
    let vanished = session.vanished_runs(limit()).await.map_err(failure)?;
    let mut last_orphan = (!vanished.is_empty()).then(Instant::now);
    if !vanished.is_empty() {
        let (runs, fence) = (vanished.join(", "), duration(FENCE));
        on_note(format!("run {runs} vanished with programs: waiting {fence}, within which it ends them"));
    }
    let mut noted = false;
    let mut retry = Retry::new(Pauses::even(CHECK_PAUSE));
    loop {
        let orphaned_backends = session.end_orphaned_backends(limit()).await.map_err(failure)?;
        if let Some(backend) = orphaned_backends.iter().find(|backend| !backend.fenced) {
            last_orphan = Some(Instant::now() + CHECK_PAUSE);
            if deadline.has_passed() {
                let holder = format!("an earlier run's session still exists: {}", backend.name);
                return Err(Failure::LockTimedOut { after: context.config.lock_timeout, holder });
            }
            if !noted {
                on_note(format!("terminating an earlier run's session first: {}", backend.name));
                noted = true;
            }
        }
        let quiet = last_orphan.is_none_or(|since| since.elapsed() >= FENCE);
        if quiet && orphaned_backends.iter().all(|backend| backend.fenced) {
            if !vanished.is_empty() {
                // If it fails, the next holder waits again.
                let _ = session.forget_runs(&vanished, limit()).await;
            }
            return Ok(());
        }
        retry.pause().await;
    }
}

fn failure(error: DatabaseError) -> Failure {
    error.into_failure("acquiring the lock")
}
