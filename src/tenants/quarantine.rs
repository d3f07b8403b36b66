//! Selects the tenants to quarantine so that the server can start for the others. Pure.

use super::gate::{Judgement, Outcome};

/// The incomplete tenants; None if the server must not start: the shared schema is not complete, a finding is unproven,
/// no complete tenant is left, or more than `at_most` are incomplete.
pub(crate) fn quarantine(judgement: &Judgement, at_most: usize) -> Option<Vec<String>> {
    let shared = judgement.shared.as_ref().is_none_or(|verdict| verdict.outcome() == Outcome::Complete);
    let proven = judgement.too_few.is_none() && judgement.count(Outcome::Unproven) == 0;
    let incomplete = incomplete(judgement);
    let allowed = incomplete.len() <= at_most && incomplete.len() < judgement.tenants.len();
    (shared && proven && allowed).then_some(incomplete)
}

/// The tenants that are proven incomplete.
pub(crate) fn incomplete(judgement: &Judgement) -> Vec<String> {
    let bad = judgement.tenants.iter().filter(|(_, verdict)| verdict.outcome() == Outcome::Incomplete);
    bad.map(|(tenant, _)| tenant.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::gate::{Finding, Verdict};

    #[test]
    fn only_tenants_that_are_proven_incomplete_are_quarantined_up_to_a_maximum() {
        let bad = || Verdict { findings: vec![Finding::NoSchema] };
        let unknown = || Verdict { findings: vec![Finding::Vanished] };
        let good = Verdict::default;
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        for (shared, tenants, too_few, at_most, expected, why) in [
            (good(), vec![bad(), good()], None, 1, names(&["t0"]), "one of two"),
            (good(), vec![bad(), bad(), good()], None, 1, None, "more than the maximum"),
            (good(), vec![bad(), bad()], None, 5, None, "no complete tenant is left"),
            (bad(), vec![bad(), good()], None, 1, None, "the shared schema is incomplete"),
            (good(), vec![bad(), unknown(), good()], None, 5, None, "one could not be inspected"),
            (good(), vec![bad(), good()], Some((2, 3)), 1, None, "the registry is too small"),
        ] {
            let tenants = tenants.into_iter().enumerate().map(|(n, verdict)| (format!("t{n}"), verdict));
            let judgement = Judgement {
                shared: Some(shared),
                tenants: tenants.collect(),
                too_few,
                ..Judgement::default()
            };
            assert_eq!(quarantine(&judgement, at_most), expected, "{why}");
        }
    }
}
