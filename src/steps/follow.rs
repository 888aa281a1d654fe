//! Polls placed calls until they have ended, then applies the retry rule.

pub mod analysis;
pub mod unended;
pub mod webhook_events;

use chrono::Duration;

use crate::domain::Instant;
use crate::domain::call::{AttemptState, CallType, Disposition, ItemStatus};
use crate::domain::disposition::disposition;
use crate::domain::retry::{judge, retry_at};
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::customers::paused;
use crate::steps::do_not_call::opt_out;
use crate::steps::occasions::next;
use crate::steps::{Context, breaker, results, settle};
use crate::store::attempts::results::ResultSource;
use crate::store::attempts::{self, Attempt, history, second_calls, unresolved};
use crate::store::journal::{Act, By};
use crate::store::meta::pauses;
use crate::store::quarantine as odd_rows;
use crate::store::queue::Item;
use crate::store::queue::transitions::{self, Change};
use crate::store::transaction::Moved;
use crate::store::{self, Tx, customers, events};

const WHO: &str = "follow";
/// The poll interval of a young call. The interval grows with the call's age.
const POLL_AT_FIRST: Duration = Duration::seconds(10);
const POLL_AT_MOST: Duration = Duration::minutes(5);
/// No call lasts this long. A call that is still not visible then never will be.
const GIVEN_UP_AFTER: Duration = Duration::hours(24);

/// The result of asking about one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    GoesOn,
    Ended(Disposition),
    /// The provider could not be asked. The call is polled again later.
    Unanswered(String),
}

/// Whether a call is polled now. No poll is planned more than five minutes ahead. A later
/// instant comes from a wrong clock, and would block the call's line until then.
pub fn is_due(attempt: &Attempt, now: Instant) -> bool {
    attempt.next_poll_at.is_none_or(|at| at <= now || now + POLL_AT_MOST < at)
}

/// Asks the provider about one call that is placed, or that a person closed. No transaction is open
/// during the request.
pub fn poll(
    cx: &Context,
    provider: &dyn Provider,
    attempt: &Attempt,
    now: Instant,
) -> anyhow::Result<Followed> {
    let Some(call_id) = &attempt.vapi_call_id else {
        // The reply could not be read. Reconcile finds the id by the tag.
        return unseen(cx, attempt, "its record was never found by its tag", now);
    };
    match provider.get(call_id) {
        Ok(fetched) if is_strange(attempt, &fetched.call) => {
            log::error!("the provider's call {call_id} carries another tag than its attempt");
            unseen(cx, attempt, "the provider's call of this id carries another tag", now)
        }
        Ok(fetched) => apply_record(cx, attempt, &fetched.call, now),
        // Just after a 201 a call may not be visible yet, so a 404 alone never ends it.
        Err(ReadError::NotFound) => unseen(cx, attempt, "the provider no longer knows it", now),
        Err(error) => {
            later(cx, attempt, None, now)?;
            Ok(Followed::Unanswered(error.to_string()))
        }
    }
}

/// Whether the call carries another attempt's tag, for example after a person mistyped the id.
fn is_strange(attempt: &Attempt, call: &ProviderCall) -> bool {
    call.tags().next().is_some() && !call.carries(&attempt.tag())
}

/// Handles a placed call whose record is not visible: polls it again, and after a day ends it with
/// an unknown disposition. It was placed, so this permits no retry. It only frees the line.
fn unseen(cx: &Context, attempt: &Attempt, why: &str, now: Instant) -> anyhow::Result<Followed> {
    if now - attempt.created_at < GIVEN_UP_AFTER || attempt.state == AttemptState::Ended {
        later(cx, attempt, None, now)?;
        return Ok(Followed::GoesOn);
    }
    log::warn!("attempt {} ended with an unknown outcome: {why}", attempt.id);
    let moved = cx
        .store
        .write(|tx| unresolved::end_without_record(tx, attempt, why, By { who: WHO, now }))?;
    Ok(match moved {
        Moved::Yes => Followed::Ended(Disposition::Unknown),
        Moved::No => Followed::GoesOn,
    })
}

/// Applies the provider's record of a call from any source. Idempotent: an event changes a call at
/// most once, and a status that goes backwards changes nothing.
pub fn apply_record(
    cx: &Context,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Followed> {
    if !call.is_ended() {
        // A tool may be called during a call.
        if opt_out::opts_out(cx, call) {
            cx.store.write(|tx| opt_out::add_to_list(cx, tx, attempt, call, now))?;
        }
        later(cx, attempt, call.status.as_deref(), now)?;
        return Ok(Followed::GoesOn);
    }
    cx.store.write(|tx| end(cx, tx, attempt, call, now))
}

fn later(
    cx: &Context,
    attempt: &Attempt,
    status: Option<&str>,
    now: Instant,
) -> anyhow::Result<()> {
    let age = now - attempt.created_at;
    let wait = (age / 10).clamp(POLL_AT_FIRST, POLL_AT_MOST);
    cx.store.write(|tx| match attempt.state {
        // Older records are gone at the provider, so the end of a closed call stays unknown.
        AttemptState::Ended if Duration::days(cx.config.reconcile.retention_days) < age => {
            store::attempts::unended::stop_asking(tx, &attempt.id)
        }
        AttemptState::Ended => store::attempts::unended::ask_again(tx, &attempt.id, now + wait),
        _ => attempts::poll_again(tx, &attempt.id, status, now + wait),
    })
}

/// Ends a call once: in the ledger, with the opt-out and the retry rule.
pub fn end(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Followed> {
    // Also of a call whose end is known already: this reading may be the first that tells it.
    opt_out::add_to_list(cx, tx, attempt, call, now)?;
    let how = disposition(call.ended_reason.as_deref());
    let by = By { who: WHO, now };
    if attempt.lacks_its_end() {
        let moved = unended::attach_end(tx, attempt, call, how, by)?;
        results::keep(cx, tx, attempt, call, ResultSource::Poll, now)?;
        if moved == Moved::Yes {
            analysis::expect(cx, tx, attempt, call, now)?;
        }
        return Ok(Followed::Ended(how));
    }
    let moved = attempts::end(tx, attempt, call, how, by)?;
    results::keep(cx, tx, attempt, call, ResultSource::Poll, now)?;
    if moved == Moved::No {
        return Ok(Followed::Ended(how));
    }
    if how == Disposition::Unknown {
        let reason = call.ended_reason.as_deref().unwrap_or("none");
        log::warn!("attempt {} ended for an unknown reason: {reason}", attempt.id);
    }
    analysis::expect(cx, tx, attempt, call, now)?;
    let reason = call.ended_reason.as_deref().unwrap_or_default();
    breaker::after_end(cx, tx, attempt, how, reason, now)?;
    if let Some(Some(item)) = odd_rows::readable(settle::item_of(tx, attempt))?
        && item.status == ItemStatus::Completed
    {
        // Counted from the call's own end, so that it does not matter when we learn of it.
        let own_end = call.ended_at.filter(|at| attempt.created_at <= *at && *at <= now);
        // The end is recorded also if the customer's rows cannot be read. Then nobody is called again.
        odd_rows::share(tx, attempt.customer_id, |tx| {
            retry(cx, tx, attempt, &item, (how, own_end.unwrap_or(now)), now)
        })?;
    }
    // After the retry rule, which may have opened the occasion again.
    events::occasion::of_attempt_may_be_over(tx, &attempt.id, now)?;
    Ok(Followed::Ended(how))
}

/// The retry rule: the same occasion, attempt n+1, if the rule permits and there is time. No flag
/// is cleared.
fn retry(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    item: &Item,
    (how, ended_at): (Disposition, Instant),
    now: Instant,
) -> anyhow::Result<()> {
    let rule = cx.rules.retry_rule(how, attempt.call_type);
    let history = history::history(tx, item.customer_id, item.call_type, &item.occasion)?;
    let earlier = judge(&history, |ended| cx.rules.retry_rule(ended, item.call_type));
    if !earlier.iter().all(|earlier| earlier.permits_another) {
        return Ok(());
    }
    let Some(customer) = customers::by_id(tx, item.customer_id)? else { return Ok(()) };
    let Some(zone) = cx.zones.get(&customer.timezone) else { return Ok(()) };
    // A person who was called is called again on that date or not at all. An item that was never
    // dialed keeps its occasion's expiry; a welcome call has none.
    let date = match (how, item.call_type) {
        (Disposition::NeverDialed, CallType::Welcome | CallType::Extra) => None,
        _ => item.date().or_else(|| Some(zone.date(attempt.created_at))),
    };
    let Some((at, last)) = retry_at(&rule, ended_at, &zone, date) else { return Ok(()) };
    let last = match how {
        Disposition::NeverDialed => item.expires_at.or(last),
        _ if item.call_type == CallType::Extra => last.min(item.expires_at.or(last)),
        _ => last,
    };
    if last.is_some_and(|last| last < at.max(now)) || !settle::no_other_open(tx, item)? {
        return Ok(());
    }
    let change =
        Change { not_before: Some(at), expires_at: last, ..Change::to(ItemStatus::Retrying) };
    let from = [ItemStatus::Completed];
    if transitions::item(tx, item, &from, &change, By { who: WHO, now })? == Moved::Yes {
        next::advance(cx, tx, item.call_type, item.customer_id, now)?;
    }
    Ok(())
}

/// Stores a second call: one with the tag of an attempt that has another call, or that rang at
/// another number. A phone may have rung twice, so the customer is paused and `audit` exits 1.
pub fn note_second_call(
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    let detail = match &attempt.vapi_call_id {
        Some(id) if *id != call.id => format!("attempt {} has the call {id} too", attempt.id),
        _ => format!("it is for the occasion of attempt {}, but is not its call", attempt.id),
    };
    note_second_call_as(tx, attempt, call, &detail, now)
}

/// The same with a given text.
pub fn note_second_call_as(
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    detail: &str,
    now: Instant,
) -> anyhow::Result<()> {
    if second_calls::note(tx, &call.id, &attempt.id, &attempt.customer_key, detail, now)?
        == Moved::Yes
    {
        log::error!("a second provider call {} was seen: {detail}", call.id);
        let why = format!("a second provider call was seen: {detail}");
        pause_whom_it_rang(tx, attempt, Act { who: WHO, why: &why, now })?;
    }
    Ok(())
}

/// Pauses the customer of a call, also one that this file does not have. If the provider's record
/// names nobody, the number is paused.
fn pause_whom_it_rang(tx: &Tx<'_>, attempt: &Attempt, act: Act<'_>) -> anyhow::Result<()> {
    let customer = match attempt.customer_id {
        Some(id) => customers::by_id(tx, id)?,
        None => customers::by_key(tx, &attempt.customer_key)?,
    };
    match (customer, attempt.customer_key.as_str(), attempt.phone_key.as_str()) {
        // `false`: the customer is paused already.
        (Some(customer), ..) => paused::pause(tx, &customer, act).map(drop),
        (None, "", "") => Ok(()),
        (None, "", number) => paused::record(tx, &pauses::of_number(number), act),
        (None, key, _) => paused::record(tx, &pauses::of_customer(key), act),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_asked_about_when_its_instant_has_come_or_was_written_by_a_wrong_clock() {
        let now = crate::domain::parse_instant("2026-03-02T08:00:00Z").unwrap();
        let minutes = |minutes: i64| Some(now + Duration::minutes(minutes));
        for (next_poll_at, due) in [
            (None, true),
            (minutes(-1), true),
            (minutes(0), true),
            (minutes(1), false),
            (minutes(5), false),
            (minutes(6), true),
            (minutes(60 * 24 * 300), true),
        ] {
            let attempt = Attempt { next_poll_at, ..Attempt::default() };
            assert_eq!(is_due(&attempt, now), due, "{next_poll_at:?}");
        }
    }
}
