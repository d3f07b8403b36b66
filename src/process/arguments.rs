//! Words as exec takes them.

use std::{
    ffi::{CString, OsStr, c_char},
    io,
    os::unix::ffi::OsStrExt,
    ptr,
};

/// A byte of zero cannot be part of a word.
pub(super) fn c_strings<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> io::Result<Vec<CString>> {
    words.into_iter().map(|word| Ok(CString::new(word.as_ref().as_bytes())?)).collect()
}

/// The words' places, ended by a null pointer; valid for as long as the words are.
pub(super) fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}
