//! Events as JSON, one object a line. `docs/logs.md` lists the fields, which are stable.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{
    child_line, judgement,
    short_report::short_report,
    startup_status::{self, StartupStatus, Step},
    text,
};
use crate::{
    failure::{self, Failure},
    outcome::{FailureDetails, event::Event, wording},
    words::rfc3339,
};

/// The longest last line that Kubernetes shows completely without a termination message, with room for one line about
/// a failed notification.
const TAIL: usize = 1_700;

/// The event as one line, and after a long failure as a second line with a summary.
pub(crate) fn lines(
    event: &Event,
    status: &StartupStatus,
    now: SystemTime,
    traceparent: Option<&str>,
) -> Vec<String> {
    if let Event::Output { step, stream, tenant, line } = event {
        let message = &text::message(event, status);
        let (step, stream, tenant) = (*step, *stream, tenant.as_deref());
        let output = child_line::Output { step, stream, tenant, line, message };
        return vec![child_line::json(&output, status, now, traceparent)];
    }
    let mut object = common(event, status, now, traceparent);
    if let Value::Object(fields) = fields(event, status) {
        object.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    }
    let line = Value::Object(object).to_string();
    match (event, &status.facts) {
        (Event::Blocked { .. }, Some(facts)) if line.len() >= TAIL => {
            let last = |limit| {
                let mut object = common(event, status, now, traceparent);
                object.insert("event".into(), "summary".into());
                object.insert("message".into(), short_report(facts, limit).into());
                object.insert("exit_code".into(), facts.exit_code.into());
                object.insert("failure".into(), facts.failure.into());
                Value::Object(object).to_string()
            };
            // JSON's escapes lengthen the text, so each round reduces the limit by the excess.
            let mut limit = TAIL - 1;
            let mut summary = last(limit);
            while summary.len() >= TAIL && limit > 0 {
                limit = limit.saturating_sub(summary.len() + 1 - TAIL);
                summary = last(limit);
            }
            vec![line, summary]
        }
        _ => vec![line],
    }
}

fn common(
    event: &Event,
    status: &StartupStatus,
    now: SystemTime,
    traceparent: Option<&str>,
) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("time".into(), rfc3339(now).into());
    object.insert("level".into(), text::level(event).word().into());
    object.insert("event".into(), name(event).into());
    object.insert("message".into(), text::message(event, status).into());
    object.insert("run".into(), status.run.clone().into());
    if let Some(role) = &status.role {
        object.insert("role".into(), role.clone().into());
    }
    if let Some(traceparent) = traceparent {
        object.insert("traceparent".into(), traceparent.into());
    }
    if let Some(step) = event.step() {
        let position = status.position(step);
        object.insert("step".into(), position.name.into());
        object.insert("step_number".into(), position.number.into());
        object.insert("step_count".into(), position.of.into());
    }
    object
}

/// The content of the state file, for `portcullis health`.
pub(crate) fn state(status: &StartupStatus, elapsed: Duration, pid: u32) -> String {
    let mut value = self::status(status, elapsed);
    value["pid"] = pid.into();
    value.to_string() + "\n"
}

/// The input of `[notify] command`: the status without the list of steps.
pub(crate) fn notification(status: &StartupStatus, elapsed: Duration) -> String {
    let facts = &status.facts;
    json!({
        "status": status.phase.word(),
        "run": status.run,
        "role": status.role,
        "elapsed_seconds": seconds(status.took.unwrap_or(elapsed)),
        "warned": steps(status).into_iter().filter(|step| step["state"] == "warned").collect::<Vec<_>>(),
        "failure": facts,
        "gate_opened": status.bypasses,
        "text": facts.as_ref().map(|facts| short_report(facts, TAIL)),
    })
    .to_string()
}

/// The status of the start-up, for the endpoint and the state file.
pub(crate) fn status(status: &StartupStatus, elapsed: Duration) -> Value {
    let current = status.current().map(|step| status.position(step));
    let progress = status
        .current()
        .and_then(|step| status.steps[step].progress.as_ref())
        .map(|progress| json!({ "done": progress.done, "total": progress.total, "what": progress.what }));
    json!({
        "status": status.phase.word(),
        "run": status.run,
        "role": status.role,
        "step": current,
        "progress": progress,
        "elapsed_seconds": seconds(status.took.unwrap_or(elapsed)),
        "steps": steps(status),
        "failure": status.facts,
        "gate_opened": status.bypasses,
    })
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Started { .. } => "started",
        Event::StepStarted { .. } => "step_started",
        Event::StepSkipped { .. } => "step_skipped",
        Event::Output { .. } => "output",
        Event::Waiting { .. } => "waiting",
        Event::Retrying { .. } => "retrying",
        Event::Progress { .. } => "progress",
        Event::Note { .. } => "note",
        Event::Warning { .. } | Event::Remark { .. } => "warning",
        Event::ConfigWarnings { .. } => "config_warnings",
        Event::SlowSchema { .. } => "slow_schema",
        Event::Judged { .. } => "judged",
        Event::GateBypassed { .. } => "gate_opened",
        Event::StepDone { .. } => "step_done",
        Event::StepFailed { .. } => "step_failed",
        Event::Stopping { .. } => "stopping",
        Event::Blocked { .. } => "blocked",
        Event::HandingOver { .. } => "handing_over",
        Event::Finished { .. } => "finished",
    }
}

fn fields(event: &Event, status: &StartupStatus) -> Value {
    match event {
        Event::Started { steps, .. } => {
            json!({ "version": env!("CARGO_PKG_VERSION"), "steps": steps })
        }
        Event::StepSkipped { reason, .. } => json!({ "reason": reason }),
        Event::Waiting { what, last, elapsed, .. } => {
            json!({ "what": what, "last": last, "elapsed_seconds": seconds(*elapsed) })
        }
        Event::Retrying { attempt, pause, why, .. } => {
            json!({ "attempt": attempt, "pause_seconds": seconds(*pause), "why": why })
        }
        Event::Progress { done, total, what, .. } => json!({ "done": done, "total": total, "what": what }),
        Event::SlowSchema { schema, took, failed, .. } => {
            json!({ "schema": schema, "duration_seconds": seconds(*took), "failed": failed })
        }
        Event::Judged { complete, accepted, incomplete, unproven, .. } => json!({
            "complete": complete, "accepted": accepted, "incomplete": incomplete, "unproven": unproven,
        }),
        Event::GateBypassed { how, details, .. } => json!({
            "opened": startup_status::GateBypass::of(how, details),
            "judgement": details.judgement.as_ref().map(judgement::json),
        }),
        Event::StepDone { took, summary, .. } => {
            json!({ "duration_seconds": seconds(*took), "summary": summary })
        }
        Event::StepFailed { took, blocking, details, .. } => json!({
            "duration_seconds": seconds(*took),
            "blocking": blocking,
            "failure": details.failure.id(),
            "exit_code": details.failure.code(),
            "why": failure::chain(&details.failure),
        }),
        Event::Blocked { took, details, .. } => blocked(status, *took, details),
        Event::HandingOver { argv, took } => {
            json!({ "argv": argv.first().into_iter().collect::<Vec<_>>(), "duration_seconds": seconds(*took), "steps": steps(status) })
        }
        Event::Finished { took } => {
            json!({ "duration_seconds": seconds(*took), "steps": steps(status) })
        }
        Event::Stopping { signal } => json!({ "why": wording::stopping(*signal) }),
        // `child_line` renders a child's line.
        Event::Output { .. }
        | Event::StepStarted { .. }
        | Event::Note { .. }
        | Event::Warning { .. }
        | Event::Remark { .. }
        | Event::ConfigWarnings { .. } => Value::Null,
    }
}

/// The facts of the failure, and the complete judgement.
fn blocked(status: &StartupStatus, took: Duration, details: &FailureDetails) -> Value {
    let rendered = match &details.failure {
        Failure::ConfigInvalid { rendered, .. } => Some(super::terminal_filter::without_colour(rendered)),
        _ => None,
    };
    json!({
        "duration_seconds": seconds(took),
        "problems": rendered,
        "blocked": status.facts,
        "judgement": details.judgement.as_ref().map(judgement::json),
        "steps": steps(status),
    })
}

fn steps(status: &StartupStatus) -> Vec<Value> {
    let step = |step: &Step| {
        json!({
            "name": step.name,
            "state": step.state.word(),
            "duration_seconds": step.took.map(seconds),
            "message": step.message,
        })
    };
    status.steps.iter().map(step).collect()
}

/// Seconds to the millisecond.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a start-up are far below 2^52")]
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::process::Stream;

    #[test]
    fn times_have_the_format_of_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_465_561, "2026-11-23T20:26:01.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_childs_line_has_its_step_stream_and_tenant() {
        let mut status = StartupStatus::default();
        let started =
            Event::Started { run: "cafe".into(), role: Some("web".into()), steps: vec!["files".into()] };
        status.apply(&started, Duration::ZERO);
        let (line, tenant) = ("{\"a\": \"\u{1b}[1m\"}".to_owned(), Some("acme".to_owned()));
        let event = Event::Output { step: 0, stream: Stream::Err, tenant, line };
        let lines = lines(&event, &status, SystemTime::UNIX_EPOCH, Some("00-1-2-01"));
        let value: Value = serde_json::from_str(&lines.concat()).unwrap();
        let expected = json!({
            "time": "1970-01-01T00:00:00.000Z", "level": "info", "event": "output",
            "message": "acme ! {\"a\": \"\"}", "run": "cafe", "role": "web", "traceparent": "00-1-2-01",
            "step": "files", "step_number": 1, "step_count": 1,
            "stream": "stderr", "tenant": "acme", "line": "{\"a\": \"\u{1b}[1m\"}",
        });
        assert_eq!(value, expected);
    }
}
