//! analysis: asks again about ended calls. The provider analyses a call after its end, and the
//! analysis may hold an opt-out. Moves no attempt and holds no line.

use chrono::Duration;

use crate::domain::Instant;
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::{Context, opt_out};
use crate::store::Tx;
use crate::store::attempts::{self, Attempt};
use crate::store::events::{self, Awaited};

/// How long after its end a call is asked about. The provider's analysis takes seconds, and minutes
/// on a bad day; after that only an end-of-call report or the list brings it.
const ASKED_FOR: Duration = Duration::minutes(15);
/// A call that could not be read by then is no longer asked about: the provider was silent for a day.
const GIVEN_UP_AFTER: Duration = Duration::hours(24);
/// The distance between two questions grows with the time since the end, within these bounds.
const ASK_AT_FIRST: Duration = Duration::seconds(10);
const ASK_AT_MOST: Duration = Duration::minutes(2);

/// What one question came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Done,
    /// The provider could not be asked; asked again later.
    Unanswered(String),
}

/// Notes an ended call whose analysis did not come with its end and may hold an opt-out. Nobody
/// opts out of a call that nobody answered.
pub fn expect(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    if call.started_at.is_none() || !opt_out::is_open(cx, call) {
        return Ok(());
    }
    // A clock that is not ours must not shorten the wait, or lengthen it for ever.
    let ended_at = call.ended_at.filter(|at| attempt.created_at <= *at && *at <= now);
    let awaited = Awaited {
        attempt_id: attempt.id.clone(),
        call_id: call.id.clone(),
        ended_at: ended_at.unwrap_or(now),
        next_at: now + ASK_AT_FIRST,
    };
    // A call that is found ended long after is asked about once more: this reading was one.
    match now < awaited.ended_at + ASKED_FOR {
        true => events::await_call(tx, &awaited),
        false => Ok(()),
    }
}

/// Whether a call is asked about now. An instant too far ahead was written by a wrong clock.
pub fn is_due(awaited: &Awaited, now: Instant) -> bool {
    awaited.next_at <= now || now + ASK_AT_MOST < awaited.next_at
}

/// Asks about one ended call. No transaction is open while the provider is asked.
pub fn ask(
    cx: &Context,
    provider: &dyn Provider,
    awaited: &Awaited,
    now: Instant,
) -> anyhow::Result<Asked> {
    let (told, unanswered) = match provider.get(&awaited.call_id) {
        Ok(fetched) => (Some(fetched.call), None),
        Err(ReadError::NotFound) => (None, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let since = now - awaited.ended_at;
    let longest = if unanswered.is_some() { GIVEN_UP_AFTER } else { ASKED_FOR };
    cx.store.write(|tx| {
        let mut is_over = longest <= since;
        if let (Some(call), Some(attempt)) = (&told, attempts::by_id(tx, &awaited.attempt_id)?) {
            opt_out::honour(cx, tx, &attempt, call, now)?;
            is_over |= opt_out::is_asked(cx, call) || !opt_out::is_open(cx, call);
        }
        if is_over {
            return events::forget_call(tx, &awaited.attempt_id).map(drop);
        }
        let next_at = now + (since / 4).clamp(ASK_AT_FIRST, ASK_AT_MOST);
        events::await_call(tx, &Awaited { next_at, ..awaited.clone() })
    })?;
    Ok(unanswered.map_or(Asked::Done, Asked::Unanswered))
}
