//! Instants of the latest events of this file.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::meta::{get, set};

/// Instants that are kept as marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The latest instant this file has seen; an earlier clock reading is wrong.
    ClockHighWater,
    /// The provider's records are known up to here.
    LastReconciled,
    LastTick,
    LastScan,
    LastBackup,
    Created,
    /// When a person last armed the file (`adopt`).
    Armed,
}

impl Mark {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Mark::ClockHighWater => "clock_high_water",
            Mark::LastReconciled => "last_reconciled_at",
            Mark::LastTick => "last_tick_at",
            Mark::LastScan => "last_scan_at",
            Mark::LastBackup => "last_backup_at",
            Mark::Created => "created_at",
            Mark::Armed => "armed_at",
        }
    }
}

pub fn mark(conn: &Connection, mark: Mark) -> anyhow::Result<Option<Instant>> {
    Ok(get(conn, mark.key())?.and_then(|text| parse_instant(&text)))
}

/// Sets a mark; it never moves backward.
pub fn set_mark(tx: &Transaction<'_>, mark: Mark, at: Instant) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
    )?
    .execute(params![mark.key(), instant_text(at)])?;
    Ok(())
}

/// Sets a mark, also backward: a person accepted a clock that is behind it (`adopt`, `resume`).
pub fn reset_mark(tx: &Transaction<'_>, mark: Mark, at: Instant) -> anyhow::Result<()> {
    set(tx, mark.key(), &instant_text(at))
}
