//! follow: asks about placed calls until they have ended, then lets the retry rule decide.

use chrono::Duration;

use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition, ItemStatus};
use crate::domain::disposition::disposition;
use crate::domain::retry::{judge, retry_at};
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::{Context, analysis, breaker, next, opt_out, settle};
use crate::store::attempts::{self, Attempt};
use crate::store::moves::{self, Change};
use crate::store::queue::{Item, Moved};
use crate::store::{Tx, customers, doubts, facts, second};

const WHO: &str = "follow";
/// A young call is asked about this often; the distance grows with its age.
const POLL_AT_FIRST: Duration = Duration::seconds(10);
const POLL_AT_MOST: Duration = Duration::minutes(5);
/// No call lasts that long; what is not visible by then never will be.
const GIVEN_UP_AFTER: Duration = Duration::hours(24);

/// What asking about one call came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    GoesOn,
    Ended(Disposition),
    /// The provider could not be asked; asked again later.
    Unanswered(String),
}

/// Whether a placed call is asked about now. No question is planned further ahead than five minutes:
/// a later instant was written by a wrong clock, and would keep its line until then.
pub fn is_due(attempt: &Attempt, now: Instant) -> bool {
    attempt.next_poll_at.is_none_or(|at| at <= now || now + POLL_AT_MOST < at)
}

/// Asks the provider about one placed call. No transaction is open while it is asked.
pub fn poll(
    cx: &Context,
    provider: &dyn Provider,
    attempt: &Attempt,
    now: Instant,
) -> anyhow::Result<Followed> {
    let Some(call_id) = &attempt.vapi_call_id else {
        // Placed by a reply that could not be read: reconcile finds the id by the tag.
        return unseen(cx, attempt, "its record was never found by its tag", now);
    };
    match provider.get(call_id) {
        Ok(fetched) if is_strange(attempt, &fetched.call) => {
            log::error!("the provider's call {call_id} carries another tag than its attempt");
            unseen(cx, attempt, "the provider's call of this id carries another tag", now)
        }
        Ok(fetched) => take_in(cx, attempt, &fetched.call, now),
        // Just after a 201 a call may not be visible yet: 404 alone is never an end.
        Err(ReadError::NotFound) => unseen(cx, attempt, "the provider no longer knows it", now),
        Err(error) => {
            later(cx, attempt, None, now)?;
            Ok(Followed::Unanswered(error.to_string()))
        }
    }
}

/// Whether the call names an attempt, and another one: an id that a person mistyped.
fn is_strange(attempt: &Attempt, call: &ProviderCall) -> bool {
    call.tags().next().is_some() && !call.carries(&attempt.tag())
}

/// A placed call whose record is not to be seen: asked about again, and after a day given up as
/// ended in a way that nobody can tell. It was placed, so that permits nothing; it only frees the
/// line that it would hold for ever.
fn unseen(cx: &Context, attempt: &Attempt, why: &str, now: Instant) -> anyhow::Result<Followed> {
    if now - attempt.created_at < GIVEN_UP_AFTER {
        later(cx, attempt, None, now)?;
        return Ok(Followed::GoesOn);
    }
    log::warn!("attempt {} ended in a way that nobody can tell: {why}", attempt.id);
    let moved = cx.store.write(|tx| doubts::end_untold(tx, attempt, why, WHO, now))?;
    Ok(match moved {
        Moved::Yes => Followed::Ended(Disposition::Unknown),
        Moved::No => Followed::GoesOn,
    })
}

/// Takes in what the provider tells of a call, by whatever way it came. Idempotent: an event
/// changes a call at most once, and a status that goes backwards changes nothing.
pub fn take_in(
    cx: &Context,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Followed> {
    if !call.is_ended() {
        // A tool may be called in the middle of a call.
        if opt_out::is_asked(cx, call) {
            cx.store.write(|tx| opt_out::honour(cx, tx, attempt, call, now))?;
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
    cx.store.write(|tx| attempts::poll_again(tx, &attempt.id, status, now + wait))
}

/// The end of a call, once: the ledger, the opt-out, the retry rule.
pub fn end(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Followed> {
    // Also of a call whose end is known already: this reading may be the first that tells it.
    opt_out::honour(cx, tx, attempt, call, now)?;
    let how = disposition(call.ended_reason.as_deref());
    // Of a person who was erased meanwhile nothing that they said is kept.
    let keep_words = cx.config.follow.store_transcripts && attempt.phone.is_some();
    if attempts::end(tx, attempt, call, how, keep_words, WHO, now)? == Moved::No {
        return Ok(Followed::Ended(how));
    }
    if how == Disposition::Unknown {
        let reason = call.ended_reason.as_deref().unwrap_or("none");
        log::warn!("attempt {} ended for an unknown reason: {reason}", attempt.id);
    }
    analysis::expect(cx, tx, attempt, call, now)?;
    let reason = call.ended_reason.as_deref().unwrap_or_default();
    breaker::after_end(cx, tx, attempt, how, reason, now)?;
    if let Some(item) = settle::item_of(tx, attempt)?
        && item.status == ItemStatus::Completed
    {
        // Counted from the call's own end: how soon we hear of it must not matter.
        let own_end = call.ended_at.filter(|at| attempt.created_at <= *at && *at <= now);
        retry(cx, tx, attempt, &item, (how, own_end.unwrap_or(now)), now)?;
    }
    Ok(Followed::Ended(how))
}

/// The retry rule: the same occasion, attempt n+1, when its rule permits and there is time. No
/// flag is cleared for it.
fn retry(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    item: &Item,
    (how, ended_at): (Disposition, Instant),
    now: Instant,
) -> anyhow::Result<()> {
    let rule = cx.rules.retry_rule(how, attempt.call_type);
    let history = facts::history(tx, item.customer_id, item.call_type, &item.occasion)?;
    let earlier = judge(&history, |ended| cx.rules.retry_rule(ended, item.call_type));
    if !earlier.iter().all(|earlier| earlier.permits_another) {
        return Ok(());
    }
    let Some(customer) = customers::by_id(tx, item.customer_id)? else { return Ok(()) };
    let Some(zone) = cx.zones.get(&customer.timezone) else { return Ok(()) };
    // A person who was called is called again on that date or not at all. An item that was never
    // dialed keeps the last instant of its occasion: a welcome call has none.
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
    if last.is_some_and(|last| last < at.max(now)) || has_other_open(tx, item)? {
        return Ok(());
    }
    let change =
        Change { not_before: Some(at), expires_at: last, ..Change::to(ItemStatus::Retrying) };
    let from = [ItemStatus::Completed];
    if moves::item(tx, item, &from, &change, WHO, now)? == Moved::Yes {
        next::advance(cx, tx, item.call_type, item.customer_id, now)?;
    }
    Ok(())
}

fn has_other_open(tx: &Tx<'_>, item: &Item) -> anyhow::Result<bool> {
    Ok(crate::store::queue::open_item(tx, item.customer_id, item.call_type)?.is_some())
}

/// A provider call that carries the tag of an attempt which has another call already, or rang at
/// another number: somebody's phone may have rung twice. Stored, the customer is held, and `audit` exits 1.
pub fn note_second_call(
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    let detail = match &attempt.vapi_call_id {
        Some(id) if *id != call.id => format!("attempt {} has the call {id} too", attempt.id),
        _ => format!("it is for the occasion of attempt {}, and not its call", attempt.id),
    };
    note_second_call_as(tx, attempt, call, &detail, now)
}

/// The same in other words.
pub fn note_second_call_as(
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    detail: &str,
    now: Instant,
) -> anyhow::Result<()> {
    if second::note(tx, &call.id, &attempt.id, &attempt.customer_key, detail, now)? == Moved::Yes {
        log::error!("a second provider call {} was seen: {detail}", call.id);
        let pause = crate::store::meta::Pause {
            who: WHO.to_string(),
            why: format!("a second provider call was seen: {detail}"),
            since: crate::domain::instant_text(now),
        };
        crate::store::meta::set_pause(tx, &format!("customer:{}", attempt.customer_key), &pause)?;
    }
    Ok(())
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
