//! Which of our numbers calls, and which assistant speaks.

use anyhow::Context as _;
use chrono::NaiveTime;

use crate::config::NumberChoice;
use crate::domain::Instant;
use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::steps::Context;
use crate::store::{Conn, pool};

/// The number that calls a customer; `None` when every number has used its daily calls or rests.
pub fn choose(
    cx: &Context,
    conn: &Conn,
    customer: &Customer,
    now: Instant,
) -> anyhow::Result<Option<String>> {
    let vapi = &cx.config.vapi;
    let numbers: Vec<&String> =
        vapi.phone_number_id.iter().chain(vapi.phone_number_ids.iter()).collect();
    anyhow::ensure!(!numbers.is_empty(), "vapi.phone_number_id is not set in ringonce.toml");
    if let ([only], None) = (numbers.as_slice(), vapi.daily_calls_per_number) {
        return Ok(Some(only.to_string()));
    }
    let day_start = now.date_naive().and_time(NaiveTime::MIN).and_utc();
    let first = match vapi.phone_number_choice {
        NumberChoice::Sticky => usize::try_from(customer.id).unwrap_or(0) % numbers.len(),
        NumberChoice::InTurn => pool::intents_of_day(conn, day_start)? % numbers.len(),
    };
    for step in 0..numbers.len() {
        let number = numbers[(first + step) % numbers.len()];
        let used = pool::calls_of_number(conn, number, day_start)?;
        let full = vapi.daily_calls_per_number.is_some_and(|cap| i64::from(cap) <= used);
        if !full && !pool::is_resting(conn, number, now)? {
            return Ok(Some(number.clone()));
        }
    }
    Ok(None)
}

/// The assistant of a call type; the general one where it has none of its own.
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
