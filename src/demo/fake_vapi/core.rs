//! The fake provider without sockets: it accepts calls, plans rings and builds answers. Every
//! method takes `now` and returns values, so a simulator can use it as well as the HTTP server.
//! Rings are counted at acceptance, whatever the answers say.

use std::collections::HashMap;

use chrono::Duration;

use crate::demo::fake_vapi::answers::{
    DAILY_LIMIT, FakePlaced, FakeRefusal, FakeReply, FakeTold, Form, ListQuery, form, lost_answer,
    refused, tell,
};
use crate::demo::fake_vapi::calls::{FakeCall, Mix, Order, Timing, call_id, plan};
use crate::demo::fake_vapi::fault_draw::{Roulette, Striking};
use crate::demo::fake_vapi::faults::{FaultKind, Faults, On};
use crate::demo::fake_vapi::journal::{Event, FakeEntry, Journal, Ring, duplicates};
use crate::domain::Instant;

/// The fake's settings, fixed at its start.
#[derive(Clone, Debug)]
pub struct Setup {
    pub org_id: String,
    pub seed: u64,
    pub timing: Timing,
    pub mix: Mix,
    /// The number of concurrent calls above which a 201 says `concurrencyBlocked`; the call is
    /// placed all the same.
    pub concurrency_limit: usize,
    /// Ended reasons after which a higher attempt number is not a duplicate.
    pub retryable: Vec<&'static str>,
    pub faults: Faults,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            org_id: "0b8c1f6e-2d47-4a3b-9f10-6f2f6f1c9a01".to_string(),
            seed: 1,
            timing: Timing::default(),
            mix: Mix::default(),
            concurrency_limit: 10,
            retryable: vec!["customer-did-not-answer", "customer-busy"],
            faults: Faults::default(),
        }
    }
}

/// The fake provider's state.
#[derive(Debug)]
pub struct FakeCore {
    pub(crate) setup: Setup,
    pub(crate) roulette: Roulette,
    pub(crate) journal: Journal,
    /// In the order of acceptance.
    pub(crate) calls: Vec<FakeCall>,
    pub(crate) by_id: HashMap<String, usize>,
    /// Whether `calls` is also in the order of creation.
    pub(crate) sorted: bool,
    /// Calls whose acceptance is delayed.
    pub(crate) waiting: Vec<FakeCall>,
    /// Indices of the calls that have perhaps not ended.
    pub(crate) live: Vec<usize>,
    pub(crate) ids_given: u64,
}

impl FakeCore {
    /// Continues from the journal's entries.
    pub fn new(setup: Setup, journal: Journal) -> FakeCore {
        let roulette = Roulette::new(setup.seed, setup.faults.clone());
        let mut core = FakeCore {
            setup,
            roulette,
            journal: Journal::default(),
            calls: Vec::new(),
            by_id: HashMap::new(),
            sorted: true,
            waiting: Vec::new(),
            live: Vec::new(),
            ids_given: 0,
        };
        for entry in journal.entries() {
            core.replay(entry);
        }
        core.journal = journal;
        core.write_missing_rings();
        core
    }

    /// Adds ring lines that are missing because the fake was killed just after the POST's own line.
    fn write_missing_rings(&mut self) {
        let mut missing: HashMap<&str, u32> =
            self.calls.iter().map(|call| (call.id.as_str(), call.rings)).collect();
        for entry in self.journal.entries().iter().filter(|entry| entry.rang) {
            if let Some(left) = entry.call_id.as_deref().and_then(|id| missing.get_mut(id)) {
                *left = left.saturating_sub(1);
            }
        }
        let lines: Vec<FakeEntry> = self
            .calls
            .iter()
            .filter(|call| call.cancelled_at.is_none())
            .flat_map(|call| {
                let line = FakeEntry::new(call.ring_at, Event::Ring).about_call(call);
                vec![line; missing[call.id.as_str()] as usize]
            })
            .collect();
        for line in lines {
            // The POST's own line has the same facts, so a failure here loses nothing.
            let _ = self.journal.add(line);
        }
    }

    fn replay(&mut self, entry: &FakeEntry) {
        self.ids_given += entry.calls.len() as u64;
        for call in &entry.calls {
            if call.created_at <= entry.at {
                self.keep(call.clone());
            } else {
                self.waiting.push(call.clone());
            }
        }
        let Some(id) = &entry.call_id else { return };
        if entry.event == Event::Accept
            && let Some(at) = self.waiting.iter().position(|call| call.id == *id)
        {
            let call = self.waiting.remove(at);
            self.keep(call);
        }
        if let Some(call) = self.by_id.get(id).map(|index| &mut self.calls[*index]) {
            match entry.event {
                Event::Cancel => call.cancelled_at = Some(entry.at),
                Event::Delete => call.deleted = true,
                _ => {}
            }
        }
    }

    pub fn journal(&self) -> &[FakeEntry] {
        self.journal.entries()
    }

    pub fn faults(&self) -> &Faults {
        self.roulette.faults()
    }

    /// Replaces the faults; `every` and `first` count from zero again.
    pub fn set_faults(&mut self, faults: Faults) {
        self.roulette.replace(faults);
    }

    /// Every accepted call, in the order of acceptance.
    pub fn calls(&self) -> &[FakeCall] {
        &self.calls
    }

    /// All rings, past and planned.
    pub fn rings(&self) -> Vec<Ring> {
        self.calls.iter().flat_map(Ring::all_of).collect()
    }

    /// The number of duplicate rings; `journal::duplicates` has the definition.
    pub fn duplicates(&self) -> usize {
        duplicates(&self.rings(), &self.setup.retryable).len()
    }

    /// The number of POSTs beyond one for the same tag, accepted or not. An attempt may POST once.
    pub fn repeated_posts(&self) -> usize {
        let posts =
            self.journal().iter().filter(|e| matches!(e.event, Event::Post | Event::Reject));
        let mut seen = std::collections::HashSet::new();
        posts.filter_map(|e| e.tag.as_deref()).filter(|tag| !seen.insert(*tag)).count()
    }

    /// Creates the calls whose delayed acceptance is due.
    pub fn advance(&mut self, now: Instant) {
        if self.waiting.iter().all(|call| call.created_at > now) {
            return;
        }
        let (due, later) =
            std::mem::take(&mut self.waiting).into_iter().partition(|call| call.created_at <= now);
        self.waiting = later;
        let mut due: Vec<FakeCall> = due;
        due.sort_by_key(|call| call.created_at);
        for call in due {
            // A failed write breaks the journal, which stops new acceptance. This call was
            // accepted before, by its POST.
            let _ =
                self.journal.add(FakeEntry::new(call.created_at, Event::Accept).about_call(&call));
            self.accept_call(call);
        }
    }

    /// `POST /call`
    pub fn post(&mut self, asked: ListQuery, now: Instant) -> FakeTold<FakePlaced> {
        self.advance(now);
        let tag = asked.order.as_ref().ok().and_then(Order::tag).map(str::to_string);
        let striking = self.roulette.strike(On::Post, tag.as_deref());
        let what = match self.refusal(&asked, &striking) {
            Some(reply) => Err(self.write_refusal(&asked, &striking, reply, now)),
            None => match asked.order {
                Ok(order) => self.accept(order, asked.client_port, &striking, now),
                Err(refusal) => Err(FakeReply::Refused(refusal)),
            },
        };
        tell(what, &striking, now)
    }

    /// The reply that refuses the POST; `None`: the call is placed.
    fn refusal(&self, asked: &ListQuery, striking: &Striking) -> Option<FakeReply> {
        use FaultKind::*;
        let number = |kind| striking.get(kind).map(|fault| fault.number() as u16);
        if self.journal.is_broken() {
            return Some(refused(503));
        }
        if let Some(status) = number(Down) {
            return Some(refused(status));
        }
        if striking.has(CloseBeforeAccept) {
            return Some(FakeReply::Close);
        }
        if striking.has(ResetBeforeAccept) {
            return Some(FakeReply::Reset);
        }
        if let Some(fault) = striking.get(HangBeforeAccept) {
            return Some(FakeReply::Hang(fault.real_time()));
        }
        if let Some(status) = number(Redirect) {
            return Some(FakeReply::Redirect { status, to: None });
        }
        if let Some(fault) = striking.get(RedirectTo) {
            return Some(FakeReply::Redirect { status: 307, to: Some(fault.text().to_string()) });
        }
        if let Some(status) = number(StatusHtml) {
            return Some(FakeReply::Html(status));
        }
        if let Some(status) = number(Status) {
            return Some(refused(status));
        }
        if let Some(fault) = striking.get(RateLimit) {
            let mut refusal = FakeRefusal::one(429, "Too many requests");
            refusal.retry_after_secs = Some(fault.number() as u64);
            return Some(FakeReply::Refused(refusal));
        }
        if !asked.authorized {
            return Some(refused(401));
        }
        if let Err(refusal) = &asked.order {
            return Some(FakeReply::Refused(refusal.clone()));
        }
        striking.has(DailyLimit).then(|| FakeReply::Refused(FakeRefusal::one(400, DAILY_LIMIT)))
    }

    fn write_refusal(
        &mut self,
        asked: &ListQuery,
        striking: &Striking,
        reply: FakeReply,
        now: Instant,
    ) -> FakeReply {
        let mut entry = FakeEntry::new(now, Event::Reject);
        if let Ok(order) = &asked.order {
            entry = entry.about(order);
        }
        entry.fault = striking.text();
        entry.client_port = asked.client_port;
        entry.status = match &reply {
            FakeReply::Refused(refusal) => Some(refusal.status),
            FakeReply::Html(status) | FakeReply::Redirect { status, .. } => Some(*status),
            _ => None,
        };
        // Nothing was accepted, so a failed write hides no ring.
        let _ = self.journal.add(entry);
        reply
    }

    fn accept(
        &mut self,
        order: Order,
        client_port: Option<u16>,
        striking: &Striking,
        now: Instant,
    ) -> Result<FakePlaced, FakeReply> {
        let calls = self.planned(&order, striking, now);
        let first = calls[0].clone();
        let mut entry = FakeEntry::new(now, Event::Post).about_call(&first);
        entry.fault = striking.text();
        entry.client_port = client_port;
        entry.calls = calls.clone();
        if !self.journal.add(entry) {
            return Err(refused(503));
        }
        for call in calls {
            if call.created_at > now {
                self.waiting.push(call);
            } else {
                self.accept_call(call);
            }
        }
        if let Some(reply) = lost_answer(striking) {
            return Err(reply);
        }
        self.live.retain(|index| !self.calls[*index].is_over(now));
        let limit = self.setup.concurrency_limit;
        let mut record = first.record(now, &self.setup.org_id);
        let form = form(striking);
        if form == Form::NoId {
            record.id = None;
        }
        Ok(FakePlaced {
            record,
            form,
            concurrency_blocked: self.live.len() > limit
                || striking.has(FaultKind::ConcurrencyBlocked),
            concurrency_limit: limit,
            remaining_calls: limit.saturating_sub(self.live.len()),
        })
    }

    /// Plans the calls of one accepted POST: one, or two by a fault.
    fn planned(&mut self, order: &Order, striking: &Striking, now: Instant) -> Vec<FakeCall> {
        let setup = &self.setup;
        let span = |kind| striking.get(kind).map_or(Duration::zero(), |fault| fault.span());
        let created_at = now + span(FaultKind::DelayedAccept);
        let delay = span(FaultKind::RingAfter);
        let goes = setup.mix.choose(setup.seed, order);
        let mut calls = Vec::new();
        for _ in 0..1 + usize::from(striking.has(FaultKind::Twice)) {
            let id = call_id(setup.seed, self.ids_given, created_at);
            self.ids_given += 1;
            let mut call = plan(id, order.clone(), created_at, delay, &setup.timing, goes);
            if let Some(fault) = striking.get(FaultKind::EndedReason) {
                call.rings = 1;
                call.ended_reason = fault.text().to_string();
            }
            if striking.has(FaultKind::RingTwice) {
                call.rings *= 2;
            }
            if let Some(fault) = striking.get(FaultKind::NeverDialed) {
                call.rings = 0;
                call.answered_at = None;
                call.ended_at = created_at;
                call.ended_reason = fault.text().to_string();
            }
            calls.push(call);
        }
        calls
    }

    /// Creates a call: adds its rings to the journal and keeps it.
    fn accept_call(&mut self, call: FakeCall) {
        for _ in 0..call.rings {
            // The POST's own line is on disk and has the same facts.
            let _ = self.journal.add(FakeEntry::new(call.ring_at, Event::Ring).about_call(&call));
        }
        self.keep(call);
    }

    fn keep(&mut self, call: FakeCall) {
        let index = self.calls.len();
        self.sorted &= self.calls.last().is_none_or(|last| last.created_at <= call.created_at);
        self.by_id.insert(call.id.clone(), index);
        self.live.push(index);
        self.calls.push(call);
    }
}
