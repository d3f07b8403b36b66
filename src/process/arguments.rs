//! Converts arguments to the form that exec takes.

use std::{
    ffi::{CString, OsStr, c_char},
    io,
    os::unix::ffi::OsStrExt,
    ptr,
};

/// Fails if an argument contains a NUL byte.
pub(super) fn c_strings<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> io::Result<Vec<CString>> {
    words.into_iter().map(|word| Ok(CString::new(word.as_ref().as_bytes())?)).collect()
}

/// Pointers to the arguments, ended by a null pointer; valid as long as the arguments are.
pub(super) fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}
