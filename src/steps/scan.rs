//! Turns due customers into queue items, once. L1 filters, and L2 checks again during the insert.

use std::collections::BTreeSet;

use chrono::Duration;

use crate::domain::Instant;
use crate::domain::call::{
    AttemptState, CallType, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::steps::Context;
use crate::steps::customers::paused;
use crate::steps::occasions::{finish, missed, next, zone_rules};
use crate::steps::readiness::quarantine;
use crate::steps::reconcile::made_elsewhere;
use crate::store::Tx;
use crate::store::attempts::history;
use crate::store::customers::{self, next_call_missing};
use crate::store::journal::By;
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::scan_inputs::{self, Zoneless};
use crate::store::quarantine as odd_rows;
use crate::store::queue::transitions::{self, Change, WAITING};
use crate::store::queue::{self, Candidate, Item, NewItem};
use crate::store::transaction::Moved;

/// At most this many customers without a known zone are named.
const ZONELESS_NAMED: usize = 5;

/// The result of one scan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scanned {
    /// New items that wait to be dialed.
    pub queued: usize,
    /// Occasions that ended as skipped.
    pub skipped: usize,
    /// Open items that ended because one of their attempts was placed.
    pub completed: usize,
}

/// Runs one scan in one transaction: ends expired items, repairs next calls, then queues. Each
/// customer's share is undone alone if it meets a row that cannot be read. If the zone rules
/// changed, it first computes the stored instants again.
pub fn scan(cx: &Context, now: Instant) -> anyhow::Result<Scanned> {
    quarantine::check_next_rows(cx)?;
    cx.zones.refresh();
    cx.timetable.refresh(&cx.zones);
    cx.store.write(|tx| {
        let mut done = Scanned::default();
        let mut zoneless = BTreeSet::new();
        zone_rules::follow(cx, tx, now)?;
        note_rule_change(cx, tx, now)?;
        end_expired(cx, tx, now, &mut done)?;
        record_pauses(tx, now)?;
        for status in &cx.rules.eligible_payment_status {
            repair(cx, tx, status, now, &mut done, &mut zoneless)?;
            for candidate in welcome_candidates(cx, tx, status, now)? {
                share(tx, candidate.customer_id, &mut done, |tx, done| {
                    queue_welcome(cx, tx, &candidate, now, done)
                })?;
                note_zone(cx, candidate.customer_id, &candidate.timezone, &mut zoneless);
            }
            for candidate in daily_candidates(cx, tx, status, now)? {
                share(tx, candidate.customer_id, &mut done, |tx, done| {
                    queue_daily(cx, tx, &candidate, now, done)
                })?;
                note_zone(cx, candidate.customer_id, &candidate.timezone, &mut zoneless);
            }
        }
        for (id, timezone) in next_call_missing::waiting_to_be_eligible(tx)? {
            note_zone(cx, id, &timezone, &mut zoneless);
        }
        store_zoneless(tx, &zoneless)?;
        marks::set_mark(tx, Mark::LastScan, now)?;
        Ok(done)
    })
}

/// One customer's share of a scan. What it counts is undone with it. A customer whom a row concerns
/// that cannot be read has none: that row may be the item or the call of the occasion.
fn share(
    tx: &Tx<'_>,
    customer_id: i64,
    done: &mut Scanned,
    work: impl FnOnce(&Tx<'_>, &mut Scanned) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if odd_rows::concerning(tx, customer_id)?.is_some() {
        return Ok(());
    }
    let mut counted = *done;
    if odd_rows::share(tx, Some(customer_id), |tx| work(tx, &mut counted))?.is_some() {
        *done = counted;
    }
    Ok(())
}

/// If the rules changed since the last scan, a wait may be over, so waiting items are checked
/// again.
fn note_rule_change(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    let rules = format!("{:?}", cx.rules);
    if scan_inputs::rules(tx)?.is_some_and(|last| last != rules) {
        transitions::wake_waiting(tx, now)?;
    }
    scan_inputs::set_rules(tx, &rules, &cx.rules.eligible_payment_status)
}

fn note_zone(cx: &Context, id: i64, timezone: &str, zoneless: &mut BTreeSet<i64>) {
    if cx.zones.get(timezone).is_none() {
        zoneless.insert(id);
    }
}

/// Stores for `status` the customers who cannot be called until a person sets their zone. Without a
/// zone they have no local date, so no occasion and no queue row can show them.
fn store_zoneless(tx: &Tx<'_>, zoneless: &BTreeSet<i64>) -> anyhow::Result<()> {
    let ids = zoneless.iter().copied().take(ZONELESS_NAMED).collect();
    let found = Zoneless { customers: zoneless.len(), ids };
    if scan_inputs::zoneless(tx)?.unwrap_or_default() != found {
        if found.customers > 0 {
            log::warn!("{} customers are in an unknown time zone: never called", found.customers);
        }
        scan_inputs::set_zoneless(tx, &found)?;
    }
    Ok(())
}

/// L1 for welcome calls.
pub fn welcome_candidates(
    cx: &Context,
    tx: &Tx<'_>,
    payment_status: &str,
    now: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let until = now + cx.rules.look_ahead - cx.rules.welcome_delay;
    let mut found = queue::welcome_candidates(tx, payment_status, until)?;
    found.extend(queue::paused::welcome_candidates(tx, payment_status, until)?);
    Ok(found)
}

/// L1 for daily calls.
pub fn daily_candidates(
    cx: &Context,
    tx: &Tx<'_>,
    payment_status: &str,
    now: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let (from, to) = (now - cx.rules.max_lateness, now + cx.rules.look_ahead);
    let mut found = queue::daily_candidates(tx, payment_status, from, to)?;
    found.extend(queue::paused::daily_candidates(tx, payment_status, from, to)?);
    Ok(found)
}

/// L2 for a welcome call.
pub fn queue_welcome(
    cx: &Context,
    tx: &Tx<'_>,
    candidate: &Candidate,
    now: Instant,
    done: &mut Scanned,
) -> anyhow::Result<()> {
    let new = NewItem {
        customer_id: candidate.customer_id,
        call_type: CallType::Welcome,
        occasion: WELCOME_OCCASION,
        scheduled_for: candidate.instant + cx.rules.welcome_delay,
        max_attempts: cx.rules.max_attempts,
        expires_at: None,
    };
    if queue::insert_once(tx, &new, &candidate.payment_status, now)? == Moved::Yes {
        let ended =
            made_elsewhere::end_welcome(cx, tx, candidate.customer_id, By { who: "scan", now })?;
        done.queued += usize::from(ended == Moved::No);
        done.completed += usize::from(ended == Moved::Yes);
        return Ok(());
    }
    settle_called(tx, &new, now, done)
}

/// L2 for a daily call. The occasion is the local date of the scheduled instant.
pub fn queue_daily(
    cx: &Context,
    tx: &Tx<'_>,
    candidate: &Candidate,
    now: Instant,
    done: &mut Scanned,
) -> anyhow::Result<()> {
    // An unknown zone gives no date, so nothing is queued. `status` and `check` report it.
    let Some(zone) = cx.zones.get(&candidate.timezone) else { return Ok(()) };
    let occasion = daily_occasion(zone.date(candidate.instant));
    let expires_at = cx.rules.last_permitted(CallType::Daily, candidate.instant, &zone);
    let new = NewItem {
        customer_id: candidate.customer_id,
        call_type: CallType::Daily,
        occasion: &occasion,
        scheduled_for: candidate.instant,
        max_attempts: cx.rules.max_attempts,
        expires_at,
    };
    if expires_at.is_some_and(|expires_at| expires_at < now) {
        let (customer_id, at) = (candidate.customer_id, candidate.instant);
        let reason = missed::missed_reason(cx, tx, customer_id, at, &zone)?;
        return skip_missed(cx, tx, &new, reason, now, done);
    }
    if queue::insert_once(tx, &new, &candidate.payment_status, now)? == Moved::Yes {
        done.queued += 1;
        return Ok(());
    }
    settle_called(tx, &new, now, done)?;
    next::advance(cx, tx, CallType::Daily, candidate.customer_id, now)
}

/// Handles a candidate that the second check refused. If the ledger or the flags show a call, the
/// occasion gets its one terminal row.
fn settle_called(
    tx: &Tx<'_>,
    new: &NewItem<'_>,
    now: Instant,
    done: &mut Scanned,
) -> anyhow::Result<()> {
    let history = history::history(tx, new.customer_id, new.call_type, new.occasion)?;
    let in_ledger = history.iter().any(|(state, _)| *state != AttemptState::NotPlaced);
    let flagged =
        customers::by_id(tx, new.customer_id)?.is_some_and(|customer| match new.call_type {
            CallType::Welcome => customer.welcome_call_completed,
            _ => new.occasion.parse().ok() <= customer.last_call_date,
        });
    if (in_ledger || flagged)
        && queue::insert_settled(tx, new, ItemStatus::Completed, Reason::AlreadyCalled, now)?
            == Moved::Yes
    {
        done.completed += 1;
    }
    Ok(())
}

fn skip_missed(
    cx: &Context,
    tx: &Tx<'_>,
    new: &NewItem<'_>,
    reason: Reason,
    now: Instant,
    done: &mut Scanned,
) -> anyhow::Result<()> {
    let by = By { who: "scan", now };
    if finish::unqueued(cx, tx, new, (ItemStatus::Skipped, reason), by)? == Moved::Yes {
        done.skipped += 1;
    }
    Ok(())
}

/// Ends open items that have expired: `completed` if an attempt was placed, else `skipped` with the
/// reason for which they waited.
fn end_expired(cx: &Context, tx: &Tx<'_>, now: Instant, done: &mut Scanned) -> anyhow::Result<()> {
    for item in queue::expired(tx, now, cx.rules.max_lateness)? {
        share(tx, item.customer_id, done, |tx, done| {
            match end_item(cx, tx, &item, now)? {
                ItemStatus::Completed => done.completed += 1,
                _ => done.skipped += 1,
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Ends one open item that can no longer be dialed, and returns its status.
pub fn end_item(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    now: Instant,
) -> anyhow::Result<ItemStatus> {
    let change = if history::was_placed(tx, item)? {
        Change::to(ItemStatus::Completed)
    } else {
        Change::because(ItemStatus::Skipped, skip_reason(item.reason))
    };
    // `No`: it was claimed first, and the claim decides.
    match finish::item(cx, tx, item, &WAITING, &change, By { who: "scan", now })? {
        Moved::Yes => Ok(change.to),
        Moved::No => Ok(item.status),
    }
}

/// The reason for skipping an item: why it waited until its last instant; else `TooLate`.
pub fn skip_reason(waited_for: Option<Reason>) -> Reason {
    match waited_for {
        Some(
            reason @ (Reason::NotEligible
            | Reason::InvalidPhone
            | Reason::Paused
            | Reason::NoConsent
            | Reason::Cap
            | Reason::Holiday
            | Reason::OutsideWindow
            | Reason::MinGap
            | Reason::NoLine
            | Reason::Breaker
            | Reason::Held),
        ) => reason,
        _ => Reason::TooLate,
    }
}

/// Gives each pause that another program wrote its record, so that its dates get their rows.
fn record_pauses(tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    for id in queue::paused::without_record(tx)? {
        share(tx, id, &mut Scanned::default(), |tx, _| {
            let Some(customer) = customers::by_id(tx, id)? else { return Ok(()) };
            paused::record_of_another_program(tx, &customer, now)
        })?;
    }
    Ok(())
}

/// Sets a new next call for customers whose next call is missing or long past. Records the dates
/// that they missed while eligible.
fn repair(
    cx: &Context,
    tx: &Tx<'_>,
    payment_status: &str,
    now: Instant,
    done: &mut Scanned,
    zoneless: &mut BTreeSet<i64>,
) -> anyhow::Result<()> {
    let oldest_callable = now - cx.rules.max_lateness;
    let mut late = next_call_missing::stale_customers(tx, payment_status, oldest_callable)?;
    late.extend(queue::paused::stale(tx, payment_status, oldest_callable)?);
    for customer_id in late {
        share(tx, customer_id, done, |tx, done| {
            let Some(customer) = customers::by_id(tx, customer_id)? else { return Ok(()) };
            note_zone(cx, customer_id, &customer.timezone, zoneless);
            done.skipped += repair_one(cx, tx, &customer, oldest_callable, now)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// Returns how many missed dates were recorded.
fn repair_one(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    oldest_callable: Instant,
    now: Instant,
) -> anyhow::Result<usize> {
    let Some(was_due) = customer.next_call_scheduled_at else {
        if let Err(why) = next::reading(customer) {
            log::warn!("customer {} gets no daily calls: {why}", customer.id);
        }
        next::advance(cx, tx, CallType::Daily, customer.id, now)?;
        return Ok(0);
    };
    let begun = next::begun_by_a_pause(tx, customer)?.map_or(was_due, |at| at.max(was_due));
    let skipped = missed::record_overdue(cx, tx, customer, begun, oldest_callable, now)?;
    // Today's occasion may still be permitted, so the search begins at the oldest callable instant.
    let eligible_from = customer.eligible_from.unwrap_or(was_due);
    advance_from(cx, tx, customer, oldest_callable.max(eligible_from).max(begun))?;
    Ok(skipped)
}

fn advance_from(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    from: Instant,
) -> anyhow::Result<()> {
    let just_before = from - Duration::milliseconds(1);
    let next = next::next_occasion(cx, tx, customer, just_before)?.map(|(_, at)| at);
    crate::store::customers::called_flags::set_next(tx, customer.id, next)
}
