//! Decides whether a doubt that a listing does not show was never placed. A missing call alone
//! proves nothing: every control must pass, and one failure invalidates the earlier readings.

use std::collections::HashSet;

use chrono::Duration;

use crate::clock::Reading;
use crate::config::settings::DoubtPolicy;
use crate::domain::Instant;
use crate::domain::absence_proof::{Absence, Controls, absence_is_proven};
use crate::domain::call::AttemptState;
use crate::provider::{Listing, ProviderCall};
use crate::steps::reconcile::listing::{ListAnswer, MARGIN};
use crate::steps::reconcile::{account, call_tags, listed_call};
use crate::steps::{Context, settle};
use crate::store::Tx;
use crate::store::attempts::unresolved::{self, KnownCalls};
use crate::store::attempts::{self, Attempt};
use crate::store::journal::By;
use crate::store::transaction::Moved;

const WHO: &str = "reconcile";
const PROVEN_ABSENT: &str = "proven absent from the provider's records, waits for a person: \
                             `ringonce attempts resolve`";
const TAG_MISMATCH: &str = "in the provider's list with another attempt's id or another \
                                   number, waits for a person: look there, then `ringonce attempts \
                                   resolve`";

/// Counts a listing in which a doubt is absent, and returns whether that settled it. A listing that
/// fails a control invalidates the earlier ones too.
pub fn judge(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    controls: &Controls,
    reading: &Reading,
) -> anyhow::Result<bool> {
    if attempt.phone_number_id.is_none() {
        // A doubt from an older scheduler has no tag of ours, so its absence proves nothing.
        return Ok(false);
    }
    if reading.now < attempt.updated_at || !controls.covers_the_doubt {
        // The listing does not cover the doubt's time, so it proves nothing.
        return Ok(false);
    }
    if let Some(missing) = controls.missing() {
        log::info!("attempt {} stays in doubt: {missing}", attempt.id);
        if attempt.clean_reads > 0 {
            unresolved::note_absence(tx, &attempt.id, None, 0)?;
        }
        if !controls.tag_not_shown {
            report_to_a_person(tx, attempt, TAG_MISMATCH)?;
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
    unresolved::note_absence(tx, &attempt.id, note, clean_reads)?;
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
        report_to_a_person(tx, attempt, PROVEN_ABSENT)?;
        return Ok(false);
    }
    let why = "the provider's records do not hold it, and every check confirmed that";
    if attempts::refuse(tx, attempt, AttemptState::InDoubt, why, By { who: WHO, now: reading.now })?
        == Moved::No
    {
        return Ok(false);
    }
    settle::absent_item(tx, attempt, why, By { who: WHO, now: reading.now })?;
    Ok(true)
}

fn report_to_a_person(tx: &Tx<'_>, attempt: &Attempt, sentence: &str) -> anyhow::Result<()> {
    if unresolved::tell(tx, &attempt.id, sentence)? == Moved::Yes {
        log::warn!("attempt {} is {sentence}", attempt.id);
    }
    Ok(())
}

/// Facts about a listing that all doubts share.
pub struct ListEvidence<'a> {
    /// Every call belongs to the account that answered, and the list has a call.
    is_one_account: bool,
    /// Since when this file uses the present account; `None`: since its first call.
    account_since: Option<Instant>,
    /// When the latest known call in the listing was dialed; `None`: it has no known call.
    latest_known: Option<Instant>,
    /// The ids of attempts whose tags are in the listing.
    tagged: HashSet<&'a str>,
    /// Unknown calls without a tag of ours.
    strangers: Vec<&'a ProviderCall>,
}

/// Gathers a listing's facts, once for all doubts.
pub fn seen<'a>(
    tx: &Tx<'_>,
    known: &KnownCalls,
    listing: &'a Listing,
    org_id: Option<&str>,
) -> anyhow::Result<ListEvidence<'a>> {
    let mut seen = ListEvidence {
        is_one_account: org_id.is_some() && !listing.calls.is_empty(),
        account_since: account::since(tx)?,
        latest_known: None,
        tagged: listing.calls.iter().flat_map(call_tags::attempts_named).collect(),
        strangers: Vec::new(),
    };
    for call in &listing.calls {
        seen.is_one_account &= call.org_id.as_deref() == org_id;
        match known.of(tx, &call.id)? {
            Some(call) => seen.latest_known = seen.latest_known.max(Some(call.begun)),
            None if call_tags::attempts_named(call).next().is_none() => seen.strangers.push(call),
            None => {}
        }
    }
    Ok(seen)
}

/// The controls of one listing for one doubt.
pub fn controls(
    cx: &Context,
    attempt: &Attempt,
    answer: &ListAnswer,
    seen: &ListEvidence<'_>,
) -> Controls {
    let looked_for_from = attempt.created_at - MARGIN;
    // A call that lost its tags may be the doubt's call.
    let may_be_it = |call: &&ProviderCall| {
        call.created_at.is_none_or(|at| looked_for_from <= at)
            && listed_call::may_have_rung(cx, call, attempt)
    };
    Controls {
        complete: answer.listing.unreadable.is_empty() && !answer.listing.is_resumed,
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

/// Judges each doubt by the listing, and returns how many were settled.
pub(super) fn count(
    cx: &Context,
    tx: &Tx<'_>,
    answer: &ListAnswer,
    seen: &ListEvidence<'_>,
    in_doubt: &[Attempt],
    reading: &Reading,
) -> anyhow::Result<usize> {
    let mut settled = 0;
    for attempt in in_doubt {
        let controls = controls(cx, attempt, answer, seen);
        settled += usize::from(judge(cx, tx, attempt, &controls, reading)?);
    }
    Ok(settled)
}
