//! Results of calls: one row per attempt, deleted after a time. The ledger stays.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::{Map, Value};

use crate::domain::{Instant, instant_text};
use crate::provider::ProviderCall;
use crate::store::cells;
use crate::store::events;

/// The most rows that one write deletes.
const BATCH: i64 = 500;

/// Who reported a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultSource {
    /// The provider's record of the call.
    Poll,
    /// The end-of-call report.
    Webhook,
}

impl ResultSource {
    pub fn as_str(self) -> &'static str {
        match self {
            ResultSource::Poll => "poll",
            ResultSource::Webhook => "webhook",
        }
    }
}

/// A row of `call_results`.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    pub attempt_id: String,
    pub summary: Option<String>,
    pub transcript: Option<String>,
    /// Name of the output to its value.
    pub structured: Map<String, Value>,
    pub success_evaluation: Option<String>,
    /// Who reported the latest change.
    pub source: ResultSource,
    /// When the first part arrived.
    pub received_at: Instant,
    pub updated_at: Instant,
}

/// The columns that [`result_from_row`] reads, in its order.
pub const RESULT_COLUMNS: &str = "r.attempt_id, r.summary, r.transcript, r.structured, \
     r.success_evaluation, r.source, r.received_at, r.updated_at";

/// Reads the columns from `first` on; `None` if a join found no result. Never fails on a text: a
/// result decides nothing, and no odd one hides the call that it belongs to.
pub fn result_from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<CallResult>> {
    let Some(attempt_id) = cells::optional_lossy(row, first)? else { return Ok(None) };
    let structured = cells::lossy(row, first + 3)?;
    let source = cells::lossy(row, first + 5)?;
    Ok(Some(CallResult {
        attempt_id,
        summary: cells::optional_lossy(row, first + 1)?,
        transcript: cells::optional_lossy(row, first + 2)?,
        // The schema permits only an object.
        structured: serde_json::from_str(&structured).unwrap_or_default(),
        success_evaluation: cells::optional_lossy(row, first + 4)?,
        source: if source == "poll" { ResultSource::Poll } else { ResultSource::Webhook },
        received_at: cells::shown_instant(row, first + 6)?,
        updated_at: cells::shown_instant(row, first + 7)?,
    }))
}

/// The result of an attempt, if there is one.
pub fn of_attempt(conn: &Connection, attempt_id: &str) -> anyhow::Result<Option<CallResult>> {
    let sql = format!("SELECT {RESULT_COLUMNS} FROM call_results AS r WHERE r.attempt_id = ?1");
    let found = conn
        .prepare_cached(&sql)?
        .query_one([attempt_id], |row| result_from_row(row, 0))
        .optional()?;
    Ok(found.flatten())
}

/// The results of several attempts by the attempt's id, without transcripts.
pub fn of_attempts<'a>(
    conn: &Connection,
    attempt_ids: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<HashMap<String, CallResult>> {
    let columns = RESULT_COLUMNS.replace("r.transcript", "NULL");
    let sql = format!("SELECT {columns} FROM call_results AS r WHERE r.attempt_id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = HashMap::new();
    for id in attempt_ids {
        if let Some(result) =
            statement.query_one([id], |row| result_from_row(row, 0)).optional()?.flatten()
        {
            found.insert(id.to_string(), result);
        }
    }
    Ok(found)
}

/// The newest results with a summary: the customer's name and zone, when they were called, and the
/// result.
pub fn newest(
    conn: &Connection,
    limit: usize,
) -> anyhow::Result<Vec<(String, String, Instant, CallResult)>> {
    let sql = format!(
        "SELECT {RESULT_COLUMNS}, c.name, c.timezone, a.created_at FROM call_results AS r
           JOIN call_attempts AS a ON a.id = r.attempt_id JOIN customers AS c
             ON c.id = a.customer_id
         WHERE r.summary IS NOT NULL ORDER BY a.seq DESC LIMIT {limit}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([], |row| {
        let result = result_from_row(row, 0)?;
        let at = cells::shown_instant(row, 10)?;
        Ok((cells::lossy(row, 8)?, cells::lossy(row, 9)?, at, result))
    })?;
    let mut all = Vec::new();
    for row in found {
        let (name, zone, at, result) = row?;
        all.extend(result.map(|result| (name, zone, at, result)));
    }
    Ok(all)
}

/// The summary of the customer's latest call that has one.
pub fn last_summary(conn: &Connection, customer_id: i64) -> anyhow::Result<Option<String>> {
    Ok(conn
        .prepare_cached(
            "SELECT r.summary FROM call_attempts AS a
               JOIN call_results AS r ON r.attempt_id = a.id
             WHERE a.customer_id = ?1 AND r.summary IS NOT NULL
             ORDER BY a.created_at DESC, a.seq DESC LIMIT 1",
        )?
        .query_one([customer_id], |row| row.get(0))
        .optional()?)
}

/// Writes a result over the earlier one of its attempt.
pub fn put(tx: &Transaction<'_>, result: &CallResult) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO call_results (attempt_id, summary, transcript, structured,
           success_evaluation, source, received_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (attempt_id) DO UPDATE SET summary = excluded.summary,
           transcript = excluded.transcript, structured = excluded.structured,
           success_evaluation = excluded.success_evaluation, source = excluded.source,
           updated_at = excluded.updated_at",
    )?
    .execute(params![
        result.attempt_id,
        result.summary,
        result.transcript,
        serde_json::to_string(&result.structured)?,
        result.success_evaluation,
        result.source.as_str(),
        instant_text(result.received_at),
        instant_text(result.updated_at),
    ])?;
    events::result::changed(tx, &result.attempt_id, result.updated_at)
}

/// Completes the facts of an ended call: the provider may report the cost after the end.
pub fn learn_facts(
    tx: &Transaction<'_>,
    attempt_id: &str,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE call_attempts SET cost = coalesce(?2, cost),
           started_at = coalesce(?3, started_at), ended_at = coalesce(?4, ended_at),
           duration_seconds = coalesce(?5, duration_seconds), updated_at = ?6
         WHERE id = ?1 AND state = 'ended' AND (cost IS NOT coalesce(?2, cost)
           OR started_at IS NOT coalesce(?3, started_at)
           OR ended_at IS NOT coalesce(?4, ended_at)
           OR duration_seconds IS NOT coalesce(?5, duration_seconds))",
    )?
    .execute(params![
        attempt_id,
        call.cost,
        call.started_at.map(instant_text),
        call.ended_at.map(instant_text),
        call.duration_seconds(),
        instant_text(now),
    ])?;
    Ok(())
}

/// Whether [`forget`] has anything to do.
pub fn is_any_before(conn: &Connection, before: Instant) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM call_results WHERE received_at < ?1)")?
        .query_one([instant_text(before)], |row| row.get(0))?)
}

/// Deletes the results that were received before an instant, also from events; at most a batch.
/// Returns how many.
pub fn forget(tx: &Transaction<'_>, before: Instant) -> anyhow::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM call_results WHERE attempt_id IN (SELECT attempt_id FROM call_results
           WHERE received_at < ?1 ORDER BY received_at LIMIT ?2) RETURNING attempt_id",
    )?;
    let gone = statement.query_map(params![instant_text(before), BATCH], |row| row.get(0))?;
    let gone = gone.collect::<Result<Vec<String>, _>>()?;
    gone.iter().try_for_each(|attempt_id| events::result::forget(tx, attempt_id))?;
    Ok(gone.len())
}

/// Moves the words that an older version kept in the ledger. When they arrived is not known.
pub fn move_from_ledger(tx: &Transaction<'_>) -> anyhow::Result<()> {
    tx.execute_batch(
        "INSERT INTO call_results (attempt_id, summary, transcript, source, received_at, updated_at)
           SELECT id, summary, transcript, 'poll', updated_at, updated_at FROM call_attempts
           WHERE (summary IS NOT NULL OR transcript IS NOT NULL)
             AND id NOT IN (SELECT attempt_id FROM call_results);
         UPDATE call_attempts SET transcript = NULL, summary = NULL
           WHERE summary IS NOT NULL OR transcript IS NOT NULL;",
    )?;
    Ok(())
}
