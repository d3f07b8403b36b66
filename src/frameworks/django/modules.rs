//! Compares the migration modules on disk with the manifest without Python. It reads files and blocks.

use std::{collections::BTreeMap, io, path::Path};

use sha2::{Digest, Sha256};

use crate::{files, tenants::manifest::Sources, words::hex};

/// The reason why the manifest's modules differ from those on disk.
pub(super) fn staleness(sources: &BTreeMap<String, Sources>, base: &Path) -> Option<String> {
    if sources.is_empty() {
        return Some("it contains no migration module".into());
    }
    sources.iter().find_map(|(app, modules)| {
        let folder = base.join(&modules.folder);
        match digests(&folder) {
            Ok(found) => difference(app, &modules.files, &found),
            Err(error) => {
                Some(format!("cannot read the migrations of `{app}` in `{}`: {error}", folder.display()))
            }
        }
    })
}

pub(crate) fn difference(
    app: &str,
    known: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Option<String> {
    if let Some(file) = found.keys().find(|file| !known.contains_key(*file)) {
        return Some(format!("it does not contain `{app}`'s migration `{file}`"));
    }
    known.iter().find_map(|(file, digest)| match found.get(file) {
        None => Some(format!("`{app}`'s migration `{file}` no longer exists on disk")),
        Some(other) if other != digest => {
            Some(format!("`{app}`'s migration `{file}` was changed after it was derived"))
        }
        Some(_) => None,
    })
}

/// The migration modules of a folder by Django's rules, with the first bytes of their digests.
fn digests(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in files::list_now(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_module = [".py", ".pyc", ".so"].iter().any(|suffix| name.ends_with(suffix));
        if is_module && !name.starts_with(['_', '~']) {
            let digest = Sha256::digest(files::read_now(&folder.join(&name), u64::MAX)?);
            found.insert(name, hex(&digest[..8]));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{fs, path::PathBuf};

    use super::*;

    #[test]
    fn a_new_deleted_or_changed_module_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("0001_initial.py", "one");
        write("__init__.py", "");
        write("_private.py", "");
        let files = digests(folder.path()).unwrap();
        assert_eq!(files.len(), 1);
        let sources = [("finance".to_owned(), Sources { folder: PathBuf::new(), files })].into();
        let stale = || staleness(&sources, folder.path());
        assert_eq!(stale(), None);
        write("0002_more.py", "two");
        assert_eq!(stale().unwrap(), "it does not contain `finance`'s migration `0002_more.py`");
        fs::remove_file(folder.path().join("0002_more.py")).unwrap();
        write("0001_initial.py", "other");
        assert_eq!(
            stale().unwrap(),
            "`finance`'s migration `0001_initial.py` was changed after it was derived"
        );
        fs::remove_file(folder.path().join("0001_initial.py")).unwrap();
        assert_eq!(stale().unwrap(), "`finance`'s migration `0001_initial.py` no longer exists on disk");
    }
}
