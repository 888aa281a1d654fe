//! An edit of zone, time or schedule moves the call that waits, too: the same item, at its new
//! instant. What was dialed already, even once, stays where it is: its occasion is taken.

use crate::domain::Instant;
use crate::domain::call::{CallType, ItemStatus, Reason, daily_occasion};
use crate::domain::zone::Zone;
use crate::store::moves::{self, Change, WAITING};
use crate::store::queue::{self, Item, Moved};
use crate::store::{Conn, Tx, facts, flags};

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
