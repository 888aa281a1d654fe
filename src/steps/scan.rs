//! scan: due customers become queue items, once. L1 filters, L2 asks again while inserting.

use std::collections::BTreeSet;

use chrono::{Duration, NaiveDate};

use crate::domain::Instant;
use crate::domain::call::{
    AttemptState, CallType, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::steps::{Context, elsewhere, next};
use crate::store::meta::{self, Mark, Zoneless};
use crate::store::moves::{self, Change, WAITING};
use crate::store::queue::{self, Candidate, Item, Moved, NewItem};
use crate::store::{Tx, customers, facts, stale};

/// Missed dates are told of up to this far back.
pub const MISSED_DAYS: i64 = 31;
/// Customers without a known zone who are named.
const ZONELESS_NAMED: usize = 5;

/// What one scan did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scanned {
    /// New items that wait to be dialed.
    pub queued: usize,
    /// Occasions that ended as skipped.
    pub skipped: usize,
    /// Open items that ended because an attempt of theirs was placed.
    pub completed: usize,
}

/// One scan in one transaction: ends what is over, repairs, then queues.
pub fn scan(cx: &Context, now: Instant) -> anyhow::Result<Scanned> {
    cx.store.write(|tx| {
        let mut done = Scanned::default();
        let mut zoneless = BTreeSet::new();
        take_rules(cx, tx, now)?;
        end_expired(cx, tx, now, &mut done)?;
        for status in &cx.rules.eligible_payment_status {
            repair(cx, tx, status, now, &mut done, &mut zoneless)?;
            for candidate in welcome_candidates(cx, tx, status, now)? {
                queue_welcome(cx, tx, &candidate, now, &mut done)?;
                note_zone(cx, candidate.customer_id, &candidate.timezone, &mut zoneless);
            }
            for candidate in daily_candidates(cx, tx, status, now)? {
                queue_daily(cx, tx, &candidate, now, &mut done)?;
                note_zone(cx, candidate.customer_id, &candidate.timezone, &mut zoneless);
            }
        }
        for (id, timezone) in stale::waiting_to_be_eligible(tx)? {
            note_zone(cx, id, &timezone, &mut zoneless);
        }
        tell_zoneless(tx, &zoneless)?;
        meta::set_mark(tx, Mark::LastScan, now)?;
        Ok(done)
    })
}

/// By other rules than those of the last scan a wait may be over: it is looked at again now.
fn take_rules(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    let rules = format!("{:?}", cx.rules);
    if meta::rules(tx)?.is_some_and(|last| last != rules) {
        moves::wake_waiting(tx, now)?;
    }
    meta::set_rules(tx, &rules, &cx.rules.eligible_payment_status)
}

fn note_zone(cx: &Context, id: i64, timezone: &str, zoneless: &mut BTreeSet<i64>) {
    if cx.zones.get(timezone).is_none() {
        zoneless.insert(id);
    }
}

/// Leaves for `status` who cannot be called until a person names their zone: they have no local
/// date, so no occasion, and no row in the queue could tell of them.
fn tell_zoneless(tx: &Tx<'_>, zoneless: &BTreeSet<i64>) -> anyhow::Result<()> {
    let ids = zoneless.iter().copied().take(ZONELESS_NAMED).collect();
    let found = Zoneless { customers: zoneless.len(), ids };
    if meta::zoneless(tx)?.unwrap_or_default() != found {
        if 0 < found.customers {
            log::warn!("{} customers are in no known time zone: never called", found.customers);
        }
        meta::set_zoneless(tx, &found)?;
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
    queue::welcome_candidates(tx, payment_status, until)
}

/// L1 for daily calls.
pub fn daily_candidates(
    cx: &Context,
    tx: &Tx<'_>,
    payment_status: &str,
    now: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let (from, to) = (now - cx.rules.max_lateness, now + cx.rules.look_ahead);
    queue::daily_candidates(tx, payment_status, from, to)
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
        let ended = elsewhere::end_welcome(cx, tx, candidate.customer_id, "scan", now)?;
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
    // An unknown zone names no date. Nothing is queued; `status` and `check` tell of it.
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
        let reason = cx.rules.missed_reason(candidate.instant, &zone);
        return skip_missed(cx, tx, &new, reason, now, done);
    }
    if queue::insert_once(tx, &new, &candidate.payment_status, now)? == Moved::Yes {
        done.queued += 1;
        return Ok(());
    }
    settle_called(tx, &new, now, done)?;
    next::advance(cx, tx, CallType::Daily, candidate.customer_id, now)
}

/// A candidate that was refused on asking again: when the ledger or the flags say that it was
/// called, the occasion gets its one terminal row.
fn settle_called(
    tx: &Tx<'_>,
    new: &NewItem<'_>,
    now: Instant,
    done: &mut Scanned,
) -> anyhow::Result<()> {
    let history = facts::history(tx, new.customer_id, new.call_type, new.occasion)?;
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
    if queue::insert_settled(tx, new, ItemStatus::Skipped, reason, now)? == Moved::Yes {
        done.skipped += 1;
    }
    next::advance(cx, tx, new.call_type, new.customer_id, now)
}

/// Ends open items whose last permitted instant has gone: `completed` when an attempt was
/// placed, else `skipped` with what they waited for.
fn end_expired(cx: &Context, tx: &Tx<'_>, now: Instant, done: &mut Scanned) -> anyhow::Result<()> {
    for item in queue::expired(tx, now, cx.rules.max_lateness)? {
        if end_item(tx, &item, now)? == ItemStatus::Completed {
            done.completed += 1;
        } else {
            done.skipped += 1;
        }
        next::advance(cx, tx, item.call_type, item.customer_id, now)?;
    }
    Ok(())
}

/// Ends one open item that can no longer be dialed, and says how.
pub fn end_item(tx: &Tx<'_>, item: &Item, now: Instant) -> anyhow::Result<ItemStatus> {
    let change = if facts::was_placed(tx, item)? {
        Change::to(ItemStatus::Completed)
    } else {
        Change::because(ItemStatus::Skipped, skip_reason(item.reason))
    };
    // `No`: it was claimed in the meantime, and the claim decides.
    match moves::item(tx, item, &WAITING, &change, "scan", now)? {
        Moved::Yes => Ok(change.to),
        Moved::No => Ok(item.status),
    }
}

/// What waited for something that did not come is skipped for that; the rest is late.
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
            | Reason::MinGap),
        ) => reason,
        _ => Reason::TooLate,
    }
}

/// Gives customers whose next instant is missing or long gone a new one, and tells of the dates
/// that they missed while they were eligible.
fn repair(
    cx: &Context,
    tx: &Tx<'_>,
    payment_status: &str,
    now: Instant,
    done: &mut Scanned,
    zoneless: &mut BTreeSet<i64>,
) -> anyhow::Result<()> {
    let oldest_callable = now - cx.rules.max_lateness;
    for customer_id in stale::stale_customers(tx, payment_status, oldest_callable)? {
        let Some(customer) = customers::by_id(tx, customer_id)? else { continue };
        note_zone(cx, customer_id, &customer.timezone, zoneless);
        let Some(was_due) = customer.next_call_scheduled_at else {
            if let Err(why) = next::reading(&customer) {
                log::warn!("customer {customer_id} gets no daily calls: {why}");
            }
            next::advance(cx, tx, CallType::Daily, customer_id, now)?;
            continue;
        };
        tell_missed(cx, tx, &customer, was_due, oldest_callable, now, done)?;
        // Today's occasion may still be permitted: look from the oldest callable instant on.
        let eligible_from = customer.eligible_from.unwrap_or(was_due);
        advance_from(cx, tx, &customer, oldest_callable.max(eligible_from))?;
    }
    Ok(())
}

fn advance_from(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    from: Instant,
) -> anyhow::Result<()> {
    let just_before = from - Duration::milliseconds(1);
    let next = next::next_occasion(cx, tx, customer, just_before)?.map(|(_, at)| at);
    crate::store::flags::set_next(tx, customer.id, next)
}

/// Gives each free date between two instants its row `too_late`, as far as the customer was
/// eligible then.
pub fn tell_missed(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    was_due: Instant,
    until: Instant,
    now: Instant,
    done: &mut Scanned,
) -> anyhow::Result<()> {
    let Some((rhythm, zone)) = next::rhythm(cx, customer) else { return Ok(()) };
    let from = was_due
        .max(now - Duration::days(MISSED_DAYS))
        .max(customer.eligible_from.unwrap_or(was_due));
    for (date, at) in rhythm.slots_between(&zone, from, until) {
        if until <= at || is_called(customer, date) {
            continue;
        }
        let occasion = daily_occasion(date);
        let new = NewItem {
            customer_id: customer.id,
            call_type: CallType::Daily,
            occasion: &occasion,
            scheduled_for: at,
            max_attempts: cx.rules.max_attempts,
            expires_at: cx.rules.last_permitted(CallType::Daily, at, &zone),
        };
        let in_ledger = !facts::history(tx, customer.id, CallType::Daily, &occasion)?.is_empty();
        if !in_ledger
            && queue::insert_settled(tx, &new, ItemStatus::Skipped, Reason::TooLate, now)?
                == Moved::Yes
        {
            done.skipped += 1;
        }
    }
    Ok(())
}

fn is_called(customer: &Customer, date: NaiveDate) -> bool {
    Some(date) <= customer.last_call_date
}
