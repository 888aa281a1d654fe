//! Calls whose end the provider never reports: they are alarmed, stop counting as lines, can be
//! closed by a person, and get their end if it comes later. An occasion that was not called keeps
//! the real reason.

use chrono::Duration;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::web::health;

use crate::world::{World, quick};

const NOON: &str = "2026-02-02T12:00:00Z";
const ONE_LINE: &str = "[dialing]\nmax_active_calls = 1\n";

/// Calls that talk this long.
fn talking(length: Duration) -> Setup {
    let none = Duration::zero();
    Setup { timing: Timing { queue: none, ring: none, talk: length }, ..quick() }
}

/// Ada's call of noon never ends, and it holds the only line.
fn held_line() -> World {
    let world = World::with(talking(Duration::days(30)), ONE_LINE);
    world.daily("Ada");
    assert_eq!(world.tick_at(NOON).succeeded, 1);
    world
}

fn later(world: &World, name: &str, time: &str) {
    world.customer(name).in_zone("America/New_York").at(time).paid().welcomed().add();
}

fn ada(world: &World) -> String {
    world.one("SELECT id FROM call_attempts WHERE seq = 1")
}

#[test]
fn a_call_that_never_ends_stops_counting_as_a_line_and_the_next_customer_is_called() {
    let world = held_line();
    later(&world, "Bob", "08:30");
    later(&world, "Cid", "09:05");
    world.tick_at("2026-02-02T13:30:00Z");
    assert_eq!(world.rings().len(), 1, "within line_minutes the call holds the line");
    assert!(world.items().iter().any(|item| item.starts_with("Bob daily 2026-02-02 pending")));
    world.tick_at("2026-02-02T14:01:00Z");
    assert_eq!(world.rings().len(), 2, "{:?}", world.items());
    // Bob's call holds the line now, and Ada's still does not.
    let status = world.command(&["status", "--json"]).json();
    assert_eq!(status["lines_in_use"], 1, "{status}");
    world.tick_at("2026-02-03T12:00:00Z");
    world.assert_no_phone_rang_twice();
}

#[test]
fn the_age_at_which_a_line_is_free_is_a_setting_and_never_before_the_alarm() {
    let free_at = |follow: &str, minutes: i64| {
        let config = format!("{ONE_LINE}[follow]\n{follow}\n");
        let world = World::with(talking(Duration::days(30)), &config);
        world.daily("Ada");
        world.tick_at(NOON);
        world.pass(Duration::minutes(minutes));
        world.command(&["status", "--json"]).json()["lines_in_use"] == 0
    };
    assert!(!free_at("line_minutes = 30\nalarm_minutes = 20", 29));
    assert!(free_at("line_minutes = 30\nalarm_minutes = 20", 31));
    assert!(!free_at("line_minutes = 30\nalarm_minutes = 90", 80));
    assert!(free_at("line_minutes = 30\nalarm_minutes = 90", 91));
}

#[test]
fn a_call_that_does_not_end_is_alarmed_before_its_line_is_free() {
    let world = held_line();
    let id = ada(&world);
    let told = || {
        let texts = [world.command(&["status"]).stdout, world.command(&["check"]).stdout];
        let health = health::causes(&world.start(), world.now())
            .iter()
            .map(|cause| cause.line())
            .collect::<Vec<_>>()
            .join("\n");
        texts.into_iter().chain([health]).collect::<Vec<_>>()
    };
    world.pass(Duration::minutes(59));
    assert!(told().iter().all(|text| !text.contains("not ended")), "{:?}", told());
    world.pass(Duration::minutes(2));
    let command = format!("ringonce attempts close {id} --reason WHY");
    for text in told() {
        assert!(text.contains("1 call has not ended for 61 min"), "{text}");
        assert!(text.contains("it holds its line until 120 min"), "{text}");
        assert!(text.contains(&command), "{text}");
    }
    let overdue = world.command(&["status", "--json"]).json()["overdue_call"].clone();
    assert_eq!((&overdue["calls"], &overdue["lines"]), (&1.into(), &1.into()), "{overdue}");
    world.pass(Duration::minutes(120));
    for text in told() {
        assert!(text.contains("it no longer counts as a line"), "{text}");
    }
}

#[test]
fn a_person_closes_a_call_and_its_line_is_free_at_once() {
    let world = held_line();
    later(&world, "Bob", "07:10");
    world.tick_at("2026-02-02T12:10:00Z");
    assert_eq!(world.rings().len(), 1);
    let id = ada(&world);
    let without = world.command(&["attempts", "close", &id, "--reason", " "]);
    assert_eq!(without.code, Some(2), "{without:?}");
    let closed = world.command(&["attempts", "close", &id[..8], "--reason", "it ended at noon"]);
    assert_eq!(closed.code, Some(0), "{closed:?}");
    assert!(closed.stdout.contains("nobody is called for it again"), "{closed:?}");
    assert!(world.attempts()[0].ends_with("ended unknown"), "{:?}", world.attempts());
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.rings().len(), 2, "{:?}", world.items());
    let again = world.command(&["attempts", "close", &id, "--reason", "twice"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("is ended, and only a placed call"), "{again:?}");
    let journal = "SELECT why FROM journal WHERE what = 'close'";
    assert_eq!(world.one(journal), "it ended at noon");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_doubt_is_not_closed_but_resolved() {
    let world = World::with_faults("reset-before-accept");
    world.daily("Ada");
    world.tick_at(NOON);
    let refused = world.command(&["attempts", "close", &ada(&world), "--reason", "x"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("`ringonce attempts resolve`"), "{refused:?}");
    assert!(world.attempts()[0].ends_with("in_doubt"), "{:?}", world.attempts());
}

#[test]
fn a_closed_call_that_ends_later_gets_its_end_and_nobody_is_called_again() {
    for mix in ["answered=1", "no_answer=1"] {
        let none = Duration::zero();
        let length = Duration::hours(3);
        let timing = match mix {
            "answered=1" => Timing { queue: none, ring: none, talk: length },
            _ => Timing { queue: none, ring: length, talk: Duration::seconds(1) },
        };
        let setup = Setup { mix: mix.parse().unwrap(), timing, ..quick() };
        let world = World::with(setup, "");
        world.daily("Ada");
        world.tick_at(NOON);
        world.pass(Duration::hours(1));
        let closed = world.command(&["attempts", "close", &ada(&world), "--reason", "stuck"]);
        assert_eq!(closed.code, Some(0), "{closed:?}");
        world.tick_at("2026-02-02T14:00:00Z");
        assert!(world.attempts()[0].ends_with("ended unknown"), "{:?}", world.attempts());
        world.tick_at("2026-02-02T16:00:00Z");
        let how = mix.trim_end_matches("=1");
        assert_eq!(world.attempts(), [format!("Ada daily 2026-02-02 #1 ended {how}")]);
        assert_ne!(world.one("SELECT ended_at FROM call_attempts"), "");
        assert_eq!(world.one("SELECT next_poll_at FROM call_attempts"), "");
        world.tick_at("2026-02-02T19:00:00Z");
        assert_eq!(world.rings().len(), 1, "a closed call permits no retry");
    }
}

#[test]
fn a_call_whose_line_was_freed_gets_its_end_when_the_provider_reports_it() {
    let world = World::with(talking(Duration::hours(5)), ONE_LINE);
    world.daily("Ada");
    world.tick_at(NOON);
    world.tick_at("2026-02-02T16:00:00Z");
    assert!(world.attempts()[0].ends_with("placed"), "{:?}", world.attempts());
    world.tick_at("2026-02-02T17:30:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
}

#[test]
fn an_occasion_that_waited_for_a_line_until_its_end_keeps_that_reason() {
    let world = World::with(
        talking(Duration::days(30)),
        &format!("{ONE_LINE}[follow]\nline_minutes = 600\n"),
    );
    world.daily("Ada");
    later(&world, "Bob", "07:05");
    world.tick_at(NOON);
    world.tick_at("2026-02-02T12:05:00Z");
    world.tick_at("2026-02-02T16:04:00Z");
    world.tick_at("2026-02-02T16:20:00Z");
    assert!(
        world.items().contains(&"Bob daily 2026-02-02 skipped no_line".into()),
        "{:?}",
        world.items()
    );
}

#[test]
fn an_occasion_that_ended_behind_the_breaker_or_a_hold_keeps_that_reason() {
    let broken = World::with_faults("status=401");
    broken.daily("Ada");
    broken.tick_at(NOON);
    broken.tick_at("2026-02-02T16:04:00Z");
    broken.tick_at("2026-02-02T16:20:00Z");
    assert_eq!(broken.items(), ["Ada daily 2026-02-02 skipped breaker"]);

    let held = World::new();
    held.daily("Ada");
    held.tick();
    held.faults("list-status=503");
    held.tick_at(NOON);
    held.tick_at("2026-02-02T16:20:00Z");
    assert_eq!(held.items(), ["Ada daily 2026-02-02 skipped held"]);
}

#[test]
fn a_service_whose_start_stays_shut_scans_and_says_that_due_calls_are_held() {
    let world = World::new();
    world.daily("Ada");
    world.tick();
    world.faults("list-status=503");
    world.set_clock(NOON);
    let service = world.program(&["run"]).spawn().expect("the service");
    crate::processes::until("the reason of the due call", || {
        world.items() == ["Ada daily 2026-02-02 pending held"]
    });
    crate::processes::stop(service);
    assert!(world.rings().is_empty());
}
