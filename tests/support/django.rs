//! The Django example in a temporary folder, with a database in which one tenant is complete.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    cluster::{Database, cluster},
    portcullis::Portcullis,
    process::{Outcome, Running},
    redis::Redis,
};

/// The tenant that the project creates; others are copies of it.
pub const TENANT: &str = "demo";

const MANIFEST: &str = "portcullis.manifest.json";

/// The Django version of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 5.2, the version of the example.
    Five,
    /// 6.0, which allows squashes of squashes.
    Six,
    /// 5.2 with third-party apps.
    Apps,
}

pub struct Project {
    pub portcullis: Portcullis,
    pub database: Database,
    env: Vec<(String, String)>,
    python: PathBuf,
    _redis: Redis,
}

impl Project {
    /// The shipped project with a manifest, a migrated shared schema and a migrated demo tenant.
    pub fn complete() -> Self {
        Self::copy_of("django_complete", Release::Five, |_| (), Self::build)
    }

    /// The shipped project with a manifest and a migrated shared schema, without tenants.
    pub fn without_tenants() -> Self {
        Self::copy_of("django_without_tenants", Release::Five, |_| (), Self::build_shared)
    }

    /// Builds the manifest, the shared schema and the demo tenant of the current project.
    pub fn build(&self) {
        self.build_shared();
        self.manage(&["bootstrap_demo_tenants", TENANT, "-v0"]).exits(0);
    }

    fn build_shared(&self) {
        self.portcullis.run(["manifest", "django"]).exits(0);
        self.portcullis.run(["migrate", "--shared"]).exits(0);
    }

    /// A project with these changes to its files. Its database is built once for all tests.
    pub fn copy_of(name: &str, release: Release, change: fn(&Self), build: fn(&Self)) -> Self {
        let (database, manifest) = Database::shared(name, || {
            let project = Self::on(release);
            change(&project);
            build(&project);
            let manifest = std::fs::read_to_string(project.portcullis.path(MANIFEST)).unwrap();
            (project.database, manifest)
        });
        let project = Self::with(release, database);
        change(&project);
        std::fs::write(project.portcullis.path(MANIFEST), manifest).unwrap();
        project
    }

    /// The project's files and an empty database.
    pub fn new() -> Self {
        Self::on(Release::Five)
    }

    pub fn on(release: Release) -> Self {
        Self::with(release, Database::fresh())
    }

    fn with(release: Release, database: Database) -> Self {
        let programs = release.programs();
        let redis = Redis::start();
        let mut env = settings(&database, &redis);
        let path = std::env::var("PATH").expect("PATH");
        env.push(("PATH".to_owned(), format!("{}:{path}", programs.display())));
        let mut portcullis = Portcullis::new();
        for (name, value) in &env {
            portcullis = portcullis.env(name, value);
        }
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django");
        let copied = Command::new("cp").arg("-r").arg(example.join(".")).arg(portcullis.folder()).status();
        assert!(copied.unwrap().success());
        // A manifest in the source folder is not shipped.
        let _ = std::fs::remove_file(portcullis.path(MANIFEST));
        Self { portcullis, database, env, python: programs.join("python"), _redis: redis }
    }

    /// Sets a variable for the binary and for the project's commands.
    pub fn set(&mut self, name: &str, value: &str) {
        let portcullis = std::mem::replace(&mut self.portcullis, Portcullis::new());
        self.portcullis = portcullis.env(name, value);
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Replaces text in the configuration.
    #[track_caller]
    pub fn configure(&self, from: &str, to: &str) {
        let path = self.portcullis.path("config.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "config.toml does not contain {from:?}");
        std::fs::write(&path, config.replacen(from, to, 1)).unwrap();
    }

    /// Runs the project's `manage.py`.
    pub fn manage(&self, arguments: &[&str]) -> Outcome {
        self.python(&[&["manage.py"], arguments].concat())
    }

    /// The same with a time limit in seconds; it exits with 124 at the limit.
    pub fn manage_within(&self, seconds: u32, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("timeout");
        command.arg(seconds.to_string()).arg(&self.python).arg("manage.py");
        self.run(command, arguments)
    }

    pub fn python(&self, arguments: &[&str]) -> Outcome {
        self.run(Command::new(&self.python), arguments)
    }

    fn run(&self, mut command: Command, arguments: &[&str]) -> Outcome {
        command.args(arguments).current_dir(self.portcullis.folder());
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        Running::start(command, false).wait()
    }

    /// Registers tenants with exact copies of another tenant's schema and rows.
    pub fn copy_tenant(&self, from: &str, names: &[&str]) {
        let sql = self.copy_statements(from, from).join(";\n");
        for name in names {
            self.database.execute(&sql.replace(&format!("\"{from}\""), &format!("\"{name}\"")));
            self.database.execute(&format!(
                "INSERT INTO customers_client (schema_name, name, created_on) VALUES ('{name}', '{name}', now())"
            ));
        }
    }

    /// The statements of pg_dump that create the schema `to` as a copy of `from`.
    pub fn copy_statements(&self, from: &str, to: &str) -> Vec<String> {
        let mut command = Command::new("pg_dump");
        command.args(["--quote-all-identifiers", "--inserts", "--schema", from, &self.database.url()]);
        let dump = Running::start(command, false).wait().exits(0).stdout;
        let dump = dump.replace(&format!("\"{from}\""), &format!("\"{to}\""));
        let is_statement = |line: &&str| {
            !["--", "\\", "SET "].iter().any(|start| line.starts_with(start)) && !line.contains("set_config")
        };
        let statements = dump.lines().filter(is_statement).collect::<Vec<_>>().join("\n");
        statements.split(";\n").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
    }

    /// Registers tenants whose schemas are copies of the demo tenant's: its tables and its ledger, without rows.
    pub fn copies(&self, names: &[String]) {
        let tables = self.database.column(&format!(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = '{TENANT}' ORDER BY 1"
        ));
        for name in names {
            let mut sql = format!(
                "INSERT INTO customers_client (schema_name, name, created_on) VALUES ('{name}', '{name}', now()); \
                 CREATE SCHEMA {name};"
            );
            for table in &tables {
                sql += &format!("CREATE TABLE {name}.{table} (LIKE {TENANT}.{table} INCLUDING ALL);");
            }
            sql += &format!("INSERT INTO {name}.django_migrations SELECT * FROM {TENANT}.django_migrations;");
            sql += &format!("SELECT setval(pg_get_serial_sequence('{name}.django_migrations', 'id'), 1000);");
            self.database.execute(&sql);
        }
    }
}

impl Release {
    /// The folder of its Python.
    pub fn programs(self) -> PathBuf {
        match self {
            Release::Five => venv(),
            Release::Apps => installed("target/django-apps/bin", "python", "scripts/django-venv.sh"),
            Release::Six => installed("target/django-6/bin", "python", "scripts/django-6"),
        }
    }
}

/// The variables that the example's settings read.
pub fn settings(database: &Database, redis: &Redis) -> Vec<(String, String)> {
    let url = url::parts(&cluster());
    [
        ("DB_HOST", url.host),
        ("DB_PORT", url.port),
        ("DB_USER", url.user),
        ("DB_NAME", database.name().to_owned()),
        ("DB_PASSWORD", url.password),
        ("REDIS_URL", redis.url()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The programs of the virtual environment that `scripts/django-venv.sh` builds.
pub fn venv() -> PathBuf {
    installed("target/venv/bin", "gunicorn", "scripts/django-venv.sh")
}

fn installed(folder: &str, program: &str, by: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    assert!(path.join(program).exists(), "{folder} is missing: run {by}");
    path
}

mod url {
    pub struct Parts {
        pub host: String,
        pub port: String,
        pub user: String,
        pub password: String,
    }

    /// The parts of `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, the form that `scripts/cluster` prints.
    pub fn parts(url: &str) -> Parts {
        let split = || {
            let (_, rest) = url.split_once("://")?;
            let (login, rest) = rest.split_once('@')?;
            let (user, password) = login.split_once(':')?;
            let (host, port) = rest.split_once('/')?.0.split_once(':')?;
            Some((host, port, user, password))
        };
        let (host, port, user, password) = split().expect("a complete cluster address");
        Parts { host: host.into(), port: port.into(), user: user.into(), password: password.into() }
    }
}
