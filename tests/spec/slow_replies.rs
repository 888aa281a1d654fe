//! A provider that is slow with one call delays no other call. A thread that panics while it places
//! a call leaves a doubt, never nothing.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ringonce::domain::instant_text;
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ProviderCall, ReadError,
};
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::Patience;
use ringonce::steps::scan;

use crate::world::{World, at};

/// The trouble of the second call of a pass.
#[derive(Clone, Copy, PartialEq)]
enum Second {
    /// No reply until a third call is placed.
    WaitsForTheThird,
    Panics,
}

/// Replies at once, except to the second call. The clock advances by a minute while that one waits.
struct Slow {
    second: Second,
    clock: PathBuf,
    placed: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Provider for Slow {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        assert!(may_send(), "the intent is fresh");
        let (placed, news) = &*self.placed;
        let mut calls = placed.lock().expect("no panic");
        calls.push(order.tag.clone());
        news.notify_all();
        if calls.len() == 2 {
            if self.second == Second::Panics {
                drop(calls);
                std::panic::resume_unwind(Box::new("the thread breaks down"));
            }
            let fresh = self.clock.with_extension("new");
            std::fs::write(&fresh, instant_text(at("2026-02-02T12:01:00Z"))).expect("a file");
            std::fs::rename(&fresh, &self.clock).expect("the clock goes on");
            // If the program delays the third call, this limit makes the test fail.
            let limit = Duration::from_secs(20);
            let wait = news.wait_timeout_while(calls, limit, |calls| calls.len() < 3);
            let (calls, _) = wait.expect("no panic");
            let third = if calls.len() < 3 { "no third call came" } else { "answered" };
            return Ok(accepted(&order.tag, third));
        }
        Ok(accepted(&order.tag, "answered"))
    }

    fn get(&self, _: &str) -> Result<Fetched, ReadError> {
        Err(ReadError::NotFound)
    }

    fn list(&self, _: ringonce::domain::Instant) -> Result<Listing, ReadError> {
        Ok(Listing::default())
    }
}

fn accepted(tag: &str, word: &str) -> Accepted {
    let id = format!("{word} {tag}");
    Accepted { call: Some(ProviderCall { id, ..ProviderCall::default() }), date: None }
}

/// One pass as the service makes it: Ada and Bea are due at seven, Cleo a minute later.
fn pass(second: Second) -> (World, usize) {
    let world = World::new();
    for (name, time) in [("Ada", "07:00"), ("Bea", "07:00"), ("Cleo", "07:01")] {
        world.customer(name).in_zone("America/New_York").at(time).paid().welcomed().add();
    }
    world.set_clock("2026-02-02T12:00:00Z");
    let placed: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
    let mut service = world.start();
    service.provider =
        Box::new(Slow { second, clock: world.path("clock"), placed: Arc::clone(&placed) });
    scan::scan(&service.cx, world.now()).expect("a scan");
    let patience = Patience { pace: false, record: Duration::from_secs(20) };
    let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
    let passed = dialer.pass(&mut |_| Ok(Some(Duration::from_millis(1))));
    passed.expect("the database works");
    let calls = placed.0.lock().expect("no panic").len();
    (world, calls)
}

#[test]
fn a_call_that_falls_due_while_another_waits_for_its_answer_is_placed() {
    let (world, calls) = pass(Second::WaitsForTheThird);
    assert_eq!(calls, 3);
    let waited = world.lines("SELECT vapi_call_id FROM call_attempts ORDER BY seq");
    assert!(waited.iter().all(|id| id.starts_with("answered ")), "{waited:?}");
    assert_eq!(
        world.attempts(),
        [
            "Ada daily 2026-02-02 #1 placed",
            "Bea daily 2026-02-02 #1 placed",
            "Cleo daily 2026-02-02 #1 placed"
        ]
    );
}

#[test]
fn a_panic_while_a_call_is_placed_is_a_doubt_and_opens_the_breaker() {
    let (world, calls) = pass(Second::Panics);
    assert_eq!(calls, 2);
    assert_eq!(
        world.attempts(),
        ["Ada daily 2026-02-02 #1 placed", "Bea daily 2026-02-02 #1 in_doubt"]
    );
    assert_eq!(world.one("SELECT count(*) FROM meta WHERE key = 'breaker'"), "1");
}

#[test]
fn a_pass_that_fails_while_a_call_is_under_way_still_writes_its_outcome() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock("2026-02-02T12:00:00Z");
    world.faults("latency=300");
    let service = world.start();
    let patience = Patience { pace: false, record: Duration::from_secs(20) };
    let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
    let failed = dialer.pass(&mut |_| anyhow::bail!("the scan failed"));
    assert!(failed.is_err());
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 placed"]);
}
