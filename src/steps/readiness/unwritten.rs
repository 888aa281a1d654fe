//! Holds dialing when the outcome of a call, or a call of the provider's records, cannot be
//! written. No later start dials until it is known and written, or a person permits it.

use std::collections::BTreeSet;

use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::domain::hold::HoldKind;
use crate::steps::Context;
use crate::steps::dial::intent::Intent;
use crate::steps::dial::record::PostReply;
use crate::store::attempts::unresolved;
use crate::store::journal::{self, Entry};
use crate::store::meta::{self, holds};
use crate::store::{Conn, Tx};

/// The key of the provider ids of calls that could not be loaded.
const UNTAKEN: &str = "untaken_calls";
/// At most this many attempts are named in the hold.
const NAMED: usize = 8;

/// Holds dialing because outcomes cannot be written. Returns the hold's text if this call wrote it,
/// and `None` if such a hold already exists.
pub fn hold(
    cx: &Context,
    unwritten: &[(Intent, PostReply)],
    error: &anyhow::Error,
    now: Instant,
) -> anyhow::Result<Option<String>> {
    if cx.store.read(is_held)? {
        return Ok(None);
    }
    let why = words(unwritten, error);
    cx.store.write(|tx| {
        if is_held(tx)? {
            return Ok(None);
        }
        holds::hold(tx, HoldKind::Record, &why, now)?;
        Ok(Some(why))
    })
}

fn is_held(conn: &Conn) -> anyhow::Result<bool> {
    holds::is_held(conn, &HoldKind::Record)
}

/// The text includes the provider's ids, which are otherwise lost when this process ends.
fn words(unwritten: &[(Intent, PostReply)], error: &anyhow::Error) -> String {
    let mut named: Vec<String> = unwritten.iter().take(NAMED).map(name).collect();
    if NAMED < unwritten.len() {
        named.push(format!("{} more", unwritten.len() - NAMED));
    }
    format!(
        "the outcome of attempt {} cannot be written: {error:#}; make room, or repair the \
         database; the hold lifts automatically when the provider's list shows the call and no \
         call is in doubt; `ringonce attempts resolve` settles it before that",
        named.join(", ")
    )
}

fn name((intent, reply): &(Intent, PostReply)) -> String {
    let id = &intent.attempt.id;
    match reply.as_ref().ok().and_then(|accepted| accepted.call.as_ref()) {
        Some(call) => format!("{id} (accepted as call {})", call.id),
        None => id.clone(),
    }
}

/// Lifts the hold with this text after its process has written the outcomes.
pub fn lift_own(cx: &Context, words: &str, now: Instant) -> anyhow::Result<()> {
    cx.store.write(|tx| {
        let ours = |hold: &holds::Hold| hold.kind == HoldKind::Record && hold.why == words;
        if holds::holds(tx)?.iter().any(ours) && not_loaded(tx)?.is_empty() {
            lift(tx, "every outcome is written", now)?;
        }
        Ok(())
    })
}

/// Lifts the hold after a complete list was loaded without an error, as were the calls of earlier
/// lists. The file then knows every call, unless one is in doubt or dialing.
pub fn lift_if_known(tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    if !is_held(tx)? {
        return Ok(());
    }
    for state in [AttemptState::Dialing, AttemptState::InDoubt] {
        if unresolved::is_any_in_state(tx, state)? {
            return Ok(());
        }
    }
    lift(tx, "the provider's list was loaded, and no call is in doubt", now)
}

fn lift(tx: &Tx<'_>, why: &str, now: Instant) -> anyhow::Result<()> {
    holds::lift_hold(tx, HoldKind::Record)?;
    log::info!("dialing is no longer held: {why}");
    let entry =
        Entry { who: "record", what: "hold", subject: "dialing:record", ..Entry::default() };
    journal::add(tx, now, Entry { old: Some("held"), why: Some(why), ..entry })
}

fn not_loaded(conn: &Conn) -> anyhow::Result<BTreeSet<String>> {
    let text = meta::get(conn, UNTAKEN)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}

/// Stores which calls of a listing could not be loaded, and removes those that were. Returns
/// whether none is left, including calls of earlier listings, which a later list may lack.
pub fn note_not_loaded(
    tx: &Tx<'_>,
    listed: &BTreeSet<&str>,
    failed: &BTreeSet<&str>,
) -> anyhow::Result<bool> {
    let before = not_loaded(tx)?;
    let mut left = before.clone();
    left.retain(|id| !listed.contains(id.as_str()));
    left.extend(failed.iter().map(ToString::to_string));
    if left != before {
        if left.is_empty() {
            forget_not_loaded(tx)?
        } else {
            meta::set(tx, UNTAKEN, &serde_json::to_string(&left)?)?
        }
    }
    Ok(left.is_empty())
}

/// Forgets the calls that could not be loaded, by a person's decision.
pub fn forget_not_loaded(tx: &Tx<'_>) -> anyhow::Result<()> {
    meta::remove(tx, UNTAKEN).map(drop)
}
