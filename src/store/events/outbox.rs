//! The delivery of events: which are due, what became of each try, and lists for people.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::event::{GIVEN_UP_AFTER, Undelivered, wait_after};
use crate::domain::{Instant, instant_text};
use crate::store::{cells, events};

/// How long delivered events are kept, so that a person can replay them.
const KEPT: chrono::Duration = chrono::Duration::days(30);
/// The most old events that one write deletes.
const BATCH: i64 = 500;

/// An event of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub seq: i64,
    /// The same at every try, so that the receiver can drop copies.
    pub id: String,
    pub kind: String,
    pub customer_id: Option<i64>,
    pub attempt_id: Option<String>,
    /// A JSON object.
    pub data: String,
    pub created_at: Instant,
    pub queued_at: Instant,
    pub tries: i64,
    /// `None`: delivered or given up.
    pub next_at: Option<Instant>,
    pub last_error: Option<String>,
    pub delivered_at: Option<Instant>,
    pub given_up_at: Option<Instant>,
}

impl Event {
    /// The text that is signed and sent.
    pub fn body(&self) -> String {
        let (kind, at) = (&self.kind, instant_text(self.created_at));
        format!(r#"{{"type":"{kind}","timestamp":"{at}","data":{}}}"#, self.data)
    }
}

const COLUMNS: &str = "seq, id, type, customer_id, attempt_id, data, created_at, queued_at, tries,
     next_at, last_error, delivered_at, given_up_at";

/// Never fails on a text: one odd event delays no other.
fn from_row(row: &Row<'_>) -> rusqlite::Result<Event> {
    let optional = |column| match cells::optional_lossy(row, column)? {
        Some(_) => cells::shown_instant(row, column).map(Some),
        None => Ok(None),
    };
    Ok(Event {
        seq: row.get(0)?,
        id: cells::lossy(row, 1)?,
        kind: cells::lossy(row, 2)?,
        customer_id: row.get(3)?,
        attempt_id: cells::optional_lossy(row, 4)?,
        data: cells::lossy(row, 5)?,
        created_at: cells::shown_instant(row, 6)?,
        queued_at: cells::shown_instant(row, 7)?,
        tries: row.get(8)?,
        next_at: optional(9)?,
        last_error: cells::optional_lossy(row, 10)?,
        delivered_at: optional(11)?,
        given_up_at: optional(12)?,
    })
}

/// Whether [`take_due`] would find an event.
pub fn is_any_due(conn: &Connection, now: Instant) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE next_at <= ?1)")?
        .query_one([instant_text(now)], |row| row.get(0))?)
}

/// Takes due events for one try each, those with the fewest tries first: an event that the receiver
/// refuses delays no other.
///
/// The try is counted and the next one is planned before it is made. A process that ends during the
/// try leaves a plan behind, and the receiver gets the event again. The events are read here, in the
/// same transaction: a result that arrives later does not find them unsent.
pub fn take_due(tx: &Transaction<'_>, now: Instant, limit: usize) -> anyhow::Result<Vec<Event>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE next_at IS NOT NULL AND next_at <= ?1
         ORDER BY tries, seq LIMIT ?2"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = statement.query_map(params![instant_text(now), limit], from_row)?;
    let due = found.collect::<Result<Vec<Event>, _>>()?;
    for event in &due {
        let next_at = now + wait_after(event.tries + 1);
        tx.prepare_cached("UPDATE events SET tries = tries + 1, next_at = ?2 WHERE seq = ?1")?
            .execute(params![event.seq, instant_text(next_at)])?;
    }
    Ok(due)
}

/// Takes a counted try back that was not made.
pub fn take_back(tx: &Transaction<'_>, event: &Event) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE events SET tries = ?2, next_at = ?3 WHERE seq = ?1 AND next_at IS NOT NULL",
    )?
    .execute(params![event.seq, event.tries, event.next_at.map(instant_text)])?;
    Ok(())
}

/// Records a try of an event as [`take_due`] returned it. A failed one gives the event up if its
/// three days are over, except the first: an event that waited for days still has a second try.
pub fn end_try(
    tx: &Transaction<'_>,
    event: &Event,
    outcome: &Result<(), String>,
    now: Instant,
) -> anyhow::Result<()> {
    let at = instant_text(now);
    match outcome {
        Ok(()) => tx
            .prepare_cached(
                "UPDATE events SET delivered_at = ?2, next_at = NULL, last_error = NULL
                 WHERE seq = ?1 AND next_at IS NOT NULL",
            )?
            .execute(params![event.seq, at])?,
        Err(why) => {
            let gives_up = event.tries > 0 && GIVEN_UP_AFTER <= now - event.queued_at;
            tx.prepare_cached(
                "UPDATE events SET last_error = ?2, given_up_at = iif(?3, ?4, NULL),
                   next_at = iif(?3, NULL, next_at) WHERE seq = ?1 AND next_at IS NOT NULL",
            )?
            .execute(params![event.seq, why, gives_up, at])?
        }
    };
    Ok(())
}

/// Which events a list shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    /// Only events that wait or were given up.
    pub undelivered: bool,
    /// Only events written before this one.
    pub before: Option<i64>,
}

/// The newest events first.
pub fn list(conn: &Connection, filter: EventFilter, limit: usize) -> anyhow::Result<Vec<Event>> {
    let which = if filter.undelivered {
        "seq IN (SELECT seq FROM events WHERE next_at IS NOT NULL
           UNION ALL SELECT seq FROM events WHERE given_up_at IS NOT NULL) AND"
    } else {
        ""
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE {which} (?1 IS NULL OR seq < ?1)
         ORDER BY seq DESC LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = statement.query_map(params![filter.before, limit], from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Every event about a customer, in the order of writing.
pub fn of_customer(conn: &Connection, customer_id: i64) -> anyhow::Result<Vec<Event>> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE customer_id = ?1 ORDER BY seq");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([customer_id], from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Which events are sent again.
#[derive(Clone, Debug)]
pub enum Replay {
    One(String),
    /// Every event written at this instant or later, also delivered ones. Those that have not been
    /// tried yet are left alone: they may wait for a call's result.
    Since(Instant),
}

/// Makes events due again, as new ones with their old ids. Returns how many.
pub fn replay(tx: &Transaction<'_>, what: &Replay, now: Instant) -> anyhow::Result<usize> {
    let again = "UPDATE events SET queued_at = ?2, next_at = ?2, tries = 0, delivered_at = NULL,
        given_up_at = NULL, last_error = NULL";
    let now = instant_text(now);
    Ok(match what {
        Replay::One(id) => {
            tx.prepare_cached(&format!("{again} WHERE id = ?1"))?.execute(params![id, now])?
        }
        Replay::Since(since) => tx
            .prepare_cached(&format!(
                "{again} WHERE ?1 <= created_at AND (tries > 0 OR next_at IS NULL)"
            ))?
            .execute(params![instant_text(*since), now])?,
    })
}

/// Counts the events that the application does not have.
pub fn undelivered(conn: &Connection) -> anyhow::Result<Undelivered> {
    let (waiting, oldest_waiting_at) = conn
        .prepare_cached("SELECT count(*), min(queued_at) FROM events WHERE next_at IS NOT NULL")?
        .query_one([], |row| Ok((row.get(0)?, cells::optional_lossy(row, 1)?)))?;
    let (given_up, last_given_up_at) = conn
        .prepare_cached(
            "SELECT count(*), max(given_up_at) FROM events WHERE given_up_at IS NOT NULL",
        )?
        .query_one([], |row| Ok((row.get(0)?, cells::optional_lossy(row, 1)?)))?;
    let why = |sql: &str| -> anyhow::Result<Option<String>> {
        Ok(conn.prepare_cached(sql)?.query_one([], |row| cells::lossy(row, 0)).optional()?)
    };
    let of_waiting = "SELECT last_error FROM events
         WHERE next_at IS NOT NULL AND last_error IS NOT NULL ORDER BY tries DESC, seq DESC LIMIT 1";
    let of_given_up = "SELECT last_error FROM events
         WHERE given_up_at IS NOT NULL AND last_error IS NOT NULL ORDER BY given_up_at DESC LIMIT 1";
    let last_error = why(of_waiting)?.map_or_else(|| why(of_given_up), |why| Ok(Some(why)))?;
    Ok(Undelivered { waiting, oldest_waiting_at, given_up, last_given_up_at, last_error })
}

/// What is the matter with the delivery; `None` while all is well, or if no events are sent.
pub fn trouble(conn: &Connection, now: Instant) -> anyhow::Result<Option<String>> {
    match events::wanted(conn)? {
        Some(_) => Ok(undelivered(conn)?.trouble(now)),
        None => Ok(None),
    }
}

/// Deletes events that were delivered more than 30 days ago, at most a batch. Returns how many.
pub fn forget_old(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM events WHERE seq IN (SELECT seq FROM events
               WHERE delivered_at < ?1 ORDER BY delivered_at LIMIT ?2)",
        )?
        .execute(params![instant_text(now - KEPT), BATCH])?)
}

/// Whether `forget_old` has anything to do.
pub fn is_any_old(conn: &Connection, now: Instant) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE delivered_at < ?1)")?
        .query_one([instant_text(now - KEPT)], |row| row.get(0))?)
}
