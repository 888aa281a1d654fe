//! Facts of the file about itself: its identity, where it may dial, and the reasons not to dial.

pub mod breaker;
pub mod holds;
pub mod installation;
pub mod marks;
pub mod organization;
pub mod pauses;
pub mod scan_inputs;
pub mod sequence;
pub mod unreached;

use rusqlite::{Connection, OptionalExtension, Transaction};

/// The value of a key; `None` if it was never set.
pub fn get(conn: &Connection, key: &str) -> anyhow::Result<Option<String>> {
    Ok(conn
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_one([key], |row| row.get(0))
        .optional()?)
}

pub fn set(tx: &Transaction<'_>, key: &str, value: &str) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute([key, value])?;
    Ok(())
}

/// Removes a value; `true` if it existed.
pub fn remove(tx: &Transaction<'_>, key: &str) -> anyhow::Result<bool> {
    let rows = tx.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
    Ok(rows == 1)
}

pub(super) fn prefixed(conn: &Connection, prefix: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut statement = conn
        .prepare_cached("SELECT key, value FROM meta WHERE ?1 <= key AND key < ?2 ORDER BY key")?;
    // ';' follows ':' in ASCII, so the range holds exactly the keys with this prefix.
    let end = prefix.replace(':', ";");
    let rows = statement.query_map([prefix, &end], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
