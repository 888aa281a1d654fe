//! Records dates that passed without a call, each as a row with its reason.

use chrono::{Duration, NaiveDate};

use crate::domain::calendar::schedule::Rhythm;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, ItemStatus, Reason, daily_occasion};
use crate::domain::customer::Customer;
use crate::domain::{Instant, parse_instant};
use crate::steps::Context;
use crate::steps::occasions::next;
use crate::store::Tx;
use crate::store::attempts::history;
use crate::store::customers;
use crate::store::meta::pauses;
use crate::store::queue::{self, NewItem};
use crate::store::transaction::Moved;

/// Missed dates are recorded at most this many days back.
const MISSED_DAYS: i64 = 31;

/// Inserts a row with `reason` for each free date between two instants while the customer was
/// eligible. Returns how many rows were written.
pub fn record_missed(
    cx: &Context,
    tx: &Tx<'_>,
    (customer, reason): (&Customer, Reason),
    was_due: Instant,
    until: Instant,
    now: Instant,
) -> anyhow::Result<usize> {
    let Some((rhythm, zone)) = next::rhythm(cx, customer) else { return Ok(0) };
    let slots = slots(&rhythm, &zone, since(customer, was_due, now), until);
    record(cx, tx, customer, (&zone, slots), (|_| reason, now))
}

/// Records the dates before `until` that can no longer be called and that no scan recorded while a
/// customer was eligible: as paused from the customer's pause on, and as too late before it.
/// Returns how many rows were written.
pub fn record_overdue(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    was_due: Instant,
    until: Instant,
    now: Instant,
) -> anyhow::Result<usize> {
    let Some((rhythm, zone)) = next::rhythm(cx, customer) else { return Ok(0) };
    let last_of = |at| cx.rules.last_permitted(CallType::Daily, at, &zone);
    let is_over = |at| at < now - cx.rules.max_lateness || last_of(at).is_some_and(|at| at < now);
    let mut slots = slots(&rhythm, &zone, since(customer, was_due, now), until);
    slots.retain(|(_, at)| is_over(*at));
    let pause = paused_at(tx, customer)?;
    let reason = |at| if is_in(pause, at) { Reason::Paused } else { Reason::TooLate };
    record(cx, tx, customer, (&zone, slots), (reason, now))
}

/// Why a daily call that was due at `at` was missed: the customer's pause, or else the rules.
pub fn missed_reason(
    cx: &Context,
    tx: &Tx<'_>,
    customer_id: i64,
    at: Instant,
    zone: &Zone,
) -> anyhow::Result<Reason> {
    let pause = match customers::by_id(tx, customer_id)? {
        Some(customer) => paused_at(tx, &customer)?,
        None => None,
    };
    Ok(if is_in(pause, at) { Reason::Paused } else { cx.rules.missed_reason(at, zone) })
}

fn is_in(paused_at: Option<Instant>, at: Instant) -> bool {
    paused_at.is_some_and(|paused_at| paused_at <= at)
}

fn slots(rhythm: &Rhythm, zone: &Zone, from: Instant, until: Instant) -> Vec<(NaiveDate, Instant)> {
    let mut slots = rhythm.slots_between(zone, from, until);
    slots.retain(|(_, at)| *at < until);
    slots
}

/// Since when a person has paused the customer; the beginning of time if the record does not say.
pub fn paused_at(tx: &Tx<'_>, customer: &Customer) -> anyhow::Result<Option<Instant>> {
    let pause = pauses::pause_of(tx, &pauses::of_customer(&customer.key))?;
    Ok(pause.map(|pause| parse_instant(&pause.since).unwrap_or_default()))
}

/// Inserts a skipped row for each free date among the slots.
fn record(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    (zone, slots): (&Zone, Vec<(NaiveDate, Instant)>),
    (reason, now): (impl Fn(Instant) -> Reason, Instant),
) -> anyhow::Result<usize> {
    let mut skipped = 0;
    for (date, at) in slots {
        if is_called(customer, date) {
            continue;
        }
        let occasion = daily_occasion(date);
        let new = NewItem {
            customer_id: customer.id,
            call_type: CallType::Daily,
            occasion: &occasion,
            scheduled_for: at,
            max_attempts: cx.rules.max_attempts,
            expires_at: cx.rules.last_permitted(CallType::Daily, at, zone),
        };
        let in_ledger = !history::history(tx, customer.id, CallType::Daily, &occasion)?.is_empty();
        if !in_ledger
            && queue::insert_settled(tx, &new, ItemStatus::Skipped, reason(at), now)? == Moved::Yes
        {
            skipped += 1;
        }
    }
    Ok(skipped)
}

/// From when on dates count as missed for a customer whose next call was due at `was_due`.
pub(crate) fn since(customer: &Customer, was_due: Instant, now: Instant) -> Instant {
    let eligible_from = customer.eligible_from.unwrap_or(was_due);
    was_due.max(now - Duration::days(MISSED_DAYS)).max(eligible_from)
}

pub(crate) fn is_called(customer: &Customer, date: NaiveDate) -> bool {
    Some(date) <= customer.last_call_date
}
