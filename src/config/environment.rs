//! Reads the environment once into a value.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::ordered::Ordered;

/// The variables that the program was started with. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment(Arc<BTreeMap<String, String>>);

impl Environment {
    /// The process's own environment; a variable that is not UTF-8 is only passed to the server.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(Arc::new(variables.into_map()))
    }

    /// The same environment with another value of this variable.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut variables = BTreeMap::clone(&self.0);
        variables.insert(name.to_owned(), value.to_owned());
        Self(Arc::new(variables))
    }

    /// An empty variable counts as unset.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The region in which the container runs.
    pub(crate) fn aws_region(&self) -> Option<&str> {
        self.get("AWS_REGION").or_else(|| self.get("AWS_DEFAULT_REGION"))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A strict boolean: unset is false; a word that is neither true nor false is returned as the error.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, String> {
        let Some(value) = self.get(name) else {
            return Ok(false);
        };
        flag(value).ok_or_else(|| value.to_owned())
    }
}

/// Parses true, 1, yes, on, or their opposites; None for any other word.
pub(super) fn flag(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Shows the names only: a value may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(Arc::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()))
    }
}
