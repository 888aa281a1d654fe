//! The result of a call in its events: in `call.ended` while that event has not been sent, and in
//! `call.result` afterwards.

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use crate::domain::call::AttemptState;
use crate::domain::event::EventType;
use crate::domain::{Instant, instant_text};
use crate::store::events::parts::{self, Parts};
use crate::store::events::{self, About};

/// Tells the application that a stored result has arrived or changed, once its call is over.
pub fn changed(tx: &Transaction<'_>, attempt_id: &str, now: Instant) -> anyhow::Result<()> {
    events::tolerant(write(tx, attempt_id, now))
}

/// The last event that carries the attempt's result.
struct Told {
    id: String,
    /// No try has begun, so the event can still change.
    is_unsent: bool,
    result: Value,
}

fn last_told(tx: &Transaction<'_>, attempt_id: &str) -> anyhow::Result<Option<Told>> {
    let found: Option<(String, bool, Option<String>)> = tx
        .prepare_cached(
            "SELECT id, tries = 0 AND next_at IS NOT NULL, json_extract(data, '$.result')
             FROM events WHERE attempt_id = ?1 AND (type = 'call.ended' OR type = 'call.result')
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_one([attempt_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((id, is_unsent, result)) = found else { return Ok(None) };
    let result = result.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
    Ok(Some(Told { id, is_unsent, result }))
}

fn write(tx: &Transaction<'_>, attempt_id: &str, now: Instant) -> anyhow::Result<()> {
    let Some(wanted) = events::wanted(tx)? else { return Ok(()) };
    let Some(Parts { result, wait }) = parts::of_attempt(tx, &wanted, attempt_id)? else {
        return Ok(());
    };
    let Some(call) = events::call(tx, attempt_id)? else { return Ok(()) };
    if call.state != AttemptState::Ended.as_str() {
        return Ok(());
    }
    match last_told(tx, attempt_id)? {
        // A part changed that events do not carry.
        Some(told) if told.result == result => return Ok(()),
        Some(told) if told.is_unsent => {
            tx.prepare_cached(
                "UPDATE events SET data = json_set(data, '$.result', json(?2)),
                   next_at = min(next_at, ?3), queued_at = min(queued_at, ?3) WHERE id = ?1",
            )?
            .execute(params![
                told.id,
                result.to_string(),
                instant_text(now + wait)
            ])?;
            return Ok(());
        }
        _ => {}
    }
    if !wanted.has(EventType::CallResult) {
        return Ok(());
    }
    let mut data = call.data;
    data["result"] = result;
    let about =
        About { customer_id: call.customer_id, attempt_id: Some(attempt_id), ..About::default() };
    events::write(tx, EventType::CallResult, about, &data, now)
}

/// Removes what was said from the events of an attempt, because its result is no longer kept.
pub fn forget(tx: &Transaction<'_>, attempt_id: &str) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE events SET data = json_remove(data, '$.result')
         WHERE attempt_id = ?1 AND json_extract(data, '$.result') IS NOT NULL",
    )?
    .execute([attempt_id])?;
    Ok(())
}
