//! Metrics in the text format of Prometheus, for the endpoint and for node exporter's textfile collector.

use std::{
    collections::BTreeSet,
    fmt::Write,
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{
    json::seconds,
    output::Output,
    startup_status::{Phase, StartupStatus, State},
    terminal_filter,
};
use crate::files;
use crate::ordered::Ordered;

/// A larger file is not from Portcullis.
const LARGEST: u64 = 1 << 20;
const LAST_SUCCESS: &str = "portcullis_last_success_timestamp_seconds";

/// The current metrics; `last_success` comes from earlier runs.
pub(crate) fn text(status: &StartupStatus, elapsed: Duration, last_success: Option<f64>) -> String {
    let mut text = String::new();
    let role = label(status.role.as_deref().unwrap_or_default());
    let version = env!("CARGO_PKG_VERSION");
    family(&mut text, "portcullis_info", "gauge", "The version and role; always 1.");
    line(&mut text, "portcullis_info", &format!("role=\"{role}\",version=\"{version}\""), 1.0);
    family(&mut text, "portcullis_startup_phase", "gauge", "1 for the current phase of the start-up.");
    for phase in [Phase::Starting, Phase::Stopping, Phase::Blocked, Phase::Ready] {
        let labels = format!("phase=\"{}\"", phase.word());
        line(&mut text, "portcullis_startup_phase", &labels, flag(status.phase == phase));
    }
    family(&mut text, "portcullis_startup_duration_seconds", "gauge", "The duration of the start-up.");
    line(&mut text, "portcullis_startup_duration_seconds", "", seconds(status.took.unwrap_or(elapsed)));
    steps(&mut text, status, elapsed);
    if let Some(schemas) = status.schemas {
        family(&mut text, "portcullis_schemas", "gauge", "Schemas by the result of the last judgement.");
        for (state, number) in [
            ("complete", schemas.complete),
            ("accepted", schemas.accepted),
            ("incomplete", schemas.incomplete),
            ("quarantined", schemas.quarantined),
            ("unproven", schemas.unproven),
        ] {
            line(&mut text, "portcullis_schemas", &format!("state=\"{state}\""), float(number));
        }
    }
    if !status.bypasses.is_empty() {
        family(&mut text, "portcullis_gate_opened", "gauge", "The bypass that opened the gate; always 1.");
        let how: BTreeSet<&str> = status.bypasses.iter().map(|bypass| bypass.how).into_set();
        for how in how {
            line(&mut text, "portcullis_gate_opened", &format!("how=\"{how}\""), 1.0);
        }
    }
    if let Some(facts) = &status.facts {
        family(&mut text, "portcullis_failure", "gauge", "The failure that blocked the start-up; always 1.");
        let labels = format!("failure=\"{}\",exit_code=\"{}\"", facts.failure, facts.exit_code);
        line(&mut text, "portcullis_failure", &labels, 1.0);
    }
    if let Some(time) = last_success {
        family(&mut text, LAST_SUCCESS, "gauge", "The Unix time of the last successful start-up.");
        line(&mut text, LAST_SUCCESS, "", time);
    }
    text
}

/// Replaces the file; a failed start-up preserves the time of the last success.
pub(crate) fn write(path: &Path, status: &StartupStatus, now: SystemTime, output: &Output) -> io::Result<()> {
    let now = seconds(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let last_success = if status.phase == Phase::Ready { Some(now) } else { recorded(path) };
    let mut text = text(status, Duration::ZERO, last_success);
    family(
        &mut text,
        "portcullis_last_run_timestamp_seconds",
        "gauge",
        "The Unix time of the end of the last start-up.",
    );
    line(&mut text, "portcullis_last_run_timestamp_seconds", "", now);
    files::replace_now(path, output.masked(&text).as_bytes())
}

fn recorded(path: &Path) -> Option<f64> {
    let text = files::read_now(path, LARGEST).and_then(files::text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(LAST_SUCCESS)?.trim().parse().ok())
}

fn steps(text: &mut String, status: &StartupStatus, elapsed: Duration) {
    if status.steps.is_empty() {
        return;
    }
    family(
        text,
        "portcullis_step_duration_seconds",
        "gauge",
        "The duration of each step, also of a running one.",
    );
    for step in &status.steps {
        let took = match step.state {
            State::Running => Some(elapsed.saturating_sub(step.since)),
            _ => step.took,
        };
        if let Some(took) = took {
            let labels = format!("step=\"{}\"", label(&step.name));
            line(text, "portcullis_step_duration_seconds", &labels, seconds(took));
        }
    }
    family(text, "portcullis_step_state", "gauge", "The state of each step; always 1.");
    for step in &status.steps {
        let labels = format!("step=\"{}\",state=\"{}\"", label(&step.name), step.state.word());
        line(text, "portcullis_step_state", &labels, 1.0);
    }
    let running = status.steps.iter().filter(|step| step.state == State::Running);
    let progress: Vec<_> =
        running.filter_map(|step| Some((label(&step.name), step.progress.as_ref()?))).collect();
    if !progress.is_empty() {
        family(text, "portcullis_step_progress_ratio", "gauge", "The progress of each running step.");
        for (name, progress) in progress {
            let ratio = float(progress.done) / float(progress.total.max(1));
            line(text, "portcullis_step_progress_ratio", &format!("step=\"{name}\""), ratio);
        }
    }
}

pub(super) fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

pub(super) fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let _ = writeln!(text, "{name}{labels} {value}");
}

/// Escapes the value of a label.
pub(super) fn label(value: &str) -> String {
    terminal_filter::escaped(value).replace('\\', "\\\\").replace('"', "\\\"")
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "2^52 tenants are not possible")]
pub(super) fn float(number: usize) -> f64 {
    number as f64
}
