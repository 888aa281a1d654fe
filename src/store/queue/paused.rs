//! Customers whom a person paused. They are queued like any other, so that each date gets a row:
//! the gate refuses the call, and the item ends as skipped with the reason `paused`.

use rusqlite::{Row, Transaction, params};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::queue::{Candidate, WELCOME_IS_OVER};

/// The paused customers with one payment status, by the record of the pause. Few are paused, and
/// the indexes on due customers leave them out.
const PAUSED: &str = "FROM meta JOIN customers ON customers.key = substr(meta.key, 16)
    WHERE 'pause:customer:' <= meta.key AND meta.key < 'pause:customer;'
      AND payment_status = ?1 AND phone_validated = 1 AND call_status = 'paused'";

/// Paused customers without a record of the pause: another program paused them.
pub fn without_record(tx: &Transaction<'_>) -> anyhow::Result<Vec<i64>> {
    let mut statement = tx.prepare_cached(
        "SELECT id FROM customers WHERE call_status = 'paused' AND NOT EXISTS (
           SELECT 1 FROM meta WHERE meta.key = 'pause:customer:' || customers.key)",
    )?;
    let found = statement.query_map([], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Without an open daily item, with a daily rhythm, and after the welcome call.
fn daily_is_free() -> String {
    format!(
        "(call_time IS NOT NULL OR call_schedule IS NOT NULL) AND {WELCOME_IS_OVER}
         AND NOT EXISTS (SELECT 1 FROM call_queue AS open
           WHERE open.customer_id = customers.id AND open.call_type = 'daily'
             AND (open.status = 'pending' OR open.status = 'retrying'
               OR open.status = 'processing'))"
    )
}

/// L1 for the daily calls of paused customers.
pub fn daily_candidates(
    tx: &Transaction<'_>,
    payment_status: &str,
    from: Instant,
    to: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let sql = format!(
        "SELECT customers.id, timezone, payment_status, next_call_scheduled_at {PAUSED}
           AND ?2 <= next_call_scheduled_at AND next_call_scheduled_at <= ?3
           AND {} ORDER BY next_call_scheduled_at, customers.id",
        daily_is_free()
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let values = params![payment_status, instant_text(from), instant_text(to)];
    let found = statement.query_map(values, candidate)?;
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// L1 for the welcome calls of paused customers.
pub fn welcome_candidates(
    tx: &Transaction<'_>,
    payment_status: &str,
    signed_up_until: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let sql = format!(
        "SELECT customers.id, timezone, payment_status, created_at {PAUSED}
           AND welcome_call_completed = 0 AND created_at <= ?2
           AND NOT EXISTS (SELECT 1 FROM call_queue AS queued
             WHERE queued.customer_id = customers.id AND queued.call_type = 'welcome')
         ORDER BY created_at, customers.id"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let values = params![payment_status, instant_text(signed_up_until)];
    let found = statement.query_map(values, candidate)?;
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Paused customers whose next call is missing or before an instant, so that no scan queues it.
pub fn stale(
    tx: &Transaction<'_>,
    payment_status: &str,
    before: Instant,
) -> anyhow::Result<Vec<i64>> {
    let sql = format!(
        "SELECT customers.id {PAUSED} 
           AND (next_call_scheduled_at IS NULL OR next_call_scheduled_at < ?2) AND {} ORDER BY customers.id",
        daily_is_free()
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let found =
        statement.query_map(params![payment_status, instant_text(before)], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// `None`: an instant that cannot be read.
fn candidate(row: &Row<'_>) -> rusqlite::Result<Option<Candidate>> {
    let instant: String = row.get(3)?;
    let (customer_id, timezone, payment_status) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(parse_instant(&instant).map(|instant| Candidate {
        customer_id,
        timezone,
        payment_status,
        instant,
    }))
}
