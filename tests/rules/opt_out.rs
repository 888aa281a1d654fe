//! Who says "do not call me again" is not called again, whatever way we hear of it, and neither is
//! anybody else at that number.

use chrono::Duration;
use ringonce::demo::calls::Timing;
use ringonce::demo::core::Setup;
use ringonce::domain::call::AttemptState;
use ringonce::provider::ProviderCall;
use ringonce::steps::events::{self, Told};
use ringonce::steps::follow;
use ringonce::store::attempts;
use serde_json::{Value, json};

use crate::world::{World, quick};

const CONFIG: &str = "[do_not_call]\nended_reasons = [\"vonage-disconnected\"]\n\
    structured_data_field = \"stop\"\ntool_name = \"optOut\"\n";

/// A world in which Ada's call of 12:00 goes on, and the provider's record of it.
fn talking(config: &str) -> (World, ProviderCall) {
    let timing = Timing { talk: Duration::hours(1), ..Timing::default() };
    let world = World::with(Setup { timing, ..quick() }, config);
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let id = world.one("SELECT vapi_call_id FROM call_attempts");
    (world, ProviderCall { id, ..ProviderCall::default() })
}

fn listed(world: &World) -> i64 {
    world.count(
        "SELECT count(*) FROM do_not_call JOIN customers USING (phone)
         WHERE source = 'assistant'",
    )
}

fn ended(call: &ProviderCall, reason: &str, data: Option<Value>) -> ProviderCall {
    ProviderCall {
        status: Some("ended".to_string()),
        ended_reason: Some(reason.to_string()),
        structured_data: data,
        ..call.clone()
    }
}

#[test]
fn an_ended_reason_or_a_field_of_the_analysis_adds_the_number() {
    for (reason, data, adds) in [
        ("vonage-disconnected", None, 1),
        ("silence-timed-out", None, 0),
        ("silence-timed-out", Some(json!({"stop": true})), 1),
        ("silence-timed-out", Some(json!({"stop": "Yes"})), 1),
        ("silence-timed-out", Some(json!({"stop": false})), 0),
        ("silence-timed-out", Some(json!({"stop": "no"})), 0),
        ("silence-timed-out", Some(json!({"go": true})), 0),
        ("silence-timed-out", Some(json!([true])), 0),
    ] {
        let (world, call) = talking(CONFIG);
        let told = ended(&call, reason, data.clone());
        let placed = world.store().read(|conn| attempts::in_state(conn, AttemptState::Placed));
        let attempt = placed.expect("readable").remove(0);
        follow::take_in(&world.context(), &attempt, &told, world.now()).expect("taken in");
        assert_eq!(listed(&world), adds, "{reason} {data:?}");
    }
    let (world, call) = talking("");
    let told = ended(&call, "vonage-disconnected", Some(json!({"stop": true})));
    let placed = world.store().read(|conn| attempts::in_state(conn, AttemptState::Placed));
    let attempt = placed.expect("readable").remove(0);
    follow::take_in(&world.context(), &attempt, &told, world.now()).expect("taken in");
    assert_eq!(listed(&world), 0, "nothing is configured");
}

fn event(kind: &str, call: &ProviderCall, tools: &[&str]) -> Told {
    Told {
        kind: kind.to_string(),
        status: String::new(),
        call: call.clone(),
        tool_names: tools.iter().map(|name| name.to_string()).collect(),
    }
}

#[test]
fn a_tool_call_adds_the_number_also_when_another_tool_was_called_before() {
    let (world, call) = talking(CONFIG);
    let cx = world.context();
    for tools in [["lookUp"].as_slice(), &["lookUp", "optOut"], &["lookUp", "optOut"]] {
        let _ = events::store(&cx, &event("tool-calls", &call, tools), world.now()).expect("kept");
    }
    events::apply(&cx, &world.vapi(), world.now()).expect("applied");
    assert_eq!(listed(&world), 1);
    assert_eq!(world.count("SELECT count(*) FROM webhook_events"), 2, "a copy is no event");
}

#[test]
fn an_analysis_that_comes_after_the_end_still_counts() {
    let (world, call) = talking(CONFIG);
    let cx = world.context();
    world.tick_at("2026-02-02T14:00:00Z");
    assert_eq!(world.one("SELECT state FROM call_attempts"), "ended");
    let told = ended(&call, "silence-timed-out", Some(json!({"stop": true})));
    let told = event("end-of-call-report", &told, &[]);
    let _ = events::store(&cx, &told, world.now()).expect("kept");
    events::apply(&cx, &world.vapi(), world.now()).expect("applied");
    assert_eq!(listed(&world), 1);
}

#[test]
fn polling_alone_waits_a_minute_for_the_analysis_that_could_hold_an_opt_out() {
    let seconds = Duration::seconds;
    let timing = Timing { queue: seconds(0), ring: seconds(1), talk: seconds(9) };
    for (config, state) in [("", "ended"), (CONFIG, "placed")] {
        let world = World::with(Setup { timing, ..quick() }, config);
        world.daily("Ada");
        world.tick_at("2026-02-02T12:00:00Z");
        world.tick_at("2026-02-02T12:00:30Z");
        assert_eq!(world.one("SELECT state FROM call_attempts"), state, "{config}");
        world.tick_at("2026-02-02T12:01:10Z");
        assert_eq!(world.one("SELECT state FROM call_attempts"), "ended", "{config}");
    }
}

#[test]
fn polling_alone_hears_of_an_opt_out_by_the_end_or_by_the_analysis_and_nobody_rings_there_again() {
    for (faults, adds) in
        [("ended-reason=vonage-disconnected", 1), ("reports=stop", 1), ("reports=go", 0), ("", 0)]
    {
        let world = World::with(quick(), CONFIG);
        world.faults(faults);
        world.daily("Ada");
        world.tick_at("2026-02-02T12:00:00Z");
        world.tick_at("2026-02-02T12:01:10Z");
        assert_eq!(world.one("SELECT state FROM call_attempts"), "ended", "{faults}");
        assert_eq!(listed(&world), adds, "{faults}");
        world.faults("");
        world.tick_at("2026-02-03T12:00:00Z");
        assert_eq!(world.rings().len() as i64, 2 - adds, "{faults}");
    }
}

#[test]
fn a_listed_number_is_not_called_for_anybody_also_when_the_item_is_queued_already() {
    let world = World::new();
    let number = "+442079460777";
    world.customer("Ada").phone(number).shared_phone().at("12:00").paid().welcomed().add();
    world.customer("Bea").phone(number).shared_phone().at("14:00").paid().welcomed().add();
    world.tick_at("2026-02-02T11:45:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 pending"]);
    world.sql(&format!(
        "INSERT INTO do_not_call VALUES ('{number}', 'asked', 'test', '2026-02-02T11:50:00.000Z')"
    ));
    for time in ["12:00", "13:45", "14:00", "20:00"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(world.posts().len(), 0);
    assert_eq!(
        world.items(),
        ["Ada daily 2026-02-02 skipped do_not_call", "Bea daily 2026-02-02 skipped do_not_call"]
    );
}

#[test]
fn a_record_that_is_first_seen_days_later_is_still_heard() {
    let world = World::with(quick(), CONFIG);
    world.daily("Ada");
    world.faults("reply-no-id drops-rows");
    world.tick_at("2026-02-02T12:00:00Z");
    world.sql("UPDATE customers SET payment_status = 'Unpaid'");
    for hour in ["11", "13"] {
        world.tick_at(&format!("2026-02-03T{hour}:00:00Z"));
    }
    let told = world.one("SELECT error_message FROM call_attempts WHERE seq = 1");
    assert!(told.contains("never found"), "{told}");
    world.faults("reports=stop");
    world.tick_at("2026-02-05T11:00:00Z");
    let known = "SELECT count(*) FROM call_attempts WHERE seq = 1 AND vapi_call_id IS NOT NULL";
    assert_eq!((world.count(known), listed(&world)), (1, 1));
}
