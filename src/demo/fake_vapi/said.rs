//! What was said in the fake's calls: transcript, analysis and structured outputs. The call's id
//! decides, so that the same call always has the same result.

use serde_json::{Value, json};

use crate::demo::fake_vapi::calls::Record;
use crate::demo::fake_vapi::fault_draw::hash;

/// Summary, mood, and whether the person asked for help.
const TALKS: [(&str, &str, bool); 5] = [
    ("Slept well and wants to walk to the lake at noon.", "good", false),
    ("Has a cold, drinks tea and feels tired. Will rest today.", "tired", false),
    ("Is busy in the garden and only had a minute. All is fine.", "good", false),
    ("Asked how to move the appointment of next week.", "worried", true),
    ("Enjoyed the visit of a neighbour and talked about the cake.", "good", false),
];

const TRANSCRIPT: &str = "AI: Hi, this is your call.\nUser: Hi.\n";

/// The ids of the usual outputs, as the provider's dashboard would show them.
const MOOD: &str = "5d1f2c3b-7a80-4c1e-9b7d-20f3a4b5c6d7";
const HELP: &str = "8e0a9b4d-52c6-4f7a-8d13-6b1c2d3e4f50";
const BY_NAME: &str = "2b7c6c0e-11d4-4f6e-8a57-0c1d9e5f4a33";
const BY_VALUE: &str = "c4a1d0f2-3e5b-4687-9a0c-1b2d3e4f5a6b";

/// Adds transcript and analysis to an ended call that somebody or a machine answered.
pub(super) fn add(call: &mut Value, record: &Record) {
    let transcript = match record.said.transcript_bytes {
        Some(bytes) => TRANSCRIPT.repeat(bytes / TRANSCRIPT.len() + 1)[..bytes].to_string(),
        None => TRANSCRIPT.to_string(),
    };
    call["artifact"] = json!({ "transcript": transcript });
    if !record.said.lags {
        add_analysis(call, record);
    }
}

fn add_analysis(call: &mut Value, record: &Record) {
    let said = &record.said;
    let started = record.started_at.map_or(0, |at| at.timestamp_millis());
    let mut messages = vec![json!({"role": "user", "message": "Hi.", "time": started,
        "endTime": started + 500, "secondsFromStart": 0.5, "duration": 500})];
    if let Some(tool) = &said.tool {
        messages.push(json!({"role": "tool_calls", "message": "", "time": started + 900,
            "secondsFromStart": 0.9, "toolCalls": [tool_call(tool)]}));
    }
    call["artifact"]["messages"] = json!(messages);
    let (summary, mood, help) = talk_of(record);
    call["analysis"] = json!({"summary": summary, "successEvaluation": "true"});
    if let Some(field) = &said.field {
        call["analysis"]["structuredData"] = json!({ field.as_str(): true });
    }
    if said.outputs_lag {
        return;
    }
    let mut outputs = json!({
        MOOD: {"name": "Mood", "result": mood},
        HELP: {"name": "Needs help", "result": help},
    });
    if let Some(name) = &said.output {
        outputs[BY_NAME] = json!({"name": name, "result": true});
    }
    if let Some((name, value)) = said.value.as_deref().and_then(|text| text.split_once('=')) {
        let value: Value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        outputs[BY_VALUE] = json!({"name": name, "result": value});
    }
    call["artifact"]["structuredOutputs"] = outputs;
}

fn talk_of(record: &Record) -> (&'static str, &'static str, bool) {
    let id = record.id.as_deref().unwrap_or_default();
    TALKS[(hash(7, id) % TALKS.len() as u64) as usize]
}

pub(super) fn tool_call(tool: &str) -> Value {
    let function = json!({"name": tool, "arguments": "{}"});
    json!({"id": "call_1", "type": "function", "function": function})
}
