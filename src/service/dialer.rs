//! The dialer claims as many items as there are free lines and posts each on its own thread. Then
//! it records the replies. One commit takes all intents or outcomes that are ready together.

mod outcomes;
pub mod passed;
mod posting;

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::clock::{self, Reading};
use crate::domain::Instant;
use crate::domain::call::Reason;
use crate::service::dialer::passed::{PASS_AT_MOST, Passed, Patience, Stop};
use crate::service::dialer::posting::{Posting, hand_over, note_numbers};
use crate::service::pace::Pace;
use crate::service::{Service, new_id, opening};
use crate::steps::dial::{self, Pass};
use crate::steps::follow::{unended, webhook_events};
use crate::steps::readiness::clock_check::{self, Heard};
use crate::store;
use crate::store::meta::breaker;
use crate::store::queue::transitions;

/// The state of a process between passes.
pub struct Dialer<'s> {
    service: &'s Service,
    pace: Pace,
    /// The one item to dial: a call that a person requested. `None`: every due item.
    only: Option<i64>,
    /// A POST was accepted since the start or since the breaker opened: several may be in flight.
    proven: bool,
    /// The breaker was open at the last check.
    broken: bool,
    /// Intents that were not posted and never will be, while the ledger may call them `dialing`.
    unsent: Vec<String>,
    /// The provider refused one of our numbers: this pass may call the item from another number.
    look_again: bool,
    patience: Patience,
    /// Called while an outcome cannot be written, for a watchdog.
    alive: &'s dyn Fn(),
    /// The last trusted reading of both clocks; a jump is measured from it.
    trusted: Reading,
}

/// The caller's work while the dialer waits for replies. Returns how long the dialer may wait
/// before it checks the due items again; `None` = until a reply comes.
pub type Meanwhile<'m, 's> = &'m mut dyn FnMut(&mut Dialer<'s>) -> anyhow::Result<Option<Duration>>;

impl<'s> Dialer<'s> {
    pub fn new(
        service: &'s Service,
        patience: Patience,
        now: Instant,
    ) -> anyhow::Result<Dialer<'s>> {
        let dialing = &service.cx.config.dialing;
        let minute_ago = now - chrono::Duration::seconds(60);
        let (begun, mended_at) = service.cx.store.read(|conn| {
            let begun = crate::store::attempts::intents_since(conn, minute_ago)?;
            Ok((begun, breaker::breaker_closed_at(conn)?))
        })?;
        let ages = begun.iter().map(|begun| (now - *begun).to_std().unwrap_or_default());
        let ramp = Duration::from_secs(60 * u64::try_from(dialing.ramp_minutes).unwrap_or(0));
        let mut pace = Pace::new(dialing.calls_per_minute, ramp, ages, clock::elapsed());
        if let Some(ago) = mended_at.and_then(|at| (now - at).to_std().ok()) {
            pace.recovered(clock::elapsed(), ago);
        }
        Ok(Dialer {
            service,
            pace,
            only: None,
            proven: false,
            broken: false,
            unsent: Vec::new(),
            look_again: false,
            patience,
            alive: &|| {},
            trusted: service.clock.read()?,
        })
    }

    /// Whether the wall clock jumped since it was last trusted.
    pub fn has_jumped(&self, reading: &Reading) -> bool {
        clock_check::jumped(&self.trusted, reading)
    }

    /// Restricts the dialer to this item.
    pub fn only(mut self, item_id: i64) -> Dialer<'s> {
        self.only = Some(item_id);
        self
    }

    /// Calls `alive` while an outcome cannot be written, so that no watchdog kills the process. A
    /// process that waits for disk space holds the only copy of the outcome.
    pub fn watched(mut self, alive: &'s dyn Fn()) -> Dialer<'s> {
        self.alive = alive;
        self
    }

    /// Notes a reading at which the clocks were compared and agreed.
    pub fn trust(&mut self, reading: Reading) {
        self.trusted = reading;
    }

    /// Dials due items at the allowed pace while lines are free. A slow reply does not delay the
    /// other lines: they dial newly due items when the callback asks for a check. An error means
    /// that the database failed; nothing more is posted.
    pub fn pass(&mut self, meanwhile: Meanwhile<'_, 's>) -> anyhow::Result<Passed> {
        let mut done = Passed::default();
        let started = clock::elapsed();
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let (sender, receiver) = channel();
            let mut post = Posting { scope, sender, receiver, in_flight: 0, started };
            let worked = self.work(&mut post, meanwhile, &mut done);
            if worked.is_err() {
                self.keep_replies(&post.receiver, post.in_flight, &mut done);
            }
            worked
        })
        .and_then(|()| self.tell_left(done))
    }

    /// The loop of a pass: replies first, then as many claims as there are free lines.
    fn work<'scope>(
        &mut self,
        post: &mut Posting<'scope, '_>,
        meanwhile: Meanwhile<'_, 's>,
        done: &mut Passed,
    ) -> anyhow::Result<()>
    where
        's: 'scope,
    {
        let mut pass = self.only.map_or_else(Pass::default, Pass::over);
        loop {
            self.take_replies(&post.receiver, &mut post.in_flight, ReplyWait::Not, done)?;
            let lines = self.lines(post.in_flight, post.started, done)?;
            let (posted, exhausted) = match lines {
                0 => (0, false),
                _ => self.claim(&mut pass, lines, post, done)?,
            };
            post.in_flight += posted;
            if lines > 0 && (posted > 0 || !exhausted) {
                continue;
            }
            if post.in_flight == 0 {
                // Each round rests one more of our numbers, so the loop ends.
                if lines > 0 && std::mem::take(&mut self.look_again) {
                    pass = self.only.map_or_else(Pass::default, Pass::over);
                    continue;
                }
                if lines > 0 || !self.waits_for_pace(post.started, done) {
                    return Ok(());
                }
                continue;
            }
            let wait = match meanwhile(self)? {
                Some(wait) => {
                    // Items that were already examined may have changed.
                    pass = self.only.map_or_else(Pass::default, Pass::over);
                    ReplyWait::AtMost(wait)
                }
                None => ReplyWait::ForOne,
            };
            self.take_replies(&post.receiver, &mut post.in_flight, wait, done)?;
        }
    }

    /// How many more POSTs may begin now; if dialing is shut, 0, and the reason is in `done`.
    fn lines(
        &mut self,
        in_flight: usize,
        started: Duration,
        done: &mut Passed,
    ) -> anyhow::Result<usize> {
        let service = self.service;
        if service.stopping() {
            done.shut = Some(Stop::Stopping);
            return Ok(0);
        }
        if let Some(why) = opening::shut(service)? {
            done.shut = Some(Stop::Held(why));
            return Ok(0);
        }
        let reading = service.clock.read()?;
        if self.has_jumped(&reading) {
            clock_check::watch_clock(&service.cx, &reading, Heard::Nothing, clock::machine_now())?;
            done.shut = Some(Stop::ClockJumped);
            return Ok(0);
        }
        let now = reading.now;
        let at_once = match self.breaker(now)? {
            Breaking::Open(why) => {
                done.shut = Some(Stop::Breaker(why));
                return Ok(0);
            }
            Breaking::Probing => 1,
            Breaking::Closed if !self.proven => 1,
            Breaking::Closed => service.cx.config.dialing.workers,
        };
        let in_use =
            service.cx.store.read(|conn| unended::lines_in_use(&service.cx.config, conn, now))?;
        let lines = service.cx.config.dialing.max_active_calls.saturating_sub(in_use);
        let over = PASS_AT_MOST <= clock::elapsed().saturating_sub(started);
        let pace = if over { 0 } else { self.pace.free(clock::elapsed()) };
        done.no_line = lines == 0 || pace == 0;
        done.shut = None;
        Ok(lines.min(pace).min(at_once.saturating_sub(in_flight)))
    }

    /// Returns whether only the pace delays the pass, and if so waits for at most 200 ms.
    fn waits_for_pace(&mut self, started: Duration, done: &Passed) -> bool {
        let now = clock::elapsed();
        let over = PASS_AT_MOST <= now.saturating_sub(started);
        if over || !self.patience.pace || done.shut.is_some() || self.pace.free(now) > 0 {
            return false;
        }
        if self.lines_are_full() || !self.anything_due() {
            return false;
        }
        clock::pause(self.pace.wait(now).min(Duration::from_millis(200)));
        true
    }

    fn lines_are_full(&self) -> bool {
        let cx = &self.service.cx;
        let in_use = self
            .service
            .clock
            .now()
            .and_then(|now| cx.store.read(|conn| unended::lines_in_use(&cx.config, conn, now)));
        in_use.is_ok_and(|in_use| cx.config.dialing.max_active_calls <= in_use)
    }

    fn anything_due(&self) -> bool {
        let due = self.service.clock.now().and_then(|now| {
            self.service.cx.store.read(|conn| crate::store::queue::is_anything_due(conn, now))
        });
        due.unwrap_or(false)
    }

    /// Claims and posts. Returns how many were posted, and whether every due item was examined.
    fn claim<'scope>(
        &mut self,
        pass: &mut Pass,
        lines: usize,
        post: &Posting<'scope, '_>,
        done: &mut Passed,
    ) -> anyhow::Result<(usize, bool)>
    where
        's: 'scope,
    {
        let service = self.service;
        // Read before the transaction, so that an intent that waited long for the lock is stale.
        let reading = service.clock.read()?;
        if self.has_jumped(&reading) {
            return Ok((0, true));
        }
        self.disown(reading.now)?;
        webhook_events::hear(&service.cx, reading.now)?;
        let mut ids = Vec::new();
        let mut new_id = || {
            let id = new_id(reading.now);
            ids.push(id.clone());
            id
        };
        let claimed = match dial::claim(&service.cx, pass, lines, reading.now, &mut new_id) {
            Ok(claimed) => claimed,
            Err(error) => {
                // The commit may be on disk, but its intents were not posted and never will be.
                if store::is_uncertain_commit(&error) {
                    self.unsent = ids;
                    self.disown(reading.now)?;
                }
                return Err(error);
            }
        };
        if let Err(error) = note_numbers(service, &claimed.intents) {
            self.unsent = ids;
            self.disown(reading.now)?;
            return Err(error);
        }
        done.processed += claimed.intents.len() + claimed.skipped + claimed.completed;
        done.skipped += claimed.skipped;
        let count = claimed.intents.len();
        for intent in claimed.intents {
            self.pace.count(clock::elapsed());
            hand_over(service, intent, reading.clone(), post);
        }
        Ok((count, claimed.exhausted))
    }

    /// Records intents of a failed claim as not placed. Nothing else is claimed before that.
    fn disown(&mut self, now: Instant) -> anyhow::Result<()> {
        if !self.unsent.is_empty() {
            dial::disown(&self.service.cx, &self.unsent, now)?;
            self.unsent.clear();
        }
        Ok(())
    }

    fn breaker(&mut self, now: Instant) -> anyhow::Result<Breaking> {
        let Some(breaker) = self.service.cx.store.read(breaker::breaker)? else {
            if self.broken {
                self.mended();
            }
            return Ok(Breaking::Closed);
        };
        self.broken = true;
        self.proven = false;
        Ok(if breaker.is_half_open(now) {
            Breaking::Probing
        } else {
            Breaking::Open(breaker.words())
        })
    }

    /// Notes the end of an outage: the pace grows back gradually.
    fn mended(&mut self) {
        self.broken = false;
        self.pace.recovered(clock::elapsed(), Duration::ZERO);
    }

    /// Writes the reason into due items that were left, so that people see why they wait.
    fn tell_left(&self, done: Passed) -> anyhow::Result<Passed> {
        let reason = match &done.shut {
            Some(Stop::Breaker(_)) => Reason::Breaker,
            Some(_) => Reason::Held,
            None if done.no_line => Reason::NoLine,
            None => return Ok(done),
        };
        let now = self.service.clock.now()?;
        self.service.cx.store.write(|tx| transitions::mark_left(tx, reason, now))?;
        Ok(done)
    }
}

enum Breaking {
    Closed,
    /// One probe call may be placed.
    Probing,
    Open(String),
}

/// How long to wait for a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ReplyWait {
    Not,
    AtMost(Duration),
    ForOne,
}
