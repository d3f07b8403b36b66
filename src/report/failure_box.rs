//! The box that says what failed, why, which tenants, and what to type. 80 columns; rules above and below
//! only, so that commands can be pasted.

use console::Style;

use super::{
    advice::{Advice, advice},
    foreign, judgement,
};
use crate::{
    failure::{Failure, chain},
    outcome::{FailureDetails, SchemaFailure, wording},
    tenants::gate::Outcome,
};

pub(super) const WIDTH: usize = 80;
/// How many tenants the box lists; `verify --format json` lists all.
pub(super) const TENANTS: usize = 10;
/// How many of a child's last lines the box repeats.
const LINES: usize = 15;

/// The title of what ends a start-up.
pub(crate) const BLOCKED: &str = "THE SERVER WAS NOT STARTED";

/// `place` is the step's number, how many there are, and its name.
pub(crate) fn render(
    title: &str,
    place: Option<(usize, usize, &str)>,
    trouble: &FailureDetails,
    colour: bool,
) -> String {
    let red = Style::new().red().bold();
    let rule = foreign::painted("=".repeat(WIDTH), &red, colour);
    let code = format!("exit {} ({})", trouble.failure.code(), trouble.failure.id());
    let title = format!(" PORTCULLIS: {title}");
    let title = format!("{title}{code:>width$}", width = WIDTH - 1 - title.len());

    let mut text = format!("{rule}\n{}\n{rule}\n", foreign::painted(title, &red, colour));
    if let Some((number, of, name)) = place {
        fact(&mut text, "step", &format!("{number} of {of}: {name}"));
    }
    fact(&mut text, "what", &chain(&trouble.failure));
    if let Some(done) = &trouble.done {
        fact(&mut text, "done", done);
    }
    if let Some(judgement) = &trouble.judgement {
        for outcome in [Outcome::Incomplete, Outcome::Unproven] {
            list(&mut text, &judgement::lines(judgement, outcome, TENANTS));
        }
    }
    list(&mut text, &failures(&trouble.failed));
    if !trouble.output.is_empty() {
        text += "\n last lines of the command\n";
        let skip = trouble.output.len().saturating_sub(LINES);
        for line in &trouble.output[skip..] {
            text += &format!("   | {}\n", foreign::escaped(&foreign::without_colour(line)));
        }
    }
    if matches!(trouble.failure, Failure::Interrupted { .. }) {
        return text + &rule + "\n";
    }
    what_to_do(&mut text, &advice(trouble));
    text + &rule + "\n"
}

/// The likely cause, and what to type next.
pub(super) fn what_to_do(text: &mut String, advice: &Advice) {
    if let Some(cause) = advice.cause {
        text.push('\n');
        fact(text, "likely cause", cause);
    }
    *text += "\n what to do\n";
    for (index, action) in advice.actions.iter().enumerate() {
        wrap(text, &format!("   {}. ", index + 1), &action.text);
        if let Some(command) = &action.command {
            *text += &format!("        {}\n", foreign::escaped(command));
        }
    }
}

fn failures(failed: &[SchemaFailure]) -> Vec<String> {
    let mut lines = Vec::new();
    for failure in failed.iter().take(TENANTS) {
        lines.push(wording::name(failure.tenant.as_deref()).to_owned());
        if let Some(migration) = &failure.migration {
            lines.push(format!("  {:<15} {migration}", "migration"));
        }
        if let Some(place) = &failure.place {
            lines.push(format!("  {:<15} {place}", "at"));
        }
        lines.push(format!("  {:<15} {}", "why", failure.why));
        if failure.dirty {
            lines.push(format!("  {:<15} {}", "state", "dirty: it could not be rolled back"));
        }
    }
    if failed.len() > TENANTS {
        lines.push(format!("... and {} more", failed.len() - TENANTS));
    }
    lines
}

pub(super) fn fact(text: &mut String, name: &str, value: &str) {
    wrap(text, &format!(" {name:<13} "), value);
}

pub(super) fn list(text: &mut String, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push('\n');
    for line in lines {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let (label, value) = match (indent, content.split_at_checked(16)) {
            (2, Some((label, value))) => (label, value),
            _ => ("", content),
        };
        wrap(text, &format!("{}{label}", " ".repeat(indent + 3)), value);
    }
}

/// Appends `value` after `lead`, folded at spaces to the width, with the lead's width as indent.
fn wrap(text: &mut String, lead: &str, value: &str) {
    let indent = " ".repeat(lead.chars().count());
    let room = WIDTH - indent.len();
    let mut line = String::new();
    let mut first = true;
    let mut put = |line: &str| {
        *text += if first { lead } else { &indent };
        *text += line;
        text.push('\n');
        first = false;
    };
    for word in value.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            put(&line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    put(&line);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tenants::gate::{Finding, Judgement, Verdict};

    fn judgement(tenants: &[(&str, Finding)]) -> Judgement {
        let verdict = |finding: &Finding| Verdict { findings: vec![finding.clone()] };
        Judgement {
            shared: Some(Verdict::default()),
            tenants: tenants.iter().map(|(name, finding)| ((*name).to_owned(), verdict(finding))).collect(),
            orphans: Vec::new(),
            unfinished: Vec::new(),
            too_few: None,
        }
    }

    fn blocked(judgement: Judgement) -> FailureDetails {
        let summary = wording::summary(&judgement);
        FailureDetails { judgement: Some(judgement), ..FailureDetails::from(Failure::Incomplete { summary }) }
    }

    #[test]
    fn the_box_for_a_lying_ledger_names_tenant_table_and_command() {
        let finding =
            Finding::MissingTables { tables: vec!["finance_invoice".into()], dropped_by_newer: false };
        let text = render(
            BLOCKED,
            Some((6, 8, "every tenant is complete")),
            &blocked(judgement(&[("acme", finding)])),
            false,
        );
        insta::assert_snapshot!(text, @r#"
        ================================================================================
         PORTCULLIS: THE SERVER WAS NOT STARTED                     exit 1 (incomplete)
        ================================================================================
         step          6 of 8: every tenant is complete
         what          1 of 2 schemas incomplete

           acme
             table missing   finance_invoice (its ledger is complete)

         likely cause  tables were dropped or never made, though the ledger says that
                       they were

         what to do
           1. see exactly what is missing
                portcullis verify --tenant acme
           2. restore what is missing from a backup or the migration's own SQL
        ================================================================================
        "#);
    }

    #[test]
    fn the_box_for_a_failed_migration_shows_its_place_and_what_was_rolled_back() {
        let failed = SchemaFailure {
            tenant: Some("acme".into()),
            migration: Some("2 invoices".into()),
            place: Some("migrations/tenant/2_invoices.sql:3".into()),
            why: "relation \"finance_invoice\" already exists".into(),
            dirty: false,
        };
        let summary = "a migration failed in 1 schema".into();
        let trouble = FailureDetails {
            failed: vec![failed],
            done: Some("2 of 3 schemas migrated".into()),
            ..FailureDetails::from(Failure::MigrationFailed { summary })
        };
        insta::assert_snapshot!(render(BLOCKED, Some((3, 8, "tenant schemas")), &trouble, false), @r#"
        ================================================================================
         PORTCULLIS: THE SERVER WAS NOT STARTED               exit 1 (migration-failed)
        ================================================================================
         step          3 of 8: tenant schemas
         what          a migration failed in 1 schema
         done          2 of 3 schemas migrated

           acme
             migration       2 invoices
             at              migrations/tenant/2_invoices.sql:3
             why             relation "finance_invoice" already exists

         likely cause  what the migration makes stands there already: somebody deleted
                       its ledger row, or made it by hand

         what to do
           1. correct the cause, then apply again
                portcullis migrate --tenant acme
           2. or decide to serve the others: `on_failure = "warn"` on the step that
              migrates, and `[gate] incomplete = "quarantine"` with `max`, which keeps
              the server from those that fail
        ================================================================================
        "#);
    }

    #[test]
    fn the_box_for_a_command_repeats_its_last_lines() {
        let failure =
            Failure::CommandFailed { program: "collectstatic".into(), ended: "exited with 5".into() };
        let trouble =
            FailureDetails { output: vec!["no space left".into()], ..FailureDetails::from(failure) };
        insta::assert_snapshot!(render(BLOCKED, Some((7, 8, "static files")), &trouble, false), @r#"
        ================================================================================
         PORTCULLIS: THE SERVER WAS NOT STARTED                exit 79 (command-failed)
        ================================================================================
         step          7 of 8: static files
         what          `collectstatic` exited with 5

         last lines of the command
           | no space left

         what to do
           1. read the command's last lines above
        ================================================================================
        "#);
    }

    #[test]
    fn the_box_caps_its_list_and_never_exceeds_eighty_columns() {
        let pending =
            |n| Finding::Pending { migrations: (0..n).map(|id| format!("{id} a long name")).collect() };
        let names: Vec<String> = (0..30).map(|n| format!("tenant_with_quite_a_long_name_{n}")).collect();
        let tenants: BTreeMap<_, _> = names.iter().map(|name| (name.as_str(), pending(20))).collect();
        let tenants: Vec<_> = tenants.into_iter().collect();
        let text = render(BLOCKED, None, &blocked(judgement(&tenants)), false);
        assert!(text.contains("... and 20 more"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
