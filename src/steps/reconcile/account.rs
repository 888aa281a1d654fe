//! Checks whether the records belong to the account of our calls. Another account's list does not
//! contain our calls, and an old file would conclude that none were made. So a file that has made
//! calls requires the provider to show one of them.

use crate::domain::start::{Account, Shut, VISIBLE_AFTER};
use crate::domain::{Instant, instant_text, parse_instant};
use crate::provider::{Listing, Provider, ProviderCall, ReadError};
use crate::steps::Context;
use crate::steps::reconcile::listing::ListAnswer;
use crate::store::Conn;
use crate::store::attempts::unresolved;
use crate::store::meta::{self, installation, organization};

/// The key of when this file's present account began; set when a person changes the account.
const ORG_SINCE: &str = "org_since";
/// How many of our last calls are looked up, because a person may have deleted one there.
const ASK_FOR: usize = 3;

/// The account in a listing, from its newest call that names one.
pub fn shown(listing: &Listing) -> Option<&str> {
    listing.calls.iter().rev().find_map(|call| call.org_id.as_deref())
}

/// Whether the provider shows a call of ours, in the list or by its id. True if this file has no
/// call that the records must contain.
pub fn is_shown(
    cx: &Context,
    provider: &dyn Provider,
    listing: &Listing,
    oldest: Instant,
    now: Instant,
) -> anyhow::Result<bool> {
    let (ours, ids) = cx.store.read(|conn| {
        let from = since(conn)?.map_or(oldest, |since| since.max(oldest));
        Ok((
            organization::org_id(conn)?,
            unresolved::last_call_ids(conn, from, now - VISIBLE_AFTER, ASK_FOR)?,
        ))
    })?;
    // If listed calls name their account, [`of`] checks it.
    if ours.is_none() || ids.is_empty() || listing.calls.iter().any(|call| call.org_id.is_some()) {
        return Ok(true);
    }
    for id in ids {
        match provider.get(&id) {
            Ok(fetched) => return Ok(fetched.call.org_id.is_none() || fetched.call.org_id == ours),
            Err(ReadError::NotFound) => {}
            Err(error) => return Err(Shut::Unreadable(error.to_string()).into()),
        }
    }
    Ok(false)
}

/// Since when calls belong to the present account; `None`: all of them do.
pub fn since(conn: &Conn) -> anyhow::Result<Option<Instant>> {
    Ok(meta::get(conn, ORG_SINCE)?.and_then(|at| parse_instant(&at)))
}

/// Whether a person accepted another account since the file was last armed. The records of the
/// earlier account can no longer be read.
pub fn is_newer_than_the_arming(conn: &Conn) -> anyhow::Result<bool> {
    let armed_at = installation::armed_at(conn)?;
    Ok(since(conn)?.is_some_and(|since| armed_at < since))
}

/// Whose records a listing shows.
pub fn of(cx: &Context, answer: &ListAnswer) -> anyhow::Result<Account> {
    let ours = cx.store.read(organization::org_id)?;
    let is_other = |call: &ProviderCall| call.org_id.is_some() && call.org_id != ours;
    Ok(match ours.is_some() && answer.listing.calls.iter().any(is_other) {
        true => Account::Another,
        false if answer.account_shown => Account::Ours,
        false => Account::Unshown,
    })
}

/// Forgets earlier readings, because another account's list proves nothing about our calls.
pub fn forget_readings(cx: &Context) -> anyhow::Result<()> {
    cx.store.write(unresolved::forget_absences)
}

/// The organization id of the account from which a list is loaded. A person accepted an account
/// other than ours, for the calls from now on. If the list shows no organization id, the next
/// accepted call sets it.
pub fn settle(
    cx: &Context,
    answer: &ListAnswer,
    account: Account,
    now: Instant,
) -> anyhow::Result<Option<String>> {
    if account == Account::Ours {
        return cx.store.read(organization::org_id);
    }
    let theirs = shown(&answer.listing).map(str::to_string);
    cx.store.write(|tx| {
        match &theirs {
            Some(org_id) => organization::set_org_id(tx, org_id)?,
            None => organization::forget_org_id(tx)?,
        }
        meta::set(tx, ORG_SINCE, &instant_text(now))
    })?;
    Ok(theirs)
}
