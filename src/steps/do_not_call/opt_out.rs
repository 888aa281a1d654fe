//! Handles opt-outs: a person who says "do not call me again" to the assistant is never called
//! again.

use serde_json::Value;

use crate::config::settings::DoNotCall;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::steps::reconcile::call_tags;
use crate::store::attempts::{self, Attempt, history};
use crate::store::do_not_call::{self, DoNotCallEntry};
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx, journal};

/// The journal's name for it.
const WHAT: &str = "do not call";

/// Whether this call record contains an opt-out.
pub fn opts_out(cx: &Context, call: &ProviderCall) -> bool {
    opt_out_reason(&cx.config.do_not_call, call).is_some()
}

/// Whether a later reading of an ended call can still contain an opt-out. The provider analyses a
/// call after its end.
pub fn is_open(cx: &Context, call: &ProviderCall) -> bool {
    let config = &cx.config.do_not_call;
    let unanswered =
        config.structured_data_field.as_ref().is_some_and(|field| answers(call, field).is_empty());
    unanswered || (config.tool_name.is_some() && call.tool_names.is_none())
}

/// Lists the number of a call that contains an opt-out.
pub fn add_to_list(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    match opt_out_reason(&cx.config.do_not_call, call) {
        Some(why) => add(cx, tx, attempt, call, &why, now),
        None => Ok(()),
    }
}

/// The attempt of a call: by the call's id or tag, else by the number, among the attempts without a
/// known call.
pub fn attempt_of(
    cx: &Context,
    conn: &Conn,
    call: &ProviderCall,
) -> anyhow::Result<Option<Attempt>> {
    if let Some(known) = attempts::by_call_id(conn, &call.id)? {
        return Ok(Some(known));
    }
    for id in call_tags::attempts_named(call) {
        if let Some(named) = attempts::by_id(conn, id)? {
            return Ok(Some(named));
        }
    }
    let Some(number) = &call.customer_number else { return Ok(None) };
    let phone_key = cx.installation.phone_key(number);
    let nameless = without_call(conn)?;
    Ok(nameless.into_iter().find(|attempt| attempt.phone_key == phone_key))
}

/// Attempts that may have rung and whose provider call is unknown.
pub fn without_call(conn: &Conn) -> anyhow::Result<Vec<Attempt>> {
    let mut found = Vec::new();
    for state in [AttemptState::Dialing, AttemptState::InDoubt, AttemptState::Placed] {
        found.extend(attempts::in_state(conn, state)?);
    }
    found.retain(|attempt| attempt.vapi_call_id.is_none());
    Ok(found)
}

/// The reason for an opt-out: the ended reason, the field of the analysis, or the tool.
fn opt_out_reason(config: &DoNotCall, call: &ProviderCall) -> Option<String> {
    let reason = call.ended_reason.as_ref().filter(|reason| config.ended_reasons.contains(reason));
    if let Some(reason) = reason {
        return Some(format!("the call ended with {reason}"));
    }
    let field = config.structured_data_field.as_ref();
    if let Some(field) = field.filter(|field| answers(call, field).iter().any(is_yes)) {
        return Some(format!("the assistant reported {field}"));
    }
    let tool = config.tool_name.as_ref()?;
    let called = call.tool_names.as_ref().is_some_and(|names| names.contains(tool));
    called.then(|| format!("the assistant called {tool}"))
}

/// Every value of the field. It is in the structured data, in the result of a structured output, or
/// the result of the structured output with that name.
fn answers(call: &ProviderCall, field: &str) -> Vec<Value> {
    let mut found: Vec<Value> =
        call.structured_data.iter().filter_map(|d| named(d, field)).collect();
    let outputs: Vec<&Value> = match &call.structured_outputs {
        Some(Value::Object(entries)) => entries.values().collect(),
        Some(Value::Array(entries)) => entries.iter().collect(),
        _ => Vec::new(),
    };
    for output in outputs {
        let result = &output["result"];
        found.extend(named(result, field));
        let is_named = output["name"].as_str().is_some_and(|name| is_same_name(name, field));
        if is_named && !result.is_null() {
            found.push(result.clone());
        }
    }
    found
}

/// The field of an object; the object may also be JSON text written by the assistant.
fn named(value: &Value, field: &str) -> Option<Value> {
    let read = match value {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    let entries = read.as_object()?;
    let found = entries.iter().find(|(name, value)| is_same_name(name, field) && !value.is_null());
    found.map(|(_, value)| value.clone())
}

/// Names match by letters and digits: a dashboard shows `Opt out` for a field `opt_out`.
fn is_same_name(name: &str, field: &str) -> bool {
    let plain = |text: &str| {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    name == field || (!plain(field).is_empty() && plain(name) == plain(field))
}

/// True, 1, or a text whose first word means yes. Assistants often answer in words.
fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() == Some(1.0),
        Value::String(text) => {
            let first = text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
            let first = first.unwrap_or_default().to_ascii_lowercase();
            ["true", "yes", "y", "1"].contains(&first.as_str())
        }
        _ => false,
    }
}

/// Adds an attempt's number to the do-not-call list, once per attempt, so that a person can remove
/// it again. The number in the call record is added too, because that phone rang. After an erasure,
/// that number is added only if it matches the attempt's stored phone key.
fn add(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let subject = format!("attempt:{}", attempt.id);
    if journal::has(tx, &subject, WHAT)? {
        return Ok(());
    }
    let told = call.customer_number.as_ref().filter(|number| {
        is_e164(number)
            && (attempt.phone.is_some() || cx.installation.phone_key(number) == attempt.phone_key)
    });
    let mut added = false;
    for phone in attempt.phone.iter().chain(told) {
        if history::do_not_call(tx, phone)? {
            continue;
        }
        let entry = DoNotCallEntry {
            phone: phone.clone(),
            reason: why.to_string(),
            source: "assistant".to_string(),
            created_at: now,
        };
        added |= do_not_call::add(tx, cx.store.path(), &entry)? == Moved::Yes;
    }
    if added {
        let entry = journal::Entry {
            who: "follow",
            what: WHAT,
            subject: &subject,
            new: Some("added"),
            why: Some(why),
            ..Default::default()
        };
        journal::add(tx, now, entry)?;
    }
    Ok(())
}

/// The only spelling that the do-not-call list accepts.
fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> DoNotCall {
        DoNotCall {
            ended_reasons: Vec::new(),
            structured_data_field: Some("opt_out".to_string()),
            tool_name: Some("stop".to_string()),
        }
    }

    fn opts_out(call: ProviderCall) -> bool {
        opt_out_reason(&config(), &call).is_some()
    }

    #[test]
    fn explicit_yes_is_heard_in_every_form_and_a_no_in_none() {
        for (answer, expected) in [
            (json!(true), true),
            (json!(1), true),
            (json!(1.0), true),
            (json!("true"), true),
            (json!(" YES. "), true),
            (json!("Yes, please take me off the list"), true),
            (json!("y"), true),
            (json!("1"), true),
            (json!(false), false),
            (json!(0), false),
            (json!(2), false),
            (json!("no"), false),
            (json!("No, yes to another call"), false),
            (json!("yesterday"), false),
            (json!(""), false),
            (json!(null), false),
            (json!([true]), false),
            (json!({"opt": true}), false),
        ] {
            let data = ProviderCall {
                structured_data: Some(json!({ "opt_out": answer })),
                ..ProviderCall::default()
            };
            assert_eq!(opts_out(data), expected, "{answer}");
            let named = json!({"o1": {"name": "Opt out", "result": answer}});
            let named = ProviderCall { structured_outputs: Some(named), ..ProviderCall::default() };
            assert_eq!(opts_out(named), expected, "by name: {answer}");
            let inside = json!({"o1": {"name": "Wishes", "result": {"optOut": answer}}});
            let inside =
                ProviderCall { structured_outputs: Some(inside), ..ProviderCall::default() };
            assert_eq!(opts_out(inside), expected, "inside: {answer}");
        }
    }

    #[test]
    fn one_odd_output_hides_no_other() {
        for odd in [json!(null), json!(7), json!([]), json!({}), json!({"name": 3, "result": "{"})]
        {
            let outputs = json!({"a": odd, "b": {"name": "opt_out", "result": true}, "c": odd});
            let call =
                ProviderCall { structured_outputs: Some(outputs), ..ProviderCall::default() };
            assert!(opts_out(call), "{odd}");
        }
        for (outputs, expected) in [
            (json!([{"name": "opt_out", "result": true}]), true),
            (json!({"a": {"name": "x", "result": "{\"opt_out\": true}"}}), true),
            (json!({"a": {"name": "other", "result": true}}), false),
            (json!({"opt_out": true}), false),
            (json!("opt_out"), false),
        ] {
            let call = ProviderCall {
                structured_outputs: Some(outputs.clone()),
                ..ProviderCall::default()
            };
            assert_eq!(opts_out(call), expected, "{outputs}");
        }
    }

    #[test]
    fn tool_is_matched_whole() {
        for (names, expected) in
            [(vec!["stop"], true), (vec!["a", "stop"], true), (vec!["stops"], false)]
        {
            let names = names.into_iter().map(str::to_string).collect();
            let call = ProviderCall { tool_names: Some(names), ..ProviderCall::default() };
            assert_eq!(opts_out(call), expected);
        }
    }
}
