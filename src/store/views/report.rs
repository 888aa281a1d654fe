//! The occasions and calls of a span of time, for the report and the export. Read only, row by row,
//! so that a year of calls needs no memory. Does not judge. A row that cannot be read is left out and
//! counted.

use rusqlite::{Connection, Row, params};

use crate::domain::call::{CallType, Disposition, ItemStatus, Reason};
use crate::domain::{Instant, instant_text};
use crate::store::attempts::results::{CallResult, RESULT_COLUMNS, result_from_row};
use crate::store::attempts::{ATTEMPT_COLUMNS, Attempt, attempt_from_row};
use crate::store::cells::{self, bad_text};
use crate::store::quarantine::Place;
use crate::store::views::page::Span;

/// One occasion with the sums of its calls.
#[derive(Clone, Debug)]
pub struct ReportedOccasion {
    pub call_type: CallType,
    pub occasion: String,
    pub scheduled_for: Instant,
    /// `None`: a call that has no item.
    pub status: Option<ItemStatus>,
    pub reason: Option<Reason>,
    /// The customer's zone; `None` if the customer no longer exists.
    pub timezone: Option<String>,
    /// Attempts that the provider accepted.
    pub calls: i64,
    pub reached: bool,
    pub is_in_doubt: bool,
    /// How the last attempt ended.
    pub disposition: Option<Disposition>,
    pub seconds: f64,
    /// Calls whose duration is known.
    pub timed: i64,
    /// US dollars.
    pub cost: f64,
}

const SUMS: &str = "sum(a.state = 'placed' OR a.state = 'ended'), sum(a.disposition = 'answered'),
     sum(a.state = 'in_doubt'), sum(a.duration_seconds), count(a.duration_seconds), sum(a.cost),
     a.disposition, max(a.attempt_no)";

/// Every occasion that was scheduled in the span. Attempts of an erased customer are found by their
/// item, adopted ones by their occasion. Returns how many rows were left out.
pub fn occasions(
    conn: &Connection,
    span: Span,
    each: &mut dyn FnMut(ReportedOccasion),
) -> anyhow::Result<u64> {
    let mut left_out = 0;
    let of_items = format!(
        "SELECT q.call_type, q.occasion, q.scheduled_for, q.status, q.reason, c.timezone, {SUMS}
         FROM call_queue AS q LEFT JOIN customers AS c ON c.id = q.customer_id
           LEFT JOIN call_attempts AS a ON a.queue_id = q.id OR (a.queue_id IS NULL
             AND a.customer_id = q.customer_id AND a.call_type = q.call_type
             AND a.occasion = q.occasion)
         WHERE ?1 <= q.scheduled_for AND q.scheduled_for < ?2
         GROUP BY q.scheduled_for, q.id ORDER BY q.scheduled_for, q.id"
    );
    // Rows that an erasure added to keep a flag have a number below 0; they were not calls.
    let without_item = format!(
        "SELECT a.call_type, a.occasion, a.created_at, NULL, NULL, c.timezone, {SUMS}
         FROM call_attempts AS a LEFT JOIN customers AS c ON c.id = a.customer_id
         WHERE ?1 <= a.created_at AND a.created_at < ?2 AND a.queue_id IS NULL AND 0 < a.seq
           AND NOT EXISTS (SELECT 1 FROM call_queue AS q WHERE q.customer_id = a.customer_id
             AND q.call_type = a.call_type AND q.occasion = a.occasion)
         GROUP BY a.id ORDER BY a.created_at, a.seq"
    );
    for sql in [of_items, without_item] {
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([instant_text(span.from), instant_text(span.to)])?;
        while let Some(row) = rows.next()? {
            match occasion_from_row(row) {
                Ok(occasion) => each(occasion),
                Err(error) => left_out += is_odd(Place::Queue, row, error)?,
            }
        }
    }
    Ok(left_out)
}

/// One row for the count. `Err`: the row is not the cause of the error.
fn is_odd(place: Place, row: &Row<'_>, error: rusqlite::Error) -> rusqlite::Result<u64> {
    place.odd(row, error).map(|_| 1)
}

fn occasion_from_row(row: &Row<'_>) -> rusqlite::Result<ReportedOccasion> {
    let call_type: String = row.get(0)?;
    let status: Option<String> = row.get(3)?;
    let reason = cells::optional_lossy(row, 4)?;
    let disposition = cells::optional_lossy(row, 12)?;
    let count = |index| Ok::<i64, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.unwrap_or(0));
    Ok(ReportedOccasion {
        call_type: CallType::parse(&call_type).ok_or_else(|| bad_text(0, &call_type))?,
        occasion: row.get(1)?,
        scheduled_for: cells::instant(row, 2)?,
        status: match status {
            Some(status) => Some(ItemStatus::parse(&status).ok_or_else(|| bad_text(3, &status))?),
            None => None,
        },
        reason: reason.as_deref().and_then(Reason::parse),
        timezone: cells::optional_lossy(row, 5)?,
        calls: count(6)?,
        reached: 0 < count(7)?,
        is_in_doubt: 0 < count(8)?,
        seconds: row.get::<_, Option<f64>>(9)?.unwrap_or(0.0),
        timed: count(10)?,
        cost: row.get::<_, Option<f64>>(11)?.unwrap_or(0.0),
        disposition: disposition.as_deref().and_then(Disposition::parse),
    })
}

/// One attempt with its customer and its result, for the export.
#[derive(Clone, Debug)]
pub struct ExportedAttempt {
    pub attempt: Attempt,
    /// Name, external id and zone; `None` if the customer no longer exists.
    pub customer: Option<(String, Option<String>, String)>,
    /// Without its transcript.
    pub result: Option<CallResult>,
}

/// Every attempt of the span, the earliest first. Returns how many rows were left out.
pub fn attempts(
    conn: &Connection,
    span: Span,
    each: &mut dyn FnMut(ExportedAttempt) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let columns = ATTEMPT_COLUMNS.split(", ").map(|name| format!("a.{}", name.trim()));
    let sql = format!(
        "SELECT {}, c.name, c.external_id, c.timezone, {} FROM call_attempts AS a
           LEFT JOIN customers AS c ON c.id = a.customer_id
           LEFT JOIN call_results AS r ON r.attempt_id = a.id
         WHERE ?1 <= a.created_at AND a.created_at < ?2 AND 0 < a.seq
         ORDER BY a.created_at, a.seq",
        columns.collect::<Vec<_>>().join(", "),
        RESULT_COLUMNS.replace("r.transcript", "NULL"),
    );
    let first = ATTEMPT_COLUMNS.split(',').count();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([instant_text(span.from), instant_text(span.to)])?;
    let mut left_out = 0;
    while let Some(row) = rows.next()? {
        match exported_from_row(row, first) {
            Ok(exported) => each(exported)?,
            Err(error) => left_out += is_odd(Place::Attempts, row, error)?,
        }
    }
    Ok(left_out)
}

/// `first`: the first column after those of the attempt.
fn exported_from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<ExportedAttempt> {
    let customer = match cells::optional_lossy(row, first)? {
        Some(name) => {
            let external_id = cells::optional_lossy(row, first + 1)?;
            Some((name, external_id, cells::lossy(row, first + 2)?))
        }
        None => None,
    };
    let result = result_from_row(row, first + 3)?;
    Ok(ExportedAttempt { attempt: attempt_from_row(row)?, customer, result })
}

/// The names of all structured values of the span, in order; at most `limit`.
pub fn structured_names(conn: &Connection, span: Span, limit: i64) -> anyhow::Result<Vec<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT DISTINCT value.key FROM call_attempts AS a
           JOIN call_results AS r ON r.attempt_id = a.id,
             json_each(iif(json_valid(r.structured), r.structured, '{}')) AS value
         WHERE ?1 <= a.created_at AND a.created_at < ?2 ORDER BY value.key LIMIT ?3",
    )?;
    let found = statement
        .query_map(params![instant_text(span.from), instant_text(span.to), limit], |row| {
            cells::lossy(row, 0)
        })?;
    Ok(found.collect::<Result<_, _>>()?)
}
