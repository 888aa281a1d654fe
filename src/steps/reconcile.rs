//! Asks the provider's records about doubts and gaps. A call that is found settles its doubt at
//! once. Absence settles a doubt only under every control, and only if the policy allows it. Time
//! alone settles nothing.
//!
//! Two steps, so that the clocks can be compared between them: [`ask`] reads, [`load`] writes.

pub mod absence;
pub mod account;
pub mod call_tags;
pub mod how_far_back;
mod kept_list;
pub mod listed_call;
pub mod listing;
pub mod made_elsewhere;
pub mod odd_ledger_row;
pub mod older_database;
pub mod other_dialer;
pub mod unknown_calls;
pub mod unlisted;
pub mod unreadable_rows;
pub mod whose_call;

use std::collections::BTreeSet;

use chrono::Duration;

use crate::clock::Reading;
use crate::domain::call::AttemptState;
use crate::domain::hold::HoldKind;
use crate::domain::start::{
    self, Acceptance, Account, Asking, Clocks, Evidence, Gap, Loaded, Records, Shut,
};
use crate::domain::{Instant, instant_text};
use crate::provider::{Provider, ProviderCall, ReadError};
use crate::steps::operate::erase;
use crate::steps::readiness::{restart, unwritten};
use crate::steps::reconcile::how_far_back::reach;
use crate::steps::reconcile::listed_call::LoadedCall;
use crate::steps::reconcile::listing::{ListAnswer, MARGIN};
use crate::steps::reconcile::odd_ledger_row::Treatment;
use crate::steps::{Context, settle};
use crate::store::attempts;
use crate::store::attempts::unresolved::{self, KnownCalls};
use crate::store::journal::By;
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::{self, holds};
use crate::store::transaction::Moved;
use crate::store::{self, Tx};

const WHO: &str = "reconcile";
/// The result of one reconciling.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    /// Calls that the file did not know.
    pub adopted: usize,
    /// Doubts that were found placed.
    pub found: usize,
    /// Doubts that were proven absent and may be retried.
    pub absent: usize,
    /// Calls made elsewhere that block a customer.
    pub elsewhere: usize,
    /// Attempts that a dead process left in `dialing`.
    pub left_dialing: usize,
    /// The time span in which calls of ours may exist that can no longer be looked up.
    pub unknowable: Option<(Instant, Instant)>,
    /// Another dialer uses a copy of this file, so dialing is held.
    pub foreign: Option<String>,
}

/// Reads the provider's records, back to the last known good moment and the oldest doubt. At a
/// start, attempts of a dead process become doubts first. Nothing else is written.
pub fn ask(
    cx: &Context,
    provider: &dyn Provider,
    reading: &Reading,
    asking: Asking,
) -> anyhow::Result<ListAnswer> {
    let now = reading.now;
    let is_start = asking.is_start();
    let left_dialing = if is_start { doubt_leftovers(cx, now)? } else { 0 };
    let oldest = now - Duration::days(cx.config.reconcile.retention_days);
    let reach = reach(cx, asking, oldest, now)?;
    let mut reads_back = reach.reads_back;
    let mut from = if is_start && !reach.read_whole { oldest } else { reach.back_to(reach.first) };
    let list = |from| match is_start {
        true => kept_list::list(&cx.store, provider, from),
        false => provider.list(from),
    };
    let mut listed = list(from);
    if let (Err(ReadError::Unavailable(why)), Some(_)) = (&listed, reach.last_good) {
        // A doubt of several days makes a long list. Attempts in doubt are not dialed, so the newer
        // part is enough for the calls that may be dialed.
        let needed = reach.back_to(cx.store.read(unresolved::oldest_that_may_ring_again)?);
        if from < needed {
            log::warn!("{why}: older doubts are checked later");
            (from, reads_back) = (needed, false);
            listed = provider.list(from);
        }
    }
    let mut listing = listed.map_err(unreadable)?;
    let behind = listing.calls.iter().any(|call| is_beyond(cx, call, reach.highest_seq));
    if is_start && behind && oldest < from {
        log::warn!(
            "the provider knows later calls than this file: reading back to {}",
            instant_text(oldest)
        );
        from = oldest;
        listing = list(from).map_err(unreadable)?;
    }
    let unread = cx.store.read(|conn| unreadable_rows::of(conn, &listing))?;
    let shows_later = listing.calls.iter().any(|call| is_beyond(cx, call, reach.highest_seq));
    let account_shown = !is_start || account::is_shown(cx, provider, &listing, oldest, now)?;
    Ok(ListAnswer {
        listing,
        asking,
        from,
        oldest,
        last_good: reach.last_good,
        reads_back,
        created: reach.created,
        highest_seq: reach.highest_seq,
        shows_later,
        left_dialing,
        unread,
        account_shown,
    })
}

fn unreadable(error: ReadError) -> Shut {
    Shut::Unreadable(error.to_string())
}

/// Makes the next reading go back to the oldest doubt, at a person's request.
pub fn read_back(cx: &Context) -> anyhow::Result<()> {
    cx.store.write(|tx| meta::remove(tx, how_far_back::READ_BACK_AT).map(drop))
}

/// Whether a call of ours has a higher number than this file ever assigned.
fn is_beyond(cx: &Context, call: &ProviderCall, highest_seq: i64) -> bool {
    call.installation_id.as_deref() == Some(&cx.installation.id)
        && call_tags::number_of(call).is_some_and(|seq| highest_seq < seq)
}

/// Puts attempts in doubt that a dead process left in `dialing`. Called only while nothing dials.
fn doubt_leftovers(cx: &Context, now: Instant) -> anyhow::Result<usize> {
    if cx.store.read(|conn| attempts::in_state(conn, AttemptState::Dialing))?.is_empty() {
        return Ok(0);
    }
    let left = cx.store.write(|tx| {
        let left = attempts::in_state(tx, AttemptState::Dialing)?;
        for attempt in &left {
            let why = "the process that dialed ended before the reply was written";
            if attempts::doubt(tx, attempt, why, By { who: WHO, now })? == Moved::Yes {
                settle::item_in_doubt(cx, tx, attempt, By { who: WHO, now })?;
            }
        }
        Ok(left)
    })?;
    left.iter().for_each(|attempt| settle::log_outcome(attempt, AttemptState::InDoubt));
    Ok(left.len())
}

/// The facts in the list and in the files beside the database, before the list is loaded.
pub fn evidence(
    cx: &Context,
    answer: &ListAnswer,
    clocks: Clocks,
    now: Instant,
) -> anyhow::Result<Evidence> {
    let retention_days = cx.config.reconcile.retention_days;
    let oldest = answer.oldest;
    // Only a start is judged by missing numbers, and only by a trusted clock.
    let missed = if answer.asking.is_start() && clocks == Clocks::Agree {
        cx.store.read(|conn| older_database::missed(cx, conn))?
    } else {
        None
    };
    let unknown = if missed.is_some() { older_database::unknown_calls(cx, answer)? } else { 0 };
    let records = Records {
        account: account::of(cx, answer)?,
        gap: gap_beyond(answer).map(|last_good| Gap { last_good, oldest, retention_days }),
        missed,
        unknown,
        unreadable_rows: answer.unread.len(),
        loaded: None,
    };
    Ok(Evidence { now, asking: answer.asking, clocks, records: Ok(records) })
}

/// Loads one complete listing by a trusted clock: adds unknown calls, settles the doubts that it
/// shows, and counts the absent ones. The error is a [`start::Shut`], or one of the database.
pub fn load(cx: &Context, answer: &ListAnswer, reading: &Reading) -> anyhow::Result<Reconciled> {
    let evidence = evidence(cx, answer, Clocks::Agree, reading.now)?;
    load_as_judged(cx, answer, &evidence, reading)
}

fn load_as_judged(
    cx: &Context,
    answer: &ListAnswer,
    evidence: &Evidence,
    reading: &Reading,
) -> anyhow::Result<Reconciled> {
    let account = evidence.records.as_ref().map_or(Account::Ours, |records| records.account);
    let shut = start::may_dial(evidence).err();
    let is_of_the_account = matches!(shut, None | Some(Shut::OtherAccount | Shut::AccountUnshown));
    if account != Account::Ours && is_of_the_account {
        account::forget_readings(cx)?;
    }
    if let Some(shut) = shut {
        return Err(shut.into());
    }
    let org_id = account::settle(cx, answer, account, reading.now)?;
    let gap = evidence.records.as_ref().ok().and_then(|records| records.gap);
    let unknowable = gap.map(|gap| (gap.last_good, gap.oldest));
    let done =
        Reconciled { left_dialing: answer.left_dialing, unknowable, ..Reconciled::default() };
    cx.store.write(|tx| {
        let mut done = done.clone();
        unknown_calls::refresh(cx, tx, answer.oldest)?;
        let known = KnownCalls::since(tx, answer.from - MARGIN)?;
        let all_loaded = load_calls(cx, tx, &known, answer, reading.now, &mut done)?;
        // The listing proves nothing about older doubts, of which there may be many.
        let in_doubt = unresolved::since(tx, answer.from)?;
        if !in_doubt.is_empty() {
            let seen = absence::seen(tx, &known, &answer.listing, org_id.as_deref())?;
            done.absent = absence::count(cx, tx, answer, &seen, &in_doubt, reading)?;
        }
        unlisted::note(tx, answer, org_id.as_deref(), reading.now)?;
        if all_loaded && note_reach(cx, tx, answer, reading.now)? {
            unwritten::lift_if_known(tx, reading.now)?;
        }
        if answer.reads_back {
            meta::set(tx, how_far_back::READ_BACK_AT, &instant_text(reading.now))?;
        }
        if all_loaded && answer.unread.is_empty() && answer.from <= answer.oldest {
            how_far_back::note_whole(tx, &answer.listing)?;
        }
        Ok(done)
    })
}

/// The result of loading the provider's list at a start.
#[derive(Debug)]
pub struct Started {
    /// `None`: the list was not loaded.
    pub reconciled: Option<Reconciled>,
    /// `None`: dialing is open.
    pub shut: Option<Shut>,
    /// Numbers of calls are missing, whatever `shut` names first.
    pub is_behind: bool,
    /// Marks of the rows that cannot be read and that nobody accepted before.
    pub unreadable_rows: BTreeSet<String>,
}

/// Loads the list of a start, if it was read and the clocks agree, and decides whether dialing is
/// open. `asked` is the result of [`ask`].
pub fn start(
    cx: &Context,
    asked: Result<ListAnswer, Shut>,
    accepted: Acceptance,
    clocks: Clocks,
    reading: &Reading,
) -> anyhow::Result<Started> {
    let shut = |why: Shut| Started {
        reconciled: None,
        is_behind: why.is_behind(),
        shut: Some(why),
        unreadable_rows: BTreeSet::new(),
    };
    let (answer, mut evidence) = match asked {
        Ok(answer) => {
            let evidence = evidence(cx, &answer, clocks, reading.now)?;
            (answer, evidence)
        }
        Err(why) => {
            let asking = Asking::Start(accepted);
            let evidence = Evidence { now: reading.now, asking, clocks, records: Err(why) };
            return Ok(shut(start::may_dial(&evidence).expect_err("there are no records")));
        }
    };
    let reconciled = match load_as_judged(cx, &answer, &evidence, reading) {
        Ok(reconciled) => reconciled,
        Err(error) => return Ok(shut(error.downcast::<Shut>()?)),
    };
    // Erased after the loading, so that the ledger keeps the listed calls to these customers.
    let erased = erase::again(&cx.store, reading.now)?;
    if erased > 0 {
        log::warn!("{erased} erased customers were back in the database: erased again");
    }
    let missed = cx.store.read(|conn| older_database::missed(cx, conn))?;
    let is_behind = missed.is_some_and(|missed| missed.keeps_shut(answer.asking, reading.now));
    if let Ok(records) = &mut evidence.records {
        records.loaded = Some(Loaded {
            missed,
            called_elsewhere: unknown_calls::called_elsewhere(cx)?,
            wait: restart::waits(cx, &answer, reading)?,
        });
    }
    let shut = start::may_dial(&evidence).err();
    Ok(Started { reconciled: Some(reconciled), shut, is_behind, unreadable_rows: answer.unread })
}

/// The instant up to which the records were known, if a start's list does not reach back to it. A
/// person must accept that gap. A file that was never reconciled counts from its creation, if it
/// has assigned numbers or the list shows later calls of ours.
fn gap_beyond(answer: &ListAnswer) -> Option<Instant> {
    if !answer.asking.is_start() {
        return None;
    }
    let is_old_copy = answer.highest_seq > 0 || answer.shows_later;
    let last_good = answer.last_good.or(is_old_copy.then_some(answer.created))?;
    (last_good < answer.oldest).then_some(last_good)
}

/// Loads each call in its own savepoint, in the order of our numbers. A call that cannot be written
/// stops dialing, but not the loading of other calls. Returns whether all calls were loaded,
/// including those of earlier listings.
fn load_calls(
    cx: &Context,
    tx: &Tx<'_>,
    known: &KnownCalls,
    answer: &ListAnswer,
    now: Instant,
    done: &mut Reconciled,
) -> anyhow::Result<bool> {
    let mut calls: Vec<&ProviderCall> = answer.listing.calls.iter().collect();
    calls.sort_by_key(|call| (call_tags::number_of(call).unwrap_or(i64::MAX), call.created_at));
    let listed = calls.iter().map(|call| call.id.as_str()).collect();
    let mut failed = BTreeSet::new();
    for call in calls {
        if listed_call::is_old_news(cx, tx, known, call)? {
            continue;
        }
        let loaded = store::part(tx, |tx| listed_call::load(cx, tx, call, answer.asking, now));
        match loaded {
            Ok(LoadedCall::Adopted) => done.adopted += 1,
            Ok(LoadedCall::Settled) => done.found += 1,
            Ok(LoadedCall::Foreign(what)) => done.foreign = Some(what),
            Ok(LoadedCall::Elsewhere) => done.elsewhere += 1,
            Ok(LoadedCall::Nothing) => {}
            Err(error) => {
                let treatment = odd_ledger_row::treat(tx, call, &error)?;
                if treatment == Treatment::NothingToLoad {
                    continue;
                }
                failed.insert(call.id.as_str());
                if treatment == Treatment::LoadLater {
                    continue;
                }
                let why = format!(
                    "the call {} cannot be loaded: {error:#}; repair the database; the hold lifts \
                     automatically when the call is loaded",
                    call.id
                );
                log::error!("dialing is held: {why}");
                holds::hold(tx, HoldKind::Record, &why, now)?;
            }
        }
    }
    if done.elsewhere > 0 {
        made_elsewhere::end_welcomes(cx, tx, now)?;
    }
    unwritten::note_not_loaded(tx, &listed, &failed)
}

/// Moves the mark of known records to now, if the listing reaches back to what was known. `false`:
/// the listing is incomplete, because it has unaccepted unreadable rows, or lacks the last call
/// made from here.
fn note_reach(
    cx: &Context,
    tx: &Tx<'_>,
    answer: &ListAnswer,
    now: Instant,
) -> anyhow::Result<bool> {
    if !answer.unread.is_empty() {
        return Ok(false);
    }
    // The next list must include a call that this list does not show yet.
    let missed = older_database::missed(cx, tx)?;
    if missed.is_some_and(|missed| missed.keeps_shut(answer.asking, now)) {
        return Ok(false);
    }
    let known_until = answer.last_good.unwrap_or(answer.created);
    if now < known_until || answer.asking.accepts_adoption() {
        marks::reset_mark(tx, Mark::LastReconciled, now)?;
        return Ok(true);
    }
    // A file that never dialed cannot miss a call: see `gap_beyond`.
    if answer.from <= known_until || answer.last_good.is_none() {
        marks::set_mark(tx, Mark::LastReconciled, now)?;
    }
    Ok(true)
}
