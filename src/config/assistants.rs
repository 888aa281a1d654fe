//! `[assistants.NAME]`: who speaks to the customers that name it, instead of the assistant of the call
//! type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::error::ConfigProblem;

/// The most characters of a name. A column of a file holds it.
const LONGEST_NAME: usize = 100;

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct NamedAssistant {
    pub assistant_id: Option<String>,
    /// Instead of `assistant_id`.
    pub squad_id: Option<String>,
    /// Pins the assistant; unset: its latest version.
    pub assistant_version: Option<String>,
    /// The number that calls; unset: one of `[vapi]`.
    pub phone_number_id: Option<String>,
}

/// The values that cannot be used.
pub(super) fn problems(assistants: &BTreeMap<String, NamedAssistant>) -> Vec<ConfigProblem> {
    assistants.iter().flat_map(|(name, assistant)| assistant.problems(name)).collect()
}

impl NamedAssistant {
    fn problems(&self, name: &str) -> Vec<ConfigProblem> {
        let table = format!("assistants.{name}");
        let mut found: Vec<ConfigProblem> = Vec::new();
        let mut problem = |key: &str, what: String| {
            let key = if key.is_empty() { table.clone() } else { format!("{table}.{key}") };
            found.push(ConfigProblem { key, what });
        };
        let is_plain = name.trim() == name && !name.contains(char::is_control);
        if name.is_empty() || !is_plain || LONGEST_NAME < name.chars().count() {
            let what = "is not a name: write 1 to 100 characters without spaces at the ends";
            problem("", what.to_string());
        }
        match (&self.assistant_id, &self.squad_id) {
            (None, None) => {
                let what = "has no assistant_id and no squad_id: copy one from the provider's \
                            dashboard";
                problem("", what.to_string());
            }
            (Some(_), Some(_)) => {
                let what = "cannot be combined with assistant_id: remove one of them";
                problem("squad_id", what.to_string());
            }
            (None, Some(_)) if self.assistant_version.is_some() => {
                let what = "pins an assistant_id, and a squad has none: remove it";
                problem("assistant_version", what.to_string());
            }
            _ => {}
        }
        for (key, id) in [
            ("assistant_id", &self.assistant_id),
            ("squad_id", &self.squad_id),
            ("assistant_version", &self.assistant_version),
            ("phone_number_id", &self.phone_number_id),
        ] {
            if let Some(id) = id.as_ref().filter(|id| !is_id(id)) {
                let what = format!("{id:?} is not an id: copy it from the provider's dashboard");
                problem(key, what);
            }
        }
        found
    }
}

/// Whether a text can be an id of the provider.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assistant_is_one_assistant_or_one_squad() {
        let some = |text: &str| Some(text.to_string());
        let assistant = || NamedAssistant { assistant_id: some("a-1"), ..Default::default() };
        let told = |name: &str, assistant: NamedAssistant| {
            let found = assistant.problems(name);
            found.iter().map(ConfigProblem::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told("spanish", assistant()), "");
        let pinned = NamedAssistant { assistant_version: some("3"), ..assistant() };
        assert_eq!(told("spanish", pinned), "");
        let squad = NamedAssistant { squad_id: some("s-1"), ..Default::default() };
        assert_eq!(told("spanish", squad.clone()), "");
        for (name, assistant, part) in [
            ("x", NamedAssistant::default(), "assistants.x: has no assistant_id and no squad_id"),
            ("x", NamedAssistant { squad_id: some("s"), ..assistant() }, "assistants.x.squad_id: "),
            (
                "x",
                NamedAssistant { assistant_version: some("3"), ..squad },
                "assistants.x.assistant_version: pins",
            ),
            ("x", NamedAssistant { phone_number_id: some("a b"), ..assistant() }, "is not an id"),
            (" x", assistant(), "is not a name"),
            ("", assistant(), "is not a name"),
        ] {
            let told = told(name, assistant);
            assert!(told.contains(part), "{told}");
        }
    }
}
