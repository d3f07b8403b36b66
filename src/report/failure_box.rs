//! The box of a failure: the failure, its cause, the tenants and the next commands. It has 80 columns, and rules only
//! above and below, so that commands can be pasted.

use console::Style;

use super::{
    failure_report::{FailureReport, Line, ReportedSchema},
    running::Running,
    terminal_filter,
};
use crate::{
    outcome::{FailureDetails, wording},
    words,
};

pub(super) const WIDTH: usize = 80;
/// The maximum number of groups of schemas with the same findings, and of names in a group, except with `verify --all`.
pub(super) const LISTED: usize = 10;
/// The number of a child's last lines in the box.
const LINES: usize = 15;
/// The width of a finding's label.
const LABEL: usize = 16;

/// The box of a command that failed.
pub(crate) fn of_command(
    details: &FailureDetails,
    running: Running,
    lists_all: bool,
    colour: bool,
) -> String {
    let listed = if lists_all { usize::MAX } else { LISTED };
    boxed(running.title(), &FailureReport::of(None, details, running), listed, colour)
}

pub(crate) fn render(title: &str, facts: &FailureReport, colour: bool) -> String {
    boxed(title, facts, LISTED, colour)
}

fn boxed(title: &str, facts: &FailureReport, listed: usize, colour: bool) -> String {
    let code = format!("exit {} ({})", facts.exit_code, facts.failure);
    let mut text = head(title, &code, &Style::new().red().bold(), colour);
    body(&mut text, facts, None, listed);
    if !facts.next.is_empty() {
        what_to_do(&mut text, facts);
    }
    text + &rule(&Style::new().red().bold(), colour)
}

/// The title between two rules.
pub(super) fn head(title: &str, right: &str, paint: &Style, colour: bool) -> String {
    let title = format!(" PORTCULLIS: {title}");
    let title = format!("{title}{right:>width$}", width = (WIDTH - 1).saturating_sub(title.len()));
    let rule = rule(paint, colour);
    format!("{rule}{}\n{rule}", terminal_filter::painted(title, paint, colour))
}

pub(super) fn rule(paint: &Style, colour: bool) -> String {
    format!("{}\n", terminal_filter::painted("=".repeat(WIDTH), paint, colour))
}

/// The step, the failure, the schemas, and the last lines of the command.
pub(super) fn body(text: &mut String, facts: &FailureReport, why_open: Option<&str>, listed: usize) {
    if let Some(step) = &facts.step {
        fact(text, "step", &format!("{} of {}: {}", step.number, step.of, step.name));
    }
    fact(text, "what", &facts.what);
    if let Some(why) = why_open {
        fact(text, "why open", why);
    }
    if let Some(done) = &facts.done {
        fact(text, "done", done);
    }
    schemas(text, &facts.schemas, listed);
    if !facts.output.is_empty() {
        *text += "\n last lines of the command\n";
        let skip = facts.output.len().saturating_sub(LINES);
        for line in &facts.output[skip..] {
            *text += &format!("   | {}\n", terminal_filter::escaped(&terminal_filter::without_colour(line)));
        }
    }
}

/// The likely cause and the next steps.
pub(super) fn what_to_do(text: &mut String, facts: &FailureReport) {
    if let Some(cause) = facts.likely_cause {
        text.push('\n');
        fact(text, "likely cause", cause);
    }
    *text += "\n what to do\n";
    for (index, action) in facts.next.iter().enumerate() {
        wrap(text, &format!("   {}. ", index + 1), &action.text);
        if let Some(command) = &action.command {
            *text += &format!("        {}\n", terminal_filter::escaped(command));
        }
    }
}

/// Groups schemas with the same findings.
fn schemas(text: &mut String, schemas: &[ReportedSchema], listed: usize) {
    let mut groups: Vec<(&[Line], Vec<&str>)> = Vec::new();
    let mut left_out = 0;
    for schema in schemas {
        let name = wording::name(schema.tenant.as_deref());
        match groups.iter().position(|(findings, _)| *findings == schema.findings) {
            Some(index) => groups[index].1.push(name),
            None if groups.len() == listed => left_out += 1,
            None => groups.push((&schema.findings, vec![name])),
        }
    }
    if !groups.is_empty() {
        text.push('\n');
    }
    for (findings, names) in groups {
        let count = if names.len() > 1 { words::count(names.len(), "schema") + ": " } else { String::new() };
        wrap(text, "   ", &(count + &words::list(&names, listed)));
        for Line { label, text: words } in findings {
            wrap(text, &format!("     {label:<LABEL$}"), words);
        }
    }
    if left_out > 0 {
        *text += &format!("   ... and {left_out} more (`verify --all` lists all)\n");
    }
}

fn fact(text: &mut String, name: &str, value: &str) {
    wrap(text, &format!(" {name:<13} "), value);
}

/// Appends `lead` and `value`, wrapped at spaces, with the lead's width as indent.
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
    use crate::{
        cause::{Cause, Code, Kind},
        failure::Failure,
        outcome::SchemaFailure,
        report::failure_report::StepPosition,
        tenants::gate::{Finding, Judgement, Verdict},
    };

    fn boxed(step: Option<(usize, &str)>, details: &FailureDetails) -> String {
        let position = step.map(|(number, name)| StepPosition { number, of: 8, name: name.into() });
        render(Running::Run.title(), &FailureReport::of(position, details, Running::Run), false)
    }

    fn judgement(tenants: &[(&str, Finding)]) -> Judgement {
        let verdict = |finding: &Finding| Verdict { findings: vec![finding.clone()] };
        Judgement {
            shared: Some(Verdict::default()),
            tenants: tenants.iter().map(|(name, finding)| ((*name).to_owned(), verdict(finding))).collect(),
            ..Judgement::default()
        }
    }

    fn blocked(judgement: Judgement) -> FailureDetails {
        let counts = wording::counts(&judgement);
        FailureDetails { judgement: Some(judgement), ..FailureDetails::from(Failure::Incomplete { counts }) }
    }

    #[test]
    fn the_box_for_a_lying_ledger_shows_the_tenant_the_table_and_the_command() {
        let finding =
            Finding::MissingTables { tables: vec!["finance_invoice".into()], dropped_by_newer: false };
        let text = boxed(Some((6, "every tenant is complete")), &blocked(judgement(&[("acme", finding)])));
        insta::assert_snapshot!(text, @r#"
        ================================================================================
         PORTCULLIS: THE SERVER WAS NOT STARTED                     exit 1 (incomplete)
        ================================================================================
         step          6 of 8: every tenant is complete
         what          1 of 2 schemas incomplete

           acme
             table missing   finance_invoice (its ledger is complete)

         likely cause  tables were dropped or never created, although the ledger records
                       them as created

         what to do
           1. see exactly what is missing in acme
                portcullis verify acme
           2. create what is missing in acme (`--print-sql` instead of `--restore` shows
              the SQL); lost rows come from a backup alone
                portcullis repair --restore acme
        ================================================================================
        "#);
    }

    #[test]
    fn the_box_for_a_failed_migration_shows_its_place_and_its_cause() {
        let failed = SchemaFailure {
            tenant: Some("acme".into()),
            migration: Some("2 invoices".into()),
            place: Some("migrations/tenant/2_invoices.sql:3".into()),
            why: Cause {
                kind: Kind::Exists,
                code: Code::sqlstate("42P07"),
                text: "relation \"finance_invoice\" already exists".into(),
            },
            ..SchemaFailure::default()
        };
        let details = FailureDetails {
            failed: vec![failed],
            done: Some("2 of 3 schemas migrated".into()),
            ..FailureDetails::from(Failure::MigrationFailed { failed: 1, unmigratable: 0 })
        };
        insta::assert_snapshot!(boxed(Some((3, "tenant schemas")), &details), @r#"
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

         likely cause  the object exists already: the ledger row of the migration was
                       deleted, or the object was created by hand

         what to do
           1. acme: if the object differs from the migration's, drop it; if it is the
              same, restore the migration's ledger row
           2. then apply again in acme
                portcullis migrate acme
           3. or serve only the complete tenants: set `on_failure = "warn"` on the step
              that migrates, and `[gate] incomplete = "quarantine"` with
              `max_quarantined`
        ================================================================================
        "#);
    }

    #[test]
    fn the_box_for_a_command_shows_its_last_lines() {
        let failure =
            Failure::CommandFailed { program: "collectstatic".into(), ended: "exited with 5".into() };
        let details =
            FailureDetails { output: vec!["no space left".into()], ..FailureDetails::from(failure) };
        insta::assert_snapshot!(boxed(Some((7, "static files")), &details), @r#"
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
    fn the_box_limits_its_list_and_its_width() {
        let pending =
            |n| Finding::Pending { migrations: (0..n).map(|id| format!("{id} a long name")).collect() };
        let names: Vec<String> = (0..30).map(|n| format!("tenant_with_quite_a_long_name_{n}")).collect();
        let tenants: BTreeMap<_, _> = names.iter().map(|name| (name.as_str(), pending(20))).collect();
        let tenants: Vec<_> = tenants.into_iter().collect();
        let text = boxed(None, &blocked(judgement(&tenants)));
        assert!(text.contains("and 20\n   more"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
