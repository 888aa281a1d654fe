//! absence: whether a doubt that a listing does not show was never placed. Refuses to take silence
//! for an answer: every control counts, and one failure makes the readings before it worthless.

use std::collections::HashSet;

use chrono::Duration;

use crate::clock::Reading;
use crate::config::DoubtPolicy;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::domain::recovery::{Absence, Controls, absence_is_proven};
use crate::provider::{Listing, ProviderCall};
use crate::steps::reconcile::{Answer, MARGIN};
use crate::steps::{Context, account, adopt, settle};
use crate::store::attempts::{self, Attempt};
use crate::store::doubts::KnownCalls;
use crate::store::queue::Moved;
use crate::store::{Tx, doubts};

const WHO: &str = "reconcile";
const PROVEN_ABSENT: &str = "proven absent from the provider's records, waits for a person: \
                             `ringonce attempts resolve`";
const SHOWN_AND_NOT_TAKEN: &str = "in the provider's list with another attempt's id or another \
                                   number, waits for a person: look there, then `ringonce attempts \
                                   resolve`";

/// Counts a listing in which a doubt is absent, and says whether that settled it. A listing that
/// fails a control makes the earlier ones worthless too.
pub fn judge(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    controls: &Controls,
    reading: &Reading,
) -> anyhow::Result<bool> {
    if attempt.phone_number_id.is_none() {
        // A doubt from an older scheduler carries no tag of ours, so its absence is no proof.
        return Ok(false);
    }
    if reading.now < attempt.updated_at || !controls.covers_the_doubt {
        // The listing ends before the doubt, or begins after it: it says nothing about it.
        return Ok(false);
    }
    if let Some(missing) = controls.missing() {
        log::info!("attempt {} stays in doubt: {missing}", attempt.id);
        if 0 < attempt.clean_reads {
            doubts::note_absence(tx, &attempt.id, None, 0)?;
        }
        if !controls.tag_not_shown {
            tell_a_person(tx, attempt, SHOWN_AND_NOT_TAKEN)?;
        }
        return Ok(false);
    }
    let same_boot = attempt.absent_boot_id.as_deref() == Some(&reading.boot_id);
    let (since, since_ms, earlier_reads) =
        match (attempt.absent_since, attempt.absent_since_monotonic_ms) {
            (Some(since), Some(ms)) if same_boot => (since, ms, attempt.clean_reads),
            _ => (reading.now, reading.monotonic_ms, 0),
        };
    let clean_reads = earlier_reads + 1;
    let note = Some((since, since_ms, reading.boot_id.as_str()));
    doubts::note_absence(tx, &attempt.id, note, clean_reads)?;
    let absence = Absence {
        clean_reads,
        first_read_at: since,
        now: reading.now,
        monotonic_elapsed: Duration::milliseconds(reading.monotonic_ms - since_ms),
    };
    let settle = Duration::minutes(cx.config.reconcile.settle_minutes);
    if !absence_is_proven(&absence, settle) {
        return Ok(false);
    }
    if cx.config.reconcile.in_doubt == DoubtPolicy::Hold {
        tell_a_person(tx, attempt, PROVEN_ABSENT)?;
        return Ok(false);
    }
    let why = "the provider's records do not hold it, under every control";
    if attempts::refuse(tx, attempt, AttemptState::InDoubt, why, WHO, reading.now)? == Moved::No {
        return Ok(false);
    }
    settle::absent_item(tx, attempt, why, WHO, reading.now)?;
    Ok(true)
}

fn tell_a_person(tx: &Tx<'_>, attempt: &Attempt, sentence: &str) -> anyhow::Result<()> {
    if doubts::tell(tx, &attempt.id, sentence)? == Moved::Yes {
        log::warn!("attempt {} is {sentence}", attempt.id);
    }
    Ok(())
}

/// What a listing shows beside the calls that are looked for.
pub struct Seen<'a> {
    /// Every call is of the account that answered, and there is one.
    is_one_account: bool,
    /// Since when the present account is the one of this file; `None`: since its first call.
    account_since: Option<Instant>,
    /// When the latest of the calls that this file knows was dialed; `None`: it knows none.
    latest_known: Option<Instant>,
    /// The attempts whose tags the listing shows, by their ids.
    tagged: HashSet<&'a str>,
    /// Calls that nobody can assign: they carry no tag of ours.
    strangers: Vec<&'a ProviderCall>,
}

/// Looks a listing through, once for all doubts.
pub fn seen<'a>(
    tx: &Tx<'_>,
    known: &KnownCalls,
    listing: &'a Listing,
    org_id: Option<&str>,
) -> anyhow::Result<Seen<'a>> {
    let mut seen = Seen {
        is_one_account: org_id.is_some() && !listing.calls.is_empty(),
        account_since: account::since(tx)?,
        latest_known: None,
        tagged: listing.calls.iter().flat_map(adopt::attempts_named).collect(),
        strangers: Vec::new(),
    };
    for call in &listing.calls {
        seen.is_one_account &= call.org_id.as_deref() == org_id;
        match known.of(tx, &call.id)? {
            Some((_, begun)) => seen.latest_known = seen.latest_known.max(Some(begun)),
            None if adopt::attempts_named(call).next().is_none() => seen.strangers.push(call),
            None => {}
        }
    }
    Ok(seen)
}

/// The controls of one listing for one doubt.
pub fn controls(cx: &Context, attempt: &Attempt, answer: &Answer, seen: &Seen<'_>) -> Controls {
    let looked_for_from = attempt.created_at - MARGIN;
    // A call that lost its tags may be the one that is looked for.
    let may_be_it = |call: &&ProviderCall| {
        call.created_at.is_none_or(|at| looked_for_from <= at)
            && adopt::may_have_rung(cx, call, attempt)
    };
    Controls {
        complete: answer.listing.unreadable.is_empty(),
        covers_the_doubt: answer.from <= looked_for_from && answer.oldest <= looked_for_from,
        same_org: seen.is_one_account
            && seen.account_since.is_none_or(|since| since < attempt.created_at),
        tag_not_shown: !seen.tagged.contains(attempt.id.as_str()),
        no_stranger: !seen.strangers.iter().any(may_be_it),
        known_call_visible: seen.latest_known.is_some(),
        later_call_visible: seen
            .latest_known
            .is_some_and(|at| attempt.created_at < at && attempt.updated_at <= at),
    }
}
