//! Shared by the tests of pace and breaker: many people who are due at once, single passes, and
//! POSTs counted by time.

use std::time::Duration;

use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::{Passed, Patience};

use crate::world::World;

/// Adds `people` customers who are due at noon, each with a number of their own.
pub fn many(world: &World, people: usize) {
    for number in 0..people {
        world.daily(&format!("P{number}"));
    }
}

/// One pass of a process that starts for it and does not wait for the pace.
pub fn one_pass(world: &World) -> Passed {
    let service = world.start();
    let patience = Patience { pace: false, record: Duration::from_secs(5) };
    let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
    dialer.pass(&mut |_| Ok(None)).expect("a pass")
}

/// Ticks at each of these times of 2 February and compares the number of POSTs after it.
pub fn posts_after_ticks(world: &World, expected: &[(&str, usize)]) {
    for (time, posts) in expected {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert_eq!(world.posts().len(), *posts, "{time}");
    }
}
