//! A person who says "do not call me again" is not called again, whichever way the wish reaches us.
//! Nobody else at that number is called either.

use chrono::Duration;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::demo::fake_vapi::journal::Event;
use ringonce::domain::call::AttemptState;
use ringonce::provider::ProviderCall;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::Patience;
use ringonce::service::follower::{self, Which};
use ringonce::steps::follow;
use ringonce::steps::follow::webhook_events::{self, WebhookReport};
use ringonce::store::attempts;
use serde_json::{Value, json};

use crate::world::{World, quick};

const CONFIG: &str = "[do_not_call]\nended_reasons = [\"vonage-disconnected\"]\n\
    structured_data_field = \"stop\"\ntool_name = \"optOut\"\n";

/// A world in which Ada's call of 12:00 is under way, and the provider's record of the call.
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
        follow::apply_record(&world.context(), &attempt, &told, world.now()).expect("applied");
        assert_eq!(listed(&world), adds, "{reason} {data:?}");
    }
    let (world, call) = talking("");
    let told = ended(&call, "vonage-disconnected", Some(json!({"stop": true})));
    let placed = world.store().read(|conn| attempts::in_state(conn, AttemptState::Placed));
    let attempt = placed.expect("readable").remove(0);
    follow::apply_record(&world.context(), &attempt, &told, world.now()).expect("applied");
    assert_eq!(listed(&world), 0, "nothing is configured");
}

fn event(kind: &str, call: &ProviderCall, tools: &[&str]) -> WebhookReport {
    WebhookReport {
        kind: kind.to_string(),
        status: String::new(),
        call: ProviderCall {
            tool_names: Some(tools.iter().map(|name| name.to_string()).collect()),
            ..call.clone()
        },
    }
}

#[test]
fn a_tool_call_adds_the_number_also_when_another_tool_was_called_before() {
    let (world, call) = talking(CONFIG);
    let cx = world.context();
    for tools in [["lookUp"].as_slice(), &["lookUp", "optOut"], &["lookUp", "optOut"]] {
        let _ = webhook_events::store(&cx, &event("tool-calls", &call, tools), world.now())
            .expect("kept");
    }
    webhook_events::apply(&cx, &world.vapi(), world.now()).expect("applied");
    assert_eq!(listed(&world), 1);
    assert_eq!(world.count("SELECT count(*) FROM webhook_events"), 2, "a copy is not an event");
}

#[test]
fn an_analysis_that_comes_after_the_end_still_counts() {
    let (world, call) = talking(CONFIG);
    let cx = world.context();
    world.tick_at("2026-02-02T14:00:00Z");
    assert_eq!(world.one("SELECT state FROM call_attempts"), "ended");
    let told = ended(&call, "silence-timed-out", Some(json!({"stop": true})));
    let told = event("end-of-call-report", &told, &[]);
    let _ = webhook_events::store(&cx, &told, world.now()).expect("kept");
    webhook_events::apply(&cx, &world.vapi(), world.now()).expect("applied");
    assert_eq!(listed(&world), 1);
}

#[test]
fn polling_alone_hears_of_an_opt_out_by_the_end_or_by_the_analysis_and_nobody_rings_there_again() {
    for (faults, adds) in [
        ("ended-reason=vonage-disconnected", 1),
        ("reports=stop", 1),
        ("reports=go", 0),
        ("", 0),
        ("reports=stop analysis-lag=60", 1),
        ("reports-output=Stop", 1),
        ("reports-output=Go", 0),
        ("calls-tool=optOut", 1),
        ("calls-tool=optIn", 0),
    ] {
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

/// Stores webhook messages and lets the follower apply them.
fn hear(world: &World, told: &[WebhookReport]) {
    let cx = world.context();
    for told in told {
        let _ = webhook_events::store(&cx, told, world.now()).expect("kept");
    }
    webhook_events::apply(&cx, &world.vapi(), world.now()).expect("applied");
}

#[test]
fn opt_out_in_a_report_does_not_wait_for_a_silent_provider() {
    let (world, call) = talking(CONFIG);
    world.faults("get-status=503");
    let told = ended(&call, "silence-timed-out", Some(json!({"stop": true})));
    hear(&world, &[event("end-of-call-report", &told, &[])]);
    assert_eq!(listed(&world), 1);
    assert_eq!(world.one("SELECT state FROM call_attempts"), "placed", "the end is not believed");
}

#[test]
fn opt_out_is_heard_by_the_tag_while_the_reply_to_the_post_is_lost() {
    let world = World::with(quick(), CONFIG);
    world.faults("accept-then-close:first=1 list-lag=60");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.faults("get-status=503 list-status=503");
    assert_eq!(world.one("SELECT state FROM call_attempts"), "in_doubt");
    let ring = world.rings().remove(0);
    let call = ProviderCall { id: ring.call_id, name: ring.tag, ..ProviderCall::default() };
    hear(&world, &[event("tool-calls", &call, &["optOut"])]);
    assert_eq!(listed(&world), 1);
}

#[test]
fn opt_out_of_an_unknown_call_waits_longer_than_the_provider_is_asked_for_it() {
    let world = World::with(quick(), CONFIG);
    world.faults("accept-then-close:first=1");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.faults("get-status=503 list-status=503");
    // The message names neither the attempt nor the number.
    let call = ProviderCall { id: world.rings().remove(0).call_id, ..ProviderCall::default() };
    hear(&world, &[event("tool-calls", &call, &["optOut"])]);
    for time in ["12:05", "12:20"] {
        world.set_clock(&format!("2026-02-02T{time}:00Z"));
        hear(&world, &[]);
        assert_eq!(listed(&world), 0, "{time}");
    }
    world.faults("");
    world.tick_at("2026-02-02T12:40:00Z");
    assert_eq!(listed(&world), 1);
}

#[test]
fn second_report_that_says_more_is_heard() {
    let (world, call) = talking(CONFIG);
    let first = event("end-of-call-report", &ended(&call, "silence-timed-out", None), &[]);
    let told = ended(&call, "silence-timed-out", Some(json!({"stop": true})));
    let second = event("end-of-call-report", &told, &[]);
    hear(&world, &[first.clone(), first.clone()]);
    assert_eq!(listed(&world), 0);
    hear(&world, &[second.clone(), second, first]);
    assert_eq!(listed(&world), 1);
    assert_eq!(world.count("SELECT count(*) FROM webhook_events"), 2, "a copy is not an event");
}

#[test]
fn poll_that_comes_second_to_the_end_still_hears_the_opt_out() {
    let (world, call) = talking(CONFIG);
    let cx = world.context();
    let placed = world.store().read(|conn| attempts::in_state(conn, AttemptState::Placed));
    let attempt = placed.expect("readable").remove(0);
    let silent = ended(&call, "customer-did-not-answer", None);
    follow::apply_record(&cx, &attempt, &silent, world.now()).expect("applied");
    assert_eq!(world.one("SELECT state FROM call_attempts"), "ended");
    let told = ended(&call, "silence-timed-out", Some(json!({"stop": true})));
    follow::apply_record(&cx, &attempt, &told, world.now()).expect("applied");
    assert_eq!(listed(&world), 1);
}

#[test]
fn stored_opt_out_is_on_the_list_before_the_next_claim() {
    let (world, call) = talking(CONFIG);
    world.set_clock("2026-02-03T12:00:00Z");
    let service = world.start();
    let cx = &service.cx;
    let _ = webhook_events::store(cx, &event("tool-calls", &call, &["optOut"]), world.now())
        .expect("kept");
    // The follower has not run yet.
    ringonce::steps::scan::scan(cx, world.now()).expect("scanned");
    let patience = Patience { pace: true, record: std::time::Duration::from_secs(1) };
    let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
    dialer.pass(&mut |_| Ok(None)).expect("a pass");
    assert_eq!((listed(&world), world.rings().len()), (1, 1));
}

#[test]
fn analysis_that_comes_minutes_after_the_end_is_asked_for_and_holds_no_line() {
    for (minutes, adds) in [(0, 1), (4, 1), (14, 1)] {
        let world = World::with(quick(), CONFIG);
        world.daily("Ada");
        world.set_clock("2026-02-02T12:00:00Z");
        let service = world.start();
        let mut asking = follower::pace_of_asking(&service);
        ringonce::steps::scan::scan(&service.cx, world.now()).expect("scanned");
        let patience = Patience { pace: true, record: std::time::Duration::from_secs(1) };
        let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
        dialer.pass(&mut |_| Ok(None)).expect("a pass");
        for step in 0..=16 * 12 {
            if step == minutes * 12 {
                world.faults("reports=stop");
            }
            world.pass(Duration::seconds(5));
            follower::follow(&service, &mut asking, Which::Due, world.now()).expect("followed");
            let state = world.one("SELECT state FROM call_attempts");
            assert!(step < 2 || state == "ended", "step {step}: {state}");
        }
        assert_eq!(listed(&world), adds, "{minutes}");
        let asked = world.fake.journal().iter().filter(|entry| entry.event == Event::Get).count();
        assert!(asked < 60, "{asked} questions about one call");
    }
}

#[test]
fn number_that_a_person_took_off_the_list_is_not_listed_again_by_the_same_call() {
    let (world, call) = talking(CONFIG);
    let told = event("tool-calls", &call, &["optOut"]);
    hear(&world, &[told]);
    let phone = world.one("SELECT phone FROM do_not_call");
    let run = world.command(&["dnc", "remove", &phone, "--reason", "asked to be called again"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    hear(&world, &[event("conversation-update", &call, &["optOut", "lookUp"])]);
    assert_eq!(listed(&world), 0);
}

#[test]
fn tool_that_is_called_in_the_middle_of_a_call_is_heard_by_polling() {
    let (world, call) = talking(CONFIG);
    let placed = world.store().read(|conn| attempts::in_state(conn, AttemptState::Placed));
    let attempt = placed.expect("readable").remove(0);
    let told = ProviderCall {
        status: Some("in-progress".to_string()),
        tool_names: Some(vec!["optOut".to_string()]),
        ..call
    };
    follow::apply_record(&world.context(), &attempt, &told, world.now()).expect("applied");
    assert_eq!(
        (listed(&world), world.one("SELECT state FROM call_attempts")),
        (1, "placed".into())
    );
}
