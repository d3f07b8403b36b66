//! Builds the environment of children: this process's own, with a step's variables and a corrected LISTEN_PID.

use std::{
    cell::Cell,
    collections::BTreeMap,
    ffi::{CStr, CString, OsString, c_char},
    io::{self, Write},
    os::unix::ffi::OsStringExt,
};

use super::arguments::{c_strings, pointers};

use crate::ordered::Ordered;

const LISTEN_PID: &[u8] = b"LISTEN_PID=";
/// The length of the name, ten digits and the final NUL.
const LISTEN_PID_BYTES: usize = 24;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// This process's environment, with these variables replacing those of the same name; of two, the later one counts.
#[expect(
    clippy::disallowed_methods,
    reason = "passed on unchanged, even if it is not UTF-8; no value is read"
)]
pub(super) fn with(added: &[(String, String)]) -> io::Result<Vec<CString>> {
    let added: BTreeMap<&str, &str> = added.iter().map(|(name, value)| (&**name, &**value)).into_map();
    let inherited =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_none_or(|name| !added.contains_key(name)));
    let added = added.iter().map(|(name, value)| (name.into(), value.into()));
    c_strings(inherited.chain(added).map(|(name, value): (OsString, OsString)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend(value.into_vec());
        OsString::from_vec(pair)
    }))
}

/// An environment in the form that exec takes: this process's own, with variables replacing those of the same name.
pub(super) struct ExecEnvironment {
    entries: Vec<*const c_char>,
    /// Owns the strings that are not part of this process's environment.
    _strings: Vec<CString>,
}

impl ExecEnvironment {
    pub(super) fn with(added: &[(String, String)]) -> io::Result<Self> {
        if added.is_empty() {
            return Ok(Self { entries: own_environment(), _strings: Vec::new() });
        }
        let strings = with(added)?;
        Ok(Self { entries: pointers(&strings), _strings: strings })
    }

    /// The entries, ended by a null pointer.
    pub(super) fn entries(&self) -> &[*const c_char] {
        &self.entries
    }

    /// Replaces a LISTEN_PID of this process by one that the child fills in.
    pub(super) fn replace_listen_pid(&mut self, by: &ListenPid) {
        let own_pid = std::process::id().to_string();
        for entry in self.entries.iter_mut().filter(|entry| !entry.is_null()) {
            // SAFETY: the environment consists of NUL-terminated strings.
            let text = unsafe { CStr::from_ptr(*entry) }.to_bytes();
            if text.strip_prefix(LISTEN_PID) == Some(own_pid.as_bytes()) {
                *entry = by.0.as_ptr().cast();
            }
        }
    }
}

/// This process's environment, ended by a null pointer.
fn own_environment() -> Vec<*const c_char> {
    let mut found = Vec::new();
    // SAFETY: the array ends with a null pointer, and nothing changes the environment.
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

/// A variable's raw value.
pub(super) fn value(name: &[u8]) -> Option<&'static [u8]> {
    own_environment().iter().filter(|entry| !entry.is_null()).find_map(|entry| {
        // SAFETY: the environment consists of NUL-terminated strings.
        let text = unsafe { CStr::from_ptr(*entry) }.to_bytes();
        text.strip_prefix(name)?.strip_prefix(b"=")
    })
}

/// A LISTEN_PID variable whose number the child fills in, without allocating.
#[derive(Default)]
pub(super) struct ListenPid(Cell<[u8; LISTEN_PID_BYTES]>);

impl ListenPid {
    /// Async-signal-safe. The parent, which shares the memory, is suspended.
    pub(super) fn set(&self, pid: i32) {
        let mut text = [0; LISTEN_PID_BYTES];
        // The number always fits, and the remaining bytes are zero.
        let _ = (&mut text[..])
            .write_all(LISTEN_PID)
            .and_then(|()| write!(&mut text[LISTEN_PID.len()..], "{pid}"));
        self.0.set(text);
    }
}
