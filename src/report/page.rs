//! The page for browsers during the start-up. It refreshes itself until the server responds.

use std::time::Duration;

use super::startup_status::{Phase, StartupStatus, State, Step};
use super::terminal_filter;
use crate::{outcome::wording, words::duration};

const STYLE: &str = include_str!("page.css");
/// Polls the page; reloads it once the server responds.
const SCRIPT: &str = include_str!("page.js");

/// The maximum number of schemas; the log lists more.
const SCHEMAS: usize = 10;

/// Without details, the page names no step, tenant, table or command.
pub(crate) fn html(status: &StartupStatus, elapsed: Duration, hides_details: bool) -> String {
    if hides_details {
        let title = match status.phase {
            Phase::Starting => "Starting",
            Phase::Ready => "Ready",
            Phase::Blocked | Phase::Stopping => "Not available",
        };
        return document(status, title, &format!("<p>{}</p>", time(status, elapsed)), "");
    }
    let title = title(status);
    let steps: String = status.steps.iter().map(|step| row(step, status.phase, elapsed)).collect();
    let lines: Vec<String> = status.lines.iter().map(|line| escape(line)).collect();
    let lines = if lines.is_empty() {
        String::new()
    } else {
        format!("<h2>Last lines</h2><pre>{}</pre>", lines.join("\n"))
    };
    let role = status.role.as_ref().map(|role| format!(", role {}", escape(role))).unwrap_or_default();
    let content = format!(
        "<p>{over} of {total} steps, {time}</p>{failure}<ol>{steps}</ol>{lines}",
        over = status.over(),
        total = status.steps.len(),
        time = time(status, elapsed),
        failure = failure(status),
    );
    let footer = format!(
        "<footer>portcullis {version}, run {run}{role}</footer>",
        version = env!("CARGO_PKG_VERSION"),
        run = escape(&status.run),
    );
    document(status, &title, &content, &footer)
}

fn document(status: &StartupStatus, title: &str, content: &str, footer: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <meta name=viewport content=\"width=device-width\"><meta name=color-scheme content=\"light dark\">\
         <noscript><meta http-equiv=refresh content=2></noscript><style>{STYLE}</style>\
         <main class={phase}><h1>{title}</h1><p>{visitor}</p>{bar}{content}{footer}</main>\
         <script>{SCRIPT}</script></html>\n",
        title = escape(title),
        phase = status.phase.word(),
        visitor = for_visitors(status.phase),
        bar = bar(status),
    )
}

/// The sentence for people who wanted to use the application.
fn for_visitors(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "This application is starting. The page opens by itself as soon as it is ready.",
        Phase::Ready => "This application is ready. The page opens by itself.",
        Phase::Blocked => {
            "This application could not start, and its operators can see the reason. Please try again later."
        }
        Phase::Stopping => "This application is stopping. Please try again later.",
    }
}

/// The elapsed time, and the time that the running step probably needs.
fn time(status: &StartupStatus, elapsed: Duration) -> String {
    let left = status.steps.iter().filter(|step| matches!(step.state, State::Running)).find_map(|step| {
        let progress =
            step.progress.as_ref().filter(|progress| (1..progress.total).contains(&progress.done))?;
        let (done, rest) =
            (u32::try_from(progress.done).ok()?, u32::try_from(progress.total - progress.done).ok()?);
        elapsed.saturating_sub(step.since).checked_mul(rest).map(|time| time / done)
    });
    let left = left.map(|left| format!(", this step about {} more", duration(left))).unwrap_or_default();
    duration(status.took.unwrap_or(elapsed)) + &left
}

/// Escapes a text for HTML, also in an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Escaped colours of a child would be unreadable.
    for c in terminal_filter::escaped(&terminal_filter::without_colour(text)).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

fn title(status: &StartupStatus) -> String {
    match (status.phase, status.current()) {
        (Phase::Ready, _) => "Ready: the server starts".into(),
        (Phase::Blocked, _) => "The server was not started".into(),
        (Phase::Stopping, _) => "Stopping".into(),
        (Phase::Starting, Some(step)) => format!("Starting: {}", status.position(step).name),
        (Phase::Starting, None) => "Starting".into(),
    }
}

/// Each step is an equal part of the bar, and a step's progress fills its part.
fn bar(status: &StartupStatus) -> String {
    let own = |step: &Step| match (&step.progress, step.state) {
        (Some(progress), State::Running) if progress.total > 0 => progress.done * 1_000 / progress.total,
        _ => 0,
    };
    let done = status.over() * 1_000 + status.steps.iter().map(own).sum::<usize>();
    format!("<progress max={} value={done}></progress>", status.steps.len().max(1) * 1_000)
}

fn row(step: &Step, phase: Phase, elapsed: Duration) -> String {
    let time = match step.state {
        State::Running => duration(elapsed.saturating_sub(step.since)),
        _ => step.took.map(duration).unwrap_or_default(),
    };
    let progress = match (&step.progress, step.state) {
        (Some(progress), State::Running) => {
            format!(" <b>{} of {} {}</b>", progress.done, progress.total, escape(&progress.what))
        }
        _ => String::new(),
    };
    let word = match step.state {
        State::Todo if phase != Phase::Starting => "not run",
        state => state.word(),
    };
    format!(
        "<li class={state}><span>{name}</span> <i>{word}</i> <time>{time}</time>{progress}<small>{message}</small></li>",
        state = step.state.word(),
        name = escape(&step.name),
        message = escape(&step.message),
    )
}

/// The failure, the schemas and the next steps, as in the box.
fn failure(status: &StartupStatus) -> String {
    let Some(facts) = &status.facts else {
        return String::new();
    };
    let mut text = format!(
        "<section><p><b>{}</b> (exit {}, {})</p>",
        escape(&facts.what),
        facts.exit_code,
        facts.failure
    );
    for schema in facts.schemas.iter().take(SCHEMAS) {
        let name = wording::name(schema.tenant.as_deref());
        text += &format!("<p>{}: {}</p>", escape(name), escape(&schema.sentence()));
    }
    if facts.schemas.len() > SCHEMAS {
        text += &format!("<p>... and {} more</p>", facts.schemas.len() - SCHEMAS);
    }
    if let Some(cause) = facts.likely_cause {
        text += &format!("<p>Likely cause: {cause}</p>");
    }
    for (number, next) in (1..).zip(&facts.next) {
        let command = next.command.as_ref().map(|command| format!(" <code>{}</code>", escape(command)));
        text += &format!("<p>{number}. {}{}</p>", with_literals(&next.text), command.unwrap_or_default());
    }
    text + "</section>"
}

/// The escaped text, in which backticks become markup.
fn with_literals(text: &str) -> String {
    let parts = text.split('`').map(escape).enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<kbd>{part}</kbd>") } else { part }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outcome::event::Event, process::Stream, report::progress::Progress};

    #[test]
    fn the_output_of_a_child_never_becomes_markup() {
        let mut status = StartupStatus::default();
        let steps = vec!["<i>".to_owned()];
        status.apply(&Event::Started { run: "1".into(), role: None, steps }, Duration::ZERO);
        let line = "</pre><script>alert('x')</script>\u{1b}[1m".to_owned();
        let event = Event::Output { step: 0, stream: Stream::Out, tenant: None, line };
        status.apply(&event, Duration::ZERO);
        let html = html(&status, Duration::from_secs(1), false);
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), "{html}");
        assert_eq!(html.matches("<script>").count(), 1);
    }

    #[test]
    fn the_words_in_backticks_of_an_advice_are_markup() {
        let text = "set `a < b`, or `c`";
        assert_eq!(with_literals(text), "set <kbd>a &lt; b</kbd>, or <kbd>c</kbd>");
    }

    #[test]
    fn after_a_failure_the_other_steps_are_not_run() {
        let mut status = StartupStatus::default();
        let steps = vec!["one".to_owned(), "two".to_owned()];
        status.apply(&Event::Started { run: "1".into(), role: None, steps }, Duration::ZERO);
        assert!(html(&status, Duration::ZERO, false).contains("<span>two</span> <i>todo</i>"));
        status.phase = Phase::Blocked;
        assert!(html(&status, Duration::ZERO, false).contains("<span>two</span> <i>not run</i>"));
    }

    #[test]
    fn the_page_estimates_the_time_that_the_running_step_needs() {
        let mut status = StartupStatus::default();
        let steps = vec!["tenants".to_owned()];
        status.apply(&Event::Started { run: "1".into(), role: None, steps }, Duration::ZERO);
        status.apply(&Event::StepStarted { step: 0 }, Duration::from_secs(10));
        let progress = |done| Progress { done, total: 40, what: "tenants".into(), since: Duration::ZERO };
        let at = Duration::from_secs(20);
        for (done, expected) in [(0, "20 s"), (10, "20 s, this step about 30 s more"), (40, "20 s")] {
            status.steps[0].progress = Some(progress(done));
            assert_eq!(time(&status, at), expected, "{done}");
        }
    }
}
