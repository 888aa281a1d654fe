//! The checks before the gate: whether this program may dial at all. The answers have the gate's
//! form, so that `explain` shows both as one list.

use chrono::NaiveTime;

use crate::domain::call::Reason;
use crate::domain::customer::Customer;
use crate::domain::gate::facts::{Answer, Verdict};
use crate::domain::{Instant, parse_instant};
use crate::steps::Context;
use crate::steps::dial::caller_id;
use crate::steps::follow::unended;
use crate::steps::readiness::{armed, hold_words};
use crate::store::meta::breaker;

/// The first precondition. Without it, not even a scan runs.
pub const ARMED: &str = "this file may dial";

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
    let mut breaker_door = door("breaker closed", Reason::Breaker, shut, probe_at);
    if half_open {
        breaker_door.detail = "half open: one call is tried alone".to_string();
    }
    let lines = cx.config.dialing.max_active_calls;
    let full = (lines <= in_use).then(|| format!("{in_use} of {lines} lines are in use"));
    let mut doors = vec![
        armed,
        door("nothing holds", Reason::Held, held, None),
        breaker_door,
        door("a line is free", Reason::NoLine, full, None),
    ];
    if cx.config.vapi.daily_calls_per_number.is_some() || cx.config.vapi.phone_number_ids.len() > 1
    {
        let number = cx.store.read(|conn| caller_id::choose(cx, conn, customer, at))?;
        let none = number.is_none().then(|| "all have used their calls or rest".to_string());
        // A number's daily count restarts at midnight UTC.
        let tomorrow = at.date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        doors.push(door("a number of ours is free", Reason::NoLine, none, tomorrow));
    }
    Ok(doors)
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
