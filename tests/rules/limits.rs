//! Gaps, caps, lines, pace and the breaker. No process remembers them alone, so each pass below
//! runs in a process of its own.

use chrono::Duration;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::domain::call::CallType;
use ringonce::store::queue::{self, NewItem};

use crate::passes::{many, one_pass};
use crate::world::{World, at, nobody_home, quick};

const NUMBER: &str = "+442079460555";

fn lasting(minutes: i64) -> Setup {
    Setup { timing: Timing { talk: Duration::minutes(minutes), ..Timing::default() }, ..quick() }
}

/// Adds an extra call, as if a person asked for it at the world's time.
fn extra(world: &World, customer_id: i64, id: &str) {
    let occasion = format!("extra:{id}");
    let new = NewItem {
        customer_id,
        call_type: CallType::Extra,
        occasion: &occasion,
        scheduled_for: world.now(),
        max_attempts: 3,
        expires_at: Some(world.now() + Duration::hours(24)),
    };
    world.store().write(|tx| queue::insert_extra(tx, &new, world.now())).expect("an extra call");
}

#[test]
fn two_calls_to_one_number_are_an_hour_apart_for_any_customers() {
    let world = World::new();
    let person = |name: &str| world.customer(name).phone(NUMBER).shared_phone().paid().welcomed();
    person("Ada").at("12:00").add();
    person("Bea").at("12:10").add();
    for (time, rings) in [("12:00", 1), ("12:10", 1), ("12:59:59", 1), ("13:00", 2)] {
        let seconds = if time.len() == 5 { ":00" } else { "" };
        world.tick_at(&format!("2026-02-02T{time}{seconds}Z"));
        assert_eq!(world.rings().len(), rings, "{time}");
    }
}

#[test]
fn two_daily_calls_of_different_dates_lie_half_a_day_apart_or_the_later_one_is_skipped() {
    for (second, expected) in [
        ("05:30", "Ada daily 2026-02-03 skipped min_gap"),
        ("07:00", "Ada daily 2026-02-03 completed"),
        ("08:30", "Ada daily 2026-02-03 completed"),
        ("10:00", "Ada daily 2026-02-03 completed"),
    ] {
        let world = World::new();
        world.customer("Ada").at("22:00").paid().welcomed().add();
        world.tick_at("2026-02-02T22:00:00Z");
        world.sql(&format!(
            "UPDATE customers SET call_time = '{second}',
               next_call_scheduled_at = '2026-02-03T{second}:00.000Z'"
        ));
        world.tick_at(&format!("2026-02-03T{second}:00Z"));
        if second < "10:00" {
            world.tick_at("2026-02-03T09:59:59Z");
            assert_eq!(world.rings().len(), 1, "{second}");
        }
        world.tick_at("2026-02-03T10:00:00Z");
        assert_eq!(world.items()[1], expected, "{second}");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn calls_to_a_number_are_capped_by_the_day_and_by_the_period_across_restarts() {
    for (config, rings_by_day) in [
        ("[caps]\ncalls_per_number_per_day = 1", [1, 2, 3]),
        ("[caps]\ncalls_per_number_per_period = 2\nperiod_days = 30", [2, 2, 2]),
        ("", [2, 4, 6]),
    ] {
        let world = World::with(nobody_home(), config);
        world.customer("Ada").at("12:00").paid().welcomed().add();
        for (day, rings) in (2..).zip(rings_by_day) {
            for time in ["12:00", "14:00", "16:00", "19:59"] {
                world.tick_at(&format!("2026-02-{day:02}T{time}:00Z"));
            }
            assert_eq!(world.rings().len(), rings, "{config} day {day}");
        }
        if config.contains("period_days") {
            world.tick_at("2026-02-04T21:00:00Z");
            assert_eq!(world.items()[2], "Ada daily 2026-02-04 skipped cap");
        }
    }
}

/// The answer of `explain` for one rule and Ada.
fn explained(world: &World, rule: &str) -> String {
    let run = world.command(&["explain", "--json", "ada"]);
    let answers = run.json()["occasions"][0]["rules"].clone();
    let answers = answers.as_array().unwrap_or_else(|| panic!("{run:?}")).clone();
    let answer = answers.into_iter().find(|answer| answer["rule"] == rule).expect("the rule");
    answer["detail"].as_str().unwrap_or_default().to_string()
}

#[test]
fn caps_and_the_gap_bind_a_number_and_a_customer_alike_and_explain_says_which() {
    const OTHER: &str = "+442079460556";
    let day = "[caps]\ncalls_per_number_per_day = 1";
    let period = "[caps]\ncalls_per_number_per_period = 1\nperiod_days = 7";
    let uncapped = "";
    // A person asks for an extra call to Ada `minutes` after her call at 12:00.
    for (config, change, minutes, rule, says) in [
        (uncapped, "", 30, "gap between calls", "this number was called too recently"),
        (uncapped, "moved", 30, "gap between calls", "this customer was called too recently"),
        (uncapped, "moved", 90, "", ""),
        (day, "", 90, "caps", "1 call to this number on 2026-02-02"),
        (day, "moved", 90, "caps", "1 call to this customer on 2026-02-02"),
        (day, "moved", 24 * 60, "", ""),
        (period, "", 3 * 24 * 60, "caps", "1 call to this number in 7 days"),
        (period, "moved", 3 * 24 * 60, "caps", "1 call to this customer in 7 days"),
        (period, "moved", 7 * 24 * 60, "", ""),
    ] {
        let world = World::with_config(config);
        let ada = world.customer("Ada").phone(NUMBER).at("12:00").paid().welcomed().add();
        world.sql("UPDATE customers SET external_id = 'ada'");
        world.tick_at("2026-02-02T12:00:00Z");
        world.sql("UPDATE customers SET call_time = NULL, next_call_scheduled_at = NULL");
        if change == "moved" {
            world.sql(&format!("UPDATE customers SET phone = '{OTHER}'"));
        }
        world.pass(Duration::minutes(minutes));
        extra(&world, ada, "one");
        let told = if rule.is_empty() { String::new() } else { explained(&world, rule) };
        assert_eq!(told, says, "{config} {change} {minutes}");
        world.tick();
        let rings = if says.is_empty() { 2 } else { 1 };
        assert_eq!(world.rings().len(), rings, "{config} {change} {minutes}");
    }
}

#[test]
fn extra_calls_of_a_customer_are_capped_and_wait_their_day_out() {
    let world = World::new();
    let ada = world.customer("Ada").paid().welcomed().add();
    for (id, time) in [("one", "12:00"), ("two", "13:00")] {
        world.set_clock(&format!("2026-02-02T{time}:00Z"));
        extra(&world, ada, id);
        world.tick();
    }
    world.tick_at("2026-02-02T18:00:00Z");
    assert_eq!(world.rings().len(), 1);
    assert_eq!(world.items()[1], "Ada extra extra:two pending cap");
    assert_eq!(world.one("SELECT coalesce(last_call_date, '-') FROM customers"), "-");
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.items()[1], "Ada extra extra:two completed");
}

#[test]
fn lines_in_use_come_from_the_ledger_so_a_new_process_stays_within_them() {
    let world = World::with(lasting(20), "[dialing]\nmax_active_calls = 2");
    for name in ["Ada", "Bea", "Cy", "Dan", "Eve"] {
        world.customer(name).at("12:00").paid().welcomed().add();
    }
    for (time, rings) in [("12:00", 2), ("12:05", 2), ("12:10", 2), ("12:21", 4), ("12:42", 5)] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert_eq!(world.rings().len(), rings, "{time}");
        if rings < 5 {
            let left =
                world.items().iter().filter(|line| line.ends_with("pending no_line")).count();
            assert_eq!(left, 5 - rings, "the reason of those that wait is shown");
        }
    }
}

#[test]
fn no_minute_holds_more_posts_than_the_pace_allows_also_across_a_restart() {
    let config = "[dialing]\ncalls_per_minute = 3\nmax_active_calls = 9";
    let world = World::with_config(config);
    many(&world, 7);
    world.set_clock("2026-02-02T12:00:00Z");
    ringonce::steps::scan::scan(&world.context(), world.now()).expect("a scan");
    for (seconds, posts) in [(0, 3), (20, 3), (59, 3), (61, 6), (90, 6), (122, 7)] {
        world.set_now(at("2026-02-02T12:00:00Z") + Duration::seconds(seconds));
        let passed = one_pass(&world);
        assert_eq!(world.posts().len(), posts, "after {seconds} s");
        assert_eq!(passed.no_line, posts < 7, "after {seconds} s");
    }
    for window in world.posts().windows(4) {
        assert!(Duration::seconds(60) < window[3].at - window[0].at, "{window:?}");
    }
}

/// When Ada's phone rang, in UTC.
fn rang_at(world: &World) -> Vec<String> {
    world.rings().iter().map(|ring| ring.at.format("%m-%dT%H:%M").to_string()).collect()
}

#[test]
fn a_late_call_makes_no_later_call_late_under_a_cap_a_day() {
    for config in [
        "[caps]\ncalls_per_number_per_day = 1",
        "[caps]\ncalls_per_number_per_period = 2\nperiod_days = 2",
    ] {
        let world = World::with_config(config);
        world.customer("Ada").at("12:00").paid().welcomed().add();
        for time in ["02T12:25", "03T12:00", "03T12:25", "04T12:00", "04T12:01", "05T12:00"] {
            world.tick_at(&format!("2026-02-{time}:00Z"));
        }
        let expected = ["02-02T12:25", "02-03T12:00", "02-04T12:00", "02-05T12:00"];
        assert_eq!(rang_at(&world), expected, "{config}: {:?}", world.items());
    }
}

#[test]
fn a_cap_a_day_skips_no_call_when_the_clocks_change() {
    let world = World::with_config("[caps]\ncalls_per_number_per_day = 1");
    world.set_clock("2026-03-27T13:00:00Z");
    world.customer("Ada").at("12:00").paid().welcomed().add();
    // In London the 29th has 23 hours.
    for time in ["28T12:00", "29T11:00", "30T11:00"] {
        world.tick_at(&format!("2026-03-{time}:00Z"));
    }
    assert_eq!(rang_at(&world), ["03-28T12:00", "03-29T11:00", "03-30T11:00"]);
}

#[test]
fn a_cap_a_day_counts_the_dates_of_the_customer_and_opens_at_their_midnight() {
    let world = World::with_config("[caps]\ncalls_per_number_per_day = 1");
    let ada = world.customer("Ada").in_zone("America/New_York").paid().welcomed().add();
    world.sql("UPDATE customers SET external_id = 'ada'");
    world.set_clock("2026-02-02T23:00:00Z");
    extra(&world, ada, "one");
    world.tick();
    assert_eq!(world.rings().len(), 1);
    // The date in UTC has changed, and in New York it has not.
    world.set_clock("2026-02-03T01:30:00Z");
    extra(&world, ada, "two");
    assert_eq!(explained(&world, "caps"), "1 call to this number on 2026-02-02");
    world.tick();
    assert_eq!(
        world.one("SELECT not_before FROM call_queue WHERE id = 2"),
        "2026-02-03T05:00:00.000Z"
    );
    world.tick_at("2026-02-03T13:00:00Z");
    assert_eq!(world.rings().len(), 2);
}
