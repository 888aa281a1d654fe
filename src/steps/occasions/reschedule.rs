//! Moves the waiting item after an edit of zone, time or schedule: the same item, at its new due
//! time. An item with any attempt stays, because its occasion is taken.

use chrono::NaiveDate;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, ItemStatus, Reason, daily_occasion};
use crate::domain::customer::{CallStatus, Customer};
use crate::steps::occasions::{missed, next};
use crate::store::attempts::history;
use crate::store::customers::called_flags;
use crate::store::journal::By;
use crate::store::meta::scan_inputs;
use crate::store::queue::transitions::{self, Change, WAITING};
use crate::store::queue::{self, Item, NewItem};
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx};

const WHO: &str = "reschedule";

/// The daily item that an edit moves: open, and without an attempt in the ledger.
pub fn movable_item(conn: &Conn, customer_id: i64) -> anyhow::Result<Option<Item>> {
    let Some(item) = queue::open_item(conn, customer_id, CallType::Daily)? else { return Ok(None) };
    let history = history::history(conn, customer_id, item.call_type, &item.occasion)?;
    let untouched = item.status != ItemStatus::Processing && history.is_empty();
    Ok(untouched.then_some(item))
}

/// Moves a customer's next daily call to `next`, together with the waiting item.
///
/// An item that fell due and now belongs to another date stays as a skipped row, so that the due
/// call is not forgotten. `None`: the daily calls have ended. `zone` is the customer's new
/// one.
pub fn reschedule(
    tx: &Tx<'_>,
    customer_id: i64,
    next: Option<Instant>,
    zone: Option<&Zone>,
    now: Instant,
) -> anyhow::Result<()> {
    called_flags::set_next(tx, customer_id, next)?;
    let Some(item) = movable_item(tx, customer_id)? else { return Ok(()) };
    let target = next.zip(zone).map(|(at, zone)| (at, daily_occasion(zone.date(at))));
    match target {
        Some((at, occasion)) if occasion == item.occasion || now < item.scheduled_for => {
            move_item(tx, &item, at, &occasion, now)
        }
        _ => cancel(tx, &item, now),
    }
}

/// Records the dates that fell due by the old rhythm without a row, before an edit moves the next
/// call past them. Later scans would never check them. `known` is the customer before the edit, and
/// `zone` the old zone. `called` is the last called date and `next_date` the next call's date, both
/// after the edit.
pub fn record_dates_before_edit(
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
    let is_eligible = scan_inputs::eligible_statuses(tx)?.contains(&known.payment_status);
    if !is_eligible || !next::have_begun(tx, known)? {
        return Ok(());
    }
    for (date, at) in rhythm.slots_between(zone, missed::since(known, due, now), now) {
        let is_ahead = next_date.is_some_and(|next| next <= date);
        if is_ahead || Some(date) <= called || !called_flags::date_is_free(tx, known.id, date)? {
            continue;
        }
        // The edit itself gives up today's call.
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
        // `No`: the date already has a row.
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
    // A date that already has a row is over. The scan finds the next one.
    if taken {
        return cancel(tx, item, now);
    }
    if !same && transitions::reschedule(tx, item, at, occasion, By { who: WHO, now })? == Moved::No
    {
        anyhow::bail!("another process claimed item {}; try again", item.id);
    }
    Ok(())
}

fn cancel(tx: &Tx<'_>, item: &Item, now: Instant) -> anyhow::Result<()> {
    let change = Change::because(ItemStatus::Skipped, Reason::Cancelled);
    match transitions::item(tx, item, &WAITING, &change, By { who: WHO, now })? {
        Moved::Yes => Ok(()),
        Moved::No => anyhow::bail!("another process claimed item {}; try again", item.id),
    }
}
