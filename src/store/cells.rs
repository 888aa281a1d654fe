//! Reads cells: the text forms of instants and dates, with errors that name the cell.

use chrono::NaiveDate;
use rusqlite::Row;
use rusqlite::types::Type;

use crate::domain::{Instant, parse_instant};

/// The error for a text that the program does not know.
pub fn bad_text(column: usize, text: &str) -> rusqlite::Error {
    let message = format!("the text {text:?} is not understood");
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, message.into())
}

pub fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Instant> {
    let text: String = row.get(column)?;
    parse_instant(&text).ok_or_else(|| bad_text(column, &text))
}

pub fn optional_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Instant>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| parse_instant(&text).ok_or_else(|| bad_text(column, &text))).transpose()
}

pub fn optional_date(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<NaiveDate>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|_| bad_text(column, &text))).transpose()
}
