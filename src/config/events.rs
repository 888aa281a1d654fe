//! `[events]`: where the application gets its events, and which of them.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::config::address;
use crate::config::error::ConfigProblem;
use crate::config::results::Results;
use crate::config::secret::Secret;
use crate::domain::customer::columns::nearest;
use crate::domain::event::{EventType, RESULT_PARTS, Wanted};

/// The beginning of a secret, as the Standard Webhooks specification writes it.
const SECRET_PREFIX: &str = "whsec_";
/// In bytes, by the specification. A shorter key could be guessed from a signature.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// `None`: no events.
    pub url: Option<String>,
    /// `None`: every type.
    pub types: Option<Vec<String>>,
    /// The parts of a call's result that `call.ended` and `call.result` carry.
    pub include: Vec<String>,
}

impl Default for Events {
    fn default() -> Self {
        Events { url: None, types: None, include: RESULT_PARTS.map(str::to_string).to_vec() }
    }
}

impl Events {
    /// The events that are written to the outbox; `None` if no events are sent. A part of a result
    /// that is not kept is not sent and not waited for.
    pub fn wanted(&self, kept: &Results) -> Option<Wanted> {
        self.url.as_ref()?;
        let all = || EventType::ALL.iter().map(|kind| kind.as_str().to_string()).collect();
        let types = self.types.clone().unwrap_or_else(all);
        let mut include = self.include.clone();
        include.retain(|part| if part == "summary" { kept.summary } else { kept.structured });
        let wait_minutes = if include.is_empty() { 0 } else { kept.wait_minutes };
        Some(Wanted { types, include, wait_minutes })
    }

    /// The values that cannot be used.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut found = Vec::new();
        let mut problem = |key: &str, what: String| {
            found.push(ConfigProblem { key: format!("events.{key}"), what });
        };
        if let Some(Err(what)) = self.url.as_deref().map(address::outgoing) {
            problem("url", what);
        }
        let types: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
        for (key, words, known) in [
            ("types", self.types.as_deref().unwrap_or_default(), types.as_slice()),
            ("include", self.include.as_slice(), RESULT_PARTS.as_slice()),
        ] {
            for word in words.iter().filter(|word| !known.contains(&word.as_str())) {
                let hint = match nearest(word, known.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("write one of {}", known.join(", ")),
                };
                problem(key, format!("{word:?} is unknown: {hint}"));
            }
        }
        if self.types.as_ref().is_some_and(Vec::is_empty) {
            problem("types", "is empty: leave it out for every type, or leave url out".to_string());
        }
        found
    }
}

/// The key of the signatures. The text of the secret is `whsec_` and base64, or base64 alone. The
/// error does not repeat it.
pub fn signing_key(secret: &Secret) -> Result<Vec<u8>, String> {
    let text = secret.expose();
    let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
    match BASE64.decode(encoded.as_bytes()) {
        Ok(key) if KEY_BYTES.contains(&key.len()) => Ok(key),
        _ => {
            Err("RINGONCE_EVENTS_SECRET is not whsec_ and the base64 of 24 to 64 bytes: make one \
                  with `echo whsec_$(openssl rand -base64 32)`"
                .to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_could_not_work_are_refused_by_their_key_with_the_nearest_word() {
        let url = |text: &str| Events { url: Some(text.to_string()), ..Events::default() };
        let types = |types: &[&str]| Events {
            types: Some(types.iter().map(|kind| kind.to_string()).collect()),
            ..url("https://app.example.com/hook")
        };
        let include = Events { include: vec!["sumary".to_string()], ..Events::default() };
        for (settings, key, says) in [
            (url("http://app.example.com/hook"), "events.url", "https"),
            (url("app.example.com"), "events.url", "https"),
            (url("https://ada@app.example.com/"), "events.url", "user name"),
            (types(&["call.end"]), "events.types", "did you mean call.ended?"),
            (types(&["everything"]), "events.types", "write one of call.placed"),
            (types(&[]), "events.types", "is empty"),
            (include, "events.include", "did you mean summary?"),
        ] {
            let found = settings.problems();
            let told = found.iter().any(|p| p.key == key && p.what.contains(says));
            assert!(told, "{settings:?}: {found:?}");
        }
        for good in ["https://app.example.com/hook?from=ringonce", "http://127.0.0.1:3000/hook"] {
            assert_eq!(url(good).problems(), []);
        }
        let all = Results::default();
        assert_eq!(Events::default().wanted(&all), None);
        let wanted = url("https://app.example.com").wanted(&all).unwrap();
        assert_eq!((wanted.types.len(), wanted.wait_minutes), (8, 15));
        let none = Results { summary: false, structured: false, ..all };
        let wanted = url("https://app.example.com").wanted(&none).unwrap();
        assert_eq!((wanted.include.len(), wanted.wait_minutes), (0, 0));
    }

    #[test]
    fn a_secret_that_is_not_a_long_key_in_base64_is_refused_without_repeating_it() {
        let key = |text: &str| signing_key(&Secret::new(text));
        assert_eq!(key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").map(|key| key.len()), Ok(24));
        assert_eq!(key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").map(|key| key.len()), Ok(24));
        for bad in ["whsec_", "whsec_c2hvcnQ=", "canary-of-a-secret", "whsec_%%%"] {
            let why = key(bad).expect_err(bad);
            assert!(why.contains("openssl") && !why.contains("canary"), "{why}");
        }
    }
}
