//! A call at an instant, once: the same key never causes a second call, also across a crash, and
//! every rule applies at that instant.

use chrono::Duration;
use ringonce::store::customers;

use crate::world::{Run, World, at};

const AT: &str = "2026-02-02T20:00:00Z";

/// Ada's extra call at 15:00 in New York, asked for in the morning.
fn asked(world: &World, arguments: &[&str]) -> Run {
    let mut all = vec!["call", "1", "--extra", "--reason", "wants it"];
    all.extend(arguments);
    world.command(&all)
}

fn ada() -> World {
    let world = World::new();
    let ada = world.customer("Ada").phone("+12125550101").in_zone("America/New_York");
    ada.paid().welcomed().add();
    world.set_clock("2026-02-02T14:00:00Z");
    world
}

const KEYED: [&str; 4] = ["--at", AT, "--key", "callback-17"];

#[test]
fn a_call_at_an_instant_rings_then_and_once_for_each_key() {
    let world = ada();
    for _ in 0..3 {
        let run = asked(&world, &KEYED);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stdout.contains("Mon 2026-02-02 15:00 there"), "{run:?}");
    }
    assert_eq!(world.items(), ["Ada extra extra:callback-17 pending"]);
    world.tick_at("2026-02-02T19:59:59Z");
    assert_eq!(world.rings().len(), 0, "not before its instant");
    world.tick_at(AT);
    assert_eq!(world.rings().len(), 1);
    for time in ["2026-02-02T20:01:00Z", "2026-02-04T20:00:00Z"] {
        world.set_clock(time);
        let run = asked(&world, &KEYED);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stdout.contains("has this key and is completed"), "{run:?}");
        world.tick();
    }
    assert_eq!((world.rings().len(), world.posts().len()), (1, 1));
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_key_is_known_after_the_process_was_killed_at_any_step() {
    let world = ada();
    assert_eq!(asked(&world, &["--key", "now-1"]).code, Some(0));
    assert_eq!(world.posts().len(), 1);
    for _ in 0..3 {
        // A caller that got no answer asks again, without an instant.
        let run = asked(&world, &["--key", "now-1"]);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    assert_eq!(world.posts().len(), 1);
    let doubtful = ada();
    doubtful.faults("accept-then-close list-lag=100000");
    assert_eq!(asked(&doubtful, &["--key", "now-1"]).code, Some(3));
    let again = asked(&doubtful, &["--key", "now-1"]);
    assert_eq!(again.code, Some(3), "{again:?}");
    assert_eq!(doubtful.posts().len(), 1, "a doubt is never dialed again");
}

#[test]
fn another_instant_under_a_key_is_refused() {
    let world = ada();
    assert_eq!(asked(&world, &KEYED).code, Some(0));
    let run = asked(&world, &["--at", "2026-02-02T21:00:00Z", "--key", "callback-17"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("which is for 2026-02-02T20:00:00.000Z"), "{run:?}");
    assert_eq!(world.items(), ["Ada extra extra:callback-17 pending"]);
}

#[test]
fn instants_and_keys_that_cannot_be_used_are_refused_with_the_reason() {
    let world = ada();
    for (arguments, code, says) in [
        (vec!["--at", "2026-02-02T13:00:00Z"], 2, "in the past"),
        (vec!["--at", "2027-12-02T13:00:00Z"], 2, "more than a year ahead"),
        (vec!["--at", "15:00"], 2, "is not a time"),
        (vec!["--at", "2026-02-02T20:00:00"], 2, "has no offset from UTC"),
        (vec!["--at", "2026-02-02 20:00"], 2, "has no offset from UTC"),
        (vec!["--key", "two words"], 2, "letters, digits"),
        (vec!["--key", "2125550101"], 2, "names the person"),
        (vec!["--at", "2026-02-03T08:00:00Z"], 1, "opens next at 2026-02-03T13:00:00.000Z"),
    ] {
        let run = asked(&world, &arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(says), "{arguments:?}: {run:?}");
    }
    assert_eq!(world.count("SELECT count(*) FROM call_queue"), 0, "nothing was queued");
    let without = world.command(&["call", "1", "--at", AT]);
    assert_eq!(without.code, Some(2), "{without:?}");
}

#[test]
fn an_instant_outside_the_window_is_refused_also_for_a_customer_who_is_not_eligible_yet() {
    let world = World::new();
    world.customer("Ada").in_zone("America/New_York").add();
    world.set_clock("2026-02-02T14:00:00Z");
    for key in ["one", "two"] {
        let night = asked(&world, &["--at", "2026-02-03T08:00:00Z", "--key", key]);
        assert_eq!(night.code, Some(1), "{night:?}");
        assert!(night.stderr.contains("opens next at 2026-02-03T13:00:00.000Z"), "{night:?}");
        // A call that waits already does not hide it.
        assert_eq!(asked(&world, &KEYED).code, Some(0), "it may pay until then");
    }
}

#[test]
fn every_rule_is_asked_again_when_the_instant_has_come() {
    let never = ada();
    assert_eq!(asked(&never, &KEYED).code, Some(0));
    let listed = ["dnc", "add", "+12125550101", "--reason", "asked"];
    assert_eq!(never.command(&listed).code, Some(0));
    never.tick_at(AT);
    assert_eq!(never.items(), ["Ada extra extra:callback-17 skipped do_not_call"]);

    let paused = ada();
    assert_eq!(asked(&paused, &KEYED).code, Some(0));
    let pause = ["customers", "pause", "1", "--reason", "holiday"];
    assert_eq!(paused.command(&pause).code, Some(0));
    paused.tick_at(AT);
    assert_eq!(paused.items(), ["Ada extra extra:callback-17 pending paused"]);
    paused.tick_at("2026-02-03T00:15:00Z");
    let late = paused.items().remove(0);
    assert!(late.starts_with("Ada extra extra:callback-17 skipped"), "{late}");

    let capped = ada();
    assert_eq!(asked(&capped, &["--key", "first"]).code, Some(0));
    capped.pass(Duration::hours(2));
    let second = asked(&capped, &KEYED);
    assert_eq!(second.code, Some(0), "the cap may pass until then: {second:?}");
    capped.tick_at(AT);
    assert_eq!(capped.rings().len(), 1, "one extra call a day");
    for world in [never, paused] {
        assert_eq!(world.rings().len(), 0);
    }
}

#[test]
fn a_machine_that_was_off_at_the_instant_does_not_call_at_night_or_the_next_day() {
    let world = ada();
    assert_eq!(asked(&world, &KEYED).code, Some(0));
    world.tick_at("2026-02-03T01:00:00Z");
    world.tick_at("2026-02-03T19:00:00Z");
    assert_eq!(world.rings().len(), 0);
    assert_eq!(world.items(), ["Ada extra extra:callback-17 skipped too_late"]);
}

#[test]
fn explain_and_the_queue_show_the_coming_call() {
    let world = ada();
    assert_eq!(asked(&world, &KEYED).code, Some(0));
    let queue = world.command(&["queue", "list", "--json"]).json();
    assert_eq!(queue[0]["scheduled_for"], "2026-02-02T20:00:00.000Z");
    let explained = world.command(&["explain", "1", "--json"]);
    assert!(explained.stdout.contains("extra:callback-17"), "{explained:?}");
    assert!(explained.stdout.contains("2026-02-02T20:00:00"), "{explained:?}");
}

#[test]
fn an_extra_call_moves_no_date_and_no_flag() {
    let world = ada();
    let before = world.store().read(|conn| customers::by_id(conn, 1)).unwrap().unwrap();
    assert_eq!(asked(&world, &KEYED).code, Some(0));
    world.set_now(at(AT));
    world.tick();
    let after = world.store().read(|conn| customers::by_id(conn, 1)).unwrap().unwrap();
    assert_eq!(
        (before.last_call_date, before.welcome_call_completed),
        (after.last_call_date, after.welcome_call_completed)
    );
    assert_eq!(world.rings().len(), 1);
}
