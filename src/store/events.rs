//! What the webhook was told: stored once each, applied later by the follow step.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::provider::ProviderCall;
use crate::store::queue::Moved;

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
        "SELECT id, body FROM webhook_events WHERE applied_at IS NULL ORDER BY id LIMIT 500",
    )?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    rows.into_iter()
        .map(|(id, body)| Ok(Waiting { id, extract: serde_json::from_str(&body)? }))
        .collect()
}

/// Marks an event as applied, and forgets its body: the ledger has what counts.
pub fn applied(tx: &Transaction<'_>, id: i64, now: Instant) -> anyhow::Result<()> {
    tx.prepare_cached("UPDATE webhook_events SET applied_at = ?2, body = '{}' WHERE id = ?1")?
        .execute(params![id, instant_text(now)])?;
    Ok(())
}
