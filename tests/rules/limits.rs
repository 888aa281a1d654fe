//! Gaps, caps, lines, pace and the breaker: nothing here is remembered by a process alone, so each
//! pass below is a process of its own.

use std::time::Duration as StdDuration;

use chrono::Duration;
use ringonce::demo::calls::Timing;
use ringonce::demo::core::Setup;
use ringonce::domain::call::CallType;
use ringonce::service::dialer::{Dialer, Patience};
use ringonce::store::meta;
use ringonce::store::queue::{self, NewItem};

use crate::world::{World, at, nobody_home, quick};

const NUMBER: &str = "+442079460555";

fn lasting(minutes: i64) -> Setup {
    Setup { timing: Timing { talk: Duration::minutes(minutes), ..Timing::default() }, ..quick() }
}

/// An extra call asked for by a person at the world's time.
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
fn two_calls_to_one_number_lie_an_hour_apart_whoever_is_called() {
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
fn lines_in_use_are_what_the_ledger_says_so_a_new_process_dials_no_more() {
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
    for number in 0..7 {
        world.daily(&format!("P{number}"));
    }
    let patience = Patience { pace: false, record: StdDuration::from_secs(5) };
    world.set_clock("2026-02-02T12:00:00Z");
    ringonce::steps::scan::scan(&world.context(), world.now()).expect("a scan");
    for (seconds, posts) in [(0, 3), (20, 3), (59, 3), (61, 6), (90, 6), (122, 7)] {
        world.set_now(at("2026-02-02T12:00:00Z") + Duration::seconds(seconds));
        let service = world.start();
        let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
        let passed = dialer.pass(&mut |_| Ok(None)).expect("a pass");
        assert_eq!(world.posts().len(), posts, "after {seconds} s");
        assert_eq!(passed.no_line, posts < 7, "after {seconds} s");
    }
    for window in world.posts().windows(4) {
        assert!(Duration::seconds(60) < window[3].at - window[0].at, "{window:?}");
    }
}

#[test]
fn a_share_of_failures_opens_the_breaker_and_one_probe_at_a_time_looks_again() {
    let config = "[breaker]\nsample = 4\nfailure_share = 0.5\n[dialing]\nmax_active_calls = 9";
    let world = World::with_config(config);
    for number in 0..8 {
        world.daily(&format!("P{number}"));
    }
    world.faults("close-before-accept");
    let ticked = world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.posts().len(), 4, "{ticked:?}");
    let breaker = world.store().read(meta::breaker).expect("readable").expect("open");
    assert_eq!(breaker.why, "4 of the last 4 calls failed");
    let waiting = |reason: &str| world.items().iter().filter(|line| line.ends_with(reason)).count();
    assert_eq!(waiting("pending breaker"), 4);
    for (time, posts) in [("12:04", 4), ("12:05", 5), ("12:06", 5), ("12:10", 6)] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert_eq!(world.posts().len(), posts, "{time}");
    }
    world.faults("");
    world.tick_at("2026-02-02T12:16:00Z");
    assert_eq!((world.posts().len(), world.rings().len()), (8, 2));
    assert_eq!(world.store().read(meta::breaker).expect("readable"), None);
}

#[test]
fn hours_of_outage_consume_no_occasion_and_end_without_a_burst() {
    let config = "[dialing]\nmax_active_calls = 60\ncalls_per_minute = 60\nworkers = 8";
    let world = World::with_config(config);
    for number in 0..30 {
        world.daily(&format!("P{number}"));
    }
    world.faults("status=402");
    for time in ["12:00", "12:15", "13:00", "14:00", "15:00"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(world.posts().len(), 5, "one POST a look");
    world.faults("");
    world.set_clock("2026-02-02T15:10:00Z");
    let service = world.start();
    let patience = Patience { pace: false, record: StdDuration::from_secs(5) };
    let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
    dialer.pass(&mut |_| Ok(None)).expect("a pass");
    assert_eq!(world.rings().len(), 15, "a quarter of the minute's calls at once");
    assert_eq!(world.count("SELECT count(*) FROM call_queue WHERE status = 'failed'"), 0);
}
