//! `tick`: one pass for a system cron. Opens, follows, scans, dials everything due now, and
//! follows the calls it placed.

use serde::Serialize;

use crate::clock;
use crate::domain::start::{Acceptance, Shut};
use crate::service::dialer::Dialer;
use crate::service::dialer::passed::{PASS_AT_MOST, Passed, Patience, Stop};
use crate::service::follower::{self, Which};
use crate::service::outgoing::events;
use crate::service::pace::Pace;
use crate::service::{Service, opening};
use crate::steps::readiness::{armed, clock_check, restart};
use crate::steps::scan;
use crate::store::meta::breaker;
use crate::store::meta::marks::{self, Mark};
use crate::store::queue::transitions;

/// The counts of one tick, as `tick --json` prints them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ticked {
    /// New items.
    pub queued: usize,
    /// Items that were dialed, skipped, or found already called.
    pub processed: usize,
    /// Placed calls.
    pub succeeded: usize,
    pub failed: usize,
    pub skipped: usize,
    pub in_doubt: usize,
    pub execution_time_ms: u64,
    /// Why not everything due was dialed; `None` = the pass was not cut short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether dialing is shut: exit code 3.
    #[serde(skip)]
    pub shut: bool,
}

/// Runs one pass. The caller holds the dialer's lock. An error means that the database failed.
pub fn tick(service: &Service) -> anyhow::Result<Ticked> {
    let started = clock::elapsed();
    let mut done = Ticked::default();
    match armed::not_armed(&service.cx)? {
        Some(why) => refuse(&mut done, why),
        None => {
            events::note_wanted(&service.cx)?;
            restart::begin(&service.cx, &service.clock.read()?)?;
            run_pass(service, &mut done)?;
            restart::end(&service.cx, &service.clock.read()?);
        }
    }
    done.execution_time_ms =
        u64::try_from(clock::elapsed().saturating_sub(started).as_millis()).unwrap_or(u64::MAX);
    Ok(done)
}

fn run_pass(service: &Service, done: &mut Ticked) -> anyhow::Result<()> {
    let cx = &service.cx;
    let reading = service.clock.read()?;
    let opened = opening::open(service, &reading, Acceptance::Nothing)?;
    done.in_doubt += opened.reconciled.unwrap_or_default().left_dialing;
    if let Some(why) = opened.shut.as_ref().filter(|why| why.is_of_the_clock()) {
        refuse(done, why.to_string());
        return Ok(());
    }
    let now = reading.now;
    follower::repair_unproven(service, now)?;
    let mut asking = follower::pace_of_asking(service);
    if opened.shut.as_ref().is_none_or(Shut::waits_for_the_list) {
        follower::follow(service, &mut asking, Which::All, now)?;
    }
    let scanned = scan::scan(cx, now)?;
    done.queued = scanned.queued;
    done.skipped += scanned.skipped;
    if let Some(why) = opened.shut {
        cx.store.write(|tx| transitions::mark_left(tx, crate::domain::call::Reason::Held, now))?;
        refuse(done, why.to_string());
        return Ok(());
    }
    dial(service, &mut asking, done)?;
    let ended = service.clock.read()?;
    if !clock_check::is_trusted(cx, &ended)? {
        return Ok(());
    }
    cx.store.write(|tx| {
        marks::set_mark(tx, Mark::LastTick, ended.now)?;
        marks::set_mark(tx, Mark::ClockHighWater, ended.now)
    })
}

/// Dials and follows the placed calls: a call that has already ended frees its line for the next.
fn dial(service: &Service, asking: &mut Pace, done: &mut Ticked) -> anyhow::Result<()> {
    let started = clock::elapsed();
    let patience = Patience { pace: true, record: std::time::Duration::from_secs(20) };
    let mut dialer = Dialer::new(service, patience, service.clock.now()?)?;
    loop {
        let passed = dialer.pass(&mut |_| Ok(None))?;
        add(done, &passed);
        let reading = service.clock.read()?;
        // A wrong clock would make a retry seem too late, and the occasion would be lost.
        let ended = if passed.succeeded > 0 && clock_check::is_trusted(&service.cx, &reading)? {
            follower::follow(service, asking, Which::All, reading.now)?
        } else {
            0
        };
        let over = PASS_AT_MOST <= clock::elapsed().saturating_sub(started);
        let again = match &passed.shut {
            None => passed.no_line && ended > 0,
            // A probe call that has already ended may have closed the breaker.
            Some(Stop::Breaker(_)) => ended > 0 && !is_broken(service)?,
            Some(_) => false,
        };
        if !again || over {
            if let Some(why) = passed.shut {
                tell_shut(service, done, &why);
            }
            return Ok(());
        }
    }
}

fn is_broken(service: &Service) -> anyhow::Result<bool> {
    Ok(service.cx.store.read(breaker::breaker)?.is_some())
}

/// Reports a pass that ended early as a refusal. It is not one (`shut` is false) when the process
/// is stopping, or when calls were placed before the breaker opened.
fn tell_shut(service: &Service, done: &mut Ticked, why: &Stop) {
    let opened_midway = done.succeeded > 0 && matches!(why, Stop::Breaker(_));
    let did_what_it_may = service.stopping() || opened_midway;
    refuse(done, why.to_string());
    done.shut = !did_what_it_may;
}

fn add(done: &mut Ticked, passed: &Passed) {
    done.processed += passed.processed;
    done.succeeded += passed.succeeded;
    done.failed += passed.failed;
    done.skipped += passed.skipped;
    done.in_doubt += passed.in_doubt;
}

fn refuse(done: &mut Ticked, why: String) {
    log::warn!("nothing more is dialed: {why}");
    done.refused = Some(why);
    done.shut = true;
}
