//! A start after a process that did not end in order. Its disk may be an older state of itself, and
//! the provider's list may lag. Nothing is dialed until the list has shown the last known call, or
//! has had the time to show every call.

use chrono::Duration;

use crate::processes::{stop, until};
use crate::world::{Run, World, at, quick};

const NOON: &str = "2026-02-02T12:00:00Z";

/// Ada is due at noon and Bob five minutes later. The service calls Ada and is killed.
pub fn killed_after_a_call() -> World {
    killed_in(World::new())
}

fn killed_in(world: World) -> World {
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:05").paid().welcomed().add();
    world.set_clock(NOON);
    let mut service = world.program(&["run"]).spawn().expect("the service");
    until("the call of Ada", || {
        world.count("SELECT count(*) FROM call_attempts WHERE vapi_call_id IS NOT NULL") == 1
    });
    service.kill().expect("killed");
    service.wait().expect("a child of ours");
    assert_eq!(world.rings().len(), 1);
    world
}

fn tick_at(world: &World, time: &str) -> Run {
    world.set_clock(time);
    world.command(&["tick", "--json"])
}

fn refusal(run: &Run) -> String {
    run.json()["refused"].as_str().unwrap_or_default().to_string()
}

#[test]
fn a_start_after_a_kill_waits_until_the_list_shows_the_last_call() {
    let world = killed_after_a_call();
    world.faults("list-lag=600");
    let early = tick_at(&world, "2026-02-02T12:05:00Z");
    assert_eq!(world.rings().len(), 1, "{early:?}");
    assert_eq!(early.code, Some(3), "{early:?}");
    assert!(refusal(&early).contains("did not end in order"), "{early:?}");
    assert!(refusal(&early).contains("2026-02-02T12:20:00.000Z"), "when it ends: {early:?}");
    let status = world.command(&["status", "--json"]).json();
    let told = status["not_dialing_because"].as_str().unwrap_or_default();
    assert_eq!(told, refusal(&early), "{status}");
    // The list shows Ada's call now.
    assert_eq!(tick_at(&world, "2026-02-02T12:10:30Z").code, Some(0));
    assert_eq!(world.rings().len(), 2);
    assert!(world.command(&["status", "--json"]).json()["not_dialing_because"].is_null());
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_last_call_that_no_list_shows_is_waited_for_15_minutes_over_several_ticks() {
    let world = killed_after_a_call();
    world.faults("list-lag=100000");
    for early in ["2026-02-02T12:05:00Z", "2026-02-02T12:12:00Z", "2026-02-02T12:19:59Z"] {
        let run = tick_at(&world, early);
        assert_eq!((run.code, world.rings().len()), (Some(3), 1), "{early}: {run:?}");
    }
    assert_eq!(tick_at(&world, "2026-02-02T12:20:00Z").code, Some(0));
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn a_start_after_a_kill_dials_at_once_when_the_list_shows_the_last_call() {
    let world = killed_after_a_call();
    assert_eq!(tick_at(&world, "2026-02-02T12:05:00Z").code, Some(0));
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn a_last_call_of_hours_ago_is_looked_for_in_the_list_where_it_was_made() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("19:00").paid().welcomed().add();
    world.tick_at(NOON);
    for hour in 13..23 {
        world.tick_at(&format!("2026-02-02T{hour}:00:00Z"));
    }
    killed_now(&world);
    assert_eq!(tick_at(&world, "2026-02-03T00:00:00Z").code, Some(0));
    assert_eq!(world.rings().len(), 2);
}

/// Starts a service that has nobody to call, and kills it when it is at work.
pub fn killed_now(world: &World) {
    let scanned = "SELECT value FROM meta WHERE key = 'last_scan_at'";
    world.sql("UPDATE meta SET value = '2026-01-01T00:00:00.000Z' WHERE key = 'last_scan_at'");
    let mut service = world.program(&["run"]).spawn().expect("the service");
    until("the service is at work", || {
        world.lines(scanned).first().is_some_and(|at| "2026-01-02" < at.as_str())
    });
    service.kill().expect("killed");
    service.wait().expect("a child of ours");
}

#[test]
fn an_end_in_order_is_waited_for_by_nobody() {
    for way in [&["tick"][..], &["run"], &["call", "1"], &["adopt", "--reason", "a test"]] {
        let world = World::new();
        world.daily("Ada");
        world.customer("Bob").in_zone("America/New_York").at("07:05").paid().welcomed().add();
        world.set_clock(NOON);
        if way[0] == "adopt" {
            world.tick();
            world.set_clock("2026-02-02T12:01:00Z");
        }
        let child = world.program(way).spawn().expect("the program");
        if way[0] == "run" {
            until("the call of Ada", || {
                world.count("SELECT count(*) FROM call_attempts WHERE state <> 'dialing'") == 1
            });
            assert_eq!(stop(child).code, Some(0));
        } else {
            assert_eq!(crate::processes::end_of(child).code, Some(0), "{way:?}");
        }
        assert_eq!(world.rings().len(), 1, "{way:?}");
        world.faults("list-lag=600");
        let run = tick_at(&world, "2026-02-02T12:05:00Z");
        assert_eq!((run.code, world.rings().len()), (Some(0), 2), "{way:?}: {run:?}");
    }
}

#[test]
fn a_file_that_never_dialed_or_whose_calls_are_older_than_the_records_does_not_wait() {
    let world = World::new();
    world.customer("Bob").in_zone("America/New_York").at("07:05").paid().welcomed().add();
    killed_now(&world);
    world.faults("list-lag=600");
    assert_eq!(tick_at(&world, "2026-02-02T12:05:00Z").code, Some(0));
    assert_eq!(world.rings().len(), 1);
    world.set_now(at("2026-02-16T12:04:00Z"));
    world
        .sql("UPDATE meta SET value = '2026-02-16T11:00:00.000Z' WHERE key = 'last_reconciled_at'");
    killed_now(&world);
    assert_eq!(tick_at(&world, "2026-02-16T12:05:30Z").code, Some(0));
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn following_and_scanning_go_on_while_dialing_waits() {
    for way in ["tick", "run"] {
        let talk = Duration::minutes(2);
        let mut setup = quick();
        setup.timing.talk = talk;
        let world = killed_in(World::with(setup, ""));
        assert_eq!(world.count("SELECT count(*) FROM call_attempts WHERE state = 'placed'"), 1);
        world.sql("DELETE FROM call_queue WHERE status = 'pending'");
        world.faults("list-lag=600");
        world.set_clock("2026-02-02T12:05:00Z");
        let child = world.program(&[way]).spawn().expect("the program");
        until("the call is followed and Bob is queued", || {
            world.attempts() == ["Ada daily 2026-02-02 #1 ended answered"]
                && world.items().iter().any(|item| item.starts_with("Bob daily 2026-02-02 pending"))
        });
        assert_eq!(world.rings().len(), 1, "{way}");
        if way == "run" {
            stop(child);
        } else {
            crate::processes::end_of(child);
        }
        assert_eq!(world.rings().len(), 1, "{way}");
    }
}

#[test]
fn a_service_that_waits_dials_when_the_list_shows_the_last_call() {
    let world = killed_after_a_call();
    world.set_config("[reconcile]\npoll_seconds = 1\n");
    world.faults("list-lag=600");
    world.set_clock("2026-02-02T12:05:00Z");
    let log = world.path("log");
    let errors = std::fs::File::create(&log).expect("a log");
    let child = world.program(&["run"]).stderr(errors).spawn().expect("the service");
    let said = || std::fs::read_to_string(&log).expect("the log");
    until("the service waits", || {
        said().contains("did not end in order") || 1 < world.rings().len()
    });
    assert_eq!(world.rings().len(), 1, "{}", said());
    world.set_clock("2026-02-02T12:10:30Z");
    until("the call of Bob", || world.rings().len() == 2);
    stop(child);
}

#[test]
fn an_end_with_a_call_under_way_is_not_in_order() {
    let world = World::new();
    world.daily("Ada");
    for (name, time) in [("Bob", "07:01"), ("Cyd", "07:05")] {
        world.customer(name).in_zone("America/New_York").at(time).paid().welcomed().add();
    }
    world.tick_at(NOON);
    world.set_clock("2026-02-02T12:01:00Z");
    world.sql(
        "CREATE TRIGGER broken BEFORE UPDATE OF state ON call_attempts WHEN NEW.state = 'placed'
         BEGIN SELECT RAISE(ABORT, 'no space'); END",
    );
    let call = world.program(&["call", "2"]).spawn().expect("the program");
    // A stop ends the wait for a database that accepts the outcome.
    until("it cannot write the outcome", || world.holds() == ["record"]);
    let call = stop(call);
    assert_eq!((call.code, world.rings().len()), (Some(1), 2), "{call:?}");
    world.sql("DROP TRIGGER broken; DELETE FROM meta WHERE key LIKE 'hold:%'");
    world.faults("list-lag=600");
    let run = tick_at(&world, "2026-02-02T12:05:00Z");
    assert!(refusal(&run).contains("did not end in order"), "{run:?}");
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn a_call_by_hand_waits_too_and_reconcile_and_adopt_do_not() {
    let world = killed_after_a_call();
    world.faults("list-lag=600");
    world.set_clock("2026-02-02T12:05:00Z");
    let call = world.command(&["call", "2"]);
    assert_eq!((call.code, world.rings().len()), (Some(3), 1), "{call:?}");
    assert_eq!(world.command(&["reconcile"]).code, Some(0));
    let adopt = world.command(&["adopt", "--reason", "it is the only copy"]);
    assert_eq!(adopt.code, Some(0), "{adopt:?}");
    // The person has confirmed that no other copy dials, not that the list is up to date.
    let run = tick_at(&world, "2026-02-02T12:06:00Z");
    assert_eq!((run.code, world.rings().len()), (Some(3), 1), "{run:?}");
    assert_eq!(tick_at(&world, "2026-02-02T12:10:30Z").code, Some(0));
    assert_eq!(world.rings().len(), 2);
}
