//! `explain` agrees with the tick for many customers and instants, whatever the rules are, and
//! whether or not anything is dialed.

use std::collections::BTreeMap;

use chrono::Duration;
use ringonce::domain::call::{AttemptState, CallType, ItemStatus, Reason};
use ringonce::domain::instant_text;
use ringonce::provider::ProviderCall;
use ringonce::steps::forecast::explain::{Explained, InQueue, Outcome, explain};
use ringonce::steps::{Context, follow};
use ringonce::store::attempts;
use ringonce::store::meta::pauses::{self, Pause};
use ringonce::store::queue::{self, Item};

use crate::doors::{Doors, Stands};
use crate::world::World;

/// The size of the test: databases, customers of each, looks at each customer.
const SEEDS: u64 = 10;
const PEOPLE: usize = 100;
const LOOKS: usize = 10;

/// Numbers that look random and are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
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
        0 => format!("+121255501{:02}", dice.roll(100)),
        _ => format!("+442079460{:03}", dice.roll(300)),
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
    // Most customers share phones: else one row's flags end the calls of the others, and caps
    // hardly bind.
    if !dice.one_in(4) {
        words.push_str(" shared_phone=1");
    }
    if dice.one_in(7) {
        words.push_str(" last_call_date=2026-03-02");
    }
    words
}

/// The tick's result for one item, in the words of `explain`.
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

/// The answers of `explain` for the same items. An item that is not due yet has no waiting reason
/// in the queue, whatever `explain` foresees for its instant.
fn said(explained: &Explained, before: &[Item], items: &[Item]) -> Vec<String> {
    let mut said = Vec::new();
    for explanation in explained.occasions.iter().filter(|e| e.in_queue != InQueue::No) {
        let item = items
            .iter()
            .find(|item| {
                (item.call_type, &item.occasion) == (explanation.call_type, &explanation.occasion)
            })
            .expect("an item that explain says is queued");
        // An item that is not looked at keeps its reason for waiting.
        let waited = before.iter().find(|before| before.id == item.id);
        let waited = waited.filter(|before| explained.at < before.due_at());
        let not_due = explained.at < item.scheduled_for;
        let word = match explanation.outcome {
            Outcome::Rings => "rings".to_string(),
            Outcome::Waits { .. } if not_due => "waits -".to_string(),
            Outcome::Waits { .. } if waited.is_some() => {
                let reason = waited.and_then(|waited| waited.reason);
                format!("waits {}", reason.map_or("-", Reason::as_str))
            }
            Outcome::Waits { reason, .. } => {
                format!("waits {}", reason.map_or("-", Reason::as_str))
            }
            Outcome::Skipped(reason) => format!("ends {reason}"),
            Outcome::AlreadyCalled => "already called".to_string(),
            Outcome::InFlight => "in flight".to_string(),
        };
        said.push(format!("{} {}: {word}", explanation.call_type, explanation.occasion));
    }
    sorted(said)
}

#[test]
fn explain_says_of_ten_thousand_customers_and_instants_what_the_next_tick_does() {
    assert_eq!(SEEDS as usize * PEOPLE * LOOKS, 10_000);
    let outcomes = std::sync::Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for seed in 1..=SEEDS {
            let outcomes = &outcomes;
            scope.spawn(move || {
                let found = agrees(seed);
                let mut all = outcomes.lock().unwrap();
                for (word, times) in found {
                    *all.entry(word).or_insert(0) += times;
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    // The test is worth something only if every outcome happened, and often.
    for word in [
        "rings",
        "already called",
        "ends too_late",
        "ends same_phone",
        "ends do_not_call",
        "ends holiday",
        "ends cap",
        "waits outside_window",
        "waits min_gap",
        "waits paused",
        "waits cap",
        "waits holiday",
        "waits held",
        "waits breaker",
        "waits no_line",
        "rings behind doors",
        "rings as a probe that closes",
        "rings as a probe that does not",
    ] {
        assert!(outcomes.contains_key(word), "{word} never happened: {outcomes:?}");
    }
}

/// One database: explains each customer before each tick and compares after it. Returns how often
/// each outcome occurred.
fn agrees(seed: u64) -> BTreeMap<String, usize> {
    let mut dice = Dice(0x5eed_1234_abcd_0000 + seed);
    let mut world = World::in_memory("2026-03-01T00:00:00Z", |config| {
        config.dialing.max_active_calls = 100_000;
        config.dialing.calls_per_minute = 1_000_000;
        config.caps.calls_per_number_per_day = Some(1);
        config.breaker.sample = 100_000;
    });
    let feasts = "INSERT INTO holidays VALUES ('GB', '2026-03-02', 'a feast'),
        ('IN', '2026-03-01', 'another')";
    world.cx.store.write(|tx| Ok(tx.execute(feasts, [])?)).unwrap();
    let people: Vec<i64> = (0..PEOPLE).map(|_| world.add(&person(&mut dice))).collect();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..LOOKS {
        let minutes = [1, 15, 15, 60, 120, 120, 180, 240, 500][dice.roll(9) as usize];
        world.pass_time(Duration::minutes(minutes));
        end_calls(&world, &mut dice);
        for _ in 0..10 {
            disturb(&mut world, &mut dice, &people);
        }
        let doors = dice.one_in(3).then(|| Doors::throw(&mut dice));
        let shut = doors.map(|doors| doors.shut(&world));
        let cx = shut.as_ref().unwrap_or(&world.cx);
        let said_before: Vec<Explained> =
            people.iter().map(|id| explain(cx, *id, world.now, None).unwrap().unwrap()).collect();
        let before: Vec<Vec<Item>> = people.iter().map(|id| world.items(*id)).collect();
        world.scan();
        let dialed = dial(&world, &mut dice, doors.zip(shut));
        if let Some(doors) = doors {
            let word = match doors.lets_one_through() {
                true => "rings as a probe that does not",
                false if doors.breaker == Stands::Closed => "rings behind doors",
                false => "rings as a probe that closes",
            };
            *outcomes.entry(word.to_string()).or_default() += dialed.len();
            doors.open(&world);
        }
        if doors.is_some_and(|doors| doors.lets_one_through()) {
            agrees_on_the_probe(&world, &said_before, &dialed);
            continue;
        }
        for ((id, explained), before) in people.iter().zip(&said_before).zip(&before) {
            let items = world.items(*id);
            let rang = |item: &Item| dialed.contains(&item.id);
            let did: Vec<String> = items
                .iter()
                .filter_map(|item| {
                    let before = before.iter().find(|before| before.id == item.id);
                    happened(item, rang(item), before)
                })
                .collect();
            let did = sorted(did);
            for line in &did {
                let word = line.split(": ").nth(1).unwrap_or_default().to_string();
                *outcomes.entry(word).or_default() += 1;
            }
            let whom = format!("seed {seed}, customer {id} at {}", world.now);
            assert_eq!(said(explained, before, &items), did, "{whom}");
            if did.is_empty() {
                let rings = explained.verdict().map(|verdict| verdict.outcome);
                assert_ne!(rings, Some(Outcome::Rings), "{whom}");
            }
        }
    }
    outcomes
}

/// Dials what is due and returns the items: without a dialer or, if there are `Doors`, with a real
/// one.
fn dial(world: &World, dice: &mut Dice, doors: Option<(Doors, Context)>) -> Vec<i64> {
    let Some((doors, cx)) = doors else {
        let intents = world.claim();
        intents.iter().for_each(|intent| world.answer(intent, !dice.one_in(5)));
        return intents.iter().filter_map(|intent| intent.attempt.queue_id).collect();
    };
    doors.pass(cx, world);
    let made = "SELECT queue_id FROM call_attempts WHERE created_at = ?1";
    let ids = world.cx.store.read(|conn| {
        let mut statement = conn.prepare(made)?;
        let ids = statement.query_map([instant_text(world.now)], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    });
    ids.unwrap()
}

/// A half-open breaker lets one call through. It must be one that `explain`, which looks at one
/// customer alone, expected to ring.
fn agrees_on_the_probe(world: &World, said: &[Explained], dialed: &[i64]) {
    let rings = |explained: &Explained, item: &Item| {
        explained.customer.id == item.customer_id
            && explained.occasions.iter().any(|explanation| {
                explanation.outcome == Outcome::Rings
                    && (explanation.call_type, &explanation.occasion)
                        == (item.call_type, &item.occasion)
            })
    };
    let anybody = said.iter().flat_map(|explained| &explained.occasions);
    let anybody = anybody.filter(|explanation| explanation.outcome == Outcome::Rings).count();
    assert_eq!(dialed.len(), anybody.min(1), "at {}", world.now);
    for id in dialed {
        let item = world.cx.store.read(|conn| queue::item(conn, *id)).unwrap().unwrap();
        assert!(said.iter().any(|explained| rings(explained, &item)), "{item:?}");
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Ends half of the active calls, each in a random way.
fn end_calls(world: &World, dice: &mut Dice) {
    let placed = world.cx.store.read(|conn| attempts::in_state(conn, AttemptState::Placed));
    for attempt in placed.unwrap() {
        if dice.one_in(2) {
            continue;
        }
        let reason = dice.pick(&[
            "customer-ended-call",
            "customer-did-not-answer",
            "customer-busy",
            "voicemail",
            "call.start.error-get-transport",
            "a-reason-of-tomorrow",
        ]);
        let call = ProviderCall {
            id: attempt.vapi_call_id.clone().unwrap(),
            status: Some("ended".to_string()),
            ended_reason: Some(reason.to_string()),
            ended_at: Some(world.now - Duration::seconds(30)),
            ..ProviderCall::default()
        };
        follow::apply_record(&world.cx, &attempt, &call, world.now).unwrap();
    }
}

/// A random act of a person between two ticks.
fn disturb(world: &mut World, dice: &mut Dice, people: &[i64]) {
    let id = people[dice.roll(people.len() as u64) as usize];
    match dice.roll(6) {
        0 => world.edit(id, &format!("call_time={:02}:15", dice.roll(24))),
        1 => world.edit(id, &format!("timezone={}", dice.pick(&ZONES))),
        2 => world.edit(id, &format!("payment_status={}", dice.pick(&["Paid", "Pending"]))),
        3 if dice.one_in(2) => world.never_call(id),
        4 => {
            let customer = world.customer(id);
            let scope = match dice.roll(8) {
                0 => "all".to_string(),
                1 => format!("customer:{}", customer.key),
                2 => format!("number:{}", world.cx.installation.phone_key(&customer.phone)),
                3 | 4 => format!("type:{}", CallType::Daily),
                _ => format!("type:{}", CallType::Welcome),
            };
            let pause = Pause {
                who: "test".into(),
                why: "busy".into(),
                since: "today".into(),
                ..Default::default()
            };
            world
                .cx
                .store
                .write(|tx| match dice.one_in(if scope == "all" { 8 } else { 4 }) {
                    true => pauses::set_pause(tx, &scope, &pause),
                    false => pauses::lift_pause(tx, &scope).map(|_| ()),
                })
                .unwrap();
        }
        _ => {}
    }
}
