//! The checks before the gate: whether this program may dial at all. The answers have the gate's
//! form, so that `explain` shows both as one list.

use chrono::{Duration, NaiveTime};

use crate::domain::call::Reason;
use crate::domain::customer::Customer;
use crate::domain::gate::facts::{Answer, Verdict};
use crate::domain::{Instant, instant_words, parse_instant, utc_words};
use crate::steps::Context;
use crate::steps::dial::caller_id;
use crate::steps::follow::unended;
use crate::steps::forecast::stops::{Stop, StopKind};
use crate::steps::readiness::{armed, hold_words, last_start, reach};
use crate::store::attempts::{history, recent_outcomes};
use crate::store::meta::breaker;

/// The first precondition. Without it, not even a scan runs.
pub const ARMED: &str = "this file may dial";

const HOLDS: &str = "nothing holds";
const BREAKER: &str = "breaker closed";
const LINE: &str = "a line is free";
const PROVIDER: &str = "the provider takes calls";
const START: &str = "the last start opened dialing";
/// A failed call says nothing about a later one. The first retry comes after so long by default.
const FAILURE_COUNTS_FOR: Duration = Duration::minutes(15);

/// Every precondition's answer, in the order in which a pass checks them.
pub fn answers(cx: &Context, customer: &Customer, at: Instant) -> anyhow::Result<Vec<Answer>> {
    let armed = door(ARMED, Reason::Held, armed::not_armed_at(&cx.store)?, None);
    let holds = hold_words::holds(cx)?;
    let (breaker, in_use) = cx
        .store
        .read(|conn| Ok((breaker::breaker(conn)?, unended::lines_in_use(&cx.config, conn, at)?)))?;
    let held = holds.into_iter().next();
    let probe_at = breaker.as_ref().and_then(|breaker| parse_instant(&breaker.probe_at));
    let half_open = breaker.as_ref().is_some_and(|breaker| breaker.is_half_open(at));
    let shut = breaker.filter(|_| !half_open).map(|breaker| breaker.words());
    let mut breaker_door = door(BREAKER, Reason::Breaker, shut, probe_at);
    if half_open {
        breaker_door.detail = "half open: one call is tried alone".to_string();
    }
    let lines = cx.config.dialing.max_active_calls;
    let full = (lines <= in_use).then(|| format!("{in_use} of {lines} lines are in use"));
    let mut doors = vec![
        armed,
        door(HOLDS, Reason::Held, held, None),
        breaker_door,
        door(LINE, Reason::NoLine, full, None),
    ];
    if caller_id::is_choice(cx) {
        let number = cx.store.read(|conn| caller_id::choose(cx, conn, customer, at))?;
        let none = number.is_none().then(|| "all have used their calls or rest".to_string());
        // A number's daily count restarts at midnight UTC.
        let tomorrow = at.date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        doors.push(door("a number of ours is free", Reason::NoLine, none, tomorrow));
    }
    Ok(doors)
}

/// What the last start and the last calls show against a call that is due now. A tick does not
/// check this, because it tries all the same.
pub fn of_the_last_tries(cx: &Context, at: Instant) -> anyhow::Result<Vec<Answer>> {
    let (shut, unreached) = cx
        .store
        .read(|conn| Ok((last_start::not_dialing(conn)?, reach::unreachable(conn, at)?)))?;
    let shut = shut.map(|told| format!("since {}: {}", instant_words(&told.since), told.why));
    // As health judges it: one failure may be a short outage.
    let fails = unreached.map(|told| format!("since {}: {}", instant_words(&told.since), told.why));
    let mut against =
        vec![door(START, Reason::Held, shut, None), door(PROVIDER, Reason::Held, fails, None)];
    against.retain(|answer| answer.verdict != Verdict::Open);
    Ok(against)
}

fn reached(failed: Option<(Instant, String)>) -> Answer {
    let failed = failed.map(|(at, why)| format!("the last call failed {}: {why}", utc_words(at)));
    door(PROVIDER, Reason::Held, failed, None)
}

/// The preconditions at an earlier instant, from the journal and the ledger.
pub fn answers_then(cx: &Context, stops: &[Stop], at: Instant) -> anyhow::Result<Vec<Answer>> {
    let stood = |kind: StopKind| {
        let stop = stops.iter().find(|stop| stop.kind == kind && stop.stood_at(at));
        stop.map(|stop| (stop.words(), stop.until))
    };
    let shut = |rule, reason, stop: Option<(String, Option<Instant>)>| {
        let (words, until) = stop.unzip();
        door(rule, reason, words, until.flatten())
    };
    let (in_use, failed) = cx.store.read(|conn| {
        let failed = recent_outcomes::last_not_sent(conn, 0, (at - FAILURE_COUNTS_FOR, at))?;
        Ok((history::lines_in_use_at(conn, at)?, failed))
    })?;
    let lines = cx.config.dialing.max_active_calls;
    let full = (lines <= in_use).then(|| format!("{in_use} of {lines} lines were in use"));
    Ok(vec![
        shut(HOLDS, Reason::Held, stood(StopKind::Hold)),
        shut(BREAKER, Reason::Breaker, stood(StopKind::Breaker)),
        door(LINE, Reason::NoLine, full, None),
        shut(START, Reason::Held, stood(StopKind::Start)),
        reached(failed),
    ])
}

/// One precondition: it waits if `shut` holds a detail, else it is open.
fn door(
    rule: &'static str,
    reason: Reason,
    shut: Option<String>,
    until: Option<Instant>,
) -> Answer {
    match shut {
        Some(detail) => Answer { rule, verdict: Verdict::Wait { reason, until }, detail },
        None => Answer { rule, verdict: Verdict::Open, detail: String::new() },
    }
}
