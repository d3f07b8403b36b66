//! Divides the tenants into waves, which are migrated one after the other. Pure.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::{config, failure::Failure, ordered::Ordered, words::hex};

/// The tenants that are migrated before the next wave starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wave {
    pub(super) tenants: BTreeSet<String>,
    /// Its tenants are named, and migrated one by one.
    pub(super) is_named: bool,
}

impl Wave {
    pub(super) fn contains(&self, schema: Option<&String>) -> bool {
        schema.is_none_or(|tenant| self.tenants.contains(tenant))
    }
}

/// The waves of these tenants. Without configured waves, every tenant is in one. The order of the tenants is that of the
/// digests of their names: it is the same in every run and does not prefer any name.
pub(super) fn divide(waves: &[config::Wave], tenants: BTreeSet<String>) -> Vec<Wave> {
    let total = tenants.len();
    let mut left = tenants;
    let mut ordered: Option<Vec<String>> = None;
    let mut divided = Vec::new();
    for wave in waves.iter().chain([&config::Wave::Percent(100)]) {
        if matches!(divided.last(), Some((_, true))) {
            break;
        }
        let (tenants, is_named) = match wave {
            config::Wave::Tenants(names) => {
                (names.iter().filter_map(|name| left.take(name)).into_set(), true)
            }
            config::Wave::Percent(100) => (std::mem::take(&mut left), false),
            config::Wave::Percent(percent) => {
                let ordered = ordered.get_or_insert_with(|| in_order(&left));
                let missing =
                    (total * usize::from(*percent)).div_ceil(100).saturating_sub(total - left.len());
                ordered.retain(|name| left.contains(name));
                let next = ordered.iter().take(missing);
                (next.filter_map(|name| left.take(name)).into_set(), false)
            }
        };
        divided.push((Wave { tenants, is_named }, matches!(wave, config::Wave::Percent(100))));
    }
    divided.into_iter().map(|(wave, _)| wave).collect()
}

fn in_order(tenants: &BTreeSet<String>) -> Vec<String> {
    let by_digest = tenants.iter().map(|name| (hex(&Sha256::digest(name)), name.clone())).into_map();
    by_digest.into_values().collect()
}

/// The waves of a run.
#[derive(Debug)]
pub(super) struct Waves {
    pub(super) list: Vec<Wave>,
    /// With the waves that the run leaves out.
    pub(super) total: usize,
}

/// The first waves, if only these are migrated.
pub(super) fn first(mut list: Vec<Wave>, first: Option<usize>) -> Result<Waves, Failure> {
    let total = list.len();
    if let Some(number) = first {
        if number > total || total == 1 {
            let message =
                format!("`--waves {number}` needs as many waves in `apply.waves` of `[migrations]`");
            return Err(Failure::Usage { message });
        }
        list.truncate(number);
    }
    Ok(Waves { list, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Wave::{Percent, Tenants};

    fn names(count: usize) -> BTreeSet<String> {
        (0..count).map(|number| format!("t{number}")).collect()
    }

    fn sizes(waves: &[config::Wave], tenants: usize) -> Vec<usize> {
        let divided = divide(waves, names(tenants));
        let all: BTreeSet<String> = divided.iter().flat_map(|wave| wave.tenants.iter().cloned()).collect();
        assert_eq!(all, names(tenants), "every tenant is in a wave");
        divided.iter().map(|wave| wave.tenants.len()).collect()
    }

    #[test]
    fn percentages_are_shares_of_all_tenants_and_include_the_earlier_waves() {
        let demo = || Tenants(vec!["t7".into(), "absent".into()]);
        assert_eq!(sizes(&[], 3), [3]);
        assert_eq!(sizes(&[demo()], 100), [1, 99]);
        assert_eq!(sizes(&[demo(), Percent(10), Percent(100)], 100), [1, 9, 90]);
        assert_eq!(sizes(&[Percent(1), Percent(50), Percent(100)], 3), [1, 1, 1]);
        assert_eq!(sizes(&[Percent(10), Percent(20), Percent(100)], 0), [0, 0, 0]);
        assert_eq!(sizes(&[Percent(10), demo(), Percent(100)], 20)[0], 2);
    }

    #[test]
    fn a_tenant_stays_in_its_wave_when_the_names_are_read_in_another_order() {
        let waves = [Percent(30), Percent(100)];
        let first = divide(&waves, names(50));
        assert_eq!(first, divide(&waves, names(50).into_iter().rev().collect()));
        let alphabetical: BTreeSet<String> = names(50).into_iter().take(15).collect();
        assert_ne!(first[0].tenants, alphabetical, "the first names are not preferred");
    }

    #[test]
    fn more_waves_than_configured_are_refused() {
        let divided = || divide(&[Percent(10), Percent(100)], names(20));
        let sizes = |number| first(divided(), number).map(|waves| (waves.list.len(), waves.total)).ok();
        assert_eq!((sizes(None), sizes(Some(1))), (Some((2, 2)), Some((1, 2))));
        assert!(first(divided(), Some(3)).is_err());
        assert!(first(divide(&[], names(20)), Some(1)).is_err());
    }
}
