//! Reads the declared keys of one table of the filled tree. An undeclared key is unknown. serde stops at the first
//! error in a table; this collects all of them.

use std::ops::Range;

use super::{
    interpolate::{Entry, Node, Value},
    keys::{Key, Kind, Need, Section},
    problem::Problem,
    reading::Reading,
    values::{self, Read},
};

use crate::ordered;

/// A table that is being read.
pub(super) struct Table<'t> {
    pub(super) span: Range<usize>,
    pub(super) reading: &'t Reading<'t>,
    pub(super) section: &'static Section,
    /// Keys of other frameworks are errors.
    pub(super) framework: Option<&'static str>,
    pub(super) entries: &'t [Entry],
    /// The keys that were read, with their former names.
    pub(super) read: Vec<&'static str>,
}

impl<'t> Table<'t> {
    /// None, after reporting a problem, if the value is not a table.
    pub(super) fn of(node: &'t Node, section: &'static Section, reading: &'t Reading<'t>) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            reading.report(values::wrong(node, "a table"));
            return None;
        };
        let span = node.span.clone();
        Some(Self { span, reading, section, framework: None, entries, read: Vec::new() })
    }

    /// Makes keys of other frameworks unknown, including in the tables of this one.
    pub(super) fn only(&mut self, framework: &'static str) {
        self.framework = Some(framework);
    }

    /// The value of a key; None if it is absent, empty, or could not be filled in.
    pub(super) fn node(&mut self, name: &'static str) -> Option<&'t Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    pub(super) fn entry(&mut self, name: &'static str) -> Option<&'t Entry> {
        let key = self.declared(name)?;
        if !self.read.contains(&name) {
            self.read.extend([name].into_iter().chain(key.former));
        }
        self.given(name).filter(|entry| match &entry.node.value {
            Value::Text(text) => !text.is_empty(),
            Value::Unresolved => false,
            _ => true,
        })
    }

    /// The key's value or its default; None if it has neither, or if it is invalid, which is reported.
    pub(super) fn get<T: Read>(&mut self, name: &'static str) -> Option<T> {
        let key = self.declared(name)?;
        match (self.node(name), key.need) {
            (Some(node), _) => self.reading.value_or_report(T::read(node, key.kind, self.reading)),
            (None, Need::Required) => {
                self.missing(name);
                None
            }
            (None, Need::Default(text)) => T::read(&Node::of_default(text), key.kind, self.reading).ok(),
            (None, Need::Optional(_)) => None,
        }
    }

    /// Like `get`, with the type's default for an invalid value, which is reported.
    pub(super) fn value<T: Read + Default>(&mut self, name: &'static str) -> T {
        self.get(name).unwrap_or_default()
    }

    /// The key's value as a table.
    pub(super) fn table(&mut self, name: &'static str) -> Option<Table<'t>> {
        let (Kind::Table(section), node) = (self.declared(name)?.kind, self.node(name)) else { return None };
        let Some(node) = node else {
            if let Some(Need::Required) = self.declared(name).map(|key| key.need) {
                self.missing(name);
            }
            return None;
        };
        let table = Table::of(node, section, self.reading)?;
        Some(Table { framework: self.framework, ..table })
    }

    /// Like `table`; an absent table has every default.
    pub(super) fn table_or_defaults(&mut self, name: &'static str) -> Option<Table<'t>> {
        let Kind::Table(section) = self.declared(name)?.kind else { return None };
        let found = self.table(name);
        let (span, reading, framework) = (self.span.clone(), self.reading, self.framework);
        let absent = Table { span, reading, section, framework, entries: &[], read: Vec::new() };
        Some(found.unwrap_or(absent))
    }

    /// The tables of `[[name]]`, at most `most`.
    pub(super) fn tables(&mut self, name: &'static str, most: usize) -> Vec<(&'t Node, Table<'t>)> {
        let Some(Kind::Tables(section)) = self.declared(name).map(|key| key.kind) else { return Vec::new() };
        match self.node(name) {
            Some(Node { value: Value::List(list), .. }) => {
                if let Some(first) = list.get(most) {
                    let message = format!("more than {most} times `[[{name}]]`");
                    self.report(Problem::error(first.span.clone(), message));
                }
                let tables = list.iter().take(most);
                tables.filter_map(|node| Some((node, Table::of(node, section, self.reading)?))).collect()
            }
            Some(node) => {
                let help = format!("write `[[{name}]]`, in two brackets");
                self.report(values::wrong(node, "a list of tables").help(help));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// The only key of a table that takes exactly one.
    pub(super) fn choice(&mut self) -> Option<(&'static str, Table<'t>)> {
        let (name, words) = (self.section.name, self.section.choices());
        let mut given: Vec<_> =
            words.iter().filter_map(|word| self.entry(word).map(|entry| (*word, entry))).collect();
        ordered::sort_by_key(&mut given, |(_, entry)| entry.key_span.start);
        for (word, entry) in given.iter().skip(1) {
            let message = format!("{name} takes one of {}: `{word}` is one too many", words.join(", "));
            self.report(Problem::error(entry.key_span.clone(), message));
        }
        if self.is_empty() {
            let problem = Problem::error(self.span.clone(), format!("{name} needs exactly one key"));
            self.report(problem.help(format!("give it one of {}", words.join(", "))));
        }
        let (word, _) = given.first()?;
        Some((word, self.table(word)?))
    }

    /// Reports that a key is required, unless it is given and could not be filled in.
    pub(super) fn missing(&self, name: &str) {
        if !self.is_unfilled(name) {
            let empty = self.given(name);
            let place = empty.map_or(self.span.clone(), |entry| entry.node.span.clone());
            let problem = Problem::error(place, format!("{} needs `{name}`", self.section.name));
            self.report(if empty.is_some() {
                problem.help("an empty text counts as unset")
            } else {
                problem
            });
        }
    }

    /// The key is given and could not be filled in, which is already reported.
    pub(super) fn is_unfilled(&self, name: &str) -> bool {
        self.given(name).is_some_and(|entry| matches!(entry.node.value, Value::Unresolved))
    }

    pub(super) fn report(&self, problem: Problem) {
        self.reading.report(problem);
    }

    /// Reports a problem at a key's value, or at the table if the key is absent.
    pub(super) fn report_at(&mut self, name: &'static str, message: &str, help: Option<&str>) {
        let span = self.node(name).map_or(self.span.clone(), |node| node.span.clone());
        let problem = Problem::error(span, message);
        self.report(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    /// The key's entry, under its current or its former name.
    fn given(&self, name: &str) -> Option<&'t Entry> {
        let of = |name: &str| self.entries.iter().find(|entry| entry.key == name);
        of(name).or_else(|| of(self.section.key(name)?.former?))
    }

    fn declared(&self, name: &str) -> Option<&'static Key> {
        self.section.keys.iter().find(|key| key.name == name && key.is_of(self.framework))
    }
}
