//! Reads cells: the text forms of instants and dates, with errors that name the cell.

use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};

use crate::domain::{Instant, parse_instant};

/// The error for a text that the program does not know.
pub fn bad_text(column: usize, text: &str) -> rusqlite::Error {
    let message = format!("the text {text:?} is not understood");
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, message.into())
}

/// The value of a word of a closed list. A constraint may have been bypassed.
pub fn word<T>(
    column: usize,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    text.map(|text| parse(text).ok_or_else(|| bad_text(column, text))).transpose()
}

/// A text without a copy. Unlike the errors of `get_ref`, its error names the column.
pub fn text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r str> {
    row.get_ref(column)?.as_str().map_err(|error| named(column, error))
}

pub fn optional_text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<Option<&'r str>> {
    row.get_ref(column)?.as_str_or_null().map_err(|error| named(column, error))
}

fn named(column: usize, error: FromSqlError) -> rusqlite::Error {
    match error {
        FromSqlError::Utf8Error(error) => rusqlite::Error::Utf8Error(column, error),
        other => rusqlite::Error::FromSqlConversionFailure(column, Type::Text, other.into()),
    }
}

/// A text for display only: bytes that are not UTF-8 become the replacement character, and NULL is
/// empty. Never fails on a text.
pub fn lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(optional_lossy(row, column)?.unwrap_or_default())
}

pub fn optional_lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

pub fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Instant> {
    let text = text(row, column)?;
    parse_instant(text).ok_or_else(|| bad_text(column, text))
}

pub fn optional_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Instant>> {
    let text = optional_text(row, column)?;
    text.map(|text| parse_instant(text).ok_or_else(|| bad_text(column, text))).transpose()
}

/// An instant for display only: a text that is not one becomes the Unix epoch.
pub fn shown_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Instant> {
    Ok(parse_instant(&lossy(row, column)?).unwrap_or(Instant::UNIX_EPOCH))
}

/// The earliest instant of several rows. A text that is not an instant may hide an earlier one, so
/// it counts as the earliest of all.
pub fn earliest(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Instant>> {
    let text = optional_lossy(row, column)?;
    Ok(text.map(|text| parse_instant(&text).unwrap_or(Instant::UNIX_EPOCH)))
}
