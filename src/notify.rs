//! Runs the configured command when a start-up needs attention. It fails nothing, and delays nothing for longer than
//! its time-out.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    actions::context::RunContext,
    config::{self, Notify},
    deadline::Deadline,
    files,
    outcome::command::TenantOutcome,
    process::{Child, ExitReason, Processes, Signals, StopReason},
    report::{Output, Report, json, tenants},
    words::duration,
};

/// Between TERM and KILL, for a command that does not end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Linux limits a variable to 128 KiB.
const LONGEST: usize = 64 * 1024;

/// Why the notification may not have been sent.
pub(crate) enum NotifyError {
    /// A signal arrived during the command.
    Signal(i32),
    Failed(String),
}

/// Runs the command with the start-up's state as JSON on its standard input. A signal ends it at once.
pub(crate) async fn notify(
    notify: &Notify,
    report: &Report,
    processes: &Processes,
    signals: &mut Signals,
) -> Result<(), NotifyError> {
    let (status, elapsed) = report.status().now();
    let facts = report.output().masked(&json::notification(&status, elapsed));
    run_command(notify, facts, processes, signals.next()).await
}

/// Sends a notification about a tenant that could not be created, if `[notify]` is configured.
pub(crate) async fn not_created(context: &RunContext, outcome: &TenantOutcome, out: &Output) {
    let (Some((tenant, failure)), Some(notify)) = (outcome.not_created(), &context.config.notify) else {
        return;
    };
    let facts = out.masked(&tenants::notification(&context.run, tenant, failure).to_string());
    if let Err(why) = send(notify, facts, &context.processes).await {
        out.print_line(&format!("[notify] command: {why}"));
    }
}

/// Sends other facts. A signal does not end the command: the caller drops it.
pub(crate) async fn send(notify: &Notify, facts: String, processes: &Processes) -> Result<(), String> {
    match run_command(notify, facts, processes, std::future::pending()).await {
        Err(NotifyError::Failed(why)) => Err(why),
        Ok(()) | Err(NotifyError::Signal(_)) => Ok(()),
    }
}

async fn run_command(
    notify: &Notify,
    facts: String,
    processes: &Processes,
    signal: impl Future<Output = i32>,
) -> Result<(), NotifyError> {
    let child = Child {
        argv: notify.command.clone(),
        env: vec![("PORTCULLIS_NOTIFICATION".into(), short(&facts))],
        cwd: None,
        privileges: config::Privileges::default(),
        exports: false,
        logs_in: false,
        grace: GRACE,
    };
    let tree = files::in_memory("portcullis-notification", &facts)
        .and_then(|input| processes.spawn_with_input(&child, &input))
        .map_err(|error| NotifyError::Failed(format!("cannot start it: {error}")))?;
    // The output is read so that the command does not block, and is discarded.
    let finished = tree.run(Deadline::after(notify.timeout), signal, |_, _| None).await;
    match (finished.cut, finished.reason) {
        (Some(StopReason::Stopped(signal)), _) => Err(NotifyError::Signal(signal)),
        (Some(StopReason::TimedOut), _) => {
            Err(NotifyError::Failed(format!("it ran longer than {}", duration(notify.timeout))))
        }
        (None, ExitReason::Exited(0)) => Ok(()),
        (None, reason) => Err(NotifyError::Failed(format!("it {}", reason.words()))),
    }
}

/// Shortens the facts to the size of a variable, by leaving out long values.
fn short(facts: &str) -> String {
    if facts.len() <= LONGEST {
        return facts.to_owned();
    }
    let Ok(Value::Object(facts)) = serde_json::from_str(facts) else { return String::new() };
    let is_short = |value: &Value| value.to_string().len() <= LONGEST / 32;
    let mut short: Map<String, Value> = Map::new();
    for (name, value) in facts {
        match value {
            Value::Object(parts) => {
                let parts = parts.into_iter().filter(|(_, value)| is_short(value));
                short.insert(name, Value::Object(parts.collect()));
            }
            value if is_short(&value) => drop(short.insert(name, value)),
            _ => {}
        }
    }
    short.insert("shortened".into(), true.into());
    Value::Object(short).to_string()
}
