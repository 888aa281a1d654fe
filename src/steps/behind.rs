//! behind: whether this database is older than the one that dialed here last, as the number beside it
//! tells. The provider's list may not show yet what was done since.

use std::collections::BTreeSet;

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::steps::account::VISIBLE_AFTER;
use crate::steps::reconcile::{Answer, Asking, Closed};
use crate::steps::{Context, adopt};
use crate::store::given::{self, Missed};
use crate::store::{Conn, attempts};

/// Whether this database is older than the one that dialed here last, and waits until the list shows
/// the last call that was made since. A list is up to date after a while, so from then on a person may
/// say that the rest was never placed.
pub fn behind(
    cx: &Context,
    conn: &Conn,
    accepted: bool,
    now: Instant,
) -> anyhow::Result<Option<Missed>> {
    let missed = given::beyond(conn, cx.store.path(), &cx.installation.id)?;
    Ok(missed.filter(|missed| !accepted || is_recent(missed, now)))
}

/// Whether the list may not show the last of them yet.
fn is_recent(missed: &Missed, now: Instant) -> bool {
    now < missed.given.at + VISIBLE_AFTER
}

/// A list may show the last call that was made from here and not yet the one before. Once it is taken
/// in, no number tells any more that one is missing, so an older database waits until the list shows
/// as many unknown calls as numbers are missing, or is up to date. Numbers of refused calls are in no
/// list.
pub fn refuse_a_hole(cx: &Context, answer: &Answer, now: Instant) -> anyhow::Result<()> {
    let Asking::Start { .. } = answer.asking else { return Ok(()) };
    let missed = cx.store.read(|conn| given::beyond(conn, cx.store.path(), &cx.installation.id))?;
    let Some(missed) = missed.filter(|missed| is_recent(missed, now)) else { return Ok(()) };
    let ours = |call: &&ProviderCall| {
        call.installation_id.as_ref().is_none_or(|id| *id == cx.installation.id)
    };
    let calls = answer.listing.calls.iter().filter(ours);
    let named: BTreeSet<&str> =
        calls.filter_map(|call| adopt::attempts_named(call).next()).collect();
    let unknown = cx.store.read(|conn| {
        let mut unknown = answer.unread.len() as i64;
        for id in named {
            unknown += i64::from(attempts::by_id(conn, id)?.is_none());
        }
        Ok(unknown)
    })?;
    if unknown < missed.given.seq - missed.known {
        return Err(Closed::behind(&missed).into());
    }
    Ok(())
}
