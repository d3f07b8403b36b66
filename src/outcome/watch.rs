//! The changes between two rounds of `verify --every`. Pure.

use std::collections::BTreeMap;

use super::wording;
use crate::{
    failure::Counts,
    ordered::Ordered,
    tenants::gate::{Judgement, Outcome},
};

/// The schemas that are not complete, with their findings; None is the shared schema.
pub(crate) type BadSchemas = BTreeMap<Option<String>, (Outcome, String)>;

/// The state after the last round.
#[derive(Default)]
pub(crate) struct WatchState {
    /// Of the last round that could read the registry.
    pub(crate) bad: BadSchemas,
    /// Why the last round proved nothing about some schemas.
    pub(crate) unproven: Option<String>,
    /// The reason why the quarantine list could not be renewed.
    pub(crate) list_problem: Option<String>,
}

/// A difference from the previous round, which is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A schema is not complete any longer, or for another reason than before.
    Bad {
        schema: Option<String>,
        outcome: Outcome,
        what: String,
    },
    Repaired {
        schema: Option<String>,
    },
    /// A tenant that was not complete has left the registry.
    Unregistered {
        schema: Option<String>,
    },
    /// The round could not inspect the database.
    Unproven {
        why: String,
    },
    Proven,
    /// The list of quarantined tenants was written.
    ListRenewed {
        tenants: Vec<String>,
    },
    ListUnchanged {
        why: String,
    },
}

impl WatchState {
    /// Returns the changes of a round. A round without a judgement says nothing about a schema.
    pub(crate) fn apply(&mut self, round: Result<&Judgement, &str>) -> Vec<Change> {
        let mut changes = Vec::new();
        let unproven = match round {
            Err(why) => Some(why.to_owned()),
            Ok(judgement) => judgement
                .too_few
                .map(|too_few| Counts { too_few: Some(too_few), ..Counts::default() }.to_string()),
        };
        match (&self.unproven, &unproven) {
            (None, Some(why)) => changes.push(Change::Unproven { why: why.clone() }),
            (Some(_), None) => changes.push(Change::Proven),
            _ => {}
        }
        self.unproven = unproven;
        if let Ok(judgement) = round {
            changes.extend(self.compare(judgement));
        }
        changes
    }

    fn compare(&mut self, judgement: &Judgement) -> Vec<Change> {
        let bad = judgement.verdicts().filter_map(|(tenant, verdict)| {
            let outcome = verdict.outcome();
            let findings = verdict.findings.iter().filter(|finding| finding.outcome() != Outcome::Complete);
            let what = wording::sentence(findings);
            (outcome != Outcome::Complete).then(|| (tenant.map(str::to_owned), (outcome, what)))
        });
        let before = std::mem::replace(&mut self.bad, bad.into_map());
        // The text of an error can differ each time, that of a finding differs with the schema's state.
        let is_other = |(outcome, what): &(Outcome, String), (earlier, text): &(Outcome, String)| {
            outcome != earlier || (*outcome == Outcome::Incomplete && what != text)
        };
        let new = self
            .bad
            .iter()
            .filter(|(schema, now)| before.get(*schema).is_none_or(|earlier| is_other(now, earlier)));
        let mut changes: Vec<Change> = new
            .map(|(schema, (outcome, what))| Change::Bad {
                schema: schema.clone(),
                outcome: *outcome,
                what: what.clone(),
            })
            .collect();
        for schema in before.into_keys().filter(|schema| !self.bad.contains_key(schema)) {
            changes.push(match judgement.verdict(schema.as_deref()) {
                Some(_) => Change::Repaired { schema },
                None => Change::Unregistered { schema },
            });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::gate::{Finding, Verdict};

    fn judgement(tenants: &[(&str, &[Finding])]) -> Judgement {
        let verdict = |(name, findings): &(&str, &[Finding])| {
            ((*name).to_owned(), Verdict { findings: findings.to_vec() })
        };
        Judgement { tenants: tenants.iter().map(verdict).collect(), ..Judgement::default() }
    }

    #[test]
    fn each_change_is_reported_once() {
        let bad = |name: &str, outcome, what: &str| Change::Bad {
            schema: Some(name.to_owned()),
            outcome,
            what: what.to_owned(),
        };
        let broken = bad("a", Outcome::Incomplete, "no schema: the schema does not exist");
        let behind = bad("a", Outcome::Incomplete, "pending: 1_item");
        let vanished = bad("b", Outcome::Unproven, "vanished: dropped during the inspection");
        let schema = |name: &str| Some(name.to_owned());
        let (complete, no_schema, gone): (&[Finding], &[Finding], &[Finding]) =
            (&[], &[Finding::NoSchema], &[Finding::Vanished]);
        let pending: &[Finding] = &[Finding::Pending { migrations: vec!["1_item".into()].into() }];
        let mut state = WatchState::default();
        for (round, expected, why) in [
            (Ok(judgement(&[("a", complete), ("b", complete)])), vec![], "everything is complete"),
            (Ok(judgement(&[("a", no_schema), ("b", complete)])), vec![broken.clone()], "a is broken"),
            (Ok(judgement(&[("a", no_schema), ("b", complete)])), vec![], "nothing changes"),
            (Ok(judgement(&[("a", pending), ("b", complete)])), vec![behind], "a has another reason"),
            (Ok(judgement(&[("a", no_schema), ("b", complete)])), vec![broken], "and the first one again"),
            (Err("no answer"), vec![Change::Unproven { why: "no answer".into() }], "the server is silent"),
            (Err("refused"), vec![], "it is still not reachable"),
            (
                Ok(judgement(&[("a", complete), ("b", gone)])),
                vec![Change::Proven, vanished, Change::Repaired { schema: schema("a") }],
                "a is repaired and b disappears",
            ),
            (
                Ok(judgement(&[("a", complete)])),
                vec![Change::Unregistered { schema: schema("b") }],
                "b is gone",
            ),
        ] {
            assert_eq!(state.apply(round.as_ref().map_err(|why| *why)), expected, "{why}");
        }
        let few = Judgement { too_few: Some((0, 1)), ..Judgement::default() };
        assert!(matches!(state.apply(Ok(&few)).as_slice(), [Change::Unproven { .. }]));
        assert!(state.apply(Ok(&few)).is_empty());
    }
}
