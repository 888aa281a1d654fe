//! Gathers what the gate asks about one item, in the transaction that will act on the answer.

use std::sync::Arc;

use crate::domain::Instant;
use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::domain::gate::Facts;
use crate::domain::retry;
use crate::domain::window::CallingWindow;
use crate::domain::zone::Zone;
use crate::domain::zone_country;
use crate::steps::Context;
use crate::store::meta::Pause;
use crate::store::queue::Item;
use crate::store::{Conn, facts};

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
        last_call_to_number: None,
        last_other_daily: None,
        calls_in_day: (0, None),
        calls_in_period: (0, None),
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
    known.same_phone = facts::same_phone(
        conn,
        customer.id,
        customer.shared_phone,
        &phone_key,
        item.call_type,
        &item.occasion,
    )?;
    known.last_call_to_number = facts::last_call_to_number(conn, &phone_key)?;
    if let (CallType::Daily, Some(date)) = (item.call_type, item.date()) {
        let shared_key = (!customer.shared_phone).then_some(phone_key.as_str());
        let since = now - rules.min_gap_daily;
        known.last_other_daily =
            facts::last_other_daily(conn, customer.id, shared_key, date, since)?;
    }
    if rules.calls_per_number_per_day.is_some() {
        let day = chrono::Duration::hours(24);
        known.calls_in_day = facts::calls_since(conn, &phone_key, now, day)?;
    }
    if rules.calls_per_number_per_period.is_some() {
        known.calls_in_period = facts::calls_since(conn, &phone_key, now, rules.period)?;
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

/// The pause that concerns an item, in words; the widest first.
fn pause(
    pauses: &[(String, Pause)],
    item: &Item,
    customer: &Customer,
    phone_key: &str,
) -> Option<String> {
    let scopes = [
        "all".to_string(),
        format!("type:{}", item.call_type),
        format!("customer:{}", customer.key),
        format!("number:{phone_key}"),
    ];
    scopes.iter().find_map(|scope| {
        let (_, pause) = pauses.iter().find(|(paused, _)| paused == scope)?;
        let what = scope.split(':').next().unwrap_or_default();
        Some(format!("{what} paused by {} since {}: {}", pause.who, pause.since, pause.why))
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
