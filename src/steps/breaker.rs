//! The circuit breaker. A failure that would affect every call opens it, as do too many failures. A
//! successful call or a person closes it. It depends only on the ledger, so it survives a restart,
//! and single passes know the results of earlier ones.

use chrono::Duration;

use crate::domain::call::Disposition;
use crate::domain::disposition::is_account_wide;
use crate::domain::{Instant, instant_text};
use crate::steps::Context;
use crate::store::Tx;
use crate::store::attempts::{Attempt, recent_outcomes};
use crate::store::journal::{self, Entry};
use crate::store::meta::breaker::{self, Breaker};
use crate::store::meta::sequence;

const WHO: &str = "breaker";
/// This many equal refusals of the request in a row open the breaker.
const EQUAL_REFUSALS: usize = 3;
/// Failures older than this do not count, because their cause may have passed.
const REMEMBERED: Duration = Duration::hours(1);

/// The event that closes an open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// An accepted POST: only requests were refused.
    Acceptance,
    /// A call that was really dialed: requests were accepted, but the calls failed.
    End,
}

/// How the breaker changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    AsItWas,
    Opened,
    Closed,
}

/// Why and how the breaker opens.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    pub why: &'a str,
    pub closed_by: ClosedBy,
    /// A probe failed, and `why` is what opened the breaker before.
    pub probe_failed: bool,
    /// `None`: the configured time.
    pub probe_after: Option<Duration>,
}

impl<'a> Cause<'a> {
    pub fn new(why: &'a str, closed_by: ClosedBy) -> Cause<'a> {
        Cause { why, closed_by, probe_failed: false, probe_after: None }
    }
}

/// Opens the breaker: nothing is dialed until the probe, which is one call.
pub fn open(cx: &Context, tx: &Tx<'_>, cause: &Cause<'_>, now: Instant) -> anyhow::Result<()> {
    open_after(cx, tx, cause, sequence::highest_seq(tx)?, now)
}

/// `until`: the number of the last attempt whose success does not close it.
fn open_after(
    cx: &Context,
    tx: &Tx<'_>,
    cause: &Cause<'_>,
    until: i64,
    now: Instant,
) -> anyhow::Result<()> {
    // If the breaker already waits for a call's good end, it still does.
    let until_ended = cause.closed_by == ClosedBy::End
        || breaker::breaker(tx)?.is_some_and(|breaker| breaker.until_ended);
    let breaker = Breaker {
        why: cause.why.to_string(),
        probe_failed: cause.probe_failed,
        opened_at: instant_text(now),
        probe_at: instant_text(now + cause.probe_after.unwrap_or(wait_for_probe(cx))),
        until_ended,
    };
    breaker::open_breaker(tx, &breaker, until)?;
    note(tx, (None, Some("open")), &breaker.words(), now)
}

fn wait_for_probe(cx: &Context) -> Duration {
    Duration::minutes(cx.config.breaker.probe_after_minutes)
}

/// Updates the breaker after the reply to a POST. `refused`: the text, if the request was refused.
pub fn after_post(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    accepted: bool,
    refused: Option<&str>,
    now: Instant,
) -> anyhow::Result<Became> {
    let Some(breaker) = breaker::breaker(tx)? else {
        let why = if accepted {
            None
        } else {
            equal_refusals(tx, refused)?.or(too_many_failures(cx, tx, now)?)
        };
        let Some(why) = why else { return Ok(Became::AsItWas) };
        open(cx, tx, &Cause::new(&why, ClosedBy::Acceptance), now)?;
        return Ok(Became::Opened);
    };
    if !breaker::is_probe(tx, attempt.seq)? {
        return Ok(Became::AsItWas);
    }
    if !accepted {
        let again = Cause::new(&breaker.why, ClosedBy::Acceptance);
        open(cx, tx, &Cause { probe_failed: true, ..again }, now)?;
        return Ok(Became::Opened);
    }
    if breaker.until_ended {
        // Half open: one call at a time, until one has ended well.
        let probe_at = instant_text(now + wait_for_probe(cx));
        breaker::delay_probe(tx, &Breaker { probe_at, ..breaker })?;
        return Ok(Became::AsItWas);
    }
    close(tx, "a probe was accepted", now)?;
    Ok(Became::Closed)
}

/// Updates the breaker after a call's end, once the ledger has it.
pub fn after_end(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    how: Disposition,
    reason: &str,
    now: Instant,
) -> anyhow::Result<()> {
    if how == Disposition::NeverDialed && is_account_wide(reason) {
        // Later calls may already be under way, and their success shows that the cause has passed.
        return open_after(cx, tx, &Cause::new(reason, ClosedBy::End), attempt.seq, now);
    }
    let failed = matches!(how, Disposition::NeverDialed | Disposition::Failed);
    if breaker::breaker(tx)?.is_some() {
        let proves = !failed && how != Disposition::Unknown && breaker::is_probe(tx, attempt.seq)?;
        return if proves { close(tx, "a probe was really dialed", now) } else { Ok(()) };
    }
    match failed.then(|| too_many_failures(cx, tx, now)).transpose()?.flatten() {
        Some(why) => open(cx, tx, &Cause::new(&why, ClosedBy::End), now),
        None => Ok(()),
    }
}

fn close(tx: &Tx<'_>, why: &str, now: Instant) -> anyhow::Result<()> {
    breaker::close_breaker(tx, now)?;
    note(tx, (Some("open"), None), why, now)
}

fn equal_refusals(tx: &Tx<'_>, refused: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(text) = refused else { return Ok(None) };
    let last = recent_outcomes::last_refusals(tx, breaker::breaker_moved_at(tx)?, EQUAL_REFUSALS)?;
    let equal = last.len() == EQUAL_REFUSALS && last.iter().all(|said| said.as_deref() == refused);
    Ok(equal.then(|| format!("{EQUAL_REFUSALS} equal refusals in a row: {text}")))
}

/// Why the last calls failed too often to continue; `None` if they did not.
fn too_many_failures(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<Option<String>> {
    let breaker = &cx.config.breaker;
    let after = breaker::breaker_moved_at(tx)?;
    let failed = recent_outcomes::last_failures(tx, after, now - REMEMBERED, breaker.sample)?;
    let failures = failed.iter().filter(|failed| **failed).count();
    let share = failures as f64 / breaker.sample.max(1) as f64;
    let many = breaker.sample <= failed.len() && breaker.failure_share < share;
    Ok(many.then(|| format!("{failures} of the last {} calls failed", failed.len())))
}

fn note(
    tx: &Tx<'_>,
    (old, new): (Option<&str>, Option<&str>),
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let (what, subject) = ("breaker", "dialing");
    journal::add(tx, now, Entry { who: WHO, what, subject, old, new, why: Some(why) })
}
