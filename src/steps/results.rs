//! Keeps what was said and found in a call, whenever it arrives: with the end of the call, minutes
//! later by a poll, or in a report. A result changes no state and causes no call.

pub mod report;

use chrono::Duration;
use serde_json::{Map, Value};

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::store::attempts::results::{self, CallResult, ResultSource};
use crate::store::attempts::{self, Attempt};
use crate::store::{Conn, Tx};

/// The name under which the older structured data is kept.
pub const STRUCTURED_DATA: &str = "structuredData";

/// What one reading added to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The first part of the result.
    First,
    /// Another part, or another value.
    Changed,
    Nothing,
}

/// Keeps the wanted parts of a call's record or report. Every result is written here.
///
/// A part that the record lacks stays as it was. Of two different values the later one stays, and
/// structured values are merged by name. Nothing is kept of an erased person, of another call than
/// the attempt's own, and of a call that is older than `results.keep_days`.
pub fn keep(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    source: ResultSource,
    now: Instant,
) -> anyhow::Result<Kept> {
    let is_its_call = attempt.vapi_call_id.as_ref().is_none_or(|id| *id == call.id);
    if attempt.phone.is_none() || !is_its_call || attempt.created_at < expires(cx, now) {
        return Ok(Kept::Nothing);
    }
    let known = results::of_attempt(tx, &attempt.id)?;
    let is_first = known.is_none();
    let before = known.unwrap_or_else(|| CallResult {
        attempt_id: attempt.id.clone(),
        summary: None,
        transcript: None,
        structured: Map::new(),
        success_evaluation: None,
        source,
        received_at: now,
        updated_at: now,
    });
    let mut after = before.clone();
    merge(cx, &mut after, call);
    if after == before {
        return Ok(Kept::Nothing);
    }
    results::put(tx, &CallResult { source, updated_at: now, ..after })?;
    Ok(if is_first { Kept::First } else { Kept::Changed })
}

fn merge(cx: &Context, result: &mut CallResult, call: &ProviderCall) {
    fn replace(old: &mut Option<String>, new: &Option<String>) {
        if new.is_some() {
            old.clone_from(new);
        }
    }
    let wanted = &cx.config.results;
    if wanted.summary {
        replace(&mut result.summary, &call.summary);
        replace(&mut result.success_evaluation, &call.success_evaluation);
    }
    if keeps_transcripts(cx) {
        replace(&mut result.transcript, &call.transcript);
    }
    if wanted.structured {
        result.structured.extend(structured(call));
    }
}

/// Whether transcripts are wanted, by the new name of the key or the older one.
pub fn keeps_transcripts(cx: &Context) -> bool {
    cx.config.results.transcript || cx.config.follow.store_transcripts
}

/// The words that a stored webhook event must not hold, because the result has them.
pub fn without_words(call: &ProviderCall) -> ProviderCall {
    ProviderCall { transcript: None, summary: None, success_evaluation: None, ..call.clone() }
}

/// The structured values of a call by name. An output without a name has its id, and one whose name
/// is taken has both. A value that is null is not there yet.
fn structured(call: &ProviderCall) -> Map<String, Value> {
    let mut found = Map::new();
    if let Some(data) = &call.structured_data {
        found.insert(STRUCTURED_DATA.to_string(), data.clone());
    }
    let outputs: Vec<(String, &Value)> = match &call.structured_outputs {
        Some(Value::Object(outputs)) => {
            outputs.iter().map(|(id, output)| (id.clone(), output)).collect()
        }
        Some(Value::Array(outputs)) => {
            outputs.iter().enumerate().map(|(at, output)| (at.to_string(), output)).collect()
        }
        _ => Vec::new(),
    };
    for (id, output) in outputs {
        let result = if output.get("result").is_some() { &output["result"] } else { output };
        let is_empty = result.is_null() || (output.is_object() && output.get("result").is_none());
        if is_empty {
            continue;
        }
        let name = output["name"].as_str().map(str::trim).filter(|name| !name.is_empty());
        let name = match name {
            Some(name) if found.contains_key(name) => format!("{name} ({id})"),
            Some(name) => name.to_string(),
            None => id,
        };
        found.insert(name, result.clone());
    }
    found
}

/// Whether every wanted part of the attempt's result is there.
pub fn is_complete(cx: &Context, conn: &Conn, attempt_id: &str) -> anyhow::Result<bool> {
    let wanted = &cx.config.results;
    let found = results::of_attempt(conn, attempt_id)?;
    let has = |part: fn(&CallResult) -> bool| found.as_ref().is_some_and(part);
    Ok((!wanted.summary || has(|result| result.summary.is_some()))
        && (!wanted.structured || has(|result| !result.structured.is_empty()))
        && (!keeps_transcripts(cx) || has(|result| result.transcript.is_some())))
}

/// Completes the ledger with facts that the provider's record of an ended call tells late.
pub fn learn_facts(
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    if call.is_ended() && attempt.vapi_call_id.as_ref() == Some(&call.id) {
        results::learn_facts(tx, &attempt.id, call, now)?;
    }
    Ok(())
}

/// The attempt of a reported call: by the call's id, else by its tag. A guess by the number would
/// show one person's words under another's name.
pub fn attempt_of(conn: &Conn, call: &ProviderCall) -> anyhow::Result<Option<Attempt>> {
    if let Some(known) = attempts::by_call_id(conn, &call.id)? {
        return Ok(Some(known));
    }
    for tag in call.tags() {
        let Some((_, id)) = tag.split_once('-') else { continue };
        if let Some(named) = attempts::by_id(conn, id)?.filter(|attempt| attempt.tag() == tag) {
            return Ok(Some(named));
        }
    }
    Ok(None)
}

/// Deletes results that are older than `results.keep_days`.
pub fn forget_old(cx: &Context, now: Instant) -> anyhow::Result<()> {
    let before = expires(cx, now);
    while cx.store.read(|conn| results::is_any_before(conn, before))? {
        let rows = cx.store.write(|tx| results::forget(tx, before))?;
        log::info!("{rows} results of calls were deleted after results.keep_days");
    }
    Ok(())
}

/// Results from before this instant are no longer kept.
fn expires(cx: &Context, now: Instant) -> Instant {
    now - Duration::days(cx.config.results.keep_days)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn structured_values_are_named_once_each_whatever_their_shape() {
        let call = |outputs: Value| ProviderCall {
            structured_outputs: Some(outputs),
            ..ProviderCall::default()
        };
        for (outputs, expected) in [
            (json!({"o1": {"name": "Mood", "result": 7}}), json!({"Mood": 7})),
            (json!({"o1": {"name": " Mood ", "result": {"a": []}}}), json!({"Mood": {"a": []}})),
            (json!({"o1": {"result": false}}), json!({"o1": false})),
            (json!({"o1": {"name": "", "result": "x"}}), json!({"o1": "x"})),
            (
                json!({"o1": {"name": "Mood", "result": 1}, "o2": {"name": "Mood", "result": 2}}),
                json!({"Mood": 1, "Mood (o2)": 2}),
            ),
            (json!([{"name": "Mood", "result": 1}]), json!({"Mood": 1})),
            (json!({"o1": {"name": "Mood", "result": null}, "o2": {"name": "x"}}), json!({})),
            (json!({"o1": 7, "o2": null}), json!({"o1": 7})),
            (json!({}), json!({})),
        ] {
            assert_eq!(Value::Object(structured(&call(outputs.clone()))), expected, "{outputs}");
        }
    }

    #[test]
    fn older_structured_data_stands_beside_the_outputs() {
        let call = ProviderCall {
            structured_data: Some(json!({"mood": "good"})),
            structured_outputs: Some(json!({"o": {"name": STRUCTURED_DATA, "result": 1}})),
            ..ProviderCall::default()
        };
        let expected = json!({"structuredData": {"mood": "good"}, "structuredData (o)": 1});
        assert_eq!(Value::Object(structured(&call)), expected);
    }
}
