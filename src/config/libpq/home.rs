//! The home directory, in which libpq looks for its files.

use std::path::PathBuf;

use nix::unistd::{User, geteuid};

use crate::config::environment::Environment;

/// `HOME`, else the user's entry in the system's list of users.
pub(super) fn home(env: &Environment) -> Option<PathBuf> {
    let given = env.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    given.or_else(|| User::from_uid(geteuid()).ok().flatten().map(|user| user.dir))
}
