//! The only reaper: collects every exit status, and passes a stub's to its tree. A child that is not a stub is an
//! orphan, and its status is discarded. When a stub is killed, this process ends its tree as the stub would have:
//! TERM, grace, KILL.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    descendants, dispositions,
    escalation::{self, Escalation, ROUND, Stage},
    inherited::Inherited,
    memory::OomKills,
    shutdown::Shutdown,
    signal_stream::{self, Signals},
    signals,
    spawn::{Child, Output, ParentDeath, named, start_stub},
    stub_protocol::KILL_TREE,
    stub_report::{MainState, REPORT_BYTES, StubReport},
};

/// The number of stopped stubs handled at once: a program may stop its stub repeatedly, and other tasks must run in
/// between.
const MOST_STOPS: usize = 8;

pub(super) type ReportReceiver = watch::Receiver<Option<StubReport>>;

/// Owns the children: single-threaded, cheap to clone. Needs a current-thread runtime with a `LocalSet`.
#[derive(Clone)]
pub(crate) struct Processes(Rc<ReaperState>);

struct ReaperState {
    stubs: RefCell<HashMap<i32, RunningStub>>,
    /// Children that existed before this process's program; they are never ended.
    strangers: Vec<i32>,
    /// A child was reaped.
    reaped: Notify,
    shutdown: Shutdown,
    oom_kills: OnceCell<RefCell<OomKills>>,
    password_file: OnceCell<PasswordFile>,
}

/// The path of a user's password file; None is this process's user.
type PasswordFile = Box<dyn Fn(Option<u32>) -> Option<PathBuf>>;

/// A stub that runs, or is dead and not reaped yet: its id cannot belong to another process.
struct RunningStub {
    status: File,
    /// Its program keeps running next to the server.
    stays: bool,
    /// Its program may run only while this run holds the lock.
    fenced: bool,
    grace: Duration,
    report: watch::Sender<Option<StubReport>>,
}

impl Processes {
    /// Starts the reaper; no signal since [`super::take_over`] is lost. After the first signal that requests the end,
    /// all work must finish within the budget.
    pub(crate) fn start(inherited: &Inherited, budget: Duration) -> io::Result<(Self, Signals)> {
        if !inherited.is_pid_1 {
            dispositions::ignore_library_signals();
        }
        let processes = Self(Rc::new(ReaperState {
            stubs: RefCell::default(),
            strangers: inherited.children.clone(),
            reaped: Notify::new(),
            shutdown: Shutdown::with_budget(budget),
            oom_kills: OnceCell::new(),
            password_file: OnceCell::new(),
        }));
        let (reaper, stopper, killer) = (processes.clone(), processes.clone(), processes.clone());
        let on_ending = move || stopper.shutdown().signal_arrived();
        let signals = signal_stream::listen(inherited.ending(), move || reaper.reap(), on_ending)?;
        tokio::task::spawn_local(async move {
            killer.shutdown().grace_is_over().await;
            killer.kill_trees(|_| true);
        });
        Ok((processes, signals))
    }

    /// Gives all programs a password file from now on.
    pub(crate) fn set_password_file(&self, path: impl Fn(Option<u32>) -> Option<PathBuf> + 'static) {
        // A run sets it once.
        let _ = self.0.password_file.set(Box::new(path));
    }

    /// The time limit of the shutdown, which starts with the first signal that requests the end.
    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    /// Kills every tree without a grace, except for background programs.
    pub(crate) fn kill(&self) {
        self.kill_trees(|stub| !stub.stays);
    }

    /// Whether a program may run that must not outlive the lock.
    pub(crate) fn has_fenced(&self) -> bool {
        self.0.stubs.borrow().values().any(|stub| stub.fenced)
    }

    fn kill_trees(&self, which: impl Fn(&RunningStub) -> bool) {
        for (pid, _) in self.0.stubs.borrow().iter().filter(|(_, stub)| which(stub)) {
            send_to_stub(*pid, KILL_TREE);
        }
    }

    /// Starts a stub; its report arrives once its tree is gone. The file is the status pipe's reading end.
    pub(super) fn start_tree(
        &self,
        child: &Child,
        output: Output<'_>,
        death: ParentDeath,
    ) -> io::Result<(i32, ReportReceiver, File)> {
        self.0.oom_kills.get_or_init(|| RefCell::new(OomKills::start()));
        let (status, child_status) =
            pipe2(OFlag::O_CLOEXEC).map_err(|error| named("cannot create a pipe", &error.into()))?;
        fcntl(&status, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let status = File::from(status);
        let second = status.try_clone()?;
        let pid =
            start_stub(child, output, &child_status, death, self.0.password_file.get().map(|path| &**path))?;
        let (report, receiver) = watch::channel(None);
        let stays = matches!(output, Output::Inherited);
        let fenced = death == ParentDeath::Kill;
        let stub = RunningStub { status, stays, fenced, grace: child.grace, report };
        self.0.stubs.borrow_mut().insert(pid, stub);
        Ok((pid, receiver, second))
    }

    /// Ends every process below this one within the shutdown's time (TERM, grace, KILL), except for background
    /// programs if `some_stay`. Returns false if a process cannot be killed. Otherwise `waitpid(-1)` has returned
    /// ECHILD, or would without background programs.
    pub(crate) async fn finish(&self, some_stay: bool) -> bool {
        let staying: Vec<i32> = if some_stay { self.staying() } else { Vec::new() };
        let stubs: Vec<i32> = self.0.stubs.borrow().keys().copied().collect();
        for stub in stubs.iter().filter(|stub| !staying.contains(stub)) {
            self.send_signal(*stub, libc::SIGTERM);
        }
        let escalation = Escalation::with_grace(self.shutdown().grace());
        !self.end(escalation, || self.left_but(&staying)).await.survivors
    }

    fn staying(&self) -> Vec<i32> {
        self.0.stubs.borrow().iter().filter(|(_, stub)| stub.stays).map(|(pid, _)| *pid).collect()
    }

    /// This process's children, except for strangers and these.
    fn left_but(&self, spared: &[i32]) -> Vec<i32> {
        if !descendants::have_children() {
            return Vec::new();
        }
        let mut left = descendants::children();
        left.retain(|pid| !self.0.strangers.contains(pid) && !spared.contains(pid));
        left
    }

    /// Signals a stub, unless it was reaped: its id may belong to another process now.
    pub(super) fn send_signal(&self, stub: i32, signal: i32) {
        if self.0.stubs.borrow().contains_key(&stub) {
            send_to_stub(stub, signal);
        }
    }

    /// Kills a stub that does not work; [`Processes::reap`] then ends its tree.
    pub(super) fn kill_stub(&self, stub: i32) {
        if let Some(running) = self.0.stubs.borrow_mut().get_mut(&stub) {
            running.grace = Duration::ZERO;
            signals::send(stub, libc::SIGKILL);
        }
    }

    /// Whether the kernel has killed a process because memory was exhausted since the last call.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.0.oom_kills.get().is_some_and(|kills| kills.borrow_mut().any_new())
    }

    /// Reaps all dead children, and continues stopped stubs: only a running stub ends its tree.
    fn reap(&self) {
        let mut stops = 0;
        loop {
            let mut status = 0;
            // SAFETY: the pointer is to a status.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
            if pid <= 0 {
                return;
            }
            if libc::WIFSTOPPED(status) {
                self.send_signal(pid, libc::SIGCONT);
                stops += 1;
                if stops == MOST_STOPS {
                    // Another SIGCHLD announces that it has been continued.
                    return;
                }
                continue;
            }
            let stub = self.0.stubs.borrow_mut().remove(&pid);
            if let Some(stub) = stub {
                self.stub_ended(stub, status);
            }
            self.0.reaped.notify_waiters();
        }
    }

    fn stub_ended(&self, mut stub: RunningStub, status: i32) {
        let mut bytes = Vec::with_capacity(REPORT_BYTES);
        // Reads at most one report: another process with the pipe's other end could delay the end of the stream.
        let _ = (&mut stub.status).take(REPORT_BYTES as u64).read_to_end(&mut bytes);
        let report = StubReport::from_bytes(&bytes);
        if let Some(report) = report
            && !report.survivors
        {
            stub.report.send_replace(Some(report));
            return;
        }
        // The stub was killed, or gave up after the grace, so this process must end its tree.
        let processes = self.clone();
        let grace = if report.is_some() { Duration::ZERO } else { stub.grace };
        tokio::task::spawn_local(async move {
            let ended = processes.end(Escalation::with_grace(grace), || processes.orphans()).await;
            let report = match report {
                Some(report) => StubReport { survivors: ended.survivors, killed: true, ..report },
                None => StubReport { main: MainState::StubExited(status), ..ended },
            };
            stub.report.send_replace(Some(report));
        });
    }

    fn orphans(&self) -> Vec<i32> {
        let stubs: Vec<i32> = self.0.stubs.borrow().keys().copied().collect();
        self.left_but(&stubs)
    }

    /// Ends these children and everything below them.
    async fn end(&self, escalation: Escalation, children: impl Fn() -> Vec<i32>) -> StubReport {
        let orphans = self.orphans();
        let first = descendants::below(children().into_iter().filter(|pid| orphans.contains(pid)).collect());
        let mut report = StubReport::of(MainState::Exited(0));
        report.left_behind = first.iter().filter(|pid| descendants::is_alive(**pid)).count();
        escalation::send(&first, libc::SIGTERM);
        loop {
            let left = children();
            if left.is_empty() {
                return report;
            }
            match escalation.stage() {
                Stage::Grace(_) => {}
                // The children of a killed stub become children of this process, and the next round finds them.
                Stage::Kill => report.killed |= escalation::kill(&descendants::below(left)),
                Stage::GiveUp => {
                    report.survivors = true;
                    return report;
                }
            }
            let _ = timeout(ROUND, self.0.reaped.notified()).await;
        }
    }
}

/// Continues a stub that was stopped, so that it can work.
fn send_to_stub(stub: i32, signal: i32) {
    signals::send(stub, signal);
    signals::send(stub, libc::SIGCONT);
}
