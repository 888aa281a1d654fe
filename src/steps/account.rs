//! account: whether the records that were read are those of the account that our calls belong to.
//! Another account's list is empty of our calls, and a file that is behind the world would take
//! that for news that nothing was done: so a file that has made calls wants to see one of them.

use chrono::Duration;

use crate::domain::{Instant, instant_text, parse_instant};
use crate::provider::{Listing, Provider, ProviderCall, ReadError};
use crate::steps::Context;
use crate::steps::reconcile::{Answer, Asking, Closed};
use crate::store::{Conn, doubts, meta};

/// Since when the present account is the one of this file; set when a person changed it.
const ORG_SINCE: &str = "org_since";
/// How many of our last calls are asked for: a person may have deleted one there.
const ASK_FOR: usize = 3;
/// A younger call may not be visible yet, so that it tells nothing when it is not shown.
pub const VISIBLE_AFTER: Duration = Duration::minutes(15);

/// The account that a listing tells, by its newest call.
pub fn shown(listing: &Listing) -> Option<&str> {
    listing.calls.iter().rev().find_map(|call| call.org_id.as_deref())
}

/// Whether the provider shows a call of ours, in the list or by its id. True where the file knows
/// no call that its records must hold.
pub fn is_shown(
    cx: &Context,
    provider: &dyn Provider,
    listing: &Listing,
    oldest: Instant,
    now: Instant,
) -> anyhow::Result<bool> {
    let (ours, ids) = cx.store.read(|conn| {
        let from = since(conn)?.map_or(oldest, |since| since.max(oldest));
        Ok((meta::org_id(conn)?, doubts::last_call_ids(conn, from, now - VISIBLE_AFTER, ASK_FOR)?))
    })?;
    // Whose calls they are, where there are any, is told by themselves: see `known`.
    if ours.is_none() || ids.is_empty() || listing.calls.iter().any(|call| call.org_id.is_some()) {
        return Ok(true);
    }
    for id in ids {
        match provider.get(&id) {
            Ok(fetched) => return Ok(fetched.call.org_id.is_none() || fetched.call.org_id == ours),
            Err(ReadError::NotFound) => {}
            Err(error) => return Err(Closed::from(error).into()),
        }
    }
    Ok(false)
}

/// Since when calls tell the present account; `None`: all of them do.
pub fn since(conn: &Conn) -> anyhow::Result<Option<Instant>> {
    Ok(meta::get(conn, ORG_SINCE)?.and_then(|at| parse_instant(&at)))
}

/// Whether a person accepted another account since the file was armed last: what the earlier one
/// knows cannot be asked for any more.
pub fn is_newer_than_the_arming(conn: &Conn) -> anyhow::Result<bool> {
    let armed_at = meta::armed_at(conn)?;
    Ok(since(conn)?.is_some_and(|since| armed_at < since))
}

/// The account whose records these are. Another one than ours answers nothing about our calls,
/// and makes what was read before worthless.
pub fn known(cx: &Context, answer: &Answer, now: Instant) -> anyhow::Result<Option<String>> {
    let ours = cx.store.read(meta::org_id)?;
    let is_other = |call: &ProviderCall| call.org_id.is_some() && call.org_id != ours;
    let theirs = shown(&answer.listing).map(str::to_string);
    let accepted = answer.asking == Asking::Start { accepted: true };
    let is_another = ours.is_some() && answer.listing.calls.iter().any(is_other);
    if !is_another && answer.account_shown {
        return Ok(ours);
    }
    cx.store.write(doubts::forget_absences)?;
    if !accepted {
        return Err(if is_another { Closed::OtherOrg } else { Closed::AccountUnshown }.into());
    }
    // The person's word counts for the calls from now on. Where nothing tells the account, the
    // next accepted call does.
    cx.store.write(|tx| {
        match &theirs {
            Some(org_id) => meta::set_org_id(tx, org_id)?,
            None => meta::forget_org_id(tx)?,
        }
        meta::set(tx, ORG_SINCE, &instant_text(now))
    })?;
    Ok(theirs)
}
