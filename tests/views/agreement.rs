//! explain agrees with the tick: many customers, many instants, whatever the rules are.

use std::collections::BTreeMap;

use chrono::Duration;
use ringonce::domain::call::{CallType, ItemStatus, Reason};
use ringonce::steps::explain::{Explained, Outcome, explain};
use ringonce::store::do_not_call;
use ringonce::store::meta::{self, Pause};
use ringonce::store::queue::Item;

use crate::world::World;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len() as u64) as usize]
    }
}

const ZONES: [&str; 6] = [
    "America/New_York",
    "Europe/London",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "Pacific/Honolulu",
    "America/Sao_Paulo",
];

fn person(dice: &mut Dice) -> String {
    let phone = match dice.roll(2) {
        0 => format!("+121255501{:02}", dice.roll(60)),
        _ => format!("+4420794600{:02}", dice.roll(60)),
    };
    let mut words = format!(
        "phone={phone} timezone={} call_time={:02}:{:02} payment_status={}",
        dice.pick(&ZONES),
        dice.roll(24),
        dice.roll(4) * 15,
        dice.pick(&["Paid", "Paid", "Paid", "Paid", "Pending"]),
    );
    if dice.one_in(6) {
        words.push_str(" phone_validated=0");
    }
    if dice.one_in(8) {
        words.push_str(" call_status=paused");
    }
    if dice.one_in(3) {
        let minute = dice.roll(60);
        words.push_str(&format!(
            " welcome_call_completed=0 created_at=2026-03-01T{:02}:{minute:02}:00Z",
            dice.roll(24)
        ));
    }
    if dice.one_in(5) {
        words.push_str(" shared_phone=1");
    }
    if dice.one_in(7) {
        words.push_str(" last_call_date=2026-03-02");
    }
    words
}

/// What the tick made of one item, in explain's words.
fn happened(item: &Item, rang: bool, before: Option<&Item>) -> Option<String> {
    let was_open = before.is_none_or(|before| before.status.is_active());
    let reason = item.reason.map_or("-", Reason::as_str);
    let word = match item.status {
        _ if rang => "rings".to_string(),
        _ if !was_open => return None,
        ItemStatus::Pending | ItemStatus::Retrying => format!("waits {reason}"),
        ItemStatus::Completed => "already called".to_string(),
        _ => format!("ends {reason}"),
    };
    Some(format!("{} {}: {word}", item.call_type, item.occasion))
}

/// What explain said of the same items. What is not due yet waits for nothing in the queue,
/// whatever is foreseen for its instant.
fn said(explained: &Explained, items: &[Item]) -> Vec<String> {
    let mut said = Vec::new();
    for explanation in explained.occasions.iter().filter(|e| e.item_id.is_some()) {
        let item = items
            .iter()
            .find(|item| {
                (item.call_type, &item.occasion) == (explanation.call_type, &explanation.occasion)
            })
            .expect("an item that explain says is queued");
        let not_due = explained.at < item.scheduled_for;
        let word = match explanation.outcome {
            Outcome::Rings => "rings".to_string(),
            Outcome::Waits { .. } if not_due => "waits -".to_string(),
            Outcome::Waits { reason, .. } => {
                format!("waits {}", reason.map_or("-", Reason::as_str))
            }
            Outcome::Skipped(reason) => format!("ends {reason}"),
            Outcome::AlreadyCalled => "already called".to_string(),
            Outcome::InFlight => "in flight".to_string(),
        };
        said.push(format!("{} {}: {word}", explanation.call_type, explanation.occasion));
    }
    said.sort();
    said
}

#[test]
fn explain_says_of_every_customer_what_the_next_tick_does() {
    let mut dice = Dice(0x5eed_1234_abcd_0001);
    let mut world = World::in_memory("2026-03-01T00:00:00Z", |config| {
        config.dialing.max_active_calls = 100_000;
        config.caps.calls_per_number_per_day = Some(2);
    });
    let people: Vec<i64> = (0..60).map(|_| world.add(&person(&mut dice))).collect();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..40 {
        let minutes = [1, 7, 15, 15, 15, 60, 180, 500, 1500][dice.roll(9) as usize];
        world.pass_time(Duration::minutes(minutes));
        disturb(&mut world, &mut dice, &people);
        let said_before: Vec<Explained> = people
            .iter()
            .map(|id| explain(&world.cx, *id, world.now, None).unwrap().unwrap())
            .collect();
        let before: Vec<Vec<Item>> = people.iter().map(|id| world.items(*id)).collect();
        world.scan();
        let intents = world.claim();
        for intent in &intents {
            world.answer(intent, !dice.one_in(5));
        }
        for ((id, explained), before) in people.iter().zip(&said_before).zip(&before) {
            let items = world.items(*id);
            let mut did: Vec<String> = items
                .iter()
                .filter_map(|item| {
                    let rang =
                        intents.iter().any(|intent| intent.attempt.queue_id == Some(item.id));
                    let before = before.iter().find(|before| before.id == item.id);
                    happened(item, rang, before)
                })
                .collect();
            did.sort();
            for line in &did {
                let word = line.split(": ").nth(1).unwrap_or_default().to_string();
                *outcomes.entry(word).or_default() += 1;
            }
            assert_eq!(said(explained, &items), did, "customer {id} at {}", world.now);
            if did.is_empty() {
                let rings = explained.verdict().map(|verdict| verdict.outcome);
                assert_ne!(rings, Some(Outcome::Rings), "customer {id} at {}", world.now);
            }
        }
    }
    // The test is worth something only when everything happened.
    for word in
        ["rings", "ends too_late", "ends same_phone", "waits outside_window", "ends do_not_call"]
    {
        assert!(outcomes.contains_key(word), "{word} never happened: {outcomes:?}");
    }
}

/// What people do between two ticks.
fn disturb(world: &mut World, dice: &mut Dice, people: &[i64]) {
    let id = people[dice.roll(people.len() as u64) as usize];
    match dice.roll(6) {
        0 => world.edit(id, &format!("call_time={:02}:15", dice.roll(24))),
        1 => world.edit(id, &format!("timezone={}", dice.pick(&ZONES))),
        2 => world.edit(id, &format!("payment_status={}", dice.pick(&["Paid", "Pending"]))),
        3 if dice.one_in(2) => {
            let entry = do_not_call::Entry {
                phone: world.customer(id).phone,
                reason: "asked".to_string(),
                source: "test".to_string(),
                created_at: world.now,
            };
            let path = world.cx.store.path().to_path_buf();
            let _ = world.cx.store.write(|tx| do_not_call::add(tx, &path, &entry)).unwrap();
        }
        4 => {
            let scope = format!(
                "type:{}",
                if dice.one_in(2) { CallType::Daily } else { CallType::Welcome }
            );
            let pause = Pause { who: "test".into(), why: "busy".into(), since: "today".into() };
            world
                .cx
                .store
                .write(|tx| match dice.one_in(2) {
                    true => meta::set_pause(tx, &scope, &pause),
                    false => meta::lift_pause(tx, &scope).map(|_| ()),
                })
                .unwrap();
        }
        _ => {}
    }
}
