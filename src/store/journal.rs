//! The journal: actor, change, subject and reason. Append-only: triggers refuse everything else.

pub mod facts;

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::cells;

/// The version that writes, so that the journal shows which build made a change.
const BUILD: &str = env!("CARGO_PKG_VERSION");

/// The actor and the instant of a change.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The command or thread that acts: `scan`, `dial`, `cli`, `page`, …
    pub who: &'a str,
    pub now: Instant,
}

/// An act that needs a reason, usually a person's.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    pub who: &'a str,
    pub why: &'a str,
    pub now: Instant,
}

impl<'a> Act<'a> {
    pub fn by(self) -> By<'a> {
        By { who: self.who, now: self.now }
    }
}

/// One change, to be written in the transaction that makes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// The command or thread that acts: `scan`, `dial`, `cli`, `web`, …
    pub who: &'a str,
    /// The kind of change: `item`, `attempt`, `customer`, `pause`, …
    pub what: &'a str,
    /// `customer:1`, `item:2`, `attempt:…`, `file`.
    pub subject: &'a str,
    pub old: Option<&'a str>,
    pub new: Option<&'a str>,
    pub why: Option<&'a str>,
}

/// Writes one entry. An entry never contains a phone number or a secret.
pub fn add(tx: &Transaction<'_>, at: Instant, entry: Entry<'_>) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO journal (at, who, what, subject, old, new, why, build)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        instant_text(at),
        entry.who,
        entry.what,
        entry.subject,
        entry.old,
        entry.new,
        entry.why,
        BUILD
    ])?;
    Ok(())
}

/// Whether a change of this kind was made to the subject.
pub fn has(conn: &Connection, subject: &str, what: &str) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM journal WHERE subject = ?1 AND what = ?2)")?
        .query_one([subject, what], |row| row.get(0))?)
}

/// A line of the journal, for display.
#[derive(Clone, Debug, serde::Serialize)]
pub struct JournalLine {
    pub id: i64,
    pub at: String,
    pub who: String,
    pub what: String,
    pub subject: String,
    pub old: Option<String>,
    pub new: Option<String>,
    pub why: Option<String>,
}

/// The newest lines first; only those of `subject` if it is given.
pub fn newest(
    conn: &Connection,
    subject: Option<&str>,
    limit: i64,
) -> anyhow::Result<Vec<JournalLine>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, at, who, what, subject, old, new, why FROM journal
         WHERE ?1 IS NULL OR subject = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let lines = statement.query_map(params![subject, limit], |row| {
        Ok(JournalLine {
            id: row.get(0)?,
            at: cells::lossy(row, 1)?,
            who: cells::lossy(row, 2)?,
            what: cells::lossy(row, 3)?,
            subject: cells::lossy(row, 4)?,
            old: cells::optional_lossy(row, 5)?,
            new: cells::optional_lossy(row, 6)?,
            why: cells::optional_lossy(row, 7)?,
        })
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}
