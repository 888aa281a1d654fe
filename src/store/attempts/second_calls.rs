//! Second provider calls for one attempt: stored once, never deleted.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::cells;
use crate::store::transaction::Moved;

/// A second call, for display.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SecondCall {
    pub vapi_call_id: String,
    pub attempt_id: String,
    pub customer_key: String,
    pub seen_at: String,
    pub detail: String,
}

/// Stores a second call once; `No` if it was known.
pub fn note(
    tx: &Transaction<'_>,
    call_id: &str,
    attempt_id: &str,
    customer_key: &str,
    detail: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "INSERT INTO second_calls (vapi_call_id, attempt_id, customer_key, seen_at, detail)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (vapi_call_id) DO NOTHING",
        )?
        .execute(params![call_id, attempt_id, customer_key, instant_text(now), detail])?;
    Ok(Moved::from_rows(rows))
}

/// Whether a call was stored before.
pub fn is_noted(conn: &Connection, call_id: &str) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM second_calls WHERE vapi_call_id = ?1)")?
        .query_one([call_id], |row| row.get(0))?)
}

pub fn all(conn: &Connection) -> anyhow::Result<Vec<SecondCall>> {
    let mut statement = conn.prepare_cached(
        "SELECT vapi_call_id, attempt_id, customer_key, seen_at, detail FROM second_calls
         ORDER BY seen_at, vapi_call_id",
    )?;
    let found = statement.query_map([], |row| {
        Ok(SecondCall {
            vapi_call_id: cells::lossy(row, 0)?,
            attempt_id: cells::lossy(row, 1)?,
            customer_key: cells::lossy(row, 2)?,
            seen_at: cells::lossy(row, 3)?,
            detail: cells::lossy(row, 4)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
