//! Webhook events and awaited calls. Events are stored once each, and the follow step applies them
//! later. Awaited calls are ended calls whose analysis is still missing.

use chrono::Duration;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::provider::ProviderCall;
use crate::store::quarantine::{self, Place};
use crate::store::transaction::Moved;
use crate::store::{cells, meta};

/// How long applied events are kept, so that a copy is recognized. No sender repeats a message
/// after days, and applying a copy again changes nothing.
const REMEMBERED: Duration = Duration::days(30);
/// The most events that one step reads: limits the memory and the length of a write.
const BATCH: i64 = 500;

/// The body of a stored event.
#[derive(Serialize, Deserialize)]
struct Body {
    call: ProviderCall,
    /// The names of the tools, where an earlier version stored them.
    #[serde(default, skip_serializing)]
    tool_names: Vec<String>,
}

/// A stored event that is not applied yet.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: i64,
    pub received_at: Instant,
    /// The call as the event reports it.
    pub call: ProviderCall,
}

/// Stores an event; `No` if an event with this call, kind and status is stored already.
pub fn insert(
    tx: &Transaction<'_>,
    kind: &str,
    status: &str,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Moved> {
    let body = Body { call: call.clone(), tool_names: Vec::new() };
    let rows = tx
        .prepare_cached(
            "INSERT INTO webhook_events (vapi_call_id, kind, status, body, received_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (vapi_call_id, kind, status) DO NOTHING",
        )?
        .execute(params![
            call.id,
            kind,
            status,
            serde_json::to_string(&body)?,
            instant_text(now)
        ])?;
    Ok(Moved::from_rows(rows))
}

/// The ids of the events that wait and can be read, oldest first; at most a batch.
pub fn waiting(conn: &Connection) -> anyhow::Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT id FROM webhook_events WHERE applied_at IS NULL AND id NOT IN (
           SELECT CAST(row AS INTEGER) FROM quarantine WHERE place = 'webhook_events')
         ORDER BY id LIMIT ?1",
    )?;
    let found = statement.query_map([BATCH], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The columns that [`from_row`] reads, in its order. The last one tells whom the event concerns.
pub(super) const COLUMNS: &str = "id, received_at, body, (SELECT customer_id FROM call_attempts
     WHERE call_attempts.vapi_call_id = webhook_events.vapi_call_id) AS customer_id";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    let text = cells::text(row, 2)?;
    let body = serde_json::from_str(text).map_err(|_| cells::bad_text(2, "of the body"))?;
    let Body { mut call, tool_names } = body;
    if !tool_names.is_empty() {
        call.tool_names.get_or_insert_default().extend(tool_names);
    }
    Ok(Waiting { id: row.get(0)?, received_at: cells::instant(row, 1)?, call })
}

/// One event, if it still waits. Events are read one by one, because a body may be long. An event
/// that cannot be read is noticed and is none.
pub fn one(conn: &Connection, id: i64) -> anyhow::Result<Option<Waiting>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_events WHERE id = ?1 AND applied_at IS NULL");
    let mut statement = conn.prepare_cached(&sql)?;
    Ok(quarantine::listed(Place::Events, statement.query([id])?, from_row)?.pop())
}

/// Marks an event as applied, and deletes its body: the ledger has the facts.
pub fn applied(tx: &Transaction<'_>, id: i64, now: Instant) -> anyhow::Result<()> {
    tx.prepare_cached("UPDATE webhook_events SET applied_at = ?2, body = '{}' WHERE id = ?1")?
        .execute(params![id, instant_text(now)])?;
    Ok(())
}

/// Deletes old events that were applied more than `REMEMBERED` ago; at most a batch. Returns how
/// many.
pub fn forget_old(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<usize> {
    // The oldest rows by id first, so that this never reads the whole table.
    Ok(tx
        .prepare_cached(
            "DELETE FROM webhook_events WHERE applied_at < ?1
               AND id IN (SELECT id FROM webhook_events ORDER BY id LIMIT ?2)",
        )?
        .execute(params![instant_text(now - REMEMBERED), BATCH])?)
}

/// Whether `forget_old` has anything to do.
pub fn is_any_old(conn: &Connection, now: Instant) -> anyhow::Result<bool> {
    let oldest: Option<Option<String>> = conn
        .prepare_cached("SELECT applied_at FROM webhook_events ORDER BY id LIMIT 1")?
        .query_one([], |row| cells::optional_lossy(row, 0))
        .optional()?;
    Ok(oldest.flatten().is_some_and(|at| at < instant_text(now - REMEMBERED)))
}

/// The `meta` keys of awaited calls, kept so that a restart continues to ask. An entry contains no
/// words of the call and no phone number.
const PREFIX: &str = "awaited:";

/// An ended call that the provider will be asked about again.
#[derive(Clone, Debug, PartialEq)]
pub struct Awaited {
    pub attempt_id: String,
    pub call_id: String,
    pub ended_at: Instant,
    pub next_at: Instant,
}

#[derive(Serialize, Deserialize)]
struct AwaitedRow {
    call_id: String,
    ended_at: String,
    next_at: String,
}

/// Stores when the provider is asked about the call next.
pub fn await_call(tx: &Transaction<'_>, awaited: &Awaited) -> anyhow::Result<()> {
    let row = AwaitedRow {
        call_id: awaited.call_id.clone(),
        ended_at: instant_text(awaited.ended_at),
        next_at: instant_text(awaited.next_at),
    };
    meta::set(tx, &key(&awaited.attempt_id), &serde_json::to_string(&row)?)
}

/// Stops waiting for the call; `true` if it was awaited.
pub fn forget_call(tx: &Transaction<'_>, attempt_id: &str) -> anyhow::Result<bool> {
    meta::remove(tx, &key(attempt_id))
}

/// Every awaited call, the next due one first. Skips an unreadable entry, because the call is still
/// in the ledger.
pub fn awaited(conn: &Connection) -> anyhow::Result<Vec<Awaited>> {
    let rows = meta::prefixed(conn, PREFIX)?;
    let mut found: Vec<Awaited> = rows
        .into_iter()
        .filter_map(|(key, value)| {
            let row: AwaitedRow = serde_json::from_str(&value).ok()?;
            Some(Awaited {
                attempt_id: key.strip_prefix(PREFIX)?.to_string(),
                call_id: row.call_id,
                ended_at: parse_instant(&row.ended_at)?,
                next_at: parse_instant(&row.next_at)?,
            })
        })
        .collect();
    found.sort_by_key(|awaited| awaited.next_at);
    Ok(found)
}

fn key(attempt_id: &str) -> String {
    format!("{PREFIX}{attempt_id}")
}
