//! The outbox: events for the application, written in the transaction of the change they report.
//! Nothing here is read by the dialer, and no event can cause a call.
//!
//! Each state change has one function in this layer, and that function calls one of these. So no
//! path to a change can forget its event.

pub mod occasion;
pub mod outbox;
mod parts;
pub mod result;

use chrono::Duration;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use crate::domain::call::AttemptState;
use crate::domain::event::{EventType, Wanted};
use crate::domain::{Instant, instant_text};
use crate::store::meta;

/// The key of `meta` that holds what is wanted, as JSON. Absent: no event is written.
const WANTED: &str = "events_wanted";

/// The columns of `call_attempts` that an event carries, as one JSON object.
const CALL_JSON: &str = "json_object('attempt_id', made.id, 'call_id', made.vapi_call_id,
    'call_type', made.call_type, 'occasion', made.occasion, 'attempt_no', made.attempt_no,
    'created_at', made.created_at, 'started_at', made.started_at, 'ended_at', made.ended_at,
    'disposition', made.disposition, 'ended_reason', made.ended_reason,
    'duration_seconds', made.duration_seconds, 'cost', made.cost)";

/// What the service wants; `None` if it sends no events.
pub fn wanted(conn: &Connection) -> anyhow::Result<Option<Wanted>> {
    let text = meta::get(conn, WANTED)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Stores what is wanted. `None`: from now on no event is written.
pub fn want(tx: &Transaction<'_>, wanted: Option<&Wanted>) -> anyhow::Result<()> {
    match wanted {
        Some(wanted) => meta::set(tx, WANTED, &serde_json::to_string(wanted)?),
        None => meta::remove(tx, WANTED).map(drop),
    }
}

/// What is wanted, if events of this type are.
fn if_wanted(conn: &Connection, event: EventType) -> anyhow::Result<Option<Wanted>> {
    Ok(wanted(conn)?.filter(|wanted| wanted.has(event)))
}

/// Whom and what an event is about.
#[derive(Clone, Copy, Debug, Default)]
struct About<'a> {
    customer_id: Option<i64>,
    attempt_id: Option<&'a str>,
    item_id: Option<i64>,
    /// How long the event waits before its first try.
    wait: Duration,
}

fn write(
    tx: &Transaction<'_>,
    event: EventType,
    about: About<'_>,
    data: &Value,
    now: Instant,
) -> anyhow::Result<()> {
    let id = format!("evt_{}", uuid::Uuid::new_v4().simple());
    let first_try = instant_text(now + about.wait);
    tx.prepare_cached(
        "INSERT INTO events (id, type, customer_id, attempt_id, item_id, data, created_at,
           queued_at, next_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    )?
    .execute(params![
        id,
        event.as_str(),
        about.customer_id,
        about.attempt_id,
        about.item_id,
        data.to_string(),
        instant_text(now),
        first_try,
    ])?;
    Ok(())
}

/// The customer as an event names them: by ids only. An id that is not text is left out.
fn customer_json(conn: &Connection, id: Option<i64>, key: &str) -> anyhow::Result<Value> {
    let external_id: Option<Option<String>> = conn
        .prepare_cached("SELECT external_id FROM customers WHERE id = ?1")?
        .query_one([id], |row| Ok(row.get(0).unwrap_or(None)))
        .optional()?;
    Ok(json!({ "id": id, "key": key, "external_id": external_id.flatten() }))
}

/// Writes the event of an attempt that moved. `from` is `None` for a new row: an ended call that
/// comes with an import is history, not news.
pub fn attempt_moved(
    tx: &Transaction<'_>,
    id: &str,
    moved: (Option<AttemptState>, AttemptState),
    now: Instant,
) -> anyhow::Result<()> {
    tolerant(write_attempt(tx, id, moved, now))
}

fn write_attempt(
    tx: &Transaction<'_>,
    id: &str,
    (from, to): (Option<AttemptState>, AttemptState),
    now: Instant,
) -> anyhow::Result<()> {
    let event = match (from, to) {
        (Some(AttemptState::InDoubt | AttemptState::NotPlaced), AttemptState::Placed)
        | (Some(AttemptState::InDoubt), AttemptState::NotPlaced) => EventType::CallSettled,
        (_, AttemptState::Placed) => EventType::CallPlaced,
        (_, AttemptState::InDoubt) => EventType::CallInDoubt,
        (Some(_), AttemptState::Ended) => EventType::CallEnded,
        _ => return Ok(()),
    };
    let Some(wanted) = if_wanted(tx, event)? else { return Ok(()) };
    let Some(call) = call(tx, id)? else { return Ok(()) };
    let mut data = call.data;
    data["state"] = json!(to.as_str());
    let mut wait = Duration::zero();
    if event == EventType::CallEnded {
        let found = parts::of_attempt(tx, &wanted, id)?;
        wait = match &found {
            Some(parts) => parts.wait.min(Duration::minutes(wanted.wait_minutes)),
            // A call that nobody answered has no result.
            None if data["started_at"].is_null() => wait,
            None => Duration::minutes(wanted.wait_minutes),
        };
        data["result"] = found.map(|parts| parts.result).unwrap_or_default();
    }
    let about =
        About { customer_id: call.customer_id, attempt_id: Some(id), wait, ..About::default() };
    write(tx, event, about, &data, now)
}

/// A call as an event carries it.
struct Call {
    customer_id: Option<i64>,
    state: String,
    data: Value,
}

fn call(conn: &Connection, id: &str) -> anyhow::Result<Option<Call>> {
    let sql = format!(
        "SELECT made.customer_id, made.customer_key, made.state, {CALL_JSON}
         FROM call_attempts AS made WHERE made.id = ?1"
    );
    let found: Option<(Option<i64>, String, String, String)> = conn
        .prepare_cached(&sql)?
        .query_one([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((customer_id, key, state, text)) = found else { return Ok(None) };
    let mut data: Value = serde_json::from_str(&text)?;
    data["state"] = json!(state);
    data["customer"] = customer_json(conn, customer_id, &key)?;
    Ok(Some(Call { customer_id, state, data }))
}

/// Writes that a customer was disabled after `failures` failed occasions in a row.
pub fn customer_disabled(
    tx: &Transaction<'_>,
    customer_id: i64,
    failures: i64,
    now: Instant,
) -> anyhow::Result<()> {
    let event = EventType::CustomerDisabled;
    if if_wanted(tx, event)?.is_none() {
        return Ok(());
    }
    let data = json!({ "failures": failures });
    tolerant(write_for_customers(tx, event, ("id = ?1", &customer_id), data, now))
}

/// Writes that a number came onto the do-not-call list, for each customer with one of its forms.
/// `source`: who listed it, `assistant` for the person on the phone.
pub fn opted_out(
    tx: &Transaction<'_>,
    forms: &[String],
    source: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let event = EventType::CustomerOptedOut;
    if if_wanted(tx, event)?.is_none() {
        return Ok(());
    }
    for phone in forms {
        let data = json!({ "source": source });
        tolerant(write_for_customers(tx, event, ("phone = ?1", phone), data, now))?;
    }
    Ok(())
}

/// Writes one event for each customer that a condition of this file finds.
fn write_for_customers(
    tx: &Transaction<'_>,
    event: EventType,
    (condition, value): (&str, &dyn rusqlite::ToSql),
    mut data: Value,
    now: Instant,
) -> anyhow::Result<()> {
    let sql = format!("SELECT id, key FROM customers WHERE {condition} ORDER BY id");
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_map([value], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (id, key) in found.collect::<Result<Vec<(i64, String)>, _>>()? {
        data["customer"] = customer_json(tx, Some(id), &key)?;
        let about = About { customer_id: Some(id), ..About::default() };
        write(tx, event, about, &data, now)?;
    }
    Ok(())
}

/// A change never fails because a value of another program cannot be put into its event. The rows
/// that cannot be read are reported elsewhere. A failure of the database itself fails the change.
fn tolerant(written: anyhow::Result<()>) -> anyhow::Result<()> {
    let Err(error) = written else { return Ok(()) };
    if matches!(error.downcast_ref(), Some(rusqlite::Error::SqliteFailure(..))) {
        return Err(error);
    }
    log::warn!("an event could not be written: {error:#}");
    Ok(())
}

/// Removes what names the customer, and what was said, from their events. The events stay, because
/// the application may not have them yet.
pub fn erase(tx: &Transaction<'_>, customer_id: i64) -> anyhow::Result<()> {
    tx.execute(
        "UPDATE events SET last_error = NULL,
           data = json_set(json_remove(data, '$.result'), '$.customer.external_id', NULL)
         WHERE customer_id = ?1",
        [customer_id],
    )?;
    Ok(())
}
