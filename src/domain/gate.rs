//! The gate decides whether an item may be dialed now. `explain` asks it, and so does the
//! transaction that writes the intent. The verdict is `Open` only when every rule is `Open`.

pub mod facts;
pub mod limits;
pub mod made_elsewhere;
pub mod only_numbers;

use crate::domain::gate::facts::Decision;
use crate::domain::gate::facts::{Answer, Facts, Rules, Verdict, open, wait};

use chrono::{Duration, NaiveTime};

use crate::domain::Instant;
use crate::domain::calendar::schedule::Rhythm;
use crate::domain::calendar::window::CallingWindow;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, Reason};
use crate::domain::customer::columns::{nearest, shown};
use crate::domain::customer::{CallStatus, Customer};

/// Asks every rule. `AlreadyCalled` wins, then the first `Skip`, then a `Wait`. A wait has the
/// reason of the first rule that waits and the latest known end of all waits.
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
    let mut answers = vec![
        already_called(facts, customer),
        made_elsewhere::answer(facts),
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
    answers.extend(unreadable(facts));
    answers.extend(unknown_assistant(customer, rules));
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

fn yes_or(rule: &'static str, broken: bool, verdict: Verdict) -> Answer {
    if broken { Answer { rule, verdict, detail: String::new() } } else { open(rule) }
}

/// Checks the ledger, then the flags, unless an earlier attempt of this occasion set the flags.
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
    // Another attempt starts on the occasion's date or not at all, also in a new zone.
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

/// An answer only where a row cannot be read: it is rare, and no rule that a person sets.
fn unreadable(facts: &Facts<'_>) -> Option<Answer> {
    let row = facts.odd_row.as_ref()?;
    Some(wait("every row can be read", Reason::Held, None, row.clone()))
}

/// An answer only where the customer names an assistant that is not configured. Another assistant
/// would speak to them in another language, or of another product, and no call can be taken back.
fn unknown_assistant(customer: &Customer, rules: &Rules) -> Option<Answer> {
    let name = customer.assistant.as_ref().filter(|name| !rules.assistants.contains(*name))?;
    let advice = match nearest(name, rules.assistants.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "add it there, or give the customer another one".to_string(),
    };
    let detail = format!("ringonce.toml has no [assistants.{}]: {advice}", shown(name));
    Some(wait("the assistant is configured", Reason::Held, None, detail))
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
    let detail = if rules.window.is_open(zone, facts.now) {
        format!("it is {there} there, but the phone's country may be closed")
    } else {
        format!("it is {there} there")
    };
    wait(rule, Reason::OutsideWindow, until, detail)
}

/// Whether the item's instant is the time that the customer chose for its date. Another program may
/// have computed it from other hours.
fn is_chosen(facts: &Facts<'_>, zone: &Zone) -> bool {
    let Some(customer) = facts.customer else { return false };
    let (time, schedule) = (customer.call_time.as_deref(), customer.call_schedule.as_deref());
    let slot = match Rhythm::of(time, schedule) {
        Ok(Some(rhythm)) => rhythm.slot_on(zone, zone.date(facts.scheduled_for)),
        _ => None,
    };
    slot == Some(facts.scheduled_for)
}

/// The first instant from `at` on at which every place is open; `None`: none within 15 days.
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
