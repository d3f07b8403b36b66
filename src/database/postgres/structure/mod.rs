//! Reads the structure of a schema.

pub(super) mod create;
mod fleet;

pub(super) use self::fleet::{DigestKinds, PLAN, Structures, digest, structures};
use super::{
    Postgres, connect,
    connection::{Connection, Row},
    error::QueryError,
    quote::{identifier, literal},
};
use crate::{
    database::{DatabaseError, Schema},
    tenants::structure::{Object, ObjectKind, Structure, relative},
};

/// The name of the engine in manifests.
pub(super) const ENGINE: &str = "PostgreSQL";

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
            Ok::<_, QueryError>((version(&mut connection).await?, structure(&mut connection, schema).await?))
        };
        Ok(read.await?)
    }
}

pub(super) async fn version(connection: &mut Connection) -> Result<String, QueryError> {
    let rows = connection.rows(VERSION).await?;
    rows.first().map_or(Ok(None), |row| connect::text(row, 0)).map(Option::unwrap_or_default)
}

/// Reads in the open transaction, whose `search_path` it sets to the schema.
pub(super) async fn structure(connection: &mut Connection, schema: &str) -> Result<Structure, QueryError> {
    let rows = connection.rows(&statements(schema).join("; ")).await?;
    let objects: Result<Vec<_>, _> = rows.iter().map(|row| object(row, schema)).collect();
    Ok(Structure::new(objects?))
}

/// With the schema as `search_path`, the server does not qualify the names of its objects.
fn statements(schema: &str) -> [String; 2] {
    let path = format!("SET LOCAL search_path = {}", identifier(schema));
    [path, OBJECTS.replace("$schema", &literal(schema))]
}

fn object(row: &Row, schema: &str) -> Result<Object, QueryError> {
    let kind = connect::raw_text(row, 0)?
        .and_then(kind)
        .ok_or_else(|| QueryError::Protocol("the server returned an unknown kind of object".into()))?;
    // The server qualifies no name in a query, whose aliases and tables may have the schema's name.
    let is_query = matches!(
        kind,
        ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Rule | ObjectKind::Policy
    );
    let text = |column| {
        let text = connect::raw_text(row, column)?.unwrap_or_default();
        Ok::<_, QueryError>(if is_query { text.to_owned() } else { relative(text, schema) })
    };
    Ok(Object {
        kind,
        table: connect::text(row, 1)?.unwrap_or_default(),
        name: text(2)?,
        definition: restored(text(3)?),
        state: text(4)?,
    })
}

/// The text that the server gives after a dump and its restoration: `column IN ('a', 'b')` is
/// `(ARRAY['a'::character varying, 'b'::character varying])::text[]` before and
/// `ARRAY[('a'::character varying)::text, ('b'::character varying)::text]` afterwards.
fn restored(definition: String) -> String {
    const START: &str = "(ARRAY['";
    const CAST: &str = "'::character varying";
    const END: &str = "])::text[]";
    if !definition.contains(END) {
        return definition;
    }
    let mut out = String::with_capacity(definition.len());
    let mut rest = definition.as_str();
    while let Some(start) = rest.find(START) {
        let (before, list) = rest.split_at(start);
        out += before;
        let mut elements = Vec::new();
        let mut after = &list[START.len() - 1..];
        while let Some(length) = quoted(after) {
            let (element, next) = after.split_at(length);
            let Some(next) = next.strip_prefix(&CAST[1..]) else { break };
            elements.push(format!("({element}::character varying)::text"));
            after = next.strip_prefix(", ").unwrap_or(next);
        }
        if let Some(after) = after.strip_prefix(END) {
            out += &format!("ARRAY[{}]", elements.join(", "));
            rest = after;
        } else {
            out += START;
            rest = &list[START.len()..];
        }
    }
    out + rest
}

/// The length of the string literal at the start of a text.
fn quoted(text: &str) -> Option<usize> {
    let mut quotes =
        text.strip_prefix('\'')?.char_indices().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    let mut end = quotes.next()?;
    while text[end + 1..].starts_with('\'') {
        quotes.next();
        end = quotes.next()?;
    }
    Some(end + 1)
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

#[cfg(test)]
mod tests {
    use super::restored;

    #[test]
    fn a_list_of_texts_is_the_same_before_and_after_a_dump() {
        for (before, after) in [
            (
                "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b''],c'::character varying])::text[])))",
                "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b''],c'::character varying)::text])))",
            ),
            ("CHECK ((n = ANY (ARRAY[1, 2])))", "CHECK ((n = ANY (ARRAY[1, 2])))"),
            ("f((ARRAY['a'::name, 'b'])::text[])", "f((ARRAY['a'::name, 'b'])::text[])"),
            ("(ARRAY['", "(ARRAY['"),
        ] {
            assert_eq!(restored(before.into()), after);
            assert_eq!(restored(after.into()), after);
        }
    }
}
