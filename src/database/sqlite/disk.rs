//! File system operations outside SQLite: each runs off the runtime's thread, with a time limit.
//!
//! The data folder is not trusted. Only regular files are opened, never a FIFO (it hangs), a link (it leads elsewhere), the
//! file of another database or of another user.

#![expect(clippy::disallowed_methods, reason = "every call is inside `files::within`")]

use std::{
    fs,
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access, geteuid};

use crate::{cause::Cause, files};

/// The suffixes of a database file and of the files that SQLite adds to it.
pub(super) const FILE_SUFFIXES: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// Runs `work` on a path; the error is `cannot DOING PATH: ...`.
pub(super) async fn at<T: Send + 'static>(
    doing: &str,
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Cause> {
    let owned = path.to_owned();
    let done = files::within(files::TIMEOUT, move || work(&owned)).await;
    done.map_err(|error| Cause::io(&format!("cannot {doing} `{}`", path.display()), &error))
}

/// Whether a regular file exists; anything else of that name is an error.
pub(super) async fn exists(path: &Path) -> Result<bool, Cause> {
    at("use", path, is_file).await
}

/// Whether a file exists that SQLite can read. A reader of a file with a write-ahead log must be able to write the
/// folder; SQLite's own error does not explain that.
pub(super) async fn readable(path: &Path) -> Result<bool, Cause> {
    at("open", path, |path| Ok(is_file(path)? && has_usable_log(path)?)).await
}

fn is_file(path: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let refuse = |why: String| Err(io::Error::other(why));
    if found.is_symlink() {
        return refuse("it is a symbolic link: replace the link with the file".into());
    }
    if !found.is_file() {
        return refuse("it is not a regular file".into());
    }
    if found.nlink() > 1
        && let Some(other) = other_database(path, &found)
    {
        return refuse(format!(
            "it is the same file as `{}`: replace the link with its own file",
            other.display()
        ));
    }
    if is_foreign(path, &found)? {
        let owner = found.uid();
        return refuse(format!(
            "it belongs to the user {owner}, who owns neither this process nor the folder: remove it, or change its owner"
        ));
    }
    is_consistent(path, &found).map(|()| true)
}

/// Another database that is the same file. A file that is being created has a temporary name, too.
fn other_database(path: &Path, found: &fs::Metadata) -> Option<PathBuf> {
    let folder = path.parent()?;
    let folders =
        [Some(folder.join("tenants")), Some(folder.to_owned()), folder.parent().map(Path::to_owned)];
    let entries =
        folders.into_iter().flatten().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut others = entries
        .map(|entry| entry.path())
        .filter(|other| other != path && other.extension().is_some_and(|extension| extension == "sqlite"));
    others.find(|other| {
        fs::symlink_metadata(other)
            .is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
    })
}

/// Whether the file belongs to a user who may not create files in the folder.
fn is_foreign(path: &Path, found: &fs::Metadata) -> io::Result<bool> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::metadata(folder)?,
        _ => fs::metadata(".")?,
    };
    let is_shared_with_group = folder.mode() & 0o020 != 0 && folder.gid() == found.gid();
    let owners = [0, geteuid().as_raw(), folder.uid()];
    Ok(!owners.contains(&found.uid()) && !is_shared_with_group)
}

/// SQLite reads these files as parts of the database, whatever user has created them.
fn is_consistent(path: &Path, found: &fs::Metadata) -> io::Result<()> {
    for suffix in FILE_SUFFIXES.iter().skip(1) {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        let part = match fs::symlink_metadata(path.with_file_name(&name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            part => part?,
        };
        let why = if !part.is_file() {
            "is not a regular file"
        } else if part.nlink() > 1 {
            "has another name, so it may belong to another database"
        } else if part.uid() != found.uid() && found.mode() & 0o022 == 0 {
            "belongs to another user than the database"
        } else {
            continue;
        };
        let name = name.display();
        return Err(io::Error::other(format!(
            "SQLite would read `{name}` as a part of it, which {why}: move it away"
        )));
    }
    Ok(())
}

fn has_usable_log(path: &Path) -> io::Result<bool> {
    let mut header = [0_u8; 20];
    // A shorter file has no header yet.
    let read = fs::File::open(path)?.take(20).read(&mut header)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    if read == 20 && header.get(18..) == Some(&[2, 2]) && access(folder, AccessFlags::W_OK).is_err() {
        return Err(io::Error::other(
            "it has a write-ahead log, and its folder is not writable: make the folder writable, or run \
            `PRAGMA journal_mode = delete` on the file",
        ));
    }
    Ok(true)
}

pub(super) async fn make_folder(folder: &Path) -> Result<(), Cause> {
    at("create the folder", folder, |folder| fs::create_dir_all(folder)).await
}

/// The names in a folder; empty if the folder does not exist.
pub(super) async fn names(folder: &Path) -> Result<Vec<String>, Cause> {
    at("list the folder", folder, |folder| {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    })
    .await
}

pub(super) async fn is_same(one: &Path, other: &Path) -> Result<bool, Cause> {
    let other = other.to_owned();
    at("inspect", one, move |one| {
        Ok(match (fs::symlink_metadata(one), fs::symlink_metadata(other)) {
            (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
            _ => false,
        })
    })
    .await
}

/// Removes a database file and the files that SQLite adds to it. A missing file is no error.
pub(super) async fn remove(path: &Path) -> Result<(), Cause> {
    at("remove", path, |path| {
        for suffix in FILE_SUFFIXES {
            let mut path = path.as_os_str().to_owned();
            path.push(suffix);
            match fs::remove_file(PathBuf::from(path)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    })
    .await
}

/// Moves the file to a free path and syncs the file and the folder. False if the path is not free.
pub(super) async fn move_to_free_path(new: &Path, path: &Path) -> Result<bool, Cause> {
    let new = new.to_owned();
    at("move the file to", path, move |path| {
        fs::File::open(&new)?.sync_all()?;
        // A hard link fails if the path exists; a rename would replace it. Not every file system has links.
        match fs::hard_link(&new, path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(_) if fs::symlink_metadata(path).is_ok() => return Ok(false),
            Err(_) => fs::rename(&new, path)?,
        }
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())?;
        Ok(true)
    })
    .await
}

/// Checks that files can be created in a folder or in its nearest existing parent; the first writer creates the rest.
pub(super) async fn writable(folder: &Path) -> Result<(), Cause> {
    at("write to", folder, |folder| {
        let mut nearest = folder;
        while !nearest.as_os_str().is_empty() && !nearest.exists() {
            nearest = nearest.parent().unwrap_or(Path::new(""));
        }
        let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
        if !nearest.is_dir() {
            return Err(io::Error::other(format!("`{}` is not a folder", nearest.display())));
        }
        access(nearest, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
    })
    .await
}
