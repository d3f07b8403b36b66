//! A start-up as a trace in the JSON encoding of OTLP 1: a span for the start-up, one for each step
//! that ran, and one for each schema whose migration was slow or failed.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::startup_status::{Phase, StartupStatus, State, Step};
use crate::outcome::{trace_context::TraceContext, wording::name};

/// `SPAN_KIND_INTERNAL`
const INTERNAL: u8 = 1;
const STATUS_OK: u8 = 1;
const STATUS_ERROR: u8 = 2;
/// The number of schemas that the events of a failed start-up name.
const MOST_SCHEMAS: usize = 20;
/// The number of spans for steps.
const MOST_STEPS: usize = 200;

/// The request for a collector's `/v1/traces`. `resource` are its attributes.
pub(crate) fn request(
    context: &TraceContext,
    resource: &[(String, String)],
    status: &StartupStatus,
    elapsed: Duration,
    now: SystemTime,
) -> Value {
    let started = now.checked_sub(elapsed).unwrap_or(now);
    let time = |since: Duration| nanoseconds(started + since);
    let mut spans = vec![startup_span(context, status, &time(Duration::ZERO), &nanoseconds(now))];
    let ran = |step: &Step| !matches!(step.state, State::Todo | State::Skipped);
    let steps = status.steps.iter().enumerate().filter(|(_, step)| ran(step)).take(MOST_STEPS);
    // The spans of schemas have the numbers after those of all steps.
    let mut number = status.steps.len();
    for (at, step) in steps {
        let own = context.span(Some(at));
        let end = step.took.map_or(elapsed, |took| step.since + took);
        let bad = matches!(step.state, State::Warned | State::Failed | State::Running);
        spans.push(json!({
            "traceId": context.trace,
            "spanId": own,
            "parentSpanId": context.span(None),
            "name": step.name,
            "kind": INTERNAL,
            "startTimeUnixNano": time(step.since),
            "endTimeUnixNano": time(end),
            "attributes": [attribute("portcullis.step.state", step.state.word())],
            "status": span_status(bad, &step.message),
        }));
        for slow in &step.slow {
            spans.push(json!({
                "traceId": context.trace,
                "spanId": context.span(Some(number)),
                "parentSpanId": own,
                "name": slow.name,
                "kind": INTERNAL,
                "startTimeUnixNano": time(slow.until.saturating_sub(slow.took)),
                "endTimeUnixNano": time(slow.until),
                "attributes": [attribute("portcullis.schema", &slow.name)],
                "status": span_status(slow.failed, "the migration failed"),
            }));
            number += 1;
        }
    }
    let resource: Vec<Value> = resource.iter().map(|(key, value)| attribute(key, value)).collect();
    json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{
                "scope": { "name": "portcullis", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }],
    })
}

fn startup_span(context: &TraceContext, status: &StartupStatus, start: &str, end: &str) -> Value {
    let mut attributes = vec![attribute("portcullis.run", &status.run)];
    attributes.extend(status.role.as_ref().map(|role| attribute("portcullis.role", role)));
    let facts = status.facts.as_ref();
    if let Some(facts) = facts {
        attributes.push(attribute("portcullis.failure", facts.failure));
        attributes.push(json!({
            "key": "portcullis.exit_code",
            "value": { "intValue": facts.exit_code.to_string() },
        }));
    }
    let schemas = facts.map(|facts| facts.schemas.as_slice()).unwrap_or_default();
    let events: Vec<Value> = schemas
        .iter()
        .take(MOST_SCHEMAS)
        .map(|schema| {
            let findings: Vec<String> =
                schema.findings.iter().map(|line| format!("{}: {}", line.label, line.text)).collect();
            json!({
                "timeUnixNano": end,
                "name": "schema is not complete",
                "attributes": [
                    attribute("portcullis.schema", name(schema.tenant.as_deref())),
                    attribute("portcullis.findings", &findings.join("; ")),
                ],
            })
        })
        .collect();
    let failed = matches!(status.phase, Phase::Blocked | Phase::Stopping);
    let mut span = json!({
        "traceId": context.trace,
        "spanId": context.span(None),
        "name": "portcullis start-up",
        "kind": INTERNAL,
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "attributes": attributes,
        "events": events,
        "status": span_status(failed, facts.map_or("", |facts| &facts.what)),
    });
    if let Some(parent) = &context.parent {
        span["parentSpanId"] = parent.as_str().into();
    }
    span
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn span_status(failed: bool, message: &str) -> Value {
    if failed { json!({ "code": STATUS_ERROR, "message": message }) } else { json!({ "code": STATUS_OK }) }
}

/// Since 1970, as text: JSON's numbers are not exact enough.
fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}
