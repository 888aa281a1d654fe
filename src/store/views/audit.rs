//! The queries of an audit. They share nothing with the scan, the gate or the claim. Read only, all
//! as of one moment.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::cells;
use crate::store::journal::facts::{self, EntryFacts};
use crate::store::meta::marks;
use crate::store::quarantine::{self, Place};

/// The fields of a customer that decide which calls were due. Texts are unchanged from the file.
#[derive(Clone, Debug)]
pub struct AuditCustomer {
    pub id: i64,
    pub timezone: String,
    pub call_time: Option<String>,
    pub call_schedule: Option<String>,
    pub payment_status: String,
    pub call_status: String,
    pub phone_validated: bool,
    pub welcomed: bool,
    pub last_call_date: Option<String>,
    pub next_call_at: Option<Instant>,
    pub eligible_from: Option<Instant>,
    pub created_at: Instant,
}

/// A queue item, with its texts unchanged.
#[derive(Clone, Debug)]
pub struct AuditItem {
    pub id: i64,
    pub customer_id: i64,
    pub call_type: String,
    pub occasion: String,
    pub status: String,
    pub reason: Option<String>,
    pub vapi_call_id: Option<String>,
    pub created_at: Instant,
    pub scheduled_for: Instant,
    pub expires_at: Option<Instant>,
    /// When it ended; `None` while it is open.
    pub ended_at: Option<Instant>,
}

/// A row of the ledger, with its texts unchanged.
#[derive(Clone, Debug)]
pub struct AuditAttempt {
    pub id: String,
    pub queue_id: Option<i64>,
    pub customer_id: Option<i64>,
    pub customer_key: String,
    pub call_type: String,
    pub occasion: String,
    pub attempt_no: i64,
    pub state: String,
    pub disposition: Option<String>,
    pub vapi_call_id: Option<String>,
    pub created_at: Instant,
}

/// The number of rows that an audit checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Size {
    pub customers: i64,
    pub queue_items: i64,
    pub attempts: i64,
}

/// Runs several queries as of one moment of the database.
pub fn in_one_moment<T>(
    conn: &Connection,
    f: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let tx = conn.unchecked_transaction()?;
    f(&tx)
}

pub fn size(conn: &Connection) -> anyhow::Result<Size> {
    let count = |table: &str| {
        conn.query_one(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
    };
    Ok(Size {
        customers: count("customers")?,
        queue_items: count("call_queue")?,
        attempts: count("call_attempts")?,
    })
}

/// Customers after an id, in the order of ids.
pub fn people(conn: &Connection, after: i64, limit: i64) -> anyhow::Result<Vec<AuditCustomer>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, timezone, call_time, call_schedule, payment_status, call_status,
           phone_validated, welcome_call_completed, last_call_date, next_call_scheduled_at,
           eligible_from, created_at
         FROM customers WHERE ?1 < id ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query([after, limit])?;
    quarantine::listed(Place::Customers, rows, |row| {
        Ok(AuditCustomer {
            id: row.get(0)?,
            timezone: row.get(1)?,
            call_time: row.get(2)?,
            call_schedule: row.get(3)?,
            payment_status: row.get(4)?,
            call_status: row.get(5)?,
            phone_validated: row.get(6)?,
            welcomed: row.get(7)?,
            last_call_date: row.get(8)?,
            next_call_at: cells::optional_instant(row, 9)?,
            eligible_from: cells::optional_instant(row, 10)?,
            created_at: cells::instant(row, 11)?,
        })
    })
}

/// All items of one customer.
pub fn entries_of(conn: &Connection, customer_id: i64) -> anyhow::Result<Vec<AuditItem>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, customer_id, call_type, occasion, status, reason, vapi_call_id, created_at,
           scheduled_for, expires_at, processed_at
         FROM call_queue WHERE customer_id = ?1 ORDER BY id",
    )?;
    let rows = statement.query([customer_id])?;
    quarantine::listed(Place::Queue, rows, |row| {
        Ok(AuditItem {
            id: row.get(0)?,
            customer_id: row.get(1)?,
            call_type: row.get(2)?,
            occasion: row.get(3)?,
            status: row.get(4)?,
            reason: row.get(5)?,
            vapi_call_id: row.get(6)?,
            created_at: cells::instant(row, 7)?,
            scheduled_for: cells::instant(row, 8)?,
            expires_at: cells::optional_instant(row, 9)?,
            ended_at: cells::optional_instant(row, 10)?,
        })
    })
}

const DIALING_COLUMNS: &str = "id, customer_id, customer_key, call_type, occasion, attempt_no, \
     state, disposition, vapi_call_id, created_at, queue_id, seq";

fn dialings(
    conn: &Connection,
    rest: &str,
    values: &[&dyn rusqlite::ToSql],
) -> anyhow::Result<Vec<AuditAttempt>> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {DIALING_COLUMNS} FROM call_attempts {rest}"))?;
    let rows = statement.query(values)?;
    quarantine::listed(Place::Attempts, rows, |row| {
        Ok(AuditAttempt {
            id: row.get(0)?,
            customer_id: row.get(1)?,
            customer_key: row.get(2)?,
            call_type: row.get(3)?,
            occasion: row.get(4)?,
            attempt_no: row.get(5)?,
            state: row.get(6)?,
            disposition: row.get(7)?,
            vapi_call_id: row.get(8)?,
            created_at: cells::instant(row, 9)?,
            queue_id: row.get(10)?,
        })
    })
}

/// All attempts of one customer, in the order in which they were made.
pub fn dialings_of(conn: &Connection, customer_id: i64) -> anyhow::Result<Vec<AuditAttempt>> {
    dialings(conn, "WHERE customer_id = ?1 ORDER BY seq", params![customer_id])
}

/// Attempts of customers that the file no longer has, in the order of the ledger. The rest of a
/// flag after an erasure has a negative sequence number and was not a call.
pub fn dialings_of_nobody(conn: &Connection) -> anyhow::Result<Vec<AuditAttempt>> {
    let gone = "WHERE 0 < seq AND (customer_id IS NULL
        OR customer_id NOT IN (SELECT id FROM customers)) ORDER BY seq";
    dialings(conn, gone, params![])
}

/// What reconciling stored about a call that listings lack.
#[derive(Clone, Copy, Debug)]
pub struct Unlisted {
    pub listings: i64,
    pub last_missed_at: Instant,
}

/// Calls since an instant that complete listings lacked, of customers that the file still has.
pub fn unlisted(
    conn: &Connection,
    since: Instant,
) -> anyhow::Result<Vec<(AuditAttempt, Unlisted)>> {
    let mut statement = conn.prepare_cached(
        "SELECT attempt_id, listings, last_missed_at FROM unlisted_calls ORDER BY attempt_id",
    )?;
    let seen = statement.query_map([], |row| {
        let listings = row.get(1)?;
        let last_missed_at = cells::instant(row, 2)?;
        Ok((row.get::<_, String>(0)?, Unlisted { listings, last_missed_at }))
    })?;
    let mut found = Vec::new();
    for line in seen {
        let (id, unlisted) = line?;
        let rest = "WHERE id = ?1 AND ?2 < created_at AND customer_id IS NOT NULL";
        let made = dialings(conn, rest, params![id, instant_text(since)])?.pop();
        found.extend(made.map(|made| (made, unlisted)));
    }
    Ok(found)
}

/// Calls that the provider accepted between two instants, of customers that the file still has. A
/// customer who was erased here may have been erased there too. Calls that `importer` added were
/// made by another scheduler.
pub fn dialings_between(
    conn: &Connection,
    from: Instant,
    until: Instant,
    importer: &str,
) -> anyhow::Result<Vec<AuditAttempt>> {
    let rest = format!(
        "AS made WHERE ?1 < created_at AND created_at < ?2 AND customer_id IS NOT NULL
           AND (vapi_call_id IS NOT NULL OR phone_number_id IS NOT NULL)
           AND state IN ('placed', 'ended')
           AND NOT {}
         ORDER BY seq",
        imported("made", "?3")
    );
    dialings(conn, &rest, params![instant_text(from), instant_text(until), importer])
}

/// The SQL condition that an attempt came with the file of another scheduler.
fn imported(attempt: &str, importer: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM journal
           WHERE subject = 'attempt:' || {attempt}.id AND old IS NULL AND who = {importer})"
    )
}

/// Calls at a number where another customer was called for the same occasion before. Omits them if
/// both customers' remaining rows mark the number as shared, or if one did once, according to the
/// journal. Omits calls not made here: the rest of a flag after an erasure, with its negative
/// sequence number, and those that `importer` added.
///
/// The query first finds the numbers of two people. In a ledger of years, checking every earlier
/// call of a number for each of its calls takes hours.
pub fn dialings_of_a_number_before(
    conn: &Connection,
    importer: &str,
) -> anyhow::Result<Vec<AuditAttempt>> {
    let rang = "state IN ('placed', 'ended') AND coalesce(disposition, '') <> 'never_dialed'";
    let rest = format!(
        "AS later WHERE call_type <> 'extra' AND phone_key <> '' AND {rang}
         AND (phone_key, call_type, occasion) IN (
           SELECT phone_key, call_type, occasion FROM call_attempts
           GROUP BY 1, 2, 3 HAVING min(customer_key) < max(customer_key))
         AND EXISTS (
           SELECT 1 FROM call_attempts AS made
             LEFT JOIN customers AS one ON one.id = made.customer_id
             LEFT JOIN customers AS two ON two.id = later.customer_id
           WHERE made.phone_key = later.phone_key AND made.call_type = later.call_type
             AND made.occasion = later.occasion AND made.customer_key <> later.customer_key
             AND 0 < made.seq AND made.seq < later.seq AND made.{rang_there}
             AND NOT (coalesce(one.shared_phone, 1) AND coalesce(two.shared_phone, 1))
             AND NOT EXISTS (
               SELECT 1 FROM journal JOIN journal_facts AS its ON its.journal_id = journal.id,
                 json_each(its.facts, '$.fields') AS field
               WHERE field.value = 'shared_phone' AND subject IN
                 ('customer:' || made.customer_id, 'customer:' || later.customer_id)))
         AND NOT {}
         ORDER BY seq",
        imported("later", "?1"),
        rang_there = rang.replace("(disposition", "(made.disposition"),
    );
    dialings(conn, &rest, params![importer])
}

/// The attempt that a provider's call belongs to, by the call's id or by our own.
pub fn dialing_of_call(
    conn: &Connection,
    call_id: &str,
    attempt_id: &str,
) -> anyhow::Result<Option<AuditAttempt>> {
    let rest = "WHERE vapi_call_id = ?1 OR id = ?2 ORDER BY vapi_call_id = ?1 DESC LIMIT 1";
    Ok(dialings(conn, rest, params![call_id, attempt_id])?.pop())
}

/// The journal's edits of a customer's schedule or past calls, and the customer's creation by hand.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    pub created: Option<(Instant, EntryFacts)>,
    pub latest: Option<(Instant, EntryFacts)>,
}

/// Fields whose edit moves an occasion or changes which dates count as called.
const MOVING: [&str; 6] = [
    "timezone",
    "call_time",
    "call_schedule",
    "next_call_scheduled_at",
    "last_call_date",
    "welcome_call_completed",
];

/// The edits of every customer that moved an occasion.
pub fn edits(conn: &Connection) -> anyhow::Result<HashMap<i64, Edits>> {
    let mut statement = conn.prepare_cached(
        "SELECT CAST(substr(subject, 10) AS INTEGER), at, its.facts, journal.id
         FROM journal JOIN journal_facts AS its ON its.journal_id = journal.id
         WHERE subject GLOB 'customer:[0-9]*' AND what = 'customer'
         ORDER BY journal.id",
    )?;
    let rows = statement.query([])?;
    let found = quarantine::listed(Place::Journal, rows, |row| {
        let facts = facts::read(cells::optional_lossy(row, 2)?);
        Ok((row.get::<_, i64>(0)?, cells::instant(row, 1)?, facts))
    })?;
    let mut edits: HashMap<i64, Edits> = HashMap::new();
    for (id, at, facts) in found {
        let known = edits.entry(id).or_default();
        if facts.is_created {
            known.created = Some((at, facts));
        } else if facts.fields.iter().any(|field| MOVING.contains(&field.as_str())) {
            known.latest = Some((at, facts));
        }
    }
    Ok(edits)
}

/// How often the retry rule of its time reopened each item, according to the journal.
pub fn retries_permitted(conn: &Connection) -> anyhow::Result<HashMap<i64, usize>> {
    let mut statement = conn.prepare_cached(
        "SELECT CAST(substr(subject, 6) AS INTEGER), count(*) FROM journal
         WHERE what = 'item' AND who = 'follow' AND old = 'completed' AND new = 'retrying'
         GROUP BY subject",
    )?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Since when a pause of welcome calls lasts; `None`: they are not paused.
pub fn welcome_paused(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    let mut statement = conn.prepare_cached(
        "SELECT json_extract(value, '$.since') FROM meta WHERE key = 'pause:type:welcome'",
    )?;
    let since: Option<String> = statement.query_one([], |row| row.get(0)).optional()?;
    Ok(since.as_deref().and_then(parse_instant))
}

/// An import of a file.
#[derive(Clone, Debug)]
pub struct Import {
    pub at: Instant,
    pub who: String,
    pub facts: EntryFacts,
}

/// Every import, the newest first.
pub fn imports(conn: &Connection) -> anyhow::Result<Vec<Import>> {
    let mut statement = conn.prepare_cached(
        "SELECT at, who, its.facts, journal.id
         FROM journal LEFT JOIN journal_facts AS its ON its.journal_id = journal.id
         WHERE what = 'import' ORDER BY journal.id DESC",
    )?;
    quarantine::listed(Place::Journal, statement.query([])?, |row| {
        Ok(Import {
            at: cells::instant(row, 0)?,
            who: cells::lossy(row, 1)?,
            facts: facts::read(cells::optional_lossy(row, 2)?),
        })
    })
}

/// The instant of the last complete scan; later occasions wait for the next scan.
pub fn last_scan(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    marks::mark(conn, marks::Mark::LastScan)
}
