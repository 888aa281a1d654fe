//! `run`: the service. The main thread scans on the cron and dials each item at its own instant.
//! A second thread follows and reconciles. Both end cleanly on SIGTERM, SIGINT and SIGHUP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use crate::clock::{self, Reading};
use crate::domain::Instant;
use crate::domain::call::{AttemptState, Reason};
use crate::domain::hold::HoldKind;
use crate::domain::start::{Acceptance, Asking, Clocks, Shut};
use crate::service::change_log::ChangeLog;
use crate::service::dialer::Dialer;
use crate::service::dialer::passed::Patience;
use crate::service::follower::{self, Which, rest};
use crate::service::no_room::NoRoom;
use crate::service::outgoing::events;
use crate::service::pace::Pace;
use crate::service::{Service, opening};
use crate::steps::readiness::clock_check::{self, Heard};
use crate::steps::readiness::{armed, hold_words, reach, restart};
use crate::steps::reconcile::listing::ListAnswer;
use crate::steps::reconcile::{self, Reconciled};
use crate::steps::{Context, scan};
use crate::store::attempts;
use crate::store::meta::holds;
use crate::store::meta::marks::{self, Mark};
use crate::store::queue::transitions;

/// The longest sleep, so that changes by other processes are noticed within a second.
const LOOK_AGAIN: Duration = Duration::from_millis(1000);
/// How often the clocks are compared and the marks written.
const WATCH_EVERY: Duration = Duration::from_secs(10);
/// How often the list is read when nothing waits for it: for old doubts, and to learn of an outage
/// before a call falls due.
const OLD_DOUBTS_EVERY: Duration = Duration::from_secs(300);

/// Runs until `service.stop` is set. The caller holds the dialer's lock. Each round calls `alive`,
/// which notifies a watchdog.
pub fn run(service: &Service, alive: &dyn Fn()) -> anyhow::Result<()> {
    if let Some(why) = armed::not_armed(&service.cx)? {
        return Err(NeedsPerson(why).into());
    }
    let (mut log, mut no_room) = (ChangeLog::default(), NoRoom::default());
    while !service.stopping() {
        alive();
        if no_room.is_over(service, &mut log)? {
            let begun = begin(service);
            if no_room.outlast(service, &mut log, begun)?.is_some() {
                break;
            }
        }
    }
    let served = serve(service, alive, &mut log);
    let in_order = served.as_ref().map_or_else(|error| error.is::<NeedsPerson>(), |()| true);
    if in_order {
        restart::end(&service.cx, &service.clock.read()?);
    }
    served
}

/// Writes that this process has begun, and which events it wants.
fn begin(service: &Service) -> anyhow::Result<()> {
    restart::begin(&service.cx, &service.clock.read()?)?;
    events::note_wanted(&service.cx)
}

/// Opens, then dials and follows until both threads end.
fn serve(service: &Service, alive: &dyn Fn(), log: &mut ChangeLog) -> anyhow::Result<()> {
    let Some(opened_at) = wait_until_open(service, alive, log)? else { return Ok(()) };
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
            dial_on(service, alive, log)
        };
        let followed = follower.join();
        if dialed.is_err() {
            // A swapped file is the likely cause of any read or write error, so report that.
            end_if_swapped(service)?;
        }
        dialed?;
        followed.map_err(|_| anyhow::anyhow!("the follower panicked"))
    })
}

/// Ends the dialer and the follower together, also when one of them panics. A process that dials
/// but does not follow its calls looks healthy and is not. The supervisor restarts the process.
struct EndsTheService<'s>(&'s Service);

impl Drop for EndsTheService<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// A refusal that needs a person: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NeedsPerson(pub String);

/// Opens before the first dial. Retries until the provider's records can be read and the clocks
/// agree. `None`: the service was stopped first. Due calls wait until then. Scans wait only for the
/// clock, as in `tick`. Following waits too, unless only a lagging list keeps dialing shut.
fn wait_until_open(
    service: &Service,
    alive: &dyn Fn(),
    log: &mut ChangeLog,
) -> anyhow::Result<Option<Instant>> {
    let mut waiting =
        Waiting { asking: follower::pace_of_asking(service), scans: Scans::new(service)? };
    let mut no_room = NoRoom::default();
    while !service.stopping() {
        alive();
        end_if_swapped(service)?;
        if !no_room.is_over(service, log)? {
            continue;
        }
        let round = waiting.look(service, log);
        match no_room.outlast(service, log, round)? {
            Some(Some(opened_at)) => return Ok(Some(opened_at)),
            Some(None) => {
                let seconds = service.cx.config.reconcile.poll_seconds;
                rest(service, Duration::from_secs(u64::try_from(seconds).unwrap_or(10)));
            }
            None => {}
        }
    }
    Ok(None)
}

/// The state of a start that has not opened yet.
struct Waiting {
    asking: Pace,
    scans: Scans,
}

impl Waiting {
    /// Tries to open once. Returns when it opened; `None`: dialing waits.
    fn look(&mut self, service: &Service, log: &mut ChangeLog) -> anyhow::Result<Option<Instant>> {
        let reading = service.clock.read()?;
        let opened = opening::open(service, &reading, Acceptance::Nothing)?;
        if let Some(why) = opened.shut.as_ref().filter(|why| why.needs_a_person()) {
            return Err(NeedsPerson(why.to_string()).into());
        }
        let Some(shut) = opened.shut else {
            follower::repair_unproven(service, reading.now)?;
            service.halt(None);
            log.tell(None);
            return Ok(Some(reading.now));
        };
        if shut.waits_for_the_list() {
            follower::follow(service, &mut self.asking, Which::Due, reading.now)?;
            service.cx.store.write(|tx| marks::set_mark(tx, Mark::LastTick, reading.now))?;
        }
        if !shut.is_of_the_clock() {
            self.scans.scan_if_due(service, reading.now)?;
            // An occasion that ends meanwhile keeps this as its reason.
            let store = &service.cx.store;
            store.write(|tx| transitions::mark_left(tx, Reason::Held, reading.now))?;
        }
        let why = shut.to_string();
        log.tell(Some(&why));
        service.halt(Some(why));
        Ok(None)
    }
}

/// Ends the service if another file lies at the database's path. Writes to the moved file would
/// be missing from the file at the path. Replies in flight are already recorded; the next start
/// asks the provider.
fn end_if_swapped(service: &Service) -> Result<(), NeedsPerson> {
    armed::swapped(&service.cx.store).map_or(Ok(()), |why| Err(NeedsPerson(why)))
}

fn dial_on(service: &Service, alive: &dyn Fn(), log: &mut ChangeLog) -> anyhow::Result<()> {
    let patience = Patience { pace: false, record: Duration::MAX };
    let mut dialer = Dialer::new(service, patience, service.clock.now()?)?.watched(alive);
    let mut duties = Duties::new(service, alive)?;
    let mut no_room = NoRoom::default();
    while !service.stopping() {
        alive();
        end_if_swapped(service)?;
        if !no_room.is_over(service, log)? {
            continue;
        }
        let round = dial_once(service, &mut dialer, &mut duties, log);
        if let Some(wait) = no_room.outlast(service, log, round)? {
            rest(service, wait);
        }
    }
    Ok(())
}

/// One pass, if the clock is good enough. Returns how long to wait for the next one.
fn dial_once<'s>(
    service: &'s Service,
    dialer: &mut Dialer<'s>,
    duties: &mut Duties<'s>,
    log: &mut ChangeLog,
) -> anyhow::Result<Duration> {
    if duties.see_to(dialer)? {
        let passed = dialer.pass(&mut |dialer| {
            duties.see_to(dialer)?;
            Ok(Some(duties.until_due()?))
        })?;
        if !service.stopping() {
            // A file that was swapped during the pass ends the service, which says why once.
            end_if_swapped(service)?;
            log.tell(passed.shut.map(|why| why.to_string()).as_deref());
        }
    } else {
        log.tell(hold_words::holds(&service.cx)?.first().map(String::as_str));
    }
    duties.until_due()
}

/// Runs scans by their cron; the first is due at once.
struct Scans {
    next: Option<Instant>,
}

impl Scans {
    fn new(service: &Service) -> anyhow::Result<Scans> {
        Ok(Scans { next: Some(service.clock.now()?) })
    }

    fn scan_if_due(&mut self, service: &Service, now: Instant) -> anyhow::Result<()> {
        if self.next.is_some_and(|at| at <= now) {
            scan::scan(&service.cx, now)?;
            self.next = service.cx.timetable.next_scan(now);
        }
        Ok(())
    }
}

/// The main thread's other work, also done while it waits for replies: clocks and scans.
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

    /// Compares the clocks and scans when due. Returns whether the clock is good enough to dial.
    fn see_to(&mut self, dialer: &mut Dialer<'_>) -> anyhow::Result<bool> {
        (self.alive)();
        let service = self.service;
        let reading = service.clock.read()?;
        // Before a scan or a claim, so that a clock jump cannot end an occasion or cause a call.
        if self.next_watch <= clock::elapsed() || dialer.has_jumped(&reading) {
            self.next_watch = clock::elapsed() + WATCH_EVERY;
            if watch(service, &reading)? {
                dialer.trust(reading.clone());
            }
        }
        if is_held(service, &HoldKind::Clock)? {
            return Ok(false);
        }
        self.scans.scan_if_due(service, reading.now)?;
        Ok(true)
    }

    /// How long until the next item or scan is due, at most `LOOK_AGAIN`: other processes may
    /// queue a call.
    fn until_due(&self) -> anyhow::Result<Duration> {
        let service = self.service;
        let now = service.clock.now()?;
        let next_due = service.cx.store.read(|conn| crate::store::queue::next_due(conn, now))?;
        let next = next_due.into_iter().chain(self.scans.next).min();
        let wait = next.map_or(LOOK_AGAIN, |at| (at - now).to_std().unwrap_or(Duration::ZERO));
        // One millisecond more, so that the instant has passed when the wait ends.
        Ok((wait + Duration::from_millis(1)).min(LOOK_AGAIN))
    }
}

fn is_held(service: &Service, kind: &HoldKind) -> anyhow::Result<bool> {
    service.cx.store.read(|conn| holds::is_held(conn, kind))
}

/// Compares the clocks and writes the marks. Returns whether the clocks agree.
fn watch(service: &Service, reading: &Reading) -> anyhow::Result<bool> {
    let cx = &service.cx;
    match clock_check::watch_clock(cx, reading, Heard::Nothing, clock::machine_now())? {
        Clocks::Agree => {}
        // The hold tells why, and the dialer logs it once.
        Clocks::Disagree(_) | Clocks::Unproven => return Ok(false),
    }
    cx.store.write(|tx| marks::set_mark(tx, Mark::LastTick, reading.now))?;
    Ok(true)
}

/// The follower's loop. It logs errors and retries; if the database cannot be written, the dialer
/// ends the service.
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

/// One round of the follower. `last_asked`: process time of the last request for the list.
fn follow_once(
    service: &Service,
    asking: &mut Pace,
    dialing_since: Instant,
    last_asked: &mut Option<Duration>,
) -> anyhow::Result<()> {
    let cx = &service.cx;
    let reading = service.clock.read()?;
    // A wrong clock would make a retry seem too late, and the occasion would be lost.
    if clock_check::is_trusted(cx, &reading)? {
        follower::follow(service, asking, Which::Due, reading.now)?;
        if !is_held(service, &HoldKind::Flag)? {
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

/// How often to ask about doubts: `poll_seconds` while one is young; `None` = the slow interval.
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
    let unchecked = service.cx.store.read(reach::wants_a_check)?;
    // Both holds are lifted automatically when the list is loaded.
    let held = is_held(service, &HoldKind::Clock)? || is_held(service, &HoldKind::Record)?;
    Ok((any_young || nameless || held || unchecked).then_some(often))
}

/// Notes whether the provider showed its list. An error of the database says nothing about it.
fn note_list(cx: &Context, asked: &anyhow::Result<ListAnswer>, now: Instant) -> anyhow::Result<()> {
    match asked.as_ref().map_err(|error| error.downcast_ref::<Shut>()) {
        Ok(_) => reach::note_list(cx, None, now),
        Err(Some(Shut::Unreadable(why))) => reach::note_list(cx, Some(why), now),
        Err(_) => Ok(()),
    }
}

fn ask(service: &Service, reading: &Reading, dialing_since: Instant) -> anyhow::Result<()> {
    let cx = &service.cx;
    let asking = Asking::Beside { dialing_since: Some(dialing_since) };
    let asked = reconcile::ask(cx, service.provider.as_ref(), reading, asking);
    note_list(cx, &asked, reading.now)?;
    let done = asked.and_then(|answer| {
        let now = service.clock.read()?;
        match clock_check::watch_clock(cx, &now, Heard::of(answer.date()), clock::machine_now())? {
            Clocks::Agree => reconcile::load(cx, &answer, reading),
            Clocks::Disagree(_) | Clocks::Unproven => Ok(Reconciled::default()),
        }
    });
    match done.map_err(anyhow::Error::downcast::<Shut>) {
        Ok(_) => Ok(()),
        Err(Ok(shut)) => {
            log::warn!("doubts stay open: {shut}");
            if shut.needs_a_person() {
                let why = shut.to_string();
                cx.store.write(|tx| holds::hold(tx, HoldKind::Account, &why, reading.now))?;
            }
            Ok(())
        }
        Err(Err(error)) => Err(error),
    }
}
