//! Creates the missing objects of a file in one transaction, which commits only if the resulting structure is accepted.

use std::{
    future::{Ready, ready},
    ops::Range,
};

use sqlx::{Connection, sqlite::SqliteConnection};

use super::{
    Sqlite,
    files::{self, identifier},
    structure::structure,
};
use crate::{
    database::{
        ApplyError, Limits, Schema,
        engine::VerifyStructure,
        restorable::{Restorable, missing},
        segments,
        sql_lexer::list_items,
    },
    tenants::structure::{Object, ObjectKind, Structure, difference::Difference},
};

impl Sqlite {
    /// A definition is the statement itself. A table that lacks only columns gets them after its own.
    #[expect(clippy::unused_self, reason = "the engine calls it as a method")]
    pub(crate) fn restorable(
        &self,
        _: &Schema,
        expected: &Structure,
        differences: &[Difference],
    ) -> Ready<Restorable> {
        let mut restorable = Restorable { objects: missing(expected, differences), ..Restorable::default() };
        let definitions: Vec<String> =
            restorable.objects.iter().map(|object| object.definition.clone()).collect();
        for one in differences.iter().filter(|one| one.actual.is_some()) {
            match completion(one) {
                Some((columns, rest)) => {
                    let add = |column: &Object| {
                        format!("ALTER TABLE {} ADD COLUMN {}", identifier(&column.table), column.definition)
                    };
                    restorable.statements.extend(columns.iter().map(add));
                    restorable.objects.extend(columns);
                    restorable.other.extend(rest);
                }
                None => restorable.other.push(one.clone()),
            }
        }
        // Indexes, views and triggers use the columns.
        restorable.statements.extend(definitions);
        ready(restorable)
    }

    pub(crate) async fn restore(
        &self,
        schema: &Schema,
        statements: &[String],
        verify: VerifyStructure<'_>,
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let path = self.file_to_change(schema, false).await?;
        segments::retry_locked(limits, async || {
            let mut connection = files::write(&path, false, limits.lock_timeout).await?;
            let restored = restore(&mut connection, statements, verify).await;
            // Closing the connection rolls back an open transaction.
            let _ = connection.close().await;
            restored
        })
        .await
    }
}

async fn restore(
    connection: &mut SqliteConnection,
    statements: &[String],
    verify: VerifyStructure<'_>,
) -> Result<(), ApplyError> {
    let begin = "BEGIN IMMEDIATE".to_owned();
    for statement in [&begin].into_iter().chain(statements) {
        let done = files::rows(connection, statement).await;
        done.map_err(|error| ApplyError::from(error).at_statement(statement))?;
    }
    let after = structure(connection).await?;
    verify(&after).map_err(ApplyError::of)?;
    files::rows(connection, "COMMIT").await.map(drop).map_err(ApplyError::from)
}

/// The columns that a table lacks, and the difference that stays after they were added: their order, if they were not the
/// last ones. None if no column is missing.
fn completion(difference: &Difference) -> Option<(Vec<Object>, Option<Difference>)> {
    let (expected, actual) = (difference.expected.as_ref()?, difference.actual.as_ref()?);
    if expected.kind != ObjectKind::Table {
        return None;
    }
    let existing = columns(&actual.definition);
    let lacking: Vec<Object> = columns(&expected.definition)
        .into_iter()
        .filter(|(name, _)| !existing.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)))
        .map(|(name, definition)| Object {
            kind: ObjectKind::Column,
            table: expected.name.clone(),
            name,
            definition: expected.definition.get(definition).unwrap_or_default().to_owned(),
            state: String::new(),
        })
        .collect();
    let (_, last) = existing.last().filter(|_| !lacking.is_empty())?;
    // SQLite writes a new column after the last one, before the constraints.
    let mut completed = actual.as_ref().clone();
    let added = lacking.iter().fold(String::new(), |text, column| text + ", " + &column.definition);
    completed.definition.insert_str(last.end, &added);
    let rest = (completed.definition != expected.definition)
        .then(|| Difference { expected: difference.expected.clone(), actual: Some(completed.into()) });
    Some((lacking, rest))
}

/// The columns of a `CREATE TABLE` statement, and where each one's definition with its name is.
fn columns(statement: &str) -> Vec<(String, Range<usize>)> {
    let named = |range: Range<usize>| Some((column_name(statement.get(range.clone())?)?, range));
    list_items(statement).into_iter().filter_map(named).collect()
}

/// None for a constraint of the table.
fn column_name(item: &str) -> Option<String> {
    let quote = item.chars().next()?;
    if quote == '[' {
        return item[1..].split_once(']').map(|(name, _)| name.to_owned());
    }
    if !['"', '`', '\''].contains(&quote) {
        let word = item.split(|c: char| c.is_whitespace() || c == '(').next()?;
        let is_constraint = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]
            .iter()
            .any(|keyword| word.eq_ignore_ascii_case(keyword));
        return (!is_constraint).then(|| word.to_owned());
    }
    let mut name = String::new();
    let mut chars = item.chars().skip(1).peekable();
    while let Some(c) = chars.next() {
        if c == quote && chars.next_if_eq(&quote).is_none() {
            break;
        }
        name.push(c);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_its_definition() {
        let statement = "CREATE TABLE \"t\" (\"id\" integer PRIMARY KEY, total numeric(10, 2) DEFAULT (1 + 2), `a, \
                         ``b` text DEFAULT 'a, (b', UNIQUE (total), CONSTRAINT c CHECK (total > 0), [paid on] date) STRICT";
        let found: Vec<(String, &str)> =
            columns(statement).into_iter().map(|(name, range)| (name, &statement[range])).collect();
        let expected = [
            ("id", "\"id\" integer PRIMARY KEY"),
            ("total", "total numeric(10, 2) DEFAULT (1 + 2)"),
            ("a, `b", "`a, ``b` text DEFAULT 'a, (b'"),
            ("paid on", "[paid on] date"),
        ];
        assert_eq!(found, expected.map(|(name, definition)| (name.to_owned(), definition)));
    }
}
