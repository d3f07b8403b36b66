//! One stream of a child's output as lines. It reads only when asked, so the kernel's pipe is the bounded queue.

use std::{
    io::{self, Read},
    os::fd::OwnedFd,
};

use tokio::io::{Interest, unix::AsyncFd};

/// Longer lines are cut in pieces of so many bytes.
const LINE_BYTES: usize = 16 * 1024;

/// How much is read at a time.
const PIECE_BYTES: usize = 8 * 1024;

/// Which of a child's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The reading end of a pipe, and what was read but has no line end yet.
pub(super) struct Lines {
    pipe: Option<AsyncFd<std::fs::File>>,
    buffer: Vec<u8>,
    /// Where the first line that was not taken yet begins.
    taken: usize,
}

impl Lines {
    /// The descriptor must not block.
    pub(super) fn of(pipe: OwnedFd) -> io::Result<Self> {
        // SAFETY: the file owns its descriptor, and nobody replaces it.
        let pipe = unsafe { AsyncFd::register_with_interest(std::fs::File::from(pipe), Interest::READABLE)? };
        Ok(Self { pipe: Some(pipe), buffer: Vec::new(), taken: 0 })
    }

    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    pub(super) fn has_line(&self) -> bool {
        let unread = &self.buffer[self.taken..];
        let ended = !self.is_open() && !unread.is_empty();
        ended || unread.len() >= LINE_BYTES || unread.contains(&b'\n')
    }

    /// A line that was read already; at the end of the stream also one without its line end.
    pub(super) fn take_line(&mut self) -> Option<String> {
        let unread = &self.buffer[self.taken..];
        let end = unread.iter().position(|byte| *byte == b'\n');
        let (length, skipped) = match end {
            Some(end) if end <= LINE_BYTES => (end, 1),
            _ if unread.len() >= LINE_BYTES => (character_end(unread, LINE_BYTES), 0),
            _ if !self.is_open() && !unread.is_empty() => (unread.len(), 0),
            _ => return None,
        };
        let mut line = &unread[..length];
        if skipped == 1 {
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        let line = String::from_utf8_lossy(line).into_owned();
        self.taken += length + skipped;
        Some(line)
    }

    /// Until there is something to read, or the end. Cancel safe.
    pub(super) async fn ready(&self) {
        match &self.pipe {
            // The reader finds an error.
            Some(pipe) => drop(pipe.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Reads a piece of what is there, or notices the end. Where more may follow, nothing to read is no end. Returns how
    /// much it read.
    pub(super) fn read(&mut self, more_may_follow: bool) -> usize {
        match self.chunk() {
            Ok(length @ 1..) => return length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && more_may_follow => {}
            Ok(0) | Err(_) => self.pipe = None,
        }
        0
    }

    /// How much was read: nothing at the end of the stream.
    fn chunk(&mut self) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else {
            return Ok(0);
        };
        let mut chunk = [0; PIECE_BYTES];
        let read = pipe.try_io(Interest::READABLE, |pipe| (&*pipe).read(&mut chunk));
        let length = match read {
            // The news of what has just arrived may not have come yet.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipe.get_ref().read(&mut chunk)?,
            read => read?,
        };
        self.buffer.drain(..std::mem::take(&mut self.taken));
        self.buffer.extend_from_slice(&chunk[..length]);
        Ok(length)
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
        Lines { pipe: None, buffer: bytes.to_vec(), taken: 0 }
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
