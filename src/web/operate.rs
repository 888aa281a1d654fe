//! A person's acts by page or API, through the same steps as the command line. Nothing here dials.
//! An extra call is only queued, and a resolved doubt may be retried; the dialer's gate decides.

use crate::domain::customer::Customer;
use crate::domain::hold::HoldKind;
use crate::domain::instant_text;
use crate::domain::role::Role;
use crate::http::problem::Problem;
use crate::steps::operate::call_now::{self, ExtraWish, QueuedExtra, WishRefused};
use crate::steps::operate::cancel::{self, CancelRefused};
use crate::steps::operate::erase::{ErasureRefused, ErasureReport, erase_for_good};
use crate::steps::operate::resume::{self, Resumed, Standing};
use crate::steps::operate::{self, ActRefused, Resolved, Scope, Word, close};
use crate::steps::readiness::clock_check;
use crate::store::attempts::Attempt;
use crate::store::journal::Act;
use crate::store::queue::Item;
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx};
use crate::web::asked::Asked;

/// The actor and the reason, for the journal.
pub struct WhoAndWhy<'a> {
    pub who: &'a str,
    pub why: &'a str,
}

/// Pauses the scope. `false`: it was already paused.
pub fn pause(asked: &Asked<'_>, scope: &Scope, reason: &WhoAndWhy<'_>) -> anyhow::Result<bool> {
    let cx = asked.front.cx();
    let moved = cx
        .store
        .write(|tx| {
            operate::pause(cx, tx, scope, Act { who: reason.who, why: reason.why, now: asked.now })
        })
        .map_err(as_problem)?;
    Ok(moved == Moved::Yes)
}

/// The stop that a person lifts.
pub enum Lift {
    /// As `ringonce resume`: for all calls without a pause, also lifts the only hold and closes the
    /// breaker.
    Plain(Scope),
    /// Only a pause: its button may still be on an open page after the pause has ended.
    Pause(Scope),
    /// The hold with this name.
    Hold(HoldKind),
    Breaker,
}

/// Lifts the stop. Returns what was lifted, and what still stops all calls.
pub fn resume(
    asked: &Asked<'_>,
    lift: &Lift,
    reason: &WhoAndWhy<'_>,
) -> anyhow::Result<(Resumed, Standing)> {
    let is_of_all = match lift {
        Lift::Plain(scope) | Lift::Pause(scope) => {
            matches!(scope, Scope::Everything | Scope::Type(_))
        }
        Lift::Hold(_) | Lift::Breaker => true,
    };
    asked.needs(if is_of_all { Role::Operator } else { Role::Support })?;
    let cx = asked.front.cx();
    let reading = asked.front.service.clock.read()?;
    let (who, why, now) = (reason.who, reason.why, reading.now);
    let lifted = cx.store.write(|tx| {
        let resumed = match lift {
            Lift::Plain(scope) => {
                resume::resume(cx, tx, scope, Act { who, why, now: reading.now }, &reading)?
            }
            Lift::Pause(scope) => resume::end_pause(cx, tx, scope, Act { who, why, now })?,
            Lift::Hold(kind) => {
                resume::lift(tx, kind, Act { who, why, now: reading.now }, &reading)?
            }
            Lift::Breaker => resume::close_breaker(tx, Act { who, why, now })?,
        };
        Ok((resumed, resume::standing(tx, now)?))
    });
    lifted.map_err(as_problem)
}

/// Queues an extra call, which the running dialer dials at its instant if the gate allows it.
pub fn call(
    asked: &Asked<'_>,
    customer: &Customer,
    wish: &ExtraWish<'_>,
) -> anyhow::Result<QueuedExtra> {
    let cx = asked.front.cx();
    let queued = cx.store.write(|tx| {
        let reading = asked.front.service.clock.read()?;
        if let Some(why) = clock_check::unproven_clock(tx, &reading)? {
            return Err(call_now::CallRefused(format!("no extra call now: {why}")).into());
        }
        call_now::queue_extra_at(cx, tx, customer, wish, reading.now)
    });
    queued.map_err(|error| match error.downcast::<call_now::CallRefused>() {
        Ok(refused) => Problem::new(409, refused.to_string()).into(),
        Err(error) => wish_problem(error),
    })
}

fn wish_problem(error: anyhow::Error) -> anyhow::Error {
    let Some(why) = error.downcast_ref::<WishRefused>() else { return error };
    let detail = why.to_string();
    let problem = match why {
        WishRefused::Key(_) => Problem::field("key", detail),
        WishRefused::At(_) => Problem::field("at", detail),
        WishRefused::Outside { opens, .. } => {
            Problem { next_opening: opens.map(instant_text), ..Problem::field("at", detail) }
        }
        WishRefused::OtherInstant { item, .. } => Problem {
            field: Some("at".to_string()),
            item_id: Some(*item),
            ..Problem::new(409, detail)
        },
    };
    problem.into()
}

/// Parses a person's answer about a doubt.
pub fn word(outcome: &str, call_id: Option<&str>) -> Result<Word, Problem> {
    match (outcome, call_id) {
        ("placed", call_id) => Ok(Word::Placed { call_id: call_id.map(str::to_string) }),
        ("not_placed", None) => Ok(Word::NotPlaced),
        ("not_placed", Some(_)) => {
            Err(Problem::field("call_id", "a call that never rang has no call id"))
        }
        _ => Err(Problem::field("outcome", "outcome must be placed or not_placed")),
    }
}

/// Resolves a doubt by a person's answer.
pub fn resolve(
    asked: &Asked<'_>,
    attempt: &str,
    word: &Word,
    reason: &WhoAndWhy<'_>,
) -> anyhow::Result<Resolved> {
    let cx = asked.front.cx();
    let settled = cx.store.write(|tx| {
        let attempt = operate::attempt_of(tx, attempt)?;
        let reading = asked.front.service.clock.read()?;
        operate::resolve(
            cx,
            tx,
            &attempt,
            word,
            Act { who: reason.who, why: reason.why, now: reading.now },
            &reading,
        )
    });
    settled.map_err(as_problem)
}

/// Closes a placed call that does not end.
pub fn close(asked: &Asked<'_>, attempt: &str, reason: &WhoAndWhy<'_>) -> anyhow::Result<()> {
    let closed = asked.front.cx().store.write(|tx| {
        let attempt = operate::attempt_of(tx, attempt)?;
        let now = asked.front.service.clock.now()?;
        close::close(tx, &attempt, Act { who: reason.who, why: reason.why, now })
    });
    closed.map_err(as_problem)
}

/// Cancels one waiting call.
pub fn cancel(asked: &Asked<'_>, id: i64, reason: &WhoAndWhy<'_>) -> anyhow::Result<Item> {
    let cx = asked.front.cx();
    let act = Act { who: reason.who, why: reason.why, now: asked.now };
    let cancelled = cx.store.write(|tx| cancel::cancel(cx, tx, id, act));
    cancelled.map_err(|error| match error.downcast::<CancelRefused>() {
        Ok(why @ CancelRefused::Unknown(_)) => Problem::not_found(why.to_string()).into(),
        Ok(why @ CancelRefused::NotWaiting { .. }) => Problem::new(409, why.to_string()).into(),
        Err(error) => error,
    })
}

/// Erases the customer that `find` finds, and reports whether the WAL could be emptied.
pub fn erase(
    asked: &Asked<'_>,
    find: impl FnOnce(&Tx<'_>) -> anyhow::Result<Customer>,
    reason: &WhoAndWhy<'_>,
) -> anyhow::Result<(ErasureReport, bool)> {
    let act = Act { who: reason.who, why: reason.why, now: asked.now };
    let erased = erase_for_good(&asked.front.cx().store, find, act);
    erased.map_err(|error| match error.downcast::<ErasureRefused>() {
        Ok(why @ ErasureRefused::NamesThem) => {
            anyhow::Error::from(Problem::field("reason", format!("reason {why}")))
        }
        Ok(why @ ErasureRefused::Dialing(_)) => Problem::new(409, why.to_string()).into(),
        Err(error) => error,
    })
}

/// The attempt that a text names: an id, its beginning, or the tag of the call.
pub fn attempt_of(conn: &Conn, text: &str) -> anyhow::Result<Attempt> {
    operate::attempt_of(conn, text).map_err(as_problem)
}

fn as_problem(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<ActRefused>() {
        Ok(refused) => {
            let detail = refused.to_string();
            match refused {
                ActRefused::NoReason => Problem::field("reason", detail),
                ActRefused::Unknown(_) | ActRefused::Short(_) | ActRefused::UnknownCall(_) => {
                    Problem::not_found(detail)
                }
                ActRefused::Several(_)
                | ActRefused::NotInDoubt { .. }
                | ActRefused::NotPlaced { .. }
                | ActRefused::WrongClock(_) => Problem::new(409, detail),
                ActRefused::SeveralHolds(_) => {
                    Problem { field: Some("hold".to_string()), ..Problem::new(409, detail) }
                }
                ActRefused::NoSuchHold { .. } => Problem::field("hold", detail),
                ActRefused::NoCallId => Problem::field("call_id", detail),
                ActRefused::CallTaken { .. } => {
                    Problem { field: Some("call_id".to_string()), ..Problem::new(409, detail) }
                }
            }
            .into()
        }
        Err(error) => error,
    }
}
