//! Reads a folder of SQL migrations with sqlx's own resolver: its file names and its checksums.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha384};

use super::file_headers::FileHeaders;
use crate::{failure::Failure, files, ordered::Ordered, tenants::manifest::Migration, words::hex};

/// The depth of the search for SQL files that would not be applied; links may be circular.
const DEPTH: u32 = 4;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// One up migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MigrationFile {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) path: PathBuf,
    pub(crate) sql: String,
    /// SHA-384 of the text.
    pub(crate) checksum: Vec<u8>,
    /// The checksum of the text with the other line ends, CRLF or LF; None for a text of one line.
    pub(crate) other_line_ends: Option<Vec<u8>>,
    /// The versions that a baseline replaces, from its `-- replaces:` line.
    pub(crate) replaces: Vec<String>,
    /// The first line is `-- no-transaction`.
    pub(crate) no_transaction: bool,
}

impl MigrationFile {
    /// The name in messages: `1 tenants`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.version, self.description)
    }

    /// The manifest's entry for it.
    pub(crate) fn expected(&self) -> Migration {
        Migration {
            id: self.version.to_string(),
            name: self.name(),
            checksum: Some(hex(&self.checksum)),
            other_line_ends: self.other_line_ends.as_deref().map(hex),
            replaces: self.replaces.clone(),
            ..Migration::default()
        }
    }
}

/// The folder's migrations by version, without down migrations. A file that looks like a migration and would not be
/// applied is an error.
pub(crate) fn resolve(folder: &Path) -> Result<Vec<MigrationFile>, Failure> {
    let unreadable = |why: String| Failure::MigrationsUnreadable { path: folder.to_owned(), why };
    let entries = files::list_now(folder).map_err(|error| Failure::unreadable(folder, &error))?;
    for entry in entries.flatten() {
        // sqlx would ignore it without a message.
        let path = entry.path();
        let is_sql = path.extension().is_some_and(|extension| extension == "sql");
        if is_sql && files::metadata_now(&path).is_ok_and(|found| !found.is_file()) {
            return Err(unreadable(format!("`{}` is not a regular file", entry.file_name().display())));
        }
    }
    let resolved =
        sqlx::migrate::resolve_blocking(folder).map_err(|error| Failure::unreadable(folder, &error))?;
    let applied: BTreeSet<OsString> =
        resolved.iter().filter_map(|(_, path)| path.file_name().map(OsString::from)).into_set();
    if let Some(why) = ignored_file(folder, &applied).map_err(|error| Failure::unreadable(folder, &error))? {
        return Err(unreadable(why));
    }
    let mut files: BTreeMap<i64, MigrationFile> = BTreeMap::new();
    for (migration, path) in resolved {
        if migration.migration_type.is_down_migration() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_owned();
        // As psql does; the checksum is that of the file, as sqlx's.
        let text = migration.sql.as_str();
        let sql = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let FileHeaders { replaces, no_transaction } =
            FileHeaders::of(sql).map_err(|why| unreadable(format!("`{}`: {why}", name.display())))?;
        let file = MigrationFile {
            other_line_ends: other_line_ends(text),
            replaces,
            version: migration.version,
            description: migration.description.into_owned(),
            path: folder.join(&name),
            sql: sql.to_owned(),
            checksum: migration.checksum.into_owned(),
            no_transaction,
        };
        // A NUL would end the message to the server in the middle of the file.
        if file.sql.contains('\0') {
            return Err(unreadable(format!("`{}` contains a NUL byte", name.display())));
        }
        if let Some(other) = files.insert(file.version, file) {
            return Err(unreadable(format!(
                "`{}` and `{}` have the same version {}",
                other.path.file_name().unwrap_or_default().display(),
                name.display(),
                other.version,
            )));
        }
    }
    Ok(files.into_values().collect())
}

/// The error for an entry of the folder that looks like a migration and is none.
fn ignored_file(folder: &Path, applied: &BTreeSet<OsString>) -> io::Result<Option<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![(folder.to_owned(), DEPTH)]);
    while let Some((path, depth)) = folders.pop() {
        for entry in files::list_now(&path)? {
            let entry = entry?;
            let (name, entry) = (entry.file_name(), entry.path());
            // Kubernetes stores a volume's earlier content in hidden folders; editors store their own files there.
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if is_hidden {
                continue;
            }
            if !files::metadata_now(&entry).is_ok_and(|entry| entry.is_dir()) {
                found.push(entry);
            } else if depth > 0 {
                folders.push((entry, depth - 1));
            }
        }
    }
    found.sort_unstable();
    let mut names = found.iter().map(|file| file.strip_prefix(folder).unwrap_or(file).as_os_str());
    Ok(names.find(|name| is_sql(name) && !applied.contains(*name)).map(|name| {
        format!(
            "`{}` would not be applied: a migration is a file of the folder itself and is named `NUMBER_WORDS.sql`, as in \
             `0002_paid.sql`",
            name.display()
        )
    }))
}

/// By its extension, in any case.
fn is_sql(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    ["sql", "psql", "pgsql"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn other_line_ends(text: &str) -> Option<Vec<u8>> {
    let other = if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text.replace('\n', "\r\n") };
    (other != text).then(|| Sha384::digest(other).to_vec())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn migrations_are_ordered_by_version() {
        let folder = folder(&[
            ("10_later.sql", "SELECT 10"),
            ("2_first_of_all.up.sql", "-- no-transaction\nSELECT 2"),
            ("2_first_of_all.down.sql", "SELECT -2"),
            ("README.md", "nothing"),
        ]);
        let files = resolve(folder.path()).unwrap();
        let names: Vec<_> = files.iter().map(MigrationFile::name).collect();
        assert_eq!(names, ["2 first of all", "10 later"]);
        assert!(files.iter().map(|file| file.no_transaction).eq([true, false]));
        assert_eq!(files.first().unwrap().path, folder.path().join("2_first_of_all.up.sql"));
        assert_eq!(files.first().unwrap().expected().checksum.unwrap().len(), 96);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_statements() {
        let folder =
            folder(&[("1_a.sql", "\u{feff}-- no-transaction\nVACUUM"), ("2_b.sql", "\u{feff}SELECT 1")]);
        let files = resolve(folder.path()).unwrap();
        assert!(files.iter().map(|file| file.no_transaction).eq([true, false]));
        assert!(files.iter().map(|file| &*file.sql).eq(["-- no-transaction\nVACUUM", "SELECT 1"]));
        // The checksum is that of sqlx.
        assert_eq!(files[1].checksum, Sha384::digest("\u{feff}SELECT 1").to_vec());
    }

    #[test]
    fn two_files_of_one_version_are_an_error() {
        let folder = folder(&[("1_a.sql", ""), ("01_b.sql", "")]);
        let error = resolve(folder.path()).unwrap_err().to_string();
        assert!(error.contains("have the same version 1"), "{error}");
    }

    #[test]
    fn a_file_that_looks_like_a_migration_and_would_not_be_applied_is_an_error() {
        for name in [
            "0002-paid.sql",
            "0002.sql",
            "paid.sql",
            "0002_paid.SQL",
            "0002_paid.psql",
            "v2_paid.sql",
            "sub/0002_paid.sql",
        ] {
            let folder = folder(&[("1_first.sql", "")]);
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
            let error = resolve(folder.path()).unwrap_err();
            assert_eq!(error.code(), 78, "{name}");
            assert!(error.to_string().contains(name), "{error}");
        }
        let folder =
            folder(&[("1_first.sql", ""), (".keep", ""), ("notes.txt", ""), ("1_first.down.sql", "")]);
        fs::create_dir(folder.path().join("docs")).unwrap();
        fs::create_dir(folder.path().join("..2026_11_27")).unwrap();
        fs::write(folder.path().join("..2026_11_27/1_first.sql"), "").unwrap();
        assert_eq!(resolve(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it() {
        let error = resolve(Path::new("/nonexistent/migrations")).unwrap_err();
        assert_eq!(error.code(), 78);
        assert!(error.to_string().contains("/nonexistent/migrations"), "{error}");
    }
}
