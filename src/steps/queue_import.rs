//! Takes an export of the old call_queue over: all of it or nothing, duplicates by the usual rule.
//!
//! What the old scheduler completed is never called again; what it left in the middle comes in as
//! in doubt. Refuses the file for one bad row, and a row of a customer who is not here.

use std::collections::HashMap;
use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::call::{
    AttemptState, CallType, Disposition, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::domain::fields::shown;
use crate::steps::import_file::file_name;
use crate::steps::import_report::{Outcome, Problem};
use crate::steps::queue_rows::{OldRow, OldStatus, read};
use crate::steps::{Context, dial};
use crate::store::attempts::{self, Attempt};
use crate::store::customers::by_external_id;
use crate::store::queue;
use crate::store::queue_import::{self as rows, Incoming};
use crate::store::{Conn, Tx, facts, journal, meta};

pub const WHO: &str = "queue import";

/// What an import of a queue did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub outcome: Outcome,
    /// Rows that came in and are in the queue now.
    pub imported: usize,
    /// Rows whose occasion was here already.
    pub known: usize,
    /// Rows that went to `call_queue_duplicates`.
    pub duplicates: usize,
    /// Of the imported: in doubt, because the old scheduler had not finished them.
    pub in_doubt: usize,
    /// Of the imported: calls that the ledger knows now.
    pub called: usize,
    pub bad: usize,
    pub problems: Vec<Problem>,
}

/// A row whose customer and occasion are known.
struct Placed {
    row: OldRow,
    customer: Customer,
    occasion: String,
    date: Option<NaiveDate>,
}

/// Imports a file. With bad rows nothing is written.
pub fn import(cx: &Context, path: &Path, now: Instant) -> anyhow::Result<Report> {
    let (old, problems) = read(path)?;
    let mut report = Report { problems, ..Report::default() };
    let placed = cx.store.read(|conn| place(cx, conn, old, &mut report))?;
    report.problems.sort_by_key(|problem| problem.line);
    report.bad = report.problems.len();
    if 0 < report.bad {
        report.outcome = Outcome::Refused;
        return Ok(report);
    }
    cx.store.write(|tx| {
        take_in(cx, tx, &placed, &mut report, now)?;
        note(tx, path, &report, now)
    })?;
    report.outcome = Outcome::Applied;
    Ok(report)
}

/// Finds each row's customer and occasion. A daily occasion is the date of its instant in the
/// customer's zone.
fn place(
    cx: &Context,
    conn: &Conn,
    old: Vec<OldRow>,
    report: &mut Report,
) -> anyhow::Result<Vec<Placed>> {
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
            report.problems.push(Problem { line: row.line, column, reason });
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
        placed.push(Placed { row, customer, occasion, date });
    }
    Ok(placed)
}

fn take_in(
    cx: &Context,
    tx: &Tx<'_>,
    placed: &[Placed],
    report: &mut Report,
    now: Instant,
) -> anyhow::Result<()> {
    // What is here already is not judged again: it was kept, or moved out, before.
    let mut new = Vec::new();
    for placed in placed {
        let (id, call_type) = (placed.customer.id, placed.row.call_type);
        match rows::is_known(tx, id, call_type, &placed.occasion)? {
            true => report.known += 1,
            false => new.push(placed),
        }
    }
    let has_open = |placed: &Placed| queue::open_item(tx, placed.customer.id, placed.row.call_type);
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

/// The row as it was. A call that waits here already is not pushed out by an older one: that one
/// comes in as cancelled.
fn incoming<'a>(cx: &Context, placed: &'a Placed, open: bool, now: Instant) -> Incoming<'a> {
    let row = &placed.row;
    // A waiting row with a provider's id was called: nobody is called again for it.
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
        // Not among the open items from the start: each such row is a doubt of its own date.
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

/// What a kept row means: a call in the ledger, a doubt, or just a row.
fn settle(
    cx: &Context,
    tx: &Tx<'_>,
    item: &queue::Item,
    placed: &Placed,
    report: &mut Report,
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
    // A call that was placed counts as called, whatever the old scheduler made of its end.
    if item.status == ItemStatus::Completed || row.vapi_call_id.is_some() {
        rows::mark_called(tx, placed.customer.id, row.call_type, placed.date, now)?;
    }
    Ok(())
}

fn attempt(
    cx: &Context,
    tx: &Tx<'_>,
    item: &queue::Item,
    placed: &Placed,
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
        seq: meta::next_seq(tx)?,
        queue_id: Some(item.id),
        customer_id: Some(customer.id),
        customer_key: customer.key.clone(),
        call_type: row.call_type,
        occasion: placed.occasion.clone(),
        attempt_no: facts::next_attempt_no(tx, customer.id, row.call_type, &placed.occasion)?,
        phone: Some(customer.phone.clone()),
        phone_key: cx.installation.phone_key(&customer.phone),
        state,
        vapi_call_id: row.vapi_call_id.clone().filter(|_| is_over),
        // How the call ended is not known, and an unknown end permits no retry.
        disposition: is_over.then_some(Disposition::Unknown),
        ended_at: is_over.then_some(began),
        error_message: Some(format!("{said}imported from the old queue, line {}", row.line)),
        created_at: began,
        updated_at: now,
        ..Attempt::default()
    })
}

fn note(tx: &Tx<'_>, path: &Path, report: &Report, now: Instant) -> anyhow::Result<()> {
    let subject = format!("file:{}", file_name(path));
    let summary = summary(report);
    let new = Some(summary.as_str());
    let entry =
        journal::Entry { who: WHO, what: "import", subject: &subject, new, ..Default::default() };
    journal::add(tx, now, entry)
}

/// `4 imported (1 in doubt, 2 called), 3 duplicates moved, 0 known already, 0 bad`
pub fn summary(report: &Report) -> String {
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
