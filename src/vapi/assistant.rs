//! An assistant's configuration, as far as people hear it. Read by `check`, never before a call.

use serde_json::Value;

use super::{Vapi, path_segment};
use crate::provider::ReadError;

/// With this mode the first message is the model's own, and the configured one is not said.
const MODEL_SPEAKS_FIRST: &str = "assistant-speaks-first-with-model-generated-message";

/// What an assistant says and what it is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssistantWords {
    /// What it says first; `None` when that is up to the model, or recorded.
    pub first_message: Option<String>,
    /// Its instructions, all system messages together.
    pub instructions: String,
}

impl Vapi {
    /// The words of one assistant. One GET.
    pub fn assistant(&self, id: &str) -> Result<AssistantWords, ReadError> {
        let (value, _) = self.read(&format!("/assistant/{}", path_segment(id)))?;
        match value.is_object() {
            true => Ok(words(&value)),
            false => Err(ReadError::Unavailable("its answer is no assistant".to_string())),
        }
    }
}

fn words(assistant: &Value) -> AssistantWords {
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_string();
    let model_begins = assistant["firstMessageMode"] == MODEL_SPEAKS_FIRST;
    // An address here is a recording: nobody can read what it says.
    let first_message = Some(text(&assistant["firstMessage"]))
        .filter(|said| !said.is_empty() && !said.starts_with("http") && !model_begins);
    let messages = assistant["model"]["messages"].as_array();
    let told = messages.into_iter().flatten().filter(|message| message["role"] == "system");
    let told: Vec<String> = told.map(|message| text(&message["content"])).collect();
    AssistantWords { first_message, instructions: told.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_said_and_what_it_is_told_is_read() {
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
}
