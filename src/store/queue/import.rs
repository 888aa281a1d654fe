//! Imports rows of an old queue: first as they were, without the unique indexes, then cleaned of
//! duplicates, then with the indexes. All in the caller's transaction.

use rusqlite::{Connection, Transaction, params};

use crate::domain::call::{CallType, ItemStatus, Reason, daily_occasion};
use crate::domain::{Instant, instant_text};
use crate::store::migrations;
use crate::store::queue::dedupe::{self, DedupeReport};

/// A row to insert, with its old status.
#[derive(Clone, Debug)]
pub struct Incoming<'a> {
    pub customer_id: i64,
    pub call_type: CallType,
    pub occasion: &'a str,
    pub scheduled_for: Instant,
    pub status: ItemStatus,
    pub reason: Option<Reason>,
    pub attempts: i64,
    pub max_attempts: i64,
    pub error_message: Option<&'a str>,
    pub vapi_call_id: Option<&'a str>,
    pub created_at: Instant,
    pub processed_at: Option<Instant>,
}

/// Whether an occasion already has a row here, in the queue or among the duplicates: it was
/// imported before.
pub fn is_known(
    conn: &Connection,
    customer_id: i64,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM call_queue
               WHERE customer_id = ?1 AND call_type = ?2 AND occasion = ?3)
             OR EXISTS (SELECT 1 FROM call_queue_duplicates
               WHERE customer_id = ?1 AND call_type = ?2 AND occasion = ?3)",
        )?
        .query_one(params![customer_id, call_type.as_str(), occasion], |row| row.get(0))?)
}

/// Drops the unique indexes. They are restored in the same transaction, before another connection
/// sees the file.
pub fn without_indexes(tx: &Transaction<'_>) -> anyhow::Result<()> {
    for index in dedupe::GUARDED_INDEXES {
        tx.execute_batch(&format!("DROP INDEX IF EXISTS {index}"))?;
    }
    Ok(())
}

/// Moves the surplus rows out and restores the indexes.
pub fn clean(tx: &Transaction<'_>, now: Instant, who: &str) -> anyhow::Result<DedupeReport> {
    let report = dedupe::clean(tx, now, who)?;
    migrations::restore_unique(tx)?;
    Ok(report)
}

/// Inserts a row as it was, and returns its new id.
pub fn insert(tx: &Transaction<'_>, row: &Incoming<'_>, now: Instant) -> anyhow::Result<i64> {
    tx.prepare_cached(
        "INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, status, reason,
           attempts, max_attempts, error_message, vapi_call_id, created_at, updated_at,
           processed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        row.customer_id,
        row.call_type.as_str(),
        row.occasion,
        instant_text(row.scheduled_for),
        row.status.as_str(),
        row.reason.map(Reason::as_str),
        row.attempts,
        row.max_attempts,
        row.error_message,
        row.vapi_call_id,
        instant_text(row.created_at),
        instant_text(now),
        row.processed_at.map(instant_text),
    ])?;
    Ok(tx.last_insert_rowid())
}

/// Sets the flags of a call that the old scheduler completed. Never clears a flag, and does not
/// count the call again.
pub fn mark_called(
    tx: &Transaction<'_>,
    customer_id: i64,
    call_type: CallType,
    date: Option<chrono::NaiveDate>,
    now: Instant,
) -> anyhow::Result<()> {
    let (welcome, date) = (call_type == CallType::Welcome, date.map(daily_occasion));
    tx.prepare_cached(
        "UPDATE customers SET welcome_call_completed = max(welcome_call_completed, ?2),
           last_call_date = nullif(max(coalesce(last_call_date, ''), coalesce(?3, '')), ''),
           updated_at = ?4
         WHERE id = ?1 AND (welcome_call_completed < ?2
           OR coalesce(last_call_date, '') < coalesce(?3, ''))",
    )?
    .execute(params![customer_id, welcome, date, instant_text(now)])?;
    Ok(())
}
