//! A PostgreSQL server for one test, for tests of the server's limits, its log or its standby. Every login is
//! accepted from this machine and, if the server listens there, from its containers.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::{cluster::block_on, http::free_port, time_limits::until_true};

/// A running server; dropping it stops the server and removes its data.
pub struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// The size in MiB of the tablespace `small`, on a disk of its own.
    disk: Option<usize>,
    process: Child,
}

impl Server {
    /// A new server; `settings` are lines of its postgresql.conf.
    pub fn start(settings: &str) -> Self {
        Self::of_programs(debian().1, settings, None)
    }

    /// A new server with the tablespace `small` on a disk of this number of MiB.
    pub fn with_small_disk(size: usize) -> Self {
        let server = Self::of_programs(debian().1, "", Some(size));
        let place = server.folder().join("small/data");
        server.shell(&format!("mkdir {}", place.display()));
        server.execute("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", place.display()));
        server
    }

    /// A new server that can speak this language, too (`lc_messages`).
    pub fn translated(language: &str) -> Self {
        let mut server = Self::start("");
        let folder = Path::new("/usr/share/locale").join(language.split('_').next().unwrap());
        let catalogue = folder.join(format!("LC_MESSAGES/postgres-{}.mo", debian().0));
        assert!(catalogue.exists(), "{} is missing: let dpkg install translations", catalogue.display());
        let locales = server.folder().join(LOCALES);
        fs::create_dir(&locales).unwrap();
        let name = format!("{language}.UTF-8");
        finish(
            Command::new("localedef")
                .args(["--inputfile", language, "--charmap", "UTF-8"])
                .arg(locales.join(name)),
        );
        finish(Command::new("cp").arg("-r").arg("/usr/lib/locale/C.utf8").arg(&locales));
        server.crash();
        server
    }

    /// Fills the small disk, or frees it.
    pub fn fill(&self, fills: bool) {
        let file = self.folder().join("small/filler");
        let command = if fills { "head -c 1G /dev/zero >" } else { "rm -f" };
        self.shell(&format!("{command} {} 2>/dev/null; true", file.display()));
    }

    /// Runs a command as the server does.
    fn shell(&self, command: &str) {
        // The program must read its input.
        self.execute("postgres", &format!("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; {command}'"));
    }

    /// A server of another major than Debian's.
    pub fn of_major(major: u32) -> Self {
        let programs = unpacked().join(format!("{major}/bin"));
        assert!(programs.is_dir(), "{} is missing: run scripts/postgresql-majors", programs.display());
        Self::of_programs(programs, "", None)
    }

    fn of_programs(programs: PathBuf, settings: &str, disk: Option<usize>) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let mut initdb = program(&programs, "initdb");
        initdb.arg("--pgdata").arg(&data).args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        finish(initdb.args(["--locale=C.UTF-8", "--no-sync"]));
        let common =
            "fsync = off\nsynchronous_commit = off\nautovacuum = off\nlisten_addresses = '127.0.0.1'\n";
        let file = data.join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap() + common + settings + "\n";
        fs::write(&file, text).unwrap();
        let access = data.join("pg_hba.conf");
        let text = fs::read_to_string(&access).unwrap() + "host all all samenet trust\n";
        fs::write(&access, text).unwrap();
        Self::run(programs, folder, disk)
    }

    /// A hot standby of this server with its current data.
    pub fn standby(&self) -> Self {
        let folder = folder();
        let mut copy = program(&self.programs, "pg_basebackup");
        copy.args(["--host=127.0.0.1", "--username=postgres", "--checkpoint=fast", "--no-sync"]);
        copy.arg(format!("--port={}", self.port)).arg("--write-recovery-conf");
        finish(copy.arg("--pgdata").arg(folder.path().join("data")));
        Self::run(self.programs.clone(), folder, None)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the server's socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the server read its configuration and its rules again; they hold for later connections.
    pub fn reload(&self) {
        let loaded = || self.one("postgres", "SELECT pg_conf_load_time()::text");
        let before = loaded();
        self.execute("postgres", "SELECT pg_reload_conf()");
        until_true("the configuration is read", || loaded() != before);
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn execute(&self, database: &str, sql: &str) {
        block_on(async {
            let mut connection = PgConnection::connect(&self.url(database)).await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect(sql);
            connection.close().await.unwrap();
        });
    }

    /// The first column of the first row as text.
    pub fn one(&self, database: &str, sql: &str) -> String {
        block_on(async {
            let mut connection = PgConnection::connect(&self.url(database)).await.unwrap();
            let value = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await;
            connection.close().await.unwrap();
            value.expect(sql)
        })
    }

    /// The first column of every row as text.
    pub fn column(&self, database: &str, sql: &str) -> Vec<String> {
        block_on(async {
            let mut connection = PgConnection::connect(&self.url(database)).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.expect(sql)
        })
    }

    /// Crashes the server and starts it again.
    pub fn crash(&mut self) {
        self.signal(Signal::SIGQUIT);
        self.restart();
    }

    /// TERM, INT and QUIT are the smart, the fast and the immediate shutdown.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end of the server and starts it again.
    pub fn restart(&mut self) {
        self.process.wait().unwrap();
        // A killed server leaves backends, which hold its memory until they have ended.
        until_true("PostgreSQL to start", || {
            if self.process.try_wait().unwrap().is_some() {
                self.process = spawn(&self.programs, &self.folder, self.port, self.disk);
            }
            block_on(PgConnection::connect(&self.url("postgres"))).is_ok()
        });
    }

    /// Waits until the server accepts connections.
    pub fn until_ready(&self) {
        until_true("PostgreSQL to start", || block_on(PgConnection::connect(&self.url("postgres"))).is_ok());
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        self.execute("postgres", "SELECT pg_promote()");
        until_true("the promotion", || self.one("postgres", "SELECT pg_is_in_recovery()::text") == "false");
    }

    /// The complete log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn run(programs: PathBuf, folder: TempDir, disk: Option<usize>) -> Self {
        let port = free_port();
        let process = spawn(&programs, &folder, port, disk);
        let server = Self { programs, folder, port, disk, process };
        server.until_ready();
        server
    }
}

/// The folder of the server's own locales.
const LOCALES: &str = "locales";

fn spawn(programs: &Path, folder: &TempDir, port: u16, disk: Option<usize>) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
    let mut command = match disk {
        None => program(programs, "postgres"),
        Some(size) => {
            let mount = format!("mkdir -p small && mount -t tmpfs -o size={size}m,mode=777 tmpfs small");
            let mut command = Command::new("unshare");
            let user = if let Some(user) = server_user() {
                format!("setpriv --reuid={} --regid={} --clear-groups", user.uid, user.gid)
            } else {
                command.arg("--map-root-user");
                "unshare --user --map-user=1000 --map-group=1000".to_owned()
            };
            // The disk exists for the server's processes alone, and ends with them.
            command.args(["--mount", "sh", "-c", &format!("{mount} && exec {user} \"$@\""), "sh"]);
            command.arg(programs.join("postgres")).current_dir(folder.path());
            command
        }
    };
    let locales = folder.path().join(LOCALES);
    if locales.is_dir() {
        command.env("LOCPATH", locales);
    }
    command
        .arg("-D")
        .arg(folder.path().join("data"))
        .args(["-c", &format!("unix_socket_directories={}", folder.path().display())])
        .args(["-c", &format!("port={port}")])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast shutdown, which ends the sessions.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGINT);
        let _ = self.process.wait();
    }
}

/// A program of PostgreSQL, which refuses to run as root.
fn program(programs: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir("/");
    if let Some(user) = server_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Debian's newest major and its programs.
fn debian() -> (u32, PathBuf) {
    let major = majors_in(Path::new("/usr/lib/postgresql")).pop().expect("PostgreSQL is installed");
    (major, format!("/usr/lib/postgresql/{major}/bin").into())
}

/// Every major on which tests run.
pub fn majors() -> Vec<u32> {
    let mut majors = majors_in(&unpacked());
    majors.push(debian().0);
    majors.sort_unstable();
    majors.dedup();
    majors
}

/// The folder in which `scripts/postgresql-majors` unpacks servers.
fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/postgresql")
}

fn majors_in(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut majors: Vec<u32> =
        entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect();
    majors.sort_unstable();
    majors
}

fn server_user() -> Option<User> {
    geteuid().is_root().then(|| User::from_name("postgres").unwrap().expect("the user `postgres` exists"))
}

fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("portcullis-server.").tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    if let Some(user) = server_user() {
        chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    folder
}

fn finish(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
