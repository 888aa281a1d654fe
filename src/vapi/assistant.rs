//! The parts of an assistant's configuration that people hear. `check` reads them, never a call.

use serde_json::Value;

use crate::provider::ReadError;
use crate::vapi::Vapi;
use crate::vapi::values::path_segment;

/// In this mode the model makes the first message, and the configured one is not spoken.
const MODEL_SPEAKS_FIRST: &str = "assistant-speaks-first-with-model-generated-message";

/// The first message and the instructions of an assistant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssistantWords {
    /// Its first message; `None` when the model makes it, or when it is a recording.
    pub first_message: Option<String>,
    /// Its instructions, all system messages together.
    pub instructions: String,
}

impl Vapi {
    /// Reads the words of one assistant with one GET.
    pub fn assistant(&self, id: &str) -> Result<AssistantWords, ReadError> {
        let (value, _) = self.reader().value(&format!("/assistant/{}", path_segment(id)))?;
        if value.is_object() {
            Ok(words(&value))
        } else {
            Err(ReadError::Unavailable("its answer is not an assistant".to_string()))
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
    let told = messages.into_iter().flatten().filter(|message| message["role"] == "system");
    let told: Vec<String> = told.map(|message| text(&message["content"])).collect();
    AssistantWords { first_message, instructions: told.join("\n") }
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
}
