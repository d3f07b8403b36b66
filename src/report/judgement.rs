//! Words the gate's judgement, as text and as JSON. JSON is never capped.

use serde_json::{Value, json};

use super::{
    github,
    junit::{self, Case},
};
use crate::{
    failure::Counts,
    outcome::wording::{name, sentence, summary},
    tenants::gate::{Finding, Judgement, Outcome, Verdict},
};

/// GitHub shows so many of one step.
const ANNOTATIONS: usize = 10;

/// Each schema as a test case.
pub(crate) fn junit(judgement: &Judgement) -> String {
    let mut cases: Vec<Case<'_>> = judgement
        .verdicts()
        .map(|(tenant, verdict)| {
            let outcome = verdict.outcome();
            let said = sentence(said(verdict, outcome));
            Case {
                class: if tenant.is_some() { "tenant" } else { "shared" },
                name: name(tenant),
                result: match outcome {
                    Outcome::Complete => junit::Result::Passed(said),
                    Outcome::Unproven => junit::Result::Error(said),
                    Outcome::Incomplete => junit::Result::Failed(said, String::new()),
                },
            }
        })
        .collect();
    let few =
        judgement.too_few.map(|too_few| Counts { too_few: Some(too_few), ..Counts::default() }.to_string());
    cases.extend(few.map(|few| Case {
        class: "registry",
        name: "the registry",
        result: junit::Result::Error(few),
    }));
    junit::suite("portcullis verify", &cases)
}

/// What is wrong as GitHub's annotations, as many as it shows of one step.
pub(crate) fn annotations(judgement: &Judgement) -> String {
    let bad = || judgement.verdicts().filter(|(_, verdict)| verdict.outcome() != Outcome::Complete);
    let shown = if bad().count() > ANNOTATIONS { ANNOTATIONS - 1 } else { ANNOTATIONS };
    let one = |(tenant, verdict): (Option<&str>, &Verdict)| {
        github::annotation("error", name(tenant), &sentence(said(verdict, verdict.outcome())))
    };
    let rest = (bad().count() > shown || judgement.too_few.is_some())
        .then(|| github::annotation("error", "portcullis", &summary(judgement)));
    bad().take(shown).map(one).chain(rest).map(|line| line + "\n").collect()
}

/// Everything, for programs.
pub(crate) fn json(judgement: &Judgement) -> Value {
    json!({
        "outcome": outcome_word(judgement.outcome()),
        "summary": summary(judgement),
        "shared": judgement.shared.as_ref().map(schema_json),
        "tenants": judgement.tenants.iter().map(|(name, verdict)| (name.clone(), schema_json(verdict))).collect::<serde_json::Map<_, _>>(),
        "orphans": judgement.orphans,
        "unfinished": judgement.unfinished,
        "too_few": judgement.too_few.map(|(rows, least)| json!({ "rows": rows, "at_least": least })),
    })
}

/// One schema's verdict.
pub(crate) fn schema_json(verdict: &Verdict) -> Value {
    json!({ "outcome": outcome_word(verdict.outcome()), "findings": verdict.findings })
}

fn said(verdict: &Verdict, outcome: Outcome) -> impl Iterator<Item = &Finding> {
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
