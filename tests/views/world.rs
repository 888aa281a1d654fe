//! A real store in a temporary folder, customers from short descriptions, and a tick without a
//! provider.

use std::sync::Arc;

use chrono::Duration;
use ringonce::config::settings::Config;
use ringonce::domain::call::{AttemptState, CallType};
use ringonce::domain::customer::Customer;
use ringonce::domain::{Instant, parse_instant};
use ringonce::provider::{Accepted, PlaceError, ProviderCall};
use ringonce::steps::dial::intent::Intent;
use ringonce::steps::dial::{self, Pass, record};
use ringonce::steps::import::field_values::{Draft, Reader};
use ringonce::steps::{Context, customers as people, follow, scan};
use ringonce::store::journal::By;
use ringonce::store::queue::{self, Item};
use ringonce::store::{Store, attempts, customers, do_not_call, views};
use ringonce::zones::Zones;

pub fn at(text: &str) -> Instant {
    parse_instant(text).unwrap()
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub cx: Context,
    pub now: Instant,
}

impl World {
    pub fn new(now: &str) -> World {
        World::with(now, |_| {})
    }

    pub fn with(now: &str, change: impl FnOnce(&mut Config)) -> World {
        let folder = crate::inner_loop::folder();
        let now = at(now);
        let store = Store::open(&folder.path().join("ringonce.db"), now).unwrap();
        World::over(store, folder, now, change)
    }

    /// For walks over many days: the same statements without a disk.
    pub fn in_memory(now: &str, change: impl FnOnce(&mut Config)) -> World {
        let now = at(now);
        World::over(Store::in_memory(now).unwrap(), tempfile::tempdir().unwrap(), now, change)
    }

    fn over(
        store: Store,
        folder: tempfile::TempDir,
        now: Instant,
        change: impl FnOnce(&mut Config),
    ) -> World {
        let mut config = Config::default();
        config.vapi.phone_number_id = Some("number".to_string());
        config.vapi.assistant_id = Some("assistant".to_string());
        change(&mut config);
        let cx = Context::new(Arc::new(store), config, Arc::new(Zones::bundled_only())).unwrap();
        World { folder, cx, now }
    }

    /// `name=Ada phone=+12125550101 timezone=America/New_York call_time=07:00`. Unless the words
    /// say otherwise, the customer is paid, welcomed and signed up long ago.
    pub fn add(&self, words: &str) -> i64 {
        let mut reader = Reader::new(&self.cx.zones, None);
        let mut draft = Draft::default();
        let defaults = "payment_status=Paid welcome_call_completed=1 \
            created_at=2026-01-01T00:00:00Z phone=+12125550101 timezone=America/New_York";
        for word in defaults.split_whitespace().chain(words.split_whitespace()) {
            set(&mut reader, &mut draft, word);
        }
        let customer = people::plan_new(&mut reader, &draft.finish(), self.now).unwrap();
        self.cx
            .store
            .write(|tx| {
                people::create(tx, &mut reader, &customer, By { who: "test", now: self.now })
            })
            .unwrap()
    }

    pub fn edit(&self, id: i64, words: &str) {
        let mut reader = Reader::new(&self.cx.zones, None);
        let mut draft = Draft::default();
        for word in words.split_whitespace() {
            set(&mut reader, &mut draft, word);
        }
        let entry = draft.finish();
        self.cx
            .store
            .write(|tx| {
                let known = customers::by_id(tx, id)?.unwrap();
                let after = people::plan_change(tx, &mut reader, &known, &entry, self.now)?;
                people::change(tx, &mut reader, &known, &after, By { who: "test", now: self.now })
            })
            .unwrap();
    }

    pub fn customer(&self, id: i64) -> Customer {
        self.cx.store.read(|conn| customers::by_id(conn, id)).unwrap().unwrap()
    }

    pub fn items(&self, id: i64) -> Vec<Item> {
        self.cx.store.read(|conn| views::items_of_customer(conn, id)).unwrap()
    }

    pub fn open_daily(&self, id: i64) -> Option<Item> {
        self.cx.store.read(|conn| queue::open_item(conn, id, CallType::Daily)).unwrap()
    }

    /// `2026-03-02 pending`, one for each item.
    pub fn told(&self, id: i64) -> Vec<String> {
        let reason = |item: &Item| match item.reason {
            Some(reason) => format!(" {reason}"),
            None => String::new(),
        };
        let told = |item: &Item| format!("{} {}{}", item.occasion, item.status, reason(item));
        self.items(id).iter().map(told).collect()
    }

    pub fn scan(&self) {
        scan::scan(&self.cx, self.now).unwrap();
    }

    /// Claims everything that may be dialed now.
    pub fn claim(&self) -> Vec<Intent> {
        self.claim_at_most(usize::MAX)
    }

    /// Claims at most `lines` of the items that may be dialed now.
    pub fn claim_at_most(&self, lines: usize) -> Vec<Intent> {
        let mut pass = Pass::default();
        let mut new_id = || uuid::Uuid::new_v4().to_string();
        let mut intents = Vec::new();
        while intents.len() < lines {
            let free = (lines - intents.len()).min(100);
            let claimed = dial::claim(&self.cx, &mut pass, free, self.now, &mut new_id).unwrap();
            intents.extend(claimed.intents);
            if claimed.exhausted {
                break;
            }
        }
        intents
    }

    /// The reply to an intent: placed, or refused before anything could ring.
    pub fn answer(&self, intent: &Intent, placed: bool) {
        let call = ProviderCall {
            id: format!("call-{}", intent.attempt.id),
            status: Some("queued".to_string()),
            ..ProviderCall::default()
        };
        let reply = match placed {
            true => Ok(Accepted { call: Some(call), date: None }),
            false => Err(PlaceError::NotPlaced {
                refusal: ringonce::provider::Refusal::NeverSent,
                detail: "connection refused".to_string(),
            }),
        };
        record::record(&self.cx, intent, &reply, self.now).unwrap();
    }

    /// One tick at which every call is accepted. Returns the called customers.
    pub fn tick(&mut self, now: &str) -> Vec<i64> {
        self.now = at(now);
        self.scan();
        let intents = self.claim();
        intents.iter().for_each(|intent| self.answer(intent, true));
        intents.iter().filter_map(|intent| intent.attempt.customer_id).collect()
    }

    /// Ends every active call now, for this reason.
    pub fn end_as(&self, reason: &str) {
        let placed = self.cx.store.read(|conn| attempts::in_state(conn, AttemptState::Placed));
        for attempt in placed.unwrap() {
            let call = ProviderCall {
                id: attempt.vapi_call_id.clone().unwrap(),
                status: Some("ended".to_string()),
                ended_reason: Some(reason.to_string()),
                ended_at: Some(self.now),
                ..ProviderCall::default()
            };
            follow::apply_record(&self.cx, &attempt, &call, self.now).unwrap();
        }
    }

    /// Puts a customer's number on the do-not-call list.
    pub fn never_call(&self, id: i64) {
        let entry = do_not_call::DoNotCallEntry {
            phone: self.customer(id).phone,
            reason: "asked".to_string(),
            source: "test".to_string(),
            created_at: self.now,
        };
        let path = self.cx.store.path().to_path_buf();
        let _ = self.cx.store.write(|tx| do_not_call::add(tx, &path, &entry)).unwrap();
    }

    pub fn pass_time(&mut self, time: Duration) {
        self.now += time;
    }
}

fn set(reader: &mut Reader<'_>, draft: &mut Draft, word: &str) {
    let (name, value) = word.split_once('=').unwrap();
    let column = ringonce::domain::customer::columns::Column::of_header(name).unwrap();
    reader.set(draft, column, value).unwrap();
}
