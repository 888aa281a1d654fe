//! Acts that only a person may do: pauses, resolving doubts, and arming this file. Each needs a
//! reason and is journaled. Nothing here dials.

pub mod call_now;
pub mod cancel;
pub mod close;
pub mod erase;
pub mod ignore_elsewhere;
pub mod resume;
pub mod tokens;

use crate::clock::Reading;
use crate::domain::call::{AttemptState, CallType};
use crate::domain::customer::Customer;
use crate::domain::hold::HoldKind;
use crate::steps::Context;
use crate::steps::customers::paused;
use crate::steps::readiness::{clock_check, hold_words};
use crate::steps::settle::{self, Unplaced};
use crate::store::attempts::{self, Attempt, unresolved};
use crate::store::file::identity::Identity;
use crate::store::file::lost_database::{self, NewBeside};
use crate::store::journal::{self, Entry};
use crate::store::journal::{Act, By};
use crate::store::meta::holds::{self, Hold};
use crate::store::meta::installation;
use crate::store::meta::pauses;
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx};

/// Why a person's request is refused. Each text is one line.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ActRefused {
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
        "attempt {id} is {state}, and only a placed call that has not ended can be closed{}",
        if *state == AttemptState::InDoubt { "; `ringonce attempts resolve` settles a doubt" }
        else { "" }
    )]
    NotPlaced { id: String, state: AttemptState },
    #[error(
        "nothing was settled, because the clock is not trusted: {0}; then run the command again"
    )]
    WrongClock(String),
    // The text may be a phone number.
    #[error("this is not the id of a call: copy it from the provider's call log, or leave it out")]
    NoCallId,
    #[error("the call {call_id} belongs to attempt {attempt_id} already")]
    CallTaken { call_id: String, attempt_id: String },
    #[error(
        "nothing was lifted, because several holds are set ({}); name one, each with a reason: `{}`",
        listed(.0), commands(.0)
    )]
    SeveralHolds(Vec<HoldKind>),
    #[error(
        "there is no hold \"{kind}\"{}; `ringonce status` shows them",
        if stands.is_empty() { String::new() } else { format!(", only {}", listed(stands)) }
    )]
    NoSuchHold { kind: HoldKind, stands: Vec<HoldKind> },
}

fn listed(kinds: &[HoldKind]) -> String {
    kinds.iter().map(HoldKind::as_str).collect::<Vec<_>>().join(", ")
}

fn commands(kinds: &[HoldKind]) -> String {
    kinds.iter().map(hold_words::lifted_by).collect::<Vec<_>>().join("`, `")
}

/// The calls that a pause or a resume affects.
#[derive(Clone, Debug)]
pub enum Scope {
    Everything,
    Type(CallType),
    Customer(Box<Customer>),
    /// E.164.
    Number(String),
}

impl Scope {
    /// The key under which the gate finds the pause.
    pub(super) fn key(&self, cx: &Context) -> String {
        match self {
            Scope::Everything => "all".to_string(),
            Scope::Type(call_type) => format!("type:{call_type}"),
            Scope::Customer(customer) => pauses::of_customer(&customer.key),
            Scope::Number(phone) => pauses::of_number(&cx.installation.phone_key(phone)),
        }
    }
}

/// Pauses calls until `resume`, before the next POST and across restarts. `No` if they were already
/// paused: the first reason stays.
pub fn pause(cx: &Context, tx: &Tx<'_>, scope: &Scope, act: Act<'_>) -> anyhow::Result<Moved> {
    check_reason(act.why)?;
    if let Scope::Customer(customer) = scope {
        return Ok(Moved::from_rows(usize::from(paused::pause(tx, customer, act)?)));
    }
    let key = scope.key(cx);
    if pauses::pauses(tx)?.iter().any(|(paused, _)| *paused == key) {
        return Ok(Moved::No);
    }
    paused::record(tx, &key, act)?;
    Ok(Moved::Yes)
}

/// A person's statement about an attempt in doubt.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// The phone rang. Without the provider's id, the call is found by its tag.
    Placed { call_id: Option<String> },
    /// The phone did not ring.
    NotPlaced,
}

/// The result of resolving a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    Placed,
    /// The occasion is retried.
    Retrying,
    /// Nothing is retried: the occasion expired, no attempt is left, or the item is gone.
    Closed,
}

/// The fewest characters that name an attempt's id. With fewer, the id of a customer or an item
/// would also name an attempt.
const ID_BEGINNING_MIN: usize = 8;

/// The one attempt that matches an id, the beginning of an id, or a tag.
pub fn attempt_of(conn: &Conn, text: &str) -> anyhow::Result<Attempt> {
    let text = text.trim().to_ascii_lowercase();
    let id = text.split_once('-').filter(|(letter, _)| letter.len() == 1).map_or(&*text, |t| t.1);
    if id.len() < ID_BEGINNING_MIN {
        let is_part = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
        return Err(
            if is_part { ActRefused::Short(text) } else { ActRefused::Unknown(text) }.into()
        );
    }
    let mut found = unresolved::beginning_with(conn, id)?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(ActRefused::Unknown(text).into()),
        (Some(attempt), true) => Ok(attempt),
        (Some(_), false) => Err(ActRefused::Several(text).into()),
    }
}

/// The only way to end a doubt besides the provider's records. `NotPlaced` permits another attempt
/// while the occasion lasts, whatever the retry policy is, because the person is responsible.
/// Refused while the clock is unproven: the retry would wait for that clock's due times.
pub fn resolve(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    word: &Word,
    act: Act<'_>,
    reading: &Reading,
) -> anyhow::Result<Resolved> {
    let Act { who, why, now: _ } = act;
    check_reason(why)?;
    let now = reading.now;
    let not_in_doubt = || ActRefused::NotInDoubt { id: attempt.id.clone(), state: attempt.state };
    if attempt.state != AttemptState::InDoubt {
        return Err(not_in_doubt().into());
    }
    if let Some(why) = clock_check::unproven_clock(tx, reading)? {
        return Err(ActRefused::WrongClock(why).into());
    }
    let to = match word {
        Word::Placed { .. } => AttemptState::Placed,
        Word::NotPlaced => AttemptState::NotPlaced,
    };
    let moved = match word {
        Word::Placed { call_id } => {
            check_call_is_free(tx, call_id.as_deref())?;
            attempts::accept(tx, attempt, call_id.as_deref(), now, By { who, now })?
        }
        Word::NotPlaced => {
            let said = format!("said to be not placed: {why}");
            attempts::refuse(tx, attempt, AttemptState::InDoubt, &said, By { who, now })?
        }
    };
    if moved == Moved::No {
        return Err(not_in_doubt().into());
    }
    let subject = format!("attempt:{}", attempt.id);
    note(tx, "resolve", &subject, (Some("in_doubt"), Some(to.as_str())), act)?;
    match word {
        Word::Placed { call_id } => {
            settle::complete_or_hold(cx, tx, attempt, call_id.as_deref(), By { who, now })?;
            Ok(Resolved::Placed)
        }
        Word::NotPlaced => {
            let said = "an earlier attempt was said to be not placed";
            Ok(match settle::absent_item(tx, attempt, said, By { who, now })? {
                Unplaced::Retrying => Resolved::Retrying,
                Unplaced::Failed | Unplaced::NoItem => Resolved::Closed,
            })
        }
    }
}

/// The provider's ids are UUIDs today. A name, an address, a phone number or a sentence is none:
/// follow would ask for it for ever.
fn may_be_call_id(text: &str) -> bool {
    let is_of_ids = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (4..=64).contains(&text.len())
        && text.bytes().all(is_of_ids)
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn check_call_is_free(tx: &Tx<'_>, call_id: Option<&str>) -> anyhow::Result<()> {
    let Some(call_id) = call_id else { return Ok(()) };
    if !may_be_call_id(call_id) {
        return Err(ActRefused::NoCallId.into());
    }
    match attempts::by_call_id(tx, call_id)? {
        None => Ok(()),
        Some(other) => {
            let call_id = call_id.to_string();
            Err(ActRefused::CallTaken { call_id, attempt_id: other.id }.into())
        }
    }
}

/// Arms this file at this place: a person states that no other copy dials. Called only after the
/// provider's records were loaded. Accepts a clock that is behind the file's mark, and lifts the
/// holds for another copy, account or clock.
pub fn arm(
    tx: &Tx<'_>,
    here: &Identity,
    act: Act<'_>,
    reading: &Reading,
) -> anyhow::Result<Vec<String>> {
    let Act { why, .. } = act;
    check_reason(why)?;
    let was = installation::armed_identity(tx)?.map(|identity| identity.path);
    installation::arm(tx, &here.armed())?;
    installation::arm_anew(tx, reading.now)?;
    note(tx, "adopt", "file", (was.as_deref(), Some(&here.path)), act)?;
    if clock_check::behind_mark(tx, reading.now)?.is_some() {
        clock_check::accept_clock(tx, reading)?;
    }
    if let Some(new) = lost_database::accept(tx, reading.now)? {
        note_accepted(tx, Some(&new), act)?;
    }
    let mut lifted = Vec::new();
    for hold in holds::holds(tx)? {
        if [HoldKind::Clock, HoldKind::Foreign, HoldKind::Account].contains(&hold.kind) {
            lift(tx, &hold, act)?;
            lifted.push(hold.kind.to_string());
        }
    }
    Ok(lifted)
}

/// Accepts this database as a new one: customers whom an earlier database called may be called
/// again. `false`: it was accepted before, and nothing changes.
pub fn accept_new(tx: &Tx<'_>, act: Act<'_>) -> anyhow::Result<bool> {
    let Act { why, now, .. } = act;
    check_reason(why)?;
    if lost_database::accepted_at(tx)?.is_some() && lost_database::not_accepted(tx)?.is_none() {
        return Ok(false);
    }
    let beside = lost_database::accept(tx, now)?;
    note_accepted(tx, beside.as_ref(), act)?;
    Ok(true)
}

fn note_accepted(tx: &Tx<'_>, beside: Option<&NewBeside>, act: Act<'_>) -> anyhow::Result<()> {
    let files = beside.map(|new| new.files.join(", "));
    note(tx, "new database", "file", (files.as_deref(), Some("accepted")), act)
}

/// Lifts a hold, and journals its reason.
pub(super) fn lift(tx: &Tx<'_>, hold: &Hold, act: Act<'_>) -> anyhow::Result<()> {
    holds::lift_hold(tx, hold.kind.clone())?;
    let subject = format!("dialing:{}", hold.kind);
    note(tx, "hold", &subject, (Some(&hold.why), None), act)
}

pub(super) fn check_reason(why: &str) -> anyhow::Result<()> {
    if why.trim().is_empty() { Err(ActRefused::NoReason.into()) } else { Ok(()) }
}

/// Journals an act. `change`: the states before and after it.
pub(super) fn note(
    tx: &Tx<'_>,
    what: &str,
    subject: &str,
    change: (Option<&str>, Option<&str>),
    act: Act<'_>,
) -> anyhow::Result<()> {
    let ((old, new), why) = (change, Some(act.why));
    journal::add(tx, act.now, Entry { who: act.who, what, subject, old, new, why })
}
