//! The retry after a call that ended, and the backoff after a machine failure.

use chrono::{Duration, NaiveDate, NaiveTime};

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{AttemptState, Disposition};

/// How long to wait, how often, and until which local time a person is called again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryRule {
    pub after: Duration,
    /// A retry starts before this time on the occasion's date; `None` = the date's end.
    pub until: Option<NaiveTime>,
    /// How many more attempts of the occasion; 0 = none.
    pub times: usize,
}

/// The facts about an earlier attempt of the same occasion that the rules need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Earlier {
    pub state: AttemptState,
    pub disposition: Option<Disposition>,
    /// Whether the retry rule of its disposition permits the attempt after it.
    pub permits_another: bool,
}

/// Marks each attempt with whether it permits one more. The n-th ending of an occasion does so when
/// n is at most the `times` of its rule. All calls that may have rung are counted together: a call
/// with no answer and a busy call permit one more call, not two. Calls that were never dialed
/// disturbed nobody and are counted apart.
pub fn judge(
    history: &[(AttemptState, Option<Disposition>)],
    rule: impl Fn(Disposition) -> RetryRule,
) -> Vec<Earlier> {
    let (mut never_dialed, mut may_have_rung) = (0, 0);
    history
        .iter()
        .map(|(state, disposition)| {
            let permits_another = match (state, disposition) {
                (AttemptState::Ended, Some(disposition)) => {
                    let endings = match disposition {
                        Disposition::NeverDialed => &mut never_dialed,
                        _ => &mut may_have_rung,
                    };
                    *endings += 1;
                    *endings <= rule(*disposition).times
                }
                (AttemptState::NotPlaced, _) => true,
                _ => false,
            };
            Earlier { state: *state, disposition: *disposition, permits_another }
        })
        .collect()
}

/// The instant of a retry and its last permitted instant; `None` when it would be too late.
///
/// `date` is the occasion's local date; a welcome call has no date and no limit.
pub fn retry_at(
    rule: &RetryRule,
    ended_at: Instant,
    zone: &Zone,
    date: Option<NaiveDate>,
) -> Option<(Instant, Option<Instant>)> {
    let at = ended_at + rule.after;
    let last = match (date, rule.until) {
        (None, _) => return Some((at, None)),
        (Some(date), Some(until)) => zone.resolve(date.and_time(until)),
        (Some(date), None) => zone.resolve(date.succ_opt()?.and_time(NaiveTime::MIN)),
    };
    let on_the_date = date.is_none_or(|date| zone.date(at) == date);
    // The limit is exclusive: with `until` 20:00, no call starts at 20:00.
    (on_the_date && at < last).then_some((at, Some(last)))
}

/// The wait after a machine failure before the next attempt; `None` when no attempt is left.
///
/// `used` counts the attempts made: 1 after the first failure.
pub fn back_off(used: i64, max_attempts: i64, steps: &[Duration]) -> Option<Duration> {
    if max_attempts <= used {
        return None;
    }
    let step = usize::try_from(used - 1).ok()?;
    steps.get(step).or(steps.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_failure_backs_off_15_30_45_minutes_and_then_stops() {
        let steps = [15, 30, 45].map(Duration::minutes);
        assert_eq!(back_off(1, 3, &steps), Some(Duration::minutes(15)));
        assert_eq!(back_off(2, 3, &steps), Some(Duration::minutes(30)));
        assert_eq!(back_off(3, 3, &steps), None);
        assert_eq!(back_off(3, 4, &steps), Some(Duration::minutes(45)));
    }

    #[test]
    fn the_first_no_answer_permits_one_more_attempt_and_the_second_none() {
        let rule = |_| RetryRule { times: 1, ..RetryRule::default() };
        let ended = (AttemptState::Ended, Some(Disposition::NoAnswer));
        let permits: Vec<bool> =
            judge(&[ended, ended], rule).iter().map(|earlier| earlier.permits_another).collect();
        assert_eq!(permits, [true, false]);
    }

    #[test]
    fn no_answer_and_then_busy_is_one_more_call_and_not_two() {
        let rule = |_| RetryRule { times: 1, ..RetryRule::default() };
        let cases = [
            (vec![Disposition::NoAnswer, Disposition::Busy], vec![true, false]),
            (vec![Disposition::Busy, Disposition::NoAnswer], vec![true, false]),
            (vec![Disposition::NeverDialed, Disposition::Busy], vec![true, true]),
            (
                vec![Disposition::NoAnswer, Disposition::NeverDialed, Disposition::Busy],
                vec![true, true, false],
            ),
        ];
        for (endings, permits) in cases {
            let history: Vec<_> =
                endings.iter().map(|ending| (AttemptState::Ended, Some(*ending))).collect();
            let judged = judge(&history, rule);
            let found: Vec<bool> = judged.iter().map(|earlier| earlier.permits_another).collect();
            assert_eq!(found, permits, "{endings:?}");
        }
    }

    #[test]
    fn a_live_attempt_permits_nothing() {
        let rule = |_| RetryRule { times: 9, ..RetryRule::default() };
        for state in [AttemptState::Dialing, AttemptState::InDoubt, AttemptState::Placed] {
            assert!(!judge(&[(state, None)], rule)[0].permits_another, "{state}");
        }
    }

    #[test]
    fn a_retry_starts_before_its_local_limit_and_on_the_same_date_or_not_at_all() {
        let rule = RetryRule {
            after: Duration::minutes(120),
            until: NaiveTime::from_hms_opt(20, 0, 0),
            times: 1,
        };
        let date = NaiveDate::from_ymd_opt(2026, 3, 2);
        let at = |text: &str| crate::domain::parse_instant(text).unwrap();
        let retry = |ended: &str| retry_at(&rule, at(ended), &Zone::utc(), date).map(|r| r.0);
        assert_eq!(retry("2026-03-02T17:59:59Z"), Some(at("2026-03-02T19:59:59Z")));
        assert_eq!(retry("2026-03-02T18:00:00Z"), None);
        assert_eq!(retry("2026-03-02T23:00:00Z"), None);
    }
}
