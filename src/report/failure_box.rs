//! The box of a failure: the failure, its cause, the tenants and the next commands. It is as wide as the terminal, and
//! has rules only above and below, so that commands can be pasted.

use console::Style;

use super::{
    failure_report::{FailureReport, Line, ReportedSchema},
    running::Running,
    terminal_filter,
};
use crate::{
    outcome::{FailureDetails, event::Bypass, wording},
    words,
};

/// The width of a box that is not read on a terminal.
pub(crate) const COLUMNS: usize = 80;
/// The page that explains every identifier. A build for users whose documentation is a website names the website.
const FAILURES: &str = match option_env!("PORTCULLIS_FAILURES_PAGE") {
    Some(url) => url,
    None => "docs/failures.md",
};
/// The maximum number of groups of schemas with the same findings, and of names in a group, except with `verify --all`.
const LISTED: usize = 10;
/// The number of a child's last lines in the box.
const LINES: usize = 15;
/// The width of a finding's label.
const LABEL: usize = 16;

/// The box of a command that failed.
pub(crate) fn of_command(
    details: &FailureDetails,
    running: Running,
    lists_all: bool,
    columns: usize,
    colour: bool,
) -> String {
    let listed = if lists_all { usize::MAX } else { LISTED };
    boxed(running.title(), &FailureReport::of(None, details, running), listed, columns, colour)
}

pub(crate) fn render(title: &str, facts: &FailureReport, columns: usize, colour: bool) -> String {
    boxed(title, facts, LISTED, columns, colour)
}

fn boxed(title: &str, facts: &FailureReport, listed: usize, columns: usize, colour: bool) -> String {
    let code = format!("exit {} ({})", facts.exit_code, facts.failure);
    let mut text = TextBox::new(title, &code, &Style::new().red().bold(), columns, colour);
    text.add_facts(facts, None, listed);
    if !facts.next.is_empty() {
        text.add_advice(facts);
    }
    text.text.push('\n');
    text.fact("explained in", &format!("{FAILURES}#{}", facts.failure));
    text.finished()
}

/// The box of a bypassed gate: which bypass opened it, which schemas are not complete, and what to do.
pub(crate) fn of_bypass(how: &Bypass, facts: &FailureReport, columns: usize, colour: bool) -> String {
    let title = if facts.failure == "incompatible" {
        "THE GATE IS OPEN, BUT THE RELEASE THAT SERVES MAY BREAK"
    } else {
        "THE GATE IS OPEN, BUT NOT EVERYTHING IS COMPLETE"
    };
    let mut text = TextBox::new(title, how.word(), &Style::new().yellow().bold(), columns, colour);
    text.add_facts(facts, Some(&how.words()), LISTED);
    text.add_advice(facts);
    text.finished()
}

/// The text of a box.
struct TextBox {
    text: String,
    columns: usize,
    rule: String,
}

impl TextBox {
    /// The title between two rules.
    fn new(title: &str, right: &str, paint: &Style, columns: usize, colour: bool) -> Self {
        let rule = format!("{}\n", terminal_filter::painted("=".repeat(columns), paint, colour));
        let title = format!(" PORTCULLIS: {title}");
        let room = (columns - 1).saturating_sub(title.len());
        let title = terminal_filter::painted(format!("{title}{right:>room$}"), paint, colour);
        Self { text: format!("{rule}{title}\n{rule}"), columns, rule }
    }

    fn finished(self) -> String {
        self.text + &self.rule
    }

    /// The step, the failure, the schemas, and the last lines of the command.
    fn add_facts(&mut self, facts: &FailureReport, why_open: Option<&str>, listed: usize) {
        if let Some(step) = &facts.step {
            self.fact("step", &format!("{} of {}: {}", step.number, step.of, step.name));
        }
        self.fact("what", &facts.what);
        if let Some(why) = why_open {
            self.fact("why open", why);
        }
        if let Some(done) = &facts.done {
            self.fact("done", done);
        }
        self.add_schemas(&facts.schemas, listed);
        if !facts.output.is_empty() {
            self.text += "\n last lines of the command\n";
            let skip = facts.output.len().saturating_sub(LINES);
            for line in &facts.output[skip..] {
                let line = terminal_filter::without_colour(line);
                self.text += &format!("   | {}\n", terminal_filter::escaped(&line));
            }
        }
    }

    /// The likely cause and the next steps.
    fn add_advice(&mut self, facts: &FailureReport) {
        if let Some(cause) = facts.likely_cause {
            self.text.push('\n');
            self.fact("likely cause", cause);
        }
        self.text += "\n what to do\n";
        for (index, action) in facts.next.iter().enumerate() {
            self.wrap(&format!("   {}. ", index + 1), &action.text);
            if let Some(command) = &action.command {
                self.text += &format!("        {}\n", terminal_filter::escaped(command));
            }
        }
    }

    /// Groups schemas with the same findings.
    fn add_schemas(&mut self, schemas: &[ReportedSchema], listed: usize) {
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
            self.text.push('\n');
        }
        for (findings, names) in groups {
            let count =
                if names.len() > 1 { words::count(names.len(), "schema") + ": " } else { String::new() };
            self.wrap("   ", &(count + &words::list(&names, listed)));
            for Line { label, text: words } in findings {
                self.wrap(&format!("     {label:<LABEL$}"), words);
            }
        }
        if left_out > 0 {
            self.text += &format!("   ... and {left_out} more (`verify --all` lists all)\n");
        }
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.wrap(&format!(" {name:<13} "), value);
    }

    /// Appends `lead` and `value`, wrapped at spaces, with the lead's width as indent.
    fn wrap(&mut self, lead: &str, value: &str) {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in words::hanging(lead, lead.chars().count(), &value, self.columns) {
            self.text += &(line + "\n");
        }
    }
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
        render(Running::Run.title(), &FailureReport::of(position, details, Running::Run), 80, false)
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

         explained in  docs/failures.md#incomplete
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

         explained in  docs/failures.md#migration-failed
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

         explained in  docs/failures.md#command-failed
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
        let facts = FailureReport::of(None, &blocked(judgement(&tenants)), Running::Run);
        let lines = |columns: usize| {
            let text = render(Running::Run.title(), &facts, columns, false);
            assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains("and 20 more"), "{text}");
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert_eq!(longest, Some(columns), "{text}");
            text.lines().count()
        };
        assert!(lines(60) > lines(80) && lines(80) > lines(140));
    }
}
