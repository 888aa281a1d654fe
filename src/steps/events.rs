//! events: applies what the webhook was told. The webhook stored it and decided nothing; here it
//! updates the ledger, and can never open a dial.

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::steps::{Context, adopt, opt_out};
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

/// Applies every stored event in the order of arrival. Returns how many calls ended by it.
pub fn apply(cx: &Context, now: Instant) -> anyhow::Result<usize> {
    let waiting = cx.store.read(events::waiting)?;
    let mut ended = 0;
    for event in waiting {
        ended += cx.store.write(|tx| {
            let ended = apply_one(cx, tx, &event.extract, now)?;
            events::applied(tx, event.id, now)?;
            Ok(ended)
        })?;
    }
    Ok(ended)
}

fn apply_one(
    cx: &Context,
    tx: &Tx<'_>,
    extract: &events::Extract,
    now: Instant,
) -> anyhow::Result<usize> {
    let before = attempts::by_call_id(tx, &extract.call.id)?;
    adopt::take_in(cx, tx, &extract.call, None, now)?;
    let Some(after) = attempts::by_call_id(tx, &extract.call.id)? else { return Ok(0) };
    if let Some(tool) = &cx.config.do_not_call.tool_name
        && extract.tool_names.contains(tool)
    {
        opt_out::add(cx, tx, &after, &format!("the assistant called {tool}"), now)?;
    }
    let was_live = before.is_none_or(|before| before.state.is_live());
    Ok(usize::from(was_live && !after.state.is_live()))
}
