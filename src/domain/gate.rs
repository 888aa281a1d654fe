//! The gate: may this item be dialed now? Asked for `explain`, and once more in the transaction
//! that writes the intent. The only way to `Open` is that every rule says yes.

use std::sync::Arc;

use chrono::{Duration, NaiveDate, NaiveTime};

use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition, Reason};
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::elsewhere::{self, MadeElsewhere};
use crate::domain::limits::{self, Made};
use crate::domain::only_numbers::OnlyNumbers;
use crate::domain::retry::{Earlier, RetryRule};
use crate::domain::schedule::Rhythm;
use crate::domain::window::CallingWindow;
use crate::domain::zone::Zone;

/// The configured rules, as values.
#[derive(Clone, Debug)]
pub struct Rules {
    pub eligible_payment_status: Vec<String>,
    /// `None`: everybody may be dialed.
    pub only_numbers: Option<OnlyNumbers>,
    pub welcome_delay: Duration,
    pub look_ahead: Duration,
    pub max_lateness: Duration,
    /// So long after the chosen instant a daily call counts as at its time.
    pub grace: Duration,
    /// Between two daily calls of one customer.
    pub min_gap_daily: Duration,
    /// Between any two calls to one number, and to one customer.
    pub min_gap_any: Duration,
    pub window: CallingWindow,
    /// The window binds the chosen time too.
    pub strict: bool,
    pub require_consent: bool,
    /// These two count for a number and for a customer; the fuller of both binds.
    pub calls_per_day: Option<i64>,
    pub calls_per_period: Option<i64>,
    pub period: Duration,
    pub extra_calls_per_day: i64,
    pub disable_after_failures: i64,
    pub max_attempts: i64,
    pub back_off: Vec<Duration>,
    /// By the order of `Disposition::ALL`, then of `CallType::ALL`.
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

    /// The last instant at which an occasion may be dialed; `None` = there is none.
    ///
    /// Daily: the chosen instant and its lateness, cut at the window's end on that date, but
    /// never less than the grace at the chosen time itself. Extra: a day after it was asked for.
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

    /// Why an occasion that nobody could be called for any more was missed: a chosen time that
    /// the strict window never allows is no lateness of ours.
    pub fn missed_reason(&self, scheduled_for: Instant, zone: &Zone) -> Reason {
        match self.strict && !self.window.is_open(zone, scheduled_for) {
            true => Reason::OutsideWindow,
            false => Reason::TooLate,
        }
    }
}

/// What is known about one item at the moment of asking.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub now: Instant,
    pub call_type: CallType,
    /// The local date that a daily occasion names.
    pub date: Option<NaiveDate>,
    pub scheduled_for: Instant,
    /// The last permitted instant; `None` = none.
    pub expires_at: Option<Instant>,
    /// `None`: the row is gone.
    pub customer: Option<&'a Customer>,
    /// `None`: the zone is not known, so no local time is.
    pub zone: Option<&'a Zone>,
    pub do_not_call: bool,
    /// What is paused, by whom and why.
    pub pause: Option<String>,
    /// Earlier attempts of this occasion, by number.
    pub earlier: Vec<Earlier>,
    /// Another row with this number had the same kind of call (on this date), and not both rows
    /// say that the number is shared.
    pub same_phone: bool,
    /// A call to this number that this database did not make.
    pub elsewhere: Option<MadeElsewhere>,
    /// The calls so far to this number, and to this customer at whatever number.
    pub to_number: Made,
    pub to_customer: Made,
    /// The latest daily call of another date to this customer or number.
    pub last_other_daily: Option<Instant>,
    /// Extra calls of this customer in the last 24 hours.
    pub extra_in_day: i64,
    /// The name of today's holiday or blackout where the customer lives.
    pub holiday: Option<String>,
    /// The window of the phone's country and every zone of it, where the customer's zone lies in
    /// another country and `strict` asks for both: nobody knows in which of them the phone is.
    pub phone_window: Option<(CallingWindow, Vec<Arc<Zone>>)>,
}

impl Facts<'_> {
    /// Whether an earlier attempt of the occasion was placed, and is over.
    pub fn was_placed(&self) -> bool {
        self.earlier.iter().any(|earlier| earlier.disposition.is_some())
    }
}

/// What a rule, or the whole gate, answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Open,
    /// Not now; the call stays owed. `None`: until something changes.
    Wait {
        reason: Reason,
        until: Option<Instant>,
    },
    /// Not ever.
    Skip(Reason),
    /// A phone rang for this occasion, or may have.
    AlreadyCalled,
}

/// One rule and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub rule: &'static str,
    pub verdict: Verdict,
    /// For a person; empty when the rule stands open and there is nothing to tell.
    pub detail: String,
}

/// The verdict, and every rule's answer in the order in which they count.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub verdict: Verdict,
    pub answers: Vec<Answer>,
}

/// Asks every rule. What is final counts before what may pass; among those the first counts, and
/// the look again comes no sooner than the latest known end of a wait.
pub fn ask(facts: &Facts<'_>, rules: &Rules) -> Decision {
    let Some(customer) = facts.customer else {
        return refused("customer exists", Reason::CustomerGone);
    };
    let Some(zone) = facts.zone else {
        let verdict = Verdict::Wait { reason: Reason::NotEligible, until: None };
        let detail = format!("the time zone {:?} is not known", customer.timezone);
        let answers = vec![Answer { rule: "time zone", verdict: verdict.clone(), detail }];
        return Decision { verdict, answers };
    };
    let answers = vec![
        already_called(facts, customer),
        elsewhere::answer(facts),
        yes_or("not on the do-not-call list", facts.do_not_call, Verdict::Skip(Reason::DoNotCall)),
        yes_or("no same call to this number", facts.same_phone, Verdict::Skip(Reason::SamePhone)),
        in_time(facts, zone),
        eligible(customer, rules),
        valid_phone(customer),
        paused(facts, customer),
        consent(customer, rules),
        holiday(facts, zone),
        window(facts, rules, zone),
        limits::daily_gap(facts, rules),
        limits::any_gap(facts, rules),
        limits::caps(facts, rules),
    ];
    let verdict = weigh(&answers, facts.expires_at);
    Decision { verdict, answers }
}

fn refused(rule: &'static str, reason: Reason) -> Decision {
    let verdict = Verdict::Skip(reason);
    let answers = vec![Answer { rule, verdict: verdict.clone(), detail: String::new() }];
    Decision { verdict, answers }
}

fn weigh(answers: &[Answer], expires_at: Option<Instant>) -> Verdict {
    let verdicts = || answers.iter().map(|answer| &answer.verdict);
    if verdicts().any(|verdict| *verdict == Verdict::AlreadyCalled) {
        return Verdict::AlreadyCalled;
    }
    if let Some(skip) = verdicts().find(|verdict| matches!(verdict, Verdict::Skip(_))) {
        return skip.clone();
    }
    let mut first = None;
    let mut latest: Option<Instant> = None;
    for verdict in verdicts() {
        if let Verdict::Wait { reason, until } = verdict {
            first.get_or_insert(*reason);
            latest = latest.max(*until);
            let over = until.zip(expires_at).is_some_and(|(until, expires)| expires < until);
            if *reason == Reason::MinGap && over {
                return Verdict::Skip(Reason::MinGap);
            }
        }
    }
    match first {
        None => Verdict::Open,
        Some(reason) => Verdict::Wait { reason, until: latest },
    }
}

pub(super) fn open(rule: &'static str) -> Answer {
    Answer { rule, verdict: Verdict::Open, detail: String::new() }
}

pub(super) fn wait(
    rule: &'static str,
    reason: Reason,
    until: Option<Instant>,
    detail: String,
) -> Answer {
    Answer { rule, verdict: Verdict::Wait { reason, until }, detail }
}

fn yes_or(rule: &'static str, broken: bool, verdict: Verdict) -> Answer {
    if broken { Answer { rule, verdict, detail: String::new() } } else { open(rule) }
}

/// The ledger first; the flags too, unless an earlier attempt of this occasion set them.
fn already_called(facts: &Facts<'_>, customer: &Customer) -> Answer {
    let rule = "not called yet";
    let called = |detail: String| Answer { rule, verdict: Verdict::AlreadyCalled, detail };
    if let Some(blocking) = facts.earlier.iter().find(|earlier| !earlier.permits_another) {
        return called(match blocking.disposition {
            Some(disposition) => format!("an attempt ended: {disposition}"),
            None => format!("an attempt is {}", blocking.state),
        });
    }
    let was_placed = facts.was_placed();
    if was_placed {
        return open(rule);
    }
    match facts.call_type {
        CallType::Welcome if customer.welcome_call_completed => {
            called("the welcome call is marked as made".to_string())
        }
        CallType::Daily if facts.date.is_none() || facts.date <= customer.last_call_date => {
            let date = customer.last_call_date;
            called(match date {
                Some(date) => format!("the last daily call is marked for {date}"),
                None => "its occasion names no date".to_string(),
            })
        }
        _ => open(rule),
    }
}

fn in_time(facts: &Facts<'_>, zone: &Zone) -> Answer {
    let rule = "in time";
    if facts.now < facts.scheduled_for {
        let detail = "its instant has not come".to_string();
        return wait(rule, Reason::OutsideWindow, Some(facts.scheduled_for), detail);
    }
    let late = facts.expires_at.is_some_and(|expires| expires < facts.now);
    // Who was called is called again on that date or not at all, also where they have moved to.
    let over = facts.was_placed() && facts.date.is_some_and(|date| date < zone.date(facts.now));
    yes_or(rule, late || over, Verdict::Skip(Reason::TooLate))
}

fn eligible(customer: &Customer, rules: &Rules) -> Answer {
    let rule = "eligible";
    if rules.only_numbers.as_ref().is_some_and(|only| !only.allow(&customer.phone)) {
        let detail = "dialing.only_numbers does not name this number".to_string();
        return wait(rule, Reason::NotEligible, None, detail);
    }
    if !rules.eligible_payment_status.contains(&customer.payment_status) {
        let detail = format!("the payment status is {}", customer.payment_status);
        return wait(rule, Reason::NotEligible, None, detail);
    }
    if customer.call_status == CallStatus::Disabled {
        let detail = "calls are disabled after too many failures".to_string();
        return wait(rule, Reason::NotEligible, None, detail);
    }
    open(rule)
}

fn valid_phone(customer: &Customer) -> Answer {
    let rule = "phone validated";
    let detail = match (customer.phone_validated, customer.has_e164_phone()) {
        (true, true) => return open(rule),
        (true, false) => "not written as + and digits only (E.164)".to_string(),
        (false, _) => customer.phone_validation_error.clone().unwrap_or_default(),
    };
    wait(rule, Reason::InvalidPhone, None, detail)
}

fn paused(facts: &Facts<'_>, customer: &Customer) -> Answer {
    let rule = "not paused";
    if let Some(pause) = &facts.pause {
        return wait(rule, Reason::Paused, None, pause.clone());
    }
    if customer.call_status == CallStatus::Paused {
        return wait(rule, Reason::Paused, None, "the customer is paused".to_string());
    }
    open(rule)
}

fn consent(customer: &Customer, rules: &Rules) -> Answer {
    let rule = "consent";
    let complete = customer.consent_at.is_some()
        && customer.consent_source.is_some()
        && customer.consent_text.is_some();
    if rules.require_consent && !complete {
        let detail = "consent needs its time, source and text".to_string();
        return wait(rule, Reason::NoConsent, None, detail);
    }
    open(rule)
}

fn holiday(facts: &Facts<'_>, zone: &Zone) -> Answer {
    let rule = "no holiday";
    let Some(name) = &facts.holiday else { return open(rule) };
    let tomorrow = zone.date(facts.now).succ_opt();
    let until = tomorrow.map(|date| zone.resolve(date.and_time(NaiveTime::MIN)));
    wait(rule, Reason::Holiday, until, name.clone())
}

fn window(facts: &Facts<'_>, rules: &Rules, zone: &Zone) -> Answer {
    let rule = "calling window";
    let at_its_time = facts.call_type == CallType::Daily
        && !facts.was_placed()
        && facts.now <= facts.scheduled_for + rules.grace
        && is_chosen(facts, zone);
    if at_its_time && !rules.strict {
        return open(rule);
    }
    let phone = facts.phone_window.iter();
    let phone = phone.flat_map(|(window, zones)| zones.iter().map(move |z| (window, z.as_ref())));
    let places: Vec<(&CallingWindow, &Zone)> =
        std::iter::once((&rules.window, zone)).chain(phone).collect();
    let until = open_everywhere(&places, facts.now);
    if until == Some(facts.now) {
        return open(rule);
    }
    let there = zone.local(facts.now).format("%a %H:%M");
    let detail = match rules.window.is_open(zone, facts.now) {
        true => format!("it is {there} there, but the phone's country may be closed"),
        false => format!("it is {there} there"),
    };
    wait(rule, Reason::OutsideWindow, until, detail)
}

/// Whether the item's instant is the one that the customer chose for its date: another program may
/// have worked it out by other hours.
fn is_chosen(facts: &Facts<'_>, zone: &Zone) -> bool {
    let Some(customer) = facts.customer else { return false };
    let (time, schedule) = (customer.call_time.as_deref(), customer.call_schedule.as_deref());
    let slot = match Rhythm::of(time, schedule) {
        Ok(Some(rhythm)) => rhythm.slot_on(zone, zone.date(facts.scheduled_for)),
        _ => None,
    };
    slot == Some(facts.scheduled_for)
}

/// The first instant at or after `at` at which every place is open; `None` when none is near.
fn open_everywhere(places: &[(&CallingWindow, &Zone)], at: Instant) -> Option<Instant> {
    let mut candidate = at;
    while candidate <= at + Duration::days(15) {
        let next: Option<Vec<Instant>> =
            places.iter().map(|(window, zone)| window.next_open(zone, candidate)).collect();
        let latest = next?.into_iter().max()?;
        if latest == candidate {
            return Some(candidate);
        }
        candidate = latest;
    }
    None
}
