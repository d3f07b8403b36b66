//! The one reaper: it alone collects exit statuses, and hands each to the tree whose stub it was.
//!
//! Whoever is not a stub is an orphan and is simply collected. When a stub is killed, its tree becomes ours:
//! TERM, grace, KILL, as the stub would have done.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io::{self, Read},
    rc::Rc,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

use super::{
    arrivals::{self, Signals},
    clock::GIVE_UP,
    descendants,
    inherited::Inherited,
    order::KILL_TREE,
    record::{Outcome, RECORD_BYTES, Record},
    signals,
    spawn::{Child, Death, Output, start_stub},
};

/// Between two rounds of KILL, and of looking whether orphans are left.
const ROUND: Duration = Duration::from_millis(10);

pub(super) type RecordReceiver = watch::Receiver<Option<Record>>;

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
    /// Its program stays beside the server.
    stays: bool,
    grace: Duration,
    record: watch::Sender<Option<Record>>,
}

impl Processes {
    /// Starts the reaper; nothing that arrived since [`super::take_over`] is lost.
    pub(crate) fn start(inherited: &Inherited) -> io::Result<(Self, Signals)> {
        let shared = Shared {
            stubs: RefCell::default(),
            strangers: inherited.children.clone(),
            reaped: Notify::new(),
        };
        let processes = Self(Rc::new(shared));
        let reaper = processes.clone();
        let signals = arrivals::listen(move || reaper.reap())?;
        Ok((processes, signals))
    }

    /// Kills every tree without its grace, but for what stays.
    pub(crate) fn kill(&self) {
        for (stub, running) in self.0.stubs.borrow().iter() {
            if !running.stays {
                signals::send(*stub, KILL_TREE);
            }
        }
    }

    /// Starts a stub; its record arrives once its whole tree is gone. The file is the status pipe's reading end.
    pub(super) fn start_tree(
        &self,
        child: &Child,
        output: Output<'_>,
        death: Death,
    ) -> io::Result<(i32, RecordReceiver, File)> {
        let (status, child_status) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&status, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let status = File::from(status);
        let second = status.try_clone()?;
        let stub = start_stub(child, output, &child_status, death)?;
        let (record, receiver) = watch::channel(None);
        let stays = matches!(output, Output::Ours);
        let running = Running { status, stays, grace: child.grace, record };
        self.0.stubs.borrow_mut().insert(stub, running);
        Ok((stub, receiver, second))
    }

    /// Ends whatever is still below us (TERM, grace, KILL), but for what stays if that is wished. False if
    /// somebody is left who cannot be killed; else `waitpid(-1)` has said ECHILD, or would without what stays.
    pub(crate) async fn finish(&self, grace: Duration, some_stay: bool) -> bool {
        let staying: Vec<i32> = if some_stay { self.staying() } else { Vec::new() };
        let stubs: Vec<i32> = self.0.stubs.borrow().keys().copied().collect();
        for stub in stubs.iter().filter(|stub| !staying.contains(stub)) {
            self.tell(*stub, libc::SIGTERM);
        }
        let deadline = Instant::now() + grace;
        self.end_orphans(deadline).await;
        loop {
            let left = self.left_but(&staying);
            if left.is_empty() {
                return true;
            }
            if Instant::now() >= deadline + GIVE_UP {
                return false;
            }
            if Instant::now() >= deadline {
                // A stub that is killed leaves its tree to us, and the next round gets it.
                for pid in descendants::below(left) {
                    signals::send(pid, libc::SIGKILL);
                }
            }
            self.next_round().await;
        }
    }

    fn staying(&self) -> Vec<i32> {
        self.0.stubs.borrow().iter().filter(|(_, running)| running.stays).map(|(stub, _)| *stub).collect()
    }

    /// Our children, but for strangers and these.
    fn left_but(&self, staying: &[i32]) -> Vec<i32> {
        if !descendants::have_children() {
            return Vec::new();
        }
        let mut left = self.own(descendants::children());
        left.retain(|pid| !staying.contains(pid));
        left
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
            if orphans.is_empty() || Instant::now() >= deadline + GIVE_UP {
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
        let stubs: Vec<i32> = self.0.stubs.borrow().keys().copied().collect();
        self.left_but(&stubs)
    }

    fn own(&self, mut pids: Vec<i32>) -> Vec<i32> {
        pids.retain(|pid| !self.0.strangers.contains(pid));
        pids
    }

    /// Until a child was collected, or for a moment.
    async fn next_round(&self) {
        let _ = timeout_at(Instant::now() + ROUND, self.0.reaped.notified()).await;
    }
}

fn running(pids: &[i32]) -> usize {
    pids.iter().filter(|pid| descendants::is_running(**pid)).count()
}
