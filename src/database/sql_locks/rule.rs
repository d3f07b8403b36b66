//! A rule: a pattern, and the locks of a statement that matches it.

use super::pattern::{Captures, matches};
use crate::outcome::migration_plan::{LockedTable, RowAccess, TableLock, TableLockMode};

/// A table in an effect: a captured one, all captured ones, or tables that the statement does not name.
#[derive(Clone, Copy)]
pub(super) enum On {
    Table(usize),
    All,
    Others(&'static str),
}

pub(super) type Effect = (On, Option<TableLockMode>, RowAccess);

/// A pattern and what a statement of this form does.
pub(super) type Rule = (&'static str, &'static [Effect]);

pub(super) const fn on(table: usize, mode: TableLockMode, rows: RowAccess) -> Effect {
    (On::Table(table), Some(mode), rows)
}

pub(super) const fn others(on: On, mode: TableLockMode) -> Effect {
    (on, Some(mode), RowAccess::None)
}

/// The locks of the first pattern that matches. `before` are captures that precede those of the pattern.
pub(super) fn by_rule(rules: &[Rule], before: &[String], tokens: &[&str]) -> Option<Vec<TableLock>> {
    let (captures, effects) =
        rules.iter().find_map(|(pattern, effects)| Some((matches(pattern, tokens)?, effects)))?;
    let captures: Captures = before.iter().cloned().chain(captures).collect();
    let lock = |table: LockedTable, (_, mode, rows): Effect| TableLock { table, mode, rows };
    let of_effect = |effect: &Effect| match effect.0 {
        On::Table(at) => {
            captures.get(at).map(|name| lock(LockedTable::Named(name.clone()), *effect)).into_iter().collect()
        }
        On::All => {
            captures.iter().map(|name| lock(LockedTable::Named(name.clone()), *effect)).collect::<Vec<_>>()
        }
        On::Others(words) => vec![lock(LockedTable::Described(words), *effect)],
    };
    Some(effects.iter().flat_map(of_effect).collect())
}
