//! One stream of a child's output as lines. It reads only when asked, so the kernel's pipe is the bounded queue:
//! a terminal that is blocked holds the child up, never us.

use std::{
    io::{self, Read},
    os::fd::OwnedFd,
};

use tokio::io::{Interest, unix::AsyncFd};

/// Longer lines are cut in pieces of so many bytes.
const LINE_BYTES: usize = 16 * 1024;

/// The reading end of a pipe, and what was read but has no line end yet.
pub(super) struct Lines {
    pipe: Option<AsyncFd<std::fs::File>>,
    buffer: Vec<u8>,
}

impl Lines {
    /// The descriptor must not block.
    pub(super) fn of(pipe: OwnedFd) -> io::Result<Self> {
        // SAFETY: the file owns its descriptor, and nobody replaces it.
        let pipe = unsafe { AsyncFd::register_with_interest(std::fs::File::from(pipe), Interest::READABLE)? };
        Ok(Self { pipe: Some(pipe), buffer: Vec::new() })
    }

    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// A line that was read already; at the end of the stream also one without its line end.
    pub(super) fn take_line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n');
        let (length, skipped) = match end {
            Some(end) if end <= LINE_BYTES => (end, 1),
            _ if self.buffer.len() >= LINE_BYTES => (character_end(&self.buffer, LINE_BYTES), 0),
            _ if !self.is_open() && !self.buffer.is_empty() => (self.buffer.len(), 0),
            _ => return None,
        };
        let mut line = &self.buffer[..length];
        if skipped == 1 {
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        let line = String::from_utf8_lossy(line).into_owned();
        self.buffer.drain(..length + skipped);
        Some(line)
    }

    /// Waits until more was read or the stream has ended. Cancel safe.
    pub(super) async fn read(&mut self) {
        let Some(pipe) = &self.pipe else {
            return std::future::pending().await;
        };
        let Ok(mut ready) = pipe.readable().await else {
            self.pipe = None;
            return;
        };
        let mut piece = [0; 8192];
        match ready.try_io(|pipe| pipe.get_ref().read(&mut piece)) {
            Ok(Ok(length)) if length > 0 => self.buffer.extend_from_slice(&piece[..length]),
            Err(_would_block) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) => self.pipe = None,
        }
    }

    /// Reads what is there without waiting for more, and closes the stream when that was all.
    pub(super) fn read_rest(&mut self) {
        let Some(pipe) = &self.pipe else {
            return;
        };
        let mut piece = [0; 8192];
        match pipe.get_ref().read(&mut piece) {
            Ok(length) if length > 0 => self.buffer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.pipe = None,
        }
    }
}

/// The last position up to `limit` at which no UTF-8 character is cut in two.
fn character_end(bytes: &[u8], limit: usize) -> usize {
    let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (limit - 3..=limit).rev().find(|at| !continues(*at)).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ended(bytes: &[u8]) -> Lines {
        Lines { pipe: None, buffer: bytes.to_vec() }
    }

    #[test]
    fn line_ends_are_not_part_of_a_line_and_the_last_line_needs_none() {
        let mut lines = ended(b"one\r\n\ntwo\xff\nthree");
        let all: Vec<_> = std::iter::from_fn(|| lines.take_line()).collect();
        assert_eq!(all, ["one", "", "two\u{fffd}", "three"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut lines = ended(format!("a{}", "\u{e9}".repeat(LINE_BYTES)).as_bytes());
        let first = lines.take_line().unwrap();
        assert_eq!(first.len(), LINE_BYTES - 1);
        assert!(!first.contains('\u{fffd}'));
    }
}
