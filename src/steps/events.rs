//! events: applies what the webhook was told. The webhook stored it and decided nothing; here the
//! provider is asked, and its answer updates the ledger. An event alone changes no call.

use chrono::Duration;

use crate::domain::Instant;
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::{Context, adopt, opt_out};
use crate::store::attempts::Attempt;
use crate::store::queue::Moved;
use crate::store::{Tx, attempts, events};

/// What a webhook told, ready to be stored. The body is our own small extract, never the raw one.
#[derive(Clone, Debug)]
pub struct Told {
    pub kind: String,
    /// Only of a status update; empty otherwise.
    pub status: String,
    pub call: ProviderCall,
    /// Tools that the assistant called.
    pub tool_names: Vec<String>,
}

/// Stores an event once; `No` for a copy.
pub fn store(cx: &Context, told: &Told, now: Instant) -> anyhow::Result<Moved> {
    let extract = events::Extract { call: told.call.clone(), tool_names: told.tool_names.clone() };
    // Two events of one kind that name different tools are two events: one may be the opt-out.
    let tools = told.tool_names.join(" ");
    let status = if told.status.is_empty() { &tools } else { &told.status };
    cx.store.write(|tx| events::insert(tx, &told.kind, status, &extract, now))
}

/// How long an event is kept about a call that the provider does not tell of.
const NOT_YET: Duration = Duration::minutes(10);

/// Applies every stored event in the order of arrival. Returns how many calls ended by it.
///
/// What an event says of its call is a hint, which may be forged, doubled or late: it only makes
/// us ask the provider sooner, and the provider's answer is what counts. An event that cannot be
/// asked about waits, and no other for it: the next may be an opt-out. After a while it is
/// forgotten; polling and the list tell the same.
pub fn apply(cx: &Context, provider: &dyn Provider, now: Instant) -> anyhow::Result<usize> {
    let mut ended = 0;
    let mut is_silent = false;
    for event in cx.store.read(events::waiting)? {
        let known = cx.store.read(|conn| attempts::by_call_id(conn, &event.extract.call.id))?;
        let asks = is_worth_asking(&event, known.as_ref());
        let asked = (asks && !is_silent).then(|| provider.get(&event.extract.call.id));
        if let Some(Err(error)) = &asked
            && *error != ReadError::NotFound
        {
            log::warn!("what the webhook was told waits: {error}");
            is_silent = true;
        }
        let call = asked.and_then(Result::ok).map(|fetched| fetched.call);
        if asks && call.is_none() && now - event.received_at < NOT_YET {
            continue;
        }
        ended += cx.store.write(|tx| {
            let ended = apply_one(cx, tx, &event, call.as_ref(), now)?;
            events::applied(tx, event.id, now)?;
            Ok(ended)
        })?;
    }
    Ok(ended)
}

/// Whether the provider's own word can change anything: for a call that is said to be over, or
/// that the ledger does not know under this id.
fn is_worth_asking(event: &events::Waiting, known: Option<&Attempt>) -> bool {
    match known {
        Some(attempt) => attempt.state.is_live() && event.extract.call.is_ended(),
        None => true,
    }
}

/// `call` is what the provider answered, if it was asked and knows the call.
fn apply_one(
    cx: &Context,
    tx: &Tx<'_>,
    event: &events::Waiting,
    call: Option<&ProviderCall>,
    now: Instant,
) -> anyhow::Result<usize> {
    let extract = &event.extract;
    let before = attempts::by_call_id(tx, &extract.call.id)?;
    if let Some(call) = call {
        adopt::take_in(cx, tx, call, cx.dialing_since.get().copied(), now)?;
    }
    let Some(after) = attempts::by_call_id(tx, &extract.call.id)? else { return Ok(0) };
    if let Some(tool) = &cx.config.do_not_call.tool_name
        && extract.tool_names.contains(tool)
    {
        opt_out::add(cx, tx, &after, &extract.call, &format!("the assistant called {tool}"), now)?;
    }
    // An opt-out may be believed at once, because it only ever stops calls; the analysis that holds
    // it often comes after the end.
    opt_out::honour(cx, tx, &after, &extract.call, now)?;
    let was_live = before.is_none_or(|before| before.state.is_live());
    Ok(usize::from(was_live && !after.state.is_live()))
}
