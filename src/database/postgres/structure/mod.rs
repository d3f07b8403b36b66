//! Reads the structure of a schema.

pub(super) mod create;

use super::{
    Postgres, connect,
    connection::{Connection, Row},
    quote::{identifier, literal},
};
use crate::{
    database::{DatabaseError, Schema},
    tenants::structure::{Object, ObjectKind, Structure, relative},
};

const OBJECTS: &str = include_str!("objects.sql");

/// The server's major version.
pub(super) const VERSION: &str =
    "SELECT (pg_catalog.current_setting('server_version_num')::int / 10000)::text";

impl Postgres {
    /// The server's major version and the structure of a schema.
    pub(crate) async fn structure(&self, schema: &Schema) -> Result<(String, Structure), DatabaseError> {
        let schema = match schema {
            Schema::Shared => &self.config.shared_schema,
            Schema::Tenant(name) => name,
        };
        let mut connection = self.writer().await?;
        let read = async {
            connection.rows("BEGIN READ ONLY").await?;
            Ok((version(&mut connection).await?, structure(&mut connection, schema).await?))
        };
        read.await.map_err(|error: sqlx::Error| connect::failed(&error))
    }
}

pub(super) async fn version(connection: &mut Connection) -> Result<String, sqlx::Error> {
    let rows = connection.rows(VERSION).await?;
    rows.first().map_or(Ok(None), |row| connect::text(row, 0)).map(Option::unwrap_or_default)
}

/// Reads in the open transaction, whose `search_path` it sets to the schema.
pub(super) async fn structure(connection: &mut Connection, schema: &str) -> Result<Structure, sqlx::Error> {
    let rows = connection.rows(&statements(schema).join("; ")).await?;
    let objects: Result<Vec<_>, _> = rows.iter().map(|row| object(row, schema)).collect();
    Ok(Structure::new(objects?))
}

/// With the schema as `search_path`, the server does not qualify the names of its objects.
fn statements(schema: &str) -> [String; 2] {
    let path = format!("SET LOCAL search_path = {}", identifier(schema));
    [path, OBJECTS.replace("$schema", &literal(schema))]
}

fn object(row: &Row, schema: &str) -> Result<Object, sqlx::Error> {
    let kind = connect::raw_text(row, 0)?
        .and_then(kind)
        .ok_or_else(|| sqlx::Error::Protocol("the server returned an unknown kind of object".into()))?;
    // The server qualifies no name in a query, whose aliases and tables may have the schema's name.
    let is_query = matches!(
        kind,
        ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Rule | ObjectKind::Policy
    );
    let text = |column| {
        let text = connect::raw_text(row, column)?.unwrap_or_default();
        Ok::<_, sqlx::Error>(if is_query { text.to_owned() } else { relative(text, schema) })
    };
    Ok(Object {
        kind,
        table: connect::text(row, 1)?.unwrap_or_default(),
        name: text(2)?,
        definition: text(3)?,
        state: text(4)?,
    })
}

/// The kinds as the query names them.
fn kind(word: &str) -> Option<ObjectKind> {
    Some(match word {
        "type" => ObjectKind::Type,
        "sequence" => ObjectKind::Sequence,
        "function" => ObjectKind::Function,
        "table" => ObjectKind::Table,
        "column" => ObjectKind::Column,
        "constraint" => ObjectKind::Constraint,
        "index" => ObjectKind::Index,
        "view" => ObjectKind::View,
        "materialized view" => ObjectKind::MaterializedView,
        "trigger" => ObjectKind::Trigger,
        "rule" => ObjectKind::Rule,
        "policy" => ObjectKind::Policy,
        "statistics" => ObjectKind::Statistics,
        "other" => ObjectKind::Other,
        _ => return None,
    })
}
