//! Ends a pause, lifts a hold or closes the breaker, for a person. These are separate acts, because
//! a script that ends its pause has not checked why dialing is held. Nothing here dials.

use crate::clock::Reading;
use crate::domain::Instant;
use crate::domain::customer::CallStatus;
use crate::domain::hold::HoldKind;
use crate::steps::Context;
use crate::steps::customers::paused;
use crate::steps::operate::{self, ActRefused, Scope, check_reason, note};
use crate::steps::readiness::health::evidence;
use crate::steps::readiness::{clock_check, unwritten};
use crate::store::journal::Act;
use crate::store::meta::holds::Hold;
use crate::store::meta::{breaker, pauses};
use crate::store::queue::transitions;
use crate::store::{Conn, Tx};

/// The result of a resume.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Resumed {
    pub pause: bool,
    /// The customer was disabled, and no longer is.
    pub customer: bool,
    /// The kinds of holds.
    pub holds: Vec<HoldKind>,
    pub breaker: bool,
}

impl Resumed {
    pub fn is_nothing(&self) -> bool {
        *self == Resumed::default()
    }
}

/// Everything that stops all calls.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Standing {
    pub paused: bool,
    pub holds: Vec<Hold>,
    pub breaker: bool,
}

/// Everything that stops all calls now.
pub fn standing(conn: &Conn, now: Instant) -> anyhow::Result<Standing> {
    let holds = evidence::standing_holds(conn, now)?;
    let paused = pauses::pauses(conn)?.iter().any(|(scope, _)| scope == "all");
    Ok(Standing { paused, holds, breaker: breaker::breaker(conn)?.is_some() })
}

/// Ends the pause of a scope. For everything without a pause, it lifts the only hold and closes the
/// breaker, because nothing else can be meant.
pub fn resume(
    cx: &Context,
    tx: &Tx<'_>,
    scope: &Scope,
    act: Act<'_>,
    reading: &Reading,
) -> anyhow::Result<Resumed> {
    let ended = end_pause(cx, tx, scope, act)?;
    if ended.pause || !matches!(scope, Scope::Everything) {
        return Ok(ended);
    }
    let standing = standing(tx, reading.now)?;
    let holds = match standing.holds.as_slice() {
        [] => Vec::new(),
        [only] => lift(tx, &only.kind, act, reading)?.holds,
        several => {
            let kinds = several.iter().map(|hold| hold.kind.clone()).collect();
            return Err(ActRefused::SeveralHolds(kinds).into());
        }
    };
    let breaker = close_breaker(tx, act)?.breaker;
    Ok(Resumed { holds, breaker, ..Resumed::default() })
}

/// Ends only a pause. A customer who was disabled may be called again too.
pub fn end_pause(
    cx: &Context,
    tx: &Tx<'_>,
    scope: &Scope,
    act: Act<'_>,
) -> anyhow::Result<Resumed> {
    let Act { why, now, .. } = act;
    check_reason(why)?;
    if let Scope::Customer(customer) = scope {
        let is_resumed = paused::resume(cx, tx, customer, act)?;
        let was_disabled = customer.call_status == CallStatus::Disabled;
        let (pause, customer) = (is_resumed && !was_disabled, is_resumed && was_disabled);
        return Ok(Resumed { pause, customer, ..Resumed::default() });
    }
    let key = scope.key(cx);
    let resumed = Resumed { pause: pauses::lift_pause(tx, &key)?, ..Resumed::default() };
    if resumed.pause {
        note(tx, "pause", &key, (Some("paused"), None), act)?;
    }
    transitions::wake_paused(tx, now)?;
    Ok(resumed)
}

/// Lifts one hold by its name. For the clock hold, it also accepts the clock. A hold whose cause
/// remains returns before the next POST.
pub fn lift(
    tx: &Tx<'_>,
    kind: &HoldKind,
    act: Act<'_>,
    reading: &Reading,
) -> anyhow::Result<Resumed> {
    let Act { why, .. } = act;
    check_reason(why)?;
    let holds = standing(tx, reading.now)?.holds;
    let Some(hold) = holds.iter().find(|hold| hold.kind == *kind) else {
        // Lifting a hold that is not set is not an error.
        if HoldKind::ALL.contains(kind) {
            return Ok(Resumed::default());
        }
        let stands = holds.into_iter().map(|hold| hold.kind).collect();
        return Err(ActRefused::NoSuchHold { kind: kind.clone(), stands }.into());
    };
    if *kind == HoldKind::Record {
        unwritten::forget_not_loaded(tx)?;
    }
    operate::lift(tx, hold, act)?;
    if *kind == HoldKind::Clock {
        clock_check::accept_clock(tx, reading)?;
    }
    Ok(Resumed { holds: vec![kind.clone()], ..Resumed::default() })
}

/// Closes the breaker: a person says that the cause of the refusals is fixed.
pub fn close_breaker(tx: &Tx<'_>, act: Act<'_>) -> anyhow::Result<Resumed> {
    let Act { why, now, .. } = act;
    check_reason(why)?;
    let breaker = breaker::close_breaker(tx, now)?;
    if breaker {
        note(tx, "breaker", "dialing", (Some("open"), None), act)?;
    }
    Ok(Resumed { breaker, ..Resumed::default() })
}
