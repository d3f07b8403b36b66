//! A child process whose output tests follow line by line; a hang is a failed test.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::time_limits::{ENOUGH, until};

/// The result and the output of a process.
#[derive(Debug)]
pub struct Outcome {
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Checks the exit code; a difference shows the complete output.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Checks that either stream contains this text, also across the line breaks of a box.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let printed = [&self.stdout, &self.stderr]
            .into_iter()
            .any(|stream| stream.contains(text) || one_line(stream).contains(&one_line(text)));
        assert!(printed, "does not print {text:?}\n{self}");
        self
    }

    #[track_caller]
    pub fn prints_not(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "prints {text:?}\n{self}");
        self
    }

    /// The box from its first rule to its last.
    #[track_caller]
    pub fn failure_box(&self) -> &str {
        let rule = "=".repeat(80);
        let start = self.stderr.find(&rule).unwrap_or_else(|| panic!("the output contains no box\n{self}"));
        let end = self.stderr.rfind(&rule).unwrap_or(start) + rule.len();
        &self.stderr[start..end]
    }

    /// The command lines of the box, in their order.
    #[track_caller]
    pub fn commands(&self) -> Vec<&str> {
        let (_, advice) = self.failure_box().split_once("\n what to do\n").unwrap_or_default();
        let command = |line| str::strip_prefix(line, "        ").filter(|line| !line.starts_with(' '));
        advice.lines().filter_map(command).collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, signal, stdout, stderr } = self;
        write!(f, "code {code:?}, signal {signal:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// A running process; dropping it kills the process.
pub struct Running {
    child: Child,
    /// The child forks the tested process (`unshare --fork`).
    forks: bool,
    printed: Arc<Output>,
    ended: bool,
    folder: Option<Arc<TempDir>>,
}

#[derive(Default)]
struct Output {
    text: Mutex<Text>,
    more: Condvar,
}

#[derive(Default)]
struct Text {
    stdout: String,
    stderr: String,
    closed: usize,
}

impl Running {
    pub fn start(mut command: Command, forks: bool) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let printed = Arc::new(Output::default());
        follow(child.stdout.take().unwrap(), &printed, |text| &mut text.stdout);
        follow(child.stderr.take().unwrap(), &printed, |text| &mut text.stderr);
        Self { child, forks, printed, ended: false, folder: None }
    }

    /// Keeps a temporary folder until the process has ended.
    pub fn inside(mut self, folder: Arc<TempDir>) -> Self {
        self.folder = Some(folder);
        self
    }

    /// The tested process, also inside a PID namespace.
    pub fn pid(&self) -> Pid {
        let outer = self.child.id();
        let id = if self.forks {
            let children = format!("/proc/{outer}/task/{outer}/children");
            until("unshare to fork", || {
                let line = fs::read_to_string(&children).unwrap();
                line.split_whitespace().next().map(|first| first.parse().unwrap())
            })
        } else {
            outer
        };
        Pid::from_raw(i32::try_from(id).unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for the first line of either stream that contains `text`.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        let find = |printed: &Text| {
            printed
                .stdout
                .lines()
                .chain(printed.stderr.lines())
                .find(|line| line.contains(text))
                .map(str::to_owned)
        };
        let guard = self.printed.text.lock().unwrap();
        let (printed, timeout) = self
            .printed
            .more
            .wait_timeout_while(guard, ENOUGH, |printed| find(printed).is_none() && printed.closed < 2)
            .unwrap();
        find(&printed).unwrap_or_else(|| {
            let how = if timeout.timed_out() { "hangs" } else { "ended" };
            let Text { stdout, stderr, .. } = &*printed;
            panic!("{how} before it printed {text:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
        })
    }

    /// True if either stream contains this text already.
    pub fn has_printed(&self, text: &str) -> bool {
        let printed = self.printed.text.lock().unwrap();
        printed.stdout.contains(text) || printed.stderr.contains(text)
    }

    /// True if the process and every process with its output have ended.
    pub fn has_closed_its_output(&self) -> bool {
        self.printed.text.lock().unwrap().closed == 2
    }

    /// Waits for the end of the process and of its output.
    #[track_caller]
    pub fn wait(self) -> Outcome {
        self.wait_up_to(ENOUGH)
    }

    /// The same with another time limit.
    #[track_caller]
    pub fn wait_up_to(mut self, limit: Duration) -> Outcome {
        // The streams end first: then no descendant holds them open.
        let guard = self.printed.text.lock().unwrap();
        let (mut printed, timeout) =
            self.printed.more.wait_timeout_while(guard, limit, |printed| printed.closed < 2).unwrap();
        let (stdout, stderr) = (std::mem::take(&mut printed.stdout), std::mem::take(&mut printed.stderr));
        drop(printed);
        assert!(!timeout.timed_out(), "hangs\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        let status = self.child.wait().unwrap();
        self.ended = true;
        Outcome { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // With `--kill-child`, this kills the complete namespace.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn follow(stream: impl Read + Send + 'static, printed: &Arc<Output>, into: fn(&mut Text) -> &mut String) {
    let printed = Arc::clone(printed);
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            into(&mut printed.text.lock().unwrap()).push_str(&String::from_utf8_lossy(&line));
            printed.more.notify_all();
            line.clear();
        }
        printed.text.lock().unwrap().closed += 1;
        printed.more.notify_all();
    });
}
