//! The queries of the page and the metrics. Read only; every query is bounded or counts.

use rusqlite::{Connection, params};

use crate::domain::call::{AttemptState, CallType, Disposition, ItemStatus, Reason};
use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::attempts::{ATTEMPT_COLUMNS, Attempt, attempt_from_row};
use crate::store::cells;
use crate::store::quarantine::{self, Place};
use crate::store::queue::{ITEM_COLUMNS, Item, item_from_row};
use crate::store::views::OPEN;

/// A span of time: from its first instant to just before its last.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: Instant,
    pub to: Instant,
}

/// Calls of one minute with the same result.
#[derive(Clone, Debug, PartialEq)]
pub struct Minute {
    pub at: Instant,
    pub state: AttemptState,
    pub disposition: Option<Disposition>,
    pub calls: i64,
}

/// The calls of a span by minute, in every state.
pub fn minutes(conn: &Connection, span: Span) -> anyhow::Result<Vec<Minute>> {
    let mut statement = conn.prepare_cached(
        "SELECT substr(created_at, 1, 16), state, disposition, count(*) FROM call_attempts
         WHERE ?1 <= created_at AND created_at < ?2 AND seq > 0 GROUP BY 1, 2, 3 ORDER BY 1",
    )?;
    let mut found = Vec::new();
    let mut rows = statement.query([instant_text(span.from), instant_text(span.to)])?;
    while let Some(row) = rows.next()? {
        let (minute, state) = (cells::lossy(row, 0)?, cells::lossy(row, 1)?);
        let disposition = cells::optional_lossy(row, 2)?;
        let at = parse_instant(&format!("{minute}:00Z"));
        // Skip a text that ringonce does not write.
        if let (Some(at), Some(state)) = (at, AttemptState::parse(&state)) {
            let disposition = disposition.as_deref().and_then(Disposition::parse);
            found.push(Minute { at, state, disposition, calls: row.get(3)? });
        }
    }
    Ok(found)
}

/// Which items a list shows. `None` = all.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageItemFilter {
    pub status: Option<ItemStatus>,
    pub call_type: Option<CallType>,
    pub reason: Option<Reason>,
    pub customer_id: Option<i64>,
    /// Only items with a lower id: the next page starts after the last id shown.
    pub before: Option<i64>,
}

/// An item or an attempt with its customer's name; the name is empty if the customer no longer
/// exists.
#[derive(Clone, Debug)]
pub struct Named<T> {
    pub name: String,
    /// The customer's own assistant by name; read only for items.
    pub assistant: Option<String>,
    pub row: T,
}

/// Items, the newest first.
pub fn items(
    conn: &Connection,
    filter: &PageItemFilter,
    limit: usize,
) -> anyhow::Result<Vec<Named<Item>>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS}, {OF_CUSTOMER}
         FROM call_queue
         WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR call_type = ?2)
           AND (?3 IS NULL OR reason = ?3) AND (?4 IS NULL OR customer_id = ?4)
           AND (?5 IS NULL OR id < ?5)
         ORDER BY id DESC LIMIT {limit}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let values = params![
        filter.status.map(ItemStatus::as_str),
        filter.call_type.map(CallType::as_str),
        filter.reason.map(Reason::as_str),
        filter.customer_id,
        filter.before
    ];
    quarantine::listed(Place::Queue, statement.query(values)?, named_item)
}

/// Open items, the next one first.
pub fn next_items(conn: &Connection, limit: usize) -> anyhow::Result<Vec<Named<Item>>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS}, {OF_CUSTOMER}
         FROM call_queue WHERE {OPEN} ORDER BY coalesce(not_before, scheduled_for), id
         LIMIT {limit}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Queue, statement.query([])?, named_item)
}

/// The name and the assistant of an item's customer.
const OF_CUSTOMER: &str = "coalesce((SELECT name FROM customers AS c
           WHERE c.id = call_queue.customer_id), ''),
         (SELECT assistant FROM customers AS c WHERE c.id = call_queue.customer_id)";

fn named_item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Named<Item>> {
    let width = ITEM_COLUMNS.split(',').count();
    let (name, assistant) = (cells::lossy(row, width)?, cells::optional_lossy(row, width + 1)?);
    Ok(Named { name, assistant, row: item_from_row(row)? })
}

/// Which attempts a list shows. `None` = all.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttemptFilter {
    pub state: Option<AttemptState>,
    pub disposition: Option<Disposition>,
    pub call_type: Option<CallType>,
    pub customer_id: Option<i64>,
    /// Only attempts since this instant.
    pub from: Option<Instant>,
    /// Only attempts before this instant.
    pub to: Option<Instant>,
    /// Only attempts with a lower sequence number: the next page starts after the last one shown.
    pub before: Option<i64>,
}

/// Attempts, the newest first.
pub fn attempts(
    conn: &Connection,
    filter: &AttemptFilter,
    limit: usize,
) -> anyhow::Result<Vec<Named<Attempt>>> {
    // Named only if it is asked for, so that the index by time is used.
    let span = match (filter.from, filter.to) {
        (None, None) => "AND ?6 IS NULL AND ?7 IS NULL",
        _ => "AND created_at >= coalesce(?6, '') AND created_at < coalesce(?7, 'a')",
    };
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS}, coalesce((SELECT name FROM customers AS c
           WHERE c.id = call_attempts.customer_id), '')
         FROM call_attempts
         WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR disposition = ?2)
           AND (?3 IS NULL OR call_type = ?3) AND (?4 IS NULL OR customer_id = ?4)
           AND seq > 0 AND (?5 IS NULL OR seq < ?5) {span}
         ORDER BY seq DESC LIMIT {limit}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let values = params![
        filter.state.map(AttemptState::as_str),
        filter.disposition.map(Disposition::as_str),
        filter.call_type.map(CallType::as_str),
        filter.customer_id,
        filter.before,
        filter.from.map(instant_text),
        filter.to.map(instant_text)
    ];
    quarantine::listed(Place::Attempts, statement.query(values)?, |row| {
        let name = cells::lossy(row, ATTEMPT_COLUMNS.split(',').count())?;
        Ok(Named { name, assistant: None, row: attempt_from_row(row)? })
    })
}

/// The name of a customer; empty if the customer no longer exists.
pub fn name_of(conn: &Connection, customer_id: Option<i64>) -> anyhow::Result<String> {
    let sql = "SELECT coalesce((SELECT name FROM customers WHERE id = ?1), '')";
    Ok(conn.prepare_cached(sql)?.query_one([customer_id], |row| row.get(0))?)
}

/// The number of provider calls beyond the first of an attempt: phones that rang twice.
pub fn second_calls(conn: &Connection) -> anyhow::Result<i64> {
    Ok(conn.prepare_cached("SELECT count(*) FROM second_calls")?.query_one([], |row| row.get(0))?)
}

/// The number of ended calls of all time, by type and disposition.
pub fn ended(conn: &Connection) -> anyhow::Result<Vec<(String, String, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT call_type, disposition, count(*) FROM call_attempts
         WHERE state = 'ended' AND seq > 0 GROUP BY call_type, disposition",
    )?;
    let rows = statement
        .query_map([], |row| Ok((cells::lossy(row, 0)?, cells::lossy(row, 1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number of skipped occasions of all time, by type and reason.
pub fn skips(conn: &Connection) -> anyhow::Result<Vec<(String, String, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT call_type, reason, count(*) FROM call_queue WHERE status = 'skipped'
         GROUP BY call_type, reason",
    )?;
    let rows = statement
        .query_map([], |row| Ok((cells::lossy(row, 0)?, cells::lossy(row, 1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many customers the file has.
pub fn customers(conn: &Connection) -> anyhow::Result<i64> {
    Ok(conn.prepare_cached("SELECT count(*) FROM customers")?.query_one([], |row| row.get(0))?)
}

/// The sequence number of the newest attempt; 0 if there is none.
pub fn newest_seq(conn: &Connection) -> anyhow::Result<i64> {
    let sql = "SELECT coalesce(max(seq), 0) FROM call_attempts";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// The first attempts of occasions with a sequence number above `seq`. Returns sequence number,
/// type, and the seconds from the occasion's instant to the dialing.
pub fn lateness(conn: &Connection, seq: i64) -> anyhow::Result<Vec<(i64, String, f64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT made.seq, made.call_type, made.created_at, item.scheduled_for
         FROM call_attempts AS made JOIN call_queue AS item ON item.id = made.queue_id
         WHERE ?1 < made.seq AND made.attempt_no = 1 ORDER BY made.seq LIMIT 10000",
    )?;
    let mut found = Vec::new();
    let mut rows = statement.query([seq])?;
    while let Some(row) = rows.next()? {
        let (began, due) = (cells::lossy(row, 2)?, cells::lossy(row, 3)?);
        if let (Some(began), Some(due)) = (parse_instant(&began), parse_instant(&due)) {
            let seconds = (began - due).num_milliseconds() as f64 / 1000.0;
            found.push((row.get(0)?, cells::lossy(row, 1)?, seconds));
        }
    }
    Ok(found)
}
