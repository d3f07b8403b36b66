//! One life with everything that a TERM can interrupt, and the checks after the TERM.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    cluster::Database,
    portcullis::Portcullis,
    process::{Outcome, Running},
};

/// Steps with trees, one that ignores TERM, a retry with its pause, waits, a migration and SQL.
const STEPS: &str = r#"
[database]
url = "${DATABASE_URL}"
[migrations]
shared = "migrations/shared"
tenant = "migrations/tenant"
manifest.auto = true
[[step]]
name = "maker"
after = "start"
command = { run = ["bash", "-c", "sleep 0.5; touch came"], grace = "1s" }
[[step]]
name = "database"
after = "start"
wait.database = {}
[[step]]
name = "tree"
after = ["database"]
command = { run = ["bash", "-c", "(setsid sleep 1000 &) ; sleep 0.1"], grace = "1s" }
[[step]]
name = "stubborn"
after = ["tree"]
command = { run = ["bash", "-c", "trap '' TERM; (setsid sleep 1000 &) ; sleep 0.1"], grace = "300ms" }
[[step]]
name = "pause"
after = ["database"]
command = { run = ["bash", "-c", "[ -e tried ] || { touch tried; exit 1; }"], retries = 1, backoff = "200ms", grace = "1s" }
[[step]]
name = "file"
after = ["pause"]
wait.file = { path = "came" }
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "sql"
sql.run = "SELECT pg_sleep(0.1)"
"#;
/// No server follows: every instant is before the handover.
const ENDLESS: &str = "[[step]]\nname = \"endless\"\ncommand = { run = [\"bash\", \"-c\", \"echo the last step runs; exec sleep 1000\"], grace = \"1s\" }\n";
const STAYS: &str = "[[step]]\nname = \"proxy\"\nafter = \"start\"\ncommand = { run = [\"sleep\", \"1000\"], background = true }\n";
const SERVER: &str = "[server]\nmode = \"supervise\"\ngrace = \"1s\"\ncommand = [\"bash\", \"-c\", \"echo the server runs; exec sleep 1000\"]\n";

/// The longest grace above, plus the delay of a busy machine.
const ENOUGH: Duration = Duration::from_secs(1 + 14);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    StartUp,
    Supervised,
}

impl Life {
    /// Its last line: the last step or the server has started.
    fn last_line(self) -> &'static str {
        match self {
            Life::StartUp => "the last step runs",
            Life::Supervised => "the server runs",
        }
    }
}

/// A folder and a database that successive runs use.
pub struct Workspace {
    portcullis: Portcullis,
    database: Database,
}

impl Workspace {
    pub fn new(life: Life) -> Self {
        let database = Database::fresh();
        let config = match life {
            Life::StartUp => format!("{STEPS}{ENDLESS}"),
            Life::Supervised => format!("{STAYS}{STEPS}{SERVER}"),
        };
        let portcullis = Portcullis::new()
            .config(&config)
            .file(
                "migrations/shared/1_first.sql",
                "SELECT pg_sleep(0.1);\nCREATE TABLE first (id bigint PRIMARY KEY);\n",
            )
            .file("migrations/tenant/1_first.sql", "CREATE TABLE first (id bigint PRIMARY KEY);\n");
        Self { portcullis, database }
    }

    /// The time that an uninterrupted life takes on this machine, plus a margin.
    pub fn length(&self, life: Life) -> Duration {
        self.clear();
        let running = self.start(false);
        let started = Instant::now();
        let pid = listening(&running, false);
        running.wait_for_line(life.last_line());
        let length = started.elapsed().mul_f64(1.2);
        kill(pid, Signal::SIGTERM).unwrap();
        running.wait().exits(143);
        length
    }

    /// Starts a run, sends TERM after this time, checks everything, and returns what the TERM interrupted.
    pub fn term_after(&self, at: Duration, run: u64) -> String {
        self.clear();
        // Every other run is the child of a shell, which can list the remaining processes.
        let below_a_shell = run % 2 == 1;
        let running = self.start(below_a_shell);
        let pid = listening(&running, below_a_shell);
        thread::sleep(at);
        if let Err(error) = kill(pid, Signal::SIGTERM) {
            panic!("run {run}, TERM after {at:?}: {error}\n{}", running.wait());
        }
        let started = Instant::now();
        let outcome = running.wait();
        let took = started.elapsed();
        assert_eq!(outcome.code, Some(143), "run {run}, TERM after {at:?}\n{outcome}");
        assert!(took < ENOUGH, "run {run}, TERM after {at:?}, took {took:?}\n{outcome}");
        let remaining = outcome.stdout.lines().last().unwrap_or_default();
        assert!(!below_a_shell || remaining == "remaining 1", "run {run}, TERM after {at:?}\n{outcome}");
        self.holds_no_lock();
        met(&outcome)
    }

    /// Checks that nothing is applied and no file exists.
    fn clear(&self) {
        self.database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        for file in ["came", "tried"] {
            let _ = fs::remove_file(self.portcullis.path(file));
        }
    }

    fn start(&self, below_a_shell: bool) -> Running {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        if below_a_shell {
            // pgrep does not count itself; the one remaining process is the shell.
            let script = "\"$@\" run; code=$?; echo -n 'remaining '; pgrep -c .; exit $code";
            command.args(["bash", "-c", script, "bash"]);
        }
        command.arg(env!("CARGO_BIN_EXE_portcullis"));
        if !below_a_shell {
            command.arg("run");
        }
        command.current_dir(self.portcullis.folder());
        command.env("DATABASE_URL", self.database.url());
        Running::start(command, true)
    }

    /// The server detects a closed connection some time later.
    fn holds_no_lock(&self) {
        let locks = "SELECT locktype || ' ' || mode FROM pg_locks WHERE pid <> pg_backend_pid() \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let started = Instant::now();
        loop {
            let locks_held = self.database.column(locks);
            if locks_held.is_empty() {
                return;
            }
            assert!(started.elapsed() < ENOUGH, "locks are held: {locks_held:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Waits until the signal handlers are installed: the kernel drops earlier signals to PID 1.
fn listening(running: &Running, below_a_shell: bool) -> Pid {
    let started = Instant::now();
    let init = running.pid();
    loop {
        let pid = if below_a_shell { first_child(init) } else { Some(init) };
        if let Some(pid) = pid
            && is_portcullis(pid)
            && blocks_term(pid)
        {
            return pid;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "it does not start");
        thread::sleep(Duration::from_millis(1));
    }
}

fn first_child(pid: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
}

fn is_portcullis(pid: Pid) -> bool {
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|exe| exe == Path::new(env!("CARGO_BIN_EXE_portcullis")))
}

fn blocks_term(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or_default();
    u64::from_str_radix(blocked.trim(), 16)
        .is_ok_and(|blocked| blocked >> (Signal::SIGTERM as i32 - 1) & 1 == 1)
}

/// The interrupted step, if the box names one.
fn met(outcome: &Outcome) -> String {
    let word = |text: &str| {
        let at = outcome.stderr.find(text)?;
        Some(outcome.stderr[at..].split(['`', '\n']).nth(1)?.to_owned())
    };
    match (outcome.stderr.contains("ended by SIGTERM"), word("during step ")) {
        (_, Some(step)) => format!("during `{step}`"),
        (true, None) => "between two steps, or before the first".to_owned(),
        (false, None) => "while the server ran".to_owned(),
    }
}
