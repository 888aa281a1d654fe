//! D7: an event changes a call at most once, in any order, and never causes a dial. A webhook only
//! makes us ask; the provider's answer counts.

use chrono::Duration;
use ringonce::domain::start::Acceptance;
use ringonce::provider::ProviderCall;
use ringonce::service::follower::{self, Which};
use ringonce::service::{Service, opening};
use ringonce::steps::follow::webhook_events::{self, WebhookReport};

use crate::world::{World, nobody_home, quick};

const NOON: &str = "2026-02-02T12:00:00Z";

fn told(id: &str, kind: &str, status: &str, ended_reason: Option<&str>) -> WebhookReport {
    let call = ProviderCall {
        id: id.to_string(),
        status: Some(if ended_reason.is_some() { "ended" } else { status }.to_string()),
        ended_reason: ended_reason.map(str::to_string),
        ..ProviderCall::default()
    };
    WebhookReport { kind: kind.to_string(), status: status.to_string(), call }
}

fn every_event(id: &str) -> Vec<WebhookReport> {
    vec![
        told(id, "status-update", "queued", None),
        told(id, "status-update", "ringing", None),
        told(id, "status-update", "in-progress", None),
        told(id, "status-update", "ended", Some("customer-did-not-answer")),
        told(id, "end-of-call-report", "", Some("customer-did-not-answer")),
    ]
}

fn hear(service: &Service, events: &[WebhookReport]) {
    let now = service.clock.now().unwrap();
    for told in events {
        let _ = webhook_events::store(&service.cx, told, now).unwrap();
    }
    let mut asking = follower::pace_of_asking(service);
    follower::follow(service, &mut asking, Which::Due, now).unwrap();
}

/// Calls last five minutes.
fn talking() -> World {
    let mut setup = quick();
    setup.timing.talk = Duration::minutes(5);
    let world = World::with(setup, "");
    world.daily("Ada");
    world.tick_at(NOON);
    world
}

fn call_id(world: &World) -> String {
    world.one("SELECT vapi_call_id FROM call_attempts WHERE seq = 1")
}

#[test]
fn events_sent_thirty_times_in_every_order_leave_one_result() {
    for rotation in 0..5 {
        let world = talking();
        let service = world.start();
        world.pass(Duration::minutes(6));
        let mut events = every_event(&call_id(&world));
        events.rotate_left(rotation);
        for round in 0..30 {
            if round % 2 == 1 {
                events.reverse();
            }
            hear(&service, &events);
        }
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
        let moves = "SELECT count(*) FROM journal WHERE what = 'attempt' AND new = 'ended'";
        assert_eq!(world.count(moves), 1);
        assert_eq!(world.count("SELECT count(*) FROM webhook_events WHERE applied_at IS NULL"), 0);
        assert_eq!(world.posts().len(), 1);
    }
}

#[test]
fn a_false_event_ends_no_call_and_opens_no_retry() {
    let world = talking();
    let service = world.start();
    // The event "nobody answered" would permit a second call, but Ada is on the phone.
    hear(&service, &every_event(&call_id(&world)));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 placed"]);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    for hour in [13, 14, 15, 16] {
        world.tick_at(&format!("2026-02-02T{hour}:30:00Z"));
    }
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn an_event_about_an_unknown_call_is_deleted_after_a_while() {
    let world = talking();
    let service = world.start();
    let open = "SELECT count(*) FROM webhook_events WHERE applied_at IS NULL";
    hear(&service, &every_event("00000000-0000-7000-8000-000000000000"));
    assert_eq!(world.count(open), 5, "it may be visible soon");
    world.pass(Duration::minutes(11));
    hear(&service, &[]);
    assert_eq!(world.count(open), 0);
    assert_eq!(world.attempts().len(), 1);
    assert!(world.holds().is_empty());
}

#[test]
fn an_event_settles_a_doubt_by_the_providers_answer() {
    let world = World::with_faults("accept-then-close:first=1");
    world.daily("Ada");
    world.tick_at(NOON);
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 in_doubt"]);
    let id = world.rings()[0].call_id.clone();
    let service = world.start();
    // The provider does not answer, so the event waits.
    world.faults("get-status=503");
    hear(&service, &every_event(&id));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 in_doubt"]);
    world.faults("");
    hear(&service, &[]);
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
}

#[test]
fn an_event_after_a_wrong_word_of_a_person_attaches_and_nothing_is_dialed_again() {
    let world = World::with_faults("accept-then-close:first=1");
    world.daily("Ada");
    world.tick_at(NOON);
    let attempt = world.one("SELECT id FROM call_attempts");
    let run = world.command(&["attempts", "resolve", &attempt, "--not-placed", "--reason", "x"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 retrying"]);
    let service = world.start();
    hear(&service, &every_event(&world.rings()[0].call_id));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    world.faults("list-lag=100000");
    world.tick();
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn without_any_webhook_every_call_comes_to_its_end_by_polling() {
    let world = World::with(nobody_home(), "");
    world.daily("Ada");
    world.tick_at(NOON);
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended no_answer"]);
    world.tick_at("2026-02-02T14:00:00Z");
    assert_eq!(world.attempts()[1], "Ada daily 2026-02-02 #2 ended no_answer");
    world.tick_at("2026-02-02T16:00:00Z");
    world.tick_at("2026-02-02T18:00:00Z");
    assert_eq!(world.posts().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn an_opt_out_waits_for_no_other_event() {
    let world = talking();
    world.set_config("[do_not_call]\ntool_name = \"stopCalling\"\n");
    let service = world.start();
    // An event about a call that the provider cannot report comes before the wish of the person on
    // the phone.
    let mut wish = told(&call_id(&world), "tool-calls", "", None);
    wish.call.tool_names = Some(vec!["stopCalling".to_string()]);
    let poison = told("00000000-0000-7000-8000-000000000000", "status-update", "queued", None);
    world.faults("get-status=500");
    hear(&service, &[poison, wish]);
    assert_eq!(world.count("SELECT count(*) FROM do_not_call"), 1);
    let open = "SELECT count(*) FROM webhook_events WHERE applied_at IS NULL";
    assert_eq!(world.count(open), 1, "what was not answered is asked again");
    // Polling and the list remain as the fallback, and the event is closed.
    world.pass(Duration::minutes(11));
    hear(&service, &[]);
    assert_eq!(world.count(open), 0);
}

#[test]
fn a_webhook_about_a_call_of_another_dialer_holds_like_the_list_does() {
    let world = World::new();
    world.daily("Ada");
    let copy = crate::arming::copy_to(&world, "copy.db");
    world.set_clock("2026-02-02T11:59:00Z");
    let first = world.start();
    let since = first.clock.read().unwrap();
    assert!(opening::open(&first, &since, Acceptance::Nothing).unwrap().shut.is_none());
    first.cx.dialing_since.set(since.now).expect("set once");
    // A person who forgot the first file arms a copy, and the copy calls Ada. Its webhook arrives
    // here.
    let db = copy.display().to_string();
    let run = world.command(&["adopt", "--db", &db, "--reason", "x"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.set_clock(NOON);
    assert_eq!(world.command(&["tick", "--db", &db]).code, Some(0));
    hear(&first, &every_event(&world.rings()[0].call_id));
    assert_eq!(world.attempts().len(), 1, "nobody is called for it again");
    assert_eq!(world.holds(), ["foreign"]);
}

#[test]
fn event_that_an_earlier_version_stored_is_still_heard() {
    let world = talking();
    world.set_config("[do_not_call]\ntool_name = \"stopCalling\"\n");
    let body = format!(r#"{{"call":{{"id":"{}"}},"tool_names":["stopCalling"]}}"#, call_id(&world));
    world.sql(&format!(
        "INSERT INTO webhook_events (vapi_call_id, kind, body, received_at)
         VALUES ('{}', 'tool-calls', '{body}', '2026-02-02T12:00:01.000Z')",
        call_id(&world)
    ));
    hear(&world.start(), &[]);
    assert_eq!(world.count("SELECT count(*) FROM do_not_call"), 1);
}

#[test]
fn stored_event_holds_no_word_of_the_call_and_is_forgotten_after_a_month() {
    let world = talking();
    let service = world.start();
    let mut report = told(&call_id(&world), "end-of-call-report", "", Some("customer-busy"));
    report.call.transcript = Some("User: my secret".to_string());
    report.call.summary = Some("A secret was told.".to_string());
    world.faults("get-status=503");
    hear(&service, &[report]);
    let body = world.one("SELECT body FROM webhook_events");
    assert!(body.contains("customer-busy") && !body.contains("secret"), "{body}");
    world.faults("");
    world.pass(Duration::minutes(11));
    hear(&service, &[]);
    assert_eq!(world.one("SELECT body FROM webhook_events"), "{}");
    for (days, left) in [(29, 1), (2, 0)] {
        world.pass(Duration::days(days));
        hear(&service, &[]);
        assert_eq!(world.count("SELECT count(*) FROM webhook_events"), left, "{days}");
    }
}
