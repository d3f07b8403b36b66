//! The holder's heartbeat: it alone has the lock's session, and on its loss kills what works under it.

use std::{cell::RefCell, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{
    database::{DatabaseError, LockSession},
    process::Processes,
    words::duration,
};

/// Between two looks whether the lock is still held. What the server itself says is heard at once.
const BEAT: Duration = Duration::from_secs(1);

/// How long the lock's session may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// In this time a holder knows that it has lost the lock, and nothing of it works any more. The server lets go
/// of a holder that it cannot reach after ten seconds (`database::postgres::run`), which is longer.
pub(super) const FENCE: Duration = Duration::from_millis(3_500);

/// The way to the task that holds the lock.
pub(super) struct Keeper {
    wishes: mpsc::UnboundedSender<Wish>,
    task: RefCell<Option<JoinHandle<()>>>,
}

/// What the session is wanted for.
enum Wish {
    /// A look, now.
    Check(oneshot::Sender<()>),
    Take(Vec<String>, oneshot::Sender<Result<Vec<bool>, DatabaseError>>),
    Give(Vec<String>),
    /// The end, in peace.
    LetGo,
}

impl Keeper {
    /// Keeps the session from now on. `lost` hears why it could not, after everything below `processes` was killed.
    pub(super) fn start(
        session: LockSession,
        processes: Processes,
        lost: watch::Sender<Option<String>>,
    ) -> Self {
        let (wishes, heard) = mpsc::unbounded_channel();
        let task = tokio::task::spawn_local(async move {
            if let Err(why) = keep(session, heard).await {
                processes.kill();
                lost.send_replace(Some(why));
            }
        });
        Self { wishes, task: RefCell::new(Some(task)) }
    }

    /// Whether the session has answered that it holds the lock.
    pub(super) async fn check(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wish::Check(answer)).is_ok() && answered.await.is_ok()
    }

    /// Takes tenants' own locks, and says for each whether it was free; None if the lock was lost.
    pub(super) async fn take(&self, tenants: Vec<String>) -> Option<Result<Vec<bool>, DatabaseError>> {
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wish::Take(tenants, answer)).ok()?;
        answered.await.ok()
    }

    pub(super) fn give(&self, tenants: Vec<String>) {
        // Whoever is gone holds nothing.
        let _ = self.wishes.send(Wish::Give(tenants));
    }

    /// Gives the lock back. A peer that is silent does not hold up the end: the session ends with this process.
    pub(super) async fn let_go(&self) {
        let _ = self.wishes.send(Wish::LetGo);
        let task = self.task.take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

/// Returns when it was let go, or why it was lost.
async fn keep(mut session: LockSession, mut wishes: mpsc::UnboundedReceiver<Wish>) -> Result<(), String> {
    // It was taken just now.
    let mut next = Instant::now() + BEAT;
    loop {
        tokio::select! {
            biased;
            why = session.ended() => return Err(why),
            wish = wishes.recv() => match wish {
                None | Some(Wish::LetGo) => {
                    let _ = time::timeout(ANSWER, session.let_go()).await;
                    return Ok(());
                }
                Some(Wish::Check(answer)) => {
                    within(session.check()).await?;
                    let _ = answer.send(());
                }
                Some(Wish::Take(tenants, answer)) => {
                    let taken = within(async { Ok(session.take_tenants(&tenants).await) }).await?;
                    let _ = answer.send(taken);
                }
                Some(Wish::Give(tenants)) => {
                    let given = async { session.give_tenants(&tenants).await.map_err(|error| error.to_string()) };
                    within(given).await?;
                }
            },
            () = time::sleep_until(next) => {
                within(session.check()).await?;
                let ended = async { session.end_strays().await.map_err(|error| error.to_string()) };
                within(ended).await?;
                next = Instant::now() + BEAT;
            }
        }
    }
}

/// What does not answer is lost.
async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let silent = |_| Err(format!("no answer in {}", duration(ANSWER)));
    time::timeout(ANSWER, work).await.unwrap_or_else(silent)
}
