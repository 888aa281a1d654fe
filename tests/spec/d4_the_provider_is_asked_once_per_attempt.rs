//! D4: one attempt is one POST, whatever the reply is. Only a proof that no phone rang may open a
//! new attempt. Any other outcome is in doubt and is never dialed again.
//!
//! `vapi_client` tests how each reply is read; here it passes through the whole service.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringonce::domain::Instant;
use ringonce::provider::{Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ReadError};
use ringonce::service::tick;
use ringonce::vapi::Vapi;

use crate::world::World;

const DUE: &str = "2026-02-02T12:00:00Z";

/// Ticks over the rest of the day and the next morning before the next call.
const LATER: [&str; 7] =
    ["02T12:15", "02T12:30", "02T13:30", "02T15:59", "02T19:00", "02T23:45", "03T11:30"];

#[test]
fn every_reply_costs_one_post_and_an_unclear_one_is_never_dialed_again() {
    // The fault, how often a phone rang, and the attempt's state after the reply.
    let cases = [
        ("status=500:first=1", 0, "in_doubt"),
        ("status=502:first=1", 0, "in_doubt"),
        ("status=503:first=1", 0, "in_doubt"),
        ("status=504:first=1", 0, "in_doubt"),
        ("status=408:first=1", 0, "in_doubt"),
        ("status-html=403:first=1", 0, "in_doubt"),
        ("status-html=429:first=1", 0, "in_doubt"),
        ("redirect=302:first=1", 0, "in_doubt"),
        ("redirect=307:first=1", 0, "in_doubt"),
        ("redirect=308:first=1", 0, "in_doubt"),
        ("reset-before-accept:first=1", 0, "in_doubt"),
        ("close-before-accept:first=1", 0, "in_doubt"),
        ("hang-before-accept=3:first=1", 0, "in_doubt"),
        ("accept-then-reset:first=1", 1, "in_doubt"),
        ("accept-then-close:first=1", 1, "in_doubt"),
        ("accept-then-hang=3:first=1", 1, "in_doubt"),
        ("accept-status=500:first=1", 1, "in_doubt"),
        ("accept-status=408:first=1", 1, "in_doubt"),
        ("accept-status=409:first=1", 1, "in_doubt"),
        ("accept-status=421:first=1", 1, "in_doubt"),
        ("accept-status=425:first=1", 1, "in_doubt"),
        ("accept-status=499:first=1", 1, "in_doubt"),
        ("accept-status-html=504:first=1", 1, "in_doubt"),
        ("reply-empty:first=1", 1, "placed"),
        ("reply-html:first=1", 1, "placed"),
        ("reply-no-id:first=1", 1, "placed"),
        ("reply-truncated:first=1", 1, "placed"),
        ("reply-array:first=1", 1, "placed"),
    ];
    // Each case mostly waits for a reply that never comes, so they run in parallel.
    std::thread::scope(|scope| {
        for some in cases.chunks(4) {
            scope.spawn(move || {
                some.iter().for_each(|(fault, rings, state)| one_post(fault, *rings, state))
            });
        }
    });
}

fn one_post(fault: &str, rings: usize, state: &str) {
    let world = World::with_config("timeout_secs = 1\n");
    world.daily("Ada");
    world.set_clock(DUE);
    world.faults(fault);
    world.tick();
    assert_eq!(world.posts().len(), 1, "{fault}");
    assert_eq!(world.attempts(), [format!("Ada daily 2026-02-02 #1 {state}")], "{fault}");
    for time in LATER {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    assert_eq!(world.posts().len(), 1, "{fault}: asked again");
    assert_eq!(world.rings().len(), rings, "{fault}");
    let truth = if rings == 1 { "ended answered" } else { "in_doubt" };
    assert_eq!(world.attempts(), [format!("Ada daily 2026-02-02 #1 {truth}")], "{fault}");
    world.assert_no_phone_rang_twice();
}

/// Due customers whose breaker opens and closes without a ramp.
fn crowd(faults: &str, count: usize) -> World {
    let world = World::with_config(
        "timeout_secs = 1\n[dialing]\nworkers = 8\nmax_active_calls = 50\n\
         calls_per_minute = 1000\nramp_minutes = 0\n",
    );
    for number in 0..count {
        world.daily(&format!("C{number:02}"));
    }
    world.set_clock(DUE);
    world.faults(faults);
    world
}

#[test]
fn a_refusal_that_would_hit_everybody_consumes_no_occasion() {
    for fault in [
        "status=401",
        "status=402",
        "status=403",
        "status=404",
        "status=429",
        "daily-limit",
        "rate-limit=30",
    ] {
        let world = crowd(fault, 20);
        let ticked = world.tick();
        assert!(ticked.shut, "{fault}: {ticked:?}");
        assert!((1..=3).contains(&world.posts().len()), "{fault}: {}", world.posts().len());
        let waiting = world.lines("SELECT DISTINCT status || attempts || reason FROM call_queue");
        assert_eq!(waiting, ["pending0breaker"], "{fault}");
        assert_eq!(world.count("SELECT sum(consecutive_failures) FROM customers"), 0, "{fault}");

        // While the breaker is open, nothing is asked; exit 3 alerts a person.
        let run = world.command(&["tick"]);
        assert_eq!(run.code, Some(3), "{fault}: {run:?}");
        assert!(run.stdout.contains("breaker"), "{fault}: {run:?}");
        let before = world.posts().len();
        // Half open: one probe is sent, and it fails again.
        world.pass(chrono::Duration::minutes(6));
        world.tick();
        assert_eq!(world.posts().len(), before + 1, "{fault}");
        // The cause is gone: the probe is accepted, the breaker closes, and everybody is called.
        world.faults("");
        world.pass(chrono::Duration::minutes(6));
        let ticked = world.tick();
        assert_eq!((ticked.succeeded, ticked.shut), (20, false), "{fault}: {ticked:?}");
        assert_eq!(world.rings().len(), 20, "{fault}");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn three_equal_refusals_of_the_request_open_the_breaker() {
    for fault in ["status=400", "status=422"] {
        let world = crowd(fault, 10);
        let ticked = world.tick();
        assert_eq!((world.posts().len(), ticked.failed, ticked.shut), (3, 3, true), "{fault}");
        assert_eq!(world.count("SELECT count(*) FROM call_queue WHERE status = 'retrying'"), 3);
        let waiting = "SELECT count(*) FROM call_queue WHERE attempts = 0 AND reason = 'breaker'";
        assert_eq!(world.count(waiting), 7, "{fault}");
        world.faults("");
        world.pass(chrono::Duration::minutes(16));
        assert_eq!(world.tick().succeeded, 10, "{fault}");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn a_number_that_the_provider_refuses_fails_that_customer_only() {
    let world = World::new();
    let add = |name: &str| world.customer(name).in_zone("America/New_York").at("07:00").paid();
    for number in 0..6 {
        add(&format!("Bad{number}")).phone("+12").welcomed().add();
    }
    world.daily("Zoe");
    let ticked = world.tick_at(DUE);
    assert!(!ticked.shut, "{ticked:?}");
    assert_eq!(world.rings().len(), 1, "{:?}", world.items());
    let refused = "SELECT count(*) FROM call_queue WHERE status = 'failed' AND reason = 'refused'";
    assert_eq!(world.count(refused), 6, "{:?}", world.items());
    assert_eq!(world.items().last().unwrap(), "Zoe daily 2026-02-02 completed");
    assert_eq!(world.count("SELECT max(consecutive_failures) FROM customers"), 1);
    let posts = world.posts().len();
    for time in LATER {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    assert_eq!(world.posts().len(), posts, "a refused number is not tried again that day");
}

#[test]
fn a_redirect_is_not_followed_and_stops_dialing() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let address = elsewhere.local_addr().unwrap();
    let world = crowd(&format!("redirect-to=http://{address}/call"), 10);
    let ticked = world.tick();
    assert_eq!((world.posts().len(), ticked.in_doubt, ticked.shut), (1, 1, true), "{ticked:?}");
    if let Ok((mut stream, _)) = elsewhere.accept() {
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        panic!("the redirect was followed: {said}");
    }
    world.faults("");
    world.pass(chrono::Duration::minutes(6));
    assert_eq!(world.tick().succeeded, 9);
    assert_eq!(world.count("SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'"), 1);
    world.assert_no_phone_rang_twice();
}

/// Counts the concurrent POSTs; each ends in doubt.
struct Counting {
    inner: Vapi,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Provider for Counting {
    fn place(&self, _: &PlaceOrder, _: &(dyn Fn() -> bool + Sync)) -> Result<Accepted, PlaceError> {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        // Long enough for other POSTs to overlap, if they may.
        ringonce::clock::pause(Duration::from_millis(30));
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        Err(PlaceError::InDoubt { detail: "no answer".to_string(), stop_dialing: false })
    }

    fn get(&self, call_id: &str) -> Result<Fetched, ReadError> {
        self.inner.get(call_id)
    }

    fn list(&self, since: Instant) -> Result<Listing, ReadError> {
        self.inner.list(since)
    }
}

#[test]
fn after_a_start_one_post_is_under_way_until_one_is_accepted() {
    let world = crowd("", 10);
    let most = Arc::new(AtomicUsize::new(0));
    let mut service = world.start();
    let (under_way, inner) = (Arc::default(), world.vapi());
    service.provider = Box::new(Counting { inner, under_way, most: Arc::clone(&most) });
    let ticked = tick::tick(&service).unwrap();
    assert_eq!((ticked.in_doubt, most.load(Ordering::SeqCst)), (10, 1), "{ticked:?}");
}

#[test]
fn each_post_has_a_connection_of_its_own() {
    let world = crowd("", 10);
    world.tick();
    let posts = world.posts();
    let ports: std::collections::BTreeSet<_> = posts.iter().map(|post| post.client_port).collect();
    assert_eq!((posts.len(), ports.len()), (10, 10));
    assert!(!ports.contains(&None));
}
