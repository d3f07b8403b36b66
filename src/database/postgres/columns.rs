//! Reads the columns of rows, which the server sends as text.

use super::{connection::Row, error::QueryError};

pub(super) fn text(row: &Row, column: usize) -> Result<Option<String>, QueryError> {
    Ok(raw_text(row, column)?.map(str::to_owned))
}

/// One boolean column, cast to text.
pub(super) fn flag(row: &Row, column: usize) -> Result<bool, QueryError> {
    Ok(raw_text(row, column)? == Some("true"))
}

/// An unsigned number in a column of the first row.
pub(super) fn number(rows: &[Row], column: usize) -> Result<u64, QueryError> {
    let value = rows.first().map(|row| text(row, column)).transpose()?.flatten();
    value.and_then(|value| value.parse().ok()).ok_or(QueryError::NoRow)
}

/// A column's text representation, for any type.
pub(super) fn raw_text(row: &Row, column: usize) -> Result<Option<&str>, QueryError> {
    row.try_get(column).map_err(QueryError::from)
}

/// A column with a count.
pub(super) fn number_at(row: &Row, column: usize) -> Result<usize, QueryError> {
    let text = raw_text(row, column)?.unwrap_or_default();
    text.parse().map_err(|_| QueryError::Protocol(format!("`{text}` is not a number")))
}
