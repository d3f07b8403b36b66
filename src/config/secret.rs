//! Defines values that never reach a log: their `Debug` prints `<secret>`, and they have no `Display`.

use std::{
    collections::VecDeque,
    fmt, io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::files;

/// A larger file is not a password.
const LARGEST: u64 = 64 * 1024;

/// Older tokens have expired.
const MOST_LEARNED: usize = 256;

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

/// The secrets that became known after the configuration was read: a rotated password, a command's output, a token.
static LEARNED: Mutex<VecDeque<Secret>> = Mutex::new(VecDeque::new());
static CHANGES: AtomicUsize = AtomicUsize::new(0);

/// Declares a secret, for the mask of all later output.
pub(crate) fn learn(secret: &Secret) {
    let mut learned = LEARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = learned.iter().position(|known| known == secret) {
        // A password that is still in use must outlast the tokens that were used once.
        learned.remove(at);
    } else {
        if learned.len() == MOST_LEARNED {
            learned.pop_front();
        }
        CHANGES.fetch_add(1, Ordering::Relaxed);
    }
    learned.push_back(secret.clone());
}

/// The number of changes of [`learned`].
pub(crate) fn changes() -> usize {
    CHANGES.load(Ordering::Relaxed)
}

pub(crate) fn learned() -> Vec<Secret> {
    LEARNED.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

/// The text of a password file.
pub(super) fn read_file_now(path: &Path) -> Result<Secret, String> {
    from_file(path, files::read_text_now(path, LARGEST))
}

/// The same in a separate thread, because the read may hang.
pub(crate) async fn read_file(path: &Path) -> Result<Secret, String> {
    let read = path.to_owned();
    from_file(path, files::within(files::TIMEOUT, move || files::read_text_now(&read, LARGEST)).await)
}

/// A newline at the end of the file is not part of the password.
fn from_file(path: &Path, text: io::Result<String>) -> Result<Secret, String> {
    let text =
        text.map_err(|error| format!("cannot read the password file `{}`: {error}", path.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_use_outlasts_the_tokens_that_were_used_once() {
        let password = Secret::new("password in use");
        for number in 0..=MOST_LEARNED {
            learn(&password);
            learn(&Secret::new(format!("token {number}")));
        }
        assert!(learned().contains(&password));
        assert!(!learned().contains(&Secret::new("token 0")));
        assert_eq!(learned().len(), MOST_LEARNED);
    }
}
