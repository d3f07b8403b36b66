//! Words the gate's judgement, as text and as JSON. JSON is never capped.

use serde_json::{Value, json};

use super::{
    github,
    junit::{self, Case},
};
use crate::{
    outcome::wording::{name, sentence, summary, too_few, words},
    tenants::gate::{Finding, Judgement, Outcome, Verdict},
};

/// GitHub shows so many of one step.
const ANNOTATIONS: usize = 10;

/// The schemas of an outcome, each with its findings as lines, at most `cap` schemas.
pub(crate) fn lines(judgement: &Judgement, outcome: Outcome, cap: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let bad = || judgement.verdicts().filter(|(_, verdict)| verdict.outcome() == outcome);
    for (tenant, verdict) in bad().take(cap) {
        lines.push(name(tenant).to_owned());
        for finding in said(verdict, outcome) {
            let (what, which) = words(finding);
            lines.push(format!("  {what:<15} {which}"));
        }
    }
    if bad().count() > cap {
        lines.push(format!("... and {} more", bad().count() - cap));
    }
    lines
}

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
    let few = judgement.too_few.map(|(rows, least)| too_few(rows, least));
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
    let findings: Vec<Value> = verdict.findings.iter().map(finding_json).collect();
    json!({ "outcome": outcome_word(verdict.outcome()), "findings": findings })
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

fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::NotRegistered => json!({ "kind": "not_registered" }),
        Finding::NoSchema => json!({ "kind": "no_schema" }),
        Finding::NoLedger { tables } => json!({ "kind": "no_ledger", "tables": tables }),
        Finding::Pending { migrations } => json!({ "kind": "pending", "migrations": migrations }),
        Finding::Dirty { migrations } => json!({ "kind": "dirty", "migrations": migrations }),
        Finding::Altered { migrations } => json!({ "kind": "altered", "migrations": migrations }),
        Finding::Diverged { unknown } => json!({ "kind": "diverged", "migrations": unknown }),
        Finding::Ahead { unknown, blocks } => {
            json!({ "kind": "ahead", "migrations": unknown, "blocks": blocks })
        }
        Finding::MissingTables { tables, dropped_by_newer } => {
            json!({ "kind": "missing_tables", "tables": tables, "dropped_by_newer": dropped_by_newer })
        }
        Finding::OtherKind { table, expected, found } => {
            json!({ "kind": "other_kind", "table": table, "expected": expected, "found": found })
        }
        Finding::MissingColumns { table, columns, dropped_by_newer } => {
            json!({ "kind": "missing_columns", "table": table, "columns": columns, "dropped_by_newer": dropped_by_newer })
        }
        Finding::InvalidIndex { index, table, unique } => {
            json!({ "kind": "invalid_index", "index": index, "table": table, "unique": unique })
        }
        Finding::Models { app, models, whole, after } => {
            json!({ "kind": "models", "app": app, "models": models, "whole": whole, "after": after })
        }
        Finding::Shadowed { tables } => json!({ "kind": "shadowed", "tables": tables }),
        Finding::Retired { migrations } => json!({ "kind": "retired", "migrations": migrations }),
        Finding::Duplicate { migrations } => json!({ "kind": "recorded_twice", "migrations": migrations }),
        Finding::LookFailed { why } => json!({ "kind": "look_failed", "why": why }),
        Finding::Vanished => json!({ "kind": "vanished" }),
        Finding::Accepted { finding, until, reason } => json!({
            "kind": "accepted", "finding": finding_json(finding), "until": until.to_string(), "reason": reason,
        }),
    }
}
