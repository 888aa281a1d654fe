//! operate: what only a person may do. Pauses, the word about a doubt, and the right to dial from this
//! file. Each wants a reason, and each is journaled. Nothing here dials.

use crate::clock::Reading;
use crate::domain::Instant;
use crate::domain::call::{AttemptState, CallType};
use crate::domain::customer::Customer;
use crate::domain::instant_text;
use crate::steps::settle::Unplaced;
use crate::steps::{Context, guard, settle};
use crate::store::attempts::{self, Attempt};
use crate::store::files::Identity;
use crate::store::journal::{self, Entry};
use crate::store::meta::{self, Hold, Pause};
use crate::store::queue::Moved;
use crate::store::traces::{self, NewBeside};
use crate::store::{Conn, Tx, doubts};

/// Why a person's word is not taken. Each is one line.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Refused {
    #[error("say why: the reason is empty")]
    NoReason,
    #[error("there is no attempt {0}; `ringonce attempts list` shows them")]
    Unknown(String),
    #[error("no call {0} was found that was made elsewhere; `ringonce history list` shows them")]
    UnknownCall(String),
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
    #[error(
        "nothing was lifted, because several holds stand ({}); name one, each with a reason: `{}`",
        .0.join(", "), commands(.0)
    )]
    SeveralHolds(Vec<String>),
    #[error(
        "there is no hold \"{kind}\"{}; `ringonce status` shows them",
        if stands.is_empty() { String::new() } else { format!(", only {}", stands.join(", ")) }
    )]
    NoSuchHold { kind: String, stands: Vec<String> },
}

fn commands(kinds: &[String]) -> String {
    kinds.iter().map(|kind| guard::lifted_by(kind)).collect::<Vec<_>>().join("`, `")
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
    pub(super) fn key(&self, cx: &Context) -> String {
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
    meta::arm(tx, &here.armed())?;
    meta::arm_anew(tx, reading.now)?;
    note(tx, who, "adopt", "file", (was.as_deref(), Some(&here.path)), why, reading.now)?;
    if guard::behind_mark(tx, reading.now)?.is_some() {
        guard::accept_clock(tx, reading)?;
    }
    if let Some(new) = traces::accept(tx, reading.now)? {
        note_accepted(tx, who, Some(&new), why, reading.now)?;
    }
    let mut lifted = Vec::new();
    for hold in meta::holds(tx)? {
        if ["clock", "foreign", "account"].contains(&hold.kind.as_str()) {
            lift(tx, &hold, who, why, reading.now)?;
            lifted.push(hold.kind);
        }
    }
    Ok(lifted)
}

/// A person accepts this database as a new one: everybody may be called that an earlier database
/// called. `false`: it was accepted before, and that stays as it is.
pub fn accept_new(tx: &Tx<'_>, who: &str, why: &str, now: Instant) -> anyhow::Result<bool> {
    check_reason(why)?;
    if traces::accepted_at(tx)?.is_some() && traces::not_accepted(tx)?.is_none() {
        return Ok(false);
    }
    let beside = traces::accept(tx, now)?;
    note_accepted(tx, who, beside.as_ref(), why, now)?;
    Ok(true)
}

fn note_accepted(
    tx: &Tx<'_>,
    who: &str,
    beside: Option<&NewBeside>,
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let files = beside.map(|new| new.files.join(", "));
    note(tx, who, "new database", "file", (files.as_deref(), Some("accepted")), why, now)
}

/// Lifts a hold, and keeps its words in the journal.
pub(super) fn lift(
    tx: &Tx<'_>,
    hold: &Hold,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    meta::lift_hold(tx, &hold.kind)?;
    let subject = format!("dialing:{}", hold.kind);
    note(tx, who, "hold", &subject, (Some(&hold.why), None), why, now)
}

pub(super) fn check_reason(why: &str) -> anyhow::Result<()> {
    if why.trim().is_empty() { Err(Refused::NoReason.into()) } else { Ok(()) }
}

pub(super) fn note(
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
