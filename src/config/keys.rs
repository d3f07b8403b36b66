//! Declares each key of the configuration once: the readers, the JSON Schema and the tables of
//! `docs/configuration.md` follow the declarations. An undeclared key cannot be read.

/// `name: kind, need, "sentence"`: the need is `required`, `= "default"`, `? "meaning of an absent key"`, or nothing.
macro_rules! key {
    ($name:tt: $kind:expr, required, $doc:literal $(, only $only:expr)?) => {
        key!(@ $name, $kind, crate::config::keys::Need::Required, $doc $(, $only)?)
    };
    ($name:tt: $kind:expr, = $default:literal, $doc:literal $(, only $only:expr)?) => {
        key!(@ $name, $kind, crate::config::keys::Need::Default($default), $doc $(, $only)?)
    };
    ($name:tt: $kind:expr, ? $words:literal, $doc:literal $(, only $only:expr)?) => {
        key!(@ $name, $kind, crate::config::keys::Need::Optional($words), $doc $(, $only)?)
    };
    ($name:tt: $kind:expr, $doc:literal $(, only $only:expr)?) => {
        key!(@ $name, $kind, crate::config::keys::Need::Optional("none"), $doc $(, $only)?)
    };
    (@ $name:tt, $kind:expr, $need:expr, $doc:literal) => {
        crate::config::keys::Key { name: stringify!($name), kind: $kind, need: $need, doc: $doc, frameworks: None, former: None }
    };
    (@ $name:tt, $kind:expr, $need:expr, $doc:literal, $only:expr) => {
        crate::config::keys::Key {
            name: stringify!($name),
            kind: $kind,
            need: $need,
            doc: $doc,
            frameworks: Some($only),
            former: None,
        }
    };
}
pub(in crate::config) use key;

mod privileges;
mod steps;
mod tables;

pub(super) use self::{steps::KINDS, tables::ROOT};

/// A table of the file.
pub(super) struct Section {
    /// The section's name in messages.
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
    pub(super) choice: Choice,
}

/// The keys of a table that exclude each other.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    /// No key excludes another.
    Free,
    /// Exactly one of these keys is given.
    OneOf(&'static [&'static str]),
    /// Exactly one key is given, and no other exists.
    OneOfAll,
}

/// A key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) need: Need,
    /// One sentence in Markdown.
    pub(super) doc: &'static str,
    /// The values of `framework` that the key belongs to; None for all.
    pub(super) frameworks: Option<fn(&str) -> bool>,
    /// The name in the previous release; still read, with a warning.
    pub(super) former: Option<&'static str>,
}

/// The meaning of an absent key.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Required,
    /// Like this value in the file.
    Default(&'static str),
    /// A description.
    Optional(&'static str),
}

/// The kind of a value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A name that SQL can quote, optionally with its schema.
    Identifier,
    StepName,
    Path,
    /// `2027-01-31`
    Day,
    /// `host:port`
    Address,
    /// Like `Address`, with numbers only.
    ListenAddress,
    /// A URL with one of these schemes. It may contain a secret.
    Url(&'static [&'static str]),
    /// A secret.
    Password,
    /// A table with names of the user's choice; each value may be a secret.
    Variables,
    /// A table with names of columns; each value is a text, a number or a boolean.
    Columns,
    Number(i64, i64),
    Boolean,
    Duration,
    DurationOrZero,
    Word(fn() -> Vec<&'static str>),
    /// A program and its arguments; at least this number of words.
    Argv(usize),
    /// A list of lists.
    Argvs,
    /// A list with at least this number of texts; empty texts do not count.
    Texts(usize),
    /// One value or a list of such values.
    OneOrMany(&'static Kind),
    /// A list of lists of names and percentages.
    Waves,
    /// `"all"` or a list of names.
    AllOrNames,
    /// `"start"` or a list of names.
    After,
    Table(&'static Section),
    /// `[[name]]`
    Tables(&'static Section),
}

impl Section {
    pub(super) const fn new(name: &'static str, doc: &'static str, keys: &'static [Key]) -> Self {
        Self { name, doc, keys, choice: Choice::Free }
    }

    pub(super) const fn one_of(self, keys: &'static [&'static str]) -> Self {
        Self { choice: Choice::OneOf(keys), ..self }
    }

    pub(super) const fn one_of_all(self) -> Self {
        Self { choice: Choice::OneOfAll, ..self }
    }

    /// The keys of which exactly one is given; empty if any may be given.
    pub(super) fn choices(&self) -> Vec<&'static str> {
        match self.choice {
            Choice::Free => Vec::new(),
            Choice::OneOf(keys) => keys.to_vec(),
            Choice::OneOfAll => self.keys.iter().map(|key| key.name).collect(),
        }
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Every key of this section and of the sections in it.
    pub(super) fn every_key(&'static self) -> Vec<&'static Key> {
        let below = |key: &'static Key| match key.kind {
            Kind::Table(section) | Kind::Tables(section) => section.every_key(),
            _ => Vec::new(),
        };
        self.keys.iter().flat_map(|key| [key].into_iter().chain(below(key))).collect()
    }
}

impl Key {
    pub(super) const fn formerly(self, former: &'static str) -> Self {
        Self { former: Some(former), ..self }
    }

    /// Exists with these frameworks only.
    const fn only(self, frameworks: fn(&str) -> bool) -> Self {
        Self { frameworks: Some(frameworks), ..self }
    }

    pub(super) fn is_of(&self, framework: Option<&str>) -> bool {
        match (self.frameworks, framework) {
            (Some(only), Some(framework)) => only(framework),
            _ => true,
        }
    }
}

/// Keywords for the values of a type.
pub(super) trait Keyword: Copy + 'static {
    const KEYWORDS: &'static [(&'static str, Self)];
}

pub(super) fn words<T: Keyword>() -> Vec<&'static str> {
    T::KEYWORDS.iter().map(|(word, _)| *word).collect()
}
