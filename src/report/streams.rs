//! Standard output and standard error as descriptors. A lint prevents other access to them.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The current width of the terminal at standard error.
pub(super) fn columns() -> usize {
    console::Term::stderr().size().1.into()
}

/// The width of tables that are not read on a terminal.
pub(super) const COLUMNS: usize = 100;

impl Stream {
    /// The width of the terminal, within limits that can be read, or this one without a terminal.
    pub(super) fn columns(self, otherwise: usize) -> usize {
        let term = match self {
            Self::Out => console::Term::stdout(),
            Self::Err => console::Term::stderr(),
        };
        let size = if self.is_terminal() { term.size_checked() } else { None };
        size.map_or(otherwise, |(_, columns)| usize::from(columns).clamp(60, 160))
    }

    pub(crate) fn is_terminal(self) -> bool {
        self.with(|descriptor| descriptor.is_terminal())
    }

    /// Writes everything, and waits for a slow reader. It does not take the lock of the standard library, so that a blocked
    /// thread does not block others.
    pub(super) fn write_all(self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.with(|descriptor| write(descriptor, bytes)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => bytes = &bytes[length..],
                Err(Errno::EINTR) => {}
                // Another process made the stream non-blocking.
                Err(Errno::EAGAIN) => {
                    self.is_writable(PollTimeout::NONE);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes, unless the stream is blocked.
    pub(super) fn write_if_read(self, text: &str) {
        if self.is_writable(PollTimeout::ZERO) {
            // A closed stream cannot be reported.
            let _ = self.write_all(text.as_bytes());
        }
    }

    fn is_writable(self, timeout: PollTimeout) -> bool {
        self.with(|descriptor| {
            let mut descriptors = [PollFd::new(descriptor, PollFlags::POLLOUT)];
            poll(&mut descriptors, timeout).is_ok_and(|ready| ready > 0)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the only access to the streams")]
    fn with<T>(self, work: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Out => work(io::stdout().as_fd()),
            Self::Err => work(io::stderr().as_fd()),
        }
    }
}
