//! Every fault of the fake provider: what the client receives, and what the journal records.

use std::time::Duration;

use crate::fake_world::{id_of, setup, tag, world, world_with};
use ringonce::clock;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::demo::fake_vapi::faults::{Fault, FaultKind, Faults};
use ringonce::demo::fake_vapi::journal::{Event, Journal};
use serde_json::{Value, json};

#[test]
fn the_journal_shows_every_ring_even_if_the_answer_was_lost() {
    let cases = [
        ("accept-then-close", None, 1),
        ("accept-then-reset", None, 1),
        ("accept-then-hang=0.1", None, 1),
        ("close-before-accept", None, 0),
        ("reset-before-accept", None, 0),
        ("hang-before-accept=0.1", None, 0),
        ("status=500", Some(500), 0),
        ("status=402", Some(402), 0),
        ("status=425", Some(425), 0),
        ("status-html=522", Some(522), 0),
        ("accept-status=504", Some(504), 1),
        ("accept-status=408", Some(408), 1),
        ("accept-status-html=502", Some(502), 1),
        ("rate-limit=7", Some(429), 0),
        ("daily-limit", Some(400), 0),
        ("reply-empty", Some(201), 1),
        ("reply-truncated", Some(201), 1),
        ("reply-html", Some(201), 1),
        ("reply-huge=3", Some(201), 1),
        ("reply-drip=0.0001", Some(201), 1),
        ("reply-no-id", Some(201), 1),
        ("reply-array", Some(201), 1),
        ("concurrency-blocked", Some(201), 1),
        ("redirect=308", Some(308), 0),
        ("redirect-to=http://example.com:81/call", Some(307), 0),
        ("twice", Some(201), 2),
        ("ring-twice", Some(201), 2),
        ("ring-after=600", Some(201), 1),
        ("never-dialed", Some(201), 0),
        ("ended-reason=a-new-word", Some(201), 1),
        ("down", Some(503), 0),
    ];
    for (number, (fault, status, rings)) in (1..).zip(cases) {
        let world = world(fault);
        let answer = world.post(number);
        assert_eq!(answer.status, status, "{fault}");
        assert_eq!(world.fake.rings().len(), rings, "{fault}");
        assert_eq!(world.fake.duplicates(), rings.saturating_sub(1), "{fault}");
        let journal = world.fake.journal();
        let post = &journal[0];
        assert_eq!(post.fault.as_deref().map(|text| text.split('=').next()), {
            Some(fault.split('=').next())
        });
        assert_eq!(post.tag.as_deref(), Some(tag(number).as_str()), "{fault}");
        let accepted = post.event == Event::Post;
        assert_eq!((accepted, post.accepted), (post.accepted, !post.calls.is_empty()), "{fault}");
        assert_eq!(journal.iter().filter(|e| e.rang).count(), rings, "{fault}");
    }
}

#[test]
fn the_odd_answers_look_as_they_are_described() {
    let world = world("");
    let mut number = 0;
    let mut with = |fault: &str| {
        world.fake.set_faults(fault.parse().expect("a fault"));
        number += 1;
        world.post(number)
    };
    assert!(with("rate-limit=7").head.contains("Retry-After: 7"));
    assert!(!with("status=429").head.contains("Retry-After"));
    assert!(with("redirect=302").head.contains("Location: /call"));
    assert!(with("redirect-to=http://example.com:81/x").head.contains("http://example.com:81/x"));
    assert!(with("daily-limit").text().contains("Daily Outbound"));
    assert_eq!(with("status=401").json()["statusCode"], 401);
    assert!(with("status-html=502").text().starts_with("<html>"));
    assert!(with("reply-empty").body.is_empty());
    let cut = with("reply-truncated");
    assert!(!cut.body.is_empty() && cut.json().is_null(), "{}", cut.text());
    assert_eq!(with("reply-huge=3").body.len() / 1_000_000, 3);
    assert!(with("reply-no-id").json()["id"].is_null());
    assert!(with("reply-array").json()[0]["id"].is_string());
    let blocked = with("concurrency-blocked").json();
    assert!(blocked["id"].is_string());
    assert_eq!(blocked["subscriptionLimits"]["concurrencyBlocked"], true);
    let skewed = with("date-skew=-86400");
    assert!(skewed.head.contains("Date: Sat, 21 Nov 2026 17:00:00 GMT"), "{}", skewed.head);
    assert!(!with("no-date").head.contains("Date:"));
    let before = clock::elapsed();
    assert_eq!(with("latency=150").status, Some(201));
    assert!(clock::elapsed() - before >= Duration::from_millis(150));
}

#[test]
fn a_delayed_acceptance_appears_and_rings_later() {
    let world = world("delayed-accept=90");
    assert_eq!(world.post(1).status, None);
    world.pass(89);
    assert_eq!((world.list("").len(), world.fake.rings().len()), (0, 0));
    world.pass(1);
    assert_eq!((world.list("").len(), world.fake.rings().len()), (1, 1));
    assert_eq!(world.list("")[0]["createdAt"], "2026-11-22T17:01:30.000Z");
    let events: Vec<Event> = world.fake.journal().iter().map(|e| e.event).collect();
    assert!(events.contains(&Event::Accept) && events.contains(&Event::Ring));
}

#[test]
fn a_never_dialed_call_ends_at_once_and_a_queued_one_rings_late() {
    let world = world("never-dialed:first=1 ring-after=600:first=2");
    let dead = id_of(&world.post(1));
    assert_eq!(
        world.get(&dead).json()["endedReason"],
        "call.start.error-subscription-concurrency-limit-reached"
    );
    let late = id_of(&world.post(2));
    world.pass(601);
    assert_eq!(world.get(&late).json()["status"], "queued");
    world.pass(1);
    assert_eq!(world.get(&late).json()["status"], "ringing");
}

#[test]
fn reads_fail_as_configured_and_the_truth_stays() {
    let world = world("");
    let ids: Vec<String> = (0..6).map(|number| id_of(&world.post(number))).collect();
    world.pass(40);
    let with = |faults: &str| world.fake.set_faults(faults.parse().expect("faults"));
    let listed = || world.list("limit=1000");

    with("list-lag=60");
    assert_eq!(listed().len(), 0);
    with("list-stale=60:every=2");
    assert_eq!((listed().len(), listed().len(), listed().len()), (6, 0, 6));
    with("list-stale=35");
    assert_eq!(listed()[0]["status"], "ringing", "stale in every respect");
    with("list-repeats");
    assert_eq!(listed().len(), 12);
    with("list-empty");
    assert_eq!(listed().len(), 0);
    with("list-unsorted");
    let shuffled: Vec<Value> = listed().iter().map(|row| row["id"].clone()).collect();
    assert!(!shuffled.is_sorted_by_key(|id| id.to_string()), "{shuffled:?}");
    assert_eq!(shuffled.len(), 6);
    with("strips=metadata strips=name");
    assert_eq!(listed()[0]["assistantOverrides"]["metadata"], json!({}));
    with(&format!("strips=all:tag={}", tag(3)));
    let bare = listed().iter().filter(|row| row["name"].is_null()).count();
    assert_eq!(bare, 1);
    assert!(world.get(&ids[3]).json()["customer"]["externalId"].is_null());
    with("other-org=another");
    assert_eq!(listed()[0]["orgId"], "another");
    with(&format!("drops-rows:tag={}", tag(2)));
    assert_eq!((listed().len(), world.get(&ids[2]).status), (5, Some(404)));
    with("list-status=503:first=1");
    assert_eq!(world.ask("GET", "/call", &Value::Null).status, Some(503));
    assert_eq!(listed().len(), 6);
    with("list-cut");
    let cut = world.ask("GET", "/call", &Value::Null);
    assert_eq!((cut.status, cut.json()), (Some(200), Value::Null));
    with("get-404=41");
    assert_eq!(world.get(&ids[0]).status, Some(404));
    with("get-404=40");
    assert_eq!(world.get(&ids[0]).status, Some(200));
    with("status-backwards:every=2");
    let told: Vec<Value> = (0..2).map(|_| world.get(&ids[0]).json()["status"].clone()).collect();
    assert_eq!(told, ["ended", "queued"]);
    with("get-status=502");
    assert_eq!(world.get(&ids[0]).status, Some(502));
    with("down=500");
    assert_eq!(world.get(&ids[0]).status, Some(500));
    assert_eq!(world.fake.rings().len(), 6);
    assert_eq!(world.fake.duplicates(), 0);
}

#[test]
fn a_list_that_ignores_the_limit_gives_a_hundred_rows() {
    let world = world("list-ignores-limit");
    for number in 0..130 {
        world.post(number);
    }
    assert_eq!(world.list("limit=1000").len(), 100);
    assert_eq!(world.list("limit=5").len(), 100);
}

#[test]
fn a_list_of_a_low_limit_gives_at_most_that_many_rows_and_fewer_on_request() {
    let world = world("list-low-limit=50");
    for number in 0..60 {
        world.post(number);
    }
    assert_eq!(world.list("limit=1000").len(), 50);
    assert_eq!(world.list("limit=5").len(), 5);
}

#[test]
fn every_fault_has_a_text_form_that_reads_back() {
    for kind in FaultKind::ALL {
        let fault = Fault::always(*kind);
        assert_eq!(fault.to_string().parse(), Ok(fault), "{}", kind.name());
    }
    let text = "redirect-to=http://example.com:81/a:every=2:first=4:share=0.5:tag=d-01";
    let fault: Fault = text.parse().expect("a fault");
    assert_eq!(fault.to_string(), text);
    for (text, complaint) in [
        ("accept-and-close", "there is no fault"),
        ("accept-then-close=3", "takes no value"),
        ("status=200", "needs a status"),
        ("redirect=200", "from 300"),
        ("list-lag=soon", "needs a number"),
        ("twice:every=x", "needs a number"),
        ("twice:share=2", "needs a share from 0 to 1, not `2`"),
        ("twice:share=-0.1", "needs a share from 0 to 1"),
        ("drops-rows=1.5", "needs a share from 0 to 1"),
        ("twice:every=0", "needs a whole number from 1"),
        ("twice:every=2.5", "needs a whole number from 1"),
        ("twice:first=-1", "needs a whole number from 0"),
        ("list-lag=-5", "is not below 0"),
        ("strips=number", "needs one of"),
        ("twice:never=1", "there is no fault"),
    ] {
        let error = text.parse::<Fault>().expect_err(text);
        assert!(error.contains(complaint), "{text}: {error}");
    }
}

#[test]
fn the_same_seed_goes_wrong_in_the_same_way() {
    let run = |seed: u64| -> Vec<Option<u16>> {
        let faults = "status=500:share=0.5".parse().expect("faults");
        let world = world_with(Setup { seed, faults, ..setup() }, Journal::default());
        (0..40).map(|number| world.post(number).status).collect()
    };
    let once = run(7);
    assert_eq!(once, run(7));
    assert_ne!(once, run(8));
    let failed = once.iter().filter(|status| **status == Some(500)).count();
    assert!((8..33).contains(&failed), "{failed} of 40");
}

#[test]
fn scripts_can_drive_it_without_a_key() {
    let world = world("");
    let ask = |method: &str, path: &str, body: &str| {
        let answer = world.ask_with(method, path, "", body.as_bytes());
        (answer.status, answer.json())
    };
    assert_eq!(
        ask("POST", "/__faults", r#"["twice:first=1"]"#),
        (Some(200), json!(["twice:first=1"]))
    );
    assert_eq!(ask("POST", "/__faults", r#"["thrice"]"#).0, Some(400));
    assert_eq!(ask("GET", "/__faults", ""), (Some(200), json!(["twice:first=1"])));
    let id = id_of(&world.post(1));
    let (_, told) = ask("GET", "/__rings", "");
    assert_eq!((&told["duplicates"], told["rings"].as_array().map(Vec::len)), (&json!(1), Some(2)));
    assert_eq!(ask("POST", "/__advance", r#"{"seconds": 60}"#).0, Some(200));
    assert_eq!(world.get(&id).json()["status"], "ended");
    let (_, journal) = ask("GET", "/__journal", "");
    assert_eq!((&journal[0]["event"], &journal[1]["event"]), (&json!("post"), &json!("ring")));
    assert_eq!(journal[0]["client_port"].as_u64().map(|port| port > 0), Some(true));
}

#[test]
fn faults_travel_as_json() {
    let faults: Faults = "twice list-lag=60:every=2".parse().expect("faults");
    let text = serde_json::to_string(&faults).expect("JSON");
    assert_eq!(text, r#"["twice","list-lag=60:every=2"]"#);
    assert_eq!(serde_json::from_str::<Faults>(&text).expect("faults"), faults);
}
