//! Known drift that is accepted until a day. Pure: today's date is an argument.

use std::collections::BTreeMap;

use super::{
    day::Day,
    gate::{Finding, Judgement, Outcome, Verdict},
    structure::difference::Difference,
};

/// One item of one tenant that the operator accepts for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) tenant: String,
    /// The item as the box shows it: a migration, a table, `table.column`, an index, `no schema` or `no ledger`.
    pub(crate) what: String,
    /// The last day on which it is accepted.
    pub(crate) until: Day,
    pub(crate) reason: String,
}

/// The reason why an entry no longer has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    Expired,
    /// Its tenant has no such finding.
    Unused,
}

impl Judgement {
    /// Marks the findings that are accepted today. They stay in the verdicts and do not block.
    pub(crate) fn accept(&mut self, accepts: &[Accept], today: Day) {
        for (tenant, verdict) in &mut self.tenants {
            let valid = accepts.iter().filter(|accept| accept.tenant == *tenant && accept.until >= today);
            let valid: Vec<&Accept> = valid.collect();
            if !valid.is_empty() {
                verdict.accept(&valid);
            }
        }
    }

    /// The entries for judged tenants that no longer have an effect.
    pub(crate) fn stale<'a>(&self, accepts: &'a [Accept], today: Day) -> Vec<(&'a Accept, Stale)> {
        let stale = |accept: &'a Accept| {
            let verdict = self.tenants.get(&accept.tenant)?;
            if accept.until < today {
                return Some((accept, Stale::Expired));
            }
            let uses = |finding: &Finding| match finding {
                Finding::Accepted { finding, .. } => finding.items().contains(&accept.what),
                _ => false,
            };
            (!verdict.findings.iter().any(uses)).then_some((accept, Stale::Unused))
        };
        accepts.iter().filter_map(stale).collect()
    }

    /// The number of schemas that are complete only because something is accepted.
    pub(crate) fn accepted(&self) -> usize {
        let complete = self.verdicts().filter(|(_, verdict)| verdict.outcome() == Outcome::Complete);
        let accepted = |finding: &Finding| matches!(finding, Finding::Accepted { .. });
        complete.filter(|(_, verdict)| verdict.findings.iter().any(accepted)).count()
    }
}

impl Verdict {
    fn accept(&mut self, accepts: &[&Accept]) {
        let mut findings = Vec::new();
        for finding in std::mem::take(&mut self.findings) {
            findings.extend(split(finding, accepts));
        }
        // The models belong to the missing tables: they are accepted together.
        if !findings.iter().any(|finding| matches!(finding, Finding::MissingTables { .. })) {
            let first = findings.iter().find_map(|finding| match finding {
                Finding::Accepted { until, reason, .. } => Some((*until, reason.clone())),
                _ => None,
            });
            for finding in &mut findings {
                if let (Finding::Models { .. }, Some((until, reason))) = (&finding, &first) {
                    let inner = Box::new(finding.clone());
                    *finding = Finding::Accepted { finding: inner, until: *until, reason: reason.clone() };
                }
            }
        }
        self.findings = findings;
    }
}

/// Splits a finding into one accepted finding per entry and the rest.
fn split(finding: Finding, accepts: &[&Accept]) -> Vec<Finding> {
    if finding.outcome() != Outcome::Incomplete {
        return vec![finding];
    }
    let mut rest = Vec::new();
    let mut accepted: BTreeMap<(Day, &str), Vec<String>> = BTreeMap::new();
    for item in finding.items() {
        match accepts.iter().find(|accept| accept.what == item) {
            Some(accept) => accepted.entry((accept.until, &accept.reason)).or_default().push(item),
            None => rest.push(item),
        }
    }
    if accepted.is_empty() {
        return vec![finding];
    }
    let mut findings: Vec<Finding> = accepted
        .into_iter()
        .map(|((until, reason), items)| Finding::Accepted {
            finding: Box::new(finding.with(items)),
            until,
            reason: reason.to_owned(),
        })
        .collect();
    if !rest.is_empty() {
        findings.push(finding.with(rest));
    }
    findings
}

impl Finding {
    /// The items that can be accepted individually, as the box shows them; empty if the finding cannot be accepted.
    fn items(&self) -> Vec<String> {
        match self {
            Finding::NoSchema => vec!["no schema".into()],
            Finding::NoDatabase => vec!["no database".into()],
            Finding::NoLedger { .. } => vec!["no ledger".into()],
            Finding::Pending { migrations }
            | Finding::Unrecorded { migrations }
            | Finding::Dirty { migrations }
            | Finding::Altered { migrations, .. }
            | Finding::Diverged { unknown: migrations }
            | Finding::Ahead { unknown: migrations, .. } => migrations.to_vec(),
            Finding::MissingTables { tables, .. } | Finding::Shadowed { tables } => tables.clone(),
            Finding::MissingColumns { table, columns, .. } => {
                columns.iter().map(|column| format!("{table}.{column}")).collect()
            }
            Finding::OtherKind { table, .. } => vec![table.clone()],
            Finding::InvalidIndex { index, .. } => vec![index.clone()],
            Finding::Structure { differences, .. } => differences.iter().map(Difference::item).collect(),
            Finding::NotRegistered
            | Finding::NotListed { .. }
            | Finding::HalfCreated { .. }
            | Finding::Models { .. }
            | Finding::Retired { .. }
            | Finding::Duplicate { .. }
            | Finding::Unreadable { .. }
            | Finding::StructureOfOtherServer { .. }
            | Finding::Vanished
            | Finding::Accepted { .. } => Vec::new(),
        }
    }

    /// The same finding with only these items.
    fn with(&self, items: Vec<String>) -> Finding {
        let mut finding = self.clone();
        match &mut finding {
            Finding::Pending { migrations }
            | Finding::Unrecorded { migrations }
            | Finding::Dirty { migrations }
            | Finding::Altered { migrations, .. }
            | Finding::Diverged { unknown: migrations }
            | Finding::Ahead { unknown: migrations, .. } => *migrations = items.into(),
            Finding::MissingTables { tables, .. } | Finding::Shadowed { tables } => *tables = items,
            Finding::MissingColumns { table, columns, .. } => {
                columns.retain(|column| items.contains(&format!("{table}.{column}")));
            }
            Finding::Structure { differences, .. } => {
                *differences =
                    differences.iter().filter(|one| items.contains(&one.item())).cloned().collect();
            }
            // These findings have a single item.
            Finding::NoSchema
            | Finding::NoDatabase
            | Finding::NoLedger { .. }
            | Finding::OtherKind { .. }
            | Finding::InvalidIndex { .. }
            | Finding::NotRegistered
            | Finding::NotListed { .. }
            | Finding::HalfCreated { .. }
            | Finding::Models { .. }
            | Finding::Retired { .. }
            | Finding::Duplicate { .. }
            | Finding::Unreadable { .. }
            | Finding::StructureOfOtherServer { .. }
            | Finding::Vanished
            | Finding::Accepted { .. } => {}
        }
        finding
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn accept(tenant: &str, what: &str, until: &str) -> Accept {
        Accept { tenant: tenant.into(), what: what.into(), until: day(until), reason: "known".into() }
    }

    fn judged(findings: Vec<Finding>) -> Judgement {
        Judgement {
            tenants: BTreeMap::from([("acme".to_owned(), Verdict { findings })]),
            ..Judgement::default()
        }
    }

    fn missing(tables: &[&str]) -> Finding {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        Finding::MissingTables { tables, dropped_by_newer: false }
    }

    #[test]
    fn only_the_named_item_is_accepted_and_only_until_the_day() {
        let today = day("2026-11-23");
        for (accepts, outcome, why) in [
            (vec![accept("acme", "invoice", "2026-11-23")], Outcome::Complete, "on the last day"),
            (vec![accept("acme", "invoice", "2026-11-22")], Outcome::Incomplete, "a day later"),
            (vec![accept("acme", "receipt", "2027-01-01")], Outcome::Incomplete, "another table"),
            (vec![accept("globex", "invoice", "2027-01-01")], Outcome::Incomplete, "another tenant"),
        ] {
            let mut judgement = judged(vec![missing(&["invoice"])]);
            judgement.accept(&accepts, today);
            assert_eq!(judgement.outcome(), outcome, "{why}");
        }
    }

    #[test]
    fn new_drift_in_addition_to_accepted_drift_counts() {
        let mut judgement = judged(vec![missing(&["invoice", "receipt"])]);
        let accepts = [accept("acme", "invoice", "2027-01-01")];
        judgement.accept(&accepts, day("2026-11-23"));
        assert_eq!(judgement.outcome(), Outcome::Incomplete);
        assert_eq!(judgement.tenants["acme"].findings[1], missing(&["receipt"]));
        assert!(judgement.stale(&accepts, day("2026-11-23")).is_empty());
    }

    #[test]
    fn an_unproven_finding_cannot_be_accepted() {
        let mut judgement = judged(vec![Finding::Unreadable { why: "no privilege".into() }]);
        judgement.accept(&[accept("acme", "no privilege", "2027-01-01")], day("2026-11-23"));
        assert_eq!(judgement.outcome(), Outcome::Unproven);
    }

    #[test]
    fn expired_and_unused_entries_are_reported() {
        let accepts = [
            accept("acme", "invoice", "2026-01-01"),
            accept("acme", "receipt", "2027-01-01"),
            accept("globex", "invoice", "2027-01-01"),
        ];
        let mut judgement = judged(vec![missing(&["invoice"])]);
        judgement.accept(&accepts, day("2026-11-23"));
        let stale = judgement.stale(&accepts, day("2026-11-23"));
        assert_eq!(stale, [(&accepts[0], Stale::Expired), (&accepts[1], Stale::Unused)]);
    }
}
