//! What could not be written holds dialing in the file: the outcome of a call, or a call of the
//! provider's records. No later start dials until it is known and written, or a person says so.

use std::collections::BTreeSet;

use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::steps::dial::Intent;
use crate::steps::record::Reply;
use crate::store::journal::{self, Entry};
use crate::store::{Conn, Tx, attempts, meta};

use super::Context;

/// The kind of the hold.
pub const HOLD: &str = "record";
/// The provider's ids of the calls that could not be taken in.
const UNTAKEN: &str = "untaken_calls";
/// So many attempts are named in the hold.
const NAMED: usize = 8;

/// Holds dialing because outcomes cannot be written. Returns the hold's words where this call has
/// written it, `None` where there is such a hold already.
pub fn hold(
    cx: &Context,
    unwritten: &[(Intent, Reply)],
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
        meta::hold(tx, HOLD, &why, now)?;
        Ok(Some(why))
    })
}

fn is_held(conn: &Conn) -> anyhow::Result<bool> {
    Ok(meta::holds(conn)?.iter().any(|hold| hold.kind == HOLD))
}

/// With the provider's ids, which nobody else knows when this process ends.
fn words(unwritten: &[(Intent, Reply)], error: &anyhow::Error) -> String {
    let mut named: Vec<String> = unwritten.iter().take(NAMED).map(name).collect();
    if NAMED < unwritten.len() {
        named.push(format!("{} more", unwritten.len() - NAMED));
    }
    format!(
        "what became of attempt {} cannot be written: {error:#}; make room, or mend the database; \
         it lifts by itself when the provider's list has told of it and no call is in doubt, else \
         settle it with `ringonce attempts resolve`, or go on with `ringonce resume --hold record --reason WHY`",
        named.join(", ")
    )
}

fn name((intent, reply): &(Intent, Reply)) -> String {
    let id = &intent.attempt.id;
    match reply.as_ref().ok().and_then(|accepted| accepted.call.as_ref()) {
        Some(call) => format!("{id} (accepted as call {})", call.id),
        None => id.clone(),
    }
}

/// The process that wrote the hold with these words has written the outcomes after all.
pub fn lift_own(cx: &Context, words: &str, now: Instant) -> anyhow::Result<()> {
    cx.store.write(|tx| {
        let ours = |hold: &meta::Hold| hold.kind == HOLD && hold.why == words;
        if meta::holds(tx)?.iter().any(ours) && untaken(tx)?.is_empty() {
            lift(tx, "what could not be written is written", now)?;
        }
        Ok(())
    })
}

/// A complete list was taken in without an error, and so was what earlier ones showed: nothing is
/// left that this file does not know, unless a call is in doubt or under way.
pub fn lift_if_known(tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    if !is_held(tx)? {
        return Ok(());
    }
    for state in [AttemptState::Dialing, AttemptState::InDoubt] {
        if !attempts::in_state(tx, state)?.is_empty() {
            return Ok(());
        }
    }
    lift(tx, "the provider's list was taken in, and no call is in doubt", now)
}

fn lift(tx: &Tx<'_>, why: &str, now: Instant) -> anyhow::Result<()> {
    meta::lift_hold(tx, HOLD)?;
    log::info!("dialing is no longer held: {why}");
    let subject = format!("dialing:{HOLD}");
    let entry = Entry { who: HOLD, what: "hold", subject: &subject, ..Entry::default() };
    journal::add(tx, now, Entry { old: Some("held"), why: Some(why), ..entry })
}

fn untaken(conn: &Conn) -> anyhow::Result<BTreeSet<String>> {
    let text = meta::get(conn, UNTAKEN)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}

/// Notes which calls of a listing could not be taken in, and that the others are; says whether
/// none is left, of earlier listings neither. Another list may not show such a call.
pub fn note_untaken(
    tx: &Tx<'_>,
    listed: &BTreeSet<&str>,
    failed: &BTreeSet<&str>,
) -> anyhow::Result<bool> {
    let before = untaken(tx)?;
    let mut left = before.clone();
    left.retain(|id| !listed.contains(id.as_str()));
    left.extend(failed.iter().map(ToString::to_string));
    if left != before {
        match left.is_empty() {
            true => forget_untaken(tx)?,
            false => meta::set(tx, UNTAKEN, &serde_json::to_string(&left)?)?,
        }
    }
    Ok(left.is_empty())
}

/// A person goes on without the calls that could not be taken in.
pub fn forget_untaken(tx: &Tx<'_>) -> anyhow::Result<()> {
    meta::remove(tx, UNTAKEN).map(drop)
}
