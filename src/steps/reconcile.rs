//! reconcile: asks the provider's records about doubt and gaps. Finding settles at once; absence
//! settles only under every control, and only if the policy says so. Time alone settles nothing.
//!
//! Two steps, so that the clocks can be compared between them: [`ask`] reads, [`take_in`] writes.

use std::collections::BTreeSet;

use chrono::Duration;

use crate::clock::Reading;
use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_text};
use crate::provider::{Listing, Provider, ProviderCall, ReadError};
use crate::steps::absence::Seen;
use crate::steps::account::VISIBLE_AFTER;
use crate::steps::adopt::{self, Taken};
use crate::steps::{
    Context, absence, account, behind, elsewhere, restart, settle, unexplained, unread, unwritten,
};
use crate::store::attempts::{self, Attempt};
use crate::store::doubts::KnownCalls;
use crate::store::given::Missed;
use crate::store::meta::{self, Mark};
use crate::store::queue::Moved;
use crate::store::{self, Tx, doubts};

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
    /// Calls that were made elsewhere and block somebody.
    pub elsewhere: usize,
    /// Attempts that a dead process left in `dialing`.
    pub left_dialing: usize,
    /// Between these instants calls of ours may lie that nobody can look up any more.
    pub unknowable: Option<(Instant, Instant)>,
    /// Another dialer uses a copy of this file: dialing holds.
    pub foreign: Option<String>,
}

/// Why the provider's records do not open the gate.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    #[error("dialing waits: {0}; it is asked again by `run` itself, and at the next start")]
    Unreadable(#[from] ReadError),
    #[error(
        "the key belongs to another account than the calls of this file; set the right \
         VAPI_API_KEY, or accept the account with `ringonce adopt --reason WHY`"
    )]
    OtherOrg,
    #[error(
        "dialing waits: the provider shows none of this file's last calls, so the key may belong \
         to another account; set the right VAPI_API_KEY, or accept the account with `ringonce \
         adopt --reason WHY`"
    )]
    AccountUnshown,
    #[error(
        "the provider's records reach back {days} days, and this file was last reconciled at \
         {last_good}; calls may be missing that nobody can look up; accept that with \
         `ringonce adopt --reason WHY`"
    )]
    BeyondRetention { days: i64, last_good: String },
    #[error(
        "dialing waits: calls up to number {given} were made before, and this database knows \
         them up to {known}; the provider's list does not show the others yet; try again later, or \
         from {from} on accept that with `ringonce adopt --reason WHY`"
    )]
    Behind { given: i64, known: i64, from: String },
    #[error(
        "the provider's records show calls to customers of this database ({customers}), which has \
         never dialed; if it takes the place of the database that made them, run `ringonce adopt \
         --reason WHY`, else run `ringonce customers import FILE --new --reason WHY`"
    )]
    CalledElsewhere { customers: usize },
}

impl Closed {
    pub fn behind(missed: &Missed) -> Closed {
        let (given, known) = (missed.given.seq, missed.known);
        Closed::Behind { given, known, from: instant_text(missed.given.at + VISIBLE_AFTER) }
    }

    /// Whether waiting cannot help.
    pub fn needs_a_person(&self) -> bool {
        // A list may lag behind the calls of the last minutes.
        !matches!(self, Closed::Unreadable(_) | Closed::AccountUnshown | Closed::Behind { .. })
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asking {
    /// The arming gate, before the first dial of a start. `accepted`: a person accepted a gap
    /// beyond the provider's records, and the account of the key.
    Start { accepted: bool },
    /// While dialing goes on since then: an unknown call of ours from later is another dialer's.
    Beside { dialing_since: Option<Instant> },
}

/// One complete listing, and what it can speak of.
#[derive(Clone, Debug)]
pub struct Answer {
    pub listing: Listing,
    pub asking: Asking,
    /// Calls created from here on are in the listing.
    pub from: Instant,
    /// Where the provider's records begin.
    pub oldest: Instant,
    /// The records are known up to here; `None`: this file was never reconciled.
    last_good: Option<Instant>,
    /// The listing reaches back to everything that is unexplained, as it does once a day.
    reads_back: bool,
    created: Instant,
    /// Our highest number before this listing is taken in.
    highest_seq: i64,
    /// The listing shows a call of ours with a higher one.
    shows_later: bool,
    left_dialing: usize,
    /// Marks of the rows that cannot be read, and that no person has accepted.
    pub unread: BTreeSet<String>,
    /// The account was seen to be the one of our calls, or there is no call to tell it by.
    pub account_shown: bool,
}

impl Answer {
    /// Why a start waits though everything readable was taken in: a row without a readable id may be
    /// the one call that this file does not know. `None`: every row could be read.
    pub fn unread_rows(&self) -> Option<String> {
        let rows = self.unread.len();
        (0 < rows).then(|| {
            format!(
                "dialing waits: {rows} of the provider's records cannot be read, and may be calls \
                 that this file does not know; try again later, or accept that with `ringonce adopt \
                 --accept-unread --reason WHY`"
            )
        })
    }

    /// The provider's clock, when it was heard.
    pub fn date(&self) -> Option<Instant> {
        self.listing.date
    }
}

/// Reads the provider's records, back to the last known good moment and the oldest doubt. At a
/// start, attempts of a dead process become doubts first; nothing else is written.
pub fn ask(
    cx: &Context,
    provider: &dyn Provider,
    reading: &Reading,
    asking: Asking,
) -> anyhow::Result<Answer> {
    let now = reading.now;
    let is_start = matches!(asking, Asking::Start { .. });
    let left_dialing = if is_start { doubt_leftovers(cx, now)? } else { 0 };
    let oldest = now - Duration::days(cx.config.reconcile.retention_days);
    let (last_good, created, (first_open, mut reads_back), highest_seq, (last_call, read_whole)) =
        cx.store.read(|conn| {
            let last_good = meta::mark(conn, Mark::LastReconciled)?;
            let created = meta::mark(conn, Mark::Created)?.unwrap_or(now);
            Ok((
                last_good,
                created,
                unexplained::first(conn, oldest, now)?,
                meta::highest_seq(conn)?,
                (
                    restart::asks_since(conn, oldest, now)?.filter(|_| is_start),
                    unexplained::is_read_whole(conn)?,
                ),
            ))
        })?;
    let known_until = match last_good {
        // A mark in the future was written by a wrong clock: nothing is known.
        Some(at) if now < at => oldest,
        Some(at) => at,
        None => created.min(now),
    };
    let back_to = |first: Option<Instant>| {
        (first.map_or(known_until, |first| first.min(known_until)) - MARGIN).max(oldest)
    };
    let mut from = match is_start && !read_whole {
        true => oldest,
        false => back_to(first_open.into_iter().chain(last_call).min()),
    };
    let mut listed = provider.list(from);
    if let (Err(ReadError::Unavailable(why)), Some(_)) = (&listed, last_good) {
        // A doubt of days makes a long list. What is in doubt is not dialed, so what may be dialed
        // needs only the newer part.
        let needed = back_to(cx.store.read(doubts::oldest_that_may_ring_again)?);
        if from < needed {
            log::warn!("{why}: older doubts are asked about at another time");
            (from, reads_back) = (needed, false);
            listed = provider.list(from);
        }
    }
    let mut listing = listed.map_err(Closed::from)?;
    let behind = listing.calls.iter().any(|call| is_beyond(cx, call, highest_seq));
    if is_start && behind && oldest < from {
        log::warn!(
            "the provider knows later calls than this file: reading back to {}",
            instant_text(oldest)
        );
        from = oldest;
        listing = provider.list(from).map_err(Closed::from)?;
    }
    let unread = cx.store.read(|conn| unread::of(conn, &listing))?;
    let shows_later = listing.calls.iter().any(|call| is_beyond(cx, call, highest_seq));
    let account_shown = !is_start || account::is_shown(cx, provider, &listing, oldest, now)?;
    Ok(Answer {
        listing,
        asking,
        from,
        oldest,
        last_good,
        reads_back,
        created,
        highest_seq,
        shows_later,
        left_dialing,
        unread,
        account_shown,
    })
}

/// The next reading goes back to the oldest doubt: a person asked.
pub fn read_back(cx: &Context) -> anyhow::Result<()> {
    cx.store.write(|tx| meta::remove(tx, unexplained::READ_BACK_AT).map(drop))
}

/// Whether a call of ours has a higher number than this file ever gave.
fn is_beyond(cx: &Context, call: &ProviderCall, highest_seq: i64) -> bool {
    call.installation_id.as_deref() == Some(&cx.installation.id)
        && adopt::number_of(call).is_some_and(|seq| highest_seq < seq)
}

/// Attempts that a dead process left in `dialing` are in doubt. Only called while nobody dials.
fn doubt_leftovers(cx: &Context, now: Instant) -> anyhow::Result<usize> {
    if cx.store.read(|conn| attempts::in_state(conn, AttemptState::Dialing))?.is_empty() {
        return Ok(0);
    }
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

/// Takes one complete listing in: adopts, settles what was found, counts what was absent.
pub fn take_in(cx: &Context, answer: &Answer, reading: &Reading) -> anyhow::Result<Reconciled> {
    let unknowable = gap_beyond(answer);
    if let (Some((last_good, _)), Asking::Start { accepted: false }) = (unknowable, answer.asking) {
        let days = cx.config.reconcile.retention_days;
        return Err(Closed::BeyondRetention { days, last_good: instant_text(last_good) }.into());
    }
    let org_id = account::known(cx, answer, reading.now)?;
    behind::refuse_a_hole(cx, answer, reading.now)?;
    let done =
        Reconciled { left_dialing: answer.left_dialing, unknowable, ..Reconciled::default() };
    let taken = cx.store.write(|tx| {
        let mut done = done.clone();
        elsewhere::refresh(cx, tx, answer.oldest)?;
        let known = KnownCalls::since(tx, answer.from - MARGIN)?;
        let all_taken = take_in_calls(cx, tx, &known, answer, reading.now, &mut done)?;
        // The listing says nothing about older doubts, of which there may be many.
        let in_doubt = doubts::since(tx, answer.from)?;
        if !in_doubt.is_empty() {
            let seen = absence::seen(tx, &known, &answer.listing, org_id.as_deref())?;
            done.absent = count_absences(cx, tx, answer, &seen, &in_doubt, reading)?;
        }
        if all_taken && note_reach(cx, tx, answer, reading.now)? {
            unwritten::lift_if_known(tx, reading.now)?;
        }
        if answer.reads_back {
            meta::set(tx, unexplained::READ_BACK_AT, &instant_text(reading.now))?;
        }
        if all_taken && answer.unread.is_empty() && answer.from <= answer.oldest {
            unexplained::note_whole(tx, &answer.listing)?;
        }
        Ok(done)
    })?;
    if answer.asking == (Asking::Start { accepted: false }) {
        elsewhere::refuse_a_new_database(cx)?;
    }
    Ok(taken)
}

/// Judges each doubt by a listing that does not show it; returns how many that settled.
fn count_absences(
    cx: &Context,
    tx: &Tx<'_>,
    answer: &Answer,
    seen: &Seen<'_>,
    in_doubt: &[Attempt],
    reading: &Reading,
) -> anyhow::Result<usize> {
    let mut settled = 0;
    for attempt in in_doubt {
        let controls = absence::controls(cx, attempt, answer, seen);
        settled += usize::from(absence::judge(cx, tx, attempt, &controls, reading)?);
    }
    Ok(settled)
}

/// A gap at a start that the records do not cover: it needs a person. A file that was never
/// reconciled has one when calls of ours that it does not know show that it is an old copy.
fn gap_beyond(answer: &Answer) -> Option<(Instant, Instant)> {
    let Asking::Start { .. } = answer.asking else { return None };
    let last_good = match answer.last_good {
        Some(at) => at,
        None if 0 < answer.highest_seq || answer.shows_later => answer.created,
        None => return None,
    };
    (last_good < answer.oldest).then_some((last_good, answer.oldest))
}

/// Takes in each call in a part of its own, in the order of our numbers: one that cannot be
/// written stops dialing, and no other call. Returns whether all were taken in, and those that an
/// earlier listing showed.
fn take_in_calls(
    cx: &Context,
    tx: &Tx<'_>,
    known: &KnownCalls,
    answer: &Answer,
    now: Instant,
    done: &mut Reconciled,
) -> anyhow::Result<bool> {
    let dialing_since = match answer.asking {
        Asking::Beside { dialing_since } => dialing_since,
        Asking::Start { .. } => None,
    };
    let mut calls: Vec<&ProviderCall> = answer.listing.calls.iter().collect();
    calls.sort_by_key(|call| (adopt::number_of(call).unwrap_or(i64::MAX), call.created_at));
    let listed = calls.iter().map(|call| call.id.as_str()).collect();
    let mut failed = BTreeSet::new();
    for call in calls {
        if adopt::is_old_news(cx, tx, known, call)? {
            continue;
        }
        match store::part(tx, |tx| adopt::take_in(cx, tx, call, dialing_since, now)) {
            Ok(Taken::Adopted) => done.adopted += 1,
            Ok(Taken::Settled) => done.found += 1,
            Ok(Taken::Foreign(what)) => done.foreign = Some(what),
            Ok(Taken::Elsewhere) => done.elsewhere += 1,
            Ok(Taken::Nothing) => {}
            Err(error) => {
                let why = format!(
                    "the call {} cannot be taken in: {error:#}; mend the database; it lifts by \
                     itself when the call is taken in, or go on without it with `ringonce resume \
                     --hold record --reason WHY`",
                    call.id
                );
                log::error!("dialing holds: {why}");
                meta::hold(tx, unwritten::HOLD, &why, now)?;
                failed.insert(call.id.as_str());
            }
        }
    }
    if 0 < done.elsewhere {
        elsewhere::end_welcomes(cx, tx, now)?;
    }
    unwritten::note_untaken(tx, &listed, &failed)
}

/// The records are known up to now, if the listing reached back to what was known before, every row
/// of it could be read or was accepted, and it showed the last call that was made from here. `false`:
/// it is not complete.
fn note_reach(cx: &Context, tx: &Tx<'_>, answer: &Answer, now: Instant) -> anyhow::Result<bool> {
    if !answer.unread.is_empty() {
        return Ok(false);
    }
    let accepted = answer.asking == (Asking::Start { accepted: true });
    // What a list does not show yet must be inside the next one, too.
    if behind::behind(cx, tx, accepted, now)?.is_some() {
        return Ok(false);
    }
    let known_until = answer.last_good.unwrap_or(answer.created);
    if now < known_until || accepted {
        meta::reset_mark(tx, Mark::LastReconciled, now)?;
        return Ok(true);
    }
    // A file that never dialed has nothing to miss: see `gap_beyond`.
    if answer.from <= known_until || answer.last_good.is_none() {
        meta::set_mark(tx, Mark::LastReconciled, now)?;
    }
    Ok(true)
}
