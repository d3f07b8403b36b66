//! The facts of a failure in few bytes, the most useful first: the termination message of Kubernetes, and the end of a
//! log whose box is longer than Kubernetes shows.

use super::failure_report::FailureReport;
use crate::outcome::wording;

/// The maximum number of a child's last lines.
const LINES: usize = 8;

/// At most `limit` bytes of complete characters, with line ends.
pub(crate) fn short_report(facts: &FailureReport, limit: usize) -> String {
    let mut text = head(facts);
    let tail = output(facts);
    let schemas: Vec<String> = facts.schemas.iter().map(schema).collect();
    // The head has priority over the list, and the list over the child's last lines.
    let room = limit.saturating_sub(text.len());
    text += &fitting(&schemas, room);
    for line in tail {
        if text.len() + line.len() <= limit {
            text += &line;
        }
    }
    text.truncate(text.floor_char_boundary(limit));
    text
}

fn head(facts: &FailureReport) -> String {
    let place =
        facts.step.as_ref().map(|step| format!(" in step {} of {}, {}", step.number, step.of, step.name));
    let mut text = format!(
        "portcullis: exit {} ({}){}: {}\n",
        facts.exit_code,
        facts.failure,
        place.unwrap_or_default(),
        facts.what
    );
    for action in &facts.next {
        text += &format!("next: {}\n", action.line());
    }
    if let Some(cause) = facts.likely_cause {
        text += &format!("likely cause: {cause}\n");
    }
    if let Some(done) = &facts.done {
        text += &format!("done: {done}\n");
    }
    text
}

fn schema(schema: &super::failure_report::ReportedSchema) -> String {
    format!("{}: {}\n", wording::name(schema.tenant.as_deref()), schema.sentence())
}

/// As many lines as fit into `room`, and the number of omitted lines.
fn fitting(lines: &[String], room: usize) -> String {
    let total: usize = lines.iter().map(String::len).sum();
    if total <= room {
        return lines.concat();
    }
    let more = |left: usize| format!("... and {left} more\n");
    let room = room.saturating_sub(more(lines.len()).len());
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if text.len() + line.len() > room {
            if index == 0 {
                // A single long line is cut instead of omitted.
                text += line[..line.floor_char_boundary(room.saturating_sub(1))].trim_end();
                text.push('\n');
                return if lines.len() > 1 { text + &more(lines.len() - 1) } else { text };
            }
            return text + &more(lines.len() - index);
        }
        text += line;
    }
    text
}

fn output(facts: &FailureReport) -> impl Iterator<Item = String> {
    let skip = facts.output.len().saturating_sub(LINES);
    facts.output[skip..].iter().map(|line| format!("| {line}\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{
        advice::Action,
        failure_report::{Line, ReportedSchema, StepPosition},
    };

    fn facts(schemas: Vec<(String, String)>, what: &str) -> FailureReport {
        let schema = |(name, finding)| ReportedSchema {
            tenant: Some(name),
            findings: vec![Line { label: "table missing", text: finding }],
        };
        FailureReport {
            exit_code: 1,
            failure: "incomplete",
            step: Some(StepPosition { number: 6, of: 8, name: "every tenant is complete".into() }),
            what: what.into(),
            done: None,
            schemas: schemas.into_iter().map(schema).collect(),
            likely_cause: Some("tables were dropped"),
            next: vec![Action { text: "see".into(), command: Some("portcullis verify".into()) }],
            output: vec!["last line".into()],
        }
    }

    #[test]
    fn the_most_useful_facts_come_first() {
        let text = short_report(&facts(vec![("acme".into(), "invoice".into())], "1 incomplete"), 4_096);
        insta::assert_snapshot!(text, @r"
        portcullis: exit 1 (incomplete) in step 6 of 8, every tenant is complete: 1 incomplete
        next: see: portcullis verify
        likely cause: tables were dropped
        acme: table missing: invoice
        | last line
        ");
    }

    #[test]
    fn tenants_that_do_not_fit_are_counted() {
        let schemas = (0..10_000).map(|n| (format!("tenant_{n}"), "2 invoices".to_owned())).collect();
        let text = short_report(&facts(schemas, "10000 incomplete"), 2_048);
        assert!(text.len() <= 2_048);
        let listed = text.lines().filter(|line| line.starts_with("tenant_")).count();
        assert!(text.contains(&format!("... and {} more\n", 10_000 - listed)), "{text}");
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn the_report_fits_its_limit_and_has_complete_characters(
            names in proptest::collection::vec("[a-zé☃]{1,60}", 0..80),
            what in "[ -~é☃\u{1F600}]{0,3000}",
            limit in 200_usize..4_096,
        ) {
            let schemas = names.into_iter().map(|name| (name.clone(), name.repeat(9))).collect();
            let text = short_report(&facts(schemas, &what), limit);
            prop_assert!(text.len() <= limit);
            prop_assert!(text.starts_with("portcullis: exit 1 (incomplete)"));
        }
    }
}
