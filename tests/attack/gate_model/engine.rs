//! The place of the tenants of one try: the schemas of a new database, new databases, or files of SQLite.

use std::{fmt, fs};

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use super::model::Presence;
use crate::support::{
    cluster::{Database, block_on},
    portcullis::Portcullis,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Schemas,
    Databases,
    Files,
}

/// The row in the table of `make attack`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schemas => "on PostgreSQL",
            Self::Databases => "in databases",
            Self::Files => "on SQLite",
        })
    }
}

impl Place {
    /// How a tenant of the registry can be absent.
    pub fn absences(self) -> &'static [Presence] {
        match self {
            Self::Schemas | Self::Files => &[Presence::NoSchema],
            Self::Databases => &[Presence::NoSchema, Presence::NoDatabase],
        }
    }

    /// The registry's key for the tenants' databases.
    pub fn key(self) -> &'static str {
        if self == Self::Databases { ", database = \"{place}\"" } else { "" }
    }
}

/// The data of one try.
pub enum Engine {
    /// With the SQL of the tenants, which runs after that of the shared schema.
    Schemas {
        database: Database,
        schemas: String,
    },
    Databases {
        shared: Database,
        tenants: Vec<Database>,
    },
    /// In the folder of a project.
    Files(Portcullis),
}

impl Engine {
    pub fn new(place: Place) -> Self {
        match place {
            Place::Schemas => Self::Schemas { database: Database::fresh(), schemas: String::new() },
            Place::Databases => Self::Databases { shared: Database::fresh(), tenants: Vec::new() },
            Place::Files => {
                let data = Portcullis::new();
                fs::create_dir(data.path("tenants")).unwrap();
                Self::Files(data)
            }
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Schemas { database, .. } | Self::Databases { shared: database, .. } => database.url(),
            Self::Files(data) => format!("sqlite://{}", data.folder().display()),
        }
    }

    /// Makes a tenant, and returns the name of its database for the registry.
    pub fn create(&mut self, name: &str, presence: Presence, sql: &str) -> String {
        let is_absent = presence == Presence::NoSchema;
        match self {
            Self::Databases { .. } if presence == Presence::NoDatabase => return format!("absent_{name}"),
            Self::Databases { tenants, .. } => {
                let database = Database::fresh();
                database.execute(if is_absent { "DROP SCHEMA public" } else { sql });
                let place = database.name().to_owned();
                tenants.push(database);
                return place;
            }
            _ if is_absent => {}
            Self::Schemas { schemas, .. } => {
                *schemas += &format!("CREATE SCHEMA {name}; SET search_path TO {name}; {sql}");
            }
            Self::Files(data) => execute(data, &format!("tenants/{name}.sqlite"), sql),
        }
        String::new()
    }

    /// Makes the shared schema.
    pub fn make_shared(&self, sql: &str) {
        match self {
            Self::Schemas { database, schemas } => database.execute(&format!("{sql} {schemas}")),
            Self::Databases { shared, .. } => shared.execute(sql),
            Self::Files(data) => execute(data, "shared.sqlite", sql),
        }
    }

    /// The SQL in the engine's dialect.
    pub fn dialect(&self, sql: &str) -> String {
        let (binary, hex, end) = match self {
            Self::Schemas { .. } | Self::Databases { .. } => ("bytea", "decode('", "', 'hex')"),
            Self::Files(_) => ("BLOB", "x'", "'"),
        };
        sql.replace("BINARY", binary).replace("HEX", hex).replace("END", end)
    }
}

fn execute(data: &Portcullis, file: &str, sql: &str) {
    let options = SqliteConnectOptions::new().filename(data.path(file)).create_if_missing(true);
    block_on(async {
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        connection.close().await.unwrap();
    });
}
