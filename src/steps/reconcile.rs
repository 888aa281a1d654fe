//! reconcile: asks the provider's records about doubt and gaps. Finding settles at once; absence
//! settles only under every control, and only if the policy says so. Time alone settles nothing.

use std::collections::HashSet;

use chrono::Duration;

use crate::clock::Reading;
use crate::config::DoubtPolicy;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::domain::recovery::{Absence, Controls, absence_is_proven};
use crate::provider::{Listing, Provider, ReadError};
use crate::steps::{Context, adopt, settle};
use crate::store::Tx;
use crate::store::attempts::{self, Attempt};
use crate::store::meta::{self, Mark};
use crate::store::queue::Moved;

const WHO: &str = "reconcile";
/// How far before an intent its call is looked for: the provider's clock is not ours.
pub const MARGIN: Duration = Duration::minutes(15);

/// What a reconciling came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    /// Calls that the file did not know.
    pub adopted: usize,
    /// Doubts that were found placed.
    pub found: usize,
    /// Doubts that were proven absent and may be tried again.
    pub absent: usize,
    /// Attempts that a dead process left in `dialing`.
    pub left_dialing: usize,
    /// The provider's clock, when it was heard.
    pub date: Option<Instant>,
    /// An unknown call of ours that began while this process was dialing: somebody else dials
    /// with a copy of this file.
    pub foreign: Option<String>,
}

/// Why the provider's records do not open the gate.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    #[error("dialing waits: {0}")]
    Unreadable(#[from] ReadError),
    #[error(
        "the key belongs to another account than the calls of this file; set the right \
         VAPI_API_KEY"
    )]
    OtherOrg,
    #[error(
        "the provider's records reach back {days} days, and this file was last reconciled at \
         {last_good}; calls may be missing that nobody can look up; accept that with \
         `ringonce adopt --reason WHY`"
    )]
    BeyondRetention { days: i64, last_good: String },
}

/// The arming gate: before the first dial of every start. Doubts of a dead process, unknown
/// calls, and a file that is behind the world are settled here.
///
/// `accept_gap`: a person accepted that the provider's records do not reach back far enough.
pub fn at_start(
    cx: &Context,
    provider: &dyn Provider,
    reading: &Reading,
    accept_gap: bool,
) -> anyhow::Result<Reconciled> {
    let now = reading.now;
    let mut done = Reconciled { left_dialing: doubt_leftovers(cx, now)?, ..Reconciled::default() };
    let (since, ours) = cx.store.read(|conn| {
        let last_good = meta::mark(conn, Mark::LastReconciled)?;
        let created = meta::mark(conn, Mark::Created)?;
        Ok(((last_good, created.unwrap_or(now)), meta::highest_seq(conn)?))
    })?;
    let oldest = now - Duration::days(cx.config.reconcile.retention_days);
    let (last_good, created) = since;
    if let Some(last_good) = last_good
        && last_good < oldest
        && !accept_gap
    {
        let days = cx.config.reconcile.retention_days;
        let last_good = crate::domain::instant_text(last_good);
        return Err(Closed::BeyondRetention { days, last_good }.into());
    }
    let from = last_good.unwrap_or(created.min(now)).min(now) - MARGIN;
    let mut listing = provider.list(from.max(oldest)).map_err(Closed::from)?;
    let behind = listing.calls.iter().any(|call| {
        call.installation_id.as_deref() == Some(&cx.installation.id)
            && call.seq.is_some_and(|seq| ours < seq)
    });
    if behind && oldest < from {
        log::warn!("the provider knows later calls than this file: reading back to {oldest}");
        listing = provider.list(oldest).map_err(Closed::from)?;
    }
    take_in(cx, &listing, reading, None, &mut done)?;
    done.date = listing.date;
    Ok(done)
}

/// Asks about open doubts and takes in whatever else the records tell. `dialing_since` is when
/// this process began to dial: a call of ours from later that it does not know is foreign.
pub fn reconcile(
    cx: &Context,
    provider: &dyn Provider,
    reading: &Reading,
    dialing_since: Option<Instant>,
) -> anyhow::Result<Reconciled> {
    let now = reading.now;
    let oldest = now - Duration::days(cx.config.reconcile.retention_days);
    let from = cx.store.read(|conn| {
        let doubts = attempts::in_state(conn, AttemptState::InDoubt)?;
        let nameless = attempts::in_state(conn, AttemptState::Placed)?;
        let nameless = nameless.iter().filter(|attempt| attempt.vapi_call_id.is_none());
        let first = doubts.iter().chain(nameless).map(|attempt| attempt.created_at).min();
        let last_good = meta::mark(conn, Mark::LastReconciled)?;
        Ok(first.into_iter().chain(last_good).min().unwrap_or(now) - MARGIN)
    })?;
    let listing = provider.list(from.max(oldest)).map_err(Closed::from)?;
    let mut done = Reconciled { date: listing.date, ..Reconciled::default() };
    take_in(cx, &listing, reading, dialing_since, &mut done)?;
    Ok(done)
}

/// Attempts that a dead process left in `dialing` are in doubt. Only called while nobody dials.
fn doubt_leftovers(cx: &Context, now: Instant) -> anyhow::Result<usize> {
    cx.store.write(|tx| {
        let left = attempts::in_state(tx, AttemptState::Dialing)?;
        for attempt in &left {
            let why = "the process that dialed ended before the reply was written";
            if attempts::doubt(tx, attempt, why, WHO, now)? == Moved::Yes {
                settle::item_in_doubt(cx, tx, attempt, WHO, now)?;
            }
        }
        Ok(left.len())
    })
}

/// One complete listing: adopts, settles what was found, counts what was absent.
fn take_in(
    cx: &Context,
    listing: &Listing,
    reading: &Reading,
    dialing_since: Option<Instant>,
    done: &mut Reconciled,
) -> anyhow::Result<()> {
    let org_id = cx.store.read(meta::org_id)?;
    let other = |call_org: &Option<String>| call_org.is_some() && *call_org != org_id;
    if org_id.is_some() && listing.calls.iter().any(|call| other(&call.org_id)) {
        return Err(Closed::OtherOrg.into());
    }
    cx.store.write(|tx| {
        for call in &listing.calls {
            let taken = adopt::take_in(cx, tx, call, dialing_since, reading.now)?;
            match taken {
                adopt::Taken::Adopted => done.adopted += 1,
                adopt::Taken::Settled => done.found += 1,
                adopt::Taken::Foreign(what) => done.foreign = Some(what),
                adopt::Taken::Nothing => {}
            }
        }
        for attempt in attempts::in_state(tx, AttemptState::InDoubt)? {
            if judge_absence(cx, tx, &attempt, listing, org_id.as_deref(), reading)? {
                done.absent += 1;
            }
        }
        if listing.unreadable == 0 {
            meta::set_mark(tx, Mark::LastReconciled, reading.now)?;
        }
        Ok(())
    })
}

/// Counts a listing in which a doubt is absent, and says whether that settled it.
fn judge_absence(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    listing: &Listing,
    org_id: Option<&str>,
    reading: &Reading,
) -> anyhow::Result<bool> {
    // Taken over from an older scheduler: its call carries no tag of ours, and absence no proof.
    if attempt.phone_number_id.is_none() {
        return Ok(false);
    }
    if controls(tx, attempt, listing, org_id)?.missing().is_some() {
        return Ok(false);
    }
    let same_boot = attempt.absent_boot_id.as_deref() == Some(&reading.boot_id);
    let (since, since_ms, earlier_reads) =
        match (attempt.absent_since, attempt.absent_since_monotonic_ms) {
            (Some(since), Some(ms)) if same_boot => (since, ms, attempt.clean_reads),
            _ => (reading.now, reading.monotonic_ms, 0),
        };
    let clean_reads = earlier_reads + 1;
    attempts::note_absence(
        tx,
        &attempt.id,
        Some((since, since_ms, &reading.boot_id)),
        clean_reads,
    )?;
    let absence = Absence {
        clean_reads,
        first_read_at: since,
        now: reading.now,
        monotonic_elapsed: Duration::milliseconds(reading.monotonic_ms - since_ms),
    };
    let settle = Duration::minutes(cx.config.reconcile.settle_minutes);
    if !absence_is_proven(&absence, settle) || cx.config.reconcile.in_doubt == DoubtPolicy::Hold {
        return Ok(false);
    }
    let why = "the provider's records do not hold it, under every control";
    if attempts::refuse(tx, attempt, AttemptState::InDoubt, why, WHO, reading.now)? == Moved::No {
        return Ok(false);
    }
    settle::absent_item(tx, attempt, why, WHO, reading.now)?;
    Ok(true)
}

/// The controls of one listing for one doubt.
fn controls(
    tx: &Tx<'_>,
    attempt: &Attempt,
    listing: &Listing,
    org_id: Option<&str>,
) -> anyhow::Result<Controls> {
    let same_org = org_id.is_some()
        && listing.calls.iter().all(|call| call.org_id.as_deref() == org_id)
        && !listing.calls.is_empty();
    let listed: HashSet<&str> = listing.calls.iter().map(|call| call.id.as_str()).collect();
    let mut known = false;
    let mut later = false;
    for id in listed {
        let Some(other) = attempts::by_call_id(tx, id)? else { continue };
        known = true;
        later |= attempt.created_at < other.created_at;
    }
    Ok(Controls {
        complete: listing.unreadable == 0,
        same_org,
        known_call_visible: known,
        later_call_visible: later,
    })
}
