//! Asks again about ended calls, because the provider analyses a call after its end. The analysis
//! holds the result, and may contain an opt-out. Moves no attempt and uses no line.

use chrono::Duration;

use crate::domain::Instant;
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::do_not_call::opt_out;
use crate::steps::{Context, results};
use crate::store::Tx;
use crate::store::attempts::results::ResultSource;
use crate::store::attempts::{self, Attempt};
use crate::store::webhook_events::{self, Awaited};

/// A result that is complete this long after the end is not asked about again. Sooner, another
/// output may still be computed.
const SETTLED_AFTER: Duration = Duration::seconds(30);
/// A call that cannot be read for this long is no longer asked about: the provider failed all day.
const GIVEN_UP_AFTER: Duration = Duration::hours(24);
/// The interval between two requests grows with the time since the end, within these bounds.
const ASK_AT_FIRST: Duration = Duration::seconds(10);
const ASK_AT_MOST: Duration = Duration::minutes(2);

/// The result of one request.
#[derive(Clone, Debug, PartialEq)]
pub enum AnalysisAnswer {
    Done,
    /// The provider could not be asked. It is asked again later.
    Unanswered(String),
}

/// Notes an ended call that is asked about again. A call that nobody answered has no analysis.
pub fn expect(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    if call.started_at.is_none() {
        return Ok(());
    }
    // Another machine's clock must not shorten the wait, or extend it without end.
    let ended_at = call.ended_at.filter(|at| attempt.created_at <= *at && *at <= now);
    let awaited = Awaited {
        attempt_id: attempt.id.clone(),
        call_id: call.id.clone(),
        ended_at: ended_at.unwrap_or(now),
        next_at: now + ASK_AT_FIRST,
    };
    // A reading may be late enough, unless a list left out a part.
    if is_over(cx, tx, attempt, call, now - awaited.ended_at)? && !call.left_out {
        return Ok(());
    }
    webhook_events::await_call(tx, &awaited)
}

/// Whether a reading this long after the end was late enough, or has everything that is wanted.
fn is_over(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    since: Duration,
) -> anyhow::Result<bool> {
    if waits(cx) <= since {
        return Ok(true);
    }
    // Nothing is kept of an erased person; only their opt-out counts.
    let has_all = attempt.phone.is_none()
        || (SETTLED_AFTER <= since && results::is_complete(cx, tx, &attempt.id)?);
    Ok(has_all && (opt_out::opts_out(cx, call) || !opt_out::is_open(cx, call)))
}

/// How long after its end a call is asked about. Later, only an end-of-call report adds to it.
fn waits(cx: &Context) -> Duration {
    Duration::minutes(cx.config.results.wait_minutes)
}

/// Whether a call is asked about now. An instant too far ahead was written by a wrong clock.
pub fn is_due(awaited: &Awaited, now: Instant) -> bool {
    awaited.next_at <= now || now + ASK_AT_MOST < awaited.next_at
}

/// Asks about one ended call. No transaction is open during the request.
pub fn ask(
    cx: &Context,
    provider: &dyn Provider,
    awaited: &Awaited,
    now: Instant,
) -> anyhow::Result<AnalysisAnswer> {
    let (told, unanswered) = match provider.get(&awaited.call_id) {
        Ok(fetched) => (Some(fetched.call), None),
        Err(ReadError::NotFound) => (None, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let since = now - awaited.ended_at;
    let longest = if unanswered.is_some() { GIVEN_UP_AFTER.max(waits(cx)) } else { waits(cx) };
    cx.store.write(|tx| {
        let mut over = longest <= since;
        if let (Some(call), Some(attempt)) = (&told, attempts::by_id(tx, &awaited.attempt_id)?) {
            opt_out::add_to_list(cx, tx, &attempt, call, now)?;
            results::learn_facts(tx, &attempt, call, now)?;
            results::keep(cx, tx, &attempt, call, ResultSource::Poll, now)?;
            over |= is_over(cx, tx, &attempt, call, since)?;
        }
        if over {
            return webhook_events::forget_call(tx, &awaited.attempt_id).map(drop);
        }
        let next_at = now + (since / 4).clamp(ASK_AT_FIRST, ASK_AT_MOST);
        webhook_events::await_call(tx, &Awaited { next_at, ..awaited.clone() })
    })?;
    Ok(unanswered.map_or(AnalysisAnswer::Done, AnalysisAnswer::Unanswered))
}
