//! `verify --every`: repeats the gate, reports each change once, and renews the list of quarantined tenants.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    actions::run_state::RunState,
    cli::{self, Format},
    commands,
    config::Config,
    deadline::Deadline,
    failure::{Failure, chain},
    files, notify,
    outcome::{
        ActionEvent,
        watch::{Change, WatchState},
    },
    process::{Inherited, Processes},
    quarantine_list::{self, Renewal},
    report::{
        Output,
        watch::{self as report, Round, WatchPage},
    },
    runtime,
    status::{self, Endpoint},
    tenants::gate::Judgement,
};

/// The first round starts within a tenth of this time: probes wait for its result.
const FIRST_ROUND: Duration = Duration::from_mins(1);
/// Beyond this number, the oldest changes are not sent any more.
const MOST_UNSENT: usize = 1_000;

/// Runs until a signal requests the end, which is not a failure. Fails only if the configuration makes every round fail.
pub(crate) fn watch(
    config: Config,
    arguments: &cli::Verify,
    every: Duration,
    inherited: &Inherited,
    out: &Output,
) -> Result<(), Failure> {
    if !matches!(arguments.format, Format::Text | Format::Json) {
        let message = "--every: the format must be `text` or `json`".into();
        return Err(Failure::Usage { message });
    }
    inherited.declare_stop_signal(config.server.stop_signal);
    runtime::block_on(inherited, runtime::SHUTDOWN_BUDGET, async |processes, mut signals| {
        let mut watch = Watch {
            config,
            arguments,
            every,
            out,
            processes: processes.clone(),
            state: WatchState::default(),
            page: Arc::default(),
            endpoint: None,
            unsent: RefCell::default(),
            has_warned: RefCell::default(),
        };
        let ended = tokio::select! {
            biased;
            _ = signals.next() => Ok(()),
            failure = watch.run() => Err(failure),
        };
        // Programs of the round got TERM when it was dropped.
        processes.finish(false).await;
        if let Some(endpoint) = watch.endpoint.take() {
            endpoint.close();
        }
        ended
    })
}

struct Watch<'a> {
    config: Config,
    arguments: &'a cli::Verify,
    every: Duration,
    out: &'a Output,
    processes: Processes,
    state: WatchState,
    page: Arc<Mutex<WatchPage>>,
    endpoint: Option<Endpoint>,
    /// The changes of which no notification could be sent.
    unsent: RefCell<Vec<Change>>,
    /// The warnings that were printed.
    has_warned: RefCell<Vec<String>>,
}

impl Watch<'_> {
    async fn run(&mut self) -> Failure {
        let started = Instant::now();
        let (mut number, mut pause) = (0, Duration::ZERO);
        loop {
            number += 1;
            self.open_endpoint();
            // Many watches that start at the same time come at different times.
            let longest = if number == 1 { self.every.min(FIRST_ROUND) } else { self.every };
            let jitter = longest.mul_f64(fastrand::f64() / 10.0);
            Deadline::after(pause + jitter).passed().await;
            if let Err(failure) = self.round(number).await {
                return failure;
            }
            pause = until_next(started.elapsed(), self.every);
        }
    }

    /// Uses new connections and reads the manifest again, so that nothing is open between two rounds.
    async fn round(&mut self, number: u64) -> Result<(), Failure> {
        let state = RunState::new(self.config.clone(), self.processes.clone());
        let started = Instant::now();
        let verified = Box::pin(commands::verify::run(&state, self.arguments, &|_: ActionEvent| {})).await;
        let took = started.elapsed();
        drop(state);
        let judged = match verified {
            Ok(verified) => Ok(verified.judgement),
            Err(failure) if is_permanent(&failure) => return Err(failure),
            Err(failure) => Err(chain(&failure)),
        };
        let judged = judged.as_ref().map_err(String::as_str);
        let mut changes = self.state.apply(judged);
        changes.extend(self.renew_list(judged).await);
        let now = SystemTime::now();
        let round = Round { number, now, took, judged, bad: &self.state.bad, changes: &changes };
        self.print(&round);
        self.publish(&round).await;
        self.send(&round).await;
        Ok(())
    }

    async fn renew_list(&mut self, judged: Result<&Judgement, &str>) -> Option<Change> {
        let renewal = quarantine_list::renew(&self.config.gate, judged).await?;
        let (problem, change) = match renewal {
            Renewal::Unchanged => (None, None),
            Renewal::Written(tenants) => (None, Some(Change::ListRenewed { tenants })),
            Renewal::Refused(why) => {
                let is_new = self.state.list_problem.as_ref() != Some(&why);
                (Some(why.clone()), is_new.then_some(Change::ListUnchanged { why }))
            }
        };
        self.state.list_problem = problem;
        change
    }

    fn print(&self, round: &Round<'_>) {
        let text = match self.arguments.format {
            Format::Json => report::json(round).to_string() + "\n",
            _ => report::text(round),
        };
        // A closed standard output cannot be reported.
        let _ = self.out.print_result(&text);
    }

    /// Renews the page of the endpoint and the file of the metrics.
    async fn publish(&self, round: &Round<'_>) {
        let metrics = {
            let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
            page.update(round);
            self.out.masked(&page.metrics)
        };
        let Some(path) = self.config.metrics.as_deref().map(report::metrics_path) else { return };
        if let Err(error) = files::replace(&path, metrics, files::TIMEOUT).await {
            self.warn(format!("cannot write `{}`: {error}", path.display()));
        }
    }

    /// Sends the changes, also those of earlier rounds whose notification failed.
    async fn send(&self, round: &Round<'_>) {
        let Some(notify) = &self.config.notify else { return };
        let mut unsent = self.unsent.take();
        unsent.extend_from_slice(round.changes);
        if unsent.is_empty() {
            return;
        }
        let facts = report::notification(&Round { changes: &unsent, ..*round });
        if let Err(why) = notify::send(notify, self.out.masked(&facts.to_string()), &self.processes).await {
            self.warn(format!("[notify] command: {why}"));
            let excess = unsent.len().saturating_sub(MOST_UNSENT);
            self.unsent.replace(unsent.split_off(excess));
        }
    }

    /// The port may be in use while the server's container starts.
    fn open_endpoint(&mut self) {
        let Some(address) = self.config.status.listen.filter(|_| self.endpoint.is_none()) else { return };
        let pages = status::watch_pages(&self.page, self.config.status.hides_details);
        match Endpoint::open(address, self.out.clone(), pages) {
            Ok(endpoint) => self.endpoint = Some(endpoint),
            Err(error) => self.warn(format!("cannot listen at {address}: {error}")),
        }
    }

    /// Prints a warning once.
    fn warn(&self, text: String) {
        let mut has_warned = self.has_warned.borrow_mut();
        if !has_warned.contains(&text) {
            self.out.print_line(&format!("warning: {text}"));
            has_warned.push(text);
        }
    }
}

/// Whether no later round can succeed: the command line or the configuration is wrong. An internal error, such as a
/// program that cannot be started, is a round that proves nothing.
fn is_permanent(failure: &Failure) -> bool {
    matches!(failure.code(), 64 | 78)
}

/// The time until the next multiple of the interval. A round that takes longer skips those that it missed.
fn until_next(elapsed: Duration, every: Duration) -> Duration {
    let into = elapsed.as_nanos() % every.as_nanos().max(1);
    every.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_takes_too_long_skips_the_next_one() {
        let seconds = Duration::from_secs;
        for (elapsed, pause) in [(1, 9), (9, 1), (10, 10), (27, 3)] {
            assert_eq!(until_next(seconds(elapsed), seconds(10)), seconds(pause), "{elapsed}");
        }
    }

    #[test]
    fn an_internal_error_of_one_round_does_not_end_the_watch() {
        assert!(!is_permanent(&Failure::Internal { what: "cannot start a process".into() }));
        assert!(is_permanent(&Failure::Usage { message: "--every".into() }));
    }
}
