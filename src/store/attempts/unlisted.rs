//! Placed calls that complete listings of the provider lack. Reconciling writes them; status and
//! audit read them.

use rusqlite::{Connection, Row, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::cells;
use crate::store::quarantine::{self, Place};

/// An attempt whose call a listing should show.
#[derive(Clone, Debug)]
pub struct Expected {
    pub attempt_id: String,
    /// `None`: the reply had no readable id, so only the tag shows the call.
    pub vapi_call_id: Option<String>,
}

/// Calls that this ledger placed between two instants, of customers that the file still has. A
/// customer who was erased here may have been erased there too.
pub fn expected(conn: &Connection, from: Instant, to: Instant) -> anyhow::Result<Vec<Expected>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, vapi_call_id, seq, customer_id FROM call_attempts
         WHERE ?1 <= created_at AND created_at <= ?2 AND state IN ('placed', 'ended') AND 0 < seq
           AND phone_number_id IS NOT NULL AND customer_id IS NOT NULL",
    )?;
    let rows = statement.query([instant_text(from), instant_text(to)])?;
    quarantine::listed(Place::Attempts, rows, |row| {
        Ok(Expected { attempt_id: row.get(0)?, vapi_call_id: row.get(1)? })
    })
}

/// Notes that one more complete listing lacks the attempt's call.
pub fn note(tx: &Transaction<'_>, attempt_id: &str, now: Instant) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO unlisted_calls (attempt_id, first_missed_at, last_missed_at, listings)
         VALUES (?1, ?2, ?2, 1)
         ON CONFLICT (attempt_id) DO UPDATE
           SET last_missed_at = excluded.last_missed_at, listings = listings + 1",
    )?
    .execute([attempt_id, &instant_text(now)])?;
    Ok(())
}

/// The ids of the noted attempts.
pub fn noted(conn: &Connection) -> anyhow::Result<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT attempt_id FROM unlisted_calls")?;
    let found = statement.query_map([], |row| cells::lossy(row, 0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Forgets an attempt: a listing shows its call.
pub fn forget(tx: &Transaction<'_>, attempt_id: &str) -> anyhow::Result<()> {
    tx.prepare_cached("DELETE FROM unlisted_calls WHERE attempt_id = ?1")?.execute([attempt_id])?;
    Ok(())
}

/// The instant of the oldest noted attempt after an instant.
pub fn oldest(conn: &Connection, after: Instant) -> anyhow::Result<Option<Instant>> {
    let sql = "SELECT min(made.created_at) FROM unlisted_calls
         JOIN call_attempts AS made ON made.id = unlisted_calls.attempt_id
         WHERE ?1 < made.created_at";
    Ok(conn
        .prepare_cached(sql)?
        .query_one([instant_text(after)], |row| cells::optional_instant(row, 0))?)
}

/// The calls that several listings lack, the last of them at least so long after the call.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Unlisted {
    pub calls: i64,
    /// When the oldest of them was sent.
    pub since: String,
}

/// Counts the noted calls after `after` that were at least `age_minutes` old in their last listing.
pub fn unlisted(
    conn: &Connection,
    after: Instant,
    age_minutes: i64,
) -> anyhow::Result<Option<Unlisted>> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, cells::optional_instant(row, 1)?));
    let (calls, since) = conn
        .prepare_cached(
            "SELECT count(*), min(made.created_at) FROM unlisted_calls AS noted
             JOIN call_attempts AS made ON made.id = noted.attempt_id
             WHERE ?1 < made.created_at AND 1 < listings AND customer_id IS NOT NULL
               AND unixepoch(made.created_at) + 60 * ?2 <= unixepoch(last_missed_at)",
        )?
        .query_one(params![instant_text(after), age_minutes], read)?;
    Ok(since.map(|since| Unlisted { calls, since: instant_text(since) }))
}
