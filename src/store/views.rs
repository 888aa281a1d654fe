//! The queries behind lists, counts and the page: read only, the same for the command line and the
//! web. Decides nothing.

pub mod audit;
pub mod callable;
pub mod causes;
pub mod contact;
pub mod locations;
pub mod next_call;
pub mod occasions;
pub mod page;
pub mod report;

use rusqlite::{Connection, params};

use crate::domain::call::{CallType, ItemStatus};
use crate::domain::{Instant, instant_text};
use crate::store::Store;
use crate::store::attempts::{ATTEMPT_COLUMNS, Attempt, attempt_from_row};
use crate::store::cells;
use crate::store::file::side_files;
use crate::store::quarantine::{self, Place};
use crate::store::queue::{ITEM_COLUMNS, Item, item_from_row};

/// A count of one kind of event, with its word.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    /// A reason, a disposition, or `scheduled` for items that only wait for their instant.
    pub word: String,
    pub count: i64,
}

/// Calls and items since an instant.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Today {
    /// Calls that the provider accepted. A call in doubt is not known to be one.
    pub called: i64,
    /// Of those, ended as answered.
    pub reached: i64,
    /// Ended calls by disposition.
    pub dispositions: Vec<Count>,
    /// Items that ended as failed, without those in doubt.
    pub failed: i64,
    /// Items that ended without a call, by reason.
    pub skipped: Vec<Count>,
}

/// All items of a customer, in every status, by id.
pub fn items_of_customer(conn: &Connection, customer_id: i64) -> anyhow::Result<Vec<Item>> {
    let sql = format!("SELECT {ITEM_COLUMNS} FROM call_queue WHERE customer_id = ?1 ORDER BY id");
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Queue, statement.query([customer_id])?, item_from_row)
}

/// A customer's calls, the newest first.
pub fn calls_of_customer(
    conn: &Connection,
    customer_id: i64,
    limit: usize,
) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts WHERE customer_id = ?1
         ORDER BY created_at DESC, seq DESC LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query(params![customer_id, limit as i64])?;
    quarantine::listed(Place::Attempts, rows, attempt_from_row)
}

/// An item in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedItem {
    pub item: Item,
    /// `None`: the customer no longer exists.
    pub customer_name: Option<String>,
    pub timezone: Option<String>,
    /// The customer's own assistant by name.
    pub assistant: Option<String>,
}

/// Which items a list shows. `None` = all.
#[derive(Clone, Copy, Debug, Default)]
pub struct ItemFilter {
    pub status: Option<ItemStatus>,
    pub call_type: Option<CallType>,
    /// Only open items: waiting, or with an attempt in flight.
    pub open: bool,
}

/// Items by their instant: the soonest first for `open`, else the newest first.
pub fn items(
    conn: &Connection,
    filter: &ItemFilter,
    limit: usize,
) -> anyhow::Result<Vec<ListedItem>> {
    let columns: Vec<String> =
        ITEM_COLUMNS.split(',').map(|column| format!("item.{}", column.trim())).collect();
    let order = if filter.open { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {}, person.name, person.timezone, person.assistant FROM call_queue AS item
           LEFT JOIN customers AS person ON person.id = item.customer_id
         WHERE (?1 IS NULL OR item.status = ?1) AND (?2 IS NULL OR item.call_type = ?2)
           AND (NOT ?3 OR item.status IN ('pending', 'retrying', 'processing'))
         ORDER BY item.scheduled_for {order}, item.id {order} LIMIT ?4",
        columns.join(", ")
    );
    let width = columns.len();
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query(params![
        filter.status.map(ItemStatus::as_str),
        filter.call_type.map(CallType::as_str),
        filter.open,
        limit as i64
    ])?;
    quarantine::listed(Place::Queue, rows, |row| {
        let item = item_from_row(row)?;
        let customer_name = cells::optional_lossy(row, width)?;
        let timezone = cells::optional_lossy(row, width + 1)?;
        let assistant = cells::optional_lossy(row, width + 2)?;
        Ok(ListedItem { item, customer_name, timezone, assistant })
    })
}

/// The items that the dialer considers: those that wait, in the words of the index that finds the
/// next one.
pub(super) const OPEN: &str =
    "status IN ('pending', 'retrying') AND call_type IN ('welcome', 'daily', 'extra')";

/// How many items are due now, for any reason.
pub fn due(conn: &Connection, now: Instant) -> anyhow::Result<i64> {
    let sql = format!(
        "SELECT count(*) FROM call_queue
         WHERE {OPEN} AND coalesce(not_before, scheduled_for) <= ?1"
    );
    Ok(conn.prepare_cached(&sql)?.query_one([instant_text(now)], |row| row.get(0))?)
}

/// Counts of waiting items, by what they wait for.
pub fn waiting(conn: &Connection) -> anyhow::Result<Vec<Count>> {
    counts(
        conn,
        "SELECT coalesce(reason, iif(status = 'retrying', 'retry', 'scheduled')), count(*)
         FROM call_queue WHERE status IN ('pending', 'retrying') AND ?1 <> ''
         GROUP BY 1 ORDER BY 2 DESC, 1",
        "waiting",
    )
}

/// The calls and skips since an instant. Rows that an erasure added to keep a flag have a number
/// below 0; they were not calls.
pub fn today(conn: &Connection, since: Instant) -> anyhow::Result<Today> {
    let since = instant_text(since);
    let called = conn
        .prepare_cached(
            "SELECT count(*) FROM call_attempts
             WHERE ?1 <= created_at AND state IN ('placed', 'ended') AND seq > 0",
        )?
        .query_one([&since], |row| row.get(0))?;
    let dispositions = counts(
        conn,
        "SELECT disposition, count(*) FROM call_attempts
         WHERE ?1 <= created_at AND state = 'ended' AND seq > 0 GROUP BY 1 ORDER BY 2 DESC, 1",
        &since,
    )?;
    let reached = dispositions.iter().find(|count| count.word == "answered");
    let reached = reached.map_or(0, |count| count.count);
    let failed = conn
        .prepare_cached(
            "SELECT count(*) FROM call_queue WHERE status = 'failed' AND ?1 <= processed_at
               AND reason IS NOT 'in_doubt'",
        )?
        .query_one([&since], |row| row.get(0))?;
    let skipped = counts(
        conn,
        "SELECT reason, count(*) FROM call_queue
         WHERE status = 'skipped' AND ?1 <= processed_at GROUP BY 1 ORDER BY 2 DESC, 1",
        &since,
    )?;
    Ok(Today { called, reached, dispositions, failed, skipped })
}

/// Bytes of the database and of its WAL; 0 for a missing file.
pub fn sizes(store: &Store) -> (u64, u64) {
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |about| about.len());
    (size(store.path()), size(&side_files::beside(store.path(), "-wal")))
}

/// The WAL size in bytes from which a reader evidently blocks checkpoints. A WAL usually has some
/// thousand pages.
const LONG_LOG_BYTES: u64 = 256 << 20;

/// The problem of a WAL of this size, in words; `None`: no problem.
pub fn long_log(wal_bytes: u64) -> Option<String> {
    (LONG_LOG_BYTES <= wal_bytes).then(|| {
        format!(
            "the write-ahead log has grown to {} MiB: some program keeps a read transaction open; \
             end that program before the disk is full",
            wal_bytes >> 20
        )
    })
}

fn counts(conn: &Connection, sql: &str, value: &str) -> anyhow::Result<Vec<Count>> {
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map([value], |row| {
        let word = cells::optional_lossy(row, 0)?;
        Ok(Count { word: word.unwrap_or_else(|| "unknown".to_string()), count: row.get(1)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
