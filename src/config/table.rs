//! Walks one table of the filled tree: each key is asked for by name, and what nobody asked for is unknown.
//!
//! serde stops at the first error in a table; this collects all of them.

use std::ops::Range;

use super::{
    fill::{Entry, Node, Value},
    problem::{Problem, Problems},
    values,
};

/// A table that is being read.
pub(super) struct Table<'t> {
    pub(super) span: Range<usize>,
    pub(super) problems: &'t Problems,
    entries: &'t [Entry],
    asked: Vec<&'static str>,
    /// What it is called in messages.
    name: &'t str,
}

impl<'t> Table<'t> {
    /// None, and a problem, if the value is no table.
    pub(super) fn of(node: &'t Node, name: &'t str, problems: &'t Problems) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            problems.take::<()>(Err(values::wrong(node, "a table")));
            return None;
        };
        Some(Self { span: node.span.clone(), problems, entries, asked: Vec::new(), name })
    }

    /// The value of a key; None if it is absent, an empty text or could not be filled in.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'t Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key).filter(|entry| match &entry.node.value {
            Value::Text(text) => !text.is_empty(),
            Value::Unfilled => false,
            _ => true,
        })
    }

    /// The key's value as `read` understands it; a problem is reported and reads as absent.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'t Node) -> Result<T, Problem>,
    ) -> Option<T> {
        let node = self.get(key)?;
        self.problems.take(read(node))
    }

    /// As `read`; the key must be there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'t Node) -> Result<T, Problem>,
    ) -> Option<T> {
        let Some(node) = self.get(key) else {
            self.missing(key);
            return None;
        };
        self.problems.take(read(node))
    }

    /// The key's value as a list; each element's problem is reported.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'t Node) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        let node = self.get(key)?;
        let problems = self.problems;
        problems.take(values::elements(node)).map(|list| each(list, &read, problems))
    }

    /// As `list`; one value alone stands for a list of one.
    pub(super) fn one_or_list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'t Node) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        match self.get(key)? {
            Node { value: Value::List(list), .. } => Some(each(list, &read, self.problems)),
            node => self.problems.take(read(node)).map(|one| vec![one]),
        }
    }

    /// The key's value as a table of its own.
    pub(super) fn table(&mut self, key: &'static str, name: &'t str) -> Option<Table<'t>> {
        let node = self.get(key)?;
        Table::of(node, name, self.problems)
    }

    /// Reports that a key is needed, unless it is there and could not be filled in.
    pub(super) fn missing(&self, key: &str) {
        if !self.is_unfilled(key) {
            let empty = self.entries.iter().find(|entry| entry.key == key);
            let place = empty.map_or(self.span.clone(), |entry| entry.node.span.clone());
            let problem = Problem::error(place, format!("{} needs `{key}`", self.name));
            self.report(if empty.is_some() {
                problem.help("an empty text counts as unset")
            } else {
                problem
            });
        }
    }

    /// The key is there and could not be filled in, which is reported already.
    pub(super) fn is_unfilled(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && matches!(entry.node.value, Value::Unfilled))
    }

    pub(super) fn report(&self, problem: Problem) {
        self.problems.report(problem);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Every entry, where the keys are the user's own.
    pub(super) fn entries(&self) -> &'t [Entry] {
        self.entries
    }

    /// Reports every key that nobody asked for, and says how many there were.
    pub(super) fn finish(self) -> usize {
        let unknown = self.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str()));
        unknown
            .map(|entry| {
                let message = format!("{} has no key `{}`", self.name, entry.key);
                self.report(Problem::error(entry.key_span.clone(), message).suggest(&entry.key, &self.asked));
            })
            .count()
    }
}

fn each<'t, T>(
    list: &'t [Node],
    read: &impl Fn(&'t Node) -> Result<T, Problem>,
    problems: &Problems,
) -> Vec<T> {
    let filled = list.iter().filter(|node| !matches!(node.value, Value::Unfilled));
    filled.filter_map(|node| problems.take(read(node))).collect()
}
