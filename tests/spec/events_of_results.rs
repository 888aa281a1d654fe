//! The result of a call in its events: with `call.ended` if it comes in time, in `call.result` if it
//! changes later, and no longer than results are kept.

use chrono::Duration;
use ringonce::service::follower::{self, Which};
use ringonce::steps::results as kept_results;
use ringonce::store::attempts::results::{self, CallResult, ResultSource};
use ringonce::store::events::outbox;
use serde_json::{Value, json};

use crate::events::{WANTED, kinds, of_kind};
use crate::world::{World, nobody_home};

const NEXT: &str = "SELECT next_at FROM events WHERE type = 'call.ended'";

/// Ada was called at noon and her call is over.
fn called(faults: &str, more: &str) -> World {
    let world = World::with_config(&format!("{WANTED}{more}"));
    world.faults(faults);
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    world
}

fn the_attempt(world: &World) -> String {
    world.one("SELECT id FROM call_attempts WHERE state = 'ended'")
}

fn follow(world: &World) {
    let service = world.start();
    let mut asking = follower::pace_of_asking(&service);
    follower::follow(&service, &mut asking, Which::Due, world.now()).expect("followed");
}

/// Stores a result, as every reading of a call does.
fn put(world: &World, summary: &str, structured: Value) {
    let now = world.now();
    let result = CallResult {
        attempt_id: the_attempt(world),
        summary: Some(summary.to_string()),
        transcript: None,
        structured: structured.as_object().unwrap().clone(),
        success_evaluation: None,
        source: ResultSource::Poll,
        received_at: now,
        updated_at: now,
    };
    world.store().write(|tx| results::put(tx, &result)).unwrap();
}

fn sent(world: &World) {
    let now = world.now();
    let taken = world.store().write(|tx| outbox::take_due(tx, now, 20)).unwrap();
    let store = world.store();
    for event in taken {
        store.write(|tx| outbox::end_try(tx, &event, &Ok(()), now)).unwrap();
    }
}

#[test]
fn the_end_of_a_call_carries_what_was_said_in_the_same_event() {
    let world = called("", "");
    assert_eq!(kinds(&world), ["call.placed", "call.ended", "occasion.finished"]);
    assert_eq!(world.one(NEXT), "2026-02-02T12:00:00.000Z", "it waits for nothing");
    let result = of_kind(&world, "call.ended")[0]["result"].clone();
    assert!(!result["summary"].as_str().unwrap().is_empty(), "{result}");
    assert!(result["structured"]["Mood"].is_string(), "{result}");
}

#[test]
fn a_part_that_comes_a_minute_late_is_in_the_same_event() {
    let world = called("outputs-lag=60", "");
    assert_eq!(world.one(NEXT), "2026-02-02T12:01:30.000Z");
    assert_eq!(of_kind(&world, "call.ended")[0]["result"].as_object().unwrap().len(), 1);
    world.pass(Duration::seconds(70));
    follow(&world);
    assert_eq!(world.one(NEXT), "2026-02-02T12:01:10.000Z");
    assert!(of_kind(&world, "call.ended")[0]["result"]["structured"]["Mood"].is_string());
    assert_eq!(of_kind(&world, "call.result").len(), 0);
}

#[test]
fn a_result_that_does_not_come_is_waited_for_as_long_as_the_configuration_says() {
    let world = called("analysis-lag=99999", "[results]\nwait_minutes = 7\n");
    assert_eq!(world.one(NEXT), "2026-02-02T12:07:00.000Z");
    world.pass(Duration::minutes(6));
    sent(&world);
    let waiting = "SELECT count(*) FROM events WHERE type = 'call.ended' AND next_at IS NOT NULL";
    assert_eq!(world.count(waiting), 1);
    world.pass(Duration::minutes(1));
    sent(&world);
    assert_eq!(world.count(waiting), 0);
    assert_eq!(of_kind(&world, "call.ended")[0]["result"], Value::Null);
}

#[test]
fn nothing_is_waited_for_that_cannot_come_or_is_not_wanted() {
    let silent = World::with(nobody_home(), WANTED);
    silent.daily("Ada");
    silent.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(silent.one(NEXT), "2026-02-02T12:00:00.000Z", "nobody answered");
    for more in ["include = []\n", "[results]\nsummary = false\nstructured = false\n"] {
        let world = called("analysis-lag=99999", more);
        assert_eq!(world.one(NEXT), "2026-02-02T12:00:00.000Z", "{more}");
    }
    for (more, part) in
        [("include = [\"summary\"]\n", "summary"), ("[results]\nsummary = false\n", "structured")]
    {
        let world = called("", more);
        let result = of_kind(&world, "call.ended")[0]["result"].clone();
        assert_eq!(result.as_object().unwrap().keys().collect::<Vec<_>>(), [part]);
        assert_eq!(world.one(NEXT), "2026-02-02T12:00:00.000Z", "{more}");
    }
}

#[test]
fn a_change_after_the_event_was_sent_is_an_event_of_its_own_and_a_repetition_is_none() {
    let world = called("analysis-lag=99999", "");
    world.pass(Duration::minutes(2));
    let good = json!({ "mood": "good" });
    put(&world, "She is well.", good.clone());
    assert_eq!(world.one(NEXT), "2026-02-02T12:02:00.000Z", "sent now, with the result");
    let whole = json!({ "summary": "She is well.", "structured": { "mood": "good" } });
    assert_eq!(of_kind(&world, "call.ended")[0]["result"], whole);
    sent(&world);
    put(&world, "She is well.", good.clone());
    assert_eq!(of_kind(&world, "call.result").len(), 0, "nothing changed");
    put(&world, "She is very well.", good.clone());
    put(&world, "She is very well indeed.", good);
    let changed = of_kind(&world, "call.result");
    assert_eq!(changed.len(), 1, "one that was not sent yet is brought up to date");
    assert_eq!(changed[0]["result"]["summary"], "She is very well indeed.");
    assert_eq!(of_kind(&world, "call.ended")[0]["result"]["summary"], "She is well.");
}

#[test]
fn a_result_that_arrives_while_its_event_is_being_sent_is_not_lost() {
    let world = called("analysis-lag=99999", "");
    world.pass(Duration::minutes(15));
    let now = world.now();
    let taken = world.store().write(|tx| outbox::take_due(tx, now, 20)).unwrap();
    let ended = taken.iter().find(|event| event.kind == "call.ended").expect("it is due");
    put(&world, "She is well.", json!({ "mood": "good" }));
    assert!(!ended.body().contains("She is well."));
    assert_eq!(of_kind(&world, "call.result")[0]["result"]["summary"], "She is well.");
}

#[test]
fn a_very_long_result_is_cut_in_the_event() {
    let world = called("analysis-lag=99999", "");
    let long = "x".repeat(5 * 1024 * 1024);
    put(&world, &long, json!({ "all": long }));
    let length = "SELECT length(data) FROM events WHERE type = 'call.ended'";
    assert!(world.count(length) < 20_000);
    assert_eq!(of_kind(&world, "call.ended")[0]["result"]["structured_is_too_long"], true);
}

#[test]
fn what_was_said_leaves_the_events_with_the_result_itself() {
    let world = called("", "[results]\nkeep_days = 7\n");
    let said = "SELECT count(*) FROM events WHERE json_extract(data, '$.result') IS NOT NULL";
    assert_eq!(world.count(said), 1);
    world.pass(Duration::days(8));
    kept_results::forget_old(&world.context(), world.now()).expect("forgotten");
    assert_eq!((world.count(said), kinds(&world).len()), (0, 3), "the events stay");
}
