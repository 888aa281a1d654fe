//! Reads the assistant's structured outputs and tool calls, in every shape that the provider uses.
//! An odd entry never hides the others.

use serde_json::Value;

use crate::vapi::values::{text, word};

/// Lists of messages, in a call or in the message of a webhook, that may hold tool calls.
const MESSAGES: [&str; 3] = ["messages", "messagesOpenAIFormatted", "conversation"];
/// Lists of tool calls, in the message of a webhook or in one spoken message.
const TOOL_CALLS: [&str; 4] = ["toolCallList", "toolCalls", "tool_calls", "toolWithToolCallList"];

/// One use of a tool that waits for its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The answer must repeat it.
    pub id: String,
    pub name: Option<String>,
}

/// `artifact.structuredOutputs` of a call or of a webhook's message, verbatim.
pub(super) fn structured_outputs(value: &Value) -> Option<Value> {
    [&value["artifact"]["structuredOutputs"], &value["structuredOutputs"]]
        .into_iter()
        .find(|told| match told {
            Value::Object(entries) => !entries.is_empty(),
            Value::Array(entries) => !entries.is_empty(),
            _ => false,
        })
        .cloned()
}

/// `analysis.structuredData`, verbatim.
pub(super) fn structured_data(value: &Value) -> Option<Value> {
    Some(value["analysis"]["structuredData"].clone()).filter(|data| !data.is_null())
}

/// `analysis.successEvaluation`, which a rubric makes a text, a number, or true or false.
pub(super) fn success_evaluation(value: &Value) -> Option<String> {
    match &value["analysis"]["successEvaluation"] {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        Value::String(said) => text(&Value::String(said.clone())),
        other => Some(other.to_string()),
    }
}

/// The names of the assistant's tools that were called, each once, in the order seen. `None` =
/// neither messages nor tool calls came.
///
/// `value` is a call or the message of a webhook.
pub(super) fn tool_names(value: &Value) -> Option<Vec<String>> {
    let spoken: Vec<&Value> = [value, &value["artifact"]]
        .into_iter()
        .flat_map(|place| MESSAGES.map(|list| &place[list]))
        .filter_map(Value::as_array)
        .flatten()
        .collect();
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: Option<String>| names.extend(name.filter(|name| !names.contains(name)));
    for part in std::iter::once(value).chain(spoken.iter().copied()) {
        for call in tool_calls_in(part) {
            add(name_of(call));
        }
        add(word(&part["functionCall"]["name"]));
        if part["role"].as_str() == Some("tool_call_result") {
            add(word(&part["name"]));
        }
    }
    (!spoken.is_empty() || !names.is_empty()).then_some(names)
}

/// The tool calls of a `tool-calls` message, each once.
pub(super) fn tool_calls(message: &Value) -> Vec<ToolCall> {
    let mut found: Vec<ToolCall> = Vec::new();
    for call in tool_calls_in(message) {
        let id = word(&call["id"]).or_else(|| word(&call["toolCall"]["id"]));
        if let Some(id) = id.filter(|id| found.iter().all(|known| known.id != *id)) {
            found.push(ToolCall { id, name: name_of(call) });
        }
    }
    found
}

fn tool_calls_in(part: &Value) -> impl Iterator<Item = &Value> {
    TOOL_CALLS.iter().filter_map(|list| part[*list].as_array()).flatten()
}

fn name_of(call: &Value) -> Option<String> {
    let inner = &call["toolCall"];
    [&call["function"]["name"], &call["name"], &inner["function"]["name"], &inner["name"]]
        .into_iter()
        .find_map(word)
}

/// Merges the value of a webhook's message over the value of the call inside it. Entries that only
/// one of them has stay.
pub(super) fn lay_over(old: &mut Option<Value>, new: Option<Value>) {
    match (old.as_mut(), new) {
        (_, None) => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => old.extend(new),
        (_, new) => *old = new,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tool_names_are_found_wherever_the_provider_puts_them() {
        let stop = json!({"id": "t", "function": {"name": "stop"}});
        for value in [
            json!({"artifact": {"messages": [
                {"role": "user", "message": "please stop calling"},
                {"role": "tool_calls", "toolCalls": [stop, stop]},
                {"role": "tool_calls", "toolCalls": [stop]},
            ]}}),
            json!({"messages": [17, null, {"role": "tool_call_result", "name": "stop"}]}),
            json!({"artifact": {"messagesOpenAIFormatted": [{"tool_calls": [stop]}]}}),
            json!({"conversation": [{"role": "assistant", "tool_calls": [stop]}]}),
            json!({"toolCallList": ["odd", {"name": "stop"}]}),
            json!({"toolWithToolCallList": [{"toolCall": stop}]}),
            json!({"toolWithToolCallList": [{"name": "stop", "toolCall": {"id": "t"}}]}),
            json!({"functionCall": {"name": "stop"}}),
        ] {
            assert_eq!(tool_names(&value), Some(vec!["stop".to_string()]), "{value}");
        }
        assert_eq!(tool_names(&json!({"messages": [{"role": "user"}]})), Some(Vec::new()));
        for value in [json!({"messages": 3}), json!({"artifact": []}), json!(null), json!("x")] {
            assert_eq!(tool_names(&value), None, "{value}");
        }
    }

    #[test]
    fn each_tool_call_is_answered_once_whichever_lists_hold_it() {
        let told = json!({
            "toolCallList": [{"id": "a", "name": "one"}, {"name": "without an id"}, 5],
            "toolCalls": [{"id": "a", "function": {"name": "one"}}],
            "toolWithToolCallList": [{"name": "two", "toolCall": {"id": "b"}}],
        });
        let call = |id: &str, name: &str| ToolCall { id: id.into(), name: Some(name.into()) };
        assert_eq!(tool_calls(&told), [call("a", "one"), call("b", "two")]);
        assert_eq!(tool_calls(&json!({"toolCallList": {}})), []);
    }

    #[test]
    fn structured_outputs_are_kept_verbatim_and_nothing_else_counts_as_one() {
        let outputs = json!({"o1": {"name": "Opt out", "result": true}, "o2": 7});
        let told = json!({"artifact": {"structuredOutputs": outputs}});
        assert_eq!(structured_outputs(&told), Some(outputs));
        for odd in [json!(null), json!({}), json!([]), json!("yes"), json!(3)] {
            assert_eq!(structured_outputs(&json!({"artifact": {"structuredOutputs": odd}})), None);
        }
        for odd in [json!(null), json!([]), json!("x")] {
            assert_eq!(structured_outputs(&json!({ "artifact": odd })), None);
        }
    }

    #[test]
    fn what_the_message_tells_wins_and_hides_nothing_of_the_call() {
        let mut told = Some(json!({"a": 1, "b": 1}));
        lay_over(&mut told, Some(json!({"b": 2})));
        lay_over(&mut told, None);
        assert_eq!(told, Some(json!({"a": 1, "b": 2})));
        lay_over(&mut told, Some(json!(true)));
        assert_eq!(told, Some(json!(true)));
    }
}
