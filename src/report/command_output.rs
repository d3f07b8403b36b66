//! Renders a command's result in the requested format: the only place where results become text.

use serde::Serialize;
use serde_json::json;

use super::{
    advice, compat, detect, doctor, failure_box,
    failure_report::FailureReport,
    github::annotation,
    history, judgement, junit, migration_plan, plan, repair,
    running::Running,
    streams::{self, Stream},
    tenants, terminal_filter,
};
use crate::{
    cli::Format,
    database::history::Run,
    failure::Failure,
    outcome::{
        FailureDetails,
        command::{
            ConfigChecked, ConfigWritten, ManifestMade, ManifestProblem, Migrated, MissingProgram, Repairs,
            TenantOutcome, Verified,
        },
        compat::Compared,
        detect::Detected,
        doctor::Checked,
        token::DatabaseToken,
        wording,
    },
    plan::Plan,
    words::{count, rfc3339},
};

/// A command's output and its exit code.
#[derive(Debug, Default)]
pub(crate) struct CommandOutput {
    /// For standard output.
    pub(crate) text: String,
    /// For standard error.
    pub(crate) failure: Option<FailureDetails>,
    pub(crate) code: u8,
    /// The box lists every schema.
    pub(crate) lists_all: bool,
    /// The text is a secret that was requested, and is not masked.
    pub(crate) is_secret: bool,
}

/// A result that can be shown.
pub(crate) trait Render {
    /// `colour` is that of standard output.
    fn render(self, format: Format, colour: bool) -> CommandOutput;
}

impl CommandOutput {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn bad(failure: FailureDetails) -> Self {
        Self { code: failure.failure.code(), failure: Some(failure), ..Self::default() }
    }

    pub(crate) fn code(code: u8) -> Self {
        Self { code, ..Self::default() }
    }

    /// The output for a result, or for the failure.
    pub(crate) fn of<T: Render>(
        result: Result<T, impl Into<FailureDetails>>,
        format: Format,
        colour: bool,
    ) -> Self {
        match result {
            Ok(value) => value.render(format, colour),
            Err(failure) => Self::bad(failure.into()),
        }
    }

    /// The output with this text, and with the failure if any.
    fn with(text: String, failure: Option<FailureDetails>) -> Self {
        Self { text, ..failure.map_or_else(Self::default, Self::bad) }
    }

    fn without_box(self) -> Self {
        Self { failure: None, ..self }
    }

    /// For standard error.
    pub(crate) fn error_text(&self, running: Running, colour: bool) -> Option<String> {
        let details = self.failure.as_ref()?;
        let problems = match &details.failure {
            Failure::ConfigInvalid { rendered, .. } => format!("{}\n", terminal_filter::rendered(rendered)),
            _ => String::new(),
        };
        let columns = Stream::Err.columns(failure_box::COLUMNS);
        Some(problems + &failure_box::of_command(details, running, self.lists_all, columns, colour))
    }
}

fn pretty(value: &impl Serialize) -> String {
    // All keys are texts, so that serializing always succeeds.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

impl Render for String {
    fn render(self, _: Format, _: bool) -> CommandOutput {
        CommandOutput::good(self)
    }
}

impl Render for DatabaseToken {
    fn render(self, format: Format, _: bool) -> CommandOutput {
        let text = match format {
            Format::Json => pretty(&json!({
                "password": self.password.expose(),
                "expires": self.expires.map(rfc3339),
                "server": self.host,
                "user": self.user,
                "source": self.source,
            })),
            _ => format!("{}\n", self.password.expose()),
        };
        CommandOutput { is_secret: true, ..CommandOutput::good(text) }
    }
}

/// A yes or no with its reason.
impl Render for (bool, String) {
    fn render(self, _: Format, _: bool) -> CommandOutput {
        CommandOutput { code: u8::from(!self.0), ..CommandOutput::good(self.1 + "\n") }
    }
}

impl Render for ConfigChecked {
    fn render(self, _: Format, colour: bool) -> CommandOutput {
        let gap = if self.warnings.is_empty() { "" } else { "\n" };
        let steps = count(self.steps, "step");
        let mut missing = plan::missing_programs(&self.missing, colour);
        let refused = match self.manifest {
            Some(ManifestProblem::Refused(failure)) => Some(failure.into()),
            Some(problem) => {
                missing += &plan::manifest_problem(&problem, colour);
                None
            }
            None => None,
        };
        let password =
            self.password.map_or_else(String::new, |source| format!("; the password is from {source}"));
        let path = self.path.display();
        let text = format!("{}{gap}{path}: valid, {steps}{password}\n{missing}", self.warnings);
        CommandOutput::with(text, refused)
    }
}

impl Render for ConfigWritten {
    fn render(self, _: Format, _: bool) -> CommandOutput {
        let found = if self.found.is_empty() {
            "nothing; docs/quick-start.md has a file for each kind of project".to_owned()
        } else {
            self.found.join(", ")
        };
        let mut text = terminal_filter::line(&format!("{}: written", self.path.display()));
        text += &terminal_filter::line(&format!("  found: {found}"));
        text += "next:\n  portcullis check              validates it\n  portcullis plan               shows a start\n";
        if let Some(manifest) = self.manifest {
            text += &format!("  {manifest:<28}  when the image is built\n");
        }
        CommandOutput::good(text)
    }
}

impl Render for Detected {
    fn render(self, format: Format, _: bool) -> CommandOutput {
        let text = if format == Format::Json {
            pretty(&self)
        } else {
            detect::text(&self, Stream::Out.columns(usize::MAX))
        };
        let none = u8::from(self.ledgers.is_empty());
        let output = CommandOutput::with(text, self.failure.map(Into::into));
        CommandOutput { code: output.code.max(none), ..output }
    }
}

/// A plan, its missing programs, the problem of its manifest, and the warnings of the file.
impl Render for (Plan, Vec<MissingProgram>, Option<ManifestProblem>, String) {
    fn render(self, format: Format, colour: bool) -> CommandOutput {
        let (plan, missing, manifest, warnings) = self;
        if format == Format::Json {
            return CommandOutput::good(pretty(&plan::json(&plan, &missing, manifest.as_ref())));
        }
        let gap = if warnings.is_empty() { "" } else { "\n" };
        let text = plan::text(&plan, &missing, Stream::Out.columns(streams::COLUMNS), colour);
        let manifest = manifest.map(|problem| plan::manifest_problem(&problem, colour)).unwrap_or_default();
        CommandOutput::good(warnings + gap + &text + &manifest)
    }
}

impl Render for Vec<Run> {
    fn render(self, format: Format, _: bool) -> CommandOutput {
        match format {
            Format::Json => CommandOutput::good(pretty(&json!(self))),
            _ => CommandOutput::good(history::text(&self, Stream::Out.columns(usize::MAX))),
        }
    }
}

impl Render for Vec<Checked> {
    fn render(self, format: Format, colour: bool) -> CommandOutput {
        let text = match format {
            Format::Json => doctor::json(&self),
            Format::Junit => junit::render(&doctor::test_suite(&self)),
            Format::Text | Format::Github => doctor::text(&self, Stream::Out.columns(usize::MAX), colour),
        };
        CommandOutput { code: u8::from(doctor::has_failed(&self)), ..CommandOutput::good(text) }
    }
}

impl Render for Verified {
    fn render(self, format: Format, _: bool) -> CommandOutput {
        let Self { judgement, stale, app, quiet, lists_all } = self;
        let warning = |text: String| match format {
            Format::Github => format!("{}\n", annotation("warning", "portcullis", &text)),
            _ => terminal_filter::line(&format!("warning: {text}")),
        };
        let warning_lines: String =
            wording::warnings(&judgement).into_iter().chain(stale).map(warning).collect();
        let (complete_output, warnings) = match format {
            Format::Json => {
                let mut everything = judgement::json(&judgement);
                everything.advice = Some(advice::of_gate(&judgement, Running::Verify).into());
                (Some(pretty(&everything)), String::new())
            }
            Format::Junit => (Some(junit::render(&judgement::test_suite(&judgement))), String::new()),
            Format::Github => (None, judgement::annotations(&judgement) + &warning_lines),
            Format::Text => (None, warning_lines),
        };
        let of_app = app.map(|app| format!(" (only the app `{app}`)")).unwrap_or_default();
        let output = match FailureDetails::unless_complete(judgement) {
            Ok(_) if quiet => CommandOutput::good(""),
            Ok(summary) => CommandOutput::good(format!("{warnings}complete: {summary}{of_app}\n")),
            Err(failure) => CommandOutput { text: warnings, lists_all, ..CommandOutput::bad(failure) },
        };
        match complete_output {
            Some(text) => CommandOutput { text, ..output.without_box() },
            None => output,
        }
    }
}

impl Render for Compared {
    fn render(self, format: Format, _: bool) -> CommandOutput {
        let text = match format {
            Format::Json => pretty(&compat::json(&self)),
            Format::Github => compat::annotations(&self),
            Format::Text | Format::Junit => compat::text(&self, Stream::Out.columns(streams::COLUMNS)),
        };
        CommandOutput { code: u8::from(!compat::is_good(&self)), ..CommandOutput::good(text) }
    }
}

impl Render for Migrated {
    fn render(self, format: Format, _: bool) -> CommandOutput {
        match self {
            Self::Pending(judgement) if format == Format::Json => {
                CommandOutput::good(pretty(&judgement::json(&judgement)))
            }
            Self::Planned(plan) if format == Format::Json => CommandOutput::good(pretty(&plan.json())),
            Self::Planned(plan) => CommandOutput::good(migration_plan::text(&plan)),
            Self::Applied { parts, failure } if format == Format::Json => {
                let one = |(part, summary): &(&str, String)| json!({ "part": part, "summary": summary });
                let text = pretty(&json!({
                    "outcome": if failure.is_some() { "failed" } else { "done" },
                    "parts": parts.iter().map(one).collect::<Vec<_>>(),
                    "failure": failure.as_ref().map(|details| FailureReport::of(None, details, Running::Migrate)),
                }));
                CommandOutput::with(text, failure).without_box()
            }
            Self::Applied { parts, failure } => {
                let text = parts
                    .iter()
                    .fold(String::new(), |text, (part, summary)| text + &format!("{part}: {summary}\n"));
                CommandOutput::with(text, failure)
            }
            Self::Pending(judgement) => {
                let text = tenants::findings(&judgement);
                CommandOutput::good(if text.is_empty() { "nothing pending\n".into() } else { text })
            }
        }
    }
}

impl Render for Repairs {
    fn render(self, format: Format, _: bool) -> CommandOutput {
        let text = match format {
            Format::Json => pretty(&repair::json(&self.tenants)),
            _ => repair::summary(&self.tenants, self.app.as_deref(), self.dry_run),
        };
        let output =
            CommandOutput::with(text, self.tenants.into_iter().find_map(|(_, repaired)| repaired.details));
        if format == Format::Json { output.without_box() } else { output }
    }
}

impl Render for ManifestMade {
    fn render(self, _: Format, _: bool) -> CommandOutput {
        let (name, release) = (self.path.display(), self.release);
        let Some([shared, tenant]) = self.written else {
            return CommandOutput::good(format!("{name}: up to date, release {release}\n"));
        };
        let counts =
            |(migrations, tables)| format!("{}, {}", count(migrations, "migration"), count(tables, "table"));
        CommandOutput::good(format!(
            "{name}: written, release {release}\n  shared: {}\n  tenant: {}\n",
            counts(shared),
            counts(tenant)
        ))
    }
}

impl Render for TenantOutcome {
    fn render(self, format: Format, colour: bool) -> CommandOutput {
        let absent = matches!(&self, Self::Shown { verdict, .. } if verdict.is_absent());
        if format == Format::Json {
            // After a signal there is no JSON; problems of a configuration are only in the text for people.
            let failure = self.failure().map(|details| &details.failure);
            let interrupted = matches!(failure, Some(Failure::Interrupted { .. }));
            let invalid = matches!(failure, Some(Failure::ConfigInvalid { .. }));
            let text = if interrupted {
                String::new()
            } else {
                match &self {
                    Self::Listed(judgement) => pretty(&tenants::listed(judgement)),
                    outcome => pretty(&tenants::json(outcome)),
                }
            };
            let output = CommandOutput::with(text, self.into_failure());
            let output = if interrupted || invalid { output } else { output.without_box() };
            return CommandOutput { code: output.code.max(u8::from(absent)), ..output };
        }
        let output = CommandOutput::with(
            tenants::text(&self, Stream::Out.columns(usize::MAX), colour),
            self.into_failure(),
        );
        CommandOutput { code: output.code.max(u8::from(absent)), ..output }
    }
}
