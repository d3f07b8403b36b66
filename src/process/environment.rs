//! The environment that children get: ours, as it is, with what a step adds or a new process id needs.

use std::{
    cell::Cell,
    ffi::{CStr, CString, OsString, c_char},
    io::{self, Write},
    os::unix::ffi::OsStringExt,
};

use super::arguments::c_strings;

const LISTEN_PID: &[u8] = b"LISTEN_PID=";
/// The name, ten digits and the end of the string.
const LISTEN_PID_BYTES: usize = 24;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Our environment with these variables in place of those of the same name.
#[expect(
    clippy::disallowed_methods,
    reason = "passed on as it is, also where it is not UTF-8; nothing is read from it"
)]
pub(super) fn with(added: &[(String, String)]) -> io::Result<Vec<CString>> {
    let kept = std::env::vars_os().filter(|(name, _)| !added.iter().any(|(added, _)| name == added.as_str()));
    let added = added.iter().map(|(name, value)| (name.into(), value.into()));
    c_strings(kept.chain(added).map(|(name, value): (OsString, OsString)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend(value.into_vec());
        OsString::from_vec(pair)
    }))
}

/// Adds variables to our own environment, for the server.
pub(crate) fn add(variables: &[(String, String)]) {
    for (name, value) in variables {
        // SAFETY: the runtime and its threads are gone; the report's thread, if it is left, reads no variable.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Our environment as exec takes it, ended by a null pointer.
pub(super) fn our_environment() -> Vec<*const c_char> {
    let mut found = Vec::new();
    // SAFETY: the array ends with a null pointer; only `add` changes the environment, on this thread.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            found.push(*entry);
            entry = entry.add(1);
        }
    }
    found.push(std::ptr::null());
    found
}

/// A variable's value, as it was given.
pub(super) fn value(name: &[u8]) -> Option<&'static [u8]> {
    our_environment().iter().filter(|entry| !entry.is_null()).find_map(|entry| {
        // SAFETY: the environment holds whole strings; `add`, which comes last of all, leaves them where they are.
        let text = unsafe { CStr::from_ptr(*entry) }.to_bytes();
        text.strip_prefix(name)?.strip_prefix(b"=")
    })
}

/// A LISTEN_PID variable whose number the child fills in itself, without allocating.
#[derive(Default)]
pub(super) struct ListenPid(Cell<[u8; LISTEN_PID_BYTES]>);

impl ListenPid {
    /// Our environment; a LISTEN_PID that names us is replaced.
    pub(super) fn in_environment(&self) -> Vec<*const c_char> {
        let ours = std::process::id().to_string();
        let mut environment = our_environment();
        for entry in environment.iter_mut().filter(|entry| !entry.is_null()) {
            // SAFETY: the environment holds whole strings.
            let text = unsafe { CStr::from_ptr(*entry) }.to_bytes();
            if text.strip_prefix(LISTEN_PID) == Some(ours.as_bytes()) {
                *entry = self.0.as_ptr().cast();
            }
        }
        environment
    }

    /// Async-signal-safe. The parent, which shares this, is suspended.
    pub(super) fn set(&self, pid: i32) {
        let mut text = [0; LISTEN_PID_BYTES];
        // It always fits, and what follows the number is zero.
        let _ = (&mut text[..])
            .write_all(LISTEN_PID)
            .and_then(|()| write!(&mut text[LISTEN_PID.len()..], "{pid}"));
        self.0.set(text);
    }
}
