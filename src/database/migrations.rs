//! Reads a folder of SQL migrations: sqlx's naming, sqlx's checksums, its own resolver.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{failure::Failure, files, tenants::manifest::Migration, words::hex};

/// One migration file that leads upwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MigrationFile {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) path: PathBuf,
    pub(crate) sql: String,
    /// SHA-384 of the text.
    pub(crate) checksum: Vec<u8>,
    /// The first line says `-- no-transaction`.
    pub(crate) no_transaction: bool,
}

impl MigrationFile {
    /// What people call it: `1 tenants`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.version, self.description)
    }

    /// As the manifest expects it.
    pub(crate) fn expected(&self) -> Migration {
        Migration {
            id: self.version.to_string(),
            name: self.name(),
            checksum: Some(hex(&self.checksum)),
            ..Migration::default()
        }
    }
}

/// The folder's migrations by version. What leads downwards is left out; files of other names are no
/// migrations, as for sqlx.
pub(crate) fn resolve(folder: &Path) -> Result<Vec<MigrationFile>, Failure> {
    let unreadable = |why: String| Failure::MigrationsUnreadable { path: folder.to_owned(), why };
    for entry in files::list_now(folder).map_err(|error| unreadable(error.to_string()))?.flatten() {
        // sqlx would pass over it in silence.
        let path = entry.path();
        let is_sql = path.extension().is_some_and(|extension| extension == "sql");
        if is_sql && files::metadata_now(&path).is_ok_and(|found| !found.is_file()) {
            return Err(unreadable(format!("`{}` is not a regular file", entry.file_name().display())));
        }
    }
    let resolved = sqlx::migrate::resolve_blocking(folder).map_err(|error| unreadable(chain(&error)))?;
    let mut files: BTreeMap<i64, MigrationFile> = BTreeMap::new();
    for (migration, path) in resolved {
        if migration.migration_type.is_down_migration() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_owned();
        let file = MigrationFile {
            version: migration.version,
            description: migration.description.into_owned(),
            path: folder.join(&name),
            sql: migration.sql.as_str().to_owned(),
            checksum: migration.checksum.into_owned(),
            no_transaction: migration.no_tx,
        };
        // A NUL would end the message to the server in the middle of the file.
        if file.sql.contains('\0') {
            return Err(unreadable(format!("`{}` holds a NUL byte", name.display())));
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

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) if !error.to_string().contains(&source.to_string()) => format!("{error}: {source}"),
        _ => error.to_string(),
    }
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
    fn migrations_come_in_the_order_of_their_versions() {
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
    fn two_files_of_one_version_are_an_error() {
        let folder = folder(&[("1_a.sql", ""), ("01_b.sql", "")]);
        let error = resolve(folder.path()).unwrap_err().to_string();
        assert!(error.contains("have the same version 1"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it() {
        let error = resolve(Path::new("/nonexistent/migrations")).unwrap_err();
        assert_eq!(error.code(), 78);
        assert!(error.to_string().contains("/nonexistent/migrations"), "{error}");
    }
}
