//! A fresh database per test, in the private PostgreSQL cluster that `scripts/cluster` runs or on a test's own server.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::time_limits::until_true;

/// An empty database; dropped, it is gone.
pub struct Database {
    /// The address of its server's own database.
    server: String,
    name: String,
}

impl Database {
    pub fn fresh() -> Self {
        Self::on(cluster())
    }

    /// On the server of which this is another database's address.
    pub fn on(server: String) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        // Nobody, and no background work of the server's, can be connected to this template.
        execute(&server, &format!("CREATE DATABASE {name} TEMPLATE template0"));
        Self { server, name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the server's superuser.
    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("an address ends in /DATABASE");
        format!("{server}/{}", self.name)
    }

    /// Runs SQL text that may hold several statements.
    pub fn execute(&self, sql: &str) {
        execute(&self.url(), sql);
    }

    /// Does something while another session's transaction holds what these statements lock.
    pub fn while_held<T>(&self, sql: &str, work: impl FnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut holder = runtime.block_on(PgConnection::connect(&self.url())).unwrap();
        let sql = sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql}")));
        runtime.block_on(holder.execute(sql)).unwrap();
        let result = work();
        runtime.block_on(holder.close()).unwrap();
        result
    }

    /// Asks again and again over one connection: the first column, as text, of every row.
    pub fn watch<T>(&self, work: impl FnOnce(&mut dyn FnMut(&str) -> Vec<String>) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut connection = runtime.block_on(PgConnection::connect(&self.url())).unwrap();
        work(&mut |sql| {
            let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection);
            runtime.block_on(rows).expect(sql)
        })
    }

    /// Asks again until a query has rows, or has none.
    #[track_caller]
    pub fn until(&self, rows: bool, sql: &str) {
        let wanted = if rows { "rows" } else { "no rows" };
        self.watch(|ask| until_true(&format!("{wanted} of {sql}"), || ask(sql).is_empty() != rows));
    }

    /// Returns once a session sleeps in `pg_sleep`, and has done what stands before it.
    #[track_caller]
    pub fn until_sleeping(&self) {
        let sleeping = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() \
                        AND wait_event = 'PgSleep'";
        self.until(true, sleeping);
    }

    /// The first column, as text, of every row.
    pub fn column(&self, sql: &str) -> Vec<String> {
        block_on(async {
            let mut connection = PgConnection::connect(&self.url()).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.expect(sql)
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A second panic would hide the first, which says what failed.
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

/// Runs a future to its end, on a runtime of its own.
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
