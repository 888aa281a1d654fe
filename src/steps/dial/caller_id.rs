//! Chooses the number that calls and the assistant that speaks.

use anyhow::Context as _;
use chrono::{Duration, NaiveTime};

use crate::config::settings::NumberChoice;
use crate::domain::Instant;
use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::steps::Context;
use crate::store::attempts::{Attempt, caller_ids};
use crate::store::{Conn, Tx};

/// The number that calls a customer. `None`: every number has used its daily calls or rests.
pub fn choose(
    cx: &Context,
    conn: &Conn,
    customer: &Customer,
    now: Instant,
) -> anyhow::Result<Option<String>> {
    let vapi = &cx.config.vapi;
    let numbers = ours(cx);
    anyhow::ensure!(!numbers.is_empty(), "vapi.phone_number_id is not set in ringonce.toml");
    if let ([only], None) = (numbers.as_slice(), vapi.daily_calls_per_number) {
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

/// Our numbers without duplicates, in the configured order.
fn ours(cx: &Context) -> Vec<&String> {
    let vapi = &cx.config.vapi;
    let mut numbers: Vec<&String> = vapi.phone_number_ids.iter().collect();
    if let Some(one) = &vapi.phone_number_id
        && !numbers.contains(&one)
    {
        numbers.insert(0, one);
    }
    numbers
}

/// The assistant of a call type, or the general one if the type has none.
pub fn assistant(cx: &Context, call_type: CallType) -> anyhow::Result<String> {
    let vapi = &cx.config.vapi;
    let own = match call_type {
        CallType::Welcome => &vapi.welcome_assistant_id,
        CallType::Daily => &vapi.daily_assistant_id,
        CallType::Extra => &None,
    };
    let assistant =
        own.as_ref().or(vapi.assistant_id.as_ref()).or(vapi.daily_assistant_id.as_ref());
    assistant.cloned().context("vapi.assistant_id is not set in ringonce.toml")
}

/// The provider's ids of every assistant that may speak for us.
pub fn assistants(cx: &Context) -> Vec<&str> {
    let vapi = &cx.config.vapi;
    [&vapi.assistant_id, &vapi.welcome_assistant_id, &vapi.daily_assistant_id]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
}
