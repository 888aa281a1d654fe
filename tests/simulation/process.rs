//! One run of the program: its memory and its phases. A crash drops it.

use chrono::Duration;
use ringonce::clock::Reading;
use ringonce::domain::Instant;
use ringonce::steps::Context;
use ringonce::steps::dial::Pass;
use ringonce::steps::dial::intent::Intent;
use ringonce::steps::dial::record::PostReply;

pub struct Process {
    pub cx: Context,
    /// Set by `adopt`: a person moved this file here.
    pub adopting: bool,
    pub opened: Option<Instant>,
    pub proven: bool,
    /// One pass for each dialer that claims.
    pub passes: [Pass; 2],
    pub intents: Vec<(Intent, Reading)>,
    pub replies: Vec<(Intent, PostReply)>,
    /// The last reading of both clocks.
    pub watched: Option<Reading>,
    pub clock_held: bool,
    pub try_open: Instant,
    pub next_scan: Instant,
    pub next_claim: Instant,
    pub next_follow: Instant,
    pub next_reconcile: Instant,
    /// A single pass has scanned; the process ends when nothing is left to do.
    pub scanned: bool,
}

impl Process {
    pub fn new(cx: Context, adopting: bool, now: Instant) -> Process {
        Process {
            cx,
            adopting,
            opened: None,
            proven: false,
            passes: Default::default(),
            intents: Vec::new(),
            replies: Vec::new(),
            watched: None,
            clock_held: false,
            try_open: now,
            next_scan: now,
            next_claim: now,
            next_follow: now,
            next_reconcile: now + Duration::minutes(1),
            scanned: false,
        }
    }

    pub fn in_flight(&self) -> usize {
        self.intents.len() + self.replies.len()
    }
}

/// An act that can be next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    Open,
    Scan,
    Claim,
    Send,
    Record,
    Follow,
    Reconcile,
}

impl Process {
    /// All acts that are possible at this instant, in any order.
    pub fn acts(&self, now: Instant, ticks: bool) -> Vec<Act> {
        if self.opened.is_none() {
            return if self.try_open <= now { vec![Act::Open] } else { Vec::new() };
        }
        let mut acts = Vec::with_capacity(6);
        if !self.intents.is_empty() {
            acts.push(Act::Send);
        }
        if !self.replies.is_empty() {
            acts.push(Act::Record);
        }
        if self.next_follow <= now {
            acts.push(Act::Follow);
        }
        if self.next_scan <= now && !(ticks && self.scanned) {
            acts.push(Act::Scan);
        }
        let at_once = if self.proven { 4 } else { 1 };
        if self.next_claim <= now && self.in_flight() < at_once && (self.scanned || !ticks) {
            acts.push(Act::Claim);
        }
        if self.next_reconcile <= now && !ticks {
            acts.push(Act::Reconcile);
        }
        acts
    }

    /// The next instant at which an act is possible, if none is possible now.
    pub fn wakes_at(&self, ticks: bool) -> Instant {
        if self.opened.is_none() {
            return self.try_open;
        }
        let mut at = self.next_claim.min(self.next_follow);
        if !ticks {
            at = at.min(self.next_scan).min(self.next_reconcile);
        }
        at
    }
}
