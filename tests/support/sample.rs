//! The shipped sample in a temporary folder, on either engine, and ways to break its tenants.

use std::{fs, path::Path};

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    cluster::{Database, block_on},
    http::free_port,
    portcullis::{Portcullis, invoices},
    process::{Outcome, Running},
};

/// The tenants that the sample's configuration names.
pub const TENANTS: [&str; 3] = ["demo", "acme", "globex"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Sqlite,
}

/// The shipped `config.toml`, migrations and manifest, and a new database.
pub struct Sample {
    pub portcullis: Portcullis,
    pub port: u16,
    database: Option<Database>,
}

impl Sample {
    pub fn on(engine: Engine) -> Self {
        Self::with((engine == Engine::Postgres).then(Database::fresh))
    }

    /// In this database.
    pub fn in_database(database: Database) -> Self {
        Self::with(Some(database))
    }

    fn with(database: Option<Database>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let port = free_port();
        let mut portcullis = Portcullis::new()
            .env("INVOICES", invoices().to_str().unwrap())
            .env("PORT", &port.to_string())
            .config(&read(&root.join("config.toml")))
            .file("portcullis.manifest.json", &read(&root.join("portcullis.manifest.json")));
        for folder in ["migrations/shared", "migrations/tenant"] {
            for file in fs::read_dir(root.join(folder)).unwrap() {
                let path = file.unwrap().path();
                let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
                portcullis = portcullis.file(&name, &read(&path));
            }
        }
        if let Some(database) = &database {
            portcullis = portcullis.env("DATABASE_URL", &database.url());
        }
        Self { portcullis, port, database }
    }

    /// The database of a sample on PostgreSQL.
    pub fn database(&self) -> &Database {
        self.database.as_ref().expect("a sample on PostgreSQL")
    }

    /// A sample that was started once and stopped.
    pub fn complete_on(engine: Engine) -> Self {
        let sample = Self::on(engine);
        sample.portcullis.run(["run", "--no-server"]).exits(0);
        sample
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.portcullis = self.portcullis.env(name, value);
        self
    }

    /// Writes a file.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.portcullis = self.portcullis.file(name, text);
        self
    }

    pub fn run(&self) -> Outcome {
        self.portcullis.run(["run"])
    }

    /// Starts it and waits until the server listens.
    #[track_caller]
    pub fn serve(&self) -> Running {
        let running = self.portcullis.spawn(["run"]);
        running.wait_for_line("invoices: listening");
        running
    }

    /// The URL of a schema for sqlx's command line tool; None is the shared schema.
    pub fn sqlx_url(&self, tenant: Option<&str>) -> String {
        match (&self.database, tenant) {
            (Some(database), Some(tenant)) => {
                format!("{}?options=-c%20search_path%3D{tenant}", database.url())
            }
            (Some(database), None) => database.url(),
            (None, tenant) => format!("sqlite://{}", self.sqlite_file(tenant)),
        }
    }

    /// Runs SQL in a tenant's schema, or in the shared one.
    pub fn execute(&self, tenant: Option<&str>, sql: &str) {
        match &self.database {
            Some(database) => {
                database.execute(&format!("SET search_path TO {}; {sql}", tenant.unwrap_or("public")));
            }
            None => block_on(async {
                let mut connection = self.open(tenant).await;
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect(sql);
                connection.close().await.unwrap();
            }),
        }
    }

    /// A number from a tenant's schema, or from the shared one; `{}` is replaced by the schema's prefix.
    pub fn number(&self, tenant: Option<&str>, sql: &str) -> i64 {
        match &self.database {
            Some(database) => {
                let sql = sql.replace("{}", &format!("{}.", tenant.unwrap_or("public")));
                database.column(&format!("SELECT ({sql})::text"))[0].parse().unwrap()
            }
            None => block_on(async {
                let mut connection = self.open(tenant).await;
                let sql = sql.replace("{}", "");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
            }),
        }
    }

    /// Removes a tenant's schema or file and leaves its registry row.
    pub fn drop_schema(&self, tenant: &str) {
        match &self.database {
            Some(database) => database.execute(&format!("DROP SCHEMA {tenant} CASCADE")),
            None => fs::remove_file(self.sqlite_file(Some(tenant))).unwrap(),
        }
    }

    fn sqlite_file(&self, tenant: Option<&str>) -> String {
        let name = tenant.map_or("var/shared.sqlite".to_owned(), |name| format!("var/tenants/{name}.sqlite"));
        self.portcullis.path(&name).to_str().unwrap().to_owned()
    }

    async fn open(&self, tenant: Option<&str>) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.sqlite_file(tenant)).foreign_keys(false);
        SqliteConnection::connect_with(&options).await.unwrap()
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
