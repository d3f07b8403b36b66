//! Reads the columns of rows, which the server sends as text.

use super::{connection::Row, error::query_error};

pub(super) fn text(row: &Row, column: usize) -> Result<Option<String>, sqlx::Error> {
    Ok(raw_text(row, column)?.map(str::to_owned))
}

/// One boolean column, cast to text.
pub(super) fn flag(row: &Row, column: usize) -> Result<bool, sqlx::Error> {
    Ok(raw_text(row, column)? == Some("true"))
}

/// An unsigned number in a column of the first row.
pub(super) fn number(rows: &[Row], column: usize) -> Result<u64, sqlx::Error> {
    let value = rows.first().map(|row| text(row, column)).transpose()?.flatten();
    value.and_then(|value| value.parse().ok()).ok_or(sqlx::Error::RowNotFound)
}

/// A column's text representation, for any type.
pub(super) fn raw_text(row: &Row, column: usize) -> Result<Option<&str>, sqlx::Error> {
    row.try_get(column).map_err(query_error)
}

/// A column with a count.
pub(super) fn number_at(row: &Row, column: usize) -> Result<usize, sqlx::Error> {
    let text = raw_text(row, column)?.unwrap_or_default();
    text.parse().map_err(|_| sqlx::Error::Protocol(format!("`{text}` is not a number")))
}
