//! What a stub reports about its tree, and how it travels through the status pipe.

use std::{ffi::c_int, io};

const NUMBERS: usize = 4;
/// Below the size that a pipe takes whole.
pub(super) const RECORD_BYTES: usize = NUMBERS * size_of::<i32>();

/// How the tree of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) outcome: Outcome,
    pub(super) leftovers: usize,
    pub(super) killed: bool,
}

/// What became of the main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Exited(i32),
    Signalled(i32),
    /// Not an end: a program that stays runs now.
    Started,
    /// The error's number.
    NoProgram(i32),
    NoDirectory(i32),
}

/// What became of the main process, for those who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    Exited(i32),
    Signalled(i32),
    /// It runs, and nobody waits for its end.
    Started,
    /// `missing` when there is no such program.
    NotStarted {
        missing: bool,
        why: String,
    },
}

impl Outcome {
    pub(super) fn how(self) -> How {
        let error = io::Error::from_raw_os_error;
        match self {
            Self::Exited(code) => How::Exited(code),
            Self::Signalled(signal) => How::Signalled(signal),
            Self::Started => How::Started,
            Self::NoProgram(errno) => {
                How::NotStarted { missing: errno == libc::ENOENT, why: error(errno).to_string() }
            }
            Self::NoDirectory(errno) => How::NotStarted {
                missing: false,
                why: format!("cannot enter its working directory: {}", error(errno)),
            },
        }
    }

    /// Of a status as waitpid writes it.
    pub(super) fn of(status: c_int) -> Self {
        if libc::WIFEXITED(status) {
            Self::Exited(libc::WEXITSTATUS(status))
        } else {
            Self::Signalled(libc::WTERMSIG(status))
        }
    }
}

impl Record {
    pub(super) fn started() -> Self {
        Self { outcome: Outcome::Started, leftovers: 0, killed: false }
    }

    pub(super) fn not_started(at_exec: bool, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        let outcome = if at_exec { Outcome::NoProgram(errno) } else { Outcome::NoDirectory(errno) };
        Self { outcome, leftovers: 0, killed: false }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (kind, value) = match self.outcome {
            Outcome::Exited(code) => (0, code),
            Outcome::Signalled(signal) => (1, signal),
            Outcome::NoProgram(errno) => (2, errno),
            Outcome::NoDirectory(errno) => (3, errno),
            Outcome::Started => (4, 0),
        };
        let leftovers = i32::try_from(self.leftovers).unwrap_or(i32::MAX);
        [kind, value, leftovers, self.killed.into()].map(i32::to_ne_bytes).concat()
    }

    /// None for anything but one whole record.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != RECORD_BYTES {
            return None;
        }
        let mut numbers = [0; NUMBERS];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(size_of::<i32>())) {
            *number = i32::from_ne_bytes(bytes.try_into().ok()?);
        }
        let [kind, value, leftovers, killed] = numbers;
        let outcome = match kind {
            0 => Outcome::Exited(value),
            1 => Outcome::Signalled(value),
            2 => Outcome::NoProgram(value),
            3 => Outcome::NoDirectory(value),
            4 => Outcome::Started,
            _ => return None,
        };
        Some(Self { outcome, leftovers: usize::try_from(leftovers).ok()?, killed: killed != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_arrives_as_it_was_sent() {
        for outcome in [
            Outcome::Exited(5),
            Outcome::Signalled(64),
            Outcome::Started,
            Outcome::NoProgram(libc::ENOENT),
            Outcome::NoDirectory(libc::EACCES),
        ] {
            let record = Record { outcome, leftovers: 3, killed: true };
            assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        }
        assert_eq!(Record::from_bytes(&[0; 8]), None);
    }
}
