//! Computes the stored instants again when the zone rules have changed: the next call of every
//! customer, the waiting items without an attempt, and the waits that end at a local time.

use chrono::{Duration, NaiveDate};

use crate::domain::Instant;
use crate::domain::calendar::schedule::Rhythm;
use crate::domain::calendar::zone::Zone;
use crate::domain::customer::Customer;
use crate::steps::Context;
use crate::steps::occasions::next;
use crate::steps::occasions::reschedule::movable_item;
use crate::store::Tx;
use crate::store::customers::{self, called_flags, next_call_missing};
use crate::store::journal::{self, By, Entry};
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::scan_inputs;
use crate::store::queue::transitions;
use crate::store::transaction::Moved;

/// An offset from UTC has never changed by as much, apart from moves across the date line, which
/// leave the instants as they are. A stored instant that lies further from the chosen time was set
/// by a person or another program.
const OFFSETS_DIFFER_BY_LESS: Duration = Duration::hours(6);
/// Every offset of today is a multiple of this.
const OFFSET_STEP_MINUTES: i64 = 15;
const WHO: &str = "scan";

/// How many stored instants moved.
#[derive(Clone, Copy, Debug, Default)]
struct Recomputed {
    next_calls: usize,
    items: usize,
}

/// Computes everything again if this process has other zone rules than the one that computed it.
pub fn follow(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    let (known, version) = (scan_inputs::zone_rules(tx)?, cx.zones.version());
    if known.as_deref() == Some(version) {
        return Ok(());
    }
    // In a file of an earlier release, scans computed instants by rules that it does not name.
    if known.is_some() || marks::mark(tx, Mark::LastScan)?.is_some() {
        let done = recompute(cx, tx, now)?;
        let moved =
            format!("moved {} next calls and {} waiting calls", done.next_calls, done.items);
        let (old, new, why) = (known.as_deref(), Some(version), Some(moved.as_str()));
        let entry = Entry { who: WHO, what: "zone rules", subject: "file", old, new, why };
        journal::add(tx, now, entry)?;
        log::info!("the time zone rules are now IANA {version}: {moved}");
    }
    scan_inputs::set_zone_rules(tx, version)
}

/// Notes by which rules the instants of a new file were computed, before its first scan.
pub fn note_first(tx: &Tx<'_>, version: &str) -> anyhow::Result<()> {
    if scan_inputs::zone_rules(tx)?.is_none() && marks::mark(tx, Mark::LastScan)?.is_none() {
        scan_inputs::set_zone_rules(tx, version)?;
    }
    Ok(())
}

fn recompute(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<Recomputed> {
    let mut done = Recomputed::default();
    for id in next_call_missing::with_next_call(tx)? {
        // A row that cannot be read keeps its instants and stops nobody else.
        let Ok(Some(customer)) = customers::by_id(tx, id) else {
            log::warn!("customer {id} cannot be read, so the next call stays as it is");
            continue;
        };
        let Some((rhythm, zone)) = next::rhythm(cx, &customer) else { continue };
        if let Some(known) = customer.next_call_scheduled_at
            && let Some((date, at)) = meant(&rhythm, &zone, known)
        {
            let next = free_from(cx, tx, &customer, (date, at))?;
            if next != Some(known) {
                called_flags::set_next(tx, id, next)?;
                done.next_calls += 1;
            }
        }
        done.items += usize::from(move_item(tx, id, (&rhythm, &zone), now)?);
    }
    transitions::wake_waiting(tx, now)?;
    Ok(done)
}

/// The date and instant of the rhythm that a stored instant was computed for, by whatever rules.
/// `None`: it was not computed from the rhythm.
fn meant(rhythm: &Rhythm, zone: &Zone, known: Instant) -> Option<(NaiveDate, Instant)> {
    let around = OFFSETS_DIFFER_BY_LESS;
    let slots = rhythm.slots_between(zone, known - around, known + around);
    let (date, at) = slots.into_iter().min_by_key(|(_, at)| (*at - known).abs())?;
    is_an_offset_apart(at, known).then_some((date, at))
}

fn is_an_offset_apart(at: Instant, known: Instant) -> bool {
    let apart = (at - known).abs();
    apart < OFFSETS_DIFFER_BY_LESS
        && apart.num_milliseconds() % Duration::minutes(OFFSET_STEP_MINUTES).num_milliseconds() == 0
}

/// The slot, or the next one if its date was called or has ended. The item that waits for the date
/// moves with it.
fn free_from(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    (date, at): (NaiveDate, Instant),
) -> anyhow::Result<Option<Instant>> {
    let own = movable_item(tx, customer.id)?.and_then(|item| item.date());
    let is_free = own == Some(date) || called_flags::date_is_free(tx, customer.id, date)?;
    if is_free && customer.last_call_date < Some(date) {
        return Ok(Some(at));
    }
    Ok(next::next_occasion(cx, tx, customer, at)?.map(|(_, at)| at))
}

/// Moves the waiting daily item to its date's instant, unless it has an attempt.
fn move_item(
    tx: &Tx<'_>,
    customer_id: i64,
    (rhythm, zone): (&Rhythm, &Zone),
    now: Instant,
) -> anyhow::Result<bool> {
    let Some(item) = movable_item(tx, customer_id)? else { return Ok(false) };
    let slot = item.date().and_then(|date| rhythm.slot_on(zone, date));
    let Some(at) = slot.filter(|at| *at != item.scheduled_for) else { return Ok(false) };
    if !is_an_offset_apart(at, item.scheduled_for) {
        return Ok(false);
    }
    let by = By { who: WHO, now };
    Ok(transitions::reschedule(tx, &item, at, &item.occasion, by)? == Moved::Yes)
}
