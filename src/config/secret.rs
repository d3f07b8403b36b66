//! Defines values that never reach a log: their `Debug` prints `<secret>`, and they have no `Display`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::files;

/// A larger file is not a password.
const LARGEST: u64 = 64 * 1024;

/// A text that may contain a password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
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

/// A secret, and its other notation: percent-encoded in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KnownSecret {
    pub(crate) value: Secret,
    pub(crate) written: Vec<Secret>,
}

impl KnownSecret {
    pub(super) fn plain(value: &str) -> Self {
        Self { value: Secret::new(value), written: Vec::new() }
    }
}

/// The source of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Password {
    None,
    Literal(Secret),
    /// Read again for every connection, because it may rotate.
    File(PathBuf),
}

impl Password {
    /// The current password, read in the calling thread: only before a runtime has started.
    pub(crate) fn read_now(&self) -> Result<Option<Secret>, String> {
        match self {
            Password::None => Ok(None),
            Password::Literal(secret) => Ok(Some(secret.clone())),
            Password::File(path) => from_file(path, files::read_text_now(path, LARGEST)).map(Some),
        }
    }

    /// The current password. A file is read in a separate thread and may hang: callers set a limit.
    pub(crate) async fn read(&self) -> Result<Option<Secret>, String> {
        let Password::File(path) = self else { return self.read_now() };
        let read = path.clone();
        from_file(path, files::within(files::TIMEOUT, move || files::read_text_now(&read, LARGEST)).await)
            .map(Some)
    }
}

/// A newline at the end of the file is not part of the password.
fn from_file(path: &Path, text: io::Result<String>) -> Result<Secret, String> {
    let text =
        text.map_err(|error| format!("cannot read the password file `{}`: {error}", path.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}
