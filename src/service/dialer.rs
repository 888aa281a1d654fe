//! The dialer: claims as many items as there are free lines, posts each on its own thread, and
//! records the replies, several intents or outcomes in one commit where several are ready.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::Duration;

use crate::clock::{self, Reading};
use crate::domain::call::{AttemptState, Reason};
use crate::domain::{Instant, parse_instant};
use crate::service::pace::Pace;
use crate::service::{Service, new_id, opening};
use crate::steps::dial::{self, Intent, Pass};
use crate::steps::record::{self, Recorded, Reply};
use crate::store::meta;
use crate::store::moves;

/// How long a pass may last before the rest waits for the next one.
pub const PASS_AT_MOST: Duration = Duration::from_secs(600);
/// Equal refusals of the request itself in a row that open the breaker.
const EQUAL_REFUSALS: usize = 3;

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passed {
    /// Items taken up: dialed, skipped, or found already called.
    pub processed: usize,
    pub succeeded: usize,
    pub failed: usize,
    pub skipped: usize,
    pub in_doubt: usize,
    /// Why the pass ended before every due item was looked at.
    pub shut: Option<String>,
    /// Due items were left for want of a line or of pace.
    pub no_line: bool,
}

/// What a process remembers between passes.
pub struct Dialer<'s> {
    service: &'s Service,
    pace: Pace,
    /// A POST was accepted since the start, or since the breaker opened: several may be in
    /// flight.
    proven: bool,
    /// The breaker is open and its probe is under way: one more failure keeps it open.
    probing: bool,
    /// The last results, `true` for accepted: what the share of failures is counted on.
    recent: VecDeque<bool>,
    /// The last refusal of the request itself, and how often in a row.
    refused: (String, usize),
    patience: Patience,
}

/// How long a dialer waits for what is not its own doing.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Wait inside a pass until the pace allows the next POST.
    pub pace: bool,
    /// How long a reply that cannot be written is tried again before the pass ends with an
    /// error; the service tries until it is stopped.
    pub record: Duration,
}

type Answered = (Intent, Reply);

impl<'s> Dialer<'s> {
    pub fn new(
        service: &'s Service,
        patience: Patience,
        now: Instant,
    ) -> anyhow::Result<Dialer<'s>> {
        let dialing = &service.cx.config.dialing;
        let minute_ago = now - chrono::Duration::seconds(60);
        let begun = service
            .cx
            .store
            .read(|conn| crate::store::attempts::intents_since(conn, minute_ago))?;
        let ages = begun.iter().map(|begun| (now - *begun).to_std().unwrap_or_default());
        let ramp = Duration::from_secs(60 * u64::try_from(dialing.ramp_minutes).unwrap_or(0));
        Ok(Dialer {
            service,
            pace: Pace::new(dialing.calls_per_minute, ramp, ages, clock::elapsed()),
            proven: false,
            probing: false,
            recent: VecDeque::new(),
            refused: (String::new(), 0),
            patience,
        })
    }

    /// Dials what is due, at the allowed pace, while lines are free. An error: the database
    /// failed, and nothing more is posted.
    pub fn pass(&mut self) -> anyhow::Result<Passed> {
        self.pass_over(Pass::default())
    }

    /// The same over what a pass names.
    pub fn pass_over(&mut self, mut pass: Pass) -> anyhow::Result<Passed> {
        let mut done = Passed::default();
        let started = clock::elapsed();
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let (sender, receiver) = channel();
            let mut in_flight = 0;
            loop {
                in_flight -= self.take_replies(&receiver, in_flight, false, &mut done)?;
                let lines = self.lines(in_flight, started, &mut done)?;
                if lines == 0 {
                    if in_flight == 0 && !self.waits_for_pace(started, &done) {
                        return Ok(());
                    }
                    in_flight -= self.take_replies(&receiver, in_flight, true, &mut done)?;
                    continue;
                }
                let claimed = self.claim(&mut pass, lines, scope, &sender, &mut done)?;
                in_flight += claimed.0;
                if claimed.0 == 0 && claimed.1 {
                    if in_flight == 0 {
                        return Ok(());
                    }
                    in_flight -= self.take_replies(&receiver, in_flight, true, &mut done)?;
                }
            }
        })
        .and_then(|()| self.tell_left(done))
    }

    /// How many more POSTs may begin now; 0 with the reason in `done` when none may.
    fn lines(
        &mut self,
        in_flight: usize,
        started: Duration,
        done: &mut Passed,
    ) -> anyhow::Result<usize> {
        let service = self.service;
        if service.stopping() {
            done.shut = Some("stopping".to_string());
            return Ok(0);
        }
        if let Some(why) = opening::shut(service)? {
            done.shut = Some(why);
            return Ok(0);
        }
        let now = service.clock.now()?;
        let at_once = match self.breaker(now)? {
            Breaking::Open(why) => {
                done.shut = Some(format!("the breaker is open: {why}"));
                return Ok(0);
            }
            Breaking::Probing => 1,
            Breaking::Closed if !self.proven => 1,
            Breaking::Closed => service.cx.config.dialing.workers,
        };
        let in_use = service.cx.store.read(crate::store::attempts::lines_in_use)?;
        let lines = service.cx.config.dialing.max_active_calls.saturating_sub(in_use);
        let over = PASS_AT_MOST <= clock::elapsed().saturating_sub(started);
        let pace = if over { 0 } else { self.pace.free(clock::elapsed()) };
        done.no_line = lines == 0 || pace == 0;
        done.shut = None;
        Ok(lines.min(pace).min(at_once.saturating_sub(in_flight)))
    }

    /// Whether only the pace holds the pass up; waits a moment then.
    fn waits_for_pace(&mut self, started: Duration, done: &Passed) -> bool {
        let now = clock::elapsed();
        let over = PASS_AT_MOST <= now.saturating_sub(started);
        if over || !self.patience.pace || done.shut.is_some() || 0 < self.pace.free(now) {
            return false;
        }
        let lines_full = self
            .service
            .cx
            .store
            .read(crate::store::attempts::lines_in_use)
            .is_ok_and(|in_use| self.service.cx.config.dialing.max_active_calls <= in_use);
        if lines_full || !self.anything_due() {
            return false;
        }
        clock::pause(self.pace.wait(now).min(Duration::from_millis(200)));
        true
    }

    fn anything_due(&self) -> bool {
        let due = self.service.clock.now().and_then(|now| {
            self.service.cx.store.read(|conn| crate::store::queue::is_anything_due(conn, now))
        });
        due.unwrap_or(false)
    }

    /// Claims and posts. Returns how many were posted, and whether every due item was looked at.
    fn claim<'scope>(
        &mut self,
        pass: &mut Pass,
        lines: usize,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<Answered>,
        done: &mut Passed,
    ) -> anyhow::Result<(usize, bool)>
    where
        's: 'scope,
    {
        let service = self.service;
        // Read before the transaction: an intent that waited long for the lock is stale.
        let reading = service.clock.read()?;
        let mut new_id = || new_id(reading.now);
        let claimed = dial::claim(&service.cx, pass, lines, reading.now, &mut new_id)?;
        done.processed += claimed.intents.len() + claimed.skipped + claimed.completed;
        done.skipped += claimed.skipped;
        let count = claimed.intents.len();
        for intent in claimed.intents {
            self.pace.count(clock::elapsed());
            let (sender, committed) = (sender.clone(), reading.clone());
            scope.spawn(move || post(service, intent, &committed, &sender));
        }
        Ok((count, claimed.exhausted))
    }

    /// Takes the replies that are there, waiting for one with `wait`, and records them. Returns
    /// how many came.
    fn take_replies(
        &mut self,
        receiver: &Receiver<Answered>,
        in_flight: usize,
        wait: bool,
        done: &mut Passed,
    ) -> anyhow::Result<usize> {
        let mut replies = Vec::new();
        if wait && 0 < in_flight {
            replies.extend(receiver.recv().ok());
        }
        replies.extend(receiver.try_iter());
        let count = replies.len();
        if 0 < count {
            self.record(replies, done)?;
        }
        Ok(count)
    }

    /// Records replies together, or one by one when together fails; tries on when that fails
    /// too, and nothing is posted meanwhile. Never gives a reply up while its patience lasts.
    fn record(&mut self, replies: Vec<Answered>, done: &mut Passed) -> anyhow::Result<()> {
        let now = self.service.clock.now()?;
        if let Ok(all) = record::record_all(&self.service.cx, &replies, now) {
            return all.into_iter().try_for_each(|recorded| self.learn(recorded, now, done));
        }
        let started = clock::elapsed();
        let mut unwritten = replies;
        loop {
            let Some(error) = self.record_each(&mut unwritten, now, done)? else {
                self.service.halt(None);
                return Ok(());
            };
            let why = format!("{} outcomes cannot be written: {error:#}", unwritten.len());
            log::error!("dialing halts: {why}");
            self.service.halt(Some(why));
            let waited = clock::elapsed().saturating_sub(started);
            if self.patience.record < waited || self.service.stopping() {
                // The attempts stay `dialing` on disk, so the next start finds them in doubt and
                // asks the provider: nothing is lost and nothing is dialed again.
                return Err(error.context("write the outcome of a call"));
            }
            clock::pause(Duration::from_millis(500));
        }
    }

    /// Records what can be recorded; what cannot stays in `unwritten`, with the last error.
    fn record_each(
        &mut self,
        unwritten: &mut Vec<Answered>,
        now: Instant,
        done: &mut Passed,
    ) -> anyhow::Result<Option<anyhow::Error>> {
        let mut left = Vec::new();
        let mut trouble = None;
        for (intent, reply) in unwritten.drain(..) {
            match record::record(&self.service.cx, &intent, &reply, now) {
                Ok(recorded) => self.learn(recorded, now, done)?,
                Err(error) => {
                    trouble = Some(error);
                    left.push((intent, reply));
                }
            }
        }
        *unwritten = left;
        Ok(trouble)
    }

    /// What a recorded reply means for the process: counts, proof, breaker, halt.
    fn learn(&mut self, recorded: Recorded, now: Instant, done: &mut Passed) -> anyhow::Result<()> {
        let accepted = recorded.became == AttemptState::Placed;
        match recorded.became {
            AttemptState::Placed => done.succeeded += 1,
            AttemptState::InDoubt => done.in_doubt += 1,
            _ => done.failed += 1,
        }
        // The hold itself was committed with the attempt; the next claim finds it.
        if let Some(why) = &recorded.halt {
            log::error!("dialing halts: {why}");
        }
        if accepted && !self.proven {
            self.proven = true;
            if self.service.cx.store.write(meta::close_breaker)? {
                self.pace.recovered(clock::elapsed());
            }
        }
        let probed = std::mem::take(&mut self.probing);
        if recorded.breaker_opened {
            self.proven = false;
            self.recent.clear();
            return Ok(());
        }
        if probed && !accepted {
            return self.open_breaker("the probe failed too", now);
        }
        self.count_refusal(recorded.request_refused, now)?;
        self.count_result(accepted, now)
    }

    fn count_refusal(&mut self, refusal: Option<String>, now: Instant) -> anyhow::Result<()> {
        let Some(text) = refusal else {
            self.refused = (String::new(), 0);
            return Ok(());
        };
        let times = if self.refused.0 == text { self.refused.1 + 1 } else { 1 };
        self.refused = (text, times);
        if EQUAL_REFUSALS <= times {
            let why = format!("{times} equal refusals in a row: {}", self.refused.0);
            self.open_breaker(&why, now)?;
            self.refused = (String::new(), 0);
        }
        Ok(())
    }

    fn count_result(&mut self, accepted: bool, now: Instant) -> anyhow::Result<()> {
        let breaker = &self.service.cx.config.breaker;
        self.recent.push_back(accepted);
        while breaker.sample < self.recent.len() {
            self.recent.pop_front();
        }
        let failures = self.recent.iter().filter(|accepted| !**accepted).count();
        let share = failures as f64 / breaker.sample.max(1) as f64;
        if breaker.sample <= self.recent.len() && breaker.failure_share < share {
            let why = format!("{failures} of the last {} calls failed", self.recent.len());
            self.open_breaker(&why, now)?;
        }
        Ok(())
    }

    fn open_breaker(&mut self, why: &str, now: Instant) -> anyhow::Result<()> {
        self.proven = false;
        self.recent.clear();
        let cx = &self.service.cx;
        cx.store.write(|tx| record::open_breaker(cx, tx, why, None, now))
    }

    fn breaker(&mut self, now: Instant) -> anyhow::Result<Breaking> {
        let Some(breaker) = self.service.cx.store.read(meta::breaker)? else {
            return Ok(Breaking::Closed);
        };
        match parse_instant(&breaker.probe_at) {
            Some(probe_at) if probe_at <= now => {
                self.proven = false;
                self.probing = true;
                Ok(Breaking::Probing)
            }
            _ => Ok(Breaking::Open(breaker.why)),
        }
    }

    /// Marks what is due and was left with the reason, so that people see why it waits.
    fn tell_left(&self, done: Passed) -> anyhow::Result<Passed> {
        let reason = match &done.shut {
            Some(why) if why.starts_with("the breaker") => Reason::Breaker,
            Some(_) => Reason::Held,
            None if done.no_line => Reason::NoLine,
            None => return Ok(done),
        };
        let now = self.service.clock.now()?;
        self.service.cx.store.write(|tx| moves::mark_left(tx, reason, now))?;
        Ok(done)
    }
}

enum Breaking {
    Closed,
    /// One call may be tried.
    Probing,
    Open(String),
}

/// One POST on its own thread. The reply always reaches the dialer: it holds the receiver until
/// every thread of the pass has ended.
fn post(service: &Service, intent: Intent, committed: &Reading, sender: &Sender<Answered>) {
    let read_clock = || service.clock.read().ok();
    let reply = dial::place(service.provider.as_ref(), &intent, committed, &read_clock);
    if sender.send((intent, reply)).is_err() {
        log::error!("a reply came after its pass had ended; the next start asks the provider");
    }
}
