//! Applies the events that the webhook stored. The webhook decides nothing. Here the provider is
//! asked, and its answer updates the ledger. An event alone changes no call.

use chrono::Duration;
use sha2::{Digest, Sha256};

use crate::domain::Instant;
use crate::domain::start::Asking;
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::do_not_call::opt_out;
use crate::steps::reconcile::listed_call;
use crate::steps::{Context, results};
use crate::store::attempts::results::ResultSource;
use crate::store::attempts::{self, Attempt};
use crate::store::quarantine::readable;
use crate::store::transaction::Moved;
use crate::store::webhook_events::{self, Waiting};
use crate::store::{Conn, Tx};

/// A webhook event, ready to be stored. The body is our own small extract, never the raw one.
#[derive(Clone, Debug)]
pub struct WebhookReport {
    pub kind: String,
    /// Only for a status update; empty otherwise.
    pub status: String,
    pub call: ProviderCall,
}

/// How long an event waits while the provider does not return its call.
const NOT_YET: Duration = Duration::minutes(10);
/// How long an opt-out waits for its attempt. By then reconciling has found the call, and the
/// call's own record contains the opt-out.
const OPT_OUT_KEPT: Duration = Duration::hours(24);

/// Stores an event once; `No` for a duplicate. The result of an ended call is kept at once, because
/// the provider's record may never have it. The event itself holds no words of the call.
pub fn store(cx: &Context, told: &WebhookReport, now: Instant) -> anyhow::Result<Moved> {
    let call = results::without_words(&told.call);
    let name = name(told);
    cx.store.write(|tx| {
        let moved = webhook_events::insert(tx, &told.kind, &name, &call, now)?;
        if moved == Moved::Yes
            && told.call.is_ended()
            && let Some(attempt) = results::attempt_of(tx, &told.call)?
        {
            results::keep(cx, tx, &attempt, &told.call, ResultSource::Webhook, now)?;
        }
        Ok(moved)
    })
}

/// Distinguishes events of one kind about one call: the status, the assistant's results and tools,
/// and the words. Two reports with different contents are two events, because the second may be the
/// opt-out or the complete result.
fn name(told: &WebhookReport) -> String {
    let call = &told.call;
    let found = [&call.structured_data, &call.structured_outputs];
    let words = [&call.summary, &call.transcript, &call.success_evaluation];
    if call.tool_names.iter().flatten().next().is_none()
        && found.iter().all(|part| part.is_none())
        && words.iter().all(|part| part.is_none())
    {
        return told.status.clone();
    }
    let text = serde_json::json!([found, call.tool_names, words]).to_string();
    let digest = Sha256::digest(text.as_bytes());
    // In letters, because a snapshot hides long numbers.
    let mark: String = digest[..8]
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|four| char::from(b'a' + four))
        .collect();
    [told.status.as_str(), &mark].join("+")
}

/// Whether to keep an event about a call that is not in the ledger. It must contain an opt-out, and
/// an attempt must still lack its call.
pub fn may_become_ours(cx: &Context, conn: &Conn, call: &ProviderCall) -> anyhow::Result<bool> {
    Ok(opt_out::opts_out(cx, call) && !opt_out::without_call(conn)?.is_empty())
}

/// Lists the opt-outs of stored events, without a request to the provider. Called before each
/// claim, so that nobody who has just opted out is called.
pub fn hear(cx: &Context, now: Instant) -> anyhow::Result<()> {
    for id in cx.store.read(webhook_events::waiting)? {
        if let Some(event) = cx.store.read(|conn| webhook_events::one(conn, id))? {
            readable(hear_one(cx, &event, now))?;
        }
    }
    Ok(())
}

/// Applies the opt-out of one event. It can be trusted at once, because it only stops calls.
fn hear_one(cx: &Context, event: &Waiting, now: Instant) -> anyhow::Result<()> {
    if !opt_out::opts_out(cx, &event.call) {
        return Ok(());
    }
    cx.store.write(|tx| match opt_out::attempt_of(cx, tx, &event.call)? {
        Some(attempt) => opt_out::add_to_list(cx, tx, &attempt, &event.call, now),
        None => Ok(()),
    })
}

/// Applies every stored event in the order of arrival. Returns how many calls ended by it.
///
/// An event is a hint, which may be forged, duplicated or late. It only makes us ask the provider
/// sooner, and the provider's answer decides. An event whose request fails waits without delaying
/// the others, because the next one may be an opt-out. After a time it is forgotten; polling and
/// the list give the same facts.
pub fn apply(cx: &Context, provider: &dyn Provider, now: Instant) -> anyhow::Result<usize> {
    let mut ended = 0;
    let mut is_silent = false;
    for id in cx.store.read(webhook_events::waiting)? {
        let Some(event) = cx.store.read(|conn| webhook_events::one(conn, id))? else { continue };
        // An event about rows that cannot be read waits until they are corrected.
        ended += readable(ask_and_apply(cx, provider, &event, &mut is_silent, now))?.unwrap_or(0);
    }
    if cx.store.read(|conn| webhook_events::is_any_old(conn, now))? {
        cx.store.write(|tx| webhook_events::forget_old(tx, now))?;
    }
    Ok(ended)
}

/// Applies one event, unless it has to wait. `is_silent`: the provider did not answer in this round.
fn ask_and_apply(
    cx: &Context,
    provider: &dyn Provider,
    event: &Waiting,
    is_silent: &mut bool,
    now: Instant,
) -> anyhow::Result<usize> {
    hear_one(cx, event, now)?;
    let known = cx.store.read(|conn| attempts::by_call_id(conn, &event.call.id))?;
    let is_young = now - event.received_at < NOT_YET;
    let asks = is_worth_asking(event, known.as_ref()) && is_young;
    let asked = (asks && !*is_silent).then(|| provider.get(&event.call.id));
    if let Some(Err(error)) = &asked
        && *error != ReadError::NotFound
    {
        log::warn!("a webhook's call waits, because the provider was not read: {error}");
        *is_silent = true;
    }
    let call = asked.and_then(Result::ok).map(|fetched| fetched.call);
    let waits_for_its_attempt = is_unheard(cx, event, now)?;
    if call.is_none() && (asks || waits_for_its_attempt) {
        return Ok(0);
    }
    cx.store.write(|tx| {
        let ended = apply_one(cx, tx, event, call.as_ref(), now)?;
        webhook_events::applied(tx, event.id, now)?;
        Ok(ended)
    })
}

/// Whether the provider's answer can change anything: the event says that a call is over whose end is
/// unknown, or the ledger does not know this call id.
fn is_worth_asking(event: &Waiting, known: Option<&Attempt>) -> bool {
    match known {
        Some(attempt) => {
            (attempt.state.is_live() || attempt.lacks_its_end()) && event.call.is_ended()
        }
        None => true,
    }
}

/// Whether the event contains an opt-out whose attempt is not known yet, but may be found later.
fn is_unheard(cx: &Context, event: &Waiting, now: Instant) -> anyhow::Result<bool> {
    if !opt_out::opts_out(cx, &event.call) || OPT_OUT_KEPT <= now - event.received_at {
        return Ok(false);
    }
    let attempt = cx.store.read(|conn| opt_out::attempt_of(cx, conn, &event.call))?;
    Ok(attempt.is_none())
}

/// `call` is the provider's answer, if it was asked and knows the call.
fn apply_one(
    cx: &Context,
    tx: &Tx<'_>,
    event: &Waiting,
    call: Option<&ProviderCall>,
    now: Instant,
) -> anyhow::Result<usize> {
    let before = attempts::by_call_id(tx, &event.call.id)?;
    if let Some(call) = call {
        let dialing_since = cx.dialing_since.get().copied();
        listed_call::load(cx, tx, call, Asking::Beside { dialing_since }, now)?;
    }
    let Some(after) = attempts::by_call_id(tx, &event.call.id)? else { return Ok(0) };
    // The attempt may have received its call id just now.
    opt_out::add_to_list(cx, tx, &after, &event.call, now)?;
    let has_all = after.phone.is_none() || results::is_complete(cx, tx, &after.id)?;
    if event.call.is_ended() && has_all && !opt_out::is_open(cx, &event.call) {
        webhook_events::forget_call(tx, &after.id)?;
    }
    let was_live = before.is_none_or(|before| before.state.is_live());
    Ok(usize::from(was_live && !after.state.is_live()))
}
