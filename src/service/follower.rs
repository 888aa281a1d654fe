//! The follower: asks about placed calls, applies what the webhook was told, and reconciles
//! doubts. It never dials; everything it does may be repeated.

use std::time::Duration;

use crate::clock;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::service::Service;
use crate::service::pace::Pace;
use crate::steps::analysis::{self, Asked};
use crate::steps::follow::{self, Followed};
use crate::steps::{events, settle};
use crate::store::attempts::{self, Attempt};
use crate::store::doubts;

/// Which placed calls are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those whose time to be asked has come.
    Due,
    /// All of them: a single pass has no later.
    All,
}

/// The pace of asking of one process: it never asks more often than so many times a minute.
pub fn pace_of_asking(service: &Service) -> Pace {
    let requests = service.cx.config.follow.requests_per_minute;
    Pace::new(requests, Duration::ZERO, [], clock::elapsed())
}

/// Applies stored webhook events, then asks about placed calls and about ended ones whose analysis is
/// awaited: those that wait longest first, and no more than the pace allows. Returns how many calls
/// were found ended.
pub fn follow(
    service: &Service,
    asking: &mut Pace,
    which: Which,
    now: Instant,
) -> anyhow::Result<usize> {
    let cx = &service.cx;
    let mut ended = events::apply(cx, service.provider.as_ref(), now)?;
    let placed = cx.store.read(|conn| attempts::in_state(conn, AttemptState::Placed))?;
    let mut due: Vec<Attempt> = placed
        .into_iter()
        .filter(|attempt| which == Which::All || follow::is_due(attempt, now))
        .collect();
    due.sort_by_key(|attempt| attempt.next_poll_at);
    for attempt in &due {
        if service.stopping() || asking.free(clock::elapsed()) == 0 {
            break;
        }
        asking.count(clock::elapsed());
        match follow::poll(cx, service.provider.as_ref(), attempt, now)? {
            Followed::Ended(_) => ended += 1,
            Followed::GoesOn => {}
            Followed::Unanswered(why) => {
                // One call that cannot be asked about means that none can: do not insist.
                log::warn!("placed calls cannot be followed now: {why}");
                return Ok(ended);
            }
        }
    }
    ask_for_analyses(service, asking, which, now)?;
    Ok(ended)
}

/// After the placed calls, which hold lines.
fn ask_for_analyses(
    service: &Service,
    asking: &mut Pace,
    which: Which,
    now: Instant,
) -> anyhow::Result<()> {
    let cx = &service.cx;
    for awaited in cx.store.read(crate::store::events::awaited)? {
        if which == Which::Due && !analysis::is_due(&awaited, now) {
            continue;
        }
        if service.stopping() || asking.free(clock::elapsed()) == 0 {
            break;
        }
        asking.count(clock::elapsed());
        if let Asked::Unanswered(why) = analysis::ask(cx, service.provider.as_ref(), &awaited, now)?
        {
            log::warn!("ended calls cannot be asked about now: {why}");
            break;
        }
    }
    Ok(())
}

/// Tries again what could not be proven: attempts that are placed while their item is still
/// `processing`. Returns how many are left.
pub fn repair_unproven(service: &Service, now: Instant) -> anyhow::Result<usize> {
    let cx = &service.cx;
    let unproven = cx.store.read(doubts::placed_without_flags)?;
    let mut left = 0;
    for attempt in unproven {
        let call_id = attempt.vapi_call_id.clone();
        let held = cx.store.write(|tx| {
            settle::complete_or_hold(cx, tx, &attempt, call_id.as_deref(), "repair", now)
        })?;
        left += usize::from(held.is_some());
    }
    Ok(left)
}

/// Sleeps in short steps until the time is over or the service stops.
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
