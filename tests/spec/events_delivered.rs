//! How events reach the application: signed, at least once, with stable ids, for three days. A bad
//! receiver costs little time and delays no call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ringonce::clock;
use ringonce::http::response::{Delivery, Response};
use ringonce::service::outgoing::post;
use ringonce::store::events::outbox;

use crate::inner_loop::sized;
use crate::processes::{stop, until};
use crate::receiver::{Receiver, SECRET, deliver, deliver_all};
use crate::world::{World, quick};

/// A world in which Ada was called, with three events for this receiver.
fn with_three_events(receiver: &Receiver) -> World {
    let world = World::with_config(&receiver.config());
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    world
}

#[test]
fn every_event_is_signed_by_the_specification_and_delivered_once() {
    let receiver = Receiver::new();
    let world = with_three_events(&receiver);
    let done = deliver(&world);
    assert_eq!((done.delivered, done.failed), (3, false));
    assert_eq!(receiver.kinds(), ["call.placed", "call.ended", "occasion.finished"]);
    for heard in receiver.heard() {
        assert!(heard.is_signed() && heard.id.starts_with("evt_"), "{heard:?}");
        assert_eq!(heard.seconds, world.now().timestamp());
        let body = heard.json();
        assert_eq!(body["timestamp"], "2026-02-02T12:00:00.000Z");
        assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
    }
    world.pass(chrono::Duration::days(1));
    assert_eq!(deliver(&world).delivered, 0);
}

#[test]
fn an_event_that_fails_waits_longer_each_time_keeps_its_id_and_delays_no_other() {
    let receiver = Receiver::answering(|n| Response::new(if n < 3 { 500 } else { 204 }));
    let world = with_three_events(&receiver);
    assert!(deliver(&world).failed);
    // The first event waits; the next round begins with one that was not tried.
    assert!(deliver(&world).failed);
    assert!(deliver(&world).failed);
    let tried: BTreeSet<String> = receiver.heard().into_iter().map(|heard| heard.id).collect();
    assert_eq!(tried.len(), 3);
    assert_eq!(deliver(&world).delivered, 0, "all of them wait");
    world.pass(chrono::Duration::seconds(5));
    assert_eq!(deliver(&world).delivered, 3);
    let again: BTreeSet<String> = receiver.heard()[3..].iter().map(|h| h.id.clone()).collect();
    assert_eq!(again, tried);
    assert!(receiver.heard().iter().all(|heard| heard.is_signed()));
}

#[test]
fn an_event_is_given_up_after_three_days_kept_shown_and_delivered_when_it_is_replayed() {
    let receiver = Receiver::answering(|n| Response::new(if n < 500 { 503 } else { 204 }));
    let world = World::with_config(&format!("{}types = [\"call.placed\"]\n", receiver.config()));
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.tick_at("2026-02-02T12:00:00Z");
    let mut tries = 0;
    while world.count("SELECT count(*) FROM events WHERE given_up_at IS NULL") > 0 {
        assert!(deliver(&world).failed);
        tries += 1;
        if let Some(next) =
            world.lines("SELECT next_at FROM events").first().filter(|t| !t.is_empty())
        {
            world.set_clock(next);
        }
    }
    assert!((12..40).contains(&tries), "{tries} tries");
    assert!(world.now() >= crate::world::at("2026-02-05T12:00:00Z"));
    let ids: BTreeSet<String> = receiver.heard().into_iter().map(|heard| heard.id).collect();
    assert_eq!(ids.len(), 1, "one event, one id");
    let status = world.command(&["status", "--json"]).json();
    assert_eq!(status["events"]["given_up"], 1, "{status}");
    let check = world.command(&["check"]).stdout;
    assert!(check.contains("1 event is given up after 3 days (it answered 503)"), "{check}");
    let listed = world.command(&["events", "list", "--undelivered"]).stdout;
    assert!(listed.contains("given up: it answered 503"), "{listed}");
    let id = ids.into_iter().next().unwrap();
    let replayed = world.command(&["events", "replay", &id]);
    assert_eq!(replayed.stdout, "1 event is sent again by `run`, or at the end of `tick`\n");
    for _ in receiver.heard().len()..500 {
        world.sql("UPDATE events SET next_at = queued_at, tries = 0");
        deliver(&world);
    }
    world.sql("UPDATE events SET next_at = queued_at");
    assert_eq!(deliver(&world).delivered, 1);
    assert_eq!(receiver.heard().last().unwrap().id, id);
}

#[test]
fn an_event_that_waited_for_days_has_more_than_one_try() {
    let receiver = Receiver::answering(|n| Response::new(if n == 0 { 500 } else { 204 }));
    let world = World::with_config(&format!("{}types = [\"call.placed\"]\n", receiver.config()));
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.pass(chrono::Duration::days(5));
    assert!(deliver(&world).failed);
    assert_eq!(world.count("SELECT count(*) FROM events WHERE given_up_at IS NOT NULL"), 0);
    world.pass(chrono::Duration::minutes(1));
    assert_eq!(deliver(&world).delivered, 1);
}

#[test]
fn no_transaction_is_open_while_the_application_is_asked() {
    let place: Arc<OnceLock<PathBuf>> = Arc::default();
    let db = Arc::clone(&place);
    let receiver = Receiver::answering(move |_| {
        let conn = rusqlite::Connection::open(db.get().expect("a place")).expect("the database");
        conn.busy_timeout(Duration::ZERO).expect("a setting");
        let is_free = conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        Response::new(if is_free { 204 } else { 500 })
    });
    let world = with_three_events(&receiver);
    place.set(world.db()).expect("once");
    assert_eq!(deliver(&world).delivered, 3);
}

#[test]
fn events_that_are_no_longer_wanted_are_no_trouble() {
    let receiver = Receiver::answering(|_| Response::new(500));
    let world = with_three_events(&receiver);
    deliver(&world);
    world.tick_at("2026-02-02T14:00:00Z");
    let says = || world.command(&["status", "--json"]).stdout.contains("events_undelivered");
    assert!(says());
    world.set_config("");
    world.tick_at("2026-02-02T14:15:00Z");
    assert!(!says());
}

#[test]
fn a_process_that_ends_during_a_try_leaves_the_event_for_the_next_one() {
    let receiver = Receiver::new();
    let world = with_three_events(&receiver);
    let service = world.start();
    let now = world.now();
    let take = |tx: &ringonce::store::Tx<'_>| outbox::take_due(tx, now, 20);
    assert_eq!(service.cx.store.write(take).unwrap().len(), 3);
    drop(service);
    assert_eq!(deliver(&world).delivered, 0);
    world.pass(chrono::Duration::seconds(6));
    assert_eq!(deliver(&world).delivered, 3);
}

#[test]
fn a_file_that_is_not_armed_sends_nothing() {
    let receiver = Receiver::new();
    let world = with_three_events(&receiver);
    world.sql("UPDATE meta SET value = '/elsewhere/ringonce.db' WHERE key = 'armed_path'");
    assert_eq!(deliver(&world).delivered, 0);
    assert_eq!(receiver.heard().len(), 0);
    assert_eq!(world.count("SELECT sum(tries) FROM events"), 0, "no try is counted");
}

#[test]
fn each_bad_receiver_is_named_and_costs_a_bounded_time() {
    let patience = Duration::from_millis(700);
    let ask = |url: &str| {
        let begun = clock::elapsed();
        let answer = post::post(url, &[], b"{}", patience);
        assert!(clock::elapsed() - begun < Duration::from_secs(5), "{url}");
        answer
    };
    let answered = |response: Response| {
        let receiver = Receiver::answering(move |_| response.clone());
        let answer = ask(&format!("{}?token=canary", receiver.url));
        assert_eq!(receiver.heard().len(), 1, "asked once");
        answer
    };
    let hang = Delivery::Hang(Duration::from_secs(20));
    let elsewhere = Response::new(302).with_header("Location", "http://127.0.0.1:9/elsewhere");
    for (response, says) in [
        (Response::new(500), "it answered 500"),
        (Response::new(404), "it answered 404"),
        (elsewhere, "it answered 302, and a redirect is not followed"),
        (Response::new(204).with_delivery(Delivery::Close), ""),
        (Response::new(204).with_delivery(Delivery::Reset), ""),
        (Response::new(204).with_delivery(hang), "timeout: it did not answer in time"),
    ] {
        let why = answered(response.clone()).expect_err("a failure");
        assert!(why.contains(says) && !why.contains("canary"), "{why}");
    }
    // Only the status counts: a body without end and a slow body are not read.
    let padded = Response::text(200, "ok").with_delivery(Delivery::Padded(500 * 1024 * 1024));
    let slow = Response::text(200, "ok").with_delivery(Delivery::Drip(Duration::from_secs(3)));
    assert_eq!(answered(padded), Ok(()));
    assert_eq!(answered(slow), Ok(()));
    let refused = ask("http://127.0.0.1:9/canary").expect_err("nobody listens");
    assert!(!refused.contains("canary"), "{refused}");
}

/// Small numbers that differ from seed to seed and from call to call.
fn dice(seed: usize, n: usize) -> usize {
    let mixed = (seed * 7919 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

/// Some days of calls with a pass every half hour. After each pass the outbox is delivered, as far
/// as the receiver allows. Returns the POSTs to the provider.
fn days_of_calls(world: &World, hears: bool) -> Vec<String> {
    for hour in ["07:00", "09:30", "12:00"] {
        world.customer(hour).in_zone("America/New_York").at(hour).paid().add();
        world.customer(hour).at(hour).paid().welcomed().add();
    }
    for _ in 0..(sized(1, 3) * 48) {
        world.pass(chrono::Duration::minutes(30));
        world.tick();
        if hears {
            deliver(world);
            deliver(world);
        }
    }
    let posts = world.posts();
    let told = posts.iter().map(|post| {
        let (number, occasion) = (post.number.clone(), post.occasion.clone());
        format!("{} {number:?} {occasion:?} {:?}", post.at, post.attempt_no)
    });
    // Calls of one instant are asked for side by side, so their order is nobody's.
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

/// Nobody, a mailbox or a person answers, and some replies are lost.
fn mixed() -> ringonce::demo::fake_vapi::core::Setup {
    ringonce::demo::fake_vapi::core::Setup {
        mix: "answered=2,no_answer=1,busy=1".parse().expect("a mix"),
        faults: "accept-then-close:every=5".parse().expect("faults"),
        ..quick()
    }
}

#[test]
fn a_receiver_that_fails_at_random_hears_every_event_and_the_provider_hears_the_same() {
    for seed in 1..=sized(1, 3) {
        let receiver = Receiver::answering(move |n| match dice(seed, n) % 5 {
            0 => Response::new(500),
            1 => Response::new(204).with_delivery(Delivery::Close),
            _ => Response::new(204),
        });
        let world = World::with(mixed(), &receiver.config());
        let with_events = days_of_calls(&world, true);
        for _ in 0..9 {
            world.pass(chrono::Duration::hours(8));
            deliver_all(&world);
        }
        assert_eq!(world.count("SELECT count(*) FROM events WHERE delivered_at IS NULL"), 0);
        let without = World::with(mixed(), "");
        assert_eq!(with_events, days_of_calls(&without, false));
        assert!(with_events.len() > 5, "{with_events:?}");
        world.assert_no_phone_rang_twice();
        let mut bodies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for heard in receiver.heard() {
            assert!(heard.is_signed(), "{heard:?}");
            bodies.entry(heard.id).or_default().insert(heard.body);
        }
        let written: BTreeSet<String> = world.lines("SELECT id FROM events").into_iter().collect();
        assert_eq!(bodies.keys().cloned().collect::<BTreeSet<_>>(), written);
        assert!(bodies.values().all(|bodies| bodies.len() == 1), "one body for each id");
        let over = "SELECT count(*) FROM call_queue WHERE status NOT IN ('pending', 'retrying')
                      AND (reason IS NULL OR reason <> 'in_doubt')";
        let finished =
            "SELECT count(DISTINCT item_id) FROM events WHERE type = 'occasion.finished'";
        assert_eq!(world.count(finished), world.count(over));
    }
}

/// Less than the time after which a request that hangs is given up.
const HANGS: Duration = Duration::from_secs(9);

/// A request that hangs ends after ten seconds, and its failure is then noted. A dialer that waited
/// for the application would dial only when no request is open.
#[test]
fn a_receiver_that_hangs_delays_no_call() {
    let receiver = Receiver::answering(|_| {
        Response::new(204).with_delivery(Delivery::Hang(Duration::from_secs(300)))
    });
    let world = with_three_events(&receiver);
    for minute in 15..20 {
        let (name, time) = (format!("Bob {minute}"), format!("07:{minute}"));
        world.customer(&name).in_zone("America/New_York").at(&time).paid().welcomed().add();
    }
    let mut run = world.program(&["run"]);
    run.env("RINGONCE_EVENTS_SECRET", SECRET);
    let child = run.stderr(Stdio::null()).spawn().expect("run starts");
    until("the receiver hangs", || !receiver.heard().is_empty());
    let mut opened = clock::elapsed();
    let queued = "SELECT count(*) FROM call_queue WHERE status = 'pending'";
    until("the scan", || world.count(queued) == 5);
    // A request hangs for ten seconds. A busy machine may need longer for a call: then the next minute
    // is also the time of another request.
    let mut known = receiver.heard().len();
    let mut calls = 0;
    let mut was_made_during_a_request = false;
    while calls < 5 && !was_made_during_a_request {
        world.set_clock(&format!("2026-02-02T12:{}:00Z", 15 + calls));
        calls += 1;
        until("the call", || world.rings().len() == calls + 1);
        was_made_during_a_request = clock::elapsed() - opened < HANGS;
        if !was_made_during_a_request {
            until("another request", || receiver.heard().len() > known);
            (known, opened) = (receiver.heard().len(), clock::elapsed());
        }
    }
    assert!(was_made_during_a_request, "every call waited for the end of a request");
    // Each call was asked for once, and at its own minute.
    let minutes: Vec<String> = world.posts().iter().map(|post| post.at.to_string()).collect();
    assert_eq!(minutes.len(), calls + 1, "{minutes:?}");
    let planned = ["12:00", "12:15", "12:16", "12:17", "12:18", "12:19"];
    for (post, minute) in minutes.iter().zip(planned) {
        assert!(post.contains(minute), "{minutes:?}");
    }
    assert_eq!(world.count("SELECT count(*) FROM events WHERE delivered_at IS NOT NULL"), 0);
    // The end of the service waits only a moment for a request that hangs.
    let begun = clock::elapsed();
    assert_eq!(stop(child).code, Some(0));
    assert!(clock::elapsed() - begun < Duration::from_secs(8));
    world.assert_no_phone_rang_twice();
}
