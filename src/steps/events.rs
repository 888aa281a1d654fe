//! events: applies what the webhook was told. The webhook stored it and decided nothing; here the
//! provider is asked, and its answer updates the ledger. An event alone changes no call.

use chrono::Duration;
use sha2::{Digest, Sha256};

use crate::domain::Instant;
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::{Context, adopt, opt_out};
use crate::store::attempts::Attempt;
use crate::store::events::Waiting;
use crate::store::queue::Moved;
use crate::store::{Conn, Tx, attempts, events};

/// What a webhook told, ready to be stored. The body is our own small extract, never the raw one.
#[derive(Clone, Debug)]
pub struct Told {
    pub kind: String,
    /// Only of a status update; empty otherwise.
    pub status: String,
    pub call: ProviderCall,
}

/// How long an event is kept about a call that the provider does not tell of.
const NOT_YET: Duration = Duration::minutes(10);
/// How long an opt-out is kept whose attempt is not known. Afterwards reconciling has found the
/// call, and its own record tells the opt-out.
const OPT_OUT_KEPT: Duration = Duration::hours(24);

/// Stores an event once; `No` for a copy. The words of the call are not stored: the provider's
/// record tells them, and nothing here needs them.
pub fn store(cx: &Context, told: &Told, now: Instant) -> anyhow::Result<Moved> {
    let call = ProviderCall { transcript: None, summary: None, ..told.call.clone() };
    let name = name(told);
    cx.store.write(|tx| events::insert(tx, &told.kind, &name, &call, now))
}

/// What tells events of one kind about one call apart: the status, and what the assistant found or
/// did. Two reports that tell different things are two events: the second may be the opt-out.
fn name(told: &Told) -> String {
    let call = &told.call;
    let found = [&call.structured_data, &call.structured_outputs];
    if call.tool_names.iter().flatten().next().is_none() && found.iter().all(|part| part.is_none())
    {
        return told.status.clone();
    }
    let text = serde_json::json!([found, call.tool_names]).to_string();
    let digest = Sha256::digest(text.as_bytes());
    // In letters: a snapshot hides long numbers.
    let mark: String = digest[..8]
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|four| char::from(b'a' + four))
        .collect();
    [told.status.as_str(), &mark].join("+")
}

/// Whether an event about a call that the ledger does not know is kept all the same: it holds an
/// opt-out, and an attempt waits for its call.
pub fn may_become_ours(cx: &Context, conn: &Conn, call: &ProviderCall) -> anyhow::Result<bool> {
    Ok(opt_out::is_asked(cx, call) && !opt_out::without_call(conn)?.is_empty())
}

/// Puts the opt-outs of stored events on the do-not-call list, without asking anybody. Called before
/// each claim: nobody who opted out a moment ago is called by what is due now.
pub fn hear(cx: &Context, now: Instant) -> anyhow::Result<()> {
    for id in cx.store.read(events::waiting)? {
        if let Some(event) = cx.store.read(|conn| events::one(conn, id))? {
            hear_one(cx, &event, now)?;
        }
    }
    Ok(())
}

/// The opt-out of one event. It may be believed at once, because it only ever stops calls.
fn hear_one(cx: &Context, event: &Waiting, now: Instant) -> anyhow::Result<()> {
    if !opt_out::is_asked(cx, &event.call) {
        return Ok(());
    }
    cx.store.write(|tx| match opt_out::attempt_of(cx, tx, &event.call)? {
        Some(attempt) => opt_out::honour(cx, tx, &attempt, &event.call, now),
        None => Ok(()),
    })
}

/// Applies every stored event in the order of arrival. Returns how many calls ended by it.
///
/// What an event says of its call is a hint, which may be forged, doubled or late: it only makes
/// us ask the provider sooner, and the provider's answer is what counts. An event that cannot be
/// asked about waits, and no other for it: the next may be an opt-out. After a while it is
/// forgotten; polling and the list tell the same.
pub fn apply(cx: &Context, provider: &dyn Provider, now: Instant) -> anyhow::Result<usize> {
    let mut ended = 0;
    let mut is_silent = false;
    for id in cx.store.read(events::waiting)? {
        let Some(event) = cx.store.read(|conn| events::one(conn, id))? else { continue };
        hear_one(cx, &event, now)?;
        let known = cx.store.read(|conn| attempts::by_call_id(conn, &event.call.id))?;
        let is_young = now - event.received_at < NOT_YET;
        let asks = is_worth_asking(&event, known.as_ref()) && is_young;
        let asked = (asks && !is_silent).then(|| provider.get(&event.call.id));
        if let Some(Err(error)) = &asked
            && *error != ReadError::NotFound
        {
            log::warn!("what the webhook was told waits: {error}");
            is_silent = true;
        }
        let call = asked.and_then(Result::ok).map(|fetched| fetched.call);
        let waits_for_its_attempt = is_unheard(cx, &event, now)?;
        if call.is_none() && (asks || waits_for_its_attempt) {
            continue;
        }
        ended += cx.store.write(|tx| {
            let ended = apply_one(cx, tx, &event, call.as_ref(), now)?;
            events::applied(tx, event.id, now)?;
            Ok(ended)
        })?;
    }
    if cx.store.read(|conn| events::is_any_old(conn, now))? {
        cx.store.write(|tx| events::forget_old(tx, now))?;
    }
    Ok(ended)
}

/// Whether the provider's own word can change anything: for a call that is said to be over, or
/// that the ledger does not know under this id.
fn is_worth_asking(event: &Waiting, known: Option<&Attempt>) -> bool {
    match known {
        Some(attempt) => attempt.state.is_live() && event.call.is_ended(),
        None => true,
    }
}

/// Whether the event holds an opt-out of nobody we know yet: its attempt may still learn its call.
fn is_unheard(cx: &Context, event: &Waiting, now: Instant) -> anyhow::Result<bool> {
    if !opt_out::is_asked(cx, &event.call) || OPT_OUT_KEPT <= now - event.received_at {
        return Ok(false);
    }
    let attempt = cx.store.read(|conn| opt_out::attempt_of(cx, conn, &event.call))?;
    Ok(attempt.is_none())
}

/// `call` is what the provider answered, if it was asked and knows the call.
fn apply_one(
    cx: &Context,
    tx: &Tx<'_>,
    event: &Waiting,
    call: Option<&ProviderCall>,
    now: Instant,
) -> anyhow::Result<usize> {
    let before = attempts::by_call_id(tx, &event.call.id)?;
    if let Some(call) = call {
        adopt::take_in(cx, tx, call, cx.dialing_since.get().copied(), now)?;
    }
    let Some(after) = attempts::by_call_id(tx, &event.call.id)? else { return Ok(0) };
    // The attempt may have learnt its call just now.
    opt_out::honour(cx, tx, &after, &event.call, now)?;
    if event.call.is_ended() && !opt_out::is_open(cx, &event.call) {
        events::forget_call(tx, &after.id)?;
    }
    let was_live = before.is_none_or(|before| before.state.is_live());
    Ok(usize::from(was_live && !after.state.is_live()))
}
