//! Known drift that is waived until a day. Pure: it is told the day.

use std::collections::BTreeMap;

use super::{
    day::Day,
    gate::{Finding, Judgement, Outcome, Verdict},
};

/// One thing of one tenant that somebody has decided to live with for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) tenant: String,
    /// As the box shows it: a migration, a table, `table.column`, an index, `no schema` or `no ledger`.
    pub(crate) what: String,
    /// The last day on which it is waived.
    pub(crate) until: Day,
    pub(crate) reason: String,
}

/// Why an entry does nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    Expired,
    /// Its tenant was judged, and has no such finding.
    Unused,
}

impl Judgement {
    /// Takes what is accepted today out of what counts. It stays in the verdicts.
    pub(crate) fn accept(&mut self, accepts: &[Accept], today: Day) {
        for (tenant, verdict) in &mut self.tenants {
            let mine = accepts.iter().filter(|accept| accept.tenant == *tenant && accept.until >= today);
            let mine: Vec<&Accept> = mine.collect();
            if !mine.is_empty() {
                verdict.accept(&mine);
            }
        }
    }

    /// The entries that do nothing any more, of the tenants that were judged.
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

    /// How many complete schemas are so only because something is accepted.
    pub(crate) fn accepted(&self) -> usize {
        let complete = self.verdicts().filter(|(_, verdict)| verdict.outcome() == Outcome::Complete);
        let accepted = |finding: &Finding| matches!(finding, Finding::Accepted { .. });
        complete.filter(|(_, verdict)| verdict.findings.iter().any(accepted)).count()
    }
}

impl Verdict {
    fn accept(&mut self, accepts: &[&Accept]) {
        let mut left = Vec::new();
        for finding in std::mem::take(&mut self.findings) {
            left.extend(split(finding, accepts));
        }
        // The models are those of the missing tables, said in other words.
        if !left.iter().any(|finding| matches!(finding, Finding::MissingTables { .. })) {
            let first = left.iter().find_map(|finding| match finding {
                Finding::Accepted { until, reason, .. } => Some((*until, reason.clone())),
                _ => None,
            });
            for finding in &mut left {
                if let (Finding::Models { .. }, Some((until, reason))) = (&finding, &first) {
                    let inner = Box::new(finding.clone());
                    *finding = Finding::Accepted { finding: inner, until: *until, reason: reason.clone() };
                }
            }
        }
        self.findings = left;
    }
}

/// What of a finding still counts, and what is accepted, entry by entry.
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
    /// The things that can be accepted one by one, as they are shown; none for what cannot be accepted.
    fn items(&self) -> Vec<String> {
        match self {
            Finding::NoSchema => vec!["no schema".into()],
            Finding::NoLedger { .. } => vec!["no ledger".into()],
            Finding::Pending { migrations }
            | Finding::Dirty { migrations }
            | Finding::Altered { migrations, .. }
            | Finding::Diverged { unknown: migrations }
            | Finding::Ahead { unknown: migrations, .. } => migrations.clone(),
            Finding::MissingTables { tables, .. } | Finding::Shadowed { tables } => tables.clone(),
            Finding::MissingColumns { table, columns, .. } => {
                columns.iter().map(|column| format!("{table}.{column}")).collect()
            }
            Finding::OtherKind { table, .. } => vec![table.clone()],
            Finding::InvalidIndex { index, .. } => vec![index.clone()],
            Finding::NotRegistered
            | Finding::Models { .. }
            | Finding::Retired { .. }
            | Finding::Duplicate { .. }
            | Finding::Unreadable { .. }
            | Finding::Vanished
            | Finding::Accepted { .. } => Vec::new(),
        }
    }

    /// The same finding of these items alone.
    fn with(&self, items: Vec<String>) -> Finding {
        let mut finding = self.clone();
        match &mut finding {
            Finding::Pending { migrations }
            | Finding::Dirty { migrations }
            | Finding::Altered { migrations, .. }
            | Finding::Diverged { unknown: migrations }
            | Finding::Ahead { unknown: migrations, .. } => *migrations = items,
            Finding::MissingTables { tables, .. } | Finding::Shadowed { tables } => *tables = items,
            Finding::MissingColumns { table, columns, .. } => {
                columns.retain(|column| items.contains(&format!("{table}.{column}")));
            }
            // These are one thing each.
            Finding::NoSchema
            | Finding::NoLedger { .. }
            | Finding::OtherKind { .. }
            | Finding::InvalidIndex { .. }
            | Finding::NotRegistered
            | Finding::Models { .. }
            | Finding::Retired { .. }
            | Finding::Duplicate { .. }
            | Finding::Unreadable { .. }
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
            shared: None,
            tenants: BTreeMap::from([("acme".to_owned(), Verdict { findings })]),
            orphans: Vec::new(),
            unfinished: Vec::new(),
            too_few: None,
        }
    }

    fn missing(tables: &[&str]) -> Finding {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        Finding::MissingTables { tables, dropped_by_newer: false }
    }

    #[test]
    fn only_what_is_named_is_waived_and_only_until_the_day() {
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
    fn new_drift_beside_accepted_drift_counts() {
        let mut judgement = judged(vec![missing(&["invoice", "receipt"])]);
        let accepts = [accept("acme", "invoice", "2027-01-01")];
        judgement.accept(&accepts, day("2026-11-23"));
        assert_eq!(judgement.outcome(), Outcome::Incomplete);
        assert_eq!(judgement.tenants["acme"].findings[1], missing(&["receipt"]));
        assert!(judgement.stale(&accepts, day("2026-11-23")).is_empty());
    }

    #[test]
    fn what_could_not_be_proved_cannot_be_accepted() {
        let mut judgement = judged(vec![Finding::Unreadable { why: "no privilege".into() }]);
        judgement.accept(&[accept("acme", "no privilege", "2027-01-01")], day("2026-11-23"));
        assert_eq!(judgement.outcome(), Outcome::Unproven);
    }

    #[test]
    fn entries_that_have_expired_or_found_nothing_are_told() {
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
