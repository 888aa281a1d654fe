//! Seeds that once broke the promise, each with what it found. They are lived again for ever.

use std::sync::Arc;

use ringonce::zones::Zones;

const SEEDS: [(u64, &str); 4] = [
    (2, "a day of downtime was forgotten: the end of an old item moved the next call past it"),
    (5, "today's call, still in time after downtime, was skipped for the same reason"),
    (7, "a restored file adopted a later date, and the missed date before it was never told"),
    (31, "the same where the missed date had been told in the file that was lost"),
];

#[test]
fn seeds_that_once_broke_the_promise_keep_it() {
    let zones = Arc::new(Zones::load());
    for (seed, found) in SEEDS {
        if let Err(line) = crate::live(seed, &zones) {
            panic!("{line} (it once found: {found})");
        }
    }
}
