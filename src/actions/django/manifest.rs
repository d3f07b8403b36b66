//! Asks a Django project what it expects, and tells without Python whether an answer is still true.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::child;
use crate::{
    actions::Work,
    config,
    failure::Failure,
    outcome::FailureDetails,
    process::How,
    tenants::manifest::{Django, Manifest, Modules},
};

/// The command that makes the manifest of a Django project.
pub(crate) const MAKE: &str = "portcullis manifest django";

const SCRIPT: &str = include_str!("manifest.py");

/// Loading a large project takes seconds; more than this is a hang.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The last lines of what the project says that are kept.
const KEPT_LINES: usize = 30;

/// The manifest's text, from the project itself. It is written beside `path`, and nothing is left of it there.
pub(crate) async fn ask(
    work: &Work,
    project: &config::Django,
    path: &Path,
) -> Result<String, FailureDetails> {
    let mut lines = VecDeque::new();
    asked(work, project, path, &mut lines)
        .await
        .map_err(|failure| FailureDetails { output: lines.into(), ..FailureDetails::from(failure) })
}

async fn asked(
    work: &Work,
    project: &config::Django,
    path: &Path,
    lines: &mut VecDeque<String>,
) -> Result<String, Failure> {
    let answer = path.with_extension("json.asked");
    let mut argv = vec![project.python.clone(), "-c".into(), SCRIPT.into(), super::text(&answer)?];
    argv.extend(Some(super::manage(project)?).filter(|manage| !manage.is_empty()));
    let mut hear = |_, line: String| {
        if !line.trim().is_empty() {
            lines.push_back(line);
            if lines.len() > KEPT_LINES {
                lines.pop_front();
            }
        }
        None
    };
    let program = project.python.clone();
    let child = super::program(work, &project.env, argv);
    let finished = child::run(work.processes()?, &child, Instant::now() + TIMEOUT, &mut hear)
        .await
        .map_err(|error| Failure::CommandMissing { program: program.clone(), why: error.to_string() })?;
    match finished.how {
        _ if finished.timed_out => {
            return Err(Failure::TimedOut { what: "asking Django".into(), after: TIMEOUT });
        }
        How::Exited(0) => {}
        How::NotStarted { why, .. } => return Err(Failure::CommandMissing { program, why }),
        how => {
            let last = lines.back().map(String::as_str).unwrap_or_default();
            return Err(Failure::CommandFailed { program, ended: format!("{}: {last}", child::words(&how)) });
        }
    }
    let text = fs::read_to_string(&answer);
    // If it cannot be removed, the next answer replaces it.
    let _ = fs::remove_file(&answer);
    text.map_err(|error| Failure::ManifestInvalid { path: answer, why: error.to_string(), make: MAKE.into() })
}

/// Why the manifest no longer matches the migration modules on disk, if it does not.
pub(crate) fn staleness(manifest: &Manifest, project: &config::Django) -> Option<String> {
    let Some(django) = &manifest.django else {
        return Some("it was not made of a Django project".into());
    };
    let base = project.manage.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    if django.modules.is_empty() {
        return Some("it names no migration module".into());
    }
    of_modules(django, base)
}

fn of_modules(django: &Django, base: &Path) -> Option<String> {
    django.modules.iter().find_map(|(app, modules)| {
        let folder = base.join(&modules.folder);
        match digests(&folder) {
            Ok(found) => difference(app, modules, &found),
            Err(error) => {
                Some(format!("cannot read the migrations of `{app}` in `{}`: {error}", folder.display()))
            }
        }
    })
}

fn difference(app: &str, modules: &Modules, found: &BTreeMap<String, String>) -> Option<String> {
    let known = &modules.files;
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
fn digests(folder: &PathBuf) -> std::io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_module = [".py", ".pyc", ".so"].iter().any(|suffix| name.ends_with(suffix));
        if is_module && !name.starts_with(['_', '~']) {
            let digest = Sha256::digest(fs::read(folder.join(&name))?);
            let text = digest.iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            found.insert(name, text);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_module_that_came_went_or_changed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("0001_initial.py", "one");
        write("__init__.py", "");
        write("_private.py", "");
        let modules =
            Modules { folder: folder.path().to_owned(), files: digests(&folder.path().to_owned()).unwrap() };
        let told = || difference("finance", &modules, &digests(&folder.path().to_owned()).unwrap());
        assert_eq!(modules.files.len(), 1);
        assert_eq!(told(), None);
        write("0002_more.py", "two");
        assert_eq!(told().unwrap(), "it does not know `finance`'s migration `0002_more.py`");
        fs::remove_file(folder.path().join("0002_more.py")).unwrap();
        write("0001_initial.py", "other");
        assert_eq!(told().unwrap(), "`finance`'s migration `0001_initial.py` was changed since");
        fs::remove_file(folder.path().join("0001_initial.py")).unwrap();
        assert_eq!(told().unwrap(), "`finance`'s migration `0001_initial.py` is not on disk");
    }
}
