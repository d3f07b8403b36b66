//! Finds the file that a program's name refers to, and executes it, with the rules of shells and other inits. The C
//! libraries differ in their handling of a script without an interpreter line, and their search may allocate. This
//! code behaves the same everywhere, and its exec is async-signal-safe.

use std::{
    ffi::{CStr, CString, OsStr, c_char, c_int},
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use super::{arguments::c_strings, environment};
use crate::files;

/// The search path if PATH is not set.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/bin:/usr/bin";
const SHELL: &CStr = c"/bin/sh";
/// A file is a text if its first bytes, up to this number, contain no NUL.
const TEXT_PROBE_BYTES: u64 = 256;

/// The files that a name may refer to, in the order of the search.
pub(super) struct Program(Vec<CString>);

impl Program {
    /// A name without a slash is searched in PATH, which these variables may replace.
    pub(super) fn named(name: &CStr, variables: &[(String, String)]) -> Self {
        let name = name.to_bytes();
        if name.is_empty() || name.contains(&b'/') {
            return Self(CString::new(name).into_iter().collect());
        }
        let added = variables.iter().rfind(|(name, _)| name == "PATH").map(|(_, path)| path.as_bytes());
        let path = added.or_else(|| environment::value(b"PATH")).unwrap_or(DEFAULT_PATH);
        let file = |folder: &[u8]| match folder {
            b"" => CString::new(name),
            folder => CString::new([folder, b"/", name].concat()),
        };
        Self(path.split(|byte| *byte == b':').filter_map(|folder| file(folder).ok()).collect())
    }

    /// Returns only the error number. Both arrays must end with a null pointer.
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

    /// The shell command to run if the kernel does not know the file's format (ENOEXEC) and the file is a text.
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

/// This check is fast; a failing exec creates and discards an address space.
fn is_absent(file: &CStr) -> bool {
    // SAFETY: the name ends with a NUL; nothing is changed.
    let exists = unsafe { libc::access(file.as_ptr(), libc::F_OK) } == 0;
    !exists && matches!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn is_script(file: &Path) -> bool {
    files::metadata_now(file).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
        && files::beginning_now(file, TEXT_PROBE_BYTES).is_ok_and(|beginning| !beginning.contains(&0))
}
