//! Defines the time limit of a shutdown: the first signal that requests the end starts it, and everything afterwards
//! shares it.

use std::time::Duration;

use tokio::sync::watch;

use crate::deadline::Deadline;

/// The remaining time after a second signal.
const SHORTENED: Duration = Duration::from_secs(2);
/// The last part of the time, for this process's own work: every child has been killed by then.
const RESERVE: Duration = Duration::from_secs(1);
/// The minimum time for a slow reader of the box, which is written last.
const OUTPUT: Duration = Duration::from_secs(1);

/// The time limit of a shutdown, and its deadline once it has started.
pub(crate) struct Shutdown {
    budget: Duration,
    deadline: watch::Sender<Option<Deadline>>,
}

impl Shutdown {
    pub(super) fn with_budget(budget: Duration) -> Self {
        Self { budget, deadline: watch::Sender::new(None) }
    }

    /// The deadline of all remaining work. Before a signal arrives, the budget counts from now.
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline.borrow().unwrap_or_else(|| Deadline::after(self.budget))
    }

    /// The deadline of the output; None before a signal.
    pub(crate) fn output_deadline(&self) -> Option<Deadline> {
        self.deadline.borrow().map(|deadline| deadline.max(Deadline::after(OUTPUT)))
    }

    /// Whether a signal has arrived.
    pub(crate) fn has_started(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    /// The first signal starts the budget; a later one shortens the remaining time.
    pub(super) fn signal_arrived(&self) {
        self.deadline.send_modify(|deadline| {
            *deadline = Some(match *deadline {
                None => Deadline::after(self.budget),
                Some(deadline) => deadline.within(SHORTENED),
            });
        });
    }

    /// The grace of children that are ended now.
    pub(super) fn grace(&self) -> Duration {
        self.deadline().left().saturating_sub(self.reserve())
    }

    /// Returns when no child may run any longer.
    pub(super) async fn grace_is_over(&self) {
        let mut changes = self.deadline.subscribe();
        loop {
            let deadline = *changes.borrow_and_update();
            let over = async {
                match deadline {
                    Some(deadline) => deadline.before(self.reserve()).passed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = over => return,
            }
        }
    }

    fn reserve(&self) -> Duration {
        RESERVE.min(self.budget / 8)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const BUDGET: Duration = Duration::from_secs(8);

    #[tokio::test(start_paused = true)]
    async fn everything_after_the_first_signal_shares_one_deadline() {
        let shutdown = Shutdown::with_budget(BUDGET);
        assert!(!shutdown.has_started());
        assert_eq!(shutdown.output_deadline(), None);
        shutdown.signal_arrived();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(shutdown.deadline().left(), Duration::from_secs(5));
        assert_eq!(shutdown.output_deadline(), Some(shutdown.deadline()));
        assert_eq!(shutdown.grace(), Duration::from_secs(4));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(shutdown.output_deadline().map(Deadline::left), Some(OUTPUT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_leaves_a_second_for_the_children() {
        let shutdown = Shutdown::with_budget(BUDGET);
        let started = Instant::now();
        shutdown.signal_arrived();
        let second = async {
            Deadline::after(Duration::from_secs(3)).passed().await;
            shutdown.signal_arrived();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = shutdown.grace_is_over() => {}
            () = second => {}
        }
        assert_eq!(started.elapsed(), Duration::from_secs(4));
        // A third signal does not extend the time.
        shutdown.signal_arrived();
        assert_eq!(shutdown.deadline().left(), Duration::from_secs(1));
    }
}
