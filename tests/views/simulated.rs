//! A simulation predicts the real outcome, and its caps bind where it reports them.

use std::collections::BTreeMap;

use chrono::Duration;
use ringonce::domain::{Instant, instant_text};
use ringonce::provider::ProviderCall;
use ringonce::steps::follow;
use ringonce::steps::forecast::simulate::{Assumed, Hour, Simulated, simulate};
use ringonce::store::attempts::Attempt;
use ringonce::store::file::memory_copy;
use ringonce::store::views;

use crate::world::{World, at};

const ZONES: [&str; 5] = [
    "America/New_York",
    "Europe/London",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "America/Los_Angeles",
];

fn many(count: usize, change: impl FnOnce(&mut ringonce::config::settings::Config)) -> World {
    let world = World::in_memory("2026-03-02T00:00:00Z", change);
    for n in 0..count {
        let words = match n % 7 {
            0 => "welcome_call_completed=0 created_at=2026-03-02T03:10:00Z",
            1 => "payment_status=Pending",
            2 => "welcome_call_completed=0 created_at=2026-03-01T23:50:00Z phone_validated=0",
            _ => "",
        };
        world.add(&format!(
            "phone=+1212555{:04} timezone={} call_time={:02}:{:02} {words}",
            100 + n % 90,
            ZONES[n % ZONES.len()],
            (n * 5) % 24,
            (n % 4) * 15
        ));
    }
    world
}

fn assumed(days: i64, no_answer_share: f64) -> Assumed {
    let from = at("2026-03-02T00:00:00Z");
    Assumed {
        from,
        until: from + Duration::days(days),
        call_length: Duration::seconds(90),
        ring_length: Duration::seconds(30),
        no_answer_share,
    }
}

/// The same days without the simulation: a look at the queue every half minute.
fn walk(world: &mut World, assumed: &Assumed) -> BTreeMap<String, usize> {
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    let mut running: Vec<(Instant, Attempt)> = Vec::new();
    let mut begun: Vec<Instant> = Vec::new();
    let dialing = world.cx.config.dialing.clone();
    let length = match assumed.no_answer_share {
        0.0 => assumed.call_length,
        _ => assumed.ring_length,
    };
    while world.now < assumed.until {
        let now = world.now;
        let (over, goes_on) = running.into_iter().partition(|(end, _)| *end <= now);
        running = goes_on;
        end(world, over, assumed);
        if now.timestamp() % 900 == 0 {
            world.scan();
        }
        begun.retain(|begun| now < *begun + Duration::seconds(60));
        let lines = dialing.max_active_calls - running.len();
        let pace = dialing.calls_per_minute - begun.len();
        for intent in world.claim_at_most(lines.min(pace)) {
            world.answer(&intent, true);
            begun.push(now);
            *calls.entry(instant_text(now)[..13].to_string()).or_default() += 1;
            running.push((now + length, intent.attempt));
        }
        world.pass_time(Duration::seconds(30));
    }
    end(world, running, assumed);
    calls
}

fn end(world: &World, over: Vec<(Instant, Attempt)>, assumed: &Assumed) {
    for (end, attempt) in over.into_iter().filter(|(end, _)| *end <= assumed.until) {
        let reason = match assumed.no_answer_share {
            0.0 => "customer-ended-call",
            _ => "customer-did-not-answer",
        };
        let call = ProviderCall {
            id: format!("call-{}", attempt.id),
            status: Some("ended".to_string()),
            ended_reason: Some(reason.to_string()),
            ..ProviderCall::default()
        };
        follow::apply_record(&world.cx, &attempt, &call, end).unwrap();
    }
}

fn by_hour(simulated: &Simulated) -> BTreeMap<String, usize> {
    simulated.by_hour.iter().map(|hour| (hour.at[..13].to_string(), hour.calls)).collect()
}

#[test]
fn a_simulation_equals_the_days_themselves_also_where_caps_bind() {
    const FREE: usize = 10_000;
    for (no_answer_share, lines, pace, cap, bound) in [
        (0.0, FREE, FREE, None, false),
        (1.0, FREE, FREE, None, false),
        (1.0, 2, FREE, None, true),
        (0.0, FREE, 1, None, true),
        (1.0, 3, 2, Some(1), true),
    ] {
        let case = format!("share {no_answer_share}, {lines} lines, {pace} a minute, {cap:?}");
        let assumed = assumed(3, no_answer_share);
        let mut world = many(60, |config| {
            config.dialing.calls_per_minute = pace;
            config.dialing.max_active_calls = lines;
            config.caps.calls_per_number_per_day = cap;
        });
        // `phone=` repeats: some customers share a number, and the second call of a date is
        // skipped.
        let copied = memory_copy::whole(&world.cx.store).unwrap();
        let (config, zones) = (world.cx.config.clone(), world.cx.zones.clone());
        let mut trial =
            ringonce::steps::Context::new(std::sync::Arc::new(copied), config, zones).unwrap();
        trial.recheck_after = Duration::minutes(15);
        let simulated = simulate(&trial, &assumed, world.now).unwrap();
        let walked = walk(&mut world, &assumed);
        assert_eq!(by_hour(&simulated), walked, "{case}");
        let truth = world.cx.store.read(|conn| views::today(conn, assumed.from)).unwrap();
        assert_eq!(simulated.dispositions, truth.dispositions, "{case}");
        assert_eq!(simulated.skipped, truth.skipped, "{case}");
        assert!(80 < simulated.calls, "{case}: {simulated:?}");
        assert_eq!(simulated.retries > 0, no_answer_share == 1.0 && cap.is_none(), "{case}");
        let binds = |hour: &Hour| hour.lines_bound || hour.pace_bound;
        assert_eq!(simulated.by_hour.iter().any(binds), bound, "{case}");
        assert_eq!(simulated.delayed > 0, bound, "{case}");
    }
}

#[test]
fn a_simulation_leaves_the_database_as_it_was() {
    let world = World::new("2026-03-02T11:30:00Z");
    let ada = world.add("call_time=07:00");
    let copied = memory_copy::whole(&world.cx.store).unwrap();
    let (config, zones) = (world.cx.config.clone(), world.cx.zones.clone());
    let trial = ringonce::steps::Context::new(std::sync::Arc::new(copied), config, zones).unwrap();
    let simulated = simulate(&trial, &assumed(2, 0.0), world.now).unwrap();
    assert_eq!(simulated.calls, 2);
    assert!(world.items(ada).is_empty());
}

#[test]
fn caps_bind_in_the_hours_in_which_they_bind() {
    for (lines, pace, lines_bound, pace_bound) in
        [(1, 1000, true, false), (1000, 2, false, true), (1000, 1000, false, false)]
    {
        let world = World::in_memory("2026-03-02T00:00:00Z", |config| {
            config.dialing.max_active_calls = lines;
            config.dialing.calls_per_minute = pace;
        });
        for n in 0..20 {
            world.add(&format!("phone=+121255501{n:02} call_time=09:00"));
        }
        let simulated = simulate(&world.cx, &assumed(1, 0.0), world.now).unwrap();
        assert_eq!(simulated.calls, 20, "{simulated:?}");
        let hour = &simulated.by_hour[0];
        assert_eq!(hour.at, "2026-03-02T14:00:00.000Z");
        assert_eq!((hour.lines_bound, hour.pace_bound), (lines_bound, pace_bound));
        assert_eq!(simulated.delayed > 0, lines_bound || pace_bound);
        assert!(simulated.most_lines <= lines);
        // The delay of the last of 20 calls of 90 s, on one line or at two a minute.
        let last = simulated.longest_delay_seconds;
        let expected = if lines_bound {
            19 * 90
        } else if pace_bound {
            9 * 60
        } else {
            0
        };
        assert_eq!(last, expected);
    }
}
