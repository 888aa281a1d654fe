//! Gathers what the gate asks about one item, in the transaction that will act on the answer.

use std::sync::Arc;

use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::domain::gate::{Facts, Rules};
use crate::domain::limits::Made;
use crate::domain::retry;
use crate::domain::window::CallingWindow;
use crate::domain::zone::Zone;
use crate::domain::zone_country;
use crate::domain::{Instant, instant_words};
use crate::steps::{Context, elsewhere};
use crate::store::Conn;
use crate::store::elsewhere as calls_elsewhere;
use crate::store::facts::{self, Whose};
use crate::store::meta::Pause;
use crate::store::queue::Item;

/// The facts about an item as they are now.
pub fn facts<'a>(
    cx: &Context,
    conn: &Conn,
    item: &Item,
    customer: Option<&'a Customer>,
    zone: Option<&'a Zone>,
    pauses: &[(String, Pause)],
    now: Instant,
) -> anyhow::Result<Facts<'a>> {
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
    let history = facts::history(conn, customer.id, item.call_type, &item.occasion)?;
    known.earlier = retry::judge(&history, |ended| rules.retry_rule(ended, item.call_type));
    known.do_not_call = facts::do_not_call(conn, &customer.phone)?;
    known.pause = pause(pauses, item, customer, &phone_key);
    known.same_phone =
        facts::same_phone(conn, customer, &phone_key, item.call_type, &item.occasion)?;
    if let Some(zone) = zone {
        let whose = (customer, zone);
        known.elsewhere = elsewhere::blocking(cx, conn, item, whose, known.expires_at)?;
    }
    known.to_number = made(rules, conn, &Whose::Number(&phone_key), now)?;
    let since = now - rules.min_gap_any;
    let elsewhere = calls_elsewhere::last_at_phone(conn, &customer.phone, &phone_key, since)?;
    known.to_number.last = known.to_number.last.max(elsewhere);
    known.to_customer = made(rules, conn, &Whose::Customer(customer.id), now)?;
    if let (CallType::Daily, Some(date)) = (item.call_type, item.date()) {
        let shared_key = (!customer.shared_phone).then_some(phone_key.as_str());
        let since = now - rules.min_gap_daily;
        known.last_other_daily =
            facts::last_other_daily(conn, customer.id, shared_key, date, since)?;
    }
    if item.call_type == CallType::Extra {
        let since = now - chrono::Duration::hours(24);
        known.extra_in_day = facts::extra_calls_since(conn, customer.id, since)?;
    }
    if let Some(zone) = zone {
        let country = zone_country::country_of(&zone.name);
        // The call of a holiday is not made at the midnight after it either.
        let today = zone.date(now);
        known.holiday = facts::holiday(conn, country, item.date().unwrap_or(today))?;
        if known.holiday.is_none() && item.date().is_some_and(|date| date != today) {
            known.holiday = facts::holiday(conn, country, today)?;
        }
        known.phone_window = phone_window(cx, customer, country);
    }
    Ok(known)
}

/// The calls so far; those are counted that a cap asks for.
fn made(rules: &Rules, conn: &Conn, whose: &Whose<'_>, now: Instant) -> anyhow::Result<Made> {
    let day = chrono::Duration::hours(24);
    let count = |cap: Option<i64>, span| match cap {
        Some(_) => facts::calls_since(conn, whose, now, span),
        None => Ok((0, None)),
    };
    Ok(Made {
        last: facts::last_call(conn, whose)?,
        in_day: count(rules.calls_per_day, day)?,
        in_period: count(rules.calls_per_period, rules.period)?,
    })
}

/// The pause that concerns an item, in words; the widest first.
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

/// With `strict`, the window of the phone's country binds too where it is not the zone's: its
/// preset, or ours where none is known, in each of its zones.
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
