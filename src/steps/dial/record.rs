//! Records what the reply to a POST proves, at once and in its own transaction.

use chrono::Duration;

use crate::domain::Instant;
use crate::domain::call::{AttemptState, Reason};
use crate::domain::hold::HoldKind;
use crate::provider::{Accepted, PlaceError, Refusal};
use crate::steps::breaker::{self, Became, Cause, ClosedBy};
use crate::steps::dial::caller_id;
use crate::steps::dial::intent::Intent;
use crate::steps::readiness::reach::{self, Request};
use crate::steps::reconcile::listed_call;
use crate::steps::{Context, settle};
use crate::store::journal::By;
use crate::store::meta::{holds, organization};
use crate::store::transaction::Moved;
use crate::store::{Tx, attempts};

const WHO: &str = "record";
/// Time from the placing of a call to its first poll.
const FIRST_POLL: Duration = Duration::seconds(10);

/// The reply to one POST.
pub type PostReply = Result<Accepted, PlaceError>;

/// The result of recording one reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub became: AttemptState,
    /// The item was given up, and its occasion failed.
    pub gave_up: bool,
    /// The called flag could not be proven, so dialing halts at once.
    pub halt: Option<String>,
    pub breaker: Became,
    /// One of our numbers rests now, and another may call the same customer at once.
    pub another_number: bool,
}

impl Recorded {
    fn new(became: AttemptState) -> Recorded {
        Recorded {
            became,
            gave_up: false,
            halt: None,
            breaker: Became::AsItWas,
            another_number: false,
        }
    }
}

/// Records one reply. `Err`: nothing of it was written, and it must be retried.
pub fn record(
    cx: &Context,
    intent: &Intent,
    reply: &PostReply,
    now: Instant,
) -> anyhow::Result<Recorded> {
    cx.store.write(|tx| record_in(cx, tx, intent, reply, now))
}

/// Records several replies in one commit. If one fails, nothing is written and the caller records
/// them one by one.
pub fn record_all(
    cx: &Context,
    replies: &[(Intent, PostReply)],
    now: Instant,
) -> anyhow::Result<Vec<Recorded>> {
    cx.store.write(|tx| {
        replies.iter().map(|(intent, reply)| record_in(cx, tx, intent, reply, now)).collect()
    })
}

fn record_in(
    cx: &Context,
    tx: &Tx<'_>,
    intent: &Intent,
    reply: &PostReply,
    now: Instant,
) -> anyhow::Result<Recorded> {
    let mut recorded = outcome(cx, tx, intent, reply, now)?;
    prove_left_dialing(tx, intent)?;
    note_reach(tx, reply, now)?;
    if recorded.breaker == Became::AsItWas {
        let accepted = recorded.became == AttemptState::Placed;
        let refused = match reply {
            Err(PlaceError::NotPlaced { refusal: Refusal::Request, detail }) => Some(detail),
            _ => None,
        };
        let refused = refused.map(String::as_str);
        recorded.breaker = breaker::after_post(cx, tx, &intent.attempt, accepted, refused, now)?;
    }
    Ok(recorded)
}

/// Notes whether the POST reached the provider. A doubt proves neither.
fn note_reach(tx: &Tx<'_>, reply: &PostReply, now: Instant) -> anyhow::Result<()> {
    match reply {
        Err(PlaceError::NotPlaced { refusal: Refusal::NeverSent, detail }) => {
            reach::failed(tx, Request::Post, detail, now)
        }
        Err(PlaceError::NotPlaced { refusal: Refusal::Stale, .. } | PlaceError::InDoubt { .. }) => {
            Ok(())
        }
        Ok(_) | Err(PlaceError::NotPlaced { .. }) => reach::answered(tx, Request::Post),
    }
}

/// Proves that the write took effect, because a write may report success and change no row.
fn prove_left_dialing(tx: &Tx<'_>, intent: &Intent) -> anyhow::Result<()> {
    let id = &intent.attempt.id;
    match attempts::by_id(tx, id)? {
        Some(written) if written.state == AttemptState::Dialing => {
            anyhow::bail!("the outcome of attempt {id} was written, but it is still dialing")
        }
        _ => Ok(()),
    }
}

fn outcome(
    cx: &Context,
    tx: &Tx<'_>,
    intent: &Intent,
    reply: &PostReply,
    now: Instant,
) -> anyhow::Result<Recorded> {
    match reply {
        Ok(accepted) => placed(cx, tx, intent, accepted, now),
        Err(PlaceError::InDoubt { detail, stop_dialing }) => {
            let mut recorded = Recorded::new(AttemptState::InDoubt);
            if attempts::doubt(tx, &intent.attempt, detail, By { who: WHO, now })? == Moved::Yes {
                settle::item_in_doubt(cx, tx, &intent.attempt, By { who: WHO, now })?;
            }
            if *stop_dialing {
                recorded.breaker = opened(cx, tx, detail, None, now)?;
            }
            Ok(recorded)
        }
        Err(PlaceError::NotPlaced { refusal, detail }) => {
            not_placed(cx, tx, intent, *refusal, detail, now)
        }
    }
}

/// L4: the attempt is placed, and the flag is written and proven. If the flag cannot be proven,
/// that part is rolled back, only `placed` and its id are kept, and dialing halts.
fn placed(
    cx: &Context,
    tx: &Tx<'_>,
    intent: &Intent,
    accepted: &Accepted,
    now: Instant,
) -> anyhow::Result<Recorded> {
    let mut recorded = Recorded::new(AttemptState::Placed);
    let call = accepted.call.as_ref();
    let call_id = call.map(|call| call.id.as_str());
    let attempt = &intent.attempt;
    if attempts::accept(tx, attempt, call_id, now + FIRST_POLL, By { who: WHO, now })? == Moved::No
    {
        // The provider's records or a person settled it first. The late reply is attached.
        if let Some(call) = call {
            listed_call::late_reply(cx, tx, attempt, call, now)?;
        }
        return Ok(recorded);
    }
    if let Some(org_id) = call.and_then(|call| call.org_id.as_deref()) {
        check_account(tx, org_id, now)?;
    }
    recorded.halt = settle::complete_or_hold(cx, tx, attempt, call_id, By { who: WHO, now })?;
    Ok(recorded)
}

/// The first accepted call sets this file's account. A later call on another account holds dialing,
/// because that account has no records of our earlier calls.
fn check_account(tx: &Tx<'_>, org_id: &str, now: Instant) -> anyhow::Result<()> {
    match organization::org_id(tx)? {
        None => organization::set_org_id(tx, org_id),
        Some(known) if known == org_id => Ok(()),
        Some(_) => {
            let why = "a call was accepted by another account than the earlier calls; set the \
                       right VAPI_API_KEY, or accept the account with `ringonce adopt --reason WHY`";
            log::error!("dialing is held: {why}");
            holds::hold(tx, HoldKind::Account, why, now)
        }
    }
}

fn not_placed(
    cx: &Context,
    tx: &Tx<'_>,
    intent: &Intent,
    refusal: Refusal,
    detail: &str,
    now: Instant,
) -> anyhow::Result<Recorded> {
    let mut recorded = Recorded::new(AttemptState::NotPlaced);
    let attempt = &intent.attempt;
    let dialing = AttemptState::Dialing;
    if attempts::refuse(tx, attempt, dialing, detail, By { who: WHO, now })? == Moved::No {
        return Ok(recorded);
    }
    match refusal {
        Refusal::NeverSent | Refusal::Request => {
            let became = settle::item_not_placed(cx, tx, attempt, detail, By { who: WHO, now })?;
            recorded.gave_up = became == settle::Unplaced::Failed;
        }
        Refusal::Number => {
            if let Some(item) = settle::item_of(tx, attempt)? {
                settle::give_up(cx, tx, &item, Reason::Refused, detail, By { who: WHO, now })?;
                recorded.gave_up = true;
            }
        }
        Refusal::Stale => settle::give_back(tx, attempt, None, By { who: WHO, now })?,
        Refusal::Everybody => {
            settle::give_back(tx, attempt, Some(Reason::Breaker), By { who: WHO, now })?;
            recorded.breaker = opened(cx, tx, detail, None, now)?;
        }
        Refusal::OurNumber => {
            settle::give_back(tx, attempt, None, By { who: WHO, now })?;
            match caller_id::rest(cx, tx, attempt, now)? {
                caller_id::Left::Some => recorded.another_number = true,
                caller_id::Left::None => recorded.breaker = opened(cx, tx, detail, None, now)?,
            }
        }
        Refusal::RateLimited { retry_after_secs } => {
            settle::give_back(tx, attempt, Some(Reason::Breaker), By { who: WHO, now })?;
            let secs = i64::try_from(retry_after_secs.unwrap_or(60)).unwrap_or(3600).min(3600);
            recorded.breaker = opened(cx, tx, detail, Some(Duration::seconds(secs)), now)?;
        }
    }
    Ok(recorded)
}

fn opened(
    cx: &Context,
    tx: &Tx<'_>,
    why: &str,
    probe_after: Option<Duration>,
    now: Instant,
) -> anyhow::Result<Became> {
    breaker::open(cx, tx, &Cause { probe_after, ..Cause::new(why, ClosedBy::Acceptance) }, now)?;
    Ok(Became::Opened)
}
