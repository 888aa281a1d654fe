//! Reads Vapi's webhooks with pure functions: the event, and the tools that wait for an answer.
//!
//! A webhook is a hint. It may be lost, doubled, late or out of order, so it must never cause a
//! call; the follow step asks the provider itself.

pub mod signature;

use serde_json::Value;

use crate::provider::ProviderCall;
use crate::vapi::{findings, values, wire};

pub use crate::vapi::findings::ToolCall;

/// The content of one webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Uses of tools that the assistant waits for; `None` for every message except `tool-calls`.
    pub tool_calls: Option<Vec<ToolCall>>,
    /// The error names in one line the missing part; such a message is not about a call.
    pub event: Result<WebhookEvent, String>,
}

/// One event about one call.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookEvent {
    pub call_id: String,
    /// The provider's word: `status-update`, `end-of-call-report`, `tool-calls`, …
    pub kind: String,
    /// The status of a status update; empty for every other kind.
    pub status: String,
    /// The call after the event: values of the message win over values of the call inside it.
    pub call: ProviderCall,
    pub org_id: Option<String>,
}

/// Reads a message.
pub fn read_message(body: &[u8]) -> Message {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => {
            let why = format!("the body is not JSON: {error}");
            return Message { tool_calls: None, event: Err(why) };
        }
    };
    let message = &value["message"];
    let waits = message["type"].as_str() == Some("tool-calls");
    Message { tool_calls: waits.then(|| findings::tool_calls(message)), event: read_event(message) }
}

fn read_event(message: &Value) -> Result<WebhookEvent, String> {
    let kind = values::word(&message["type"]).ok_or("the message has no type")?;
    let mut call = wire::read_call(&message["call"]).ok_or("the message names no call")?;
    wire::read_end(message, &mut call);
    let mut status = String::new();
    match kind.as_str() {
        "status-update" => {
            if let Some(word) = values::word(&message["status"]) {
                call.status = Some(word.clone());
                status = word;
            }
        }
        "end-of-call-report" => call.status = Some("ended".to_string()),
        _ => {}
    }
    let org_id = call.org_id.clone().or_else(|| values::word(&message["orgId"]));
    Ok(WebhookEvent { call_id: call.id.clone(), kind, status, call, org_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_type_or_call_is_refused_in_one_line() {
        let cases: [&[u8]; 6] = [
            b"",
            b"[]",
            b"{\"message\":{}}",
            b"{\"message\":{\"type\":\"hang\"}}",
            b"{\"message\":{\"type\":\"hang\",\"call\":{\"id\":\"\"}}}",
            b"\xff\xfe",
        ];
        for body in cases {
            let error = read_message(body).event.unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_tool_call_is_named_and_waits_for_an_answer() {
        let body = br#"{"message":{"type":"tool-calls","call":{"id":"c1"},
            "toolCallList":[{"id":"t1","function":{"name":"stop_calling","arguments":{}}}]}}"#;
        let message = read_message(body);
        assert_eq!(message.tool_calls.map(|calls| calls.len()), Some(1));
        let event = message.event.unwrap();
        assert_eq!(event.call.tool_names, Some(vec!["stop_calling".to_string()]));
        assert_eq!((event.kind.as_str(), event.status.as_str()), ("tool-calls", ""));
    }

    #[test]
    fn a_tool_call_waits_for_an_answer_also_when_the_message_names_no_call() {
        let body = br#"{"message":{"type":"tool-calls","toolCallList":[{"id":"t1"}, 7]}}"#;
        let message = read_message(body);
        assert_eq!(message.tool_calls, Some(vec![ToolCall { id: "t1".into(), name: None }]));
        assert!(message.event.is_err());
        assert_eq!(read_message(br#"{"message":{"type":"hang"}}"#).tool_calls, None);
    }

    #[test]
    fn the_report_and_its_call_are_merged() {
        let body = br#"{"message":{"type":"end-of-call-report",
            "artifact":{"structuredOutputs":{"a":{"name":"x","result":1}},
                "messages":[{"role":"tool_calls","toolCalls":[{"function":{"name":"late"}}]}]},
            "call":{"id":"c1","artifact":{"structuredOutputs":{"b":{"name":"y","result":2}},
                "messages":[{"role":"tool_calls","toolCalls":[{"function":{"name":"early"}}]}]}}}}"#;
        let call = read_message(body).event.unwrap().call;
        let outputs = call.structured_outputs.unwrap();
        assert_eq!((&outputs["a"]["result"], &outputs["b"]["result"]), (&1.into(), &2.into()));
        assert_eq!(call.tool_names.unwrap(), ["early", "late"]);
        assert!(call.status.as_deref() == Some("ended"));
    }
}
