//! Values that never reach a log: their `Debug` says `<secret>`, and they have no `Display`.

use std::{fmt, fs, path::PathBuf};

/// A text that may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Password {
    None,
    Given(Secret),
    /// Read again at every connection, because it may rotate.
    File(PathBuf),
}

impl Password {
    /// The password now; one newline at the end of a file does not belong to it.
    pub(crate) fn read(&self) -> Result<Option<Secret>, String> {
        match self {
            Password::None => Ok(None),
            Password::Given(secret) => Ok(Some(secret.clone())),
            Password::File(path) => match fs::read_to_string(path) {
                Ok(text) => {
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    Ok(Some(Secret::new(text.strip_suffix('\r').unwrap_or(text))))
                }
                Err(error) => Err(format!("cannot read the password file `{}`: {error}", path.display())),
            },
        }
    }
}
