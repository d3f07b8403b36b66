//! Limits what a server may send, in front of the driver, which allocates whatever a message's header announces.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
};

/// The longest message. Portcullis's own queries return rows of a few kilobytes.
const MAX_MESSAGE: usize = 8 << 20;

/// All messages of a login together.
const MAX_LOGIN: usize = 1 << 20;

/// An authentication message, or a parameter of the session.
const MAX_PARAMETER: usize = 64 << 10;

/// The columns of a row; PostgreSQL allows 1664.
const MAX_COLUMNS: u16 = 1664;

/// The names of the session's parameters, which the driver stores; PostgreSQL reports about 15.
const MAX_PARAMETERS: usize = 200;

/// Follows the messages in the bytes of a connection.
#[derive(Debug)]
pub(super) struct MessageLimits {
    /// The next byte is the answer to the request for encryption, which is no message.
    negotiates: bool,
    header: Vec<u8>,
    /// The bytes of the message that have not arrived yet.
    missing: usize,
    /// The received bytes of an examined message.
    content: Vec<u8>,
    /// The bytes that remain for the login; None after it.
    login: Option<usize>,
    parameters: BTreeSet<Vec<u8>>,
}

impl MessageLimits {
    pub(super) fn new(negotiates: bool) -> Self {
        Self {
            negotiates,
            header: Vec::with_capacity(5),
            missing: 0,
            content: Vec::new(),
            login: Some(MAX_LOGIN),
            parameters: BTreeSet::new(),
        }
    }

    /// Examines the next bytes, which the driver gets only if they are within the limits.
    pub(super) fn check(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.negotiates && !bytes.is_empty() {
            self.negotiates = false;
            bytes = &bytes[1..];
        }
        while !bytes.is_empty() {
            let in_header = 5 - self.header.len();
            let wanted = if in_header > 0 { in_header } else { self.missing };
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if in_header > 0 {
                self.header.extend_from_slice(part);
                if self.header.len() < 5 {
                    return Ok(());
                }
                self.begin()?;
            } else {
                self.missing -= part.len();
                self.examine(part);
            }
            if self.missing == 0 {
                self.end()?;
            }
        }
        Ok(())
    }

    /// The number of stored bytes.
    #[cfg(any(test, fuzzing))]
    pub(super) fn stored(&self) -> usize {
        self.header.len() + self.content.len() + self.parameters.iter().map(Vec::len).sum::<usize>()
    }

    /// Keeps a parameter and the number of columns.
    fn examine(&mut self, part: &[u8]) {
        let kept = match self.header.first() {
            Some(b'S') => part.len(),
            Some(b'T') => part.len().min(2 - self.content.len()),
            _ => 0,
        };
        self.content.extend_from_slice(&part[..kept]);
    }

    fn begin(&mut self) -> io::Result<()> {
        let length = [1, 2, 3, 4].map(|at| self.header[at]);
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let most = if matches!(self.header[0], b'R' | b'S') { MAX_PARAMETER } else { MAX_MESSAGE };
        if !(4..=most).contains(&length) {
            return Err(refused(&format!("a message of {length} bytes")));
        }
        if let Some(left) = &mut self.login {
            *left = left.checked_sub(length).ok_or_else(|| refused("an endless login"))?;
        }
        self.missing = length - 4;
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        match self.header.first() {
            Some(b'Z') => self.login = None,
            Some(b'T') => {
                let columns = self.content.as_slice().try_into().map_or(0, u16::from_be_bytes);
                if columns > MAX_COLUMNS {
                    return Err(refused(&format!("rows of {columns} columns")));
                }
            }
            Some(b'S') => {
                let name = self.content.split(|byte| *byte == 0).next().unwrap_or_default();
                if !self.parameters.contains(name) {
                    self.parameters.insert(name.to_vec());
                }
                if self.parameters.len() > MAX_PARAMETERS {
                    return Err(refused(&format!("more than {MAX_PARAMETERS} parameters")));
                }
            }
            _ => {}
        }
        self.header.clear();
        self.content.clear();
        Ok(())
    }
}

/// The error of a server that exceeds a limit.
fn refused(what: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("the server sent {what}, which Portcullis does not accept"),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn message(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 4).unwrap().to_be_bytes();
        [&[tag], &length[..], content].concat()
    }

    /// The same verdict however the bytes are divided.
    fn verdict(negotiates: bool, bytes: &[u8]) -> Result<(), String> {
        let check = |part: usize| {
            let mut limits = MessageLimits::new(negotiates);
            let outcome = bytes.chunks(part).try_for_each(|part| limits.check(part));
            outcome.map_err(|error| error.to_string())
        };
        let verdict = check(bytes.len());
        for part in [1, 2, 3, 5, 7, 4096] {
            assert_eq!(check(part), verdict, "in parts of {part} bytes");
        }
        verdict
    }

    #[test]
    fn a_login_and_its_queries_are_accepted() {
        let scram = b"\0\0\0\x0br=abc,i=9,s=QUJD,i=4096";
        let login = [
            message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
            message(b'R', scram),
            message(b'R', &[0; 4]),
            message(b'S', b"server_version\x0015.4\0"),
            message(b'K', &[0; 8]),
            message(b'Z', b"I"),
        ]
        .concat();
        let row = message(b'D', &vec![b'x'; 100_000]);
        let setting = message(b'S', b"search_path\0tenant\0");
        let session =
            [login, row.repeat(30), setting.repeat(500), message(b'T', b"\x06\x80"), message(b'1', b"")]
                .concat();
        assert_eq!(verdict(false, &session), Ok(()));
        assert_eq!(verdict(true, &[b"N", &session[..]].concat()), Ok(()));
    }

    #[test]
    fn what_would_exhaust_memory_or_time_is_refused() {
        let parameters: Vec<u8> =
            (0..300).flat_map(|number| message(b'S', format!("p{number}\0\0").as_bytes())).collect();
        for (bytes, what) in [
            (b"D\x7f\xff\xff\xff".to_vec(), "a message of 2147483647 bytes"),
            (b"E\xff\xff\xff\xff".to_vec(), "a message of 4294967295 bytes"),
            (b"D\0\0\0\x03".to_vec(), "a message of 3 bytes"),
            (b"S\0\x01\0\x01".to_vec(), "a message of 65537 bytes"),
            (message(b'N', &[b'x'; 1000]).repeat(2000), "an endless login"),
            (message(b'T', b"\xff\xff"), "rows of 65535 columns"),
            (parameters, "more than 200 parameters"),
        ] {
            let refused = verdict(false, &bytes).unwrap_err();
            assert!(refused.contains(what), "{refused}");
        }
    }
}
