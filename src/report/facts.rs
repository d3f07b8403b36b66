//! What every output says about a start-up that was blocked. Pure: text, JSON, the endpoint and the termination
//! message are made of the same value, so that they cannot contradict each other.

use serde::Serialize;

use super::advice::{Action, Advice, advice};
use crate::{
    failure::{Failure, chain},
    outcome::{FailureDetails, wording},
    tenants::gate::{Judgement, Outcome},
};

/// The facts of one failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Facts {
    pub(crate) exit_code: u8,
    /// The failure's stable name.
    pub(crate) failure: &'static str,
    /// None if it was no step that failed.
    pub(crate) step: Option<Place>,
    pub(crate) what: String,
    pub(crate) done: Option<String>,
    /// The bad schemas, the proven ones first.
    pub(crate) schemas: Vec<Schema>,
    pub(crate) likely_cause: Option<&'static str>,
    pub(crate) next: Vec<Next>,
    /// The child's last lines.
    pub(crate) output: Vec<String>,
}

/// A step and where it stands, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    pub(crate) number: usize,
    pub(crate) of: usize,
    pub(crate) name: String,
}

/// A schema and everything wrong with it, each in a line of words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Schema {
    /// None for the shared schema.
    pub(crate) tenant: Option<String>,
    pub(crate) findings: Vec<String>,
}

/// Something to do; the command can be pasted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Next {
    pub(crate) text: String,
    pub(crate) command: Option<String>,
}

impl Facts {
    /// Replaces every text by what `change` makes of it.
    pub(crate) fn change(&mut self, change: &mut dyn FnMut(&str) -> String) {
        let mut texts = vec![&mut self.what];
        texts.extend(self.step.as_mut().map(|step| &mut step.name));
        texts.extend(self.done.as_mut());
        texts.extend(self.output.iter_mut());
        for schema in &mut self.schemas {
            texts.extend(schema.tenant.as_mut());
            texts.extend(schema.findings.iter_mut());
        }
        for next in &mut self.next {
            texts.push(&mut next.text);
            texts.extend(next.command.as_mut());
        }
        for text in texts {
            *text = change(text);
        }
    }

    pub(crate) fn of(step: Option<Place>, trouble: &FailureDetails) -> Self {
        // Whoever sent the signal knows why.
        let interrupted = matches!(trouble.failure, Failure::Interrupted { .. });
        let advice = if interrupted { Advice::default() } else { advice(trouble) };
        let next = |action: Action| Next { text: action.text, command: action.command };
        Self {
            exit_code: trouble.failure.code(),
            failure: trouble.failure.id(),
            step,
            what: chain(&trouble.failure),
            done: trouble.done.clone(),
            schemas: failed(trouble).chain(judged(trouble)).collect(),
            likely_cause: advice.cause,
            next: advice.actions.into_iter().map(next).collect(),
            output: trouble.output.clone(),
        }
    }
}

fn judged(trouble: &FailureDetails) -> impl Iterator<Item = Schema> {
    [Outcome::Incomplete, Outcome::Unproven].into_iter().flat_map(move |outcome| {
        let verdicts = trouble.judgement.iter().flat_map(Judgement::verdicts);
        verdicts.filter(move |(_, verdict)| verdict.outcome() == outcome).map(|(tenant, verdict)| {
            let words = verdict.findings.iter().map(wording::words);
            let findings = words.map(|(what, which)| format!("{what}: {which}")).collect();
            Schema { tenant: tenant.map(str::to_owned), findings }
        })
    })
}

fn failed(trouble: &FailureDetails) -> impl Iterator<Item = Schema> {
    trouble.failed.iter().map(|failure| {
        let place = failure.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
        let finding = match &failure.migration {
            Some(migration) => format!("migration {migration}{place}: {}", failure.why),
            None => format!("cannot migrate{place}: {}", failure.why),
        };
        let dirty = failure.dirty.then(|| "dirty: it could not be rolled back".to_owned());
        let findings = [finding].into_iter().chain(dirty).collect();
        Schema { tenant: failure.tenant.clone(), findings }
    })
}
