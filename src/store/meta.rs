//! Facts of the file about itself: its identity, where it may dial, and the reasons not to dial.

pub mod alerts;
pub mod breaker;
pub mod holds;
pub mod installation;
pub mod kept_list;
pub mod marks;
pub mod organization;
pub mod pauses;
pub mod scan_inputs;
pub mod sequence;
pub mod tokens;
pub mod unreached;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::store::cells;
use crate::store::quarantine::{OddRow, Place};

/// The value of a key; `None` if it was never set. A value that is not UTF-8 text equals no value
/// that ringonce wrote.
pub fn get(conn: &Connection, key: &str) -> anyhow::Result<Option<String>> {
    Ok(conn
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_one([key], |row| cells::lossy(row, 0))
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

/// An entry whose value another program wrote and that cannot be read.
pub(super) fn odd(key: &str) -> OddRow {
    OddRow {
        place: Place::Meta.table().to_string(),
        row: key.to_string(),
        customer_id: None,
        why: "value is not of its form".to_string(),
    }
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
    let rows = statement
        .query_map([prefix, &end], |row| Ok((cells::lossy(row, 0)?, cells::lossy(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
