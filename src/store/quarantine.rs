//! Rows that cannot be read, because another program wrote them. Each is kept apart: nobody whom it
//! concerns is called, and everybody else is.
//!
//! A reading function reports such a row with [`notice`]. `Store::write` stores what was noticed in
//! its own transaction, and `Store::read` hands it to the next write.

pub mod sweep;

use std::cell::RefCell;
use std::collections::BTreeSet;

use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{Connection, Error, OptionalExtension, Row, Rows, Transaction, params};
use serde::Serialize;

use crate::store::cells;
use crate::store::transaction::part;

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OddRow {
    /// The table.
    pub place: String,
    /// The value of its [`Place::key`].
    pub row: String,
    /// Whom the row concerns. `None`: not known, or not one customer.
    pub customer_id: Option<i64>,
    /// The column and its fault, without the cell's content.
    pub why: String,
}

impl OddRow {
    /// `row 7 of customers: name is not UTF-8 text`
    pub fn words(&self) -> String {
        format!("{}: {}", self.place_and_row(), self.why)
    }

    pub(crate) fn place_and_row(&self) -> String {
        format!("row {} of {}", self.row, self.place)
    }
}

/// The error of a function that needs a row that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read ({}); `ringonce check` shows how to correct it", .0.place_and_row(), .0.why)]
pub struct Unreadable(pub OddRow);

/// The tables that other programs may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Customers,
    Queue,
    Attempts,
    Events,
    Elsewhere,
    DoNotCall,
    Journal,
    Meta,
}

impl Place {
    pub fn table(self) -> &'static str {
        match self {
            Place::Customers => "customers",
            Place::Queue => "call_queue",
            Place::Attempts => "call_attempts",
            Place::Events => "webhook_events",
            Place::Elsewhere => "calls_elsewhere",
            Place::DoNotCall => "do_not_call",
            Place::Journal => "journal",
            Place::Meta => "meta",
        }
    }

    /// The column that names a row. It holds no phone number.
    pub fn key(self) -> &'static str {
        match self {
            Place::Customers | Place::Queue | Place::Events | Place::Journal => "id",
            Place::Attempts => "seq",
            Place::Elsewhere => "vapi_call_id",
            Place::DoNotCall => "rowid",
            Place::Meta => "key",
        }
    }

    /// What is known about a row that `read` could not read. `Err`: the row is not the cause.
    pub fn odd(self, row: &Row<'_>, error: Error) -> rusqlite::Result<OddRow> {
        let Some((column, fault)) = fault(&error) else { return Err(error) };
        let name = row.as_ref().column_name(column).unwrap_or("a column");
        let key = row.as_ref().column_index(self.key()).unwrap_or(0);
        let customer = if self == Place::Customers { self.key() } else { "customer_id" };
        Ok(OddRow {
            place: self.table().to_string(),
            row: key_text(row.get_ref(key)?),
            customer_id: row.get(customer).unwrap_or_default(),
            why: format!("{name} {fault}"),
        })
    }
}

fn key_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => "?".to_string(),
    }
}

/// The column that an error of a cell names, and the fault. `None`: not an error of a cell.
fn fault(error: &Error) -> Option<(usize, &'static str)> {
    match error {
        Error::Utf8Error(column, _) => Some((*column, "is not UTF-8 text")),
        Error::FromSqlConversionFailure(column, _, cause) => match cause.downcast_ref() {
            Some(FromSqlError::Utf8Error(_)) => Some((*column, "is not UTF-8 text")),
            _ => Some((*column, "is not of its form")),
        },
        Error::InvalidColumnType(column, _, _) | Error::IntegralValueOutOfRange(column, _) => {
            Some((*column, "is not of its type"))
        }
        _ => None,
    }
}

/// The rows that can be read. The others are noticed and left out.
pub fn listed<T>(
    place: Place,
    mut rows: Rows<'_>,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(value) => found.push(value),
            Err(error) => notice(place.odd(row, error)?),
        }
    }
    Ok(found)
}

/// Every row, or an [`Unreadable`]: for an answer that must not leave a row out.
pub fn every<T>(
    place: Place,
    mut rows: Rows<'_>,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(value) => found.push(value),
            Err(error) => return Err(Unreadable(place.odd(row, error)?).into()),
        }
    }
    Ok(found)
}

/// The first row, if there is one. An [`Unreadable`] if it cannot be read.
pub fn one<T>(
    place: Place,
    rows: Rows<'_>,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> anyhow::Result<Option<T>> {
    Ok(every(place, rows, read)?.into_iter().next())
}

/// Runs one customer's share of a write. If it meets a row that cannot be read, only this share is
/// undone, the row is noticed, and the result is `None`.
pub fn share<T>(
    tx: &Transaction<'_>,
    customer_id: Option<i64>,
    work: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    match part(tx, work) {
        Ok(value) => Ok(Some(value)),
        Err(error) => match odd_row_of(&error, customer_id) {
            Some(row) => {
                notice(row);
                Ok(None)
            }
            None => Err(error),
        },
    }
}

/// The value, or `None` if a row cannot be read, which is noticed.
pub fn readable<T>(read: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) => match odd_row_of(&error, None) {
            Some(row) => {
                notice(row);
                Ok(None)
            }
            None => Err(error),
        },
    }
}

/// The row that caused an error. `None`: the error has another cause. `customer_id` is whose share
/// failed.
pub fn odd_row_of(error: &anyhow::Error, customer_id: Option<i64>) -> Option<OddRow> {
    if let Some(Unreadable(row)) = error.downcast_ref() {
        return Some(OddRow { customer_id: row.customer_id.or(customer_id), ..row.clone() });
    }
    let cause = error.downcast_ref::<Error>()?;
    fault(cause)?;
    Some(OddRow {
        place: Place::Customers.table().to_string(),
        row: customer_id?.to_string(),
        customer_id,
        why: "a row of this customer is not of its form".to_string(),
    })
}

thread_local! {
    /// The rows that this thread has noticed since the last transaction ended.
    static NOTICED: RefCell<BTreeSet<OddRow>> = const { RefCell::new(BTreeSet::new()) };
}

/// Reports a row that cannot be read. It is stored when the transaction ends.
pub fn notice(row: OddRow) {
    NOTICED.with_borrow_mut(|noticed| noticed.insert(row));
}

/// Takes what this thread has noticed.
pub(super) fn take_noticed() -> BTreeSet<OddRow> {
    NOTICED.take()
}

/// Stores rows. A row that is stored already keeps its text.
pub(super) fn keep(tx: &Transaction<'_>, rows: &BTreeSet<OddRow>) -> anyhow::Result<()> {
    for row in rows {
        tx.prepare_cached(
            "INSERT INTO quarantine (place, row, customer_id, why) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![row.place, row.row, row.customer_id, row.why])?;
    }
    Ok(())
}

/// Removes a row that can be read again, or that is gone.
pub(super) fn release(tx: &Transaction<'_>, row: &OddRow) -> anyhow::Result<()> {
    tx.prepare_cached("DELETE FROM quarantine WHERE place = ?1 AND row = ?2")?
        .execute([&row.place, &row.row])?;
    Ok(())
}

/// The stored rows, at most `limit`.
pub fn stored(conn: &Connection, limit: usize) -> anyhow::Result<Vec<OddRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT place, row, customer_id, why FROM quarantine ORDER BY place, row LIMIT ?1",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map([limit], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn count(conn: &Connection) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) FROM quarantine";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// Whether a row of this table is stored.
pub fn is_any_of(conn: &Connection, place: Place) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM quarantine WHERE place = ?1)";
    Ok(conn.prepare_cached(sql)?.query_one([place.table()], |row| row.get(0))?)
}

/// A stored row that concerns this customer.
pub fn concerning(conn: &Connection, customer_id: i64) -> anyhow::Result<Option<OddRow>> {
    let sql = "SELECT place, row, customer_id, why FROM quarantine WHERE customer_id = ?1 LIMIT 1";
    Ok(conn.prepare_cached(sql)?.query_one([customer_id], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<OddRow> {
    Ok(OddRow {
        place: cells::lossy(row, 0)?,
        row: cells::lossy(row, 1)?,
        customer_id: row.get(2)?,
        why: cells::lossy(row, 3)?,
    })
}
