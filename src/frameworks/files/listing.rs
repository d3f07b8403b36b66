//! Finds the migration files of a folder by their patterns, and compares them with the manifest.

use std::{collections::BTreeMap, io, path::Path};

use sha2::{Digest, Sha256};

use super::source_file::SourceFile;
use crate::{
    config::{Captures, FilePattern, IdTemplate},
    files,
    frameworks::{django::modules, sql},
    tenants::manifest::{Manifest, Sources},
    words::hex,
};

/// Folders that contain no migrations of their own.
const EXCLUDED: [&str; 2] = ["__pycache__", "node_modules"];

pub(super) fn is_file(path: &Path) -> Result<bool, String> {
    files::metadata_now(path).map(|metadata| metadata.is_file()).map_err(|error| error.to_string())
}

/// The files that a pattern matches and none excludes, with their digests.
pub(super) fn read(
    folder: &Path,
    patterns: &[FilePattern],
    recorded_as: Option<&IdTemplate>,
) -> Result<(Vec<SourceFile>, Sources), String> {
    let mut paths = Vec::new();
    let depth = patterns.iter().map(FilePattern::depth).max().unwrap_or_default();
    find(folder, "", depth, &mut paths).map_err(|error| error.to_string())?;
    paths.sort_unstable();
    let (excluding, including): (Vec<_>, Vec<_>) = patterns.iter().partition(|pattern| pattern.excludes);
    let (mut found, mut digests) = (Vec::new(), BTreeMap::new());
    for path in
        paths.into_iter().filter(|path| excluding.iter().all(|pattern| pattern.captures(path).is_none()))
    {
        let Some(captures) = including.iter().find_map(|pattern| pattern.captures(&path)) else { continue };
        let bytes =
            files::read_now(&folder.join(&path), u64::MAX).map_err(|error| format!("`{path}`: {error}"))?;
        let id = match recorded_as {
            Some(template) => template.fill(&captures, &path)?,
            None => identifier(&captures),
        };
        digests.insert(path.clone(), digest(&bytes));
        let name = captures.get("name").cloned().unwrap_or_default();
        found.push(SourceFile { path, id, name, bytes });
    }
    Ok((found, Sources { folder: folder.to_owned(), files: digests }))
}

fn identifier(captures: &Captures) -> String {
    ["id", "number", "digits"].into_iter().find_map(|name| captures.get(name)).cloned().unwrap_or_default()
}

/// Every file up to this depth. Links to folders are not followed: they may lead out of the folder or form a cycle.
fn find(base: &Path, folder: &str, depth: usize, found: &mut Vec<String>) -> io::Result<()> {
    for entry in files::list_now(&base.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type()?.is_dir() {
            if depth > 0 && !EXCLUDED.contains(&name.as_str()) {
                find(base, &path, depth - 1, found)?;
            }
        } else if files::metadata_now(&entry.path())?.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// The first bytes of the file's SHA-256.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

/// The reason why the manifest does not match the files on disk; None if it matches.
pub(super) fn difference(manifest: &Manifest, on_disk: &Manifest) -> Option<String> {
    if manifest.framework.name() != on_disk.framework.name() || manifest.ledger != on_disk.ledger {
        return Some("it was derived with another `framework` or `[migrations.ledger]`".into());
    }
    if let Some(why) = sql::staleness(manifest, &on_disk.shared.migrations, &on_disk.tenant.migrations) {
        return Some(why);
    }
    if manifest.sources.keys().ne(on_disk.sources.keys()) {
        return Some("it was derived from other folders".into());
    }
    on_disk.sources.iter().find_map(|(folder, found)| {
        let known = manifest.sources.get(folder)?;
        modules::difference(folder, &known.files, &found.files)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;

    fn ids(patterns: &[&str], files: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let patterns: Vec<_> = patterns.iter().map(|text| FilePattern::parse(text).unwrap()).collect();
        read(folder.path(), &patterns, None).unwrap().0.into_iter().map(|file| file.id).collect()
    }

    #[test]
    fn only_files_that_a_pattern_matches_are_migrations() {
        let files =
            ["1_a.ts", "2_b.js", "3_c.d.ts", "README.md", ".4_d.ts", "node_modules/5_e.ts", "deep/6_f.ts"];
        assert_eq!(ids(&["{id}.ts", "{id}.js", "!{id}.d.ts"], &files), ["1_a", "2_b"]);
        assert_eq!(ids(&["**/{id}.ts", "!{id}.d.ts"], &files), ["1_a", "6_f"]);
        assert_eq!(
            ids(&["{id}/migration.sql"], &["1/migration.sql", "1/x/migration.sql", "migration.sql"]),
            ["1"]
        );
    }
}
