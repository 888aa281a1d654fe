//! What the rules of pace and breaker share: many people who are due at once, single passes, and
//! what was posted by when.

use std::time::Duration;

use ringonce::service::dialer::{Dialer, Passed, Patience};

use crate::world::World;

/// So many customers who are due at noon, each with a number of their own.
pub fn many(world: &World, people: usize) {
    for number in 0..people {
        world.daily(&format!("P{number}"));
    }
}

/// One pass of a process that starts for it and waits for no pace.
pub fn one_pass(world: &World) -> Passed {
    let service = world.start();
    let patience = Patience { pace: false, record: Duration::from_secs(5) };
    let mut dialer = Dialer::new(&service, patience, world.now()).expect("a dialer");
    dialer.pass(&mut |_| Ok(None)).expect("a pass")
}

/// A tick at each of these times of 2 February, and how many POSTs there are after it.
pub fn posts_after_ticks(world: &World, expected: &[(&str, usize)]) {
    for (time, posts) in expected {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert_eq!(world.posts().len(), *posts, "{time}");
    }
}
