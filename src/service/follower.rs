//! The follower: asks about placed calls and ended calls without analysis, and applies stored
//! webhook events. It never dials, and all of its work may be repeated.

use std::time::Duration;

use crate::clock;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::service::Service;
use crate::service::pace::Pace;
use crate::steps::follow::analysis::{self, AnalysisAnswer};
use crate::steps::follow::{self, Followed, webhook_events};
use crate::steps::{results, settle};
use crate::store::attempts::{self, Attempt, unended, unresolved};
use crate::store::journal::By;
use crate::store::quarantine::readable;

/// Which placed calls the follower asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Calls whose next question is due.
    Due,
    /// All calls, because a single pass has no later round.
    All,
}

/// The pace of one process's questions: at most `follow.requests_per_minute`.
pub fn pace_of_asking(service: &Service) -> Pace {
    let requests = service.cx.config.follow.requests_per_minute;
    Pace::new(requests, Duration::ZERO, [], clock::elapsed())
}

/// Applies stored webhook events. Then asks about placed and closed calls, and about ended calls that
/// still lack their analysis. The longest wait goes first, and the pace is the limit. Returns how many
/// calls were found ended.
pub fn follow(
    service: &Service,
    asking: &mut Pace,
    which: Which,
    now: Instant,
) -> anyhow::Result<usize> {
    let cx = &service.cx;
    let mut ended = webhook_events::apply(cx, service.provider.as_ref(), now)?;
    results::forget_old(cx, now)?;
    let open = cx.store.read(|conn| {
        let mut open = attempts::in_state(conn, AttemptState::Placed)?;
        open.extend(unended::closed(conn)?);
        Ok(open)
    })?;
    let mut due: Vec<Attempt> = open
        .into_iter()
        .filter(|attempt| which == Which::All || follow::is_due(attempt, now))
        .collect();
    due.sort_by_key(|attempt| attempt.next_poll_at);
    for attempt in &due {
        if service.stopping() || asking.free(clock::elapsed()) == 0 {
            break;
        }
        asking.count(clock::elapsed());
        // Rows that cannot be read concern only this call.
        match readable(follow::poll(cx, service.provider.as_ref(), attempt, now))? {
            Some(Followed::Ended(_)) => ended += 1,
            Some(Followed::GoesOn) | None => {}
            Some(Followed::Unanswered(why)) => {
                // If the provider does not answer about one call, stop: the others would fail too.
                log::warn!("placed calls cannot be followed now: {why}");
                return Ok(ended);
            }
        }
    }
    ask_for_analyses(service, asking, which, now)?;
    Ok(ended)
}

/// Asks about missing analyses, after the placed calls because those occupy lines.
fn ask_for_analyses(
    service: &Service,
    asking: &mut Pace,
    which: Which,
    now: Instant,
) -> anyhow::Result<()> {
    let cx = &service.cx;
    for awaited in cx.store.read(crate::store::webhook_events::awaited)? {
        if which == Which::Due && !analysis::is_due(&awaited, now) {
            continue;
        }
        if service.stopping() || asking.free(clock::elapsed()) == 0 {
            break;
        }
        asking.count(clock::elapsed());
        if let Some(AnalysisAnswer::Unanswered(why)) =
            readable(analysis::ask(cx, service.provider.as_ref(), &awaited, now))?
        {
            log::warn!("ended calls cannot be asked about now: {why}");
            break;
        }
    }
    Ok(())
}

/// Retries attempts that are placed while their item is still `processing`, because the customer's
/// flags could not be proven. Returns how many are left.
pub fn repair_unproven(service: &Service, now: Instant) -> anyhow::Result<usize> {
    let cx = &service.cx;
    let unproven = cx.store.read(unresolved::placed_without_flags)?;
    let mut left = 0;
    for attempt in unproven {
        let call_id = attempt.vapi_call_id.clone();
        let held = cx.store.write(|tx| {
            settle::complete_or_hold(
                cx,
                tx,
                &attempt,
                call_id.as_deref(),
                By { who: "repair", now },
            )
        })?;
        left += usize::from(held.is_some());
    }
    Ok(left)
}

/// Sleeps in short steps until `time` has passed or the service stops.
pub fn rest(service: &Service, time: Duration) {
    let until = clock::elapsed() + time;
    while !service.stopping() {
        let left = until.saturating_sub(clock::elapsed());
        if left.is_zero() {
            break;
        }
        clock::pause(left.min(Duration::from_millis(100)));
    }
}
