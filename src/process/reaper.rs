//! The one reaper: it alone collects exit statuses, and hands each to the tree whose stub it was.
//!
//! Whoever is not a stub is an orphan and is simply collected. When a stub is killed, its tree becomes ours:
//! TERM, grace, KILL, as the stub would have done.

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::{CStr, OsString},
    fs::{File, OpenOptions},
    io::{self, Read},
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout_at},
};

use super::{
    capture::Lines,
    descendants,
    environment::with,
    inherited::Inherited,
    launch::{Launch, Place, Stub, c_strings, launch},
    record::{Outcome, RECORD_BYTES, Record},
    signals::{self, SignalSet},
    stub::WORD,
    tree::{Child, Tree},
};

/// Between two rounds of KILL, and of looking whether orphans are left.
const ROUND: Duration = Duration::from_millis(10);

/// Owns the children: single-threaded, cheap to clone. Needs a current-thread runtime with a `LocalSet`.
#[derive(Clone)]
pub(crate) struct Processes(Rc<Shared>);

struct Shared {
    stubs: RefCell<HashMap<i32, Running>>,
    /// They were there before us and are left alone.
    strangers: Vec<i32>,
    /// A child was collected.
    reaped: Notify,
}

/// A stub that runs, or is dead and not collected yet: its id cannot be anybody else's.
struct Running {
    status: File,
    grace: Duration,
    record: watch::Sender<Option<Record>>,
}

/// TERM, INT, QUIT and HUP as they arrive.
pub(crate) struct Signals(mpsc::UnboundedReceiver<i32>);

impl Signals {
    pub(crate) async fn next(&mut self) -> i32 {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

impl Processes {
    /// Starts the reaper; nothing that arrived since [`super::take_over`] is lost.
    pub(crate) fn start(inherited: &Inherited) -> io::Result<(Self, Signals)> {
        let awaited = SignalSet::ENDING.or(SignalSet::of(&[libc::SIGCHLD]));
        let arrivals = File::from(signals::descriptor(awaited)?);
        // SAFETY: the file owns its descriptor, and nobody replaces it.
        let arrivals = unsafe { AsyncFd::register_with_interest(arrivals, Interest::READABLE)? };
        let shared = Shared {
            stubs: RefCell::default(),
            strangers: inherited.children.clone(),
            reaped: Notify::new(),
        };
        let processes = Self(Rc::new(shared));
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::task::spawn_local(watch_signals(processes.clone(), arrivals, sender));
        Ok((processes, Signals(receiver)))
    }

    pub(crate) fn spawn(&self, child: &Child) -> io::Result<Tree> {
        let (out, child_out) = pipe2(OFlag::O_CLOEXEC)?;
        let (err, child_err) = pipe2(OFlag::O_CLOEXEC)?;
        let (status, child_status) = pipe2(OFlag::O_CLOEXEC)?;
        for end in [&out, &err, &status] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let (out, err) = (Lines::of(out)?, Lines::of(err)?);
        let stub = start_stub(child, [&child_out, &child_err, &child_status])?;

        let (record, receiver) = watch::channel(None);
        let running = Running { status: File::from(status), grace: child.grace, record };
        self.0.stubs.borrow_mut().insert(stub, running);
        Ok(Tree { stub, processes: self.clone(), out, err, record: receiver, err_next: false })
    }

    /// Ends whatever is still below us (TERM, grace, KILL) and returns when `waitpid(-1)` says ECHILD; says how
    /// many it had to end.
    pub(crate) async fn finish(&self, grace: Duration) -> usize {
        let stubs: Vec<i32> = self.0.stubs.borrow().keys().copied().collect();
        for stub in &stubs {
            self.tell(*stub, libc::SIGTERM);
        }
        let mut ended = running(&descendants::below(stubs.clone())).saturating_sub(running(&stubs));
        let deadline = Instant::now() + grace;
        ended += self.end_orphans(deadline).await.leftovers;
        while self.has_children() {
            if Instant::now() >= deadline {
                // A stub that is killed leaves its tree to us, and the next round gets it.
                for pid in descendants::below(self.own(descendants::children())) {
                    signals::send(pid, libc::SIGKILL);
                }
            }
            self.next_round().await;
        }
        ended
    }

    /// Tells a stub, unless it was collected: its id may be another process's by now.
    pub(super) fn tell(&self, stub: i32, signal: i32) {
        if self.0.stubs.borrow().contains_key(&stub) {
            signals::send(stub, signal);
        }
    }

    /// Collects the dead until there are none.
    fn reap(&self) {
        loop {
            let mut status = 0;
            // SAFETY: the pointer is to a status.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            if pid <= 0 {
                return;
            }
            let running = self.0.stubs.borrow_mut().remove(&pid);
            if let Some(running) = running {
                self.stub_ended(running, status);
            }
            self.0.reaped.notify_waiters();
        }
    }

    fn stub_ended(&self, mut running: Running, status: i32) {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        // At most one record: whoever else holds the pipe's other end would make us wait for more.
        let _ = (&mut running.status).take(RECORD_BYTES as u64).read_to_end(&mut bytes);
        if let Some(record) = Record::from_bytes(&bytes) {
            running.record.send_replace(Some(record));
            return;
        }
        let processes = self.clone();
        tokio::task::spawn_local(async move {
            let orphans = processes.end_orphans(Instant::now() + running.grace).await;
            running.record.send_replace(Some(Record { outcome: Outcome::of(status), ..orphans }));
        });
    }

    /// Ends the children that are neither stubs nor strangers, and everybody below them.
    async fn end_orphans(&self, deadline: Instant) -> Record {
        let first = descendants::below(self.orphans());
        let mut record = Record { outcome: Outcome::Exited(0), leftovers: running(&first), killed: false };
        for pid in &first {
            signals::send(*pid, libc::SIGTERM);
            signals::send(*pid, libc::SIGCONT);
        }
        loop {
            let orphans = self.orphans();
            if orphans.is_empty() {
                return record;
            }
            if Instant::now() >= deadline {
                for pid in descendants::below(orphans) {
                    record.killed |= descendants::is_running(pid) && signals::send(pid, libc::SIGKILL);
                }
            }
            self.next_round().await;
        }
    }

    fn orphans(&self) -> Vec<i32> {
        if !descendants::have_children() {
            return Vec::new();
        }
        let mut found = self.own(descendants::children());
        found.retain(|pid| !self.0.stubs.borrow().contains_key(pid));
        found
    }

    fn own(&self, mut pids: Vec<i32>) -> Vec<i32> {
        pids.retain(|pid| !self.0.strangers.contains(pid));
        pids
    }

    fn has_children(&self) -> bool {
        descendants::have_children()
            && (self.0.strangers.is_empty() || !self.own(descendants::children()).is_empty())
    }

    /// Until a child was collected, or for a moment.
    async fn next_round(&self) {
        let _ = timeout_at(Instant::now() + ROUND, self.0.reaped.notified()).await;
    }
}

async fn watch_signals(processes: Processes, arrivals: AsyncFd<File>, sender: mpsc::UnboundedSender<i32>) {
    const INFO_BYTES: usize = size_of::<libc::signalfd_siginfo>();
    loop {
        let Ok(mut ready) = arrivals.readable().await else {
            return;
        };
        let mut info = [0; INFO_BYTES];
        while let Ok(Ok(INFO_BYTES)) = ready.try_io(|arrivals| arrivals.get_ref().read(&mut info)) {
            // The signal's number is the first field.
            let signal = i32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
            if signal == libc::SIGCHLD {
                processes.reap();
            } else {
                // Nobody listens once the start-up is over; the handover looks at what is pending itself.
                let _ = sender.send(signal);
            }
        }
    }
}

fn start_stub(child: &Child, [out, err, status]: [&OwnedFd; 3]) -> io::Result<i32> {
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let cwd = child.cwd.clone().map(std::path::PathBuf::into_os_string).unwrap_or_default();
    let mut argv: Vec<OsString> = vec![
        "portcullis".into(),
        WORD.into(),
        child.grace.as_millis().to_string().into(),
        status.as_raw_fd().to_string().into(),
        std::process::id().to_string().into(),
        cwd,
        "--".into(),
    ];
    argv.extend(child.argv.iter().map(OsString::from));
    let stub = Stub {
        programs: &[c"/proc/self/exe", recorded_program()],
        environment: &with(&child.env)?,
        stdio: [nothing.as_raw_fd(), out.as_raw_fd(), err.as_raw_fd()],
        kept: status.as_raw_fd(),
        parent_death: libc::SIGTERM,
    };
    let launched = launch(&Launch {
        argv: &c_strings(argv)?,
        stub: Some(&stub),
        cwd: None,
        place: Place::Group,
        mask: SignalSet::ALL.without(SignalSet::FAULTS),
        ignored: SignalSet::NONE,
        closed: &[],
        takes_sockets: false,
    })?;
    launched.map_err(|not| not.source)
}

/// The path by which the kernel started us, for where /proc is missing.
fn recorded_program() -> &'static CStr {
    // SAFETY: the kernel's own record, which lives as long as the process; 0 where there is none.
    unsafe {
        let path = libc::getauxval(libc::AT_EXECFN);
        if path == 0 { c"" } else { CStr::from_ptr(path as *const libc::c_char) }
    }
}

fn running(pids: &[i32]) -> usize {
    pids.iter().filter(|pid| descendants::is_running(**pid)).count()
}
