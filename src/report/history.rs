//! The record of runs as text, the newest run first.

use std::{collections::BTreeMap, time::Duration};

use super::terminal_filter;
use crate::{
    database::history::{Change, Exception, Run, Step},
    outcome::wording,
    words::{duration, hanging, list},
};

/// The number of digits of a release's digest that identifies it.
const RELEASE: usize = 12;
/// The maximum number of named tenants; JSON names all.
const NAMED: usize = 5;

pub(crate) fn text(runs: &[Run], columns: usize) -> String {
    if runs.is_empty() {
        return "no run has made a change yet\n".into();
    }
    runs.iter().map(|run| self::run(run, columns)).collect::<Vec<_>>().join("\n")
}

fn run(run: &Run, columns: usize) -> String {
    let end = match (&run.outcome, &run.at) {
        (Some(outcome), _) => {
            let code = run.exit_code.filter(|code| *code != 0).map(|code| format!(", exit {code}"));
            format!("{outcome}{}", code.unwrap_or_default())
        }
        (None, Some(at)) => {
            format!("running or killed: step `{}`, {} of {} tenants", at.step, at.done, at.total)
        }
        (None, None) => "running or killed".into(),
    };
    let role = run.role.as_ref().map(|role| format!(", role {role}")).unwrap_or_default();
    let release = run.release.get(..RELEASE).unwrap_or(&run.release);
    let head = format!("{}  run {}  {end}", run.started, run.id);
    let about = format!("release {release}, version {}{role}, host {}", run.version, run.host);
    let parts = run.steps.iter().map(step).chain(changes(&run.changes));
    let parts = [(String::new(), about)].into_iter().chain(parts).chain(run.exceptions.iter().map(exception));
    let mut lines = hanging("", 0, &head, columns);
    for (start, part) in parts {
        let start = format!("    {start}");
        lines.extend(hanging(&start, start.chars().count(), &part, columns));
    }
    lines.into_iter().map(|line| terminal_filter::line(&line)).collect()
}

/// The beginning of the line, to whose width further lines are indented, and its text.
type Part = (String, String);

fn step(step: &Step) -> Part {
    let time = duration(Duration::from_millis(step.milliseconds));
    (format!("{:<7} {time:>8}  ", step.outcome), format!("{}: {}", step.name, step.message))
}

/// One line for all tenants with the same changes.
fn changes(changes: &[Change]) -> Vec<Part> {
    let mut same: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    for change in changes {
        same.entry(&change.what).or_default().push(wording::name(change.tenant.as_deref()));
    }
    same.into_iter()
        .map(|(changes, schemas)| {
            ("changed ".to_owned(), format!("{}: {}", list(&schemas, NAMED), changes.join(", ")))
        })
        .collect()
}

fn exception(exception: &Exception) -> Part {
    let reason = exception.reason.as_ref().map(|reason| format!(", reason: {reason}")).unwrap_or_default();
    (
        String::new(),
        format!("{} of {}{reason}", exception.kind.to_uppercase(), list(&exception.tenants, NAMED)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::history::At;

    #[test]
    fn the_history_shows_the_steps_changes_and_outcome_of_each_run() {
        let change = |tenant: Option<&str>| Change {
            tenant: tenant.map(str::to_owned),
            what: vec!["2 invoices".into(), "3 totals".into()],
        };
        let done = Run {
            id: "cafe0001".into(),
            release: "0123456789abcdef".into(),
            version: "0.1.0".into(),
            role: Some("web".into()),
            host: "web-1".into(),
            started: "2026-11-23T20:00:00Z".into(),
            ended: Some("2026-11-23T20:00:09Z".into()),
            outcome: Some("incomplete".into()),
            exit_code: Some(1),
            steps: vec![Step {
                name: "tenant schemas".into(),
                milliseconds: 8_400,
                outcome: "ok".into(),
                message: "14 migrations applied to 7 schemas".into(),
            }],
            changes: (1..=7).map(|n| change(Some(&format!("t{n}")))).collect(),
            exceptions: vec![Exception {
                kind: "override".into(),
                reason: Some("acme pays".into()),
                tenants: vec!["acme".into()],
            }],
            ..Run::default()
        };
        let at = Some(At { step: "tenant schemas".into(), done: 412, total: 800 });
        let open = Run { id: "cafe0002".into(), host: "web-2".into(), at, ..Run::default() };
        insta::assert_snapshot!(text(&[done.clone(), open], usize::MAX), @r"
        2026-11-23T20:00:00Z  run cafe0001  incomplete, exit 1
            release 0123456789ab, version 0.1.0, role web, host web-1
            ok         8.4 s  tenant schemas: 14 migrations applied to 7 schemas
            changed t1, t2, t3, t4, t5 and 2 more: 2 invoices, 3 totals
            OVERRIDE of acme, reason: acme pays

          run cafe0002  running or killed: step `tenant schemas`, 412 of 800 tenants
            release , version , host web-2
        ");
        let narrow = text(&[done], 50);
        assert!(
            narrow.contains("  tenant schemas: 14\n                      migrations applied to 7\n"),
            "{narrow}"
        );
    }
}
