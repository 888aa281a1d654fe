//! The calls of each of our own numbers today, and the numbers that rest.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::meta;

/// The number of attempts from one of our numbers that may count against its limit. `since` is the
/// start of the UTC day.
pub fn calls_of_number(conn: &Connection, number: &str, since: Instant) -> anyhow::Result<i64> {
    Ok(conn
        .prepare_cached(
            "SELECT count(*) FROM call_attempts
             WHERE ?2 <= created_at AND phone_number_id = ?1 AND state <> 'not_placed'",
        )?
        .query_one(params![number, instant_text(since)], |row| row.get(0))?)
}

/// The number of attempts since the start of the UTC day, for rotating our numbers.
pub fn intents_of_day(conn: &Connection, since: Instant) -> anyhow::Result<usize> {
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM call_attempts WHERE ?1 <= created_at")?
        .query_one([instant_text(since)], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Rests a number that the provider refused, until the instant `until`.
pub fn rest(tx: &Transaction<'_>, number: &str, until: Instant) -> anyhow::Result<()> {
    meta::set(tx, &format!("rest:{number}"), &instant_text(until))
}

pub fn is_resting(conn: &Connection, number: &str, now: Instant) -> anyhow::Result<bool> {
    let until = meta::get(conn, &format!("rest:{number}"))?.and_then(|text| parse_instant(&text));
    Ok(until.is_some_and(|until| now < until))
}
