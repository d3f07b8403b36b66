//! Tells somebody that a start-up needs attention, by a command. It never fails or holds up anything for longer
//! than its own time-out.

use std::time::Duration;

use tokio::time;

use crate::{
    config::Notify,
    failure::signal_name,
    process::{Child, How, Processes, Signals},
    report::{Report, json},
    words::duration,
};

/// Between TERM and KILL, for a command that does not end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Why nobody may have been told.
pub(crate) enum Untold {
    /// A signal arrived meanwhile.
    Signal(i32),
    Failed(String),
}

/// Runs the command with the start-up's state as JSON in `PORTCULLIS_NOTIFICATION`. A signal ends it at once.
pub(crate) async fn notify(
    notify: &Notify,
    report: &Report,
    processes: &Processes,
    signals: &mut Signals,
) -> Result<(), Untold> {
    let (standing, elapsed) = report.standing().now();
    let facts = report.output().masked(&json::notification(&standing, elapsed));
    told(notify, facts, processes, signals.next()).await
}

/// The same with other facts. Who waits for it may give it up at any time.
pub(crate) async fn command(notify: &Notify, facts: String, processes: &Processes) -> Result<(), String> {
    match told(notify, facts, processes, std::future::pending()).await {
        Ok(()) | Err(Untold::Signal(_)) => Ok(()),
        Err(Untold::Failed(why)) => Err(why),
    }
}

async fn told(
    notify: &Notify,
    facts: String,
    processes: &Processes,
    signal: impl Future<Output = i32>,
) -> Result<(), Untold> {
    let child = Child {
        argv: notify.command.clone(),
        env: vec![("PORTCULLIS_NOTIFICATION".into(), facts)],
        cwd: None,
        grace: GRACE,
    };
    let mut tree =
        processes.spawn(&child).map_err(|error| Untold::Failed(format!("cannot start it: {error}")))?;
    let ended = async {
        // Its output must be read, or it would block; it is of no interest.
        while tree.next_line().await.is_some() {}
        tree.ended().await.how
    };
    let untold = tokio::select! {
        biased;
        signal = signal => Untold::Signal(signal),
        how = time::timeout(notify.timeout, ended) => match how {
            Ok(How::Exited(0) | How::Started) => return Ok(()),
            Ok(How::Exited(code)) => return Err(Untold::Failed(format!("it exited with {code}"))),
            Ok(How::Signalled(signal)) => {
                return Err(Untold::Failed(format!("it was ended by {}", signal_name(signal))));
            }
            Ok(How::NotStarted { why, .. }) => return Err(Untold::Failed(format!("cannot start it: {why}"))),
            Err(_) => Untold::Failed(format!("it ran longer than {}", duration(notify.timeout))),
        }
    };
    tree.terminate(libc::SIGTERM);
    // Its stub gives it the grace and then KILL; who cannot even be killed is not waited for.
    let _ = time::timeout(GRACE * 3, tree.ended()).await;
    Err(untold)
}
