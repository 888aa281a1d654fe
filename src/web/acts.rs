//! What a person does by page or API, through the same steps as the command line. Nothing here
//! dials; what a person says about a doubt is the only thing that can permit a call.

use crate::domain::customer::Customer;
use crate::steps::call;
use crate::steps::guard;
use crate::steps::operate::{self, Refused, Resolved, Scope, Word};
use crate::steps::resume::{self, Resumed, Standing};
use crate::store::queue::{Item, Moved};
use crate::web::problem::Problem;
use crate::web::router::Asked;

/// Who acts, and why.
pub struct Reason<'a> {
    pub who: &'a str,
    pub why: &'a str,
}

/// Pauses. `false`: it was paused already.
pub fn pause(asked: &Asked<'_>, scope: &Scope, reason: &Reason<'_>) -> anyhow::Result<bool> {
    let cx = asked.front.cx();
    let moved = cx
        .store
        .write(|tx| operate::pause(cx, tx, scope, reason.who, reason.why, asked.now))
        .map_err(as_problem)?;
    Ok(moved == Moved::Yes)
}

/// What a person lets go on.
pub enum Lift {
    /// As `ringonce resume` takes it: of everything, also the only hold and the breaker where no pause
    /// stands.
    Plain(Scope),
    /// A pause and nothing else: its button may stay on a page that is open longer than the pause.
    Pause(Scope),
    /// One hold, by its name.
    Hold(String),
    Breaker,
}

/// Lifts it. Returns what was lifted, and what still keeps all calls back.
pub fn resume(
    asked: &Asked<'_>,
    lift: &Lift,
    reason: &Reason<'_>,
) -> anyhow::Result<(Resumed, Standing)> {
    let cx = asked.front.cx();
    let reading = asked.front.service.clock.read()?;
    let (who, why, now) = (reason.who, reason.why, reading.now);
    let lifted = cx.store.write(|tx| {
        let resumed = match lift {
            Lift::Plain(scope) => resume::resume(cx, tx, scope, who, why, &reading)?,
            Lift::Pause(scope) => resume::end_pause(cx, tx, scope, who, why, now)?,
            Lift::Hold(kind) => resume::lift(tx, kind, who, why, &reading)?,
            Lift::Breaker => resume::close_breaker(tx, who, why, now)?,
        };
        Ok((resumed, resume::standing(tx, now)?))
    });
    lifted.map_err(as_problem)
}

/// Queues an extra call, which the running dialer takes up at once where the gate lets it.
pub fn call(asked: &Asked<'_>, customer: &Customer, why: &str) -> anyhow::Result<Item> {
    let cx = asked.front.cx();
    let queued = cx.store.write(|tx| {
        let reading = asked.front.service.clock.read()?;
        if let Some(why) = guard::unproven_clock(tx, &reading)? {
            return Err(call::Refused(format!("no extra call now: {why}")).into());
        }
        call::queue_extra(cx, tx, customer, why, reading.now)
    });
    queued.map_err(|error| match error.downcast::<call::Refused>() {
        Ok(refused) => Problem::new(409, refused.to_string()).into(),
        Err(error) => error,
    })
}

/// A person's word about a doubt, as it was sent.
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

/// Settles a doubt by a person's word.
pub fn resolve(
    asked: &Asked<'_>,
    attempt: &str,
    word: &Word,
    reason: &Reason<'_>,
) -> anyhow::Result<Resolved> {
    let cx = asked.front.cx();
    let settled = cx.store.write(|tx| {
        let attempt = operate::attempt_of(tx, attempt)?;
        let reading = asked.front.service.clock.read()?;
        operate::resolve(cx, tx, &attempt, word, reason.who, reason.why, &reading)
    });
    settled.map_err(as_problem)
}

fn as_problem(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) => {
            let detail = refused.to_string();
            match refused {
                Refused::NoReason => Problem::field("reason", detail),
                Refused::Unknown(_) | Refused::Short(_) | Refused::UnknownCall(_) => {
                    Problem::not_found(detail)
                }
                Refused::Several(_) | Refused::NotInDoubt { .. } | Refused::WrongClock(_) => {
                    Problem::new(409, detail)
                }
                Refused::SeveralHolds(_) => {
                    Problem { field: Some("hold".to_string()), ..Problem::new(409, detail) }
                }
                Refused::NoSuchHold { .. } => Problem::field("hold", detail),
                Refused::CallTaken { .. } => {
                    Problem { field: Some("call_id".to_string()), ..Problem::new(409, detail) }
                }
            }
            .into()
        }
        Err(error) => error,
    }
}
