//! operate: what only a person may do. Pauses and resumes, the word about a doubt, and the right
//! to dial from this file. Each wants a reason, and each is journaled. Nothing here dials.

use crate::clock::Reading;
use crate::domain::Instant;
use crate::domain::call::{AttemptState, CallType};
use crate::domain::customer::Customer;
use crate::domain::instant_text;
use crate::steps::settle::Unplaced;
use crate::steps::{Context, customers, guard, settle, unwritten};
use crate::store::attempts::{self, Attempt};
use crate::store::files::Identity;
use crate::store::journal::{self, Entry};
use crate::store::meta::{self, Pause};
use crate::store::queue::Moved;
use crate::store::{Conn, Tx, doubts, moves};

/// The kinds of holds that a person lifts; `clock` and `record` may also lift by themselves.
const HOLDS: [&str; 5] = ["flag", "clock", unwritten::HOLD, "foreign", "account"];

/// Why a person's word is not taken. Each is one line.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Refused {
    #[error("say why: the reason is empty")]
    NoReason,
    #[error("there is no attempt {0}; `ringonce attempts list` shows them")]
    Unknown(String),
    #[error("several attempts begin with {0}; give more of the id")]
    Several(String),
    #[error(
        "{0} is too short for an attempt's id: give at least 8 characters of it, as `ringonce \
         attempts list` shows them"
    )]
    Short(String),
    #[error("attempt {id} is {state}, and only an attempt in doubt can be resolved")]
    NotInDoubt { id: String, state: AttemptState },
    #[error(
        "nothing was settled, because it would be noted by a wrong clock: {0}; then say it again"
    )]
    WrongClock(String),
    #[error("the call {call_id} belongs to attempt {attempt_id} already")]
    CallTaken { call_id: String, attempt_id: String },
}

/// What a pause or a resume concerns.
#[derive(Clone, Debug)]
pub enum Scope {
    Everything,
    Type(CallType),
    Customer(Box<Customer>),
    /// E.164.
    Number(String),
}

impl Scope {
    /// The key under which the gate looks for the pause.
    fn key(&self, cx: &Context) -> String {
        match self {
            Scope::Everything => "all".to_string(),
            Scope::Type(call_type) => format!("type:{call_type}"),
            Scope::Customer(customer) => format!("customer:{}", customer.key),
            Scope::Number(phone) => format!("number:{}", cx.installation.phone_key(phone)),
        }
    }
}

/// Pauses calls until `resume`; effective before the next POST, and over restarts. `No` when
/// they were paused already: the first reason stays.
pub fn pause(
    cx: &Context,
    tx: &Tx<'_>,
    scope: &Scope,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    check_reason(why)?;
    let key = scope.key(cx);
    if meta::pauses(tx)?.iter().any(|(paused, _)| *paused == key) {
        return Ok(Moved::No);
    }
    let since = instant_text(now);
    let pause = Pause { who: who.to_string(), why: why.to_string(), since };
    meta::set_pause(tx, &key, &pause)?;
    note(tx, who, "pause", &key, (None, Some("paused")), why, now)?;
    Ok(Moved::Yes)
}

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

/// Lifts a pause. Of everything, it also lifts every hold, vouches for the clock and closes the
/// breaker; a hold whose cause is still there comes back before the next POST.
pub fn resume(
    cx: &Context,
    tx: &Tx<'_>,
    scope: &Scope,
    who: &str,
    why: &str,
    reading: &Reading,
) -> anyhow::Result<Resumed> {
    check_reason(why)?;
    let now = reading.now;
    let key = scope.key(cx);
    let mut resumed = Resumed { pause: meta::lift_pause(tx, &key)?, ..Resumed::default() };
    if resumed.pause {
        note(tx, who, "pause", &key, (Some("paused"), None), why, now)?;
    }
    match scope {
        Scope::Customer(customer) => {
            resumed.customer = customers::resume(tx, customer, who, why, now)?;
        }
        Scope::Everything => {
            let clock_is_held = meta::holds(tx)?.iter().any(|hold| hold.kind == "clock");
            resumed.holds = lift_holds(tx, &HOLDS, who, why, now)?;
            if clock_is_held || guard::behind_mark(tx, now)?.is_some() {
                guard::accept_clock(tx, reading)?;
            }
            resumed.breaker = meta::close_breaker(tx, now)?;
            if resumed.breaker {
                note(tx, who, "breaker", "dialing", (Some("open"), None), why, now)?;
            }
        }
        Scope::Type(_) | Scope::Number(_) => {}
    }
    moves::wake_paused(tx, now)?;
    Ok(resumed)
}

fn lift_holds(
    tx: &Tx<'_>,
    kinds: &[&str],
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Vec<String>> {
    let mut lifted = Vec::new();
    for kind in kinds {
        if *kind == unwritten::HOLD {
            unwritten::forget_untaken(tx)?;
        }
        if meta::lift_hold(tx, kind)? {
            note(tx, who, "hold", &format!("dialing:{kind}"), (Some("held"), None), why, now)?;
            lifted.push(kind.to_string());
        }
    }
    Ok(lifted)
}

/// A person's word about an attempt in doubt.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// The phone rang. The provider's id, if the person knows it; else it is looked for by tag.
    Placed { call_id: Option<String> },
    /// It did not.
    NotPlaced,
}

/// What a word came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    Placed,
    /// The occasion is tried again.
    Retrying,
    /// Nothing is tried again: the time is over, no attempt is left, or there is no item.
    Closed,
}

/// Characters of an attempt's id that name it. With fewer, an id of a customer or an item would
/// name an attempt too.
const ID_BEGINNING_MIN: usize = 8;

/// The one attempt that an id, the beginning of one, or a tag names.
pub fn attempt_of(conn: &Conn, text: &str) -> anyhow::Result<Attempt> {
    let text = text.trim().to_ascii_lowercase();
    let id = text.split_once('-').filter(|(letter, _)| letter.len() == 1).map_or(&*text, |t| t.1);
    if id.len() < ID_BEGINNING_MIN {
        let is_part = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
        return Err(if is_part { Refused::Short(text) } else { Refused::Unknown(text) }.into());
    }
    let mut found = doubts::beginning_with(conn, id)?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(Refused::Unknown(text).into()),
        (Some(attempt), true) => Ok(attempt),
        (Some(_), false) => Err(Refused::Several(text).into()),
    }
}

/// The only way out of doubt beside the provider's records. "Not placed" permits another attempt
/// while the occasion lasts, whatever the policy: the person answers for it. Not by a clock that
/// nobody vouches for: the call would wait until its instants come.
pub fn resolve(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    word: &Word,
    who: &str,
    why: &str,
    reading: &Reading,
) -> anyhow::Result<Resolved> {
    check_reason(why)?;
    let now = reading.now;
    let not_in_doubt = || Refused::NotInDoubt { id: attempt.id.clone(), state: attempt.state };
    if attempt.state != AttemptState::InDoubt {
        return Err(not_in_doubt().into());
    }
    if let Some(why) = guard::unproven_clock(tx, reading)? {
        return Err(Refused::WrongClock(why).into());
    }
    let to = match word {
        Word::Placed { .. } => AttemptState::Placed,
        Word::NotPlaced => AttemptState::NotPlaced,
    };
    let moved = match word {
        Word::Placed { call_id } => {
            check_call_is_free(tx, call_id.as_deref())?;
            attempts::accept(tx, attempt, call_id.as_deref(), now, who, now)?
        }
        Word::NotPlaced => {
            let said = format!("said to be not placed: {why}");
            attempts::refuse(tx, attempt, AttemptState::InDoubt, &said, who, now)?
        }
    };
    if moved == Moved::No {
        return Err(not_in_doubt().into());
    }
    let subject = format!("attempt:{}", attempt.id);
    note(tx, who, "resolve", &subject, (Some("in_doubt"), Some(to.as_str())), why, now)?;
    match word {
        Word::Placed { call_id } => {
            settle::complete_or_hold(cx, tx, attempt, call_id.as_deref(), who, now)?;
            Ok(Resolved::Placed)
        }
        Word::NotPlaced => {
            let said = "an earlier attempt was said to be not placed";
            Ok(match settle::absent_item(tx, attempt, said, who, now)? {
                Unplaced::Retrying => Resolved::Retrying,
                Unplaced::Failed | Unplaced::NoItem => Resolved::Closed,
            })
        }
    }
}

fn check_call_is_free(tx: &Tx<'_>, call_id: Option<&str>) -> anyhow::Result<()> {
    let Some(call_id) = call_id else { return Ok(()) };
    match attempts::by_call_id(tx, call_id)? {
        None => Ok(()),
        Some(other) => {
            let call_id = call_id.to_string();
            Err(Refused::CallTaken { call_id, attempt_id: other.id }.into())
        }
    }
}

/// Arms this file, here: a person says that no other copy dials. Called only after the provider's
/// records were taken in. Vouches for the clock where it is behind what the file has seen, and
/// lifts what held because of another copy, account or clock.
pub fn arm(
    tx: &Tx<'_>,
    here: &Identity,
    who: &str,
    why: &str,
    reading: &Reading,
) -> anyhow::Result<Vec<String>> {
    check_reason(why)?;
    let was = meta::armed_identity(tx)?.map(|identity| identity.path);
    meta::arm(tx, here)?;
    meta::arm_anew(tx, reading.now)?;
    note(tx, who, "adopt", "file", (was.as_deref(), Some(&here.path)), why, reading.now)?;
    if guard::behind_mark(tx, reading.now)?.is_some() {
        guard::accept_clock(tx, reading)?;
    }
    lift_holds(tx, &["clock", "foreign", "account"], who, why, reading.now)
}

fn check_reason(why: &str) -> anyhow::Result<()> {
    if why.trim().is_empty() { Err(Refused::NoReason.into()) } else { Ok(()) }
}

fn note(
    tx: &Tx<'_>,
    who: &str,
    what: &str,
    subject: &str,
    (old, new): (Option<&str>, Option<&str>),
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    journal::add(tx, now, Entry { who, what, subject, old, new, why: Some(why) })
}
