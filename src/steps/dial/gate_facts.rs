//! Gathers the gate's facts about one item, in the transaction that acts on the answer.

use std::sync::Arc;

use chrono::{Duration, NaiveTime};

use crate::domain::calendar::window::CallingWindow;
use crate::domain::calendar::zone::Zone;
use crate::domain::calendar::zone_country;
use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::domain::gate::facts::{Facts, Made, Rules};
use crate::domain::{Instant, instant_words, retry};
use crate::steps::Context;
use crate::steps::readiness::quarantine;
use crate::steps::reconcile::made_elsewhere;
use crate::store::attempts::history::{self, Whose};
use crate::store::meta::pauses::Pause;
use crate::store::queue::Item;
use crate::store::{Conn, made_elsewhere as calls_elsewhere};

/// The item that the gate is asked about, and what the caller has already read for it.
pub struct ItemInQuestion<'a> {
    pub item: &'a Item,
    pub customer: Option<&'a Customer>,
    pub zone: Option<&'a Zone>,
    pub pauses: &'a [(String, Pause)],
}

/// The present facts about an item.
pub fn facts<'a>(
    cx: &Context,
    conn: &Conn,
    asked: &ItemInQuestion<'a>,
    now: Instant,
) -> anyhow::Result<Facts<'a>> {
    let ItemInQuestion { item, customer, zone, pauses } = *asked;
    let rules = &cx.rules;
    let last = zone.and_then(|zone| rules.last_permitted(item.call_type, item.scheduled_for, zone));
    let mut known = Facts {
        now,
        call_type: item.call_type,
        date: item.date(),
        scheduled_for: item.scheduled_for,
        expires_at: item.expires_at.or(last),
        customer,
        zone,
        do_not_call: false,
        pause: None,
        odd_row: None,
        earlier: Vec::new(),
        same_phone: false,
        elsewhere: None,
        to_number: Made::default(),
        to_customer: Made::default(),
        last_other_daily: None,
        extra_in_day: 0,
        holiday: None,
        phone_window: None,
    };
    let Some(customer) = customer else { return Ok(known) };
    let phone_key = cx.installation.phone_key(&customer.phone);
    let history = history::history(conn, customer.id, item.call_type, &item.occasion)?;
    known.earlier = retry::judge(&history, |ended| rules.retry_rule(ended, item.call_type));
    known.do_not_call = history::do_not_call(conn, &customer.phone)?;
    known.pause = pause(pauses, item, customer, &phone_key);
    known.odd_row = quarantine::concerning(conn, customer)?;
    known.same_phone =
        history::same_phone(conn, customer, &phone_key, item.call_type, &item.occasion)?;
    if let Some(zone) = zone {
        let whose = (customer, zone);
        known.elsewhere = made_elsewhere::blocking(cx, conn, item, whose, known.expires_at)?;
    }
    let days = LocalDates { zone, now };
    known.to_number = made(rules, conn, &Whose::Number(&phone_key), days)?;
    let since = now - rules.min_gap_any;
    let elsewhere = calls_elsewhere::last_at_phone(conn, &customer.phone, &phone_key, since)?;
    known.to_number.last = known.to_number.last.max(elsewhere);
    known.to_customer = made(rules, conn, &Whose::Customer(customer.id), days)?;
    if let (CallType::Daily, Some(date)) = (item.call_type, item.date()) {
        let shared_key = (!customer.shared_phone).then_some(phone_key.as_str());
        let since = now - rules.min_gap_daily;
        known.last_other_daily =
            history::last_other_daily(conn, customer.id, shared_key, date, since)?;
    }
    if item.call_type == CallType::Extra {
        known.extra_in_day = history::extra_calls_since(conn, customer.id, days.begin(1))?;
    }
    if let Some(zone) = zone {
        let country = zone_country::country_of(&zone.name);
        // A holiday's call is not made after midnight either, so both dates are checked.
        let today = zone.date(now);
        known.holiday = history::holiday(conn, country, item.date().unwrap_or(today))?;
        if known.holiday.is_none() && item.date().is_some_and(|date| date != today) {
            known.holiday = history::holiday(conn, country, today)?;
        }
        known.phone_window = phone_window(cx, customer, country);
    }
    Ok(known)
}

/// The customer's local dates up to today. Caps count them: of a rolling day, one late call would
/// make the calls of all later dates late.
#[derive(Clone, Copy)]
struct LocalDates<'a> {
    /// `None`: the zone is not known, so the gate permits nothing.
    zone: Option<&'a Zone>,
    now: Instant,
}

impl LocalDates<'_> {
    /// The first instant of the last `days` dates; 1: of today.
    fn begin(&self, days: i64) -> Instant {
        self.midnight(self.now, 1 - days).unwrap_or(self.now - Duration::days(days))
    }

    /// When the date of `at` is no longer one of the last `days` dates.
    fn end_for(&self, at: Instant, days: i64) -> Option<Instant> {
        self.midnight(at, days)
    }

    /// The begin of the date that is `later` days after the date of `at`.
    fn midnight(&self, at: Instant, later: i64) -> Option<Instant> {
        let zone = self.zone?;
        let date = zone.date(at).checked_add_signed(Duration::days(later))?;
        Some(zone.resolve(date.and_time(NaiveTime::MIN)))
    }
}

/// The calls so far. A period is counted only if a cap needs it.
fn made(
    rules: &Rules,
    conn: &Conn,
    whose: &Whose<'_>,
    dates: LocalDates<'_>,
) -> anyhow::Result<Made> {
    let count = |cap: Option<i64>, days: i64| -> anyhow::Result<(i64, Option<Instant>)> {
        if cap.is_none() {
            return Ok((0, None));
        }
        let (count, oldest) = history::calls_since(conn, whose, dates.begin(days))?;
        Ok((count, oldest.and_then(|oldest| dates.end_for(oldest, days))))
    };
    Ok(Made {
        last: history::last_call(conn, whose)?,
        in_day: count(rules.calls_per_day, 1)?,
        in_period: count(rules.calls_per_period, rules.period.num_days())?,
    })
}

/// The pause that affects an item, in words; the widest first.
fn pause(
    pauses: &[(String, Pause)],
    item: &Item,
    customer: &Customer,
    phone_key: &str,
) -> Option<String> {
    let scopes = [
        ("all".to_string(), "all calls are".to_string()),
        (format!("type:{}", item.call_type), format!("{} calls are", item.call_type)),
        (format!("customer:{}", customer.key), "this customer is".to_string()),
        (format!("number:{phone_key}"), "this number is".to_string()),
    ];
    scopes.iter().find_map(|(scope, what)| {
        let (_, pause) = pauses.iter().find(|(paused, _)| paused == scope)?;
        let since = instant_words(&pause.since);
        Some(format!("{what} paused by {} since {since}: {}", pause.who, pause.why))
    })
}

/// With `strict`, the calling window of the phone's country also applies if the zone's country
/// differs. It is that country's preset, or our window if none is known, in each of its zones.
fn phone_window(
    cx: &Context,
    customer: &Customer,
    zone_country: Option<&str>,
) -> Option<(CallingWindow, Vec<Arc<Zone>>)> {
    if !cx.rules.strict {
        return None;
    }
    let phone_country = crate::phones::country_of(&customer.phone)?;
    if Some(phone_country.as_str()) == zone_country {
        return None;
    }
    let window =
        CallingWindow::for_country(&phone_country).unwrap_or_else(|| cx.rules.window.clone());
    let zones = zone_country::zones_of(&phone_country).filter_map(|name| cx.zones.get(name));
    Some((window, zones.collect()))
}
