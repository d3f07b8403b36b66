//! The draft of a configuration: what the files of a project say about its migrations, tenants and server.

use std::{fmt, path::Path};

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
    /// The registry; empty if the shared schema alone has migrations.
    pub(crate) table: String,
    pub(crate) schema_column: String,
    pub(crate) condition: Option<&'static str>,
}

/// The tables `[tenants]` and `[migrations]`.
impl fmt::Display for TenantsDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { migrations, table, schema_column, condition } = self;
        let condition = condition.map(|condition| format!(", where = \"{condition}\"")).unwrap_or_default();
        if !table.is_empty() {
            write!(
                f,
                "
[tenants]
# The table with a row for each tenant, and the column with the name of its schema.
# Add `min_rows = 1` once the first tenant exists: an empty table then blocks the start.
registry = {{ table = \"{table}\", schema_column = \"{schema_column}\"{condition} }}
"
            )?;
        }
        write!(
            f,
            "
[migrations]
{migrations}# Lists what the code expects. Write it when the image is built.
manifest = {{ file = \"portcullis.manifest.json\" }}
"
        )
    }
}

/// The text of a file; empty if it cannot be read.
pub(crate) fn read(path: &Path) -> String {
    files::read_now(path, LARGEST).ok().and_then(|bytes| files::text(bytes).ok()).unwrap_or_default()
}

/// The project's own folders in a folder, in order: not hidden, no dependencies, no virtual environment.
pub(crate) fn folders(folder: &Path) -> Vec<String> {
    let is_own = |name: &String| {
        let inside = names(&folder.join(name));
        !name.starts_with('.')
            && !["node_modules", "vendor", "target"].contains(&&**name)
            && !inside.is_empty()
            && !inside.iter().any(|name| name == "pyvenv.cfg")
    };
    names(folder).into_iter().filter(is_own).collect()
}

/// The names in a folder, in order; empty if it cannot be read.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = files::list_now(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}
