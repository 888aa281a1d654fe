//! What stands before the gate: whether anything is dialed at all, for anybody. The answers have
//! the gate's form, so that `explain` shows both as one list.

use chrono::NaiveTime;

use crate::domain::call::Reason;
use crate::domain::customer::Customer;
use crate::domain::gate::{Answer, Verdict};
use crate::domain::{Instant, parse_instant};
use crate::steps::{Context, guard, numbers};
use crate::store::{attempts, meta};

/// The first door: not even a scan runs behind it.
pub const ARMED: &str = "this file may dial";

/// Every door's answer, in the order in which a pass asks them.
pub fn answers(cx: &Context, customer: &Customer, at: Instant) -> anyhow::Result<Vec<Answer>> {
    let armed = door(ARMED, Reason::Held, guard::not_armed_at(&cx.store)?, None);
    let holds = guard::holds(cx)?;
    let (breaker, in_use) =
        cx.store.read(|conn| Ok((meta::breaker(conn)?, attempts::lines_in_use(conn)?)))?;
    let held = holds.into_iter().next();
    let probe_at = breaker.as_ref().and_then(|breaker| parse_instant(&breaker.probe_at));
    let half_open = breaker.as_ref().is_some_and(|breaker| breaker.is_half_open(at));
    let shut = breaker.filter(|_| !half_open).map(|breaker| breaker.why);
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
        let number = cx.store.read(|conn| numbers::choose(cx, conn, customer, at))?;
        let none = number.is_none().then(|| "all have used their calls or rest".to_string());
        // Their days are UTC's.
        let tomorrow = at.date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        doors.push(door("a number of ours is free", Reason::NoLine, none, tomorrow));
    }
    Ok(doors)
}

/// A door that is shut for a reason, or open.
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
