//! Computes a customer's next occasion, always here, whenever an occasion ends.

use std::sync::Arc;

use chrono::{Duration, NaiveDate};

use crate::domain::calendar::schedule::Rhythm;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, WELCOME_OCCASION};
use crate::domain::customer::Customer;
use crate::domain::{Instant, parse_instant};
use crate::steps::Context;
use crate::store::customers::{self, called_flags};
use crate::store::meta::pauses;
use crate::store::queue::{self, Item};
use crate::store::{Conn, Tx};

/// The daily rhythm in the customer's columns, whatever the zone is. The error names a column that
/// another program wrote and that cannot be parsed.
pub fn reading(customer: &Customer) -> Result<Option<Rhythm>, String> {
    Rhythm::of(customer.call_time.as_deref(), customer.call_schedule.as_deref())
}

/// The daily rhythm in the customer's columns, whatever the zone is; `None` if unreadable.
pub fn wanted(customer: &Customer) -> Option<Rhythm> {
    reading(customer).ok()?
}

/// The customer's rhythm and zone. `None`: no daily calls are set, or a column cannot be parsed.
/// The scan's log and `explain` report such a column.
pub fn rhythm(cx: &Context, customer: &Customer) -> Option<(Rhythm, Arc<Zone>)> {
    let zone = cx.zones.get(&customer.timezone)?;
    Some((wanted(customer)?, zone))
}

/// Whether the daily calls have not begun, because the welcome call must end first. A welcome call
/// that a person reopened does not delay them, nor does one whose type is paused.
pub fn awaits_welcome(customer: &Customer, welcome: Option<&Item>, is_paused: bool) -> bool {
    let is_over = |item: &Item| !item.status.is_active() || item.processed_at.is_some();
    !customer.welcome_call_completed && !welcome.is_some_and(is_over) && !is_paused
}

/// Whether the daily calls of a customer have begun, by what is stored now.
pub fn have_begun(conn: &Conn, customer: &Customer) -> anyhow::Result<bool> {
    let welcome = queue::item_of_occasion(conn, customer.id, CallType::Welcome, WELCOME_OCCASION)?;
    let is_paused = pauses::welcome_pause(conn)?.is_some();
    Ok(!awaits_welcome(customer, welcome.as_ref(), is_paused))
}

/// Since when the daily calls run only because welcome calls are paused; `None`: for another
/// reason, or they do not run. Dates before that were not missed.
pub fn begun_by_a_pause(conn: &Conn, customer: &Customer) -> anyhow::Result<Option<Instant>> {
    let Some(pause) = pauses::welcome_pause(conn)? else { return Ok(None) };
    let welcome = queue::item_of_occasion(conn, customer.id, CallType::Welcome, WELCOME_OCCASION)?;
    let is_the_cause = awaits_welcome(customer, welcome.as_ref(), false);
    Ok(parse_instant(&pause.since).filter(|_| is_the_cause))
}

/// The first free occasion strictly after `after` and later than the last called date.
pub fn next_occasion(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    after: Instant,
) -> anyhow::Result<Option<(NaiveDate, Instant)>> {
    let Some((rhythm, zone)) = rhythm(cx, customer) else { return Ok(None) };
    let mut trouble = None;
    let next = rhythm.next_slot(&zone, after, customer.last_call_date, |date| {
        match called_flags::date_is_free(tx, customer.id, date) {
            Ok(free) => free,
            Err(error) => {
                trouble.get_or_insert(error);
                true
            }
        }
    });
    match trouble {
        Some(error) => Err(error),
        None => Ok(next),
    }
}

/// Moves `next_call_scheduled_at` to the next occasion after an item of this type ended. A customer
/// who no longer exists is ignored.
///
/// The end of a welcome call that was never made sets the first occasion after `now`. Any other end
/// never skips an occasion that is due without a row: the scan queues it, or records it as missed.
pub fn advance(
    cx: &Context,
    tx: &Tx<'_>,
    ended: CallType,
    customer_id: i64,
    now: Instant,
) -> anyhow::Result<()> {
    let Some(customer) = customers::by_id(tx, customer_id)? else { return Ok(()) };
    let is_first = ended == CallType::Welcome && !customer.welcome_call_completed;
    let after = match customer.next_call_scheduled_at {
        Some(due) if !is_first => now.min(due - Duration::milliseconds(1)),
        _ => now,
    };
    set_after(cx, tx, &customer, after)
}

/// Begins the daily calls with the first occasion after the welcome call was made, however late
/// that becomes known.
pub fn begin(
    cx: &Context,
    tx: &Tx<'_>,
    customer_id: i64,
    welcomed_at: Instant,
) -> anyhow::Result<()> {
    match customers::by_id(tx, customer_id)? {
        Some(customer) => set_after(cx, tx, &customer, welcomed_at),
        None => Ok(()),
    }
}

/// Begins the daily calls because the welcome call was made elsewhere, perhaps long before this
/// database knew the customer. A next call after the welcome call stays. Otherwise today's call
/// still counts.
pub fn begin_after_elsewhere(
    cx: &Context,
    tx: &Tx<'_>,
    customer_id: i64,
    welcomed_at: Instant,
    now: Instant,
) -> anyhow::Result<()> {
    let Some(customer) = customers::by_id(tx, customer_id)? else { return Ok(()) };
    if customer.next_call_scheduled_at.is_some_and(|next| welcomed_at < next) {
        return Ok(());
    }
    let oldest_callable = now - cx.rules.max_lateness - Duration::milliseconds(1);
    let known_since = customer.created_at.max(oldest_callable);
    set_after(cx, tx, &customer, welcomed_at.max(known_since))
}

fn set_after(cx: &Context, tx: &Tx<'_>, customer: &Customer, after: Instant) -> anyhow::Result<()> {
    let next = next_occasion(cx, tx, customer, after)?.map(|(_, at)| at);
    if next != customer.next_call_scheduled_at {
        called_flags::set_next(tx, customer.id, next)?;
    }
    Ok(())
}
