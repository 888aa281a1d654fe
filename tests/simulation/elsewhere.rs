//! Calls that the file did not make. The file is lost without a backup, and the same people are
//! imported into a new one. Or people call by hand with our assistant.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use chrono::Duration;
use ringonce::domain::call::CallType;
use ringonce::domain::instant_text;
use ringonce::provider::{PlaceOrder, Speaker};
use ringonce::steps::customers as change;
use ringonce::steps::import::field_values::Reader;
use ringonce::store::journal::{Act, By};
use ringonce::store::meta::{self, installation};
use ringonce::store::{Store, customers};

use crate::inner_loop::sized;
use crate::life::Life;
use crate::plan::Plan;
use crate::{oracle, people};

const WHO: &str = "operator";
const ACCEPTED: &str = "new_accepted_at";

impl Life {
    /// Loses the file without a backup, so that only the provider knows its calls. The provider's
    /// list may lag behind the last of them. A person accepts the new file at once, or after a
    /// start has refused to dial.
    pub fn lose_all(&mut self) -> anyhow::Result<()> {
        if self.adopting || !self.wall_offset.is_zero() {
            return Ok(());
        }
        self.tell(|| "the file is lost for good".to_string());
        self.process = None;
        self.snapshot = None;
        self.paused_all = false;
        self.counts.lost += 1;
        self.book.told.clear();
        self.book.welcomed.clear();
        self.book.forget_distances();
        self.vapi.world().shown.clear();
        self.store = Arc::new(Store::in_memory(self.now)?);
        self.store.read(oracle::watch)?;
        self.arm()?;
        let wait = self.dice.seconds(60, 3600);
        for at in 0..self.people.len() {
            self.import_again(at, wait)?;
        }
        for phone in self.do_not_call.clone() {
            self.list_number(&phone)?;
        }
        self.next_start = self.now + wait;
        if self.dice.one_in(2) {
            self.next_start = self.next_start.max(self.vapi.world().all_visible_at());
        }
        let later = self.dice.seconds(60, 5 * 3600);
        let is_accepted = self.dice.one_in(2);
        self.plan.accepted_at = Some(self.now + if is_accepted { Duration::zero() } else { later });
        self.next_chaos = self.next_chaos.min(self.now + later);
        if is_accepted { self.accept_the_new_file() } else { Ok(()) }
    }

    /// Imports the same row of the first day's export again, with the person's present wish.
    fn import_again(&mut self, at: usize, wait: Duration) -> anyhow::Result<()> {
        let person = self.people[at].clone();
        let mut entry = people::entry(person.wish(), Some(&person.phone));
        entry.welcome_call_completed = Some(person.old);
        let (now, zones) = (self.now, self.zones.clone());
        let id = self.store.write(|tx| {
            let mut reader = Reader::new(&zones, None);
            let customer = change::plan_new(&mut reader, &entry, now)?;
            let id = change::create(tx, &mut reader, &customer, By { who: WHO, now })?;
            if person.wish().paused {
                let known = customers::by_id(tx, id)?.context("a known customer")?;
                change::pause(tx, &known, Act { who: WHO, why: "a test", now })?;
            }
            Ok(id)
        })?;
        let person = &mut self.people[at];
        person.id = id;
        person.created_at = now;
        person.loose_until = now + wait + Duration::hours(60);
        Ok(())
    }

    /// A start was refused: a file that never dialed was shown calls to its people. An example is a
    /// call by hand before our first one. A person sees the refusal and accepts the file half an
    /// hour later.
    pub fn decide_soon(&mut self) {
        if self.plan.accepted_at.is_some() {
            return;
        }
        let at = self.now + Duration::minutes(30);
        self.plan.accepted_at = Some(at);
        self.next_chaos = self.next_chaos.min(at);
        for person in &mut self.people {
            person.loose_until = person.loose_until.max(at + Duration::hours(60));
        }
    }

    pub fn accept_the_new_file(&mut self) -> anyhow::Result<()> {
        if self.plan.accepted_at.take().is_none() {
            return Ok(());
        }
        let now = instant_text(self.now);
        self.store.write(|tx| meta::set(tx, ACCEPTED, &now))?;
        self.process = None;
        self.next_start = self.next_start.max(self.now + Duration::minutes(1));
        Ok(())
    }

    /// A start opened. If nobody has accepted the new file, no list may have shown a call to its
    /// people.
    pub fn check_the_decision(&self) -> anyhow::Result<()> {
        if self.plan.accepted_at.is_none() {
            return Ok(());
        }
        let dialed = self.store.read(ringonce::store::made_elsewhere::has_ever_dialed)?;
        let ours = self.store.read(installation::installation)?.id;
        let world = self.vapi.world();
        let mut shown = world.shown.iter().map(|index| &world.calls[*index]);
        let to_us = shown.find(|call| {
            call.rings
                && call.is_from_elsewhere(&ours)
                && self.people.iter().any(|person| person.phone == call.order.phone)
        });
        ensure!(
            dialed || to_us.is_none(),
            "a new file may dial that nobody accepted, and was shown the call {:?}",
            to_us.map(|call| &call.id)
        );
        Ok(())
    }

    /// A person calls a customer from the provider's page. The page sets no tags and keeps the
    /// number as it was typed.
    pub fn call_by_hand(&mut self) -> anyhow::Result<()> {
        if self.people.is_empty() {
            return Ok(());
        }
        let at = self.dice.below(self.people.len());
        let phone = self.people[at].phone.clone();
        let national = phone.trim_start_matches("+44").trim_start_matches("+1");
        let told = match self.dice.below(7) {
            0 => phone.clone(),
            1 => phone.trim_start_matches('+').to_string(),
            2 => national.to_string(),
            3 => phone.replacen('+', "00", 1),
            4 => phone.replacen('+', "011", 1),
            5 => format!("tel:{phone}"),
            _ => format!("sip:{phone}@sip.example.com"),
        };
        self.counts.by_hand += 1;
        let order = PlaceOrder {
            tag: format!("by-hand-{}", self.counts.by_hand),
            phone,
            speaker: Speaker::Assistant { id: "our-assistant".to_string(), version: None },
            phone_number_id: "our-number".to_string(),
            variables: serde_json::Map::new(),
            installation_id: "nobody's".to_string(),
            armed_at: self.now,
            seq: 0,
            attempt_no: 1,
            customer_key: format!("by-hand-{}", self.counts.by_hand),
            call_type: CallType::Extra,
            occasion: "by hand".to_string(),
        };
        self.tell(|| format!("{} is called by hand as {told}", order.phone));
        self.vapi.world().call_by_hand(order, told);
        Ok(())
    }
}

/// The shortest lives in which both happen.
fn seeds() -> Vec<u64> {
    let mut found: Vec<(i64, u64)> = (1..300)
        .map(|seed| (seed, Plan::new(seed)))
        .filter(|(_, plan)| plan.loses_all && plan.by_hand)
        .map(|(seed, plan)| (plan.days * plan.customers as i64, seed))
        .collect();
    found.sort();
    found.into_iter().take(sized(2, 3)).map(|(_, seed)| seed).collect()
}

#[test]
fn lives_with_lost_files_and_calls_by_hand_ring_nobody_twice() {
    let zones = Arc::new(ringonce::zones::Zones::load());
    let (mut lost, mut by_hand) = (0, 0);
    for seed in seeds() {
        let counts = crate::live(seed, &zones).unwrap_or_else(|line| panic!("{line}"));
        lost += counts.lost;
        by_hand += counts.by_hand;
    }
    assert!(lost > 0 && by_hand > 0, "{lost} lost, {by_hand} by hand");
}
