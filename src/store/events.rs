//! What the webhook was told: stored once each, applied later by the follow step.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::provider::ProviderCall;
use crate::store::queue::Moved;
use crate::store::rows;

/// What is kept of an event's body.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Extract {
    pub call: ProviderCall,
    pub tool_names: Vec<String>,
}

/// A stored event that was not applied yet.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: i64,
    pub received_at: Instant,
    pub extract: Extract,
}

/// Stores an event; `No` when the same call told the same before.
pub fn insert(
    tx: &Transaction<'_>,
    kind: &str,
    status: &str,
    extract: &Extract,
    now: Instant,
) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "INSERT INTO webhook_events (vapi_call_id, kind, status, body, received_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (vapi_call_id, kind, status) DO NOTHING",
        )?
        .execute(params![
            extract.call.id,
            kind,
            status,
            serde_json::to_string(extract)?,
            instant_text(now)
        ])?;
    Ok(Moved::from_rows(rows))
}

/// Events that wait, oldest first; at most a batch.
pub fn waiting(conn: &Connection) -> anyhow::Result<Vec<Waiting>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, received_at, body FROM webhook_events WHERE applied_at IS NULL ORDER BY id LIMIT 500",
    )?;
    let found = statement
        .query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, rows::instant(row, 1)?, row.get::<_, String>(2)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    found
        .into_iter()
        .map(|(id, received_at, body)| {
            Ok(Waiting { id, received_at, extract: serde_json::from_str(&body)? })
        })
        .collect()
}

/// Marks an event as applied, and forgets its body: the ledger has what counts.
pub fn applied(tx: &Transaction<'_>, id: i64, now: Instant) -> anyhow::Result<()> {
    tx.prepare_cached("UPDATE webhook_events SET applied_at = ?2, body = '{}' WHERE id = ?1")?
        .execute(params![id, instant_text(now)])?;
    Ok(())
}
