//! The sequence number of the newest attempt.

use rusqlite::{Connection, Transaction};

use crate::store::meta::{get, set};

/// The next sequence number, reserved in the transaction that writes the attempt.
pub fn next_seq(tx: &Transaction<'_>) -> anyhow::Result<i64> {
    let seq = highest_seq(tx)? + 1;
    raise_seq(tx, seq)?;
    Ok(seq)
}

/// The highest sequence number that this file knows, its own or an adopted one.
pub fn highest_seq(conn: &Connection) -> anyhow::Result<i64> {
    let text = get(conn, "highest_seq")?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Raises the highest sequence number; never lowers it.
pub fn raise_seq(tx: &Transaction<'_>, seq: i64) -> anyhow::Result<()> {
    if highest_seq(tx)? < seq {
        set(tx, "highest_seq", &seq.to_string())?;
    }
    Ok(())
}
