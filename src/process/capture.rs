//! Reads one stream of a child's output as lines. It reads only on demand, so that the kernel's pipe is the bounded
//! queue.

use std::{
    io::{self, ErrorKind, Read},
    os::fd::OwnedFd,
};

use memchr::{memchr, memchr_iter};
use tokio::io::{Interest, unix::AsyncFd};

/// Longer lines are split into pieces of this size.
const LINE_BYTES: usize = 16 * 1024;

/// The size of one read.
const PIECE_BYTES: usize = 8 * 1024;

/// The size of one read of output that is dropped, which is also what is kept of it, and the number of such reads before
/// other tasks run.
const DROPPED_BYTES: usize = 64 * 1024;
const MOST_DROPPED_READS: usize = 64;

/// One of a child's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The reading end of a pipe, and the bytes that do not form a complete line yet.
#[derive(Default)]
pub(super) struct Lines {
    pipe: Option<AsyncFd<std::fs::File>>,
    buffer: Vec<u8>,
    /// The start of the first line that was not returned yet.
    returned: usize,
}

impl Lines {
    /// The descriptor must be non-blocking.
    pub(super) fn of(pipe: OwnedFd) -> io::Result<Self> {
        // SAFETY: the file owns its descriptor, and no other code replaces it.
        let pipe = unsafe { AsyncFd::register_with_interest(std::fs::File::from(pipe), Interest::READABLE)? };
        Ok(Self { pipe: Some(pipe), buffer: Vec::new(), returned: 0 })
    }

    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    pub(super) fn has_line(&self) -> bool {
        let unread = &self.buffer[self.returned..];
        let ended = !self.is_open() && !unread.is_empty();
        ended || unread.len() >= LINE_BYTES || unread.contains(&b'\n')
    }

    /// Returns a line that was already read; at the end of the stream also an unterminated one.
    pub(super) fn take_line(&mut self) -> Option<String> {
        let unread = &self.buffer[self.returned..];
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
        self.returned += length + skipped;
        Some(line)
    }

    /// Discards unread bytes beyond a limit.
    pub(super) fn cut(&mut self, most: usize) {
        self.buffer.truncate(self.returned + most);
    }

    /// Returns all unread bytes.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.buffer.split_off(std::mem::take(&mut self.returned))
    }

    /// Waits until the stream has data or has ended. Cancel safe.
    pub(super) async fn ready(&self) {
        match &self.pipe {
            // The next read reports the error.
            Some(pipe) => drop(pipe.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Reads available data, or detects the end. If more may follow, an empty pipe is not the end. Returns the number
    /// of bytes.
    pub(super) fn read(&mut self, more_may_follow: bool) -> usize {
        match self.append(&mut [0; PIECE_BYTES]) {
            Ok(length @ 1..) => return length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && more_may_follow => {}
            Ok(0) | Err(_) => self.pipe = None,
        }
        0
    }

    /// Reads what the pipe has without returning it, except for the last lines. Returns the number of dropped lines.
    pub(super) fn drop_lines(&mut self) -> usize {
        let mut chunk = vec![0; DROPPED_BYTES];
        let mut dropped = 0;
        for _ in 0..MOST_DROPPED_READS {
            match self.append(&mut chunk) {
                Ok(1..) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => break,
                Ok(0) | Err(_) => {
                    self.pipe = None;
                    break;
                }
            }
            if let Some(excess) = self.buffer.len().checked_sub(DROPPED_BYTES) {
                let end = memchr(b'\n', &self.buffer[excess..]);
                self.returned = end.map_or(self.buffer.len(), |end| excess + end + 1);
                // A part of a very long line counts, too.
                dropped += memchr_iter(b'\n', &self.buffer[..self.returned]).count().max(1);
            }
        }
        dropped
    }

    /// Reads once and returns the number of bytes: zero at the end of the stream.
    fn append(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else {
            return Ok(0);
        };
        let read = pipe.try_io(Interest::READABLE, |pipe| (&*pipe).read(chunk));
        let length = match read {
            // The readiness event of new data may still be missing.
            Err(error) if error.kind() == ErrorKind::WouldBlock => pipe.get_ref().read(chunk)?,
            read => read?,
        };
        self.buffer.drain(..std::mem::take(&mut self.returned));
        self.buffer.extend_from_slice(&chunk[..length]);
        Ok(length)
    }
}

/// The last position up to `limit` that does not split a UTF-8 character.
fn character_end(bytes: &[u8], limit: usize) -> usize {
    let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (limit - 3..=limit).rev().find(|at| !continues(*at)).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use super::*;

    fn ended(bytes: &[u8]) -> Lines {
        Lines { pipe: None, buffer: bytes.to_vec(), returned: 0 }
    }

    #[test]
    fn line_ends_are_not_part_of_a_line_and_the_last_line_needs_none() {
        let mut lines = ended(b"one\r\n\ntwo\xff\nthree");
        let all: Vec<_> = std::iter::from_fn(|| lines.take_line()).collect();
        assert_eq!(all, ["one", "", "two\u{fffd}", "three"]);
    }

    #[tokio::test]
    async fn dropped_output_keeps_its_last_lines() {
        let (end, mut writer) = std::io::pipe().unwrap();
        let mut lines = Lines::of(end.into()).unwrap();
        let writing = std::thread::spawn(move || {
            for number in 0..100_000 {
                writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
            }
            writer.write_all(b"the end").unwrap();
        });
        let mut dropped = 0;
        while lines.is_open() {
            dropped += lines.drop_lines();
        }
        writing.join().unwrap();
        let kept: Vec<_> = std::iter::from_fn(|| lines.take_line()).collect();
        let (last, kept) = kept.split_last().unwrap();
        assert_eq!(last, "the end");
        assert!(kept.len() > 1_000 && dropped > 10_000, "{} kept, {dropped} dropped", kept.len());
        assert!(kept.iter().cloned().eq((dropped..100_000).map(|number| format!("line {number}"))));
    }

    #[test]
    fn a_long_line_is_split_between_characters() {
        let mut lines = ended(format!("a{}", "\u{e9}".repeat(LINE_BYTES)).as_bytes());
        let first = lines.take_line().unwrap();
        assert_eq!(first.len(), LINE_BYTES - 1);
        assert!(!first.contains('\u{fffd}'));
    }
}
