//! The breaker: what opens it, keeps it half open, and closes it. Every pass runs in a process of
//! its own, so only the file remembers the breaker.

use chrono::Duration;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::steps::breaker::{self, Became, Cause, ClosedBy};
use ringonce::store::attempts::{self, Attempt};
use ringonce::store::meta::breaker::{self as stored_breaker, Breaker};

use crate::passes::{many, one_pass, posts_after_ticks};
use crate::world::{World, at, quick};

const NO_CREDITS: &str = "never-dialed=call.start.error-subscription-insufficient-credits";

fn open_breaker(world: &World) -> Option<Breaker> {
    world.store().read(stored_breaker::breaker).expect("readable")
}

/// Calls are accepted at once, ring for 20 seconds and last seven minutes.
fn long_calls(config: &str) -> World {
    let (queue, ring) = (Duration::seconds(1), Duration::seconds(20));
    let timing = Timing { queue, ring, talk: Duration::minutes(7) };
    World::with(Setup { timing, ..quick() }, config)
}

#[test]
fn an_ending_that_would_meet_every_call_opens_the_breaker() {
    let reasons = ["insufficient-credits", "concurrency-limit-reached", "frozen"];
    for reason in reasons {
        let fault = format!("never-dialed=call.start.error-subscription-{reason}");
        let world = World::with_faults(&fault);
        world.customer("Ada").at("12:00").paid().welcomed().add();
        world.customer("Bea").at("12:02").paid().welcomed().add();
        world.tick_at("2026-02-02T12:00:00Z");
        let breaker = open_breaker(&world).expect("open");
        assert!(breaker.words().contains(reason), "{breaker:?}");
        world.tick_at("2026-02-02T12:02:00Z");
        assert_eq!(world.posts().len(), 1, "{reason}");
        assert_eq!(
            world.items()[1],
            "Bea daily 2026-02-02 pending breaker",
            "the reason is visible"
        );
        world.faults("");
        world.tick_at("2026-02-02T12:20:00Z");
        assert_eq!(world.rings().len(), 2, "{reason}");
    }
}

#[test]
fn status_and_explain_say_whether_the_next_call_is_the_probe() {
    let world = World::with_faults("status=402");
    let ada = world.daily("Ada").to_string();
    world.tick_at("2026-02-02T12:00:00Z");
    for (time, half_open, words, rule) in [
        ("12:04:58", false, "open, one call is tried in 2 s (opened 4 min ago): ", "wait: breaker"),
        ("12:05:00", true, "half open, the next call is the probe (opened 5 min ago): ", "yes"),
    ] {
        world.set_clock(&format!("2026-02-02T{time}Z"));
        let told = world.command(&["status"]).stdout;
        assert!(told.contains(words), "{time}: {told}");
        let json = world.command(&["status", "--json"]).json();
        assert_eq!(json["breaker"]["half_open"], half_open, "{json}");
        let explained = world.command(&["explain", &ada]).stdout;
        let line = explained.lines().find(|line| line.starts_with("breaker closed"));
        assert!(line.is_some_and(|line| line.contains(rule)), "{time}: {explained}");
    }
}

#[test]
fn an_accepted_probe_does_not_close_what_only_a_call_that_was_really_dialed_can() {
    let world = long_calls("");
    world.customer("Ada").at("12:00").paid().welcomed().add();
    for name in ["Bea", "Cy", "Dan"] {
        world.customer(name).at("12:01").paid().welcomed().add();
    }
    world.faults(&format!("{NO_CREDITS}:first=2"));
    // The provider accepts calls and never dials them: the first call, then the probe.
    for (time, posts) in [("12:00:00", 1), ("12:04:59", 1), ("12:05:00", 2), ("12:07:00", 2)] {
        world.tick_at(&format!("2026-02-02T{time}Z"));
        assert_eq!(world.posts().len(), posts, "{time}");
        assert!(open_breaker(&world).is_some(), "{time}");
    }
    assert_eq!(world.rings().len(), 0);
    // The next probe really rings. Until it has ended, one more call is allowed every five minutes.
    for (time, rings) in [("12:12", 1), ("12:13", 1), ("12:16", 1), ("12:17", 2), ("12:18", 2)] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert_eq!(world.rings().len(), rings, "{time}");
        assert!(open_breaker(&world).is_some(), "{time}");
    }
    world.tick_at("2026-02-02T12:20:00Z");
    assert_eq!((world.rings().len(), open_breaker(&world)), (4, None));
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_call_from_before_the_outage_is_not_a_probe() {
    let world = long_calls("");
    world.customer("Ada").at("11:56").paid().welcomed().add();
    world.customer("Bea").at("12:00").paid().welcomed().add();
    world.customer("Cy").at("12:02").paid().welcomed().add();
    world.tick_at("2026-02-02T11:56:00Z");
    world.faults(NO_CREDITS);
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T12:00:10Z");
    assert!(open_breaker(&world).is_some());
    world.tick_at("2026-02-02T12:04:00Z");
    let ended = world.attempts().iter().filter(|line| line.ends_with("ended answered")).count();
    assert_eq!((ended, world.posts().len()), (1, 2), "{:?}", world.attempts());
    assert!(open_breaker(&world).is_some(), "Ada's call ended, and began before the outage");
}

#[test]
fn a_post_that_was_under_way_when_the_breaker_opened_is_not_a_probe() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let (cx, now) = (world.context(), at("2026-02-02T12:00:01Z"));
    cx.store
        .write(|tx| {
            let made = attempts::by_id(tx, &world.one("SELECT id FROM call_attempts"))?.unwrap();
            breaker::open(&cx, tx, &Cause::new("no credits", ClosedBy::Acceptance), now)?;
            for accepted in [true, false] {
                let became = breaker::after_post(&cx, tx, &made, accepted, None, now)?;
                assert_eq!(became, Became::AsItWas, "accepted: {accepted}");
            }
            let later = Attempt { seq: made.seq + 1, ..made };
            let became = breaker::after_post(&cx, tx, &later, true, None, now)?;
            assert_eq!(became, Became::Closed);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_call_made_after_the_one_that_failed_shows_by_its_end_that_the_outage_is_over() {
    let world = long_calls("");
    for (name, time) in [("Ada", "12:00"), ("Bea", "12:00"), ("Cy", "12:01"), ("Dan", "12:06")] {
        world.customer(name).at(time).paid().welcomed().add();
    }
    world.faults(&format!("{NO_CREDITS}:first=1"));
    for (time, rings, is_open) in [
        // Ada's call is never dialed and Bea's is, in the same pass.
        ("12:00", 1, true),
        ("12:01", 1, true),
        ("12:05", 2, true),
        ("12:06", 2, true),
        ("12:08", 3, false),
    ] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert_eq!(
            (world.rings().len(), open_breaker(&world).is_some()),
            (rings, is_open),
            "{time}"
        );
    }
}

#[test]
fn a_share_of_failures_opens_the_breaker_and_one_probe_at_a_time_looks_again() {
    let config = "[breaker]\nsample = 4\nfailure_share = 0.5\n[dialing]\nmax_active_calls = 9";
    let world = World::with_config(config);
    many(&world, 8);
    world.faults("close-before-accept");
    let ticked = world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.posts().len(), 4, "{ticked:?}");
    assert_eq!(open_breaker(&world).expect("open").why, "4 of the last 4 calls failed");
    let waiting = |reason: &str| world.items().iter().filter(|line| line.ends_with(reason)).count();
    assert_eq!(waiting("pending breaker"), 4);
    posts_after_ticks(&world, &[("12:04", 4), ("12:05", 5), ("12:06", 5), ("12:10", 6)]);
    world.faults("");
    world.tick_at("2026-02-02T12:16:00Z");
    assert_eq!((world.posts().len(), world.rings().len()), (8, 2));
    assert_eq!(open_breaker(&world), None);
}

#[test]
fn hours_of_outage_consume_no_occasion_and_end_without_a_burst() {
    let config = "[dialing]\nmax_active_calls = 60\ncalls_per_minute = 60\nworkers = 8";
    let world = World::with_config(config);
    many(&world, 30);
    world.faults("status=402");
    for time in ["12:00", "12:15", "13:00", "14:00", "15:00"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(world.posts().len(), 5, "one POST a look");
    world.faults("");
    world.set_clock("2026-02-02T15:10:00Z");
    one_pass(&world);
    assert_eq!(world.rings().len(), 15, "a quarter of the minute's calls at once");
    assert_eq!(world.count("SELECT count(*) FROM call_queue WHERE status = 'failed'"), 0);
}

#[test]
fn failures_of_earlier_processes_count_for_an_hour_and_no_longer() {
    let config = "[breaker]\nsample = 4\nfailure_share = 0.5";
    for (minutes, opens) in [(1, true), (15, true), (25, false)] {
        let world = World::with_config(config);
        for number in 0..4 {
            let due = at("2026-02-02T12:00:00Z") + Duration::minutes(minutes * number);
            let time = due.format("%H:%M").to_string();
            world.customer(&format!("P{number}")).at(&time).paid().welcomed().add();
        }
        world.faults("status=503");
        for number in 0..4 {
            assert_eq!(open_breaker(&world), None, "{number}");
            world.set_now(at("2026-02-02T12:00:00Z") + Duration::minutes(minutes * number));
            world.tick();
        }
        let why = open_breaker(&world).map(|breaker| breaker.words());
        let expected = opens.then(|| "4 of the last 4 calls failed".to_string());
        assert_eq!(why, expected, "{minutes}");
    }
}

#[test]
fn three_equal_refusals_of_the_request_count_over_processes_and_only_in_a_row() {
    for (faults, opens) in [
        (["status=422", "status=422", "status=422"], true),
        (["status=422", "", "status=422"], false),
        (["status=422", "status=400", "status=422"], false),
    ] {
        let world = World::new();
        for (number, fault) in (0..).zip(faults) {
            let time = format!("12:{number:02}");
            world.customer(&format!("P{number}")).at(&time).paid().welcomed().add();
            world.faults(fault);
            world.tick_at(&format!("2026-02-02T{time}:00Z"));
        }
        assert_eq!(world.posts().len(), 3, "{faults:?}");
        let why = open_breaker(&world).map(|breaker| breaker.words()).unwrap_or_default();
        assert_eq!(why.starts_with("3 equal refusals in a row: "), opens, "{faults:?} {why}");
    }
}

#[test]
fn calls_that_are_accepted_and_come_to_nothing_open_the_breaker_until_one_goes_well() {
    let world = World::with_config(
        "[breaker]\nsample = 4\nfailure_share = 0.5\n[dialing]\nmax_active_calls = 4",
    );
    many(&world, 7);
    world.faults("ended-reason=pipeline-error-openai-llm-failed");
    world.tick_at("2026-02-02T12:00:00Z");
    assert!(
        open_breaker(&world).is_some_and(|breaker| breaker.until_ended),
        "{:?}",
        world.attempts()
    );
    assert_eq!(world.posts().len(), 4);
    world.tick_at("2026-02-02T12:06:00Z");
    assert_eq!(world.posts().len(), 5);
    world.faults("");
    world.tick_at("2026-02-02T12:20:00Z");
    assert_eq!(world.posts().len(), 7, "{:?}", world.items());
    assert_eq!(open_breaker(&world), None);
}

#[test]
fn the_ramp_after_an_outage_outlives_the_process_that_noticed_its_end() {
    let config = "[dialing]\nmax_active_calls = 60\ncalls_per_minute = 60\nramp_minutes = 5";
    for (minutes, most) in [(0, 15), (3, 42), (6, 60)] {
        let world = World::with_config(config);
        many(&world, 70);
        world.set_clock("2026-02-02T12:00:00Z");
        let outage = Breaker {
            probe_failed: false,
            why: "no credits".to_string(),
            opened_at: "2026-02-02T11:00:00.000Z".to_string(),
            probe_at: "2026-02-02T11:05:00.000Z".to_string(),
            until_ended: true,
        };
        world.store().write(|tx| stored_breaker::open_breaker(tx, &outage, 0)).expect("open");
        let closed = world.store().write(|tx| stored_breaker::close_breaker(tx, world.now()));
        assert!(closed.expect("closed"));
        world.pass(Duration::minutes(minutes));
        ringonce::steps::scan::scan(&world.context(), world.now()).expect("a scan");
        one_pass(&world);
        assert_eq!(world.rings().len(), most, "{minutes}");
    }
}
