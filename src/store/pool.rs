//! What our own numbers have called today, and which of them rest.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::meta;

/// Attempts of one of our numbers since the start of the UTC day that may have used its limit.
pub fn calls_of_number(conn: &Connection, number: &str, since: Instant) -> anyhow::Result<i64> {
    Ok(conn
        .prepare_cached(
            "SELECT count(*) FROM call_attempts
             WHERE ?2 <= created_at AND phone_number_id = ?1 AND state <> 'not_placed'",
        )?
        .query_one(params![number, instant_text(since)], |row| row.get(0))?)
}

/// Attempts since the start of the UTC day, for taking numbers in turn.
pub fn intents_of_day(conn: &Connection, since: Instant) -> anyhow::Result<usize> {
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM call_attempts WHERE ?1 <= created_at")?
        .query_one([instant_text(since)], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Rests a number that the provider refused, until `until`.
pub fn rest(tx: &Transaction<'_>, number: &str, until: Instant) -> anyhow::Result<()> {
    meta::set(tx, &format!("rest:{number}"), &instant_text(until))
}

pub fn is_resting(conn: &Connection, number: &str, now: Instant) -> anyhow::Result<bool> {
    let until = meta::get(conn, &format!("rest:{number}"))?.and_then(|text| parse_instant(&text));
    Ok(until.is_some_and(|until| now < until))
}
