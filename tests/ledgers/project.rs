//! A project of another framework in a temporary folder, with the tenants `a`, `b` and `c` in a new database.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    cluster::Database,
    portcullis::Portcullis,
    process::{Outcome, Running},
};

const CONFIG: &str = r#"
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name" }
[migrations]
MIGRATIONS
[server]
command = ["echo", "the server started"]
[[step]]
name = "tenants"
migrate.tenants = {}
[[step]]
name = "gate"
verify = { tenants = "all" }
"#;

pub struct Project {
    pub portcullis: Portcullis,
    pub database: Database,
    path: String,
}

impl Project {
    /// `fixture` is a folder of `tests/fixtures/ledgers`, `migrations` the content of `[migrations]`, and `programs` the
    /// folder of the tool's programs in `target`.
    pub fn new(fixture: &str, migrations: &str, programs: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let programs = root.join("target").join(programs);
        assert!(programs.exists(), "{} is missing: run scripts/ledger-tools", programs.display());
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("PATH"));
        let database = Database::fresh();
        let portcullis = Portcullis::new()
            .env("DATABASE_URL", &database.url())
            .env("PATH", &path)
            .config(&CONFIG.replace("MIGRATIONS", migrations));
        let from = root.join("tests/fixtures/ledgers").join(fixture).join(".");
        let copied = Command::new("cp").arg("-r").arg(from).arg(portcullis.folder()).status();
        assert!(copied.unwrap().success());
        database.execute("CREATE TABLE tenants (name text PRIMARY KEY)");
        for tenant in ["a", "b", "c"] {
            database.execute(&format!("CREATE SCHEMA {tenant}; INSERT INTO tenants VALUES ('{tenant}')"));
        }
        Self { portcullis, database, path }
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.portcullis.path(name)
    }

    /// Writes the manifest of the migration files.
    #[track_caller]
    pub fn manifest(&self) {
        self.portcullis.run(["manifest", "files"]).exits(0);
    }

    /// Runs a program of the tool in the project's folder.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.portcullis.folder()).env_clear();
        command
            .env("DATABASE_URL", self.database.url())
            .env("PATH", &self.path)
            .env("HOME", self.portcullis.folder());
        Running::start(command, false).wait()
    }

    /// The gate's result for one tenant.
    pub fn verify(&self, tenant: &str) -> Outcome {
        self.portcullis.run(["verify", tenant])
    }
}
