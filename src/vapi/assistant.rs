//! The parts of an assistant's configuration that people hear. `check` reads them, never a call.

pub mod template;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::provider::ReadError;
use crate::vapi::Vapi;
use crate::vapi::values::path_segment;

/// In this mode the model makes the first message, and the configured one is not spoken.
const MODEL_SPEAKS_FIRST: &str = "assistant-speaks-first-with-model-generated-message";
/// The type of a tool that leaves a message on a mailbox.
const VOICEMAIL: &str = "voicemail";
/// The most members of a squad, and the most tools of an assistant, that are read.
const MOST: usize = 20;

/// What matters to people about an assistant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssistantWords {
    /// Its first message; `None` when the model makes it, or when it is a recording.
    pub first_message: Option<String>,
    /// Its instructions, all system messages together.
    pub instructions: String,
    /// The variables that its texts read and that the provider does not fill.
    pub variables: BTreeSet<String>,
    /// `None`: one of its tools could not be read.
    pub notices_voicemail: Option<bool>,
}

/// A member of a squad.
pub struct Member {
    /// Its id, or its place in the squad.
    pub name: String,
    pub words: Result<AssistantWords, ReadError>,
}

impl Vapi {
    /// Reads one assistant, and its tools if it has any.
    pub fn assistant(&self, id: &str) -> Result<AssistantWords, ReadError> {
        let (value, _) = self.reader().value(&format!("/assistant/{}", path_segment(id)))?;
        if value.is_object() {
            Ok(self.words(&value))
        } else {
            Err(ReadError::Unavailable("its answer is not an assistant".to_string()))
        }
    }

    /// Reads a squad, and each of its members.
    pub fn squad(&self, id: &str) -> Result<Vec<Member>, ReadError> {
        let (value, _) = self.reader().value(&format!("/squad/{}", path_segment(id)))?;
        let Some(members) = value["members"].as_array() else {
            return Err(ReadError::Unavailable("its answer is not a squad".to_string()));
        };
        let shared = &value["membersOverrides"];
        let members = members.iter().take(MOST).enumerate();
        Ok(members.map(|(at, member)| self.member(at, member, shared)).collect())
    }

    fn member(&self, at: usize, member: &Value, shared: &Value) -> Member {
        let id = member["assistantId"].as_str();
        let name = id.map_or_else(|| format!("number {}", at + 1), str::to_string);
        let words = match id {
            Some(id) => self.assistant(id),
            None => Ok(self.words(&member["assistant"])),
        };
        let words = words.map(|words| {
            let overrides = [&member["assistantOverrides"], shared];
            overrides.into_iter().fold(words, |words, over| self.with_overrides(words, over))
        });
        Member { name, words }
    }

    /// The words with the overrides of a squad over them.
    fn with_overrides(&self, mut words: AssistantWords, over: &Value) -> AssistantWords {
        let Value::Object(given) = over else { return words };
        let said = self.words(over);
        if given.contains_key("firstMessage") || given.contains_key("firstMessageMode") {
            words.first_message = said.first_message;
        }
        if !said.instructions.is_empty() {
            words.instructions = said.instructions;
        }
        if said.notices_voicemail != Some(false) && words.notices_voicemail != Some(true) {
            words.notices_voicemail = said.notices_voicemail;
        }
        words.variables.extend(said.variables);
        let filled = over["variableValues"].as_object();
        words.variables.retain(|name| filled.is_none_or(|filled| !filled.contains_key(name)));
        words
    }

    fn words(&self, assistant: &Value) -> AssistantWords {
        let is_voicemail_tool = |id: &str| -> Result<bool, ReadError> {
            let (tool, _) = self.reader().value(&format!("/tool/{}", path_segment(id)))?;
            Ok(tool["type"] == VOICEMAIL)
        };
        AssistantWords {
            notices_voicemail: notices_voicemail(assistant, &is_voicemail_tool),
            ..words(assistant)
        }
    }
}

fn words(assistant: &Value) -> AssistantWords {
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_string();
    let model_begins = assistant["firstMessageMode"] == MODEL_SPEAKS_FIRST;
    // An address here is a recording, whose words cannot be read.
    let first_message = Some(text(&assistant["firstMessage"]))
        .filter(|said| !said.is_empty() && !said.starts_with("http") && !model_begins);
    let messages = assistant["model"]["messages"].as_array();
    let messages: Vec<&Value> = messages.into_iter().flatten().collect();
    let told = messages.iter().filter(|message| message["role"] == "system");
    let told: Vec<String> = told.map(|message| text(&message["content"])).collect();
    let mut variables = BTreeSet::new();
    let spoken = ["firstMessage", "voicemailMessage", "endCallMessage"].map(|key| &assistant[key]);
    let templates = messages.iter().map(|message| &message["content"]).chain(spoken);
    for template in templates.filter_map(Value::as_str) {
        variables.extend(template::variables(template));
    }
    AssistantWords {
        first_message,
        instructions: told.join("\n"),
        variables,
        notices_voicemail: None,
    }
}

/// Whether a mailbox is told from a person: by the detection, or by a tool. `None`: a tool could not
/// be read.
fn notices_voicemail(
    assistant: &Value,
    is_voicemail_tool: &dyn Fn(&str) -> Result<bool, ReadError>,
) -> Option<bool> {
    let detects = match &assistant["voicemailDetection"] {
        Value::Null => false,
        Value::String(word) => word != "off",
        _ => true,
    };
    let tools = assistant["model"]["tools"].as_array();
    let is_there = tools.into_iter().flatten().any(|tool| tool["type"] == VOICEMAIL);
    if detects || is_there {
        return Some(true);
    }
    let ids = assistant["model"]["toolIds"].as_array();
    let ids = ids.into_iter().flatten().filter_map(Value::as_str).take(MOST);
    let mut found = Some(false);
    for id in ids {
        match is_voicemail_tool(id) {
            Ok(true) => return Some(true),
            Ok(false) => {}
            Err(_) => found = None,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_first_message_and_the_instructions_are_read() {
        let system = json!({"role": "system", "content": "You are Ada."});
        let user = json!({"role": "user", "content": "Hi, AI."});
        let model = json!({"provider": "openai", "model": "gpt-4o", "messages": [system, user]});
        for (assistant, first, told) in [
            (json!({"firstMessage": "Hello", "model": model}), Some("Hello"), "You are Ada."),
            (json!({"firstMessage": "https://example.com/a.mp3"}), None, ""),
            (json!({"firstMessage": "Hello", "firstMessageMode": MODEL_SPEAKS_FIRST}), None, ""),
            (json!({"firstMessage": 7, "model": {"messages": "none"}}), None, ""),
        ] {
            let found = words(&assistant);
            assert_eq!(found.first_message.as_deref(), first, "{assistant}");
            assert_eq!(found.instructions, told, "{assistant}");
        }
    }

    #[test]
    fn the_variables_of_every_spoken_text_are_found() {
        let assistant = json!({
            "firstMessage": "Hello {{name}}",
            "voicemailMessage": "Call {{desk}} back",
            "endCallMessage": "Bye {{ name }}",
            "model": {"messages": [{"role": "user", "content": "{% if plan %}x{% endif %}"}]},
        });
        let found: Vec<String> = words(&assistant).variables.into_iter().collect();
        assert_eq!(found, ["desk", "name", "plan"]);
    }

    #[test]
    fn a_mailbox_is_noticed_by_the_detection_or_by_a_tool() {
        let known = |id: &str| match id {
            "v" => Ok(true),
            "t" => Ok(false),
            _ => Err(ReadError::NotFound),
        };
        for (assistant, expected) in [
            (json!({}), Some(false)),
            (json!({"voicemailDetection": "off"}), Some(false)),
            (json!({"voicemailDetection": null}), Some(false)),
            (json!({"voicemailDetection": {"provider": "vapi"}}), Some(true)),
            (json!({"model": {"tools": [{"type": "dtmf"}, {"type": "voicemail"}]}}), Some(true)),
            (json!({"model": {"tools": [{"type": "dtmf"}]}}), Some(false)),
            (json!({"model": {"toolIds": ["t", "v"]}}), Some(true)),
            (json!({"model": {"toolIds": ["t"]}}), Some(false)),
            (json!({"model": {"toolIds": ["t", "lost"]}}), None),
            (json!({"model": {"toolIds": ["lost", "v"]}}), Some(true)),
        ] {
            assert_eq!(notices_voicemail(&assistant, &known), expected, "{assistant}");
        }
    }
}
