//! Which changes become events, and what an event holds. An event is written in the transaction of
//! its change, and never without it.

use chrono::Duration;
use ringonce::store::attempts;
use ringonce::store::journal::By;
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{World, nobody_home, quick};

/// A configuration with a receiver that nobody asks: these tests read the outbox.
pub const WANTED: &str = "[events]\nurl = \"http://127.0.0.1:9/hook\"\n";

pub fn events(world: &World) -> Vec<Value> {
    let rows = world.lines(
        "SELECT json_object('type', type, 'data', json(data), 'customer_id', customer_id)
         FROM events ORDER BY seq",
    );
    rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect()
}

pub fn kinds(world: &World) -> Vec<String> {
    world.lines("SELECT type FROM events ORDER BY seq")
}

pub fn of_kind(world: &World, kind: &str) -> Vec<Value> {
    let found = events(world).into_iter().filter(|event| event["type"] == kind);
    found.map(|event| event["data"].clone()).collect()
}

#[test]
fn a_call_is_reported_from_its_placing_to_the_end_of_its_occasion() {
    let world = World::with_config(WANTED);
    let id = world.daily("Ada");
    world.sql("UPDATE customers SET external_id = 'user-7', email = 'ada@example.com'");
    world.tick_at("2026-02-02T11:45:00Z");
    assert_eq!(kinds(&world), [""; 0]);
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(kinds(&world), ["call.placed", "call.ended", "occasion.finished"]);
    let all = events(&world);
    let key = world.one("SELECT key FROM customers");
    let ring = world.rings().remove(0);
    for event in &all {
        let who = json!({ "id": id, "key": key, "external_id": "user-7" });
        assert_eq!(event["data"]["customer"], who, "{event}");
        for personal in ["Ada", "+4420", "ada@example.com"] {
            assert!(!event.to_string().contains(personal), "{event}");
        }
    }
    let (placed, ended, finished) = (&all[0]["data"], &all[1]["data"], &all[2]["data"]);
    assert_eq!((&placed["state"], &placed["call_id"]), (&json!("placed"), &json!(ring.call_id)));
    assert_eq!(ended["disposition"], "answered");
    assert_eq!(ended["attempt_id"], placed["attempt_id"]);
    assert_eq!((&ended["occasion"], &ended["attempt_no"]), (&json!("2026-02-02"), &json!(1)));
    assert_eq!((&finished["outcome"], &finished["attempts"]), (&json!("reached"), &json!(1)));
    // A second pass reports nothing again.
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(kinds(&world).len(), 3);
}

#[test]
fn an_occasion_with_a_retry_is_finished_once_after_its_last_call() {
    let world = World::with(nobody_home(), WANTED);
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(kinds(&world), ["call.placed", "call.ended"]);
    world.tick_at("2026-02-02T14:00:00Z");
    let finished = of_kind(&world, "occasion.finished");
    assert_eq!(finished.len(), 1, "{finished:?}");
    assert_eq!(finished[0]["outcome"], "unreached");
    assert_eq!(finished[0]["attempts"], 2);
    assert_eq!(finished[0]["disposition"], "no_answer");
}

#[test]
fn an_occasion_that_is_not_called_is_finished_with_its_reason() {
    let world = World::with_config(WANTED);
    world.daily("Ada");
    world.daily("Bob");
    world.tick_at("2026-02-02T11:45:00Z");
    let cancelled = world.command(&["queue", "cancel", "1", "--reason", "on holiday"]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    // Nothing runs until the time of both has passed.
    world.tick_at("2026-02-02T20:00:00Z");
    let finished = of_kind(&world, "occasion.finished");
    let told: Vec<(&str, &str)> = finished
        .iter()
        .map(|data| (data["outcome"].as_str().unwrap(), data["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("skipped", "cancelled"), ("skipped", "too_late")]);
    assert!(world.posts().is_empty());
}

#[test]
fn dates_that_passed_while_nothing_ran_are_finished_too() {
    let world = World::with_config(WANTED);
    world.daily("Ada");
    world.tick_at("2026-02-02T11:31:00Z");
    world.tick_at("2026-02-05T20:00:00Z");
    let rows = world.count("SELECT count(*) FROM call_queue WHERE status = 'skipped'");
    assert_eq!(of_kind(&world, "occasion.finished").len() as i64, rows);
    assert!(rows >= 3, "{:?}", world.items());
}

#[test]
fn a_doubt_and_its_settlement_are_reported_and_only_then_the_end_of_the_occasion() {
    let world = World::with(
        ringonce::demo::fake_vapi::core::Setup {
            faults: "accept-then-close:first=1 list-lag=600".parse().expect("faults"),
            ..quick()
        },
        WANTED,
    );
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(kinds(&world), ["call.in_doubt"]);
    world.tick_at("2026-02-02T12:20:00Z");
    world.tick_at("2026-02-02T12:30:00Z");
    assert_eq!(kinds(&world), ["call.in_doubt", "call.settled", "call.ended", "occasion.finished"]);
    assert_eq!(of_kind(&world, "call.settled")[0]["state"], "placed");
    assert_eq!(of_kind(&world, "occasion.finished")[0]["outcome"], "reached");
}

#[test]
fn a_doubt_that_a_person_settles_as_not_placed_is_reported() {
    let world = World::with(
        ringonce::demo::fake_vapi::core::Setup {
            faults: "close-before-accept:first=1".parse().expect("faults"),
            ..quick()
        },
        WANTED,
    );
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(kinds(&world), ["call.in_doubt"]);
    world.set_clock("2026-02-02T20:00:00Z");
    let id = world.one("SELECT id FROM call_attempts");
    let settled =
        world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "not in the log"]);
    assert_eq!(settled.code, Some(0), "{settled:?}");
    assert_eq!(of_kind(&world, "call.settled")[0]["state"], "not_placed");
    let finished = of_kind(&world, "occasion.finished");
    assert_eq!((finished.len(), &finished[0]["outcome"]), (1, &json!("failed")));
}

#[test]
fn an_occasion_that_another_call_completed_is_finished_when_its_last_doubt_is_settled() {
    let world = World::with(
        ringonce::demo::fake_vapi::core::Setup {
            faults: "close-before-accept:first=1".parse().expect("faults"),
            ..quick()
        },
        WANTED,
    );
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    let id = world.one("SELECT id FROM call_attempts");
    // As an adopted call of the same occasion leaves it.
    world.sql("UPDATE call_queue SET status = 'completed', reason = NULL");
    assert_eq!(kinds(&world), ["call.in_doubt"]);
    world.set_clock("2026-02-02T20:00:00Z");
    let settled =
        world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "not in the log"]);
    assert_eq!(settled.code, Some(0), "{settled:?}");
    assert_eq!(kinds(&world), ["call.in_doubt", "call.settled", "occasion.finished"]);
}

#[test]
fn an_occasion_of_an_erased_customer_is_finished_when_its_last_doubt_is_settled() {
    let setup = ringonce::demo::fake_vapi::core::Setup {
        faults: "close-before-accept:first=1".parse().expect("faults"),
        ..quick()
    };
    let world = World::with(setup, WANTED);
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    // As a call leaves it that another copy of the file made, and this one adopted.
    world.sql("UPDATE call_attempts SET queue_id = NULL");
    world.sql("UPDATE call_queue SET status = 'completed', reason = 'already_called'");
    let id = world.one("SELECT id FROM call_attempts");
    world.set_clock("2026-02-02T20:00:00Z");
    let run = world.command(&["customers", "erase", "id:1", "--reason", "asked"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(kinds(&world), ["call.in_doubt"]);
    let settled =
        world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "not in the log"]);
    assert_eq!(settled.code, Some(0), "{settled:?}");
    assert_eq!(kinds(&world), ["call.in_doubt", "call.settled", "occasion.finished"]);
}

#[test]
fn a_number_that_is_listed_is_an_opt_out_of_each_of_its_customers() {
    let world = World::with_config(WANTED);
    let ada = world.customer("Ada").phone("+12125550101").add();
    let bob = world.customer("Bob").phone("+12125550101").shared_phone().add();
    world.customer("Eve").phone("+12125550102").add();
    world.tick();
    for _ in 0..2 {
        let listed = world.command(&["dnc", "add", "+12125550101", "--reason", "asked by letter"]);
        assert_eq!(listed.code, Some(0), "{listed:?}");
    }
    let told = of_kind(&world, "customer.opted_out");
    let who: Vec<&Value> = told.iter().map(|data| &data["customer"]["id"]).collect();
    assert_eq!(who, [&json!(ada), &json!(bob)]);
    assert_eq!(told[0]["source"], "cli");
    assert!(!told[0].to_string().contains("letter"));
}

#[test]
fn a_customer_who_is_disabled_after_failures_is_reported() {
    let config =
        format!("[customers]\ndisable_after_failures = 1\n[dialing]\nmax_attempts = 1\n{WANTED}");
    let world = World::with(
        ringonce::demo::fake_vapi::core::Setup {
            faults: "status=400".parse().expect("faults"),
            ..quick()
        },
        &config,
    );
    let id = world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    let told = of_kind(&world, "customer.disabled");
    assert_eq!(told.len(), 1, "{:?}", events(&world));
    assert_eq!((&told[0]["customer"]["id"], &told[0]["failures"]), (&json!(id), &json!(1)));
}

#[test]
fn an_event_is_never_kept_without_its_change() {
    let world = World::with_config(WANTED);
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let service = world.start();
    let now = world.now();
    let undone = service.cx.store.write(|tx| {
        let attempt = attempts::Attempt {
            id: "01a20438-c93b-7206-9206-000000000206".to_string(),
            seq: 77,
            customer_id: Some(1),
            occasion: "2026-02-02".to_string(),
            attempt_no: 1,
            created_at: now,
            updated_at: now,
            ..attempts::Attempt::default()
        };
        attempts::insert(tx, &attempt, "test")?;
        let _ = attempts::accept(tx, &attempt, Some("call-1"), now, By { who: "test", now })?;
        let written: i64 = tx.query_one("SELECT count(*) FROM events", [], |row| row.get(0))?;
        assert_eq!(written, 2);
        anyhow::bail!("the change fails")
    });
    let undone: anyhow::Result<()> = undone;
    assert!(undone.is_err());
    assert_eq!(kinds(&world), [""; 0]);
}

#[test]
fn without_an_address_or_for_another_type_nothing_is_written() {
    let live = |config: &str| {
        let world = World::with_config(config);
        world.daily("Ada");
        world.tick_at("2026-02-02T11:45:00Z");
        world.tick_at("2026-02-02T12:00:00Z");
        kinds(&world)
    };
    assert_eq!(live(""), [""; 0]);
    assert_eq!(live("[events]\ntypes = [\"call.ended\"]\n"), [""; 0]);
    assert_eq!(live(&format!("{WANTED}types = [\"call.ended\"]\n")), ["call.ended"]);
}

#[test]
fn an_address_that_is_taken_out_of_the_configuration_ends_the_writing() {
    let world = World::with_config(WANTED);
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_config("");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(kinds(&world), [""; 0]);
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn an_erased_person_is_no_longer_named_in_events_and_a_snapshot_names_nobody() {
    let receiver = Receiver::new();
    let world = World::with_config(&receiver.config());
    let id = world.daily("Ada");
    world.daily("Bob");
    world.sql("UPDATE customers SET external_id = 'canary-' || id");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    let snapshot = world.command(&["snapshot", "snapshot.db"]);
    assert_eq!(snapshot.code, Some(0), "{snapshot:?}");
    let bytes = std::fs::read(world.path("snapshot.db")).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    let whose = id.to_string();
    let told = world.command(&["customers", "export", &whose]).json();
    let kinds: Vec<&str> =
        told["events"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["call.placed", "call.ended", "occasion.finished"], "only Ada's");
    assert_eq!(told["events"][0]["data"]["customer"]["external_id"], "canary-1", "{told}");
    let run = world.command(&["customers", "erase", &whose, "--reason", "asked"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let named = "SELECT count(*) FROM events WHERE instr(data, 'canary-";
    assert_eq!(world.count(&format!("{named}1')")), 0);
    assert_eq!(world.count(&format!("{named}2')")), 3);
    let key = "SELECT count(DISTINCT json_extract(data, '$.customer.key')) FROM events";
    assert_eq!(world.count(key), 2, "the application finds the person by the key");
    crate::receiver::deliver_all(&world);
    assert_eq!(receiver.heard().len(), 6);
    assert!(receiver.heard().iter().all(|heard| !heard.body.contains("canary-1")));
}

#[test]
fn what_was_delivered_long_ago_is_deleted_and_what_was_not_stays() {
    let world = World::with_config(WANTED);
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    world.sql("UPDATE events SET delivered_at = created_at, next_at = NULL WHERE seq < 3");
    let forget = || {
        let store = world.store();
        let now = world.now();
        let any = store.read(|conn| ringonce::store::events::outbox::is_any_old(conn, now));
        let gone = store.write(|tx| ringonce::store::events::outbox::forget_old(tx, now));
        (any.unwrap(), gone.unwrap())
    };
    world.pass(Duration::days(29));
    assert_eq!(forget(), (false, 0));
    world.pass(Duration::days(2));
    assert_eq!(forget(), (true, 2));
    world.pass(Duration::days(400));
    assert_eq!(forget(), (false, 0));
    assert_eq!(kinds(&world), ["occasion.finished"]);
}

#[test]
fn a_value_that_cannot_be_read_stops_neither_the_change_nor_its_event() {
    let world = World::with_config(WANTED);
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.faults("get-status");
    world.tick_at("2026-02-02T12:00:00Z");
    world.faults("");
    world.sql("UPDATE customers SET external_id = CAST(x'ff' AS TEXT)");
    world.tick_at("2026-02-02T12:10:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    assert_eq!(of_kind(&world, "call.ended")[0]["customer"]["external_id"], Value::Null);
}
