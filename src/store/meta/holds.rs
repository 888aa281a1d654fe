//! Holds: stored reasons why nothing is dialed from this file until a person acts.

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::domain::hold::HoldKind;
use crate::domain::{Instant, instant_text};
use crate::store::journal::{self, Entry};
use crate::store::meta::{odd, prefixed, remove};
use crate::store::quarantine::notice;

const PREFIX: &str = "hold:";

/// A reason why nothing is dialed until the hold is lifted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub kind: HoldKind,
    /// The cause, without the command that lifts the hold.
    pub why: String,
    pub since: String,
}

/// Every hold. One that cannot be read holds all the same.
pub fn holds(conn: &Connection) -> anyhow::Result<Vec<Hold>> {
    let rows = prefixed(conn, PREFIX)?;
    let read = |(key, value): (String, String)| {
        serde_json::from_str(&value).unwrap_or_else(|_| {
            notice(odd(&key));
            Hold {
                kind: HoldKind::from(key.trim_start_matches(PREFIX)),
                why: "the stored reason cannot be read".to_string(),
                since: String::new(),
            }
        })
    };
    Ok(rows.into_iter().map(read).collect())
}

pub fn is_held(conn: &Connection, kind: &HoldKind) -> anyhow::Result<bool> {
    Ok(holds(conn)?.iter().any(|hold| hold.kind == *kind))
}

/// Sets a hold of one kind, and journals it; an existing hold keeps its reason and instant.
pub fn hold(
    tx: &Transaction<'_>,
    kind: impl Into<HoldKind>,
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let hold = Hold { kind: kind.into(), why: why.to_string(), since: instant_text(now) };
    let rows = tx
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![format!("{PREFIX}{}", hold.kind), serde_json::to_string(&hold)?])?;
    if rows == 0 {
        return Ok(());
    }
    let subject = format!("dialing:{}", hold.kind);
    let (new, why) = (Some("held"), Some(why));
    let entry = Entry { who: "dialer", what: "held", subject: &subject, old: None, new, why };
    journal::add(tx, now, entry)
}

/// Lifts a hold; `true` if it existed.
pub fn lift_hold(tx: &Transaction<'_>, kind: impl Into<HoldKind>) -> anyhow::Result<bool> {
    remove(tx, &format!("{PREFIX}{}", kind.into()))
}
