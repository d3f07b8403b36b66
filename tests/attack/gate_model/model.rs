//! The model: a tenant as SQL makes it, and what the gate must find about it.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::framework::{Framework, MIGRATIONS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Applied,
    Failed,
    /// An attempt that does not count.
    RolledBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Whole,
    Absent,
    WithoutColumn,
    View,
}

/// A tenant as it is made, before the gate sees it.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub schema: bool,
    pub ledger: bool,
    /// Each with whether its checksum is another one.
    pub rows: Vec<(usize, State, bool)>,
    pub unknown: bool,
    pub tables: [Table; MIGRATIONS],
}

impl Tenant {
    /// A complete tenant.
    pub fn whole(framework: &Framework) -> Self {
        let first = if framework.has_heads { MIGRATIONS - 1 } else { 0 };
        Self {
            schema: true,
            ledger: true,
            rows: (first..MIGRATIONS).map(|k| (k, State::Applied, false)).collect(),
            unknown: false,
            tables: [Table::Whole; MIGRATIONS],
        }
    }
}

/// A tenant with up to three faults.
pub fn tenant(framework: &Framework, random: &mut Rng) -> Tenant {
    let mut tenant = Tenant::whole(framework);
    for _ in 0..random.usize(0..4) {
        let k = random.usize(0..MIGRATIONS);
        let row = random.usize(0..MIGRATIONS);
        match random.u8(0..12) {
            0 => tenant.schema = random.bool(),
            1 => tenant.ledger = random.bool(),
            2 | 3 if framework.has_heads => tenant.rows = vec![(k, State::Applied, false)],
            2 | 3 => tenant.rows.retain(|(number, ..)| *number != row),
            4 if framework.has_failures => tenant.rows.iter_mut().for_each(|(number, state, _)| {
                if *number == row {
                    *state = State::Failed;
                }
            }),
            5 if framework.has_checksum => {
                tenant.rows.iter_mut().for_each(|(number, _, altered)| *altered |= *number == row);
            }
            6 => tenant.unknown = true,
            7 if framework.has_attempts => tenant.rows.push((row, State::RolledBack, false)),
            8 => tenant.tables[k] = Table::Absent,
            9 => tenant.tables[k] = Table::WithoutColumn,
            10 => tenant.tables[k] = Table::View,
            11 => tenant.rows.clear(),
            _ => {}
        }
    }
    tenant
}

/// What the gate must find.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub complete: bool,
    pub pending: BTreeSet<usize>,
    pub dirty: BTreeSet<usize>,
    pub altered: BTreeSet<usize>,
}

/// The model.
pub fn verdict(framework: &Framework, tenant: &Tenant) -> Verdict {
    if !tenant.schema || !tenant.ledger {
        return Verdict::default();
    }
    let rows = || tenant.rows.iter().filter(|(_, state, _)| *state != State::RolledBack);
    let applied: BTreeSet<usize> = if framework.has_heads {
        // An unknown revision hides what precedes it; if it is the only one, the tables decide.
        let newest = rows().map(|(number, ..)| *number).max();
        let newest = newest.or(tenant.unknown.then_some(MIGRATIONS - 1));
        newest.map(|newest| (0..=newest).collect()).unwrap_or_default()
    } else {
        rows().map(|(number, ..)| *number).collect()
    };
    let of = |wanted: fn(&(usize, State, bool)) -> bool| {
        rows().filter(|row| wanted(row)).map(|(number, ..)| *number).collect()
    };
    let pending: BTreeSet<usize> = (0..MIGRATIONS).filter(|number| !applied.contains(number)).collect();
    let dirty: BTreeSet<usize> = of(|(_, state, _)| *state == State::Failed);
    let altered: BTreeSet<usize> = of(|(_, state, altered)| *altered && *state == State::Applied);
    let whole = tenant.tables.iter().all(|table| *table == Table::Whole);
    let complete = whole && pending.is_empty() && dirty.is_empty() && altered.is_empty();
    Verdict { complete, pending, dirty, altered }
}
