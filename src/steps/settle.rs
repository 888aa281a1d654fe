//! Writes the effects of a proven outcome on the customer, the item and the next occasion. Used for
//! the reply to a POST, the provider's records and a person's decision.

use chrono::{NaiveDate, NaiveTime};

use crate::domain::Instant;
use crate::domain::call::{AttemptState, CallType, ItemStatus, Reason};
use crate::domain::hold::HoldKind;
use crate::domain::retry::back_off;
use crate::steps::Context;
use crate::steps::occasions::finish;
use crate::steps::occasions::{missed, next};
use crate::store::attempts::{Attempt, history};
use crate::store::customers::{self, called_flags};
use crate::store::journal::By;
use crate::store::meta::holds;
use crate::store::quarantine as odd_rows;
use crate::store::queue::transitions::{self, Change};
use crate::store::queue::{self, Item, NewItem};
use crate::store::transaction::Moved;
use crate::store::{self, Tx};

/// Writes the effects of a placed attempt: the proven flag, the completed item and the next
/// occasion.
///
/// An error means that this is not written or not proven. The caller then keeps the attempt as
/// placed and halts dialing: a program that cannot write "called" must not call.
pub fn complete_placed(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call_id: Option<&str>,
    by: By<'_>,
) -> anyhow::Result<()> {
    let By { now, .. } = by;
    let Some(customer_id) = attempt.customer_id else { return Ok(()) };
    let (call_type, occasion) = (attempt.call_type, attempt.occasion.as_str());
    if attempt.state != AttemptState::Dialing && !customers::exists(tx, customer_id)? {
        // The customer was erased: the flag is gone too, and the ledger has the call. While an
        // attempt is dialing, erasure is refused, so a missing row then means an unproven flag.
        return match item_of(tx, attempt)? {
            Some(item) => {
                let change = Change { vapi_call_id: call_id, ..Change::to(ItemStatus::Completed) };
                complete_item(tx, &item, &change, by)
            }
            None => Ok(()),
        };
    }
    let item = queue::item_of_occasion(tx, customer_id, call_type, occasion)?;
    let is_first_welcome = call_type == CallType::Welcome
        && item.as_ref().is_none_or(|item| item.processed_at.is_none())
        && called_flags::is_not_welcomed(tx, customer_id)?;
    odd_rows::share(tx, Some(customer_id), |tx| {
        record_dates_before_call(cx, tx, attempt, customer_id, now)
    })?;
    called_flags::prove_called(tx, customer_id, call_type, occasion, call_id, now)?;
    match item {
        Some(item) => {
            let change = Change { vapi_call_id: call_id, ..Change::to(ItemStatus::Completed) };
            complete_item(tx, &item, &change, by)?;
        }
        None => {
            // The call was adopted from the provider's records, so the occasion gets its missing
            // row.
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
    // The flag is proven. A row that cannot be read now only leaves the next call to a later scan.
    odd_rows::share(tx, Some(customer_id), |tx| match is_first_welcome {
        true => next::begin(cx, tx, customer_id, attempt.created_at),
        false => next::advance(cx, tx, call_type, customer_id, now),
    })?;
    Ok(())
}

/// Runs [`complete_placed`] in a savepoint. If the flags cannot be proven, the savepoint is rolled
/// back, the attempt stays placed, and dialing is held. Returns why.
pub fn complete_or_hold(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call_id: Option<&str>,
    by: By<'_>,
) -> anyhow::Result<Option<String>> {
    let By { now, .. } = by;
    match store::part(tx, |tx| complete_placed(cx, tx, attempt, call_id, by)) {
        Ok(()) => Ok(None),
        Err(error) => {
            // The ledger keeps the occasion, and nobody whom the row concerns is called. The repair
            // completes it when the row is corrected.
            if let Some(row) = odd_rows::odd_row_of(&error, attempt.customer_id) {
                odd_rows::notice(row);
                return Ok(None);
            }
            let erased = || "an erased customer".to_string();
            let customer = attempt.customer_id.map_or_else(erased, |id| format!("customer {id}"));
            let why = format!(
                "cannot record that {customer} was called ({} {}): {error:#}; check the customer and \
                 repair the database",
                attempt.call_type, attempt.occasion
            );
            log::error!("dialing is held: {why}");
            holds::hold(tx, HoldKind::Flag, &why, now)?;
            Ok(Some(why))
        }
    }
}

/// A call that the file did not know moves the last called date past dates without a call. They are
/// recorded as missed here, because no scan checks them later.
fn record_dates_before_call(
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
    // In the customer's present zone. The call may have been made for another zone, whose date was
    // ahead.
    let begins = zone.resolve(date.and_time(NaiveTime::MIN));
    if was_due < begins {
        missed::record_missed(cx, tx, (&customer, Reason::TooLate), was_due, begins, now)?;
    }
    Ok(())
}

fn complete_item(tx: &Tx<'_>, item: &Item, change: &Change<'_>, by: By<'_>) -> anyhow::Result<()> {
    let open = [ItemStatus::Processing, ItemStatus::Pending, ItemStatus::Retrying];
    if item.status.is_active() {
        return proven(transitions::item(tx, item, &open, change, by)?, item);
    }
    // The item was in doubt until now, or skipped in a file that lacked the call.
    if item.status != ItemStatus::Completed {
        let closed = [ItemStatus::Failed, ItemStatus::Skipped];
        return proven(transitions::item(tx, item, &closed, change, by)?, item);
    }
    Ok(())
}

fn proven(moved: Moved, item: &Item) -> anyhow::Result<()> {
    match moved {
        Moved::Yes => Ok(()),
        Moved::No => anyhow::bail!("item {} is no longer {}", item.id, item.status),
    }
}

/// Closes the item of an attempt in doubt at once, so that it blocks only its own occasion. It does
/// not count as a failure of the customer.
pub fn item_in_doubt(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    by: By<'_>,
) -> anyhow::Result<()> {
    let Some(item) = item_of(tx, attempt)? else { return Ok(()) };
    if !item.status.is_active() {
        return Ok(());
    }
    let change = Change::because(ItemStatus::Failed, Reason::InDoubt);
    let open = [ItemStatus::Processing, ItemStatus::Pending, ItemStatus::Retrying];
    proven(finish::item(cx, tx, &item, &open, &change, by)?, &item)
}

/// The command by which a person settles a doubt.
pub fn resolve_command(attempt_id: &str) -> String {
    format!("ringonce attempts resolve {attempt_id} (--placed | --not-placed) --reason WHY")
}

/// Logs one line for a call, without its number. A doubt comes with the command that settles it.
pub fn log_outcome(attempt: &Attempt, became: AttemptState) {
    let Attempt { id, call_type, occasion, .. } = attempt;
    let customer = attempt.customer_id.map_or("gone".to_string(), |id| id.to_string());
    let call = format!("attempt {id}, customer {customer}, {call_type} {occasion}: {became}");
    if became == AttemptState::InDoubt {
        let command = resolve_command(id);
        log::warn!("{call}; a phone may have rung. If the provider cannot tell, run `{command}`");
    } else {
        log::info!("{call}");
    }
}

/// The effect on an item whose attempt was proven not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// It is retried later.
    Retrying,
    /// It was given up.
    Failed,
    /// The attempt has no item.
    NoItem,
}

/// Handles a machine failure before a phone could ring: backs off, or gives the occasion up.
pub fn item_not_placed(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    why: &str,
    by: By<'_>,
) -> anyhow::Result<Unplaced> {
    let By { now, .. } = by;
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
        proven(transitions::item(tx, &item, &transitions::IN_FLIGHT, &change, by)?, &item)?;
        return Ok(Unplaced::Retrying);
    }
    let reason = if wait.is_none() { Reason::AttemptsUsed } else { Reason::TooLate };
    give_up(cx, tx, &item, reason, why, by)?;
    Ok(Unplaced::Failed)
}

/// Handles the item of a doubt that the records or a person settled as absent. It is retried at
/// once while its occasion lasts and an attempt is left. Otherwise it stays `failed`, or is
/// completed if an earlier attempt was placed.
pub fn absent_item(
    tx: &Tx<'_>,
    attempt: &Attempt,
    why: &str,
    by: By<'_>,
) -> anyhow::Result<Unplaced> {
    let By { now, .. } = by;
    let Some(item) = item_of(tx, attempt)? else { return Ok(Unplaced::NoItem) };
    let in_time = item.expires_at.is_none_or(|last| now <= last);
    let left = item.attempts < item.max_attempts;
    if item.status != ItemStatus::Failed || item.reason != Some(Reason::InDoubt) {
        return Ok(Unplaced::Failed);
    }
    if !in_time || !left || !no_other_open(tx, &item)? {
        // The item is no longer in doubt and is not dialed again. The row records why.
        let reason = if left { Reason::TooLate } else { Reason::AttemptsUsed };
        let over = if history::was_placed(tx, &item)? {
            Change::to(ItemStatus::Completed)
        } else {
            Change::because(ItemStatus::Failed, reason)
        };
        let change = Change { error_message: Some(why), ..over };
        proven(transitions::item(tx, &item, &[ItemStatus::Failed], &change, by)?, &item)?;
        return Ok(Unplaced::Failed);
    }
    let change = Change {
        not_before: Some(now),
        error_message: Some(why),
        ..Change::to(ItemStatus::Retrying)
    };
    proven(transitions::item(tx, &item, &[ItemStatus::Failed], &change, by)?, &item)?;
    Ok(Unplaced::Retrying)
}

/// Fails the item for good, and counts a failed occasion for its customer. If an earlier attempt
/// was placed, only a later call failed: the item is completed, and nothing is counted.
pub fn give_up(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    reason: Reason,
    why: &str,
    by: By<'_>,
) -> anyhow::Result<()> {
    if history::was_placed(tx, item)? {
        let change = Change { error_message: Some(why), ..Change::to(ItemStatus::Completed) };
        return proven(finish::item(cx, tx, item, &transitions::IN_FLIGHT, &change, by)?, item);
    }
    let change = Change { error_message: Some(why), ..Change::because(ItemStatus::Failed, reason) };
    proven(finish::item(cx, tx, item, &transitions::IN_FLIGHT, &change, by)?, item)?;
    let limit = cx.rules.disable_after_failures;
    if called_flags::count_failure(tx, item.customer_id, limit, by)? {
        log::error!("customer {} is disabled: {limit} failed occasions in a row", item.customer_id);
    }
    Ok(())
}

/// Takes back an attempt that does not count: the item waits as before (an open breaker, a stale
/// intent).
pub fn give_back(
    tx: &Tx<'_>,
    attempt: &Attempt,
    reason: Option<Reason>,
    by: By<'_>,
) -> anyhow::Result<()> {
    let Some(item) = item_of(tx, attempt)? else { return Ok(()) };
    let to = if 1 < item.attempts { ItemStatus::Retrying } else { ItemStatus::Pending };
    let change = Change { reason, attempts: -1, ..Change::to(to) };
    proven(transitions::item(tx, &item, &transitions::IN_FLIGHT, &change, by)?, &item)
}

/// The item of an attempt.
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

/// Whether the customer has no other open item of this type, so that this one may reopen.
pub fn no_other_open(tx: &Tx<'_>, item: &Item) -> anyhow::Result<bool> {
    Ok(queue::open_item(tx, item.customer_id, item.call_type)?.is_none())
}

/// The customer with this key, if the file has one.
pub fn customer_of_key(tx: &Tx<'_>, key: &str) -> anyhow::Result<Option<i64>> {
    customers::id_of_key(tx, key)
}
