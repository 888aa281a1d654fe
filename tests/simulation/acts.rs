//! The phases of a process, each one atomic: the program's loop over the real steps.

use anyhow::{bail, ensure};
use chrono::{Duration, DurationRound};
use ringonce::clock::Reading;
use ringonce::config::settings::Follow;
use ringonce::domain::call::AttemptState;
use ringonce::domain::start::{Acceptance, Asking, Clocks, Shut};
use ringonce::domain::{Instant, parse_instant};
use ringonce::provider::{PlaceError, Refusal};
use ringonce::steps::breaker::Became;
use ringonce::steps::dial::record::{self, Recorded};
use ringonce::steps::dial::{self, intent};
use ringonce::steps::follow::unended::holds_a_line_since;
use ringonce::steps::follow::{self, Followed};
use ringonce::steps::readiness::clock_check::{self, Heard};
use ringonce::steps::reconcile;
use ringonce::steps::scan;
use ringonce::store::meta::{breaker, holds};
use ringonce::store::{attempts, queue};

use crate::life::Life;
use crate::process::{Act, Process};
use crate::{oracle, outside};

const FAR: Duration = Duration::days(400);

/// `None`: the provider's records keep the gate closed now, which does not break the promise.
fn closed<T>(asked: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match asked {
        Ok(told) => Ok(Some(told)),
        Err(error) => {
            let shut = error.downcast::<Shut>()?;
            if std::env::var_os("SIM_TRACE").is_some() {
                eprintln!("{shut}");
            }
            Ok(None)
        }
    }
}

impl Life {
    pub fn act(&mut self, act: Act) -> anyhow::Result<()> {
        let mut process = self.process.take().expect("it acts");
        let done = match act {
            Act::Open => self.open(&mut process),
            Act::Scan => self.scan(&mut process),
            Act::Claim => self.claim(&mut process),
            Act::Send => self.send(&mut process),
            Act::Record => self.record(&mut process),
            Act::Follow => self.follow(&mut process),
            Act::Reconcile => self.reconcile(&mut process),
        };
        self.process = Some(process);
        done
    }

    fn open(&mut self, process: &mut Process) -> anyhow::Result<()> {
        let reading = self.reading();
        process.try_open = self.now + Duration::minutes(1);
        let cx = &process.cx;
        self.vapi.world().right_key = process.adopting;
        if process.adopting {
            cx.store.write(|tx| clock_check::accept_clock(tx, &reading))?;
        }
        let accepted = if process.adopting {
            Acceptance::Adoption { unreadable_rows: false }
        } else {
            Acceptance::Nothing
        };
        let asked = match reconcile::ask(cx, &self.vapi, &reading, Asking::Start(accepted)) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(error.downcast::<Shut>()?),
        };
        let Ok(answer) = &asked else { return Ok(()) };
        let (from, heard) = (answer.from, Heard::of(answer.date()));
        let clocks = clock_check::watch_clock(cx, &reading, heard, reading.now)?;
        let started = reconcile::start(cx, asked, accepted, clocks, &reading)?;
        if let Some(why) = &started.shut {
            self.tell(|| why.to_string());
        }
        if started.reconciled.is_some() {
            self.vapi.world().taken_in(from);
        }
        if matches!(started.shut, Some(Shut::CalledElsewhere { .. })) {
            self.decide_soon();
        }
        if !started.shut.as_ref().is_none_or(Shut::waits_for_the_list) {
            if self.plan.faults.long_garbled {
                process.try_open = self.now + Duration::minutes(20);
            }
            return Ok(());
        }
        self.check_the_decision()?;
        if self.adopting {
            self.adopt(&reading)?;
        }
        process.adopting = false;
        if started.shut.is_some() {
            process.try_open = self.now + Duration::minutes(3);
            // Everything but dialing continues.
            return scan::scan(&process.cx, reading.now).map(drop);
        }
        process.watched = Some(reading.clone());
        process.opened = Some(reading.now);
        Ok(())
    }

    /// Compares the clocks once a minute, and at once after a jump or while they disagree.
    fn clock_is_held(&self, process: &mut Process, reading: &Reading) -> anyhow::Result<bool> {
        if let Some(last) = &process.watched {
            let recent = reading.monotonic_ms - last.monotonic_ms < 60_000;
            if !clock_check::jumped(last, reading) && !process.clock_held && recent {
                return Ok(false);
            }
        }
        let clocks = clock_check::watch_clock(&process.cx, reading, Heard::Nothing, reading.now)?;
        process.clock_held = clocks != Clocks::Agree;
        if process.clock_held {
            process.next_reconcile = process.next_reconcile.min(self.now + Duration::minutes(1));
        } else {
            process.watched = Some(reading.clone());
        }
        Ok(process.clock_held)
    }

    fn scan(&mut self, process: &mut Process) -> anyhow::Result<()> {
        let reading = self.reading();
        let quarter = self.now.duration_trunc(Duration::minutes(15))?;
        process.next_scan = quarter + Duration::minutes(15);
        process.scanned = true;
        if !self.clock_is_held(process, &reading)? {
            scan::scan(&process.cx, reading.now)?;
        }
        process.next_claim = self.now;
        Ok(())
    }

    fn claim(&mut self, process: &mut Process) -> anyhow::Result<()> {
        let reading = self.reading();
        process.next_claim = self.now + FAR;
        if self.clock_is_held(process, &reading)? {
            process.next_claim = self.now + Duration::minutes(1);
            return Ok(());
        }
        let held = self.store.read(holds::holds)?;
        if let Some(hold) = held.iter().find(|hold| hold.kind != "clock".into()) {
            bail!("a hold of kind {}: {}", hold.kind, hold.why);
        }
        if !held.is_empty() {
            process.next_claim = self.now + Duration::minutes(5);
            return Ok(());
        }
        let lines = self.lines(process, reading.now)?;
        if lines == 0 {
            return Ok(());
        }
        let dice = &mut self.dice;
        // Two dialers on one file take turns in claiming, each with its own pass.
        let who = if self.plan.two_claim { dice.below(2) } else { 0 };
        let mut new_id = || outside::id(dice.roll(), dice.roll());
        let pass = &mut process.passes[who];
        let claimed = dial::claim(&process.cx, pass, lines, reading.now, &mut new_id)?;
        for intent in claimed.intents {
            self.check_intent(&intent)?;
            process.intents.push((intent, reading.clone()));
        }
        if claimed.exhausted {
            process.passes = Default::default();
            process.next_claim = self.next_due(reading.now)?;
        } else {
            process.next_claim = self.now + self.plan.pace;
        }
        Ok(())
    }

    fn check_intent(&self, intent: &intent::Intent) -> anyhow::Result<()> {
        ensure!(
            self.wall_offset.abs() < Duration::seconds(2),
            "dialed while the clock was {} seconds off",
            self.wall_offset.num_seconds()
        );
        ensure!(!self.paused_all, "dialed while everything is paused");
        let id = intent.attempt.customer_id;
        let Some(person) = self.people.iter().find(|person| Some(person.id) == id) else {
            bail!("customer {id:?} is dialed and does not exist");
        };
        let unwanted = self.do_not_call.contains(&person.phone);
        ensure!(!unwanted, "customer {} is on the do-not-call list and dialed", person.id);
        oracle::after_elsewhere(&self.vapi.world(), intent, person)?;
        self.store.read(|conn| self.book.intent(conn, intent, person, self.now))
    }

    fn next_due(&self, wall: Instant) -> anyhow::Result<Instant> {
        let due = self.store.read(|conn| queue::next_due(conn, wall))?;
        Ok(due.map_or(self.now + FAR, |due| due - self.wall_offset))
    }

    /// How many more calls may be dialed now; sets when to ask again if none may.
    fn lines(&self, process: &mut Process, wall: Instant) -> anyhow::Result<usize> {
        let mut at_once = if process.proven { 4 } else { 1 };
        if let Some(breaker) = self.store.read(breaker::breaker)? {
            let probe_at = parse_instant(&breaker.probe_at).expect("an instant");
            if wall < probe_at {
                process.next_claim = probe_at - self.wall_offset;
                return Ok(0);
            }
            process.proven = false;
            at_once = 1;
        }
        let since = holds_a_line_since(&Follow::default(), wall);
        let in_use = self.store.read(|conn| attempts::unended::lines_in_use(conn, since))?;
        let lines = self.plan.lines.saturating_sub(in_use).min(16);
        // To the file, several intents of one commit are the same as several lines.
        let most = if at_once == 1 || !self.plan.pace.is_zero() { 1 } else { lines };
        if most.min(lines) == 0 {
            process.next_claim = self.now + Duration::seconds(10);
        }
        Ok(if process.in_flight() < at_once { most.min(lines) } else { 0 })
    }

    fn send(&mut self, process: &mut Process) -> anyhow::Result<()> {
        if !self.quiet && self.dice.one_in(self.plan.stop_in) {
            self.counts.stops += 1;
            let longest = if self.dice.one_in(10) { 30_000 } else { 20 };
            let time = self.dice.seconds(1, longest);
            self.pass_time(time)?;
        }
        let at = self.dice.below(process.intents.len());
        let (intent, committed) = process.intents.swap_remove(at);
        let state = self.store.read(|conn| attempts::by_id(conn, &intent.attempt.id))?;
        let state = state.map(|attempt| attempt.state);
        ensure!(
            state == Some(AttemptState::Dialing),
            "a POST of attempt {} whose intent is {state:?}",
            intent.attempt.id
        );
        let reading = self.reading();
        let reply = dial::place(&self.vapi, &intent, &committed, &|| Some(reading.clone()));
        let stale = matches!(&reply, Err(PlaceError::NotPlaced { refusal: Refusal::Stale, .. }));
        let age = self.now - intent.attempt.created_at + self.wall_offset;
        ensure!(
            stale || age <= dial::FRESH_FOR,
            "an intent of {} seconds ago was sent",
            age.num_seconds()
        );
        process.replies.push((intent, reply));
        let time = Duration::milliseconds(self.dice.below(100) as i64);
        self.pass_time(time)
    }

    fn record(&mut self, process: &mut Process) -> anyhow::Result<()> {
        let now = self.reading().now;
        let recorded: Vec<Recorded> = if self.dice.one_in(2) {
            let all = record::record_all(&process.cx, &process.replies, now)?;
            process.replies.clear();
            all
        } else {
            let at = self.dice.below(process.replies.len());
            let (intent, reply) = process.replies.swap_remove(at);
            vec![record::record(&process.cx, &intent, &reply, now)?]
        };
        for recorded in recorded {
            self.learn(process, &recorded)?;
        }
        process.next_follow = process.next_follow.min(self.now + Duration::seconds(10));
        Ok(())
    }

    /// Does what the program's dialer does with a recorded reply.
    fn learn(&mut self, process: &mut Process, recorded: &Recorded) -> anyhow::Result<()> {
        if let Some(why) = &recorded.halt {
            bail!("a flag could not be proven: {why}");
        }
        if recorded.became == AttemptState::Placed {
            if !process.proven {
                process.proven = true;
                process.next_claim = process.next_claim.min(self.now);
            }
        } else {
            process.next_claim = self.now;
            let soon = self.now + Duration::minutes(1);
            process.next_reconcile = process.next_reconcile.min(soon);
            self.plan_a_new_key(recorded.became);
        }
        process.proven &= recorded.breaker != Became::Opened;
        Ok(())
    }

    /// A person sees calls in doubt and tries another key.
    fn plan_a_new_key(&mut self, became: AttemptState) {
        let is_still_far = self.plan.new_key_at.is_some_and(|at| self.now < at);
        if became == AttemptState::InDoubt && is_still_far && self.dice.one_in(10) {
            self.plan.new_key_at = Some(self.now);
            self.next_chaos = self.now;
        }
    }

    fn follow(&mut self, process: &mut Process) -> anyhow::Result<()> {
        let reading = self.reading();
        let now = reading.now;
        if process.clock_held || !clock_check::is_trusted(&process.cx, &reading)? {
            process.next_follow = self.now + Duration::minutes(1);
            return Ok(());
        }
        let placed = self.store.read(|conn| attempts::in_state(conn, AttemptState::Placed))?;
        let mut ended = false;
        for attempt in &placed {
            let due = follow::is_due(attempt, now);
            if !due && !self.plan.ticks {
                continue;
            }
            match follow::poll(&process.cx, &self.vapi, attempt, now)? {
                Followed::Ended(_) => ended = true,
                Followed::GoesOn => {}
                Followed::Unanswered(_) => break,
            }
            if !self.quiet && self.dice.one_in(self.plan.crash_in * 4) {
                break;
            }
        }
        process.next_follow = self.next_poll()?;
        if ended {
            process.next_claim = process.next_claim.min(self.next_due(now)?);
            // A line is free again.
            let due = self.store.read(|conn| queue::is_anything_due(conn, now))?;
            if due {
                process.next_claim = self.now;
            }
        }
        Ok(())
    }

    fn next_poll(&self) -> anyhow::Result<Instant> {
        let next: Option<String> = self.store.read(|conn| {
            let sql = "SELECT min(next_poll_at) FROM call_attempts
                 WHERE state = 'placed'";
            Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
        })?;
        let next = next.and_then(|text| parse_instant(&text)).map(|at| at - self.wall_offset);
        let soon = self.now + Duration::seconds(5);
        // Polled at least this often, because a wrong clock may have written the instant.
        let latest = self.now + Duration::minutes(5);
        Ok(next.map_or(self.now + FAR, |next| next.clamp(soon, latest)))
    }

    fn reconcile(&mut self, process: &mut Process) -> anyhow::Result<()> {
        let reading = self.reading();
        let cx = &process.cx;
        process.next_reconcile = self.now + self.plan.idle_reconcile;
        let asking = Asking::Beside { dialing_since: process.opened };
        if let Some(answer) = closed(reconcile::ask(cx, &self.vapi, &reading, asking))? {
            let heard = Heard::of(answer.date());
            let clocks = clock_check::watch_clock(cx, &reading, heard, reading.now)?;
            process.clock_held = clocks != Clocks::Agree;
            if !process.clock_held {
                process.watched = Some(reading.clone());
                process.next_claim = process.next_claim.min(self.now);
                let done = closed(reconcile::load(cx, &answer, &reading))?;
                if done.is_some() {
                    self.vapi.world().taken_in(answer.from);
                }
                if let Some(why) = done.and_then(|done| done.foreign) {
                    bail!("a foreign dialer was seen where there is none: {why}");
                }
            }
        }
        if process.clock_held {
            process.next_reconcile = self.now + Duration::minutes(1);
        }
        let doubts = self.store.read(|conn| attempts::in_state(conn, AttemptState::InDoubt))?;
        let young = reading.now - Duration::hours(1);
        if doubts.iter().any(|attempt| young < attempt.created_at) {
            process.next_reconcile = self.now + self.pace_of_asking();
        }
        process.next_follow = process.next_follow.min(self.next_poll()?);
        Ok(())
    }

    /// Delay before young doubts are asked about again. The program asks every ten seconds. Longer
    /// delays stand for a slow provider or the limit of requests.
    fn pace_of_asking(&mut self) -> Duration {
        match self.plan.any_pace {
            true if self.dice.one_in(3) => Duration::seconds(10),
            true => self.dice.seconds(240, 480),
            false => Duration::minutes(4),
        }
    }
}
