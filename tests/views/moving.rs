//! An edit of time or zone moves the waiting call, unless it was dialed already.

use chrono::Duration;
use ringonce::domain::instant_text;

use crate::inner_loop::sized;
use crate::world::{World, at};

/// Ada, due at 07:00 in New York (12:00 UTC in March), queued at 06:50.
fn queued() -> (World, i64) {
    let mut world = World::new("2026-03-02T11:00:00Z");
    let ada = world.add("call_time=07:00");
    world.now = at("2026-03-02T11:50:00Z");
    world.scan();
    assert_eq!(world.told(ada), ["2026-03-02 pending"]);
    (world, ada)
}

fn waits_for(world: &World, id: i64) -> String {
    let item = world.open_daily(id).unwrap();
    let next = world.customer(id).next_call_scheduled_at.unwrap();
    assert_eq!(item.scheduled_for, next, "the item and the customer tell the same instant");
    instant_text(item.scheduled_for)
}

#[test]
fn a_later_time_on_the_same_date_moves_todays_call() {
    let (mut world, ada) = queued();
    world.edit(ada, "call_time=09:00");
    assert_eq!(waits_for(&world, ada), "2026-03-02T14:00:00.000Z");
    assert_eq!(world.told(ada), ["2026-03-02 pending"]);
    assert!(world.tick("2026-03-02T12:00:00Z").is_empty());
    assert_eq!(world.tick("2026-03-02T14:00:00Z"), [ada]);
    assert!(world.tick("2026-03-02T14:15:00Z").is_empty());
}

#[test]
fn a_time_that_has_gone_gives_tomorrows_call() {
    let (mut world, ada) = queued();
    world.edit(ada, "call_time=06:00");
    assert_eq!(waits_for(&world, ada), "2026-03-03T11:00:00.000Z");
    assert!(world.tick("2026-03-02T12:00:00Z").is_empty());
    assert_eq!(world.tick("2026-03-03T11:00:00Z"), [ada]);
}

#[test]
fn a_call_that_was_due_keeps_its_row_when_it_moves_to_another_date() {
    let (mut world, ada) = queued();
    world.now = at("2026-03-02T12:05:00Z");
    world.edit(ada, "call_time=06:00");
    assert_eq!(world.told(ada), ["2026-03-02 skipped cancelled"]);
    assert_eq!(world.tick("2026-03-03T11:00:00Z"), [ada]);
}

#[test]
fn ending_the_daily_calls_cancels_the_one_that_waits() {
    let (mut world, ada) = queued();
    world.edit(ada, "call_time=");
    assert_eq!(world.told(ada), ["2026-03-02 skipped cancelled"]);
    assert_eq!(world.customer(ada).next_call_scheduled_at, None);
    assert!(world.tick("2026-03-02T12:00:00Z").is_empty());
}

#[test]
fn a_call_with_an_attempt_stays_where_it_is() {
    let (mut world, ada) = queued();
    world.now = at("2026-03-02T12:00:00Z");
    let intents = world.claim();
    world.answer(&intents[0], false);
    assert_eq!(world.told(ada), ["2026-03-02 retrying"]);
    world.edit(ada, "call_time=09:00");
    let item = world.open_daily(ada).unwrap();
    assert_eq!(instant_text(item.scheduled_for), "2026-03-02T12:00:00.000Z");
    let next = world.customer(ada).next_call_scheduled_at.unwrap();
    assert_eq!(instant_text(next), "2026-03-03T14:00:00.000Z");
}

#[test]
fn an_edit_of_the_name_moves_nothing() {
    let (world, ada) = queued();
    let before = world.items(ada);
    world.edit(ada, "name=Ada");
    assert_eq!(world.items(ada), before);
}

#[test]
fn a_zone_edit_across_the_date_line_never_gives_two_dailies_within_the_gap() {
    let zones = ["Pacific/Auckland", "Pacific/Honolulu", "Asia/Kolkata", "America/New_York"];
    for (from, to) in zones.iter().flat_map(|from| zones.iter().map(move |to| (from, to))) {
        for hours in (0..24).step_by(sized(5, 1)) {
            let mut world = World::in_memory("2026-03-01T00:00:00Z", |_| {});
            let ada = world.add(&format!("timezone={from} call_time=09:00"));
            let mut calls = Vec::new();
            for half_hour in 0..4 * 24 * 2 {
                if half_hour == 2 * (24 + hours) {
                    world.edit(ada, &format!("timezone={to}"));
                }
                world.scan();
                for intent in world.claim() {
                    world.answer(&intent, true);
                    calls.push((intent.attempt.occasion.clone(), world.now));
                }
                world.pass_time(Duration::minutes(30));
            }
            assert!(2 < calls.len(), "{from} to {to} after {hours} h: {calls:?}");
            for pair in calls.windows(2) {
                let gap = pair[1].1 - pair[0].1;
                let told = format!("{from} to {to} after {hours} h: {pair:?}");
                assert!(Duration::hours(12) <= gap, "{told}");
                assert!(pair[0].0 < pair[1].0, "{told}");
            }
        }
    }
}
