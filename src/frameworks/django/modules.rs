//! Tells without Python whether the migration modules on disk are those of the manifest. It reads files and blocks.

use std::{collections::BTreeMap, io, path::Path};

use sha2::{Digest, Sha256};

use crate::{files, tenants::manifest::Sources, words::hex};

/// Why the manifest's modules are not those on disk.
pub(super) fn staleness(sources: &BTreeMap<String, Sources>, base: &Path) -> Option<String> {
    if sources.is_empty() {
        return Some("it names no migration module".into());
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

fn difference(
    app: &str,
    known: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Option<String> {
    if let Some(file) = found.keys().find(|file| !known.contains_key(*file)) {
        return Some(format!("it does not know `{app}`'s migration `{file}`"));
    }
    known.iter().find_map(|(file, digest)| match found.get(file) {
        None => Some(format!("`{app}`'s migration `{file}` is not on disk")),
        Some(other) if other != digest => Some(format!("`{app}`'s migration `{file}` was changed since")),
        Some(_) => None,
    })
}

/// The modules of a folder that Django takes for migrations, with the beginning of their digests.
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
    fn a_module_that_came_went_or_changed_is_named() {
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
        assert_eq!(stale().unwrap(), "it does not know `finance`'s migration `0002_more.py`");
        fs::remove_file(folder.path().join("0002_more.py")).unwrap();
        write("0001_initial.py", "other");
        assert_eq!(stale().unwrap(), "`finance`'s migration `0001_initial.py` was changed since");
        fs::remove_file(folder.path().join("0001_initial.py")).unwrap();
        assert_eq!(stale().unwrap(), "`finance`'s migration `0001_initial.py` is not on disk");
    }
}
