//! Work on the file system beside SQLite's own: off the runtime's thread, each piece with a limit.
//!
//! What lies in the data folder is not trusted to be what its name says: only a regular file is opened, never a FIFO (which
//! hangs) nor a link (which leads elsewhere).

#![expect(clippy::disallowed_methods, reason = "every call stands inside of `files::within`")]

use std::{
    fs,
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use crate::{cause::Cause, files};

/// What SQLite keeps beside a file.
pub(super) const STAGING_SUFFIX: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// Does something to a path; the error reads `cannot DOING PATH: ...`.
pub(super) async fn at<T: Send + 'static>(
    doing: &str,
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Cause> {
    let owned = path.to_owned();
    let done = files::within(files::TIMEOUT, move || work(&owned)).await;
    done.map_err(|error| Cause::io(&format!("cannot {doing} `{}`", path.display()), &error))
}

/// Whether there is a regular file; anything else of that name is an error.
pub(super) async fn exists(path: &Path) -> Result<bool, Cause> {
    at("use", path, is_file).await
}

/// Whether a file is there that SQLite can be let read. Readers of one with a write-ahead log must write its index beside it;
/// SQLite itself only says that it cannot open the file.
pub(super) async fn readable(path: &Path) -> Result<bool, Cause> {
    at("open", path, |path| Ok(is_file(path)? && has_usable_log(path)?)).await
}

fn is_file(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) if found.is_symlink() => {
            Err(io::Error::other("it is a symbolic link: put the file itself there"))
        }
        Ok(_) => Err(io::Error::other("it is no regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn has_usable_log(path: &Path) -> io::Result<bool> {
    let mut header = [0_u8; 20];
    // A shorter file has no header yet.
    let read = fs::File::open(path)?.take(20).read(&mut header)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    if read == 20 && header.get(18..) == Some(&[2, 2]) && access(folder, AccessFlags::W_OK).is_err() {
        return Err(io::Error::other(
            "it has a write-ahead log, and its folder is not writable: make the folder writable, or the file \
             `PRAGMA journal_mode = delete`",
        ));
    }
    Ok(true)
}

pub(super) async fn make_folder(folder: &Path) -> Result<(), Cause> {
    at("make the folder", folder, |folder| fs::create_dir_all(folder)).await
}

/// The names in a folder; none where there is no folder.
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
    at("look at", one, move |one| {
        Ok(match (fs::symlink_metadata(one), fs::symlink_metadata(other)) {
            (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
            _ => false,
        })
    })
    .await
}

/// With what SQLite keeps beside it. What is not there is gone already.
pub(super) async fn remove(path: &Path) -> Result<(), Cause> {
    at("remove", path, |path| {
        for suffix in STAGING_SUFFIX {
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

/// Puts the file in its place, where nothing may be, and makes both survive a power cut. False where something is.
pub(super) async fn place(new: &Path, path: &Path) -> Result<bool, Cause> {
    let new = new.to_owned();
    at("put the file at", path, move |path| {
        fs::File::open(&new)?.sync_all()?;
        // A hard link fails where something is; a rename would replace it. Not every file system has links.
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

/// Whether files can be made in a folder, or in the nearest one above it that exists: the first writer makes the rest.
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
