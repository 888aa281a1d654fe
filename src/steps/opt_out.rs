//! A person who says "do not call me again" to the assistant is never called again.

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::store::Tx;
use crate::store::attempts::Attempt;
use crate::store::do_not_call::{self, Entry};
use crate::store::journal;
use crate::store::queue::Moved;

/// Whether a call ended with an opt-out.
pub fn is_asked(cx: &Context, call: &ProviderCall) -> bool {
    why(cx, call).is_some()
}

/// Adds the number of a call that ended with an opt-out.
pub fn honour(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    match why(cx, call) {
        Some(why) => add(cx, tx, attempt, call, &why, now),
        None => Ok(()),
    }
}

/// The opt-out that a call ended with: told by its ended reason, or by the field of the structured
/// results that the configuration names.
fn why(cx: &Context, call: &ProviderCall) -> Option<String> {
    let config = &cx.config.do_not_call;
    let by_reason = call
        .ended_reason
        .as_ref()
        .filter(|reason| config.ended_reasons.contains(reason))
        .map(|reason| format!("the call ended with {reason}"));
    by_reason.or_else(|| {
        let field = config.structured_data_field.as_ref()?;
        let told = call.structured_data.as_ref()?.get(field.as_str())?;
        is_yes(told).then(|| format!("the assistant reported {field}"))
    })
}

/// Adds the number of an attempt to the do-not-call list. After an erasure only the call itself
/// tells the number, and the key that stayed proves it.
pub fn add(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let is_theirs = |number: &&String| cx.installation.phone_key(number) == attempt.phone_key;
    let told = || call.customer_number.as_ref().filter(is_theirs);
    let Some(phone) = attempt.phone.as_ref().or_else(told) else { return Ok(()) };
    let entry = Entry {
        phone: phone.clone(),
        reason: why.to_string(),
        source: "assistant".to_string(),
        created_at: now,
    };
    if do_not_call::add(tx, cx.store.path(), &entry)? == Moved::Yes {
        let subject = format!("attempt:{}", attempt.id);
        let entry = journal::Entry {
            who: "follow",
            what: "do not call",
            subject: &subject,
            new: Some("added"),
            why: Some(why),
            ..Default::default()
        };
        journal::add(tx, now, entry)?;
    }
    Ok(())
}

fn is_yes(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Bool(yes) => *yes,
        serde_json::Value::String(text) => {
            ["true", "yes"].contains(&text.to_ascii_lowercase().as_str())
        }
        _ => false,
    }
}
