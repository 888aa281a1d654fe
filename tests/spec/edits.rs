//! Edits of zone and time: the waiting call moves along. Two daily calls never fall within the gap
//! or on one date.

use std::process::Stdio;

use crate::processes::{stop, until};
use crate::world::{World, at};

/// Changes zone and time as a person does.
fn edit(world: &World, zone: &str, time: &str) {
    let edit = ["customers", "update", "1", "--timezone", zone, "--call-time", time];
    let run = world.command(&edit);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn an_edit_of_zone_or_time_never_gives_two_calls_of_one_date_or_within_the_gap() {
    // The edit, five minutes after the call of 12:00 on the 2nd, and the rings after it.
    let cases: [(&str, &str, &[&str]); 7] = [
        ("America/New_York", "09:00", &["03T14:00 2026-02-03", "04T14:00 2026-02-04"]),
        ("America/Los_Angeles", "07:00", &["03T15:00 2026-02-03", "04T15:00 2026-02-04"]),
        // Ten hours after the call it is 11:00 of the 3rd there; the gap of twelve hours delays it.
        ("Pacific/Auckland", "11:00", &["03T00:00 2026-02-03", "03T22:00 2026-02-04"]),
        // Seven hours after the call: the gap would delay it by more than four hours, so it is
        // skipped.
        ("Pacific/Auckland", "08:00", &["03T19:00 2026-02-04"]),
        // The gap ends at the last permitted instant.
        ("Asia/Tokyo", "05:00", &["03T00:00 2026-02-03", "03T20:00 2026-02-04"]),
        ("Pacific/Pago_Pago", "07:00", &["03T18:00 2026-02-03", "04T18:00 2026-02-04"]),
        ("Europe/London", "13:00", &["03T13:00 2026-02-03", "04T13:00 2026-02-04"]),
    ];
    for (zone, time, later) in cases {
        let world = World::new();
        world.daily("Ada");
        world.tick_at("2026-02-02T12:00:00Z");
        world.set_clock("2026-02-02T12:05:00Z");
        edit(&world, zone, time);
        world.set_clock("2026-02-02T13:00:00Z");
        while world.now() < at("2026-02-04T18:30:00Z") {
            world.tick();
            world.pass(chrono::Duration::minutes(60));
        }
        let rings: Vec<String> = world.rings()[1..]
            .iter()
            .map(|r| {
                format!("{} {}", r.at.format("%dT%H:%M"), r.occasion.clone().unwrap_or_default())
            })
            .collect();
        assert_eq!(rings, later, "{zone} {time}: {:?}", world.items());
        for pair in world.rings().windows(2) {
            assert!(chrono::Duration::hours(12) <= pair[1].at - pair[0].at, "{zone} {time}");
        }
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn an_edit_before_the_call_moves_the_item_that_waits() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    edit(&world, "America/New_York", "09:30");
    for time in ["12:00", "12:15", "14:15", "14:30", "14:45"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    let times: Vec<String> =
        world.rings().iter().map(|ring| ring.at.format("%H:%M").to_string()).collect();
    assert_eq!(times, ["14:30"], "{:?}", world.items());
}

#[test]
fn a_customer_whose_time_is_edited_after_todays_call_time_is_called_from_tomorrow_on() {
    let world = World::new();
    world.set_clock("2026-02-02T13:00:00Z");
    world.daily("Ada");
    for time in ["02T13:15", "02T14:00", "03T11:59", "03T12:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    assert_eq!(world.items(), ["Ada daily 2026-02-03 completed"]);
}

#[test]
fn a_pause_that_is_lifted_lets_the_service_call_at_once() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock("2026-02-02T11:59:00Z");
    assert_eq!(world.command(&["pause", "--reason", "a test"]).code, Some(0));
    let child = world.program(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    until("the scan", || !world.items().is_empty());
    world.set_clock("2026-02-02T12:00:00Z");
    until("she waits", || world.items() == ["Ada daily 2026-02-02 pending paused"]);
    // The clock stands still, so a call that waits for a later look would never ring.
    assert_eq!(world.command(&["resume", "--reason", "a test"]).code, Some(0));
    until("the call", || world.rings().len() == 1);
    assert_eq!(stop(child).code, Some(0));
}

#[test]
fn another_name_of_the_same_zone_cancels_no_call_that_is_due() {
    let world = World::new();
    world.customer("Ada").in_zone("Asia/Calcutta").at("17:30").paid().welcomed().add();
    world.tick_at("2026-02-02T11:45:00Z");
    // It is due, and no pass has claimed it yet.
    world.set_clock("2026-02-02T12:03:00Z");
    let rename = ["customers", "update", "1", "--timezone", "Asia/Kolkata"];
    let run = world.command(&rename);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.one("SELECT timezone FROM customers"), "Asia/Kolkata");
    world.tick();
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}
