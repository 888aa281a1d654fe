//! Chooses the number that calls and the assistant that speaks.

use anyhow::Context as _;
use chrono::{Duration, NaiveTime};

use crate::config::assistants::NamedAssistant;
use crate::config::settings::NumberChoice;
use crate::domain::Instant;
use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::domain::customer::columns::shown;
use crate::provider::Speaker;
use crate::steps::Context;
use crate::store::attempts::{Attempt, caller_ids};
use crate::store::{Conn, Tx};

/// The number that calls a customer: the one of their assistant, else one of ours. `None`: every
/// number has used its daily calls or rests.
pub fn choose(
    cx: &Context,
    conn: &Conn,
    customer: &Customer,
    now: Instant,
) -> anyhow::Result<Option<String>> {
    let vapi = &cx.config.vapi;
    let own = named(cx, customer).and_then(|assistant| assistant.phone_number_id.as_ref());
    let numbers = own.map_or_else(|| general(cx), |own| vec![own]);
    anyhow::ensure!(!numbers.is_empty(), "vapi.phone_number_id is not set in ringonce.toml");
    if let ([only], false) = (numbers.as_slice(), is_choice(cx)) {
        return Ok(Some(only.to_string()));
    }
    let day_start = now.date_naive().and_time(NaiveTime::MIN).and_utc();
    let first = match vapi.phone_number_choice {
        NumberChoice::Sticky => usize::try_from(customer.id).unwrap_or(0) % numbers.len(),
        NumberChoice::InTurn => caller_ids::intents_of_day(conn, day_start)? % numbers.len(),
    };
    for step in 0..numbers.len() {
        let number = numbers[(first + step) % numbers.len()];
        let used = caller_ids::calls_of_number(conn, number, day_start)?;
        let full = vapi.daily_calls_per_number.is_some_and(|cap| i64::from(cap) <= used);
        if !full && !caller_ids::is_resting(conn, number, now)? {
            return Ok(Some(number.clone()));
        }
    }
    Ok(None)
}

/// Whether a number may be unable to call while dialing goes on: there are several, or a cap.
pub fn is_choice(cx: &Context) -> bool {
    cx.config.vapi.daily_calls_per_number.is_some() || ours(cx).len() > 1
}

/// Whether another of our numbers may still call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Some,
    None,
}

/// Rests the number of an attempt that was refused for its daily limit, until the UTC day ends.
pub fn rest(cx: &Context, tx: &Tx<'_>, attempt: &Attempt, now: Instant) -> anyhow::Result<Left> {
    let tomorrow = (now + Duration::days(1)).date_naive().and_time(NaiveTime::MIN).and_utc();
    if let Some(number) = &attempt.phone_number_id {
        log::warn!("one of our numbers has used its daily limit and rests until {tomorrow}");
        caller_ids::rest(tx, number, tomorrow)?;
    }
    for number in ours(cx) {
        if !caller_ids::is_resting(tx, number, now)? {
            return Ok(Left::Some);
        }
    }
    Ok(Left::None)
}

/// The numbers of `[vapi]` without duplicates, in the configured order.
fn general(cx: &Context) -> Vec<&String> {
    let vapi = &cx.config.vapi;
    let mut numbers: Vec<&String> = vapi.phone_number_ids.iter().collect();
    if let Some(one) = &vapi.phone_number_id
        && !numbers.contains(&one)
    {
        numbers.insert(0, one);
    }
    numbers
}

/// All our numbers, also those of single assistants.
fn ours(cx: &Context) -> Vec<&String> {
    let mut numbers = general(cx);
    for number in cx.config.assistants.values().filter_map(|one| one.phone_number_id.as_ref()) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

/// The assistant that a customer names. `None` also if it is not configured: then the gate lets the
/// call wait.
fn named<'a>(cx: &'a Context, customer: &Customer) -> Option<&'a NamedAssistant> {
    cx.config.assistants.get(customer.assistant.as_ref()?)
}

/// Who speaks: the customer's own assistant, else the one of the call type, else the general one.
pub fn speaker(cx: &Context, customer: &Customer, call_type: CallType) -> anyhow::Result<Speaker> {
    if let Some(name) = &customer.assistant {
        let own = named(cx, customer)
            .with_context(|| format!("ringonce.toml has no [assistants.{}]", shown(name)))?;
        return match (&own.assistant_id, &own.squad_id) {
            (Some(id), _) => {
                Ok(Speaker::Assistant { id: id.clone(), version: own.assistant_version.clone() })
            }
            (None, Some(id)) => Ok(Speaker::Squad { id: id.clone() }),
            (None, None) => anyhow::bail!("[assistants.{}] has no id", shown(name)),
        };
    }
    let vapi = &cx.config.vapi;
    let own = match call_type {
        CallType::Welcome => &vapi.welcome_assistant_id,
        CallType::Daily => &vapi.daily_assistant_id,
        CallType::Extra => &None,
    };
    let id = own.as_ref().or(vapi.assistant_id.as_ref()).or(vapi.daily_assistant_id.as_ref());
    let id = id.cloned().context("vapi.assistant_id is not set in ringonce.toml")?;
    Ok(Speaker::Assistant { id, version: None })
}

/// The provider's ids of every assistant and squad that may speak for us.
pub fn assistants(cx: &Context) -> Vec<&str> {
    let vapi = &cx.config.vapi;
    let named = cx.config.assistants.values();
    [&vapi.assistant_id, &vapi.welcome_assistant_id, &vapi.daily_assistant_id]
        .into_iter()
        .chain(named.flat_map(|one| [&one.assistant_id, &one.squad_id]))
        .flatten()
        .map(String::as_str)
        .collect()
}
