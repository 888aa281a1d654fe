//! Simulates the coming days on a copy in memory, with the real scan, claim, record and follow. The
//! clock jumps from event to event, and the provider's answers are assumed.
//!
//! Writes nothing and makes no network request. Calls last as long as assumed, and nobody edits
//! anything during the simulated time.

use std::collections::{BTreeMap, VecDeque};

use chrono::Duration;
use serde::Serialize;

use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_text};
use crate::provider::{Accepted, ProviderCall};
use crate::steps::dial::intent::Intent;
use crate::steps::dial::{self, Pass, record};
use crate::steps::{Context, follow, scan};
use crate::store::attempts;
use crate::store::views::{self, Count};

/// The assumptions of one simulation.
#[derive(Clone, Debug)]
pub struct Assumed {
    pub from: Instant,
    pub until: Instant,
    /// How long an answered call lasts.
    pub call_length: Duration,
    /// How long it rings when nobody answers.
    pub ring_length: Duration,
    /// Share of calls that nobody answers, 0 to 1.
    pub no_answer_share: f64,
}

/// The result of a simulation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Simulated {
    pub from: String,
    pub until: String,
    pub calls: usize,
    /// The part of `calls` that are second or later attempts of an occasion.
    pub retries: usize,
    pub dispositions: Vec<Count>,
    pub skipped: Vec<Count>,
    pub by_hour: Vec<Hour>,
    /// Calls that began after their due time, because no line was free or the pace limit was
    /// reached.
    pub delayed: usize,
    pub longest_delay_seconds: i64,
    /// The most calls at one time.
    pub most_lines: usize,
    pub max_active_calls: usize,
    pub calls_per_minute: usize,
}

/// One hour, and the cap that delayed calls in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hour {
    /// When the hour begins.
    pub at: String,
    pub calls: usize,
    /// `max_active_calls` delayed a call.
    pub lines_bound: bool,
    /// `calls_per_minute` delayed a call.
    pub pace_bound: bool,
}

/// Runs the simulation on `cx`, whose store must be a copy that nobody else uses. Time begins at
/// `now`, so that events before `from` count. Only the time from then on is reported.
pub fn simulate(cx: &Context, assumed: &Assumed, now: Instant) -> anyhow::Result<Simulated> {
    let mut world = SimulatedWorld::new(cx, assumed, now.min(assumed.from))?;
    while world.now < assumed.until {
        world.step()?;
        match world.next_event()? {
            Some(next) => world.now = next,
            None => break,
        }
    }
    world.end_calls(assumed.until)?;
    world.told()
}

struct SimulatedWorld<'a> {
    cx: &'a Context,
    assumed: &'a Assumed,
    start: Instant,
    now: Instant,
    next_scan: Option<Instant>,
    /// Running calls by their end.
    running: BTreeMap<(Instant, String), (attempts::Attempt, bool)>,
    /// The begin times of the last minute's calls.
    begun: VecDeque<Instant>,
    /// Something is due and waits for a line or for pace.
    bound: bool,
    hours: BTreeMap<Instant, Hour>,
    told: Simulated,
}

impl<'a> SimulatedWorld<'a> {
    fn new(
        cx: &'a Context,
        assumed: &'a Assumed,
        start: Instant,
    ) -> anyhow::Result<SimulatedWorld<'a>> {
        // Calls that run now use their lines until they end.
        let placed = cx.store.read(|conn| attempts::in_state(conn, AttemptState::Placed))?;
        let running = placed.into_iter().map(|attempt| {
            let end = (attempt.created_at + assumed.call_length).max(start);
            ((end, attempt.id.clone()), (attempt, true))
        });
        Ok(SimulatedWorld {
            cx,
            assumed,
            start,
            now: start,
            next_scan: Some(start),
            running: running.collect(),
            begun: VecDeque::new(),
            bound: false,
            hours: BTreeMap::new(),
            told: Simulated::default(),
        })
    }

    /// Everything that happens at this instant: calls end, a scan runs, calls begin.
    fn step(&mut self) -> anyhow::Result<()> {
        self.end_calls(self.now)?;
        if self.next_scan.is_some_and(|at| at <= self.now) {
            scan::scan(self.cx, self.now)?;
            self.next_scan = self.cx.timetable.next_scan(self.now);
        }
        self.dial()
    }

    fn end_calls(&mut self, until: Instant) -> anyhow::Result<()> {
        while let Some(entry) = self.running.first_entry() {
            let at = entry.key().0;
            if until < at {
                return Ok(());
            }
            let (attempt, answered) = entry.remove();
            let reason = if answered { "customer-ended-call" } else { "customer-did-not-answer" };
            let call = ProviderCall {
                id: attempt.vapi_call_id.clone().unwrap_or_default(),
                status: Some("ended".to_string()),
                ended_reason: Some(reason.to_string()),
                started_at: Some(attempt.created_at),
                ended_at: Some(at),
                ..ProviderCall::default()
            };
            follow::apply_record(self.cx, &attempt, &call, at)?;
        }
        Ok(())
    }

    /// Claims as many calls as lines and pace allow.
    fn dial(&mut self) -> anyhow::Result<()> {
        let minute = Duration::seconds(60);
        while self.begun.front().is_some_and(|begun| *begun + minute <= self.now) {
            self.begun.pop_front();
        }
        let dialing = &self.cx.config.dialing;
        let mut pass = Pass::default();
        let now = self.now;
        let mut new_id = || dial::new_id(now);
        loop {
            let lines = dialing.max_active_calls.saturating_sub(self.running.len());
            let pace = dialing.calls_per_minute.saturating_sub(self.begun.len());
            self.bound = false;
            if lines.min(pace) == 0 {
                self.note_bound(lines == 0, pace == 0)?;
                return Ok(());
            }
            let claimed = dial::claim(self.cx, &mut pass, lines.min(pace), self.now, &mut new_id)?;
            for intent in claimed.intents {
                self.begin(&intent)?;
            }
            if claimed.exhausted {
                return Ok(());
            }
        }
    }

    /// A cap counts only when it delays something that is due.
    fn note_bound(&mut self, lines: bool, pace: bool) -> anyhow::Result<()> {
        let now = self.now;
        self.bound = self.cx.store.read(|conn| crate::store::queue::is_anything_due(conn, now))?;
        if self.bound && self.is_told() {
            let hour = self.hour();
            hour.lines_bound |= lines;
            hour.pace_bound |= pace;
        }
        Ok(())
    }

    fn begin(&mut self, intent: &Intent) -> anyhow::Result<()> {
        let attempt = &intent.attempt;
        let call_id = format!("simulated-{}", attempt.seq);
        let call = ProviderCall { id: call_id.clone(), ..ProviderCall::default() };
        let accepted = Accepted { call: Some(call), date: None };
        record::record(self.cx, intent, &Ok(accepted), self.now)?;
        let answered = self.assumed.no_answer_share <= share_of(attempt);
        let length = if answered { self.assumed.call_length } else { self.assumed.ring_length };
        let placed = attempts::Attempt { vapi_call_id: Some(call_id.clone()), ..attempt.clone() };
        self.running.insert((self.now + length, call_id), (placed, answered));
        self.begun.push_back(self.now);
        if self.is_told() {
            // A call that was due before the simulation began is not late because of the
            // simulation.
            let due = intent.due_at.max(self.start);
            let delay = (self.now - due).num_seconds();
            self.hour().calls += 1;
            self.told.calls += 1;
            self.told.retries += usize::from(1 < attempt.attempt_no);
            self.told.most_lines = self.told.most_lines.max(self.running.len());
            self.told.delayed += usize::from(delay > 0);
            self.told.longest_delay_seconds = self.told.longest_delay_seconds.max(delay);
        }
        Ok(())
    }

    fn is_told(&self) -> bool {
        self.assumed.from <= self.now
    }

    fn hour(&mut self) -> &mut Hour {
        let seconds = self.now.timestamp().rem_euclid(3600);
        let milliseconds = i64::from(self.now.timestamp_subsec_millis());
        let at = self.now - Duration::seconds(seconds) - Duration::milliseconds(milliseconds);
        self.hours.entry(at).or_insert_with(|| Hour { at: instant_text(at), ..Hour::default() })
    }

    /// The next instant at which anything can happen.
    fn next_event(&self) -> anyhow::Result<Option<Instant>> {
        let now = self.now;
        let due = self.cx.store.read(|conn| crate::store::queue::next_due(conn, now))?;
        let call_end = self.running.keys().next().map(|(at, _)| *at);
        let pace = self.begun.front().map(|begun| *begun + Duration::seconds(60));
        let events = [due, self.next_scan, call_end, pace.filter(|_| self.bound)];
        Ok(events.into_iter().flatten().filter(|at| now < *at).min())
    }

    fn told(mut self) -> anyhow::Result<Simulated> {
        let from = self.assumed.from;
        let today = self.cx.store.read(|conn| views::today(conn, from))?;
        let dialing = &self.cx.config.dialing;
        self.told.from = instant_text(from);
        self.told.until = instant_text(self.assumed.until);
        self.told.dispositions = today.dispositions;
        self.told.skipped = today.skipped;
        self.told.max_active_calls = dialing.max_active_calls;
        self.told.calls_per_minute = dialing.calls_per_minute;
        self.told.by_hour = self.hours.into_values().collect();
        Ok(self.told)
    }
}

/// A share from 0 to 1 from only the occasion and the attempt number, so that the same
/// simulation always gives the same result.
fn share_of(attempt: &attempts::Attempt) -> f64 {
    let words = format!("{} {} {}", attempt.customer_key, attempt.occasion, attempt.attempt_no);
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in words.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state ^= state >> 32;
    state = state.wrapping_mul(0xd6e8_feb8_6659_fd93);
    state ^= state >> 32;
    (state >> 11) as f64 / (1u64 << 53) as f64
}
