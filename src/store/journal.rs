//! The journal: actor, change, subject and reason. Append-only: triggers refuse everything else.

pub mod facts;
pub mod stops;

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::cells;

/// The parts of ringonce that write by themselves. Everybody else in the journal is a person.
pub const MACHINES: [&str; 17] = [
    "breaker",
    "dial",
    "dialer",
    "elsewhere",
    "follow",
    "import",
    "notify",
    "queue import",
    "reconcile",
    "record",
    "repair",
    "reschedule",
    "results",
    "scan",
    "settle",
    "start",
    "webhook",
];
/// The ways in by which a person acts without a name.
pub const UNNAMED: [&str; 5] = ["api", "call", "cli", "page", "nobody"];

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

/// Notes who looked at what is hidden: whole numbers, transcripts. `part` names what was handed out,
/// if it is not the subject itself.
pub fn note_reveal(
    tx: &Transaction<'_>,
    by: By<'_>,
    subject: &str,
    part: Option<&str>,
) -> anyhow::Result<()> {
    let entry = Entry { who: by.who, what: "reveal", subject, new: part, ..Entry::default() };
    add(tx, by.now, entry)
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

/// The newest lines about any of the subjects, or about an item or attempt of the customers.
pub fn newest_about(
    conn: &Connection,
    subjects: &[String],
    customer_ids: &[i64],
    limit: i64,
) -> anyhow::Result<Vec<JournalLine>> {
    let mut found = Vec::new();
    for subject in subjects {
        found.extend(newest(conn, Some(subject), limit)?);
    }
    for id in customer_ids {
        let mut statement = conn.prepare_cached(
            "SELECT id, at, who, what, subject, old, new, why FROM journal
             WHERE subject IN (SELECT 'item:' || id FROM call_queue WHERE customer_id = ?1
               UNION ALL SELECT 'attempt:' || id FROM call_attempts WHERE customer_id = ?1)
             ORDER BY id DESC LIMIT ?2",
        )?;
        let lines = statement.query_map([*id, limit], line_from_row)?;
        found.extend(lines.collect::<Result<Vec<_>, _>>()?);
    }
    found.sort_by_key(|line| std::cmp::Reverse(line.id));
    found.dedup_by_key(|line| line.id);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// The customers whom the ledger knows at a number, also erased ones.
pub fn known_by_number(conn: &Connection, phone_key: &str) -> anyhow::Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT DISTINCT customer_id FROM call_attempts
         WHERE phone_key = ?1 AND customer_id IS NOT NULL",
    )?;
    let found = statement.query_map([phone_key], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The keys of the numbers at which a customer was called.
pub fn numbers_of(conn: &Connection, customer_id: i64) -> anyhow::Result<Vec<String>> {
    let mut statement =
        conn.prepare_cached("SELECT DISTINCT phone_key FROM call_attempts WHERE customer_id = ?1")?;
    let found = statement.query_map([customer_id], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The newest lines below the id `before`, without those of the machines unless they are wanted.
pub fn page(
    conn: &Connection,
    with_machines: bool,
    before: Option<i64>,
    limit: i64,
) -> anyhow::Result<Vec<JournalLine>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, at, who, what, subject, old, new, why FROM journal
         WHERE (?1 OR who NOT IN (SELECT value FROM json_each(?2))) AND (?3 IS NULL OR id < ?3)
         ORDER BY id DESC LIMIT ?4",
    )?;
    let machines = serde_json::to_string(&MACHINES)?;
    let lines =
        statement.query_map(params![with_machines, machines, before, limit], line_from_row)?;
    Ok(lines.collect::<Result<_, _>>()?)
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
    let lines = statement.query_map(params![subject, limit], line_from_row)?;
    Ok(lines.collect::<Result<_, _>>()?)
}

/// The customers whom subjects concern, with their names; a subject of nobody is left out.
pub fn whose<'s>(
    conn: &Connection,
    subjects: impl Iterator<Item = &'s str>,
) -> anyhow::Result<HashMap<String, (i64, String)>> {
    let mut find = conn.prepare_cached(
        "SELECT id, name FROM customers WHERE id = CASE ?1
           WHEN 'customer' THEN CAST(?2 AS INTEGER)
           WHEN 'item' THEN (SELECT customer_id FROM call_queue WHERE id = CAST(?2 AS INTEGER))
           WHEN 'attempt' THEN (SELECT customer_id FROM call_attempts WHERE id = ?2) END",
    )?;
    let mut found = HashMap::new();
    for subject in subjects {
        let Some((kind, key)) = subject.split_once(':') else { continue };
        if found.contains_key(subject) {
            continue;
        }
        let row = find.query_one([kind, key], |row| Ok((row.get(0)?, cells::lossy(row, 1)?)));
        if let Some(customer) = row.optional()? {
            found.insert(subject.to_string(), customer);
        }
    }
    Ok(found)
}

fn line_from_row(row: &Row<'_>) -> rusqlite::Result<JournalLine> {
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
}
