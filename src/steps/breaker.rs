//! The circuit breaker: opened by what would meet everybody, or by too many failures; closed by a
//! call that goes well, or by a person. It judges by the ledger alone, so that a restart forgets
//! nothing and single passes know what the ones before met.

use chrono::Duration;

use crate::domain::call::Disposition;
use crate::domain::disposition::is_account_wide;
use crate::domain::{Instant, instant_text};
use crate::steps::Context;
use crate::store::attempts::Attempt;
use crate::store::journal::{self, Entry};
use crate::store::meta::{self, Breaker};
use crate::store::{Tx, results};

const WHO: &str = "breaker";
/// Equal refusals of the request itself in a row that open the breaker.
const EQUAL_REFUSALS: usize = 3;
/// Older failures say nothing about now.
const REMEMBERED: Duration = Duration::hours(1);

/// What closes an open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// An accepted POST: nothing else was refused.
    Acceptance,
    /// A call that was really dialed: calls were accepted, and came to nothing.
    End,
}

/// What became of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    AsItWas,
    Opened,
    Closed,
}

/// Opens the breaker: nothing is dialed until the probe, which is one call. `probe_after`: `None` =
/// the configured time.
pub fn open(
    cx: &Context,
    tx: &Tx<'_>,
    why: &str,
    closed_by: ClosedBy,
    probe_after: Option<Duration>,
    now: Instant,
) -> anyhow::Result<()> {
    // What a worse failure asked for stays asked for.
    let until_ended =
        closed_by == ClosedBy::End || meta::breaker(tx)?.is_some_and(|breaker| breaker.until_ended);
    let probe_at = instant_text(now + probe_after.unwrap_or(wait_for_probe(cx)));
    let opened_at = instant_text(now);
    let breaker = Breaker { why: why.to_string(), opened_at, probe_at, until_ended };
    meta::open_breaker(tx, &breaker)?;
    note(tx, (None, Some("open")), why, now)
}

fn wait_for_probe(cx: &Context) -> Duration {
    Duration::minutes(cx.config.breaker.probe_after_minutes)
}

/// What the reply to a POST means. `refused`: the words of a refusal of the request itself.
pub fn after_post(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    accepted: bool,
    refused: Option<&str>,
    now: Instant,
) -> anyhow::Result<Became> {
    let Some(breaker) = meta::breaker(tx)? else {
        let why = match accepted {
            true => None,
            false => equal_refusals(tx, refused)?.or(too_many_failures(cx, tx, now)?),
        };
        let Some(why) = why else { return Ok(Became::AsItWas) };
        open(cx, tx, &why, ClosedBy::Acceptance, None, now)?;
        return Ok(Became::Opened);
    };
    if !meta::is_probe(tx, attempt.seq)? {
        return Ok(Became::AsItWas);
    }
    if !accepted {
        let why = format!("{}; a probe failed too", first_cause(&breaker.why));
        open(cx, tx, &why, ClosedBy::Acceptance, None, now)?;
        return Ok(Became::Opened);
    }
    if breaker.until_ended {
        // Half open: one call at a time, until one has ended well.
        let probe_at = instant_text(now + wait_for_probe(cx));
        meta::delay_probe(tx, &Breaker { probe_at, ..breaker })?;
        return Ok(Became::AsItWas);
    }
    close(tx, "a probe was accepted", now)?;
    Ok(Became::Closed)
}

/// What the end of a call means, once it is in the ledger.
pub fn after_end(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    how: Disposition,
    reason: &str,
    now: Instant,
) -> anyhow::Result<()> {
    if how == Disposition::NeverDialed && is_account_wide(reason) {
        return open(cx, tx, reason, ClosedBy::End, None, now);
    }
    let failed = matches!(how, Disposition::NeverDialed | Disposition::Failed);
    if meta::breaker(tx)?.is_some() {
        let proves = !failed && how != Disposition::Unknown && meta::is_probe(tx, attempt.seq)?;
        return if proves { close(tx, "a probe was really dialed", now) } else { Ok(()) };
    }
    match failed.then(|| too_many_failures(cx, tx, now)).transpose()?.flatten() {
        Some(why) => open(cx, tx, &why, ClosedBy::End, None, now),
        None => Ok(()),
    }
}

fn close(tx: &Tx<'_>, why: &str, now: Instant) -> anyhow::Result<()> {
    meta::close_breaker(tx, now)?;
    note(tx, (Some("open"), None), why, now)
}

fn first_cause(why: &str) -> &str {
    why.split("; a probe failed").next().unwrap_or(why)
}

fn equal_refusals(tx: &Tx<'_>, refused: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(text) = refused else { return Ok(None) };
    let last = results::last_refusals(tx, meta::breaker_moved_at(tx)?, EQUAL_REFUSALS)?;
    let equal = last.len() == EQUAL_REFUSALS && last.iter().all(|said| said.as_deref() == refused);
    Ok(equal.then(|| format!("{EQUAL_REFUSALS} equal refusals in a row: {text}")))
}

/// Why the last calls speak against more of them; `None` when they do not.
fn too_many_failures(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<Option<String>> {
    let breaker = &cx.config.breaker;
    let after = meta::breaker_moved_at(tx)?;
    let failed = results::last_failures(tx, after, now - REMEMBERED, breaker.sample)?;
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
