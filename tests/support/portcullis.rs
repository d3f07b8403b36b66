//! The built binary in a temporary folder, with a defined environment.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;

use super::process::{Outcome, Running};

/// A folder and an environment for the binary; dropping it removes the folder.
pub struct Portcullis {
    /// Shared with the processes that run in it, which may outlive this value.
    folder: Arc<TempDir>,
    env: BTreeMap<String, String>,
    own_pid_namespace: bool,
}

impl Portcullis {
    /// An empty folder, and an environment with only PATH.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("portcullis-test.").tempdir().unwrap();
        // Other users' processes (a container's, a reader's) must be able to enter.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").expect("PATH");
        Self {
            folder: Arc::new(folder),
            env: BTreeMap::from([("PATH".to_owned(), path)]),
            own_pid_namespace: false,
        }
    }

    /// A copy of the folder, with the same environment.
    pub fn copy(&self) -> Self {
        let copy = Self { env: self.env.clone(), own_pid_namespace: self.own_pid_namespace, ..Self::new() };
        let copied = Command::new("cp").arg("-r").arg(self.folder().join(".")).arg(copy.folder()).status();
        assert!(copied.unwrap().success());
        copy
    }

    /// Writes `config.toml`, the default path of the configuration.
    pub fn config(self, text: &str) -> Self {
        self.file("config.toml", text)
    }

    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs the binary as PID 1 of a new PID namespace, which ends with it.
    pub fn in_own_pid_namespace(mut self) -> Self {
        self.own_pid_namespace = true;
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the binary and waits for its end; a hang is a failed test.
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Outcome {
        self.spawn(arguments).wait()
    }

    /// Runs the binary on a pseudo-terminal, whose content is the standard output.
    pub fn on_a_terminal<const N: usize>(&self, arguments: [&str; N]) -> Running {
        self.on_a_terminal_of(80, arguments)
    }

    /// A terminal with this number of columns.
    pub fn on_a_terminal_of<const N: usize>(&self, columns: usize, arguments: [&str; N]) -> Running {
        let program = env!("CARGO_BIN_EXE_portcullis");
        let line = format!("stty rows 24 cols {columns} && exec {program} {}", arguments.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        command.current_dir(self.folder.path()).env_clear().envs(&self.env).env("TERM", "xterm");
        Running::start(command, false).inside(Arc::clone(&self.folder))
    }

    pub fn spawn<const N: usize>(&self, arguments: [&str; N]) -> Running {
        Running::start(self.command(arguments), self.own_pid_namespace).inside(Arc::clone(&self.folder))
    }

    /// The command, which the test can start with other streams.
    pub fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = if self.own_pid_namespace {
            let mut command = Command::new("unshare");
            if !nix::unistd::geteuid().is_root() {
                command.args(["--user", "--map-root-user"]);
            }
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
            command.arg(env!("CARGO_BIN_EXE_portcullis"));
            command
        } else {
            let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
            // The name in the commands that the box shows.
            command.arg0("portcullis");
            command
        };
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(&self.env);
        command
    }

    /// Runs a command line of the box in a shell, as a reader pastes it; `portcullis` is the binary.
    pub fn paste(&self, line: &str) -> Outcome {
        let folder = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap();
        let path = format!("{}:{}", folder.display(), self.env["PATH"]);
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder.path());
        command.env_clear().envs(&self.env).env("PATH", path);
        Running::start(command, false).wait()
    }
}

/// The example web server, built with the binary.
pub fn invoices() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_portcullis")).with_file_name("examples/invoices");
    assert!(path.exists(), "{} is not built: cargo build --examples", path.display());
    path
}
