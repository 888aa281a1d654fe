//! Limits a log line that many clients could cause. It is written at most once in a period, with
//! the number of times that it was left out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock;

/// Prevents one cause from filling the log.
#[derive(Debug)]
pub struct LogLimiter {
    every: Duration,
    /// When it was last written (`clock::elapsed`), and how often it was left out since.
    last: Mutex<Option<(Duration, u64)>>,
}

impl LogLimiter {
    pub fn new(every: Duration) -> LogLimiter {
        LogLimiter { every, last: Mutex::new(None) }
    }

    /// Writes the warning, or counts it.
    pub fn warn(&self, text: &dyn std::fmt::Display) {
        if let Some(left_out) = self.turn(clock::elapsed()) {
            match left_out {
                0 => log::warn!("{text}"),
                n => log::warn!("{text} ({n} more times since it was logged last)"),
            }
        }
    }

    /// How often the line was left out; `None` when it may not be written now.
    fn turn(&self, now: Duration) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_mut() {
            Some((at, left_out)) if now < *at + self.every => {
                *left_out += 1;
                None
            }
            found => {
                let left_out = found.map_or(0, |(_, left_out)| *left_out);
                *last = Some((now, 0));
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_is_written_once_in_a_while_and_the_others_are_counted() {
        let quiet = LogLimiter::new(Duration::from_secs(300));
        let turns: Vec<Option<u64>> =
            [0, 1, 299, 300, 301, 900].map(|second| quiet.turn(Duration::from_secs(second))).into();
        assert_eq!(turns, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
