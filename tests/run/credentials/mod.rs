//! Passwords from commands and from clouds, against stand-ins of the clouds and a real PostgreSQL server.

mod clouds;
mod command;
mod programs;

use std::{
    fs,
    process::{Child, Command},
};

use serde_json::Value;

use crate::support::{cluster::Database, portcullis::Portcullis, time_limits::until_true};

/// A database, and a role that logs in to it.
struct Role {
    database: Database,
    name: String,
}

/// A configuration that logs in as the role.
struct Login {
    portcullis: Portcullis,
    role: Role,
}

impl Login {
    /// `password` is the source in the configuration, `first` the role's password.
    fn new(password: &str, first: &str) -> Self {
        let database = Database::fresh();
        let name = format!("{}_login", database.name());
        database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{first}'"));
        let (host, port) = server(&database);
        let config = format!(
            "[database]\nhost = \"{host}\"\nport = {port}\nname = \"{}\"\nuser = \"{name}\"\nsslmode = \"disable\"\n\
             password = {password}\n",
            database.name()
        );
        let portcullis = Portcullis::new().config(&config).env("PORTCULLIS_LOG", "trace");
        Self { portcullis, role: Role { database, name } }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.portcullis = self.portcullis.env(name, value);
        self
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        self.portcullis = self.portcullis.file(name, text);
        self
    }

    /// Adds steps to the configuration.
    fn steps(self, steps: &str) -> Self {
        let config = fs::read_to_string(self.portcullis.path("config.toml")).unwrap();
        self.file("config.toml", &(config + steps))
    }

    /// With another port of the server.
    fn port(self, port: u16) -> Self {
        let config = fs::read_to_string(self.portcullis.path("config.toml")).unwrap();
        let (_, own) = server(&self.role.database);
        let changed = config.replace(&format!("port = {own}"), &format!("port = {port}"));
        self.file("config.toml", &changed)
    }

    fn change_password(&self, to: &str) {
        self.role.database.execute(&format!("ALTER ROLE {} PASSWORD '{to}'", self.role.name));
    }

    fn token(&self) -> Value {
        let outcome = self.portcullis.run(["token", "--format", "json"]).exits(0);
        serde_json::from_str(&outcome.stdout).unwrap()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.database.execute(&format!("DROP ROLE {}", self.name));
        }
    }
}

fn server(database: &Database) -> (String, String) {
    let url = database.url();
    let (_, server) = url.split_once('@').unwrap();
    let (host, port) = server.split_once('/').unwrap().0.rsplit_once(':').unwrap();
    (host.to_owned(), port.to_owned())
}

/// A step that logs in, one that runs `script`, and another login.
fn around(script: &str) -> String {
    let script = script.replace('"', "\\\"");
    format!(
        "[[step]]\nname = \"before\"\nsql.run = \"SELECT 1\"\n[[step]]\nname = \"script\"\ncommand.run = [\"sh\", \"-c\", \
         \"{script}\"]\n[[step]]\nname = \"after\"\nsql.run = \"SELECT 1\"\n"
    )
}

const WAIT: &str = "[[step]]\nname = \"wait\"\nwait.database = { timeout = \"2s\" }\n";

/// The stand-in of all clouds; dropping it ends it.
pub(crate) struct Clouds {
    folder: tempfile::TempDir,
    process: Child,
    secure: bool,
}

impl Clouds {
    fn start() -> Self {
        Self::with(false)
    }

    /// With TLS, whose certificate only `trusted.pem` trusts.
    pub(crate) fn secure() -> Self {
        Self::with(true)
    }

    fn with(secure: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/credentials/clouds.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(folder.path());
        if secure {
            let mut openssl = Command::new("openssl");
            openssl.current_dir(folder.path()).args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
                "key.pem",
                "-out",
                "trusted.pem",
            ]);
            assert!(openssl.output().unwrap().status.success());
            command.args(["trusted.pem", "key.pem"].map(|name| folder.path().join(name)));
        }
        let process = command.spawn().unwrap();
        let clouds = Self { folder, process, secure };
        clouds.set("token", "first-token-of-the-cloud");
        until_true("the stand-in listens", || clouds.path("port").exists());
        clouds
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// `token`, `status`, `seconds` or `flavor`.
    fn set(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn authority(&self) -> String {
        let host = if self.secure { "localhost" } else { "127.0.0.1" };
        format!("{host}:{}", fs::read_to_string(self.path("port")).unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("requests")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Clouds {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
