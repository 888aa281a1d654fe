//! The gate against an independent judgement of ten thousand invented customers and instants. The
//! few lines below share no code with the gate.

use std::collections::BTreeMap;

use chrono::{Datelike, Duration, NaiveDate, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use ringonce::config::settings::Config;
use ringonce::domain::call::{AttemptState, CallType, Disposition, Reason};
use ringonce::domain::customer::entry::{CustomerEntry, EntryPhone};
use ringonce::domain::customer::{CallStatus, Customer};
use ringonce::domain::gate::facts::{Facts, Made, MadeElsewhere, Rules, Verdict};
use ringonce::domain::retry::judge;
use ringonce::domain::{Instant, gate};
use ringonce::steps;
use ringonce::zones::Zones;

const CASES: usize = 10_000;
const PLACES: [&str; 8] = [
    "America/New_York",
    "America/St_Johns",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Sydney",
    "Pacific/Honolulu",
];

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize].clone()
    }
}

/// Everything about one case, as plain values.
#[derive(Clone, Debug)]
struct Case {
    now: Instant,
    place: &'static str,
    zone_known: bool,
    customer: Option<Customer>,
    call_type: CallType,
    scheduled_for: Instant,
    expires_at: Option<Instant>,
    history: Vec<(AttemptState, Option<Disposition>)>,
    do_not_call: bool,
    same_phone: bool,
    elsewhere: bool,
    paused: bool,
    holiday: bool,
    last_call: Option<Instant>,
    /// To this customer at another number.
    last_elsewhere: Option<Instant>,
    last_daily: Option<Instant>,
    calls_in_day: i64,
    customers_calls_in_day: i64,
    extra_in_day: i64,
    strict: bool,
    require_consent: bool,
    cap: Option<i64>,
    /// Hours of the window: from, to; on Sundays it is closed when `sundays` is false.
    hours: (u32, u32),
    sundays: bool,
}

fn invent(dice: &mut Dice) -> Case {
    let now = Utc.timestamp_opt(1_767_225_600 + dice.below(365 * 86_400) as i64, 0).unwrap();
    let call_type = dice.pick(CallType::ALL);
    let ago = |dice: &mut Dice, most: u64| Duration::minutes(dice.below(most) as i64);
    let due = now + Duration::minutes(20) - ago(dice, 320);
    let scheduled_for = due - Duration::seconds(due.second().into());
    let expires_at = match call_type {
        CallType::Welcome => None,
        _ => Some(scheduled_for + Duration::minutes(30) + ago(dice, 400)),
    };
    let place = dice.pick(&PLACES);
    let live = [AttemptState::Dialing, AttemptState::InDoubt, AttemptState::Placed];
    let history = (0..dice.below(6).saturating_sub(3))
        .map(|_| match dice.below(10) {
            0 => (dice.pick(&live), None),
            1..4 => (AttemptState::NotPlaced, None),
            4..8 => (
                AttemptState::Ended,
                Some(dice.pick(&[Disposition::NoAnswer, Disposition::NeverDialed])),
            ),
            _ => (AttemptState::Ended, Some(dice.pick(Disposition::ALL))),
        })
        .collect();
    let mut case = Case {
        now,
        place,
        zone_known: !dice.percent(2),
        customer: (!dice.percent(2)).then(|| invent_customer(dice, now, place)),
        call_type,
        scheduled_for,
        expires_at,
        history,
        do_not_call: dice.percent(3),
        same_phone: dice.percent(3),
        elsewhere: dice.percent(3),
        paused: dice.percent(3),
        holiday: dice.percent(3),
        last_call: dice.percent(10).then(|| now - ago(dice, 180)),
        last_elsewhere: dice.percent(10).then(|| now - ago(dice, 180)),
        last_daily: dice.percent(20).then(|| now - ago(dice, 24 * 60)),
        calls_in_day: dice.below(3) as i64,
        customers_calls_in_day: dice.below(3) as i64,
        extra_in_day: dice.below(2) as i64,
        strict: dice.percent(30),
        require_consent: dice.percent(20),
        cap: dice.percent(20).then_some(2),
        hours: dice.pick(&[(8, 21), (9, 20), (0, 24), (10, 18)]),
        sundays: dice.percent(70),
    };
    let asked_for = case.local(scheduled_for).format("%H:%M").to_string();
    if let Some(customer) = &mut case.customer {
        // The stored next call may be wrong, because another program computed it.
        customer.call_time = Some(if dice.percent(80) { asked_for } else { "03:30".to_string() });
    }
    case
}

fn invent_customer(dice: &mut Dice, now: Instant, place: &str) -> Customer {
    let entry = CustomerEntry {
        phone: Some(EntryPhone { e164: "+12125550101".to_string(), valid: true, error: None }),
        timezone: Some(place.to_string()),
        ..CustomerEntry::default()
    };
    let mut customer = entry.new_customer(now).expect("a customer");
    customer.payment_status =
        dice.pick(&["Paid", "Paid", "Paid", "Paid", "Partner", "Late"]).to_string();
    customer.call_status =
        if dice.percent(90) { CallStatus::Pending } else { dice.pick(CallStatus::ALL) };
    customer.phone_validated = !dice.percent(3);
    customer.welcome_call_completed = dice.percent(30);
    customer.last_call_date = (!dice.percent(30))
        .then(|| now.date_naive() - Duration::days(3) + Duration::days(dice.below(5) as i64));
    if dice.percent(70) {
        customer.consent_at = Some(now);
        customer.consent_source = Some("form".to_string());
        customer.consent_text = (!dice.percent(20)).then(|| "yes".to_string());
    }
    customer
}

impl Case {
    fn local(&self, at: Instant) -> chrono::DateTime<Tz> {
        at.with_timezone(&self.place.parse::<Tz>().expect("a zone"))
    }

    fn date(&self) -> Option<NaiveDate> {
        (self.call_type == CallType::Daily).then(|| self.local(self.scheduled_for).date_naive())
    }

    fn rules(&self) -> Rules {
        let mut config = Config::default();
        config.customers.eligible_payment_status = vec!["Paid".to_string(), "Partner".to_string()];
        config.customers.require_consent = self.require_consent;
        config.calling_window.strict = self.strict;
        config.calling_window.start = format!("{:02}:00", self.hours.0);
        config.calling_window.end = format!("{:02}:00", self.hours.1);
        if !self.sundays {
            config.calling_window.days.insert("sunday".to_string(), "closed".to_string());
        }
        config.caps.calls_per_number_per_day = self.cap;
        steps::rules(&config).expect("rules")
    }
}

fn gate_says(case: &Case, zones: &Zones) -> Verdict {
    let zone = zones.get(case.place).filter(|_| case.zone_known);
    let rules = case.rules();
    let facts = Facts {
        now: case.now,
        call_type: case.call_type,
        date: case.date(),
        scheduled_for: case.scheduled_for,
        expires_at: case.expires_at,
        customer: case.customer.as_ref(),
        zone: zone.as_deref(),
        do_not_call: case.do_not_call,
        pause: case.paused.then(|| "all paused".to_string()),
        odd_row: None,
        earlier: judge(&case.history, |how| rules.retry_rule(how, case.call_type)),
        same_phone: case.same_phone,
        elsewhere: case
            .elsewhere
            .then(|| MadeElsewhere { call_id: "a-call".to_string(), created_at: case.now }),
        to_number: Made {
            last: case.last_call,
            in_day: (case.calls_in_day, Some(case.now + Duration::hours(3))),
            ..Made::default()
        },
        to_customer: Made {
            last: case.last_elsewhere,
            in_day: (case.customers_calls_in_day, Some(case.now + Duration::hours(2))),
            ..Made::default()
        },
        last_other_daily: case.last_daily,
        extra_in_day: case.extra_in_day,
        holiday: case.holiday.then(|| "a feast".to_string()),
        phone_window: None,
    };
    gate::ask(&facts, &rules).verdict
}

/// The judgement of a careful person: a word, and the reason.
fn oracle(case: &Case) -> (&'static str, Option<Reason>) {
    let Some(customer) = &case.customer else { return ("skip", Some(Reason::CustomerGone)) };
    if !case.zone_known {
        return ("wait", Some(Reason::NotEligible));
    }
    if was_called(case, customer) || case.elsewhere {
        return ("called", None);
    }
    if case.do_not_call {
        return ("skip", Some(Reason::DoNotCall));
    }
    if case.same_phone {
        return ("skip", Some(Reason::SamePhone));
    }
    if case.expires_at.is_some_and(|last| case.now > last) && case.now >= case.scheduled_for {
        return ("skip", Some(Reason::TooLate));
    }
    let again = case.history.iter().any(|(state, _)| *state == AttemptState::Ended);
    let its_date = case.date().unwrap_or(NaiveDate::MAX);
    if again && case.now >= case.scheduled_for && its_date < case.local(case.now).date_naive() {
        return ("skip", Some(Reason::TooLate));
    }
    let hour = Duration::hours(1);
    let gaps = [
        case.last_call.map(|at| at + hour),
        case.last_elsewhere.map(|at| at + hour),
        case.last_daily.filter(|_| case.call_type == CallType::Daily).map(|at| at + hour * 12),
    ];
    let gap = gaps.into_iter().flatten().max().filter(|end| *end > case.now);
    if let (Some(gap), Some(last)) = (gap, case.expires_at)
        && gap > last
    {
        return ("skip", Some(Reason::MinGap));
    }
    match waits_for(case, customer, gap.is_some()) {
        Some(reason) => ("wait", Some(reason)),
        None => ("open", None),
    }
}

fn was_called(case: &Case, customer: &Customer) -> bool {
    let daily = case.call_type == CallType::Daily;
    let mut seen = BTreeMap::new();
    for (state, how) in &case.history {
        match (state, how) {
            (AttemptState::NotPlaced, _) => {}
            (AttemptState::Ended, Some(how)) => {
                let allowed = match how {
                    Disposition::NeverDialed => 2,
                    Disposition::NoAnswer | Disposition::Busy if daily => 1,
                    _ => 0,
                };
                let times = seen.entry(*how == Disposition::NeverDialed).or_insert(0);
                *times += 1;
                if *times > allowed {
                    return true;
                }
            }
            _ => return true,
        }
    }
    seen.is_empty()
        && match case.call_type {
            CallType::Welcome => customer.welcome_call_completed,
            CallType::Daily => {
                customer.last_call_date.is_some_and(|last| case.date() <= Some(last))
            }
            CallType::Extra => false,
        }
}

fn waits_for(case: &Case, customer: &Customer, gap: bool) -> Option<Reason> {
    let local = case.local(case.now);
    let is_open = (case.hours.0..case.hours.1).contains(&local.hour())
        && (case.sundays || local.weekday().num_days_from_sunday() != 0);
    let first = case.history.iter().all(|(state, _)| *state == AttemptState::NotPlaced);
    let as_chosen = case.call_type == CallType::Daily
        && first
        && !case.strict
        && customer.call_time == Some(case.local(case.scheduled_for).format("%H:%M").to_string())
        && case.now <= case.scheduled_for + Duration::minutes(30);
    let consented = customer.consent_text.is_some();
    let stopped = customer.call_status == CallStatus::Paused;
    let most = case.calls_in_day.max(case.customers_calls_in_day);
    let full = case.cap.is_some_and(|cap| most >= cap);
    let extra_full = case.call_type == CallType::Extra && case.extra_in_day >= 1;
    let list = [
        (case.now < case.scheduled_for, Reason::OutsideWindow),
        (customer.payment_status == "Late", Reason::NotEligible),
        (customer.call_status == CallStatus::Disabled, Reason::NotEligible),
        (!customer.phone_validated, Reason::InvalidPhone),
        (case.paused || stopped, Reason::Paused),
        (case.require_consent && !consented, Reason::NoConsent),
        (case.holiday, Reason::Holiday),
        (!is_open && !as_chosen, Reason::OutsideWindow),
        (gap, Reason::MinGap),
        (full || extra_full, Reason::Cap),
    ];
    list.into_iter().find(|(broken, _)| *broken).map(|(_, reason)| reason)
}

#[test]
fn ten_thousand_invented_cases_are_judged_as_a_second_opinion_judges_them() {
    let (mut dice, zones) = (Dice(0x9e37_79b9_7f4a_7c15), Zones::bundled_only());
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..CASES {
        let case = invent(&mut dice);
        let verdict = gate_says(&case, &zones);
        let said = match &verdict {
            Verdict::Open => ("open", None),
            Verdict::AlreadyCalled => ("called", None),
            Verdict::Skip(reason) => ("skip", Some(*reason)),
            Verdict::Wait { reason, until } => {
                assert!(
                    until.is_none_or(|until| case.now < until),
                    "{number}: {verdict:?} {case:#?}"
                );
                ("wait", Some(*reason))
            }
        };
        assert_eq!(said, oracle(&case), "case {number}: {case:#?}");
        let reason = said.1.map_or("", Reason::as_str);
        *seen.entry(format!("{} {reason}", said.0)).or_default() += 1;
    }
    assert_eq!(seen.len(), 15, "{seen:#?}");
    assert!(seen.values().all(|times| 20 <= *times), "{seen:#?}");
}
