//! Notes placed calls that complete listings lack. A provider that accepted a call and never lists
//! it may not have made it. Only a person can find out, so `status` and `audit` report it.

use std::collections::HashSet;

use chrono::Duration;

use crate::domain::Instant;
use crate::provider::Listing;
use crate::steps::reconcile::listing::ListAnswer;
use crate::steps::reconcile::{account, call_tags};
use crate::store::attempts::unlisted::{self as unlisted_calls, Unlisted};
use crate::store::{Conn, Tx};

/// A younger call may not be in the list yet. Shorter than the interval of listings plus the time
/// that they overlap, so that each call is judged once at least.
const NOTED_AFTER: Duration = Duration::minutes(10);
/// The provider's clock may differ by this much, so its record may begin before ours.
const CLOCKS_DIFFER: Duration = Duration::minutes(1);
/// A call this old must be in the list: until then it is not reported.
const REPORTED_AFTER_MINUTES: i64 = 120;
/// How long a missing call is reported. The records of the provider end before.
const REPORTED_FOR: Duration = Duration::days(31);

/// Compares a complete listing of our account with the placed calls.
pub fn note(
    tx: &Tx<'_>,
    answer: &ListAnswer,
    org_id: Option<&str>,
    now: Instant,
) -> anyhow::Result<()> {
    let listing = &answer.listing;
    let is_ours = org_id.is_some() && account::shown(listing) == org_id;
    let (ids, tagged) = shown(listing);
    for attempt_id in unlisted_calls::noted(tx)? {
        if tagged.contains(attempt_id.as_str()) {
            unlisted_calls::forget(tx, &attempt_id)?;
        }
    }
    if !is_ours || !listing.unreadable.is_empty() || listing.is_resumed {
        return Ok(());
    }
    let from = account::since(tx)?.map_or(answer.from, |since| since.max(answer.from));
    for made in unlisted_calls::expected(tx, from + CLOCKS_DIFFER, now - NOTED_AFTER)? {
        let is_listed = tagged.contains(made.attempt_id.as_str())
            || made.vapi_call_id.as_deref().is_some_and(|id| ids.contains(id));
        if is_listed {
            unlisted_calls::forget(tx, &made.attempt_id)?;
        } else {
            unlisted_calls::note(tx, &made.attempt_id, now)?;
        }
    }
    Ok(())
}

/// The ids of the listed calls, and of the attempts whose tags they carry.
fn shown(listing: &Listing) -> (HashSet<&str>, HashSet<&str>) {
    let ids = listing.calls.iter().map(|call| call.id.as_str()).collect();
    (ids, listing.calls.iter().flat_map(call_tags::attempts_named).collect())
}

/// The calls that a person should look for at the provider.
pub fn reported(conn: &Conn, now: Instant) -> anyhow::Result<Option<Unlisted>> {
    unlisted_calls::unlisted(conn, now - REPORTED_FOR, REPORTED_AFTER_MINUTES)
}

/// The report in words.
pub fn words(unlisted: &Unlisted) -> String {
    let Unlisted { calls, since } = unlisted;
    let (calls, are) = match calls {
        1 => ("1 placed call is".to_string(), "it was"),
        many => (format!("{many} placed calls are"), "the oldest was"),
    };
    format!(
        "{calls} missing from the provider's complete list, {are} sent at {}; the phone may never \
         have rung: `ringonce audit` names the customers",
        crate::domain::instant_words(since)
    )
}
