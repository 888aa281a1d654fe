//! The events that the application gets: their types, and when an event is sent again.

use chrono::Duration;

use crate::domain::{Instant, parse_instant, text_enum, utc_words};

text_enum! {
    /// What an event reports.
    pub enum EventType {
        /// The provider accepted a call.
        CallPlaced = "call.placed",
        /// A call is over.
        CallEnded = "call.ended",
        /// The result of an ended call changed after `call.ended` was sent.
        CallResult = "call.result",
        /// It is unknown whether a phone rang.
        CallInDoubt = "call.in_doubt",
        /// A doubt was settled.
        CallSettled = "call.settled",
        /// An occasion is over: no further call is made for it.
        OccasionFinished = "occasion.finished",
        /// A customer's number came onto the do-not-call list.
        CustomerOptedOut = "customer.opted_out",
        /// A customer was disabled after failed occasions in a row.
        CustomerDisabled = "customer.disabled",
    }
}

text_enum! {
    /// How an occasion ended, for `occasion.finished`.
    pub enum Outcome {
        /// A person answered one of its calls.
        Reached = "reached",
        /// It was called, and nobody answered.
        Unreached = "unreached",
        /// It was not called.
        Skipped = "skipped",
        /// It was given up before a call was placed.
        Failed = "failed",
    }
}

/// The parts of a call's result that an event may carry.
pub const RESULT_PARTS: [&str; 2] = ["summary", "structured"];

/// Which events are written, as the service that sends them wants it.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Wanted {
    pub types: Vec<String>,
    /// Some of [`RESULT_PARTS`].
    pub include: Vec<String>,
    /// How long `call.ended` waits for a result; 0: not at all.
    pub wait_minutes: i64,
}

impl Wanted {
    pub fn has(&self, event: EventType) -> bool {
        self.types.iter().any(|kind| kind == event.as_str())
    }
}

/// The seconds before each further try, the last one for all later tries. The first ones cover a
/// restart of the receiver, the last one an outage of days.
const WAITS: [i64; 9] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800];

/// An event that failed for this long is given up.
pub const GIVEN_UP_AFTER: Duration = Duration::days(3);

/// How long an event waits after its `tries`-th try, which is at least 1.
pub fn wait_after(tries: i64) -> Duration {
    let place = usize::try_from(tries.max(1) - 1).unwrap_or(usize::MAX).min(WAITS.len() - 1);
    Duration::seconds(WAITS[place])
}

/// An event that waits for this long is an alarm. A restart of the receiver takes less.
const LONG_WAIT: Duration = Duration::hours(1);
/// Events that were given up are an alarm for this long. They stay in the list afterwards.
const ALARMED_FOR: Duration = Duration::days(7);

/// The events that the application does not have.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Undelivered {
    pub waiting: i64,
    pub oldest_waiting_at: Option<String>,
    /// Events that were given up and not replayed.
    pub given_up: i64,
    pub last_given_up_at: Option<String>,
    /// Why the last failed try failed.
    pub last_error: Option<String>,
}

impl Undelivered {
    /// What is the matter; `None` while all is well.
    pub fn trouble(&self, now: Instant) -> Option<String> {
        let since = |text: &Option<String>| text.as_deref().and_then(parse_instant);
        let why = self.last_error.as_deref().unwrap_or("no try was made");
        if since(&self.last_given_up_at).is_some_and(|at| now - at < ALARMED_FOR) {
            return Some(format!("{} given up after 3 days ({why})", counted(self.given_up)));
        }
        let oldest = since(&self.oldest_waiting_at).filter(|at| LONG_WAIT <= now - *at)?;
        Some(format!(
            "{} not delivered, the oldest since {} ({why})",
            counted(self.waiting),
            utc_words(oldest)
        ))
    }
}

fn counted(events: i64) -> String {
    if events == 1 { "1 event is".to_string() } else { format!("{events} events are") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_seconds_to_hours_and_fit_several_times_into_three_days() {
        let waits: Vec<i64> = (1..=20).map(|tries| wait_after(tries).num_seconds()).collect();
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert_eq!((waits[0], waits[19]), (5, 28_800));
        assert_eq!((wait_after(0), wait_after(i64::MAX)), (wait_after(1), wait_after(99)));
        let mut passed = Duration::zero();
        let tries = (1..).take_while(|tries| {
            passed += wait_after(*tries);
            passed < GIVEN_UP_AFTER
        });
        assert!((12..40).contains(&tries.count()));
    }

    #[test]
    fn a_long_wait_and_a_recent_end_of_tries_are_reported() {
        let now = parse_instant("2026-11-22T12:00:00Z").unwrap();
        let ago = |wait: Duration| Some(crate::domain::instant_text(now - wait));
        let waits = |wait| Undelivered {
            waiting: 2,
            oldest_waiting_at: ago(wait),
            last_error: Some("it answered 500".to_string()),
            ..Undelivered::default()
        };
        assert_eq!(Undelivered::default().trouble(now), None);
        assert_eq!(waits(Duration::minutes(59)).trouble(now), None);
        let long = waits(Duration::minutes(60)).trouble(now).unwrap();
        assert!(long.starts_with("2 events are not delivered") && long.contains("500"), "{long}");
        let given_up = |wait| Undelivered {
            given_up: 1,
            last_given_up_at: ago(wait),
            ..waits(Duration::zero())
        };
        let recent = given_up(Duration::days(6)).trouble(now).unwrap();
        assert_eq!(recent, "1 event is given up after 3 days (it answered 500)");
        assert_eq!(given_up(Duration::days(8)).trouble(now), None);
    }
}
