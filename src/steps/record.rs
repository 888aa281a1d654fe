//! record: writes what the reply to a POST proves, at once, in its own transaction.

use chrono::Duration;

use crate::domain::Instant;
use crate::domain::call::{AttemptState, Reason};
use crate::provider::{Accepted, PlaceError, Refusal};
use crate::steps::breaker::{self, Became, ClosedBy};
use crate::steps::dial::Intent;
use crate::steps::{Context, adopt, numbers, settle};
use crate::store::meta;
use crate::store::queue::Moved;
use crate::store::{Tx, attempts};

const WHO: &str = "record";
/// How soon a placed call is asked about first.
const FIRST_POLL: Duration = Duration::seconds(10);

/// The reply to one POST.
pub type Reply = Result<Accepted, PlaceError>;

/// What a reply came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub became: AttemptState,
    /// The item was given up: a failed occasion.
    pub gave_up: bool,
    /// The flag could not be proven: dialing halts at once.
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

/// Records one reply. `Err`: nothing of it is written, and it must be tried again.
pub fn record(
    cx: &Context,
    intent: &Intent,
    reply: &Reply,
    now: Instant,
) -> anyhow::Result<Recorded> {
    cx.store.write(|tx| record_in(cx, tx, intent, reply, now))
}

/// Records several replies in one commit. When any fails, nothing is written and the caller records
/// them one by one.
pub fn record_all(
    cx: &Context,
    replies: &[(Intent, Reply)],
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
    reply: &Reply,
    now: Instant,
) -> anyhow::Result<Recorded> {
    let mut recorded = outcome(cx, tx, intent, reply, now)?;
    prove_left_dialing(tx, intent)?;
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

/// A write that changed no row has written nothing, whatever it answered.
fn prove_left_dialing(tx: &Tx<'_>, intent: &Intent) -> anyhow::Result<()> {
    let id = &intent.attempt.id;
    match attempts::by_id(tx, id)? {
        Some(written) if written.state == AttemptState::Dialing => {
            anyhow::bail!("the outcome of attempt {id} was written, and it is still dialing")
        }
        _ => Ok(()),
    }
}

fn outcome(
    cx: &Context,
    tx: &Tx<'_>,
    intent: &Intent,
    reply: &Reply,
    now: Instant,
) -> anyhow::Result<Recorded> {
    match reply {
        Ok(accepted) => placed(cx, tx, intent, accepted, now),
        Err(PlaceError::InDoubt { detail, stop_dialing }) => {
            let mut recorded = Recorded::new(AttemptState::InDoubt);
            if attempts::doubt(tx, &intent.attempt, detail, WHO, now)? == Moved::Yes {
                settle::item_in_doubt(cx, tx, &intent.attempt, WHO, now)?;
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

/// L4: the attempt is placed, the flag is written and proven. When the flag cannot be proven,
/// that part is undone, `placed` with its id is kept alone, and dialing halts.
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
    if attempts::accept(tx, attempt, call_id, now + FIRST_POLL, WHO, now)? == Moved::No {
        // Settled by somebody else meanwhile (the records, a person): the late truth attaches.
        if let Some(call) = call {
            adopt::late_reply(cx, tx, attempt, call, now)?;
        }
        return Ok(recorded);
    }
    if let Some(org_id) = call.and_then(|call| call.org_id.as_deref()) {
        check_account(tx, org_id, now)?;
    }
    recorded.halt = settle::complete_or_hold(cx, tx, attempt, call_id, WHO, now)?;
    Ok(recorded)
}

/// The first accepted call tells whose account it is; a later one of another account holds
/// dialing, because the records of our earlier calls are not there.
fn check_account(tx: &Tx<'_>, org_id: &str, now: Instant) -> anyhow::Result<()> {
    match meta::org_id(tx)? {
        None => meta::set_org_id(tx, org_id),
        Some(known) if known == org_id => Ok(()),
        Some(_) => {
            let why = "a call was accepted by another account than the calls before; set the \
                       right VAPI_API_KEY, or accept the account with `ringonce adopt --reason WHY`";
            log::error!("dialing holds: {why}");
            meta::hold(tx, "account", why, now)
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
    if attempts::refuse(tx, attempt, dialing, detail, WHO, now)? == Moved::No {
        return Ok(recorded);
    }
    match refusal {
        Refusal::NeverSent | Refusal::Request => {
            let became = settle::item_not_placed(cx, tx, attempt, detail, WHO, now)?;
            recorded.gave_up = became == settle::Unplaced::Failed;
        }
        Refusal::Number => {
            if let Some(item) = settle::item_of(tx, attempt)? {
                settle::give_up(cx, tx, &item, Reason::Refused, detail, WHO, now)?;
                recorded.gave_up = true;
            }
        }
        Refusal::Stale => settle::give_back(tx, attempt, None, WHO, now)?,
        Refusal::Everybody => {
            settle::give_back(tx, attempt, Some(Reason::Breaker), WHO, now)?;
            recorded.breaker = opened(cx, tx, detail, None, now)?;
        }
        Refusal::OurNumber => {
            settle::give_back(tx, attempt, None, WHO, now)?;
            match numbers::rest(cx, tx, attempt, now)? {
                numbers::Left::Some => recorded.another_number = true,
                numbers::Left::None => recorded.breaker = opened(cx, tx, detail, None, now)?,
            }
        }
        Refusal::RateLimited { retry_after_secs } => {
            settle::give_back(tx, attempt, Some(Reason::Breaker), WHO, now)?;
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
    breaker::open(cx, tx, why, ClosedBy::Acceptance, probe_after, now)?;
    Ok(Became::Opened)
}
