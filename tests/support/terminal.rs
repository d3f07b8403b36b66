//! A pseudo-terminal, as from docker and a shell: a child runs on it, and the test holds the other end.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    process::{Child, Command, Stdio},
    time::Instant,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::time_limits::ENOUGH;

pub struct Session {
    child: Child,
    screen: File,
    /// The complete output, and the length that the test has read.
    text: String,
    read: usize,
}

impl Session {
    pub fn start(mut command: Command) -> Self {
        let (screen, terminal) = open();
        let other = || Stdio::from(terminal.try_clone().unwrap());
        let child = command.stdin(other()).stdout(other()).stderr(other()).spawn().unwrap();
        Self { child, screen, text: String::new(), read: 0 }
    }

    /// Reads until this text was printed, and returns the output up to its end.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> &str {
        let end = loop {
            if let Some(at) = self.text[self.read..].find(text) {
                break self.read + at + text.len();
            }
            assert!(self.more(), "the screen closed before {text:?} was on it:\n{}", self.text);
        };
        let begin = std::mem::replace(&mut self.read, end);
        &self.text[begin..end]
    }

    pub fn press(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for the end of every process on the terminal, and checks the child's exit code.
    #[track_caller]
    pub fn exits(mut self, code: i32) {
        while self.more() {}
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{status}\n{}", self.text);
    }

    /// Reads more output; false when no process has the terminal open.
    #[track_caller]
    fn more(&mut self) -> bool {
        let deadline = Instant::now() + ENOUGH;
        let mut bytes = Vec::new();
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let mut descriptors = [PollFd::new(self.screen.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut descriptors, PollTimeout::try_from(remaining).unwrap()).unwrap();
            assert!(ready > 0, "hangs with this on the screen:\n{}", self.text);
            let mut piece = [0; 1024];
            // An error means that the other end is closed.
            let length = self.screen.read(&mut piece).unwrap_or(0);
            bytes.extend_from_slice(&piece[..length]);
            if let (Ok(text), true) = (str::from_utf8(&bytes), length > 0) {
                self.text.push_str(text);
                return true;
            }
            if length == 0 {
                return false;
            }
        }
    }
}

/// Opens both ends with close-on-exec: no child of another test may inherit one.
fn open() -> (File, OwnedFd) {
    let screen = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let path = ptsname_r(&screen).unwrap();
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).unwrap();
    (File::from(OwnedFd::from(screen)), terminal.into())
}
