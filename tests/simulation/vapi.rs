//! The provider in this process: it accepts, rings, forgets, lies and lags as the seed decides. The
//! calls that truly rang are kept apart from those that it reports.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

use chrono::Duration;
use ringonce::domain::Instant;
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ProviderCall, ReadError, Refusal,
};

use crate::calls::{Call, tell};
use crate::dice::Dice;
use crate::faults::{Faults, OnPost, Spell};

const OTHER_ORG: &str = "another-org";

pub struct World {
    pub now: Instant,
    pub faults: Faults,
    pub spell: Spell,
    /// A person who adopts a file checks its key: no list is then another account's.
    pub right_key: bool,
    /// The account that the key belongs to now.
    pub account: usize,
    pub calls: Vec<Call>,
    /// Calls that were created since they were last read.
    pub fresh: Vec<usize>,
    pub posts: u64,
    /// A hash of every POST: whom, for what, and when.
    pub posted_what: u64,
    pub faulted: u64,
    /// A tag that was posted twice.
    pub repeated: Option<String>,
    /// Calls that are hidden from lists for a while.
    pub hidden: u64,
    /// The calls of the lists that the present file has applied.
    pub shown: HashSet<usize>,
    last_listed: Vec<usize>,
    lists: u64,
    dice: Dice,
    /// Hidden calls have dice of their own, like the newer part of the plan.
    hiding: Dice,
    by_id: HashMap<String, usize>,
    tags: HashMap<String, usize>,
    delayed: Vec<usize>,
    posted: HashSet<String>,
}

pub struct SimVapi(Mutex<World>);

impl SimVapi {
    pub fn new(seed: u64, now: Instant, faults: Faults) -> SimVapi {
        SimVapi(Mutex::new(World {
            now,
            faults,
            spell: Spell::Fine,
            right_key: false,
            account: 0,
            calls: Vec::new(),
            fresh: Vec::new(),
            posts: 0,
            posted_what: 0,
            faulted: 0,
            repeated: None,
            hidden: 0,
            shown: HashSet::new(),
            last_listed: Vec::new(),
            lists: 0,
            dice: Dice::new(seed ^ 0x7a71),
            hiding: Dice::new(seed ^ 0x41de),
            by_id: HashMap::new(),
            tags: HashMap::new(),
            delayed: Vec::new(),
            posted: HashSet::new(),
        }))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("one thread")
    }
}

impl World {
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
        let (due, later): (Vec<usize>, Vec<usize>) =
            self.delayed.iter().partition(|call| self.calls[**call].created_at <= now);
        self.delayed = later;
        self.fresh.extend(due);
    }

    /// The call of an attempt, also if it is not created yet.
    pub fn of_tag(&self, tag: &str) -> Option<&Call> {
        self.tags.get(tag).map(|index| &self.calls[*index])
    }

    /// The instant from which every call made until now is in every list.
    pub fn all_visible_at(&self) -> Instant {
        let last = self.calls.iter().rev().take(50).map(|call| call.created_at).max();
        let delayed = self.delayed.iter().map(|index| self.calls[*index].created_at).max();
        let last = last.into_iter().chain(delayed).max().unwrap_or(self.now);
        let all = last.max(self.now) + (self.faults.lag * 2).max(self.faults.hole);
        let rare = self.calls.iter().map(|call| call.rare_until).max();
        all.max(rare.unwrap_or(all)) + Duration::seconds(1)
    }

    /// A list since `from` was applied; the next one may come from another replica.
    pub fn taken_in(&mut self, from: Instant) {
        self.lists += 1;
        self.shown.extend(std::mem::take(&mut self.last_listed));
        if self.faults.bad_replica {
            let covered = self.calls.iter_mut().filter(|call| from <= call.created_at);
            covered.for_each(|call| call.lists += 1);
        }
    }

    fn strikes(&mut self, share: usize) -> bool {
        share > 0 && self.dice.below(1000) < share
    }

    fn date(&mut self) -> Option<Instant> {
        if self.spell == Spell::WrongDate {
            return Some(self.now + Duration::days(1));
        }
        let silent = self.faults.no_date_share;
        (!self.strikes(silent)).then_some(self.now)
    }

    fn fault(&mut self) -> Option<OnPost> {
        let share = self.faults.post_share;
        if self.faults.on_post.is_empty() || !self.strikes(share) {
            return None;
        }
        self.faulted += 1;
        let at = self.dice.below(self.faults.on_post.len());
        Some(self.faults.on_post[at])
    }

    fn post(&mut self, order: &PlaceOrder) -> Result<Accepted, PlaceError> {
        self.posts += 1;
        let mut hasher = DefaultHasher::new();
        (self.posted_what, &order.phone, order.call_type.as_str(), &order.occasion)
            .hash(&mut hasher);
        (order.attempt_no, order.seq, self.now).hash(&mut hasher);
        self.posted_what = hasher.finish();
        if !self.posted.insert(order.tag.clone()) {
            self.repeated.get_or_insert(order.tag.clone());
        }
        if let Some(error) = self.out_of_order() {
            self.faulted += 1;
            return Err(error);
        }
        let fault = self.fault();
        use OnPost::*;
        match fault {
            Some(RefusedWith500) => return Err(doubt("500", false)),
            Some(Closed) => return Err(doubt("closed without an answer", false)),
            Some(Redirect) => return Err(doubt("302", true)),
            Some(NeverSent) => return Err(refused(Refusal::NeverSent)),
            Some(RefusedNumber) => return Err(refused(Refusal::Number)),
            Some(RefusedRequest) => return Err(refused(Refusal::Request)),
            Some(DailyLimit) => return Err(refused(Refusal::Everybody)),
            Some(RateLimited) => {
                return Err(refused(Refusal::RateLimited { retry_after_secs: Some(30) }));
            }
            _ => {}
        }
        let index = self.accept(order, fault);
        match fault {
            Some(LostReply | Delayed) => Err(doubt("closed without an answer", false)),
            Some(AcceptedWith500) => Err(doubt("502", false)),
            Some(UnreadReply) => Ok(Accepted { call: None, date: self.date() }),
            _ => {
                let call = tell(&self.calls[index], self.now, true);
                Ok(Accepted { call: Some(call), date: self.date() })
            }
        }
    }

    fn out_of_order(&mut self) -> Option<PlaceError> {
        match self.spell {
            Spell::Fine | Spell::WrongDate | Spell::ListsNothing => None,
            Spell::Unreachable => Some(refused(Refusal::NeverSent)),
            Spell::Fails => Some(doubt("503", false)),
            Spell::RefusesKey => Some(refused(Refusal::Everybody)),
        }
    }

    fn accept(&mut self, order: &PlaceOrder, fault: Option<OnPost>) -> usize {
        let delay = match fault {
            Some(OnPost::Delayed) => self.dice.seconds(1, self.faults.delay.num_seconds().max(1)),
            _ => Duration::zero(),
        };
        let created_at = self.now + delay;
        let (reason, rings) = self.ending(fault);
        let length = match fault {
            Some(OnPost::WaitsInQueue) => self.dice.seconds(60, 2940),
            _ if !rings => Duration::zero(),
            _ if self.dice.one_in(20) => self.dice.seconds(11, 900),
            _ => self.dice.seconds(3, 9),
        };
        let share = self.faults.strip_share;
        let stripped = if self.strikes(share) { self.carriers_to_strip() } else { 0 };
        let call = Call {
            id: String::new(),
            account: self.account,
            order: order.clone(),
            posted_at: self.now,
            created_at,
            rings,
            ended_at: created_at + length,
            reason,
            is_double: false,
            stripped,
            missing_until: created_at,
            rare_until: created_at,
            lists: self.lists,
            garbled_until: created_at,
            by_hand: None,
        };
        let call = self.hide(call);
        if fault == Some(OnPost::Twice) {
            self.keep(Call { is_double: true, ..call.clone() });
        }
        let index = self.keep(call);
        self.tags.insert(order.tag.clone(), index);
        index
    }

    /// A person calls this number with our assistant, from the provider's own page.
    pub fn call_by_hand(&mut self, order: PlaceOrder, told: String) {
        let (reason, rings) = self.ending(None);
        let (now, lists) = (self.now, self.lists);
        self.keep(Call {
            id: String::new(),
            account: self.account,
            order,
            posted_at: now,
            created_at: now,
            rings,
            ended_at: now + Duration::seconds(30),
            reason,
            is_double: false,
            stripped: 7,
            missing_until: now,
            rare_until: now,
            lists,
            garbled_until: now,
            by_hand: Some(told),
        });
    }

    /// Hides some calls from some lists. A call that appears late is not rare too: of three clean
    /// lists over the time to settle, one must show the call.
    fn hide(&mut self, mut call: Call) -> Call {
        let hole = self.faults.hole.num_seconds();
        let bad = self.faults.bad_replica;
        if hole > 0 && self.hiding.one_in(6) {
            call.missing_until += self.hiding.seconds(hole / 2, hole);
        }
        let is_late = self.now < call.created_at || call.created_at < call.missing_until;
        if bad && self.hiding.one_in(3) && !is_late {
            call.rare_until += self.hiding.seconds(600, 3 * 3600);
        }
        if self.faults.long_garbled && self.hiding.one_in(80) {
            call.garbled_until += self.hiding.seconds(3600, 40 * 3600);
        }
        if self.faults.garbled && self.hiding.one_in(30) {
            call.garbled_until += self.hiding.seconds(60, 6 * 3600);
        }
        let shown_from = call.missing_until.max(call.rare_until).max(call.garbled_until);
        self.hidden += u64::from(call.created_at < shown_from);
        call
    }

    fn ending(&mut self, fault: Option<OnPost>) -> (&'static str, bool) {
        match fault {
            Some(OnPost::NeverDialed) => ("call.start.error-get-transport", false),
            Some(OnPost::AccountWide) => {
                ("call.start.error-subscription-insufficient-credits", false)
            }
            Some(OnPost::UnknownEnd) => ("an-invented-reason", true),
            _ => match self.dice.below(100) {
                0..70 => ("customer-ended-call", true),
                70..82 => ("customer-did-not-answer", true),
                82..87 => ("customer-busy", true),
                87..98 => ("voicemail", true),
                _ => ("pipeline-error-openai-voice-failed", true),
            },
        }
    }

    /// Some of the three carriers; all of them only if the file always knows its own POSTs.
    fn carriers_to_strip(&mut self) -> u8 {
        if self.faults.strip_all && self.faults.strip_metadata && self.hiding.one_in(2) {
            return 7;
        }
        let choices: &[u8] =
            if self.faults.strip_metadata { &[1, 2, 3, 4, 5, 6, 7] } else { &[2, 4, 6] };
        *self.dice.pick(choices)
    }

    fn keep(&mut self, mut call: Call) -> usize {
        let index = self.calls.len();
        call.id = format!("call-{index}");
        self.by_id.insert(call.id.clone(), index);
        if call.created_at <= self.now {
            self.fresh.push(index)
        } else {
            self.delayed.push(index)
        }
        self.calls.push(call);
        index
    }

    fn read_trouble(&mut self, share: usize) -> Option<ReadError> {
        match self.spell {
            Spell::Unreachable | Spell::Fails => Some(ReadError::Unavailable("down".into())),
            Spell::RefusesKey => Some(ReadError::Unauthorized("401".into())),
            _ => self.strikes(share).then(|| ReadError::Unavailable("502".into())),
        }
    }

    fn list(&mut self, since: Instant) -> Result<Listing, ReadError> {
        if let Some(error) = self.read_trouble(self.faults.list_error_share) {
            return Err(error);
        }
        if self.spell == Spell::ListsNothing {
            return Err(ReadError::Unavailable("500".into()));
        }
        let stale = self.strikes(self.faults.stale_share);
        let as_of = self.now - if stale { self.faults.lag * 2 } else { self.faults.lag };
        // Another account's calls, and none of ours.
        let share = self.faults.other_org_share;
        let of_others = !self.right_key && self.strikes(share);
        let is_one_unreadable = self.strikes(self.faults.unreadable_share);
        let mut unreadable = BTreeSet::new();
        if is_one_unreadable {
            unreadable.insert(format!("a row of list {}", self.lists));
        }
        let faults = &self.faults;
        let is_garbled = faults.garbled || faults.long_garbled;
        let may_miss = Duration::zero() < faults.hole;
        // Of three lists that reach back to a call, one shows it.
        let is_bad = |call: &Call| faults.bad_replica && !call.lists.is_multiple_of(3);
        let oldest_post = since - self.faults.delay - Duration::seconds(1);
        let recent = self.calls.iter().rev().take_while(|call| oldest_post <= call.posted_at);
        let listed = recent.filter(|call| since <= call.created_at && call.created_at <= as_of);
        let mut listed: Vec<&Call> = listed
            .filter(|call| call.account == self.account)
            .filter(|call| !(may_miss && self.now < call.missing_until))
            .filter(|call| !(self.now < call.rare_until && is_bad(call)))
            .collect();
        let readable = |call: &&Call| !(is_garbled && self.now < call.garbled_until);
        let garbled = listed.iter().filter(|call| !readable(call));
        unreadable.extend(garbled.map(|call| call.id.clone()));
        listed.retain(readable);
        listed.sort_by_key(|call| (call.created_at, &call.id));
        let shown = listed.iter().filter_map(|call| self.by_id.get(&call.id).copied());
        let shown: Vec<usize> = shown.collect();
        let mut calls: Vec<ProviderCall> =
            listed.into_iter().map(|call| tell(call, self.now, call.stripped == 0)).collect();
        if of_others {
            let (id, org_id) = ("their-call".to_string(), Some(OTHER_ORG.to_string()));
            let created_at = Some(self.now - Duration::minutes(1));
            calls = vec![ProviderCall { id, org_id, created_at, ..ProviderCall::default() }];
        }
        self.last_listed = if of_others { Vec::new() } else { shown };
        Ok(Listing { calls, unreadable, date: self.date(), is_resumed: false })
    }

    fn get(&mut self, id: &str) -> Result<Fetched, ReadError> {
        if let Some(error) = self.read_trouble(self.faults.get_error_share) {
            return Err(error);
        }
        let index = *self.by_id.get(id).ok_or(ReadError::NotFound)?;
        let call = &self.calls[index];
        let is_elsewhere = call.account != self.account;
        if is_elsewhere || self.now < call.created_at + self.faults.get_404 {
            return Err(ReadError::NotFound);
        }
        let mut call = tell(call, self.now, call.stripped == 0);
        if self.strikes(self.faults.backwards_share) {
            call.status = Some("queued".to_string());
            call.ended_reason = None;
        }
        Ok(Fetched { call, date: self.date() })
    }

    /// The content of a webhook about a call now.
    pub fn told(&self, index: usize) -> ProviderCall {
        tell(&self.calls[index], self.now, true)
    }
}

fn doubt(detail: &str, stop_dialing: bool) -> PlaceError {
    PlaceError::InDoubt { detail: detail.to_string(), stop_dialing }
}

fn refused(refusal: Refusal) -> PlaceError {
    PlaceError::NotPlaced { refusal, detail: format!("{refusal:?}") }
}

impl Provider for SimVapi {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        if !may_send() {
            return Err(refused(Refusal::Stale));
        }
        self.world().post(order)
    }

    fn get(&self, call_id: &str) -> Result<Fetched, ReadError> {
        self.world().get(call_id)
    }

    fn list(&self, since: Instant) -> Result<Listing, ReadError> {
        self.world().list(since)
    }
}
