//! Which file a program's name means, and its exec, as shells and every other init have it.
//!
//! The C libraries differ in what they make of a script without an interpreter's line, and their search allocates or
//! not as they like; this is the same everywhere, and its exec is async-signal-safe.

use std::{
    ffi::{CStr, CString, OsStr, c_char, c_int},
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use super::{arguments::c_strings, environment};
use crate::files;

/// Where programs are looked for if PATH is not set.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/bin:/usr/bin";
const SHELL: &CStr = c"/bin/sh";
/// A text has no byte of zero in so many first bytes.
const LOOKED_AT: u64 = 256;

/// The files that a name may mean, in the order in which they are tried.
pub(super) struct Program(Vec<CString>);

impl Program {
    /// A name without a slash is looked for in PATH.
    pub(super) fn named(name: &CStr) -> Self {
        let name = name.to_bytes();
        if name.is_empty() || name.contains(&b'/') {
            return Self(CString::new(name).into_iter().collect());
        }
        let path = environment::value(b"PATH").unwrap_or(DEFAULT_PATH);
        let file = |folder: &[u8]| match folder {
            b"" => CString::new(name),
            folder => CString::new([folder, b"/", name].concat()),
        };
        Self(path.split(|byte| *byte == b':').filter_map(|folder| file(folder).ok()).collect())
    }

    /// Returns only what went wrong, as an error's number. Both arrays end with a null pointer.
    pub(super) fn exec(&self, argv: &[*const c_char], environment: &[*const c_char]) -> c_int {
        let mut denied = false;
        for file in &self.0 {
            if self.0.len() > 1 && is_absent(file) {
                continue;
            }
            // SAFETY: the arrays end with a null pointer and outlive the call.
            unsafe { libc::execve(file.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
            match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => denied = true,
                errno => return errno,
            }
        }
        if denied { libc::EACCES } else { libc::ENOENT }
    }

    /// What to run instead where the kernel knows no format for the file (ENOEXEC): the shell, if it is a text.
    pub(super) fn as_script(&self, argv: &[CString]) -> Option<Vec<CString>> {
        let script = self
            .0
            .iter()
            .map(|file| Path::new(OsStr::from_bytes(file.to_bytes())))
            .find(|file| is_script(file))?;
        let words = [OsStr::from_bytes(SHELL.to_bytes()), script.as_os_str()];
        let rest = argv.iter().skip(1).map(|word| OsStr::from_bytes(word.to_bytes()));
        c_strings(words.into_iter().chain(rest)).ok()
    }
}

/// Asking is quick; an exec that fails has made and thrown away an address space.
fn is_absent(file: &CStr) -> bool {
    // SAFETY: the name ends with a zero; nothing is changed.
    let there = unsafe { libc::access(file.as_ptr(), libc::F_OK) } == 0;
    !there && matches!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn is_script(file: &Path) -> bool {
    files::metadata_now(file).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
        && files::beginning_now(file, LOOKED_AT).is_ok_and(|beginning| !beginning.contains(&0))
}
