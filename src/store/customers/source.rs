//! As of when the web application told a customer's data. Data that is older changes nothing.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::cells;

/// As of when the customer's data was told; `None` if nobody said.
pub fn as_of(conn: &Connection, customer_id: i64) -> anyhow::Result<Option<Instant>> {
    Ok(conn
        .prepare_cached(
            "SELECT source_as_of FROM customers WHERE id = ?1 AND source_as_of IS NOT NULL",
        )?
        .query_one([customer_id], |row| cells::instant(row, 0))
        .optional()?)
}

/// Notes it; an instant that is not later than the known one changes nothing.
pub fn set_as_of(tx: &Transaction<'_>, customer_id: i64, at: Instant) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE customers SET source_as_of = max(coalesce(source_as_of, ''), ?2) WHERE id = ?1",
    )?
    .execute(params![customer_id, instant_text(at)])?;
    Ok(())
}
