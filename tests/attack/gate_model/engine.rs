//! The engine of one try, with a new database.

use std::fs;

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    cluster::{Database, block_on},
    portcullis::Portcullis,
};

pub enum Engine {
    Postgres(Database),
    Sqlite(Portcullis),
}

impl Engine {
    /// Runs SQL; on SQLite in the file of a tenant or of the shared schema.
    pub fn execute(&self, tenant: Option<&str>, sql: &str) {
        match self {
            Self::Postgres(database) => {
                let sql =
                    sql.replace("BINARY", "bytea").replace("HEX", "decode('").replace("END", "', 'hex')");
                database.execute(&sql);
            }
            Self::Sqlite(project) => {
                let name =
                    tenant.map_or("var/shared.sqlite".into(), |name| format!("var/tenants/{name}.sqlite"));
                fs::create_dir_all(project.path("var/tenants")).unwrap();
                let options =
                    SqliteConnectOptions::new().filename(project.path(&name)).create_if_missing(true);
                let sql = sql.replace("BINARY", "BLOB").replace("HEX", "x'").replace("END", "'");
                block_on(async {
                    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
                    connection.close().await.unwrap();
                });
            }
        }
    }
}
