//! Events as text: one line for each event, and at the end the table and the box.

use std::time::Duration;

use console::Style as Paint;

use super::{
    bounds, failure_box,
    failure_report::FailureReport,
    progress::{self, Progress},
    running::Running,
    short_report::short_report,
    startup_status::StartupStatus,
    streams,
    style::{Layout, Style},
    table, terminal_filter,
};
use crate::{
    failure::{self, Failure},
    logging::LogLevel,
    outcome::{event::Event, wording},
    process::Stream,
    words::{count, duration},
};

/// Kubernetes shows the last 2048 bytes or 80 lines of a log without a termination message
/// (`FallbackToLogsOnError`); this leaves room for a line about a failed notification.
const TAIL_BYTES: usize = 1_800;
const TAIL_LINES: usize = 78;

/// The lines for an event; `at` is the time since the start of the start-up.
pub(crate) fn lines(event: &Event, status: &StartupStatus, at: Duration, style: Style) -> Vec<String> {
    if let Event::ConfigWarnings { rendered } = event {
        return rendered_lines(rendered, style.colour).collect();
    }
    let columns = || streams::Stream::Err.columns(failure_box::COLUMNS);
    let mut lines = Vec::new();
    if let Event::Blocked { details, .. } = event
        && let Failure::ConfigInvalid { rendered, .. } = &details.failure
    {
        lines.extend(rendered_lines(rendered, style.colour));
        lines.push(String::new());
    }
    if matches!(event, Event::HandingOver { .. } | Event::Finished { .. } | Event::Blocked { .. }) {
        lines.extend(table::table(status, streams::Stream::Err.columns(streams::COLUMNS), style.colour));
    }
    if let (Event::Blocked { .. }, Some(facts)) = (event, &status.facts) {
        let text = failure_box::render(Running::Run.title(), facts, columns(), style.colour);
        let fits = text.len() <= TAIL_BYTES && text.lines().count() <= TAIL_LINES;
        lines.extend(text.lines().map(str::to_owned));
        if !fits {
            let mut facts = facts.clone();
            facts.change(&mut |text| terminal_filter::escaped(text).into_owned());
            lines.extend(short_report(&facts, TAIL_BYTES).lines().map(str::to_owned));
        }
        return lines;
    }
    if let Event::GateBypassed { step, how, details } = event {
        let facts = FailureReport::of(Some(status.position(*step)), details, Running::Run);
        let text = failure_box::of_bypass(how, &facts, columns(), style.colour);
        return text.lines().map(str::to_owned).collect();
    }
    let words = Words { colour: style.colour, status, at: Some(at) };
    let clock = match style.layout {
        Layout::Pretty => {
            let time = format!("{:>4}.{} ", at.as_secs(), at.subsec_millis() / 100);
            words.paint(&time, &Paint::new().dim())
        }
        Layout::Plain | Layout::Json => String::new(),
    };
    let lead = words.lead(event);
    let message = words.of(event);
    let message =
        if matches!(event, Event::Output { .. }) { message.into() } else { bounds::capped(&message) };
    lines.push(format!("{clock}{lead}{message}"));
    lines
}

/// The lines of annotate-snippets, which replaces control characters itself.
fn rendered_lines(rendered: &str, colour: bool) -> impl Iterator<Item = String> {
    let text = if colour {
        terminal_filter::rendered(rendered)
    } else {
        terminal_filter::without_colour(rendered).into_owned()
    };
    text.trim_end().lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// The text of an event, without its step.
pub(crate) fn message(event: &Event, status: &StartupStatus) -> String {
    Words { colour: false, status, at: None }.of(event)
}

/// The level of an event.
pub(crate) fn level(event: &Event) -> LogLevel {
    match event {
        Event::Blocked { .. } | Event::StepFailed { blocking: true, .. } => LogLevel::Error,
        Event::Warning { .. }
        | Event::GateBypassed { .. }
        | Event::Remark { .. }
        | Event::ConfigWarnings { .. }
        | Event::StepFailed { .. }
        | Event::Stopping { .. }
        | Event::Retrying { .. } => LogLevel::Warn,
        Event::Judged { .. } | Event::SlowSchema { .. } => LogLevel::Debug,
        _ => LogLevel::Info,
    }
}

struct Words<'a> {
    colour: bool,
    status: &'a StartupStatus,
    /// None in JSON, which has a field for the time.
    at: Option<Duration>,
}

impl Words<'_> {
    /// The beginning of the line: `[3/8] tenant schemas: `.
    fn lead(&self, event: &Event) -> String {
        match event.step() {
            Some(step) => {
                let position = self.status.position(step);
                let lead = format!("[{}/{}] {}:", position.number, position.of, position.name);
                self.paint(&lead, &Paint::new().bold()) + " "
            }
            None => "portcullis: ".into(),
        }
    }

    fn of(&self, event: &Event) -> String {
        match event {
            Event::Started { run, role, steps } => {
                let role = role.as_ref().map(|role| format!(", role {role}")).unwrap_or_default();
                let steps = count(steps.len(), "step");
                format!("version {}, run {run}{role}, {steps}", env!("CARGO_PKG_VERSION"))
            }
            Event::StepStarted { .. } => "started".into(),
            Event::StepSkipped { reason, .. } => {
                format!("{}: {reason}", self.paint("skipped", &Paint::new().dim()))
            }
            Event::Output { stream, line, tenant, .. } => {
                let mark = if *stream == Stream::Out { "|" } else { "!" };
                let tenant = tenant.as_ref().map(|tenant| format!("{tenant} ")).unwrap_or_default();
                format!("{tenant}{mark} {}", terminal_filter::without_colour(line))
            }
            Event::Waiting { what, last, elapsed, .. } => {
                format!("waiting for {what} since {}: {last}", duration(*elapsed))
            }
            Event::Retrying { attempt, pause, why, .. } => {
                format!("attempt {attempt} failed: {why}; retrying in {}", duration(*pause))
            }
            Event::Progress { step, .. } => {
                let progress = self.status.steps.get(*step).and_then(|step| step.progress.as_ref());
                let at = self.at.unwrap_or_default();
                let words = |it: &Progress| progress::words(it, at.saturating_sub(it.since));
                progress.map(words).unwrap_or_default()
            }
            Event::Note { text, .. } => text.clone(),
            Event::SlowSchema { schema, took, failed, .. } => {
                let what = if *failed { "failed after" } else { "took" };
                format!("the migration of `{schema}` {what} {}", duration(*took))
            }
            Event::Judged { complete, accepted, incomplete, unproven, .. } => {
                let accepted = if *accepted == 0 { String::new() } else { format!("{accepted} accepted, ") };
                format!("{complete} complete, {accepted}{incomplete} incomplete, {unproven} not proven")
            }
            Event::GateBypassed { how, details, .. } => {
                let (what, why) = (failure::chain(&details.failure), how.words());
                format!("the gate is open, but not everything is complete: {what}; {why}")
            }
            Event::Warning { text, .. } | Event::Remark { text } => {
                format!("{} {text}", self.paint("warning:", &Paint::new().yellow().bold()))
            }
            Event::ConfigWarnings { rendered } => terminal_filter::without_colour(rendered).into_owned(),
            Event::StepDone { took: time, summary, .. } => {
                let ok = self.paint("ok", &Paint::new().green().bold());
                format!("{ok}: {summary} ({})", duration(*time))
            }
            Event::StepFailed { took: time, blocking, details, .. } => {
                let failed = if *blocking {
                    self.paint("failed", &Paint::new().red().bold())
                } else {
                    self.paint("failed, continuing", &Paint::new().yellow().bold())
                };
                format!("{failed}: {} ({})", failure::chain(&details.failure), duration(*time))
            }
            Event::Stopping { signal } => {
                format!("{}; stopping the running steps", wording::stopping(*signal))
            }
            Event::Blocked { details, .. } => failure::chain(&details.failure),
            Event::HandingOver { argv, took: time } => {
                // Without its arguments, which may contain a secret.
                let program = argv.first().map_or("", String::as_str);
                format!("ready after {}; starting {program}", duration(*time))
            }
            Event::Finished { took: time } => format!("done after {}; no server to start", duration(*time)),
        }
    }

    fn paint(&self, text: &str, paint: &Paint) -> String {
        terminal_filter::painted(text, paint, self.colour)
    }
}
