//! run: the service. The main thread scans on the cron and dials each item at its own instant;
//! a second thread follows and reconciles. Both end cleanly on SIGTERM, SIGINT and
//! SIGHUP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use crate::clock::{self, Reading};
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::domain::cron::Cron;
use crate::domain::zone::Zone;
use crate::service::dialer::{Dialer, Patience};
use crate::service::follower::{self, Which, rest};
use crate::service::pace::Pace;
use crate::service::{Service, opening};
use crate::steps::guard::{self, Clocks, Heard};
use crate::steps::reconcile::{self, Asking, Closed, Reconciled};
use crate::steps::{restart, scan, unwritten};
use crate::store::attempts;
use crate::store::meta::{self, Mark};

/// The longest sleep: changes by other processes are noticed within it.
const LOOK_AGAIN: Duration = Duration::from_millis(1000);
/// How often the clocks are compared and the marks written.
const WATCH_EVERY: Duration = Duration::from_secs(10);
/// A doubt that is not settled soon is asked about this often.
const OLD_DOUBTS_EVERY: Duration = Duration::from_secs(900);

/// Runs until it is told to stop. The caller holds the dialer's lock. `alive` is called in each
/// round, for a watchdog.
pub fn run(service: &Service, alive: &dyn Fn()) -> anyhow::Result<()> {
    if let Some(why) = guard::not_armed(&service.cx)? {
        return Err(Refused(why).into());
    }
    restart::begin(&service.cx, &service.clock.read()?)?;
    let served = serve(service, alive);
    let in_order = served.as_ref().map_or_else(|error| error.is::<Refused>(), |()| true);
    if in_order {
        restart::end(&service.cx, &service.clock.read()?);
    }
    served
}

/// Everything between the first write and the last.
fn serve(service: &Service, alive: &dyn Fn()) -> anyhow::Result<()> {
    let Some(opened_at) = wait_until_open(service, alive)? else { return Ok(()) };
    let dialing_since = *service.cx.dialing_since.get_or_init(|| opened_at);
    std::thread::scope(|scope| {
        let follower = std::thread::Builder::new()
            .name("follow".to_string())
            .spawn_scoped(scope, || {
                let _ends = EndsTheService(service);
                follow_on(service, dialing_since);
            })
            .context("start the follower")?;
        let dialed = {
            let _ends = EndsTheService(service);
            dial_on(service, alive)
        };
        let followed = follower.join();
        if dialed.is_err() {
            // Whatever could not be read or written then, this is why.
            end_if_swapped(service)?;
        }
        dialed?;
        followed.map_err(|_| anyhow::anyhow!("the follower panicked"))
    })
}

/// The dialer and the follower end together, also when one of them breaks down: a process that
/// dials and never asks what became of its calls looks well and is not. The supervisor starts it
/// anew.
struct EndsTheService<'s>(&'s Service);

impl Drop for EndsTheService<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// A refusal that needs a person: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Opens before the first dial, asking again until the provider's records can be read and the
/// clocks agree. `None`: stopped before. Due calls wait meanwhile, and so do scans and following, unless
/// everything but a late list is known.
fn wait_until_open(service: &Service, alive: &dyn Fn()) -> anyhow::Result<Option<Instant>> {
    let mut told = None;
    let mut asking = follower::pace_of_asking(service);
    let mut scans = Scans::new(service)?;
    while !service.stopping() {
        alive();
        end_if_swapped(service)?;
        let reading = service.clock.read()?;
        let opened = opening::open(service, &reading, false)?;
        if let Some(why) = opened.shut.as_ref().filter(|_| opened.needs_a_person) {
            return Err(Refused(why.clone()).into());
        }
        let Some(why) = opened.shut else {
            follower::repair_unproven(service, reading.now)?;
            service.halt(None);
            return Ok(Some(reading.now));
        };
        if opened.waits {
            follower::follow(service, &mut asking, Which::Due, reading.now)?;
            scans.scan_if_due(service, reading.now)?;
            service.cx.store.write(|tx| meta::set_mark(tx, Mark::LastTick, reading.now))?;
        }
        service.halt(Some(why.clone()));
        if told.as_ref() != Some(&why) {
            log::warn!("{why}");
            told = Some(why);
        }
        let seconds = u64::try_from(service.cx.config.reconcile.poll_seconds).unwrap_or(10);
        rest(service, Duration::from_secs(seconds));
    }
    Ok(None)
}

/// What goes on in a file that was moved away is lost to the one that lies at the path now, so the
/// service ends. What was in flight is recorded by then; the next start asks the provider.
fn end_if_swapped(service: &Service) -> Result<(), Refused> {
    guard::swapped(&service.cx.store).map_or(Ok(()), |why| Err(Refused(why)))
}

fn dial_on(service: &Service, alive: &dyn Fn()) -> anyhow::Result<()> {
    let patience = Patience { pace: false, record: Duration::MAX };
    let mut dialer = Dialer::new(service, patience, service.clock.now()?)?.watched(alive);
    let mut duties = Duties::new(service, alive)?;
    let mut told = None;
    while !service.stopping() {
        end_if_swapped(service)?;
        if duties.see_to(&mut dialer)? {
            let passed = dialer.pass(&mut |dialer| {
                duties.see_to(dialer)?;
                Ok(Some(duties.until_due()?))
            })?;
            if !service.stopping() {
                tell_shut(&mut told, passed.shut);
            }
        }
        rest(service, duties.until_due()?);
    }
    Ok(())
}

/// Says in the log, once each, that dialing stopped and why, and that it goes on.
fn tell_shut(told: &mut Option<String>, shut: Option<String>) {
    match &shut {
        _ if *told == shut => return,
        Some(why) => log::warn!("nothing more is dialed: {why}"),
        None => log::info!("dialing goes on"),
    }
    *told = shut;
}

/// The scans by their cron; the first is due at once.
struct Scans {
    cron: Cron,
    zone: Arc<Zone>,
    next: Option<Instant>,
}

impl Scans {
    fn new(service: &Service) -> anyhow::Result<Scans> {
        let schedule = &service.cx.config.schedule;
        let cron = Cron::parse(&schedule.scan)
            .map_err(|error| anyhow::anyhow!("schedule.scan: {error}"))?;
        let zone = service
            .cx
            .zones
            .get_schedule_zone(&schedule.timezone)
            .context("schedule.timezone is not known")?;
        Ok(Scans { cron, zone, next: Some(service.clock.now()?) })
    }

    fn scan_if_due(&mut self, service: &Service, now: Instant) -> anyhow::Result<()> {
        if self.next.is_some_and(|at| at <= now) {
            scan::scan(&service.cx, now)?;
            self.next = self.cron.next_after(&self.zone, now);
        }
        Ok(())
    }
}

/// What the service does beside dialing, also while replies are awaited.
struct Duties<'s> {
    service: &'s Service,
    alive: &'s dyn Fn(),
    scans: Scans,
    /// Process time at which the clocks are compared next.
    next_watch: Duration,
}

impl<'s> Duties<'s> {
    fn new(service: &'s Service, alive: &'s dyn Fn()) -> anyhow::Result<Duties<'s>> {
        let scans = Scans::new(service)?;
        Ok(Duties { service, alive, scans, next_watch: clock::elapsed() })
    }

    /// Compares the clocks and scans when it is time. Says whether the clock may be dialed by.
    fn see_to(&mut self, dialer: &mut Dialer<'_>) -> anyhow::Result<bool> {
        (self.alive)();
        let service = self.service;
        let reading = service.clock.read()?;
        // Before a scan or a claim, so that a jump ends no occasion and rings nobody.
        if self.next_watch <= clock::elapsed() || dialer.has_jumped(&reading) {
            self.next_watch = clock::elapsed() + WATCH_EVERY;
            if watch(service, &reading)? {
                dialer.trust(reading.clone());
            }
        }
        if is_held(service, "clock")? {
            return Ok(false);
        }
        self.scans.scan_if_due(service, reading.now)?;
        Ok(true)
    }

    /// How long until the next item or scan is due, but never long: other processes may queue a
    /// call.
    fn until_due(&self) -> anyhow::Result<Duration> {
        let service = self.service;
        let now = service.clock.now()?;
        let next_due = service.cx.store.read(|conn| crate::store::queue::next_due(conn, now))?;
        let next = next_due.into_iter().chain(self.scans.next).min();
        let wait = next.map_or(LOOK_AGAIN, |at| (at - now).to_std().unwrap_or(Duration::ZERO));
        // A millisecond more, so that the instant has come when the wait is over.
        Ok((wait + Duration::from_millis(1)).min(LOOK_AGAIN))
    }
}

fn is_held(service: &Service, kind: &str) -> anyhow::Result<bool> {
    let holds = service.cx.store.read(meta::holds)?;
    Ok(holds.iter().any(|hold| hold.kind == kind))
}

/// Compares the clocks and writes the marks; says whether they agree.
fn watch(service: &Service, reading: &Reading) -> anyhow::Result<bool> {
    let cx = &service.cx;
    match guard::watch_clock(cx, reading, Heard::Nothing, clock::machine_now())? {
        Clocks::Agree => {}
        Clocks::Disagree(why) => {
            log::error!("dialing holds: {why}");
            return Ok(false);
        }
        Clocks::Unproven => return Ok(false),
    }
    cx.store.write(|tx| meta::set_mark(tx, Mark::LastTick, reading.now))?;
    Ok(true)
}

/// The follower's loop. Trouble is told and tried again; where the database cannot be written, the
/// dialer ends the service.
fn follow_on(service: &Service, dialing_since: Instant) {
    let mut last_asked = None;
    let mut asking = follower::pace_of_asking(service);
    while !service.stopping() {
        if let Err(error) = follow_once(service, &mut asking, dialing_since, &mut last_asked) {
            log::error!("following failed: {error:#}");
        }
        rest(service, Duration::from_secs(1));
    }
}

/// `last_asked`: when the records were read last.
fn follow_once(
    service: &Service,
    asking: &mut Pace,
    dialing_since: Instant,
    last_asked: &mut Option<Duration>,
) -> anyhow::Result<()> {
    let cx = &service.cx;
    let reading = service.clock.read()?;
    // By a wrong clock a retry would be too late, and an occasion lost.
    if guard::is_trusted(cx, &reading)? {
        follower::follow(service, asking, Which::Due, reading.now)?;
        let holds = cx.store.read(meta::holds)?;
        if !holds.iter().any(|hold| hold.kind == "flag") {
            follower::repair_unproven(service, reading.now)?;
        }
    }
    let every = reconcile_every(service, reading.now)?.unwrap_or(OLD_DOUBTS_EVERY);
    if last_asked.is_none_or(|at| at + every <= clock::elapsed()) {
        *last_asked = Some(clock::elapsed());
        ask(service, &reading, dialing_since)?;
    }
    Ok(())
}

/// How soon doubts are asked about again: often while they are young.
fn reconcile_every(service: &Service, now: Instant) -> anyhow::Result<Option<Duration>> {
    let config = &service.cx.config.reconcile;
    let young = chrono::Duration::minutes(config.settle_minutes * 4);
    let (doubts, nameless) = service.cx.store.read(|conn| {
        let doubts = attempts::in_state(conn, AttemptState::InDoubt)?;
        let placed = attempts::in_state(conn, AttemptState::Placed)?;
        Ok((doubts, placed.into_iter().any(|attempt| attempt.vapi_call_id.is_none())))
    })?;
    let any_young = doubts.iter().any(|attempt| now - attempt.created_at < young);
    let often = Duration::from_secs(u64::try_from(config.poll_seconds).unwrap_or(10));
    // Either lifts by itself when the list is taken in.
    let held = is_held(service, "clock")? || is_held(service, unwritten::HOLD)?;
    Ok((any_young || nameless || held).then_some(often))
}

fn ask(service: &Service, reading: &Reading, dialing_since: Instant) -> anyhow::Result<()> {
    let cx = &service.cx;
    let asking = Asking::Beside { dialing_since: Some(dialing_since) };
    let done = reconcile::ask(cx, service.provider.as_ref(), reading, asking).and_then(|answer| {
        let now = service.clock.read()?;
        match guard::watch_clock(cx, &now, Heard::of(answer.date()), clock::machine_now())? {
            Clocks::Agree => reconcile::take_in(cx, &answer, reading),
            Clocks::Disagree(why) => {
                log::error!("dialing holds: {why}");
                Ok(Reconciled::default())
            }
            Clocks::Unproven => Ok(Reconciled::default()),
        }
    });
    match done.map_err(anyhow::Error::downcast::<Closed>) {
        Ok(_) => Ok(()),
        Err(Ok(closed)) => {
            log::warn!("doubts stay open: {closed}");
            if closed.needs_a_person() {
                let why = closed.to_string();
                cx.store.write(|tx| meta::hold(tx, "account", &why, reading.now))?;
            }
            Ok(())
        }
        Err(Err(error)) => Err(error),
    }
}
