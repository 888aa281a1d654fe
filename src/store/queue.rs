//! The queue: due customers become items, items become claims. Every update of an item names the
//! state that the item leaves, and returns whether it happened.

pub mod dedupe;
pub mod import;
pub mod insert;
pub mod paused;
pub mod transitions;

use chrono::{Duration, NaiveDate};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Rows, Transaction, params};

use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::cells::{self, bad_text};
use crate::store::quarantine::{self, Place};

pub use crate::store::queue::insert::{NewItem, insert_extra, insert_once, insert_settled};

/// A row of `call_queue`.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub id: i64,
    pub customer_id: i64,
    pub call_type: CallType,
    pub occasion: String,
    pub scheduled_for: Instant,
    pub status: ItemStatus,
    /// Attempts that count against `max_attempts`.
    pub attempts: i64,
    pub max_attempts: i64,
    pub reason: Option<Reason>,
    pub error_message: Option<String>,
    pub vapi_call_id: Option<String>,
    /// The item waits until this instant; `None`: until `scheduled_for`.
    pub not_before: Option<Instant>,
    /// The last permitted instant; `None`: no limit, or not computed yet.
    pub expires_at: Option<Instant>,
    pub created_at: Instant,
    pub processed_at: Option<Instant>,
}

impl Item {
    /// The instant from which the item is due.
    pub fn due_at(&self) -> Instant {
        self.not_before.unwrap_or(self.scheduled_for)
    }

    /// The local date of a daily occasion.
    pub fn date(&self) -> Option<NaiveDate> {
        match self.call_type {
            CallType::Daily => self.occasion.parse().ok(),
            _ => None,
        }
    }
}

/// The columns that [`item_from_row`] reads, in its order.
pub const ITEM_COLUMNS: &str = "id, customer_id, call_type, occasion, scheduled_for, status, \
     attempts, max_attempts, reason, error_message, vapi_call_id, not_before, expires_at, \
     created_at, processed_at";

pub fn item_from_row(row: &Row<'_>) -> rusqlite::Result<Item> {
    let call_type: String = row.get(2)?;
    let status: String = row.get(5)?;
    let reason: Option<String> = row.get(8)?;
    Ok(Item {
        id: row.get(0)?,
        customer_id: row.get(1)?,
        call_type: CallType::parse(&call_type).ok_or_else(|| bad_text(2, &call_type))?,
        occasion: row.get(3)?,
        scheduled_for: cells::instant(row, 4)?,
        status: ItemStatus::parse(&status).ok_or_else(|| bad_text(5, &status))?,
        attempts: row.get(6)?,
        max_attempts: row.get(7)?,
        reason: cells::word(8, reason.as_deref(), Reason::parse)?,
        error_message: row.get(9)?,
        vapi_call_id: row.get(10)?,
        not_before: cells::optional_instant(row, 11)?,
        expires_at: cells::optional_instant(row, 12)?,
        created_at: cells::instant(row, 13)?,
        processed_at: cells::optional_instant(row, 14)?,
    })
}

pub fn item(conn: &Connection, id: i64) -> anyhow::Result<Option<Item>> {
    let sql = format!("SELECT {ITEM_COLUMNS} FROM call_queue WHERE id = ?1");
    quarantine::one(Place::Queue, conn.prepare_cached(&sql)?.query([id])?, item_from_row)
}

/// The item of an occasion, in any status.
pub fn item_of_occasion(
    conn: &Connection,
    customer_id: i64,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<Option<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS} FROM call_queue
         WHERE customer_id = ?1 AND call_type = ?2 AND occasion = ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query(params![customer_id, call_type.as_str(), occasion])?;
    quarantine::one(Place::Queue, rows, item_from_row)
}

/// A customer whose next call is due, as found by L1.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub customer_id: i64,
    pub timezone: String,
    pub payment_status: String,
    /// Daily: `next_call_scheduled_at`. Welcome: `created_at`.
    pub instant: Instant,
}

fn candidate_from_row(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        customer_id: row.get(0)?,
        timezone: row.get(1)?,
        payment_status: row.get(2)?,
        instant: cells::instant(row, 3)?,
    })
}

/// L1 for welcome calls: eligible, not called, signed up at `signed_up_until` or before, and not
/// queued yet. One eligible status per query, so that SQLite uses the index.
pub fn welcome_candidates(
    tx: &Transaction<'_>,
    payment_status: &str,
    signed_up_until: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let mut statement = tx.prepare_cached(
        "SELECT id, timezone, payment_status, created_at FROM customers
         WHERE payment_status = ?1 AND welcome_call_completed = 0 AND phone_validated = 1
           AND call_status NOT IN ('disabled', 'paused') AND created_at <= ?2
           AND NOT EXISTS (SELECT 1 FROM call_queue AS queued
             WHERE queued.customer_id = customers.id AND queued.call_type = 'welcome')
         ORDER BY created_at, id",
    )?;
    let rows = statement.query(params![payment_status, instant_text(signed_up_until)])?;
    quarantine::listed(Place::Customers, rows, candidate_from_row)
}

/// L1 for daily calls: eligible, welcomed, next call inside the span, and no open daily item. An
/// ended welcome item counts as welcomed, even if a person has reopened it.
pub fn daily_candidates(
    tx: &Transaction<'_>,
    payment_status: &str,
    from: Instant,
    to: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let mut statement = tx.prepare_cached(&daily_candidates_sql())?;
    let rows = statement.query(params![payment_status, instant_text(from), instant_text(to)])?;
    quarantine::listed(Place::Customers, rows, candidate_from_row)
}

/// The condition for a customer's daily calls to begin: the welcome call was made, or ended without
/// a call, or a person paused welcome calls, which must not stop the daily ones.
pub(super) const WELCOME_IS_OVER: &str = "(welcome_call_completed = 1
      OR EXISTS (SELECT 1 FROM call_queue AS welcome
        WHERE welcome.customer_id = customers.id AND welcome.call_type = 'welcome'
          AND (welcome.processed_at IS NOT NULL OR (welcome.status <> 'pending'
            AND welcome.status <> 'retrying' AND welcome.status <> 'processing')))
      OR EXISTS (SELECT 1 FROM meta WHERE key = 'pause:type:welcome'))";

fn daily_candidates_sql() -> String {
    format!(
        "
    SELECT id, timezone, payment_status, next_call_scheduled_at FROM customers
    WHERE payment_status = ?1 AND phone_validated = 1
      AND call_status NOT IN ('disabled', 'paused')
      AND (call_time IS NOT NULL OR call_schedule IS NOT NULL)
      AND ?2 <= next_call_scheduled_at AND next_call_scheduled_at <= ?3
      AND {WELCOME_IS_OVER}
      AND NOT EXISTS (SELECT 1 FROM call_queue AS open
        WHERE open.customer_id = customers.id AND open.call_type = 'daily'
          AND (open.status = 'pending' OR open.status = 'retrying'
            OR open.status = 'processing'))
    ORDER BY next_call_scheduled_at, id"
    )
}

/// The position of a pass over due items: a pass reads each item once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cursor {
    /// The instant of the last item, by which items are ordered. The exact bytes from the file:
    /// otherwise an item whose text has another form would return forever.
    due_at: Vec<u8>,
    id: i64,
}

impl Cursor {
    fn due_at(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Text(&self.due_at))
    }

    /// Reads the items of a query whose first value is the position, and moves there. The text by
    /// which items are ordered follows the item's own columns. Omits items that cannot be read.
    fn read(&mut self, rows: Rows<'_>) -> anyhow::Result<Vec<Item>> {
        let order = ITEM_COLUMNS.split(',').count();
        quarantine::listed(Place::Queue, rows, |row| {
            let due_at = row.get_ref(order)?.as_bytes()?.to_vec();
            *self = Cursor { due_at, id: row.get(0)? };
            item_from_row(row)
        })
    }

    /// Asks again while a query finds only items that cannot be read, so that an empty answer means
    /// that none is left.
    fn pass(
        &mut self,
        mut ask: impl FnMut(&mut Cursor) -> anyhow::Result<Vec<Item>>,
    ) -> anyhow::Result<Vec<Item>> {
        loop {
            let before = self.clone();
            let items = ask(self)?;
            if !items.is_empty() || *self == before {
                return Ok(items);
            }
        }
    }
}

/// The next due items of a type after the cursor, oldest first. Moves the cursor.
pub fn due(
    conn: &Connection,
    call_type: CallType,
    now: Instant,
    cursor: &mut Cursor,
    limit: usize,
) -> anyhow::Result<Vec<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS}, coalesce(not_before, scheduled_for) FROM call_queue
         WHERE status IN ('pending', 'retrying') AND call_type = ?1
           AND coalesce(not_before, scheduled_for) <= ?2
           AND (?3, ?4) < (coalesce(not_before, scheduled_for), id)
         ORDER BY coalesce(not_before, scheduled_for), id LIMIT ?5"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let (call_type, now) = (call_type.as_str(), instant_text(now));
    cursor.pass(|at| {
        let from = at.clone();
        let values = params![call_type, now, from.due_at(), from.id, limit as i64];
        at.read(statement.query(values)?)
    })
}

/// Due items of any type whose last permitted instant is before `until`, after the cursor, the
/// nearest first. Moves the cursor.
pub fn last_chance(
    conn: &Connection,
    now: Instant,
    until: Instant,
    cursor: &mut Cursor,
    limit: usize,
) -> anyhow::Result<Vec<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS}, expires_at FROM call_queue
         WHERE status IN ('pending', 'retrying') AND expires_at < ?2
           AND (?3, ?4) < (expires_at, id) AND coalesce(not_before, scheduled_for) <= ?1
         ORDER BY expires_at, id LIMIT ?5"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let (now, until) = (instant_text(now), instant_text(until));
    cursor.pass(|at| {
        let from = at.clone();
        let values = params![now, until, from.due_at(), from.id, limit as i64];
        at.read(statement.query(values)?)
    })
}

/// The instant after `after` at which the next item is due; `None` if none waits.
pub fn next_due(conn: &Connection, after: Instant) -> anyhow::Result<Option<Instant>> {
    let text: Option<String> = conn
        .prepare_cached(
            "SELECT min(coalesce(not_before, scheduled_for)) FROM call_queue
             WHERE status IN ('pending', 'retrying') AND call_type IN ('welcome', 'daily', 'extra')
               AND ?1 < coalesce(not_before, scheduled_for)",
        )?
        .query_one([instant_text(after)], |row| cells::optional_lossy(row, 0))?;
    Ok(text.and_then(|text| parse_instant(&text)))
}

/// The oldest due instant of the items that wait for a line; `None` if none does.
pub fn waits_for_a_line_since(conn: &Connection, now: Instant) -> anyhow::Result<Option<Instant>> {
    let text: Option<String> = conn
        .prepare_cached(
            "SELECT min(coalesce(not_before, scheduled_for)) FROM call_queue
             WHERE status IN ('pending', 'retrying') AND call_type IN ('welcome', 'daily', 'extra')
               AND reason = 'no_line' AND coalesce(not_before, scheduled_for) <= ?1",
        )?
        .query_one([instant_text(now)], |row| row.get(0))?;
    Ok(text.and_then(|text| parse_instant(&text)))
}

/// Waiting items whose last permitted instant is past. A daily item without one expires
/// `max_lateness` after its instant.
pub fn expired(
    conn: &Connection,
    now: Instant,
    max_lateness: Duration,
) -> anyhow::Result<Vec<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS} FROM call_queue
         WHERE status IN ('pending', 'retrying')
           AND (expires_at < ?1
             OR (expires_at IS NULL AND call_type = 'daily' AND scheduled_for < ?2))"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query([instant_text(now), instant_text(now - max_lateness)])?;
    quarantine::listed(Place::Queue, rows, item_from_row)
}

/// The open item of a customer and type; there is at most one.
pub fn open_item(
    conn: &Connection,
    customer_id: i64,
    call_type: CallType,
) -> anyhow::Result<Option<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS} FROM call_queue WHERE customer_id = ?1 AND call_type = ?2
           AND (status = 'pending' OR status = 'retrying' OR status = 'processing')"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query(params![customer_id, call_type.as_str()])?;
    quarantine::one(Place::Queue, rows, item_from_row)
}

/// Whether any item is due, for any reason.
pub fn is_anything_due(conn: &Connection, now: Instant) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM call_queue
             WHERE status IN ('pending', 'retrying') AND call_type IN ('welcome', 'daily', 'extra')
               AND coalesce(not_before, scheduled_for) <= ?1)",
        )?
        .query_one([instant_text(now)], |row| row.get(0))?)
}
