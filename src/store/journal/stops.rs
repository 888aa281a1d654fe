//! The entries that begin or end something that stops calls, and the edits of one customer.

use rusqlite::Connection;

use crate::domain::Instant;
use crate::store::cells;
use crate::store::journal::facts::{self, EntryFacts};

/// One entry with its facts.
#[derive(Clone, Debug)]
pub struct StopEntry {
    pub at: Instant,
    pub who: String,
    pub what: String,
    pub subject: String,
    pub old: Option<String>,
    pub new: Option<String>,
    pub why: Option<String>,
    pub facts: EntryFacts,
}

/// The entries about a subject that are of one of the kinds which stop or permit calls, oldest
/// first. `dialing` stands for all subjects of that name: the breaker, the holds and the start.
pub fn of_subject(conn: &Connection, subject: &str) -> anyhow::Result<Vec<StopEntry>> {
    let after_last = match subject {
        "dialing" => "dialing;".to_string(),
        subject => format!("{subject}\0"),
    };
    let mut statement = conn.prepare_cached(
        "SELECT at, who, what, subject, old, new, why, its.facts
         FROM journal LEFT JOIN journal_facts AS its ON its.journal_id = journal.id
         WHERE ?1 <= subject AND subject < ?2
           AND what IN ('pause', 'call_status', 'customer', 'do not call', 'held', 'hold',
             'breaker', 'start')
         ORDER BY journal.id",
    )?;
    let found = statement.query_map([subject, &after_last], |row| {
        Ok(StopEntry {
            at: cells::instant(row, 0)?,
            who: row.get(1)?,
            what: row.get(2)?,
            subject: row.get(3)?,
            old: row.get(4)?,
            new: row.get(5)?,
            why: row.get(6)?,
            facts: facts::read(row.get(7)?),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// When something moved, and its states before and after.
pub type Move = (Instant, Option<String>, Option<String>);

/// The old and new values of every move of an item or an attempt, oldest first.
pub fn moves(conn: &Connection, subject: &str, what: &str) -> anyhow::Result<Vec<Move>> {
    let mut statement = conn.prepare_cached(
        "SELECT at, old, new FROM journal WHERE subject = ?1 AND what = ?2 ORDER BY id",
    )?;
    let found = statement.query_map([subject, what], |row| {
        Ok((cells::instant(row, 0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
