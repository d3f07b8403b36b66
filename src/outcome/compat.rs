//! The comparison of two releases, and the wording of its findings.

use std::path::PathBuf;

use crate::{
    failure::Failure,
    tenants::compat::{Change, Incompatibility, Level, Part},
};

/// `compat`: two manifests, and whether the code of each works on the schema of the other.
pub(crate) struct Compared {
    pub(crate) old: (PathBuf, String),
    pub(crate) new: (PathBuf, String),
    /// The old code on the new schema.
    pub(crate) forward: Vec<Incompatibility>,
    /// The new code on the old schema.
    pub(crate) backward: Vec<Incompatibility>,
    pub(crate) both_ways: bool,
    pub(crate) allow_unproven: bool,
}

/// The failure of a start whose schema the release that serves does not survive.
pub(crate) fn failure(running: String, findings: &[Incompatibility]) -> Failure {
    let number = |level| findings.iter().filter(|finding| finding.change.level() == level).count();
    Failure::Incompatible { running, breaks: number(Level::Breaks), unproven: number(Level::Unproven) }
}

pub(crate) fn label(level: Level) -> &'static str {
    match level {
        Level::Breaks => "breaks",
        Level::Unproven => "not proven",
        Level::Note => "note",
    }
}

/// The schemas of a finding.
pub(crate) fn part(part: &Part) -> String {
    match part {
        Part::Shared => "shared schema".into(),
        Part::Tenant => "every tenant".into(),
        Part::Type(kind) => format!("tenants of type {kind}"),
    }
}

/// The object, the difference and its effect.
pub(crate) fn words(finding: &Incompatibility) -> String {
    let kind = match finding.change {
        Change::Unknown => "migrations",
        _ => super::structure::kind(finding.object),
    };
    let mut text = format!("{kind} {}: {}", finding.name, effect(finding.change));
    if let Some(renamed) = &finding.renamed_to {
        text += ". `";
        text += renamed;
        text += "` is alike: probably renamed";
    }
    let short = |text: &Option<String>| text.clone().filter(|text| text.len() <= 80 && !text.contains('\n'));
    match (short(&finding.known), short(&finding.found)) {
        (Some(known), Some(found)) => text += &format!(" ({known} -> {found})"),
        (None, Some(only)) | (Some(only), None) => text += &format!(" ({only})"),
        (None, None) => {}
    }
    text
}

fn effect(change: Change) -> &'static str {
    match change {
        Change::Missing => "missing; statements that use it fail",
        Change::Required => "NOT NULL without a default; an INSERT of code that does not know it fails",
        Change::NotNull => "NOT NULL; an INSERT or UPDATE with NULL fails",
        Change::Narrower => "holds fewer values; an INSERT or UPDATE with another value fails",
        Change::NoDefault => "has no default; an INSERT that leaves it out fails",
        Change::Generated => "computed by the server; an INSERT or UPDATE with a value fails",
        Change::LabelMissing => "a label is missing; statements with it fail",
        Change::OtherType => "another type; operators, parameters and drivers may fail",
        Change::OtherDefault => "an INSERT that leaves it out stores another value or NULL",
        Change::Stricter => "an additional rule; it refuses rows that were valid",
        Change::NoArbiter => "missing; ON CONFLICT may need it, and duplicates are possible",
        Change::Changed => "another definition, or missing; statements may fail or act differently",
        Change::Additional => "unknown to the code; statements may fail or act differently",
        Change::Shadows => "hides the table of the shared schema from unqualified names",
        Change::Unknown => "the manifest has only tables and columns, so that other changes are not known",
        Change::Nullable => "may be NULL; code that reads it may not expect that",
        Change::LabelAdded => "has labels that code which reads them may not expect",
        Change::Referenced => "refers to rows, which the code then cannot delete",
        Change::Indexed => "a value of more than 2,704 bytes no longer fits into the index",
    }
}
