//! tick: one pass for a system cron. Opens, follows, scans, dials everything due now, follows
//! what it placed.

use serde::Serialize;

use crate::clock;
use crate::service::dialer::{BREAKER, Dialer, PASS_AT_MOST, Passed, Patience};
use crate::service::follower::{self, Which};
use crate::service::pace::Pace;
use crate::service::{Service, opening};
use crate::steps::{guard, restart, scan};
use crate::store::meta::{self, Mark};
use crate::store::moves;

/// What one tick did, as `tick --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ticked {
    /// New items.
    pub queued: usize,
    /// Items taken up.
    pub processed: usize,
    /// Placed calls.
    pub succeeded: usize,
    pub failed: usize,
    pub skipped: usize,
    pub in_doubt: usize,
    pub execution_time_ms: u64,
    /// Why nothing was dialed, or not everything; `None` = it did what it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether nothing may be dialed at all: exit code 3.
    #[serde(skip)]
    pub shut: bool,
}

/// One pass. The caller holds the dialer's lock. An error is one of the database.
pub fn tick(service: &Service) -> anyhow::Result<Ticked> {
    let started = clock::elapsed();
    let mut done = Ticked::default();
    match guard::not_armed(&service.cx)? {
        Some(why) => refuse(&mut done, why),
        None => {
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
    let opened = opening::open(service, &reading, false)?;
    done.in_doubt += opened.reconciled.left_dialing;
    if opened.clock_shut {
        refuse(done, opened.shut.unwrap_or_default());
        return Ok(());
    }
    let now = reading.now;
    follower::repair_unproven(service, now)?;
    let mut asking = follower::pace_of_asking(service);
    if opened.shut.is_none() || opened.waits {
        follower::follow(service, &mut asking, Which::All, now)?;
    }
    let scanned = scan::scan(cx, now)?;
    done.queued = scanned.queued;
    done.skipped += scanned.skipped;
    if let Some(why) = opened.shut {
        cx.store.write(|tx| moves::mark_left(tx, crate::domain::call::Reason::Held, now))?;
        refuse(done, why);
        return Ok(());
    }
    dial(service, &mut asking, done)?;
    let ended = service.clock.read()?;
    if !guard::is_trusted(cx, &ended)? {
        return Ok(());
    }
    cx.store.write(|tx| {
        meta::set_mark(tx, Mark::LastTick, ended.now)?;
        meta::set_mark(tx, Mark::ClockHighWater, ended.now)
    })
}

/// Dials, and follows what was placed: a call that is over already frees its line for the next.
fn dial(service: &Service, asking: &mut Pace, done: &mut Ticked) -> anyhow::Result<()> {
    let started = clock::elapsed();
    let patience = Patience { pace: true, record: std::time::Duration::from_secs(20) };
    let mut dialer = Dialer::new(service, patience, service.clock.now()?)?;
    loop {
        let passed = dialer.pass(&mut |_| Ok(None))?;
        add(done, &passed);
        let reading = service.clock.read()?;
        // By a wrong clock a retry would be too late, and an occasion lost.
        let ended = match 0 < passed.succeeded && guard::is_trusted(&service.cx, &reading)? {
            true => follower::follow(service, asking, Which::All, reading.now)?,
            false => 0,
        };
        let over = PASS_AT_MOST <= clock::elapsed().saturating_sub(started);
        let again = match &passed.shut {
            None => passed.no_line && 0 < ended,
            // A probe that is over already may have closed it.
            Some(why) => why.starts_with(BREAKER) && 0 < ended && !is_broken(service)?,
        };
        if !again || over {
            if let Some(why) = passed.shut {
                tell_shut(service, done, why);
            }
            return Ok(());
        }
    }
}

fn is_broken(service: &Service) -> anyhow::Result<bool> {
    Ok(service.cx.store.read(meta::breaker)?.is_some())
}

/// A pass that ended early refused to dial, unless it was told to stop, or had placed a call before
/// the breaker opened.
fn tell_shut(service: &Service, done: &mut Ticked, why: String) {
    let opened_midway = 0 < done.succeeded && why.starts_with(BREAKER);
    let did_what_it_may = service.stopping() || opened_midway;
    refuse(done, why);
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
