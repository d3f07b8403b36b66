//! The facts of a blocked start-up or of a bypassed gate. Pure: text, JSON, the endpoint and the termination message
//! render the same value, so that they never contradict each other.

use std::cmp::Reverse;

use serde::{Serialize, Serializer};

use super::{
    advice::{Action, advice},
    running::Running,
};
use crate::{
    failure::chain,
    ordered,
    outcome::{FailureDetails, SchemaFailure, compat, wording},
    tenants::{
        compat::{Incompatibility, Level, Part},
        gate::{Judgement, Outcome, Verdict},
    },
    words::count,
};

/// The number of changes that are listed if the release that serves does not work on the migrated schema.
const LISTED: usize = 10;

/// The facts of one failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FailureReport {
    pub(crate) exit_code: u8,
    /// The failure's stable identifier.
    pub(crate) failure: &'static str,
    /// None if the failure is outside of the steps.
    pub(crate) step: Option<StepPosition>,
    pub(crate) what: String,
    pub(crate) done: Option<String>,
    /// The failed schemas, then the incomplete ones, then the unproven ones.
    pub(crate) schemas: Vec<ReportedSchema>,
    pub(crate) likely_cause: Option<&'static str>,
    pub(crate) next: Vec<Action>,
    /// The last lines of the child's output.
    pub(crate) output: Vec<String>,
}

/// A step and its position, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StepPosition {
    pub(crate) number: usize,
    pub(crate) of: usize,
    pub(crate) name: String,
}

/// A schema and its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ReportedSchema {
    /// None for the shared schema.
    pub(crate) tenant: Option<String>,
    pub(crate) findings: Vec<Line>,
}

/// A labelled line about a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) label: &'static str,
    pub(crate) text: String,
}

impl FailureReport {
    /// The lines that continue each other.
    pub(crate) fn lines(&mut self) -> impl Iterator<Item = &mut String> {
        let findings = self.schemas.iter_mut().flat_map(|schema| &mut schema.findings);
        self.output.iter_mut().chain(findings.map(|line| &mut line.text))
    }

    /// Applies `change` to every text.
    pub(crate) fn change(&mut self, change: &mut dyn FnMut(&str) -> String) {
        let mut texts = vec![&mut self.what];
        texts.extend(self.step.as_mut().map(|step| &mut step.name));
        texts.extend(self.done.as_mut());
        texts.extend(self.output.iter_mut());
        for schema in &mut self.schemas {
            texts.extend(schema.tenant.as_mut());
            texts.extend(schema.findings.iter_mut().map(|line| &mut line.text));
        }
        for next in &mut self.next {
            texts.push(&mut next.text);
            texts.extend(next.command.as_mut());
        }
        for text in texts {
            *text = change(text);
        }
    }

    pub(crate) fn of(step: Option<StepPosition>, details: &FailureDetails, running: Running) -> Self {
        let advice = advice(details, running);
        let judged = |outcome| {
            let verdicts = details.judgement.iter().flat_map(Judgement::verdicts);
            verdicts.filter(move |(_, verdict)| verdict.outcome() == outcome).map(ReportedSchema::judged)
        };
        let failed = details.failed.iter().map(ReportedSchema::failed);
        Self {
            exit_code: details.failure.code(),
            failure: details.failure.id(),
            step,
            what: chain(&details.failure),
            done: details.done.clone(),
            schemas: ReportedSchema::of_compat(&details.incompatibilities)
                .into_iter()
                .chain(failed)
                .chain(judged(Outcome::Incomplete))
                .chain(judged(Outcome::Unproven))
                .collect(),
            likely_cause: advice.cause,
            next: advice.actions,
            output: details.output.clone(),
        }
    }
}

impl ReportedSchema {
    fn judged((tenant, verdict): (Option<&str>, &Verdict)) -> Self {
        let line = |finding| {
            let (label, text) = wording::words(finding);
            Line { label, text }
        };
        Self { tenant: tenant.map(str::to_owned), findings: verdict.findings.iter().map(line).collect() }
    }

    /// What breaks the release that serves, and what is not proven, by part.
    fn of_compat(findings: &[Incompatibility]) -> Vec<Self> {
        let mut schemas: Vec<Self> = Vec::new();
        let mut bad: Vec<_> =
            findings.iter().filter(|finding| finding.change.level() > Level::Note).collect();
        ordered::sort_by_key(&mut bad, |finding| Reverse(finding.change.level()));
        for finding in bad.iter().take(LISTED) {
            let tenant = (finding.part != Part::Shared).then(|| compat::part(&finding.part));
            let line = Line { label: compat::label(finding.change.level()), text: compat::words(finding) };
            match schemas.iter_mut().find(|schema| schema.tenant == tenant) {
                Some(schema) => schema.findings.push(line),
                None => schemas.push(Self { tenant, findings: vec![line] }),
            }
        }
        if let (Some(last), more @ 1..) = (schemas.last_mut(), bad.len().saturating_sub(LISTED)) {
            let text = format!("{}: `portcullis compat` lists all", count(more, "other change"));
            last.findings.push(Line { label: "and", text });
        }
        schemas
    }

    fn failed(failure: &SchemaFailure) -> Self {
        let line = |label, text: &String| Line { label, text: text.clone() };
        let mut findings: Vec<Line> = Vec::new();
        findings.extend(failure.migration.as_ref().map(|migration| line("migration", migration)));
        findings.extend(failure.place.as_ref().map(|place| line("at", place)));
        findings.push(Line { label: "why", text: failure.why.to_string() });
        findings.extend(
            failure.dirty.then(|| line("dirty", &"the migration could not be rolled back".to_owned())),
        );
        Self { tenant: failure.tenant.clone(), findings }
    }

    /// The findings in one line.
    pub(crate) fn sentence(&self) -> String {
        self.findings.iter().map(Line::sentence).collect::<Vec<_>>().join("; ")
    }
}

impl Line {
    pub(crate) fn sentence(&self) -> String {
        format!("{}: {}", self.label, self.text)
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}: {}", self.label, self.text))
    }
}
