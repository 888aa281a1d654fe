//! Imports an export of the old call_queue, completely or not at all. The usual rule handles
//! duplicates.
//!
//! A call that the old scheduler completed is never made again. A call that it left unfinished is
//! imported in doubt. One bad row, or a row of an unknown customer, refuses the whole file.

use std::collections::HashMap;
use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::call::{
    AttemptState, CallType, Disposition, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::domain::customer::columns::shown;
use crate::steps::import::queue_rows::{OldRow, OldStatus, read};
use crate::steps::import::report::{ImportOutcome, RowProblem};
use crate::steps::import::sheet::file_name;
use crate::steps::{Context, dial};
use crate::store::attempts::{self, Attempt, history};
use crate::store::customers::by_external_id;
use crate::store::meta::sequence;
use crate::store::queue;
use crate::store::queue::import::{self as rows, Incoming};
use crate::store::{Conn, Tx, journal};

pub const WHO: &str = "queue import";

/// The result of a queue import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QueueImportReport {
    pub outcome: ImportOutcome,
    /// Rows that were imported and are in the queue now.
    pub imported: usize,
    /// Rows whose occasion was already here.
    pub known: usize,
    /// Rows that were moved to `call_queue_duplicates`.
    pub duplicates: usize,
    /// The imported rows in doubt, because the old scheduler had not finished them.
    pub in_doubt: usize,
    /// The imported rows that are calls in the ledger now.
    pub called: usize,
    pub bad: usize,
    pub problems: Vec<RowProblem>,
}

/// A row whose customer and occasion are known.
struct PlacedRow {
    row: OldRow,
    customer: Customer,
    occasion: String,
    date: Option<NaiveDate>,
}

/// Imports a file. If it has bad rows, nothing is written.
pub fn import(cx: &Context, path: &Path, now: Instant) -> anyhow::Result<QueueImportReport> {
    let (old, problems) = read(path)?;
    let mut report = QueueImportReport { problems, ..QueueImportReport::default() };
    let placed = cx.store.read(|conn| place(cx, conn, old, &mut report))?;
    report.problems.sort_by_key(|problem| problem.line);
    report.bad = report.problems.len();
    if report.bad > 0 {
        report.outcome = ImportOutcome::Refused;
        return Ok(report);
    }
    cx.store.write(|tx| {
        load_rows(cx, tx, &placed, &mut report, now)?;
        note(tx, path, &report, now)
    })?;
    report.outcome = ImportOutcome::Applied;
    Ok(report)
}

/// Finds each row's customer and occasion. A daily occasion is the local date of its instant in the
/// customer's zone.
fn place(
    cx: &Context,
    conn: &Conn,
    old: Vec<OldRow>,
    report: &mut QueueImportReport,
) -> anyhow::Result<Vec<PlacedRow>> {
    let mut known: HashMap<String, Option<Customer>> = HashMap::new();
    let mut placed = Vec::new();
    for row in old {
        let customer = match known.get(&row.customer) {
            Some(customer) => customer.clone(),
            None => {
                let customer = by_external_id(conn, &row.customer)?;
                known.insert(row.customer.clone(), customer.clone());
                customer
            }
        };
        let mut bad = |column: &str, reason: String| {
            let column = Some(column.to_string());
            report.problems.push(RowProblem { line: row.line, column, reason });
        };
        let Some(customer) = customer else {
            let who = shown(&row.customer);
            bad(
                "customer_id",
                format!("no customer has the external id \"{who}\": import them first"),
            );
            continue;
        };
        let Some(zone) = cx.zones.get(&customer.timezone) else {
            bad("customer_id", format!("the time zone {:?} is not known", customer.timezone));
            continue;
        };
        let date = (row.call_type == CallType::Daily).then(|| zone.date(row.scheduled_for));
        let occasion = date.map_or(WELCOME_OCCASION.to_string(), daily_occasion);
        placed.push(PlacedRow { row, customer, occasion, date });
    }
    Ok(placed)
}

fn load_rows(
    cx: &Context,
    tx: &Tx<'_>,
    placed: &[PlacedRow],
    report: &mut QueueImportReport,
    now: Instant,
) -> anyhow::Result<()> {
    // A row that is already here is not judged again. An earlier import kept it or moved it out.
    let mut new = Vec::new();
    for placed in placed {
        let (id, call_type) = (placed.customer.id, placed.row.call_type);
        if rows::is_known(tx, id, call_type, &placed.occasion)? {
            report.known += 1
        } else {
            new.push(placed)
        }
    }
    let has_open =
        |placed: &PlacedRow| queue::open_item(tx, placed.customer.id, placed.row.call_type);
    let mut inserted = Vec::new();
    let mut open = Vec::new();
    for placed in &new {
        open.push(has_open(placed)?.is_some());
    }
    rows::without_indexes(tx)?;
    for (placed, open) in new.iter().zip(open) {
        inserted.push((rows::insert(tx, &incoming(cx, placed, open, now), now)?, *placed));
    }
    report.duplicates = rows::clean(tx, now, WHO)?.moved;
    for (id, placed) in inserted {
        let Some(item) = queue::item(tx, id)? else { continue };
        report.imported += 1;
        settle(cx, tx, &item, placed, report, now)?;
    }
    Ok(())
}

/// The row as an item. An older call does not replace a call that already waits here: it is
/// imported as cancelled.
fn incoming<'a>(cx: &Context, placed: &'a PlacedRow, open: bool, now: Instant) -> Incoming<'a> {
    let row = &placed.row;
    // A waiting row with a provider's id was called, so the customer is not called again for it.
    let was_called = row.vapi_call_id.is_some();
    let (status, reason) = match row.status {
        OldStatus::Waiting | OldStatus::Retrying if was_called => {
            (ItemStatus::Completed, Some(Reason::AlreadyCalled))
        }
        OldStatus::Waiting | OldStatus::Retrying if open => {
            (ItemStatus::Skipped, Some(Reason::Cancelled))
        }
        OldStatus::Waiting => (ItemStatus::Pending, None),
        OldStatus::Retrying => (ItemStatus::Retrying, None),
        // Not `Processing`, which would be an open item: each such row is a doubt of its own date.
        OldStatus::Processing => (ItemStatus::Failed, Some(Reason::InDoubt)),
        OldStatus::Completed => (ItemStatus::Completed, None),
        OldStatus::Failed => (ItemStatus::Failed, None),
        OldStatus::Over => (ItemStatus::Skipped, Some(Reason::Cancelled)),
    };
    let max_attempts = row.max_attempts.unwrap_or(cx.rules.max_attempts);
    Incoming {
        customer_id: placed.customer.id,
        call_type: row.call_type,
        occasion: &placed.occasion,
        scheduled_for: row.scheduled_for,
        status,
        reason,
        attempts: row.attempts,
        max_attempts,
        error_message: row.error_message.as_deref(),
        vapi_call_id: row.vapi_call_id.as_deref(),
        created_at: row.created_at.unwrap_or(row.scheduled_for).min(now),
        processed_at: if status.is_active() { None } else { row.processed_at.or(Some(now)) },
    }
}

/// Records a kept row's call in the ledger or as a doubt. Other rows stay as they are.
fn settle(
    cx: &Context,
    tx: &Tx<'_>,
    item: &queue::Item,
    placed: &PlacedRow,
    report: &mut QueueImportReport,
    now: Instant,
) -> anyhow::Result<()> {
    let row = &placed.row;
    if row.status == OldStatus::Processing {
        report.in_doubt += 1;
        let doubt = attempt(cx, tx, item, placed, AttemptState::InDoubt, now)?;
        return attempts::insert(tx, &doubt, WHO);
    }
    let is_new = match &row.vapi_call_id {
        Some(call_id) => attempts::by_call_id(tx, call_id)?.is_none(),
        None => false,
    };
    if is_new {
        report.called += 1;
        attempts::insert(tx, &attempt(cx, tx, item, placed, AttemptState::Ended, now)?, WHO)?;
    }
    // A placed call counts as called, however the old scheduler classified its end.
    if item.status == ItemStatus::Completed || row.vapi_call_id.is_some() {
        rows::mark_called(tx, placed.customer.id, row.call_type, placed.date, now)?;
    }
    Ok(())
}

fn attempt(
    cx: &Context,
    tx: &Tx<'_>,
    item: &queue::Item,
    placed: &PlacedRow,
    state: AttemptState,
    now: Instant,
) -> anyhow::Result<Attempt> {
    let (row, customer) = (&placed.row, &placed.customer);
    let began = row.processed_at.unwrap_or(row.scheduled_for).min(now);
    let is_over = state == AttemptState::Ended;
    let said = match (&row.vapi_call_id, is_over) {
        (Some(id), false) => format!("the old scheduler was calling (call {}), ", shown(id)),
        (None, false) => "the old scheduler was calling, ".to_string(),
        (_, true) => String::new(),
    };
    Ok(Attempt {
        id: dial::new_id(now),
        seq: sequence::next_seq(tx)?,
        queue_id: Some(item.id),
        customer_id: Some(customer.id),
        customer_key: customer.key.clone(),
        call_type: row.call_type,
        occasion: placed.occasion.clone(),
        attempt_no: history::next_attempt_no(tx, customer.id, row.call_type, &placed.occasion)?,
        phone: Some(customer.phone.clone()),
        phone_key: cx.installation.phone_key(&customer.phone),
        state,
        vapi_call_id: row.vapi_call_id.clone().filter(|_| is_over),
        // The call's disposition is unknown, and an unknown disposition permits no retry.
        disposition: is_over.then_some(Disposition::Unknown),
        ended_at: is_over.then_some(began),
        error_message: Some(format!("{said}imported from the old queue, line {}", row.line)),
        created_at: began,
        updated_at: now,
        ..Attempt::default()
    })
}

fn note(tx: &Tx<'_>, path: &Path, report: &QueueImportReport, now: Instant) -> anyhow::Result<()> {
    let subject = format!("file:{}", file_name(path));
    let summary = summary(report);
    let new = Some(summary.as_str());
    let entry =
        journal::Entry { who: WHO, what: "import", subject: &subject, new, ..Default::default() };
    journal::add(tx, now, entry)
}

/// `4 imported (1 in doubt, 2 called), 3 duplicates moved, 0 known already, 0 bad`
pub fn summary(report: &QueueImportReport) -> String {
    format!(
        "{} imported ({} in doubt, {} called), {} duplicates moved, {} known already, {} bad",
        report.imported,
        report.in_doubt,
        report.called,
        report.duplicates,
        report.known,
        report.bad
    )
}
