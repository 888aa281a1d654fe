//! An edit of zone, time or schedule moves the call that waits, too: the same item, at its new
//! instant. What was dialed already, even once, stays where it is: its occasion is taken.

use chrono::{Duration, NaiveDate};

use crate::domain::Instant;
use crate::domain::call::{CallType, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion};
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::zone::Zone;
use crate::steps::{next, scan};
use crate::store::moves::{self, Change, WAITING};
use crate::store::queue::{self, Item, Moved, NewItem};
use crate::store::{Conn, Tx, facts, flags, meta};

const WHO: &str = "reschedule";

/// The daily item that an edit moves: open, and without any attempt in the ledger.
pub fn movable_item(conn: &Conn, customer_id: i64) -> anyhow::Result<Option<Item>> {
    let Some(item) = queue::open_item(conn, customer_id, CallType::Daily)? else { return Ok(None) };
    let history = facts::history(conn, customer_id, item.call_type, &item.occasion)?;
    let untouched = item.status != ItemStatus::Processing && history.is_empty();
    Ok(untouched.then_some(item))
}

/// Moves a customer's next daily call to `next`, and with it the item that waits.
///
/// An item that fell due and now belongs to another date keeps its row, as skipped: what was due
/// is never forgotten. `None`: there are no more daily calls. `zone` is the customer's new one.
pub fn reschedule(
    tx: &Tx<'_>,
    customer_id: i64,
    next: Option<Instant>,
    zone: Option<&Zone>,
    now: Instant,
) -> anyhow::Result<()> {
    flags::set_next(tx, customer_id, next)?;
    let Some(item) = movable_item(tx, customer_id)? else { return Ok(()) };
    let target = next.zip(zone).map(|(at, zone)| (at, daily_occasion(zone.date(at))));
    match target {
        Some((at, occasion)) if occasion == item.occasion || now < item.scheduled_for => {
            move_item(tx, &item, at, &occasion, now)
        }
        _ => cancel(tx, &item, now),
    }
}

/// Tells of the dates that fell due by the old rhythm and that nobody looked at before an edit moves
/// the next call on: nothing would ever look at them again. `known` is the customer before the
/// edit, `zone` the old one; `called` and `next_date` are the last date and the next one after it.
pub fn tell_passed_over(
    tx: &Tx<'_>,
    known: &Customer,
    zone: &Zone,
    (called, next_date): (Option<NaiveDate>, Option<NaiveDate>),
    now: Instant,
) -> anyhow::Result<()> {
    let (Some(due), Some(rhythm)) = (known.next_call_scheduled_at, next::wanted(known)) else {
        return Ok(());
    };
    let is_stopped = matches!(known.call_status, CallStatus::Paused | CallStatus::Disabled);
    if now <= due || is_stopped || !known.phone_validated {
        return Ok(());
    }
    let welcome = queue::item_of_occasion(tx, known.id, CallType::Welcome, WELCOME_OCCASION)?;
    let is_eligible = meta::eligible_statuses(tx)?.contains(&known.payment_status);
    if !is_eligible || next::awaits_welcome(known, welcome.as_ref()) {
        return Ok(());
    }
    let oldest = now - Duration::days(scan::MISSED_DAYS);
    let from = due.max(oldest).max(known.eligible_from.unwrap_or(due));
    for (date, at) in rhythm.slots_between(zone, from, now) {
        let is_ahead = next_date.is_some_and(|next| next <= date);
        if is_ahead || Some(date) <= called || !flags::date_is_free(tx, known.id, date)? {
            continue;
        }
        // Today's call is given up by the edit itself.
        let is_today = date == zone.date(now);
        let reason = if is_today { Reason::Cancelled } else { Reason::TooLate };
        let new = NewItem {
            customer_id: known.id,
            call_type: CallType::Daily,
            occasion: &daily_occasion(date),
            scheduled_for: at,
            max_attempts: 1,
            expires_at: None,
        };
        // `No`: it has its row.
        let _ = queue::insert_settled(tx, &new, ItemStatus::Skipped, reason, now)?;
    }
    Ok(())
}

fn move_item(
    tx: &Tx<'_>,
    item: &Item,
    at: Instant,
    occasion: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let same = item.scheduled_for == at && item.occasion == occasion;
    let taken = occasion != item.occasion
        && queue::item_of_occasion(tx, item.customer_id, item.call_type, occasion)?.is_some();
    // A date that has its row already is over; the scan finds the next one.
    if taken {
        return cancel(tx, item, now);
    }
    if !same && moves::reschedule(tx, item, at, occasion, WHO, now)? == Moved::No {
        anyhow::bail!("item {} was taken up meanwhile; try again", item.id);
    }
    Ok(())
}

fn cancel(tx: &Tx<'_>, item: &Item, now: Instant) -> anyhow::Result<()> {
    let change = Change::because(ItemStatus::Skipped, Reason::Cancelled);
    match moves::item(tx, item, &WAITING, &change, WHO, now)? {
        Moved::Yes => Ok(()),
        Moved::No => anyhow::bail!("item {} was taken up meanwhile; try again", item.id),
    }
}
