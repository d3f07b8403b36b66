//! A child's line as JSON. It is serialized without a tree of values, because a child may print millions of lines.

use std::time::SystemTime;

use serde::Serialize;

use super::startup_status::StartupStatus;
use crate::{process::Stream, words::rfc3339};

/// The fields that `docs/logs.md` lists.
#[derive(Serialize)]
struct Fields<'a> {
    event: &'static str,
    level: &'static str,
    line: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    run: &'a str,
    step: &'a str,
    step_count: usize,
    step_number: usize,
    stream: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

/// A child's line.
pub(super) struct Output<'a> {
    pub(super) step: usize,
    pub(super) stream: Stream,
    pub(super) tenant: Option<&'a str>,
    pub(super) line: &'a str,
    /// The line as text for people.
    pub(super) message: &'a str,
}

pub(super) fn json(
    output: &Output<'_>,
    status: &StartupStatus,
    now: SystemTime,
    traceparent: Option<&str>,
) -> String {
    let fields = Fields {
        event: "output",
        level: "info",
        line: output.line,
        message: output.message,
        role: status.role.as_deref(),
        run: &status.run,
        step: status.steps.get(output.step).map_or("", |step| &step.name),
        step_count: status.steps.len(),
        step_number: output.step + 1,
        stream: if output.stream == Stream::Out { "stdout" } else { "stderr" },
        tenant: output.tenant,
        time: &rfc3339(now),
        traceparent,
    };
    // Texts and numbers always serialize.
    serde_json::to_string(&fields).unwrap_or_default()
}
