//! The doctor's results as text, JSON and test cases.

use console::Style as Paint;
use serde_json::{Value, json};

use super::{
    advice::{Action, of_remedy},
    terminal_filter,
    test_suite::{TestCase, TestResult, TestSuite},
};
use crate::{
    outcome::doctor::{Checked, Remedy, Verdict},
    words::{count, hanging},
};

pub(crate) fn has_failed(checks: &[Checked]) -> bool {
    checks.iter().any(|check| matches!(check.verdict, Verdict::Failed(..)))
}

/// A command that does not fit behind its text has its own line, so that it can be pasted.
pub(crate) fn text(checks: &[Checked], columns: usize, colour: bool) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let (mut text, mut group) = (String::new(), "");
    for check in checks {
        if check.group != group {
            group = check.group;
            let gap = if text.is_empty() { "" } else { "\n" };
            text += &format!("{gap}{}\n", terminal_filter::painted(group, &Paint::new().bold(), colour));
        }
        let (word, paint) = match check.verdict {
            Verdict::Passed(_) => ("passed", Paint::new().green()),
            Verdict::Warned(..) => ("warned", Paint::new().yellow()),
            Verdict::Failed(..) => ("FAILED", Paint::new().red().bold()),
            Verdict::NotApplicable(_) => ("n/a", Paint::new().dim()),
        };
        let word = terminal_filter::painted(format!("{word:<6}"), &paint, colour);
        let indent = 2 + 6 + 2 + width + 2;
        let start = format!("  {word}  {:<width$}  ", check.name);
        let mut lines = hanging(&start, indent, check.verdict.message(), columns);
        for action in check.verdict.remedy().map(of_remedy).unwrap_or_default().actions {
            let start = format!("{:indent$}-> ", "");
            match action.command.as_deref() {
                Some(command) if indent + 3 + action.line().chars().count() > columns => {
                    lines.extend(hanging(&start, indent + 3, &action.text, columns));
                    lines.push(format!("{:indent$}     {command}", ""));
                }
                Some(_) => lines.push(start + &action.line()),
                None => lines.extend(hanging(&start, indent + 3, &action.text, columns)),
            }
        }
        text.extend(lines.iter().map(|line| terminal_filter::line(line)));
    }
    text + &format!("\n{}\n", summary(checks))
}

pub(crate) fn json(checks: &[Checked]) -> String {
    let one = |check: &Checked| {
        json!({
            "id": check.id,
            "group": check.group,
            "name": check.name,
            "outcome": check.verdict.word(),
            "message": check.verdict.message(),
            "remedy": check.verdict.remedy().map(remedy),
        })
    };
    let all: Value = json!({
        "outcome": if has_failed(checks) { "failed" } else { "passed" },
        "summary": summary(checks),
        "checks": checks.iter().map(one).collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

/// Each check as a test case.
pub(crate) fn test_suite(checks: &[Checked]) -> TestSuite<'_> {
    let cases = checks.iter().map(|check| TestCase {
        class: check.group,
        name: &check.id,
        result: match check.verdict.clone() {
            Verdict::Passed(message) => TestResult::Passed(message),
            Verdict::Warned(message, advice) => {
                TestResult::Passed(format!("warned: {message}; {}", remedy(&advice)))
            }
            Verdict::Failed(message, advice) => TestResult::Failed { message, remedy: remedy(&advice) },
            Verdict::NotApplicable(message) => TestResult::Skipped(message),
        },
    });
    TestSuite { name: "portcullis doctor", cases: cases.collect() }
}

/// The steps of the advice in one line.
fn remedy(remedy: &Remedy) -> String {
    of_remedy(remedy).actions.iter().map(Action::line).collect::<Vec<_>>().join("; ")
}

fn summary(checks: &[Checked]) -> String {
    let number = |word: &str| checks.iter().filter(|check| check.verdict.word() == word).count();
    format!(
        "{}: {} passed, {} warned, {} failed, {} not applicable",
        count(checks.len(), "check"),
        number("passed"),
        number("warned"),
        number("failed"),
        number("not_applicable"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Checked> {
        let check = |group, id: &'static str, name, verdict| Checked { group, id: id.into(), name, verdict };
        vec![
            check("configuration", "server", "server command", Verdict::failed("no `a<b>`", "install it")),
            check("configuration", "plan", "plan", Verdict::passed("3 steps")),
            check("database", "clock", "clock", Verdict::warned("9 s off", "run NTP")),
            check("database", "pooler", "pooler", Verdict::not_applicable("no connection")),
        ]
    }

    #[test]
    fn the_text_shows_each_outcome() {
        insta::assert_snapshot!(text(&checks(), usize::MAX, false), @r"
        configuration
          FAILED  server command  no `a<b>`
                                  -> install it
          passed  plan            3 steps

        database
          warned  clock           9 s off
                                  -> run NTP
          n/a     pooler          no connection

        4 checks: 1 passed, 1 warned, 1 failed, 1 not applicable
        ");
    }

    #[test]
    fn a_failed_check_is_a_failure_in_json_and_junit() {
        assert!(has_failed(&checks()));
        let message: Value = serde_json::from_str(&json(&checks())).unwrap_or_default();
        assert_eq!(
            (&message["outcome"], &message["checks"][0]["outcome"]),
            (&"failed".into(), &"failed".into())
        );
        let xml = crate::report::junit::render(&test_suite(&checks()));
        assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"no `a&lt;b&gt;`\">install it</failure>"), "{xml}");
    }
}
