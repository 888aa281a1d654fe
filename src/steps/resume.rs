//! resume: a person ends a pause, lifts a hold or closes the breaker. Each is an act of its own, because
//! a script that ends its pause has not looked at what holds dialing. Nothing here dials.

use crate::clock::Reading;
use crate::domain::{Instant, instant_text};
use crate::steps::operate::{self, Refused, Scope, check_reason, note};
use crate::steps::{Context, customers, guard, unwritten};
use crate::store::meta::{self, Hold};
use crate::store::{Conn, Tx, moves};

/// The holds that this program writes. Naming one that does not stand is no mistake.
const HOLDS: [&str; 5] = ["flag", CLOCK, unwritten::HOLD, "foreign", "account"];
const CLOCK: &str = "clock";

/// What a resume lifted.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Resumed {
    pub pause: bool,
    /// The customer was paused or disabled, and is not any more.
    pub customer: bool,
    /// The kinds of holds.
    pub holds: Vec<String>,
    pub breaker: bool,
}

impl Resumed {
    pub fn is_nothing(&self) -> bool {
        *self == Resumed::default()
    }
}

/// What keeps everybody from being called.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Standing {
    pub paused: bool,
    pub holds: Vec<Hold>,
    pub breaker: bool,
}

/// Everything that keeps all calls back now. A clock behind the file's mark counts as held: the next
/// start holds dialing because of it.
pub fn standing(conn: &Conn, now: Instant) -> anyhow::Result<Standing> {
    let mut holds = meta::holds(conn)?;
    if let Some(why) = guard::behind_mark(conn, now)?
        && holds.iter().all(|hold| hold.kind != CLOCK)
    {
        holds.push(Hold { kind: CLOCK.to_string(), why, since: instant_text(now) });
    }
    let paused = meta::pauses(conn)?.iter().any(|(scope, _)| scope == "all");
    Ok(Standing { paused, holds, breaker: meta::breaker(conn)?.is_some() })
}

/// Ends the pause of a scope. Of everything, where no pause stands, lifts the only hold and closes the
/// breaker: there it can mean nothing else.
pub fn resume(
    cx: &Context,
    tx: &Tx<'_>,
    scope: &Scope,
    who: &str,
    why: &str,
    reading: &Reading,
) -> anyhow::Result<Resumed> {
    let ended = end_pause(cx, tx, scope, who, why, reading.now)?;
    if ended.pause || !matches!(scope, Scope::Everything) {
        return Ok(ended);
    }
    let standing = standing(tx, reading.now)?;
    let holds = match standing.holds.as_slice() {
        [] => Vec::new(),
        [only] => lift(tx, &only.kind, who, why, reading)?.holds,
        several => {
            let kinds = several.iter().map(|hold| hold.kind.clone()).collect();
            return Err(Refused::SeveralHolds(kinds).into());
        }
    };
    let breaker = close_breaker(tx, who, why, reading.now)?.breaker;
    Ok(Resumed { holds, breaker, ..Resumed::default() })
}

/// Ends a pause and nothing else; of a customer also the customer's own stop.
pub fn end_pause(
    cx: &Context,
    tx: &Tx<'_>,
    scope: &Scope,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Resumed> {
    check_reason(why)?;
    let key = scope.key(cx);
    let mut resumed = Resumed { pause: meta::lift_pause(tx, &key)?, ..Resumed::default() };
    if resumed.pause {
        note(tx, who, "pause", &key, (Some("paused"), None), why, now)?;
    }
    if let Scope::Customer(customer) = scope {
        resumed.customer = customers::resume(tx, customer, who, why, now)?;
    }
    moves::wake_paused(tx, now)?;
    Ok(resumed)
}

/// Lifts one hold by its name; that of the clock also vouches for it. A hold whose cause is still there
/// comes back before the next POST.
pub fn lift(
    tx: &Tx<'_>,
    kind: &str,
    who: &str,
    why: &str,
    reading: &Reading,
) -> anyhow::Result<Resumed> {
    check_reason(why)?;
    let holds = standing(tx, reading.now)?.holds;
    let Some(hold) = holds.iter().find(|hold| hold.kind == kind) else {
        if HOLDS.contains(&kind) {
            return Ok(Resumed::default());
        }
        let stands = holds.into_iter().map(|hold| hold.kind).collect();
        return Err(Refused::NoSuchHold { kind: kind.to_string(), stands }.into());
    };
    if kind == unwritten::HOLD {
        unwritten::forget_untaken(tx)?;
    }
    operate::lift(tx, hold, who, why, reading.now)?;
    if kind == CLOCK {
        guard::accept_clock(tx, reading)?;
    }
    Ok(Resumed { holds: vec![kind.to_string()], ..Resumed::default() })
}

/// Closes the breaker: the cause of the refusals is gone.
pub fn close_breaker(tx: &Tx<'_>, who: &str, why: &str, now: Instant) -> anyhow::Result<Resumed> {
    check_reason(why)?;
    let breaker = meta::close_breaker(tx, now)?;
    if breaker {
        note(tx, who, "breaker", "dialing", (Some("open"), None), why, now)?;
    }
    Ok(Resumed { breaker, ..Resumed::default() })
}
