//! The model: a tenant as SQL makes it, and what the gate must find about it.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::framework::{Framework, MIGRATIONS};

/// The numbers of the migrations that the code does not have.
pub const UNKNOWN: usize = 9;
pub const IGNORED: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Whole,
    NoLedger,
    NoSchema,
    NoDatabase,
}

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
    pub presence: Presence,
    /// Each with whether its checksum is another one.
    pub rows: Vec<(usize, State, bool)>,
    pub unknown: bool,
    /// The identifier of a migration that does not count.
    pub ignored: Option<&'static str>,
    pub tables: [Table; MIGRATIONS],
}

impl Tenant {
    /// A complete tenant.
    pub fn whole(framework: &Framework) -> Self {
        let first = if framework.has_heads { MIGRATIONS - 1 } else { 0 };
        Self {
            presence: Presence::Whole,
            rows: (first..MIGRATIONS).map(|k| (k, State::Applied, false)).collect(),
            unknown: false,
            ignored: None,
            tables: [Table::Whole; MIGRATIONS],
        }
    }

    /// A tenant with up to three faults.
    pub fn random(framework: &Framework, absences: &[Presence], random: &mut Rng) -> Self {
        let mut tenant = Self::whole(framework);
        for _ in 0..random.usize(0..4) {
            let k = random.usize(0..MIGRATIONS);
            let row = if tenant.rows.is_empty() { 0 } else { random.usize(0..tenant.rows.len()) };
            match (random.u8(0..13), tenant.rows.get_mut(row)) {
                (0, _) => tenant.presence = absences[random.usize(0..absences.len())],
                (1, _) => tenant.presence = Presence::NoLedger,
                (2 | 3, Some(row)) if framework.has_heads => *row = (k, State::Applied, false),
                (2 | 3, Some(_)) => drop(tenant.rows.remove(row)),
                (4, Some((_, state, _))) if framework.has_failures => *state = State::Failed,
                (5, Some((_, _, altered))) if framework.has_checksum => *altered = true,
                (6, _) => tenant.unknown = true,
                (7, _) if framework.has_attempts => tenant.rows.push((k, State::RolledBack, false)),
                (8, _) => tenant.tables[k] = Table::Absent,
                (9, _) => tenant.tables[k] = Table::WithoutColumn,
                (10, _) => tenant.tables[k] = Table::View,
                (11, _) => tenant.rows.clear(),
                (12, _) => tenant.ignored = framework.ignored,
                _ => {}
            }
        }
        tenant
    }

    /// What the gate must find.
    pub fn verdict(&self, framework: &Framework) -> Verdict {
        let is = |wanted: Table| numbers(|k| self.tables[k] == wanted);
        match self.presence {
            Presence::NoDatabase => return Verdict::of("no_database", BTreeSet::new()),
            Presence::NoSchema => return Verdict::of("no_schema", BTreeSet::new()),
            Presence::NoLedger => {
                return Verdict::of("no_ledger", numbers(|k| self.tables[k] != Table::Absent));
            }
            Presence::Whole => {}
        }
        let recorded = self.recorded(framework);
        let pending = numbers(|k| !recorded.contains(&k));
        let rows = |wanted: fn(State, bool) -> bool| {
            let rows = self.rows.iter().filter(|(_, state, altered)| wanted(*state, *altered));
            rows.map(|(number, ..)| *number).collect::<BTreeSet<_>>()
        };
        // The tables of pending migrations are not missing in addition, where the manifest knows which they are.
        let knows_tables = framework.has_creations && !framework.has_apps;
        let due = |tables: BTreeSet<usize>| -> BTreeSet<usize> {
            let is_due = |k: &usize| pending.is_empty() || (knows_tables && !pending.contains(k));
            tables.into_iter().filter(is_due).collect()
        };
        // A framework that records a migration also records those before it.
        let is_applied = |k: &&usize| framework.has_creations && self.tables[**k] == Table::Whole;
        let mut verdict = Verdict::default();
        verdict.add("unrecorded", pending.iter().take_while(is_applied).copied().collect());
        verdict.add("dirty", rows(|state, _| state == State::Failed));
        verdict.add("altered", rows(|state, altered| state == State::Applied && altered));
        let unknown = if pending.is_empty() { "ahead" } else { "diverged" };
        verdict.add(unknown, self.unknown.then_some(UNKNOWN).into_iter().collect());
        verdict.add("missing_tables", due(is(Table::Absent)));
        verdict.add("missing_columns", due(is(Table::WithoutColumn)));
        verdict.add("other_kind", due(is(Table::View)));
        verdict.add("pending", pending);
        verdict
    }

    /// The migrations that the ledger proves to have been begun.
    fn recorded(&self, framework: &Framework) -> BTreeSet<usize> {
        let rows = self.rows.iter().filter(|(_, state, _)| *state != State::RolledBack);
        let numbers: BTreeSet<usize> = rows.map(|(number, ..)| *number).collect();
        if !framework.has_heads {
            return numbers;
        }
        // An unknown migration hides what precedes it; if it is the only one, the tables decide.
        let newest = numbers.last().copied().or(self.unknown.then_some(MIGRATIONS - 1));
        newest.map(|newest| (0..=newest).collect()).unwrap_or_default()
    }
}

fn numbers(wanted: impl Fn(usize) -> bool) -> BTreeSet<usize> {
    (0..MIGRATIONS).filter(|k| wanted(*k)).collect()
}

/// The kinds of findings, each with the numbers of its migrations or tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict(pub BTreeMap<String, BTreeSet<usize>>);

impl Verdict {
    fn of(kind: &str, numbers: BTreeSet<usize>) -> Self {
        Self(BTreeMap::from([(kind.to_owned(), numbers)]))
    }

    fn add(&mut self, kind: &str, numbers: BTreeSet<usize>) {
        if !numbers.is_empty() {
            self.0.insert(kind.to_owned(), numbers);
        }
    }

    pub fn is_complete(&self) -> bool {
        self.0.keys().all(|kind| kind == "ahead")
    }
}
