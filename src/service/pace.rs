//! The pace of dialing and of asking about calls: at most N requests in any minute, and fewer
//! POSTs just after an outage.
//!
//! It counts in real time, also under a test clock, so that a frozen clock never blocks it.

use std::collections::VecDeque;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// The share of the full pace that is allowed as soon as an outage is over.
const AT_FIRST: f64 = 0.25;

/// The start times of the last minute's requests, and the limit on the next ones.
#[derive(Debug)]
pub struct Pace {
    calls_per_minute: usize,
    ramp: Duration,
    /// Process time of each request of the last minute, oldest first.
    begun: VecDeque<Duration>,
    /// Process time at which an outage's end was noticed, and for how long it had been over.
    /// `None` = no outage still lowers the pace.
    recovered: Option<(Duration, Duration)>,
}

impl Pace {
    /// `ages`: how long ago each of the ledger's POSTs of the last minute began.
    pub fn new(
        calls_per_minute: usize,
        ramp: Duration,
        ages: impl IntoIterator<Item = Duration>,
        now: Duration,
    ) -> Pace {
        let mut begun: Vec<Duration> =
            ages.into_iter().map(|age| now.saturating_sub(age)).collect();
        begun.sort_unstable();
        Pace { calls_per_minute, ramp, begun: begun.into(), recovered: None }
    }

    /// How many requests may begin now.
    pub fn free(&mut self, now: Duration) -> usize {
        while self.begun.front().is_some_and(|begun| *begun + MINUTE <= now) {
            self.begun.pop_front();
        }
        self.limit(now).saturating_sub(self.begun.len())
    }

    /// How long to wait until one more request may begin, when none may now.
    pub fn wait(&self, now: Duration) -> Duration {
        let oldest = self.begun.front().copied().unwrap_or(now);
        (oldest + MINUTE).saturating_sub(now)
    }

    pub fn count(&mut self, now: Duration) {
        self.begun.push_back(now);
    }

    /// Notes that an outage ended `ago` before now. The pace grows back over the ramp: no burst.
    pub fn recovered(&mut self, now: Duration, ago: Duration) {
        self.recovered = Some((now, ago));
    }

    fn limit(&mut self, now: Duration) -> usize {
        let Some((since, ago)) = self.recovered else { return self.calls_per_minute };
        let passed = now.saturating_sub(since) + ago;
        if self.ramp <= passed {
            self.recovered = None;
            return self.calls_per_minute;
        }
        let grown = passed.as_secs_f64() / self.ramp.as_secs_f64();
        let share = AT_FIRST + (1.0 - AT_FIRST) * grown;
        ((self.calls_per_minute as f64 * share) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn no_minute_holds_more_posts_than_the_pace_allows() {
        let mut pace = Pace::new(3, secs(300), [], secs(1000));
        for at in [1000, 1001, 1002] {
            assert_ne!(pace.free(secs(at)), 0);
            pace.count(secs(at));
        }
        assert_eq!(pace.free(secs(1030)), 0);
        assert_eq!(pace.wait(secs(1030)), secs(30));
        assert_eq!(pace.free(secs(1060)), 1);
    }

    #[test]
    fn the_ledgers_posts_of_the_last_minute_count() {
        let mut pace = Pace::new(2, secs(300), [secs(10), secs(59), secs(70)], secs(1000));
        assert_eq!(pace.free(secs(1000)), 0);
        assert_eq!(pace.free(secs(1001)), 1);
    }

    #[test]
    fn after_an_outage_the_pace_grows_back_instead_of_bursting() {
        let mut pace = Pace::new(60, secs(300), [], secs(1000));
        pace.recovered(secs(1000), secs(0));
        assert_eq!(pace.free(secs(1000)), 15);
        assert_eq!(pace.free(secs(1150)), 37);
        assert_eq!(pace.free(secs(1300)), 60);
        // A process that starts 150 s after the outage reads its end from the database.
        pace.recovered(secs(2000), secs(150));
        assert_eq!(pace.free(secs(2000)), 37);
        assert_eq!(pace.free(secs(2150)), 60);
    }
}
