//! A listing of the provider that was interrupted: the calls so far, and how to go on. Deleted when
//! the listing is complete.

use rusqlite::{Connection, Transaction};

use crate::provider::ProviderCall;
use crate::store::meta;

/// The key of the progress.
const PROGRESS: &str = "kept_list";

/// The progress and the calls; `None`: nothing is kept. A call that cannot be read makes the whole
/// listing useless.
pub fn kept(conn: &Connection) -> anyhow::Result<Option<(String, Vec<ProviderCall>)>> {
    let Some(progress) = meta::get(conn, PROGRESS)? else { return Ok(None) };
    let mut statement = conn.prepare_cached("SELECT call FROM kept_list")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?;
    let calls = found
        .map(|text| Ok(serde_json::from_str(&text?)?))
        .collect::<anyhow::Result<Vec<ProviderCall>>>()?;
    Ok(Some((progress, calls)))
}

/// Keeps more calls, and the progress of now.
pub fn keep(tx: &Transaction<'_>, calls: &[&ProviderCall], progress: &str) -> anyhow::Result<()> {
    if meta::get(tx, PROGRESS)?.is_none() {
        forget(tx)?;
    }
    let mut statement = tx.prepare_cached(
        "INSERT INTO kept_list (vapi_call_id, call) VALUES (?1, ?2)
         ON CONFLICT (vapi_call_id) DO UPDATE SET call = excluded.call",
    )?;
    for call in calls {
        statement.execute([&call.id, &serde_json::to_string(call)?])?;
    }
    meta::set(tx, PROGRESS, progress)
}

/// Whether anything is kept.
pub fn is_any(conn: &Connection) -> anyhow::Result<bool> {
    Ok(meta::get(conn, PROGRESS)?.is_some())
}

/// Forgets the listing. Also at an erasure, because it holds numbers.
pub fn forget(tx: &Transaction<'_>) -> anyhow::Result<()> {
    tx.prepare_cached("DELETE FROM kept_list")?.execute([])?;
    meta::remove(tx, PROGRESS).map(drop)
}
