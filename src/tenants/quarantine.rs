//! Which tenants the server is to be kept from, so that it can serve the others. Pure.

use super::gate::{Judgement, Outcome};

/// The incomplete tenants; None if serving the others is out of the question: the shared schema is not complete,
/// something could not be proved, nobody would be left to serve, or there are more than `at_most`.
pub(crate) fn quarantine(judgement: &Judgement, at_most: usize) -> Option<Vec<String>> {
    let shared = judgement.shared.as_ref().is_none_or(|verdict| verdict.outcome() == Outcome::Complete);
    let proven = judgement.too_few.is_none() && judgement.count(Outcome::Unproven) == 0;
    let incomplete = incomplete(judgement);
    let fits = incomplete.len() <= at_most && incomplete.len() < judgement.tenants.len();
    (shared && proven && fits).then_some(incomplete)
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
    fn only_tenants_that_are_proven_incomplete_are_quarantined_and_only_so_many() {
        let bad = || Verdict { findings: vec![Finding::NoSchema] };
        let unknown = || Verdict { findings: vec![Finding::Vanished] };
        let good = Verdict::default;
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        for (shared, tenants, too_few, at_most, expected, why) in [
            (good(), vec![bad(), good()], None, 1, names(&["t0"]), "one of two"),
            (good(), vec![bad(), bad(), good()], None, 1, None, "more than may be"),
            (good(), vec![bad(), bad()], None, 5, None, "nobody is left"),
            (bad(), vec![bad(), good()], None, 1, None, "the shared schema is everybody's"),
            (good(), vec![bad(), unknown(), good()], None, 5, None, "one could not be looked at"),
            (good(), vec![bad(), good()], Some((2, 3)), 1, None, "the registry is too small"),
        ] {
            let tenants = tenants.into_iter().enumerate().map(|(n, verdict)| (format!("t{n}"), verdict));
            let judgement = Judgement {
                shared: Some(shared),
                tenants: tenants.collect(),
                orphans: Vec::new(),
                unfinished: Vec::new(),
                too_few,
            };
            assert_eq!(quarantine(&judgement, at_most), expected, "{why}");
        }
    }
}
