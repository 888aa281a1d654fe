//! settle: writes what a proven outcome means for the customer, the item and the next occasion.
//! Shared by the reply to a POST, the provider's records and a person's word.

use chrono::{NaiveDate, NaiveTime};

use crate::domain::Instant;
use crate::domain::call::{AttemptState, CallType, ItemStatus, Reason};
use crate::domain::retry::back_off;
use crate::steps::{Context, next, scan};
use crate::store::attempts::Attempt;
use crate::store::moves::{self, Change};
use crate::store::queue::{self, Item, Moved, NewItem};
use crate::store::{self, Tx, customers, facts, flags, meta};

/// What a placed attempt means: the flag, proven; the item completed; the next occasion.
///
/// An error means that this is not written or not proven. The caller keeps the attempt as placed
/// and halts dialing: whoever cannot write "called" must not call.
pub fn complete_placed(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call_id: Option<&str>,
    who: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let Some(customer_id) = attempt.customer_id else { return Ok(()) };
    let (call_type, occasion) = (attempt.call_type, attempt.occasion.as_str());
    if attempt.state != AttemptState::Dialing && customers::by_id(tx, customer_id)?.is_none() {
        // Erased since: there is no flag to set, and the ledger has what counts. While an attempt
        // is dialing nobody is erased, so a row that is gone then is a flag that is not proven.
        return match item_of(tx, attempt)? {
            Some(item) => {
                let change = Change { vapi_call_id: call_id, ..Change::to(ItemStatus::Completed) };
                complete_item(tx, &item, &change, who, now)
            }
            None => Ok(()),
        };
    }
    let item = queue::item_of_occasion(tx, customer_id, call_type, occasion)?;
    let is_first_welcome = call_type == CallType::Welcome
        && item.as_ref().is_none_or(|item| item.processed_at.is_none())
        && customers::by_id(tx, customer_id)?.is_some_and(|known| !known.welcome_call_completed);
    tell_skipped_over(cx, tx, attempt, customer_id, now)?;
    flags::prove_called(tx, customer_id, call_type, occasion, call_id, now)?;
    match item {
        Some(item) => {
            let change = Change { vapi_call_id: call_id, ..Change::to(ItemStatus::Completed) };
            complete_item(tx, &item, &change, who, now)?;
        }
        None => {
            // Adopted from the provider's records: the occasion gets the row that it lacks.
            let new = NewItem {
                customer_id,
                call_type,
                occasion,
                scheduled_for: attempt.created_at,
                max_attempts: cx.rules.max_attempts,
                expires_at: None,
            };
            let reason = Reason::AlreadyCalled;
            if queue::insert_settled(tx, &new, ItemStatus::Completed, reason, now)? == Moved::No {
                anyhow::bail!("the item of occasion {occasion} appeared while it was completed");
            }
        }
    }
    match is_first_welcome {
        true => next::begin(cx, tx, customer_id, attempt.created_at),
        false => next::advance(cx, tx, call_type, customer_id, now),
    }
}

/// [`complete_placed`] in a part of its own: when the flags cannot be proven, that part is undone,
/// the attempt stays placed, and dialing holds. Returns why.
pub fn complete_or_hold(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call_id: Option<&str>,
    who: &str,
    now: Instant,
) -> anyhow::Result<Option<String>> {
    match store::part(tx, |tx| complete_placed(cx, tx, attempt, call_id, who, now)) {
        Ok(()) => Ok(None),
        Err(error) => {
            let customer =
                attempt.customer_id.map_or("nobody".to_string(), |id| format!("customer {id}"));
            let why = format!(
                "that {customer} was called ({} {}) cannot be written or proven: {error:#}; look at \
                 the customer and mend the database, then run `ringonce resume --hold flag --reason WHY`",
                attempt.call_type, attempt.occasion
            );
            log::error!("dialing holds: {why}");
            meta::hold(tx, "flag", &why, now)?;
            Ok(Some(why))
        }
    }
}

/// A call that the file did not know moves the last date on, over dates that nobody was called
/// on: they are told as missed before nothing looks at them any more.
fn tell_skipped_over(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    customer_id: i64,
    now: Instant,
) -> anyhow::Result<()> {
    if attempt.call_type != CallType::Daily {
        return Ok(());
    }
    let Some(customer) = customers::by_id(tx, customer_id)? else { return Ok(()) };
    let (Some(was_due), Some(zone), Ok(date)) = (
        customer.next_call_scheduled_at,
        cx.zones.get(&customer.timezone),
        attempt.occasion.parse::<NaiveDate>(),
    ) else {
        return Ok(());
    };
    // Where the customer is said to be now: the call may have been made for another zone, whose date
    // was ahead.
    let begins = zone.resolve(date.and_time(NaiveTime::MIN));
    if was_due < begins {
        let mut done = scan::Scanned::default();
        scan::tell_missed(cx, tx, &customer, was_due, begins, now, &mut done)?;
    }
    Ok(())
}

fn complete_item(
    tx: &Tx<'_>,
    item: &Item,
    change: &Change<'_>,
    who: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let open = [ItemStatus::Processing, ItemStatus::Pending, ItemStatus::Retrying];
    if item.status.is_active() {
        return proven(moves::item(tx, item, &open, change, who, now)?, item);
    }
    // In doubt until now, or skipped in a file that was behind the world.
    if item.status != ItemStatus::Completed {
        let closed = [ItemStatus::Failed, ItemStatus::Skipped];
        return proven(moves::item(tx, item, &closed, change, who, now)?, item);
    }
    Ok(())
}

fn proven(moved: Moved, item: &Item) -> anyhow::Result<()> {
    match moved {
        Moved::Yes => Ok(()),
        Moved::No => anyhow::bail!("item {} is no longer {}", item.id, item.status),
    }
}

/// An attempt in doubt takes its item out of the open ones at once, so that it blocks its own
/// occasion and no other. Not counted as a failure of the customer.
pub fn item_in_doubt(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    who: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let Some(item) = item_of(tx, attempt)? else { return Ok(()) };
    if !item.status.is_active() {
        return Ok(());
    }
    let change = Change::because(ItemStatus::Failed, Reason::InDoubt);
    let open = [ItemStatus::Processing, ItemStatus::Pending, ItemStatus::Retrying];
    proven(moves::item(tx, &item, &open, &change, who, now)?, &item)?;
    next::advance(cx, tx, item.call_type, item.customer_id, now)
}

/// What became of an item whose attempt was proven not to have been placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// Tried again later.
    Retrying,
    /// Given up.
    Failed,
    /// There was no item to move.
    NoItem,
}

/// A machine failed before anything could ring: backs off, or gives the occasion up.
pub fn item_not_placed(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    why: &str,
    who: &str,
    now: Instant,
) -> anyhow::Result<Unplaced> {
    let Some(item) = item_of(tx, attempt)? else { return Ok(Unplaced::NoItem) };
    let wait = back_off(item.attempts, item.max_attempts, &cx.rules.back_off);
    let retry_at = wait.map(|wait| now + wait);
    let in_time = retry_at.is_some_and(|at| item.expires_at.is_none_or(|last| at <= last));
    if in_time {
        let change = Change {
            not_before: retry_at,
            error_message: Some(why),
            ..Change::to(ItemStatus::Retrying)
        };
        proven(moves::item(tx, &item, &moves::IN_FLIGHT, &change, who, now)?, &item)?;
        return Ok(Unplaced::Retrying);
    }
    let reason = if wait.is_none() { Reason::AttemptsUsed } else { Reason::TooLate };
    give_up(cx, tx, &item, reason, why, who, now)?;
    Ok(Unplaced::Failed)
}

/// The item of a doubt that was settled as absent, by the records or by a person: tried again at
/// once while its occasion's time lasts and an attempt is left; else it stays `failed`.
pub fn absent_item(
    tx: &Tx<'_>,
    attempt: &Attempt,
    why: &str,
    who: &str,
    now: Instant,
) -> anyhow::Result<Unplaced> {
    let Some(item) = item_of(tx, attempt)? else { return Ok(Unplaced::NoItem) };
    let in_time = item.expires_at.is_none_or(|last| now <= last);
    let left = item.attempts < item.max_attempts;
    if item.status != ItemStatus::Failed || item.reason != Some(Reason::InDoubt) {
        return Ok(Unplaced::Failed);
    }
    if !in_time || !left || !no_other_open(tx, &item)? {
        // No longer in doubt, and no longer to be dialed: the row says which of the two.
        let reason = if left { Reason::TooLate } else { Reason::AttemptsUsed };
        let over = match facts::was_placed(tx, &item)? {
            true => Change::to(ItemStatus::Completed),
            false => Change::because(ItemStatus::Failed, reason),
        };
        let change = Change { error_message: Some(why), ..over };
        proven(moves::item(tx, &item, &[ItemStatus::Failed], &change, who, now)?, &item)?;
        return Ok(Unplaced::Failed);
    }
    let change = Change {
        not_before: Some(now),
        error_message: Some(why),
        ..Change::to(ItemStatus::Retrying)
    };
    proven(moves::item(tx, &item, &[ItemStatus::Failed], &change, who, now)?, &item)?;
    Ok(Unplaced::Retrying)
}

/// The item fails for good, and counts as a failed occasion of its customer. When an earlier attempt
/// was placed, only a second call failed: the occasion was called, and nothing is counted.
pub fn give_up(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    reason: Reason,
    why: &str,
    who: &str,
    now: Instant,
) -> anyhow::Result<()> {
    if facts::was_placed(tx, item)? {
        let change = Change { error_message: Some(why), ..Change::to(ItemStatus::Completed) };
        proven(moves::item(tx, item, &moves::IN_FLIGHT, &change, who, now)?, item)?;
        return next::advance(cx, tx, item.call_type, item.customer_id, now);
    }
    let change = Change { error_message: Some(why), ..Change::because(ItemStatus::Failed, reason) };
    proven(moves::item(tx, item, &moves::IN_FLIGHT, &change, who, now)?, item)?;
    let limit = cx.rules.disable_after_failures;
    if flags::count_failure(tx, item.customer_id, limit, who, now)? {
        log::error!("customer {} is disabled: {limit} failed occasions in a row", item.customer_id);
    }
    next::advance(cx, tx, item.call_type, item.customer_id, now)
}

/// The attempt does not count: the item waits as it did before (a breaker, a stale intent).
pub fn give_back(
    tx: &Tx<'_>,
    attempt: &Attempt,
    reason: Option<Reason>,
    who: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let Some(item) = item_of(tx, attempt)? else { return Ok(()) };
    let to = if 1 < item.attempts { ItemStatus::Retrying } else { ItemStatus::Pending };
    let change = Change { reason, attempts: -1, ..Change::to(to) };
    proven(moves::item(tx, &item, &moves::IN_FLIGHT, &change, who, now)?, &item)
}

/// The item that an attempt belongs to.
pub fn item_of(tx: &Tx<'_>, attempt: &Attempt) -> anyhow::Result<Option<Item>> {
    if let Some(queue_id) = attempt.queue_id
        && let Some(item) = queue::item(tx, queue_id)?
    {
        return Ok(Some(item));
    }
    match attempt.customer_id {
        Some(id) => queue::item_of_occasion(tx, id, attempt.call_type, &attempt.occasion),
        None => Ok(None),
    }
}

/// Whether the customer has no other open item of this type, so that this one may open again.
fn no_other_open(tx: &Tx<'_>, item: &Item) -> anyhow::Result<bool> {
    Ok(queue::open_item(tx, item.customer_id, item.call_type)?.is_none())
}

/// The customer that a key belongs to, if the file knows one.
pub fn customer_of_key(tx: &Tx<'_>, key: &str) -> anyhow::Result<Option<i64>> {
    customers::id_of_key(tx, key)
}
