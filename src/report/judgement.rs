//! The gate's judgement as JUnit, as GitHub's annotations and as JSON, which is always complete.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    advice::{Action, Advice},
    github,
    test_suite::{TestCase, TestResult, TestSuite},
};
use crate::{
    failure::Counts,
    ordered::Ordered,
    outcome::wording::{name, sentence, summary},
    tenants::gate::{Finding, Judgement, Outcome, Verdict},
};

/// The number of annotations that GitHub shows for one step.
const ANNOTATIONS: usize = 10;

/// Each schema as a test case.
pub(crate) fn test_suite(judgement: &Judgement) -> TestSuite<'_> {
    let mut cases: Vec<TestCase<'_>> = judgement
        .verdicts()
        .map(|(tenant, verdict)| {
            let outcome = verdict.outcome();
            let message = sentence(message(verdict, outcome));
            TestCase {
                class: if tenant.is_some() { "tenant" } else { "shared" },
                name: name(tenant),
                result: match outcome {
                    Outcome::Complete => TestResult::Passed(message),
                    Outcome::Unproven => TestResult::Error(message),
                    Outcome::Incomplete => TestResult::Failed { message, remedy: String::new() },
                },
            }
        })
        .collect();
    let few =
        judgement.too_few.map(|too_few| Counts { too_few: Some(too_few), ..Counts::default() }.to_string());
    cases.extend(few.map(|few| TestCase {
        class: "registry",
        name: "the registry",
        result: TestResult::Error(few),
    }));
    TestSuite { name: "portcullis verify", cases }
}

/// The findings as GitHub's annotations, at most as many as GitHub shows.
pub(crate) fn annotations(judgement: &Judgement) -> String {
    let bad = || judgement.verdicts().filter(|(_, verdict)| verdict.outcome() != Outcome::Complete);
    let shown = if bad().count() > ANNOTATIONS { ANNOTATIONS - 1 } else { ANNOTATIONS };
    let one = |(tenant, verdict): (Option<&str>, &Verdict)| {
        github::annotation("error", name(tenant), &sentence(message(verdict, verdict.outcome())))
    };
    let rest = (bad().count() > shown || judgement.too_few.is_some())
        .then(|| github::annotation("error", "portcullis", &summary(judgement)));
    bad().take(shown).map(one).chain(rest).map(|line| line + "\n").collect()
}

/// The complete judgement, for programs. It borrows, because copies for many tenants would take much memory.
#[derive(Serialize)]
pub(crate) struct Everything<'a> {
    /// None in an output without a failure.
    #[serde(flatten)]
    pub(crate) advice: Option<AdviceFields>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    duplicates: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    excluded: &'a [String],
    orphans: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    other_databases: &'a [String],
    outcome: &'static str,
    shared: Option<OneSchema<'a>>,
    summary: String,
    tenants: BTreeMap<&'a str, OneSchema<'a>>,
    too_few: Option<TooFew>,
    unfinished: &'a [String],
}

/// The likely cause and the next steps.
#[derive(Serialize)]
pub(crate) struct AdviceFields {
    likely_cause: Option<&'static str>,
    next: Vec<Action>,
}

impl From<Advice> for AdviceFields {
    fn from(Advice { cause, actions }: Advice) -> Self {
        Self { likely_cause: cause, next: actions }
    }
}

#[derive(Serialize)]
struct TooFew {
    at_least: usize,
    rows: usize,
}

/// One schema's verdict.
#[derive(Serialize)]
pub(crate) struct OneSchema<'a> {
    findings: &'a [Finding],
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
}

impl<'a> OneSchema<'a> {
    /// `tenant` is for lists; a map has it as the key.
    pub(crate) fn new(verdict: &'a Verdict, tenant: Option<&'a str>) -> Self {
        Self { findings: &verdict.findings, outcome: outcome_word(verdict.outcome()), tenant }
    }
}

pub(crate) fn json(judgement: &Judgement) -> Everything<'_> {
    Everything {
        advice: None,
        duplicates: &judgement.unjudged.duplicates,
        excluded: &judgement.unjudged.excluded,
        orphans: &judgement.orphans,
        other_databases: &judgement.unjudged.other_databases,
        outcome: outcome_word(judgement.outcome()),
        shared: judgement.shared.as_ref().map(|verdict| OneSchema::new(verdict, None)),
        summary: summary(judgement),
        tenants: judgement.tenants.iter().map(|(name, one)| (&**name, OneSchema::new(one, None))).into_map(),
        too_few: judgement.too_few.map(|(rows, at_least)| TooFew { at_least, rows }),
        unfinished: &judgement.unfinished,
    }
}

fn message(verdict: &Verdict, outcome: Outcome) -> impl Iterator<Item = &Finding> {
    verdict
        .findings
        .iter()
        .filter(move |finding| finding.outcome() == outcome || outcome == Outcome::Incomplete)
}

pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Unproven => "unproven",
        Outcome::Incomplete => "incomplete",
    }
}
