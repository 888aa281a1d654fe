//! The input of the gate and the answers of its rules: values only.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{Duration, NaiveDate};

use crate::domain::calendar::window::CallingWindow;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, Disposition, Reason};
use crate::domain::customer::Customer;
use crate::domain::gate::only_numbers::OnlyNumbers;
use crate::domain::retry::{Earlier, RetryRule};
use crate::domain::{Instant, utc_words};

/// The configured rules, as values.
#[derive(Clone, Debug)]
pub struct Rules {
    pub eligible_payment_status: Vec<String>,
    /// `None`: every number may be dialed.
    pub only_numbers: Option<OnlyNumbers>,
    /// The names of `[assistants]`.
    pub assistants: BTreeSet<String>,
    pub welcome_delay: Duration,
    pub look_ahead: Duration,
    pub max_lateness: Duration,
    /// For this long after the chosen instant a daily call counts as on time.
    pub grace: Duration,
    /// The least time between two daily calls to one customer or number.
    pub min_gap_daily: Duration,
    /// The least time between any two calls to one number, and to one customer.
    pub min_gap_any: Duration,
    pub window: CallingWindow,
    /// The window limits the chosen time too.
    pub strict: bool,
    pub require_consent: bool,
    /// This cap and the next count per number and per customer; either count blocks.
    pub calls_per_day: Option<i64>,
    pub calls_per_period: Option<i64>,
    pub period: Duration,
    pub extra_calls_per_day: i64,
    pub disable_after_failures: i64,
    pub max_attempts: i64,
    pub back_off: Vec<Duration>,
    /// Indexed in the order of `Disposition::ALL`, then of `CallType::ALL`.
    pub retry: Vec<Vec<RetryRule>>,
}

impl Rules {
    pub fn retry_rule(&self, disposition: Disposition, call_type: CallType) -> RetryRule {
        self.retry
            .get(disposition as usize)
            .and_then(|by_type| by_type.get(call_type as usize))
            .cloned()
            .unwrap_or_default()
    }

    /// The last instant at which an occasion may be dialed; `None` = no limit.
    ///
    /// Daily: `max_lateness` after the chosen instant, cut at the window's end on that date. Unless
    /// `strict`, the grace after the chosen time is kept. Extra: 24 hours after its instant.
    pub fn last_permitted(
        &self,
        call_type: CallType,
        scheduled_for: Instant,
        zone: &Zone,
    ) -> Option<Instant> {
        match call_type {
            CallType::Welcome => None,
            CallType::Extra => Some(scheduled_for + Duration::hours(24)),
            CallType::Daily => {
                let latest = scheduled_for + self.max_lateness;
                let window_end = self.window.last_start_on(zone, zone.date(scheduled_for));
                let cut = window_end.map_or(scheduled_for, |end| end.min(latest));
                let at_its_time = scheduled_for + self.grace.min(self.max_lateness);
                Some(if self.strict { cut } else { cut.max(at_its_time) })
            }
        }
    }

    /// Why an occasion was missed. A chosen time that the strict window never allows is not our
    /// lateness.
    pub fn missed_reason(&self, scheduled_for: Instant, zone: &Zone) -> Reason {
        if self.strict && !self.window.is_open(zone, scheduled_for) {
            Reason::OutsideWindow
        } else {
            Reason::TooLate
        }
    }
}

/// The known facts about one item when the gate is asked.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub now: Instant,
    pub call_type: CallType,
    /// The local date that a daily occasion names.
    pub date: Option<NaiveDate>,
    pub scheduled_for: Instant,
    /// The last permitted instant; `None` = no limit.
    pub expires_at: Option<Instant>,
    /// `None`: the row is gone.
    pub customer: Option<&'a Customer>,
    /// `None`: the zone is unknown, so local times are too.
    pub zone: Option<&'a Zone>,
    pub do_not_call: bool,
    /// The pause in force: its scope, its author and why.
    pub pause: Option<String>,
    /// A row that cannot be read and that may concern this customer. It may forbid the call.
    pub odd_row: Option<String>,
    /// Earlier attempts of this occasion, in the order of their numbers.
    pub earlier: Vec<Earlier>,
    /// Another row with this number had the same kind of call (on this date). At least one of the
    /// two rows does not mark the number as shared.
    pub same_phone: bool,
    /// A call to this number that this database did not make.
    pub elsewhere: Option<MadeElsewhere>,
    /// The calls made to this number, and to this customer at any number.
    pub to_number: Made,
    pub to_customer: Made,
    /// The latest daily call of another date to this customer or number.
    pub last_other_daily: Option<Instant>,
    /// Extra calls of this customer on today's local date.
    pub extra_in_day: i64,
    /// The name of today's holiday or blackout where the customer lives.
    pub holiday: Option<String>,
    /// The window of the phone's country, and every zone of that country: the phone may be in any.
    /// Only when the customer's zone lies in another country and `strict` requires both windows.
    pub phone_window: Option<(CallingWindow, Vec<Arc<Zone>>)>,
}

impl Facts<'_> {
    /// Whether an earlier attempt of the occasion was placed, and is over.
    pub fn was_placed(&self) -> bool {
        self.earlier.iter().any(|earlier| earlier.disposition.is_some())
    }
}

/// The answer of a rule or of the whole gate.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Open,
    /// Not now; the occasion stays open. `until` is `None` when the end is unknown.
    Wait {
        reason: Reason,
        until: Option<Instant>,
    },
    /// Never.
    Skip(Reason),
    /// A phone rang for this occasion, or may have.
    AlreadyCalled,
}

/// One rule and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub rule: &'static str,
    pub verdict: Verdict,
    /// For a person; may be empty.
    pub detail: String,
}

pub(crate) fn open(rule: &'static str) -> Answer {
    Answer { rule, verdict: Verdict::Open, detail: String::new() }
}

pub(crate) fn wait(
    rule: &'static str,
    reason: Reason,
    until: Option<Instant>,
    detail: String,
) -> Answer {
    Answer { rule, verdict: Verdict::Wait { reason, until }, detail }
}

/// The verdict, and every rule's answer in the order of the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub verdict: Verdict,
    pub answers: Vec<Answer>,
}

/// Calls that may have rung, to one number or one customer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Made {
    pub last: Option<Instant>,
    /// The count in the last 24 hours, and when the oldest of these calls leaves the span.
    pub in_day: (i64, Option<Instant>),
    /// The same for the configured period.
    pub in_period: (i64, Option<Instant>),
}

/// A call that is not in this ledger and that blocks the occasion.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeElsewhere {
    /// The provider's id.
    pub call_id: String,
    pub created_at: Instant,
}

impl MadeElsewhere {
    /// For a person, with the command that releases the occasion.
    pub fn detail(&self) -> String {
        let MadeElsewhere { call_id, created_at } = self;
        let at = utc_words(*created_at);
        format!(
            "the call {call_id} of {at} was made elsewhere; if it does not count, run `ringonce \
             history ignore {call_id} --reason WHY`"
        )
    }
}
