//! The part of the circuit breaker that survives a restart.

use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::meta::sequence::highest_seq;
use crate::store::meta::{get, odd, remove, set};
use crate::store::quarantine::notice;

const KEY: &str = "breaker";

const PROBE_FAILED: &str = "; a probe failed too";

/// The open breaker. If the key is absent, the breaker is closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    pub why: String,
    /// A probe failed after that.
    #[serde(default)]
    pub probe_failed: bool,
    pub opened_at: String,
    /// From this instant on, one call may be tried.
    pub probe_at: String,
    /// Only the end of a call that was really dialed closes the breaker; an accepted call does not.
    #[serde(default)]
    pub until_ended: bool,
}

impl Breaker {
    /// The cause, and whether a probe failed.
    pub fn words(&self) -> String {
        // Earlier versions stored these words in `why`.
        let why = self.why.trim_end_matches(PROBE_FAILED);
        if self.probe_failed || why != self.why {
            format!("{why}{PROBE_FAILED}")
        } else {
            why.to_string()
        }
    }

    /// Whether the next call is the probe. An unreadable instant keeps the breaker open.
    pub fn is_half_open(&self, now: Instant) -> bool {
        parse_instant(&self.probe_at).is_some_and(|probe_at| probe_at <= now)
    }
}

/// The open breaker. One that cannot be read is open until a person closes it.
pub fn breaker(conn: &Connection) -> anyhow::Result<Option<Breaker>> {
    let Some(text) = get(conn, KEY)? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&text).unwrap_or_else(|_| {
        notice(odd(KEY));
        Breaker {
            why: "its stored state cannot be read; run `ringonce resume --reason WHY`".to_string(),
            probe_failed: false,
            opened_at: String::new(),
            probe_at: String::new(),
            until_ended: false,
        }
    })))
}

/// Opens the breaker. Attempts up to sequence number `until` no longer count as evidence.
pub fn open_breaker(tx: &Transaction<'_>, breaker: &Breaker, until: i64) -> anyhow::Result<()> {
    let until = until.max(breaker_moved_at(tx)?);
    set(tx, "breaker_moved_at_seq", &until.to_string())?;
    delay_probe(tx, breaker)
}

/// Stores when the next probe may be tried, and leaves the rest of an open breaker as it is.
pub fn delay_probe(tx: &Transaction<'_>, breaker: &Breaker) -> anyhow::Result<()> {
    set(tx, KEY, &serde_json::to_string(breaker)?)
}

/// Closes the breaker; `true` if it was open. Earlier failures no longer count.
pub fn close_breaker(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<bool> {
    let was_open = remove(tx, KEY)?;
    if was_open {
        set(tx, "breaker_moved_at_seq", &highest_seq(tx)?.to_string())?;
        set(tx, "breaker_closed_at", &instant_text(now))?;
    }
    Ok(was_open)
}

/// When the breaker last closed.
pub fn breaker_closed_at(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    Ok(get(conn, "breaker_closed_at")?.and_then(|text| parse_instant(&text)))
}

/// The last sequence number that no longer counts, because the breaker opened or closed after it.
pub fn breaker_moved_at(conn: &Connection) -> anyhow::Result<i64> {
    let text = get(conn, "breaker_moved_at_seq")?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Whether the attempt with this sequence number was made after the breaker last opened or closed.
pub fn is_probe(conn: &Connection, seq: i64) -> anyhow::Result<bool> {
    Ok(breaker_moved_at(conn)? < seq)
}
