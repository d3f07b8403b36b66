//! Reads tenants and their invoices, from PostgreSQL or from a folder of SQLite files.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection,
    postgres::{PgConnectOptions, PgConnection},
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

/// The location of the data.
pub enum Database {
    /// A password file is read at every connection, because the password may rotate.
    Postgres { options: Box<PgConnectOptions>, password: Option<PathBuf> },
    /// Holds `shared.sqlite` and `tenants/<schema>.sqlite`.
    Sqlite(PathBuf),
}

/// One line of a tenant's page: number, customer, date of issue, cents, date of payment.
pub type Invoice = (String, String, String, i64, Option<String>);

const DNS_ATTEMPTS: usize = 5;
const DNS_PAUSE: Duration = Duration::from_millis(300);

const TENANT: &str = "SELECT schema_name FROM tenants WHERE schema_name = $1";

impl Database {
    pub fn parse(url: &str, password: Option<PathBuf>) -> Result<Self, sqlx::Error> {
        match url.strip_prefix("sqlite://") {
            Some(folder) => Ok(Self::Sqlite(folder.into())),
            None => Ok(Self::Postgres { options: Box::new(PgConnectOptions::from_str(url)?), password }),
        }
    }

    /// The tenant's invoices, or None if the registry does not contain the tenant.
    pub async fn invoices(&self, tenant: &str) -> Result<Option<Vec<Invoice>>, sqlx::Error> {
        match self {
            Self::Postgres { options, password: None } => from_postgres(options, tenant).await,
            Self::Postgres { options, password: Some(file) } => {
                let password = fs::read_to_string(file).map_err(sqlx::Error::Io)?;
                from_postgres(&(**options).clone().password(password.trim_end()), tenant).await
            }
            Self::Sqlite(folder) => from_sqlite(folder, tenant).await,
        }
    }
}

async fn from_postgres(
    options: &PgConnectOptions,
    tenant: &str,
) -> Result<Option<Vec<Invoice>>, sqlx::Error> {
    let mut connection = connect(options).await?;
    let registered: Option<(String,)> =
        sqlx::query_as(TENANT).bind(tenant).fetch_optional(&mut connection).await?;
    let Some((schema,)) = registered else {
        return Ok(None);
    };
    let schema = format!("\"{}\".", schema.replace('"', "\"\""));
    sqlx::query_as(AssertSqlSafe(query(&schema))).fetch_all(&mut connection).await.map(Some)
}

/// A container network's name server sometimes fails briefly while containers start and stop.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    for _ in 1..DNS_ATTEMPTS {
        match PgConnection::connect_with(options).await {
            // The standard library has no error kind for it, only this message.
            Err(sqlx::Error::Io(error))
                if error.to_string().starts_with("failed to lookup address information") =>
            {
                tokio::time::sleep(DNS_PAUSE).await;
            }
            result => return result,
        }
    }
    PgConnection::connect_with(options).await
}

async fn from_sqlite(folder: &Path, tenant: &str) -> Result<Option<Vec<Invoice>>, sqlx::Error> {
    let mut shared = open(folder.join("shared.sqlite")).await?;
    let registered: Option<(String,)> =
        sqlx::query_as(TENANT).bind(tenant).fetch_optional(&mut shared).await?;
    let Some((schema,)) = registered else {
        return Ok(None);
    };
    let mut database = open(folder.join("tenants").join(format!("{schema}.sqlite"))).await?;
    sqlx::query_as(AssertSqlSafe(query(""))).fetch_all(&mut database).await.map(Some)
}

async fn open(file: PathBuf) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file).read_only(true)).await
}

/// `schema` qualifies the tables, so that no search_path can lead to another tenant's.
fn query(schema: &str) -> String {
    format!(
        "SELECT i.number, c.name, CAST(i.issued_on AS text), i.total_cents, CAST(i.paid_on AS text) \
         FROM {schema}finance_invoice i JOIN {schema}crm_customer c ON c.id = i.customer_id \
         ORDER BY i.number"
    )
}
