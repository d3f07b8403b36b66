//! The draft of a configuration: what the files of a project say about its migrations, tenants and server.

use std::path::Path;

use crate::files;

/// A larger file is not a source text.
const LARGEST: u64 = 1024 * 1024;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The files and settings that it comes from.
    pub(crate) found: Vec<String>,
    /// The migrations of every tenant; None if the project has no tenants.
    pub(crate) tenants: Option<TenantsDraft>,
    /// The command that migrates a project without tenants.
    pub(crate) migrate: Option<Vec<String>>,
    pub(crate) server: Option<Vec<String>>,
    /// Texts that name the variables of the project.
    pub(crate) texts: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TenantsDraft {
    /// The lines of `[migrations]`.
    pub(crate) migrations: String,
    pub(crate) table: String,
    pub(crate) schema_column: String,
    pub(crate) condition: Option<&'static str>,
}

/// The text of a file; empty if it cannot be read.
pub(crate) fn read(path: &Path) -> String {
    files::read_now(path, LARGEST).ok().and_then(|bytes| files::text(bytes).ok()).unwrap_or_default()
}

/// The names in a folder, in order; empty if it cannot be read.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = files::list_now(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}
