//! A minimal project: tenants `a`, `b` and `c` on PostgreSQL, each with a table `item`, and steps in `sh`.

use super::{cluster::Database, portcullis::Portcullis};

const CONFIG: &str = r#"
role = "web"
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name" }
[migrations]
shared = "shared"
tenant = "tenant"
manifest = { auto = true }
apply = { APPLY }
[lock]
timeout = "${LOCK_TIMEOUT:-50s}"
[server]
command = ["echo", "the server started"]
[[step]]
name = "shared schema"
when = { role = "web" }
migrate.shared = {}
[[step]]
name = "tenant schemas"
when = { role = "web" }
migrate.tenants = {}
[[step]]
name = "demo tenants"
when = { role = "web" }
bootstrap = { tenants = ["a", "b", "c"] }
[[step]]
name = "gate"
when = { role = "web" }
verify = { tenants = "all" }
[[step]]
name = "gate of a worker"
when = { role = "worker" }
verify = { tenants = ["a", "b", "c"], wait = "50s" }
"#;

/// The files, the configuration and a new database.
pub struct Project {
    pub portcullis: Portcullis,
    pub database: Database,
}

impl Project {
    /// With an empty database. `apply` is the content of `migrations.apply`.
    pub fn new(apply: &str) -> Self {
        Self::on(Database::fresh(), apply)
    }

    pub fn on(database: Database, apply: &str) -> Self {
        let portcullis = Portcullis::new()
            .env("DATABASE_URL", &database.url())
            .config(&CONFIG.replace("APPLY", apply))
            .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
            .file("tenant/1_item.sql", "CREATE TABLE item (n bigint);\n");
        Self { portcullis, database }
    }

    /// With three complete tenants.
    pub fn complete(apply: &str) -> Self {
        Self::new(apply).started()
    }

    pub fn started(self) -> Self {
        self.start().exits(0);
        self
    }

    /// Creates an ordinary role, password `x`, that owns everything.
    pub fn give_to(&self, role: &str, options: &str) {
        self.database.execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'x' {options}; GRANT CREATE ON DATABASE {} TO {role}; \
             DO $$ DECLARE s text; t text; BEGIN FOR s IN SELECT nspname FROM pg_namespace \
             WHERE nspname IN ('a', 'b', 'c', 'public', 'portcullis') LOOP \
             EXECUTE format('ALTER SCHEMA %I OWNER TO {role}', s); \
             FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = s LOOP \
             EXECUTE format('ALTER TABLE %I.%I OWNER TO {role}', s, t); END LOOP; END LOOP; END $$",
            self.database.name()
        ));
    }

    /// Deletes that role.
    pub fn take_from(&self, role: &str) {
        self.database.execute(&format!(
            "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
        ));
    }

    /// Replaces text in the configuration.
    pub fn replace(self, old: &str, new: &str) -> Self {
        let text = std::fs::read_to_string(self.portcullis.path("config.toml")).unwrap();
        assert!(text.contains(old), "{old} is not in {text}");
        self.config(&text.replace(old, new))
    }

    /// Appends to the configuration.
    pub fn step(self, text: &str) -> Self {
        let config = std::fs::read_to_string(self.portcullis.path("config.toml")).unwrap();
        self.config(&(config + text))
    }

    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.portcullis = self.portcullis.file(name, text);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.portcullis = self.portcullis.env(name, value);
        self
    }

    pub fn start(&self) -> super::process::Outcome {
        self.portcullis.run(["run"])
    }

    /// The versions that a tenant's ledger records as applied.
    pub fn ledger(&self, tenant: &str) -> Vec<String> {
        let sql =
            format!("SELECT version::text FROM {tenant}._sqlx_migrations WHERE success ORDER BY version");
        self.database.column(&sql)
    }

    pub fn columns(&self, tenant: &str) -> Vec<String> {
        self.database.column(&format!(
            "SELECT column_name::text FROM information_schema.columns \
             WHERE table_schema = '{tenant}' AND table_name = 'item' ORDER BY 1"
        ))
    }

    pub fn exists(&self, schema: &str) -> bool {
        !self
            .database
            .column(&format!("SELECT 'yes' FROM pg_namespace WHERE nspname = '{schema}'"))
            .is_empty()
    }

    /// Repeats a query until it has rows (`rows`) or none.
    #[track_caller]
    pub fn until(&self, rows: bool, sql: &str) {
        self.database.until(rows, sql);
    }

    /// Waits until a session runs a statement that contains this text.
    #[track_caller]
    pub fn until_running(&self, text: &str) {
        self.until(
            true,
            &format!(
                "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%{text}%'"
            ),
        );
    }

    /// Waits until a session is in `pg_sleep`.
    #[track_caller]
    pub fn until_sleeping(&self) {
        self.database.until_sleeping();
    }

    /// Waits until no other session's last statement contains this text.
    #[track_caller]
    pub fn until_gone(&self, text: &str) {
        self.until(
            false,
            &format!(
                "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND query LIKE '%{text}%'"
            ),
        );
    }

    fn config(mut self, text: &str) -> Self {
        self.portcullis = self.portcullis.config(text);
        self
    }
}

/// A configuration with these steps and a server whose start is visible.
pub fn steps(text: &str) -> Portcullis {
    Portcullis::new().config(&format!("[server]\ncommand = [\"echo\", \"the server started\"]\n{text}"))
}

/// A step that runs a script in `sh`; `options` are further lines of the step.
pub fn sh(name: &str, options: &str, script: &str) -> String {
    format!("[[step]]\nname = \"{name}\"\n{options}\ncommand.run = [\"sh\", \"-c\", '''{script}''']\n")
}
