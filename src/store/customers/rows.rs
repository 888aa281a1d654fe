//! Converts between a row of `customers` and a value. Every query of customers uses this column
//! list.

use anyhow::Context;
use chrono::{NaiveDate, NaiveTime};
use rusqlite::Row;
use rusqlite::types::Type;

use crate::domain::customer::{CallStatus, Customer};
use crate::domain::{Instant, parse_instant};
use crate::store::cells;

/// The columns in the order in which `from_row` reads them.
pub const COLUMNS: &str = "id, key, external_id, name, email, phone, phone_validated, \
     phone_validation_error, timezone, call_time, call_schedule, payment_status, call_status, \
     welcome_call_completed, next_call_scheduled_at, last_call_date, last_call_id, \
     total_calls_made, consecutive_failures, variables, shared_phone, consent_at, consent_source, \
     consent_text, eligible_from, created_at, updated_at, assistant";

/// Reads `COLUMNS`. Fails on a value that no writer of ringonce stores.
pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Customer> {
    Ok(Customer {
        id: row.get(0)?,
        key: row.get(1)?,
        external_id: row.get(2)?,
        name: row.get(3)?,
        email: row.get(4)?,
        phone: row.get(5)?,
        phone_validated: row.get(6)?,
        phone_validation_error: row.get(7)?,
        timezone: row.get(8)?,
        call_time: row.get(9)?,
        call_schedule: row.get(10)?,
        payment_status: row.get(11)?,
        call_status: parsed(row, 12, CallStatus::parse)?,
        welcome_call_completed: row.get(13)?,
        next_call_scheduled_at: optional(row, 14, parse_instant)?,
        last_call_date: optional(row, 15, date)?,
        last_call_id: row.get(16)?,
        total_calls_made: row.get(17)?,
        consecutive_failures: row.get(18)?,
        variables: parsed(row, 19, |text| serde_json::from_str(text).ok())?,
        shared_phone: row.get(20)?,
        consent_at: loose(row, 21)?,
        consent_source: row.get(22)?,
        consent_text: row.get(23)?,
        eligible_from: loose(row, 24)?,
        created_at: parsed(row, 25, instant)?,
        updated_at: parsed(row, 26, instant)?,
        assistant: row.get(27)?,
    })
}

/// The JSON text of a customer's variables.
pub fn variables_text(customer: &Customer) -> anyhow::Result<String> {
    serde_json::to_string(&customer.variables).context("write the customer's variables as JSON")
}

fn instant(text: &str) -> Option<Instant> {
    parse_instant(text)
}

fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

fn parsed<T>(
    row: &Row<'_>,
    index: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    parse(cells::text(row, index)?).ok_or_else(|| unreadable(index))
}

fn optional<T>(
    row: &Row<'_>,
    index: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match cells::optional_text(row, index)? {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or_else(|| unreadable(index)),
    }
}

/// Reads a column that another program may fill and that no constraint checks: one bad row must not
/// stop the calls of all others. A date counts as its midnight in UTC; any other text that is not
/// an instant counts as `None`.
fn loose(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Instant>> {
    let text = cells::lossy(row, index)?;
    let midnight = || Some(date(&text)?.and_time(NaiveTime::MIN).and_utc());
    Ok(parse_instant(&text).or_else(midnight))
}

fn unreadable(index: usize) -> rusqlite::Error {
    let column = COLUMNS.split(',').nth(index).unwrap_or_default().trim();
    let error = format!("customers.{column} holds a text that is not of its form");
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into())
}
