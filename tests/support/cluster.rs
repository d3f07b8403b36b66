//! A new database per test, in the private PostgreSQL cluster that `scripts/cluster` runs or on a test's own server.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::time_limits::until_true;

/// An empty database; dropping it drops the database.
pub struct Database {
    /// The address of the server's default database.
    server: String,
    name: String,
}

impl Database {
    pub fn fresh() -> Self {
        Self::on(cluster())
    }

    /// Creates it on the server whose default database has this address.
    pub fn on(server: String) -> Self {
        // No session and no background process is ever connected to this template.
        Self::from_template(server, "template0")
    }

    /// A copy of this database, to which no session may be connected.
    pub fn copy(&self) -> Self {
        Self::from_template(self.server.clone(), &self.name)
    }

    /// A copy of the database `name`, which the first test on the cluster builds, and the text that the build returned.
    pub fn shared(name: &str, build: impl FnOnce() -> (Self, String)) -> (Self, String) {
        let text =
            format!("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{name}'");
        let lock = format!("SELECT pg_advisory_lock(hashtextextended('{name}', 0))::text");
        let server = cluster();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut connection = runtime.block_on(PgConnection::connect(&server)).unwrap();
        let mut ask = |sql: &str| {
            let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection);
            runtime.block_on(rows).expect(sql).pop()
        };
        let _: Option<String> = ask(&lock);
        let text: String = ask(&text).unwrap_or_else(|| {
            let (database, text) = build();
            let literal = text.replace('\'', "''");
            execute(&server, &format!("ALTER DATABASE {} RENAME TO {name}", database.name));
            execute(&server, &format!("COMMENT ON DATABASE {name} IS '{literal}'"));
            std::mem::forget(database);
            text
        });
        runtime.block_on(connection.close()).unwrap();
        (Self::from_template(server, name), text)
    }

    fn from_template(server: String, template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        execute(&server, &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self { server, name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address with the server's superuser.
    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("an address ends in /DATABASE");
        format!("{server}/{}", self.name)
    }

    /// Runs SQL text that may hold several statements.
    pub fn execute(&self, sql: &str) {
        execute(&self.url(), sql);
    }

    /// Runs `work` while the transaction of another session holds the locks of these statements.
    pub fn while_held<T>(&self, sql: &str, work: impl FnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut holder = runtime.block_on(PgConnection::connect(&self.url())).unwrap();
        let sql = sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql}")));
        runtime.block_on(holder.execute(sql)).unwrap();
        let result = work();
        runtime.block_on(holder.close()).unwrap();
        result
    }

    /// Passes `work` a query function on one connection; it returns the first column of every row as text.
    pub fn watch<T>(&self, work: impl FnOnce(&mut dyn FnMut(&str) -> Vec<String>) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut connection = runtime.block_on(PgConnection::connect(&self.url())).unwrap();
        work(&mut |sql| {
            let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection);
            runtime.block_on(rows).expect(sql)
        })
    }

    /// Repeats a query until it has rows (`rows`) or none.
    #[track_caller]
    pub fn until(&self, rows: bool, sql: &str) {
        let wanted = if rows { "rows" } else { "no rows" };
        self.watch(|ask| until_true(&format!("{wanted} of {sql}"), || ask(sql).is_empty() != rows));
    }

    /// Waits until a session is in `pg_sleep`.
    #[track_caller]
    pub fn until_sleeping(&self) {
        let sleeping = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() \
                        AND wait_event = 'PgSleep'";
        self.until(true, sleeping);
    }

    /// The first column of every row as text.
    pub fn column(&self, sql: &str) -> Vec<String> {
        block_on(async {
            let mut connection = PgConnection::connect(&self.url()).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.expect(sql)
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A second panic would hide the first one.
        if !std::thread::panicking() {
            execute(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// The address of the private cluster.
pub fn cluster() -> String {
    std::env::var("PORTCULLIS_TEST_POSTGRES").expect(
        "PORTCULLIS_TEST_POSTGRES names no PostgreSQL cluster: run `make test`, or scripts/cluster cargo test",
    )
}

/// Runs a future to completion on a new runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn execute(url: &str, sql: &str) {
    block_on(async {
        let mut connection = PgConnection::connect(url).await.expect("the private cluster");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect(sql);
        connection.close().await.unwrap();
    });
}
