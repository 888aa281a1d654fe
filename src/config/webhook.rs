//! `[webhook]`: how the provider proves that a webhook comes from it. The names are those of the
//! provider's own credential, so that a person can copy them from its dashboard.

use serde::{Deserialize, Serialize};

use crate::config::address::BaseUrl;
use crate::config::error::ConfigProblem;

/// The payload that the provider signs unless its credential has another format.
const USUAL_PAYLOAD: &str = "{timestamp}.{body}";
/// The parts that a payload format may name.
const PARTS: [&str; 5] = ["{timestamp}", "{body}", "{method}", "{url}", "{svix-id}"];

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// The header of the secret, with or without `Bearer`. `None` = `Authorization`, with `Bearer`.
    pub bearer_header: Option<String>,
    pub algorithm: Algorithm,
    pub signature_header: String,
    /// The text before the signature in its header.
    pub signature_prefix: String,
    pub signature_encoding: Encoding,
    pub include_timestamp: bool,
    pub timestamp_header: String,
    /// `None` = `{timestamp}.{body}`, or `{body}` without a timestamp.
    pub payload_format: Option<String>,
    /// The header of the message's id, which is `{svix-id}` in the format.
    pub message_id_header: String,
    /// The address that the provider calls, which is `{url}` in the format.
    pub url: Option<String>,
    /// The key of the signature is the secret decoded from base64.
    pub secret_is_base64: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    #[default]
    Sha256,
    Sha512,
    Sha1,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    #[default]
    Hex,
    Base64,
}

impl Default for Webhook {
    fn default() -> Self {
        Webhook {
            bearer_header: None,
            algorithm: Algorithm::Sha256,
            signature_header: "x-signature".to_string(),
            signature_prefix: String::new(),
            signature_encoding: Encoding::Hex,
            include_timestamp: true,
            timestamp_header: "x-timestamp".to_string(),
            payload_format: None,
            message_id_header: "svix-id".to_string(),
            url: None,
            secret_is_base64: false,
        }
    }
}

impl Webhook {
    /// The format of the signed text.
    pub fn payload(&self) -> &str {
        match &self.payload_format {
            Some(format) => format,
            None if self.include_timestamp => USUAL_PAYLOAD,
            None => "{body}",
        }
    }

    /// Whether the signature proves when the message was sent.
    pub fn signs_time(&self) -> bool {
        self.payload().contains("{timestamp}")
    }

    /// The values that cannot be used.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut found = Vec::new();
        let mut problem = |key: &str, what: String| {
            found.push(ConfigProblem { key: format!("webhook.{key}"), what });
        };
        for (key, name) in [
            ("bearer_header", self.bearer_header.as_deref().unwrap_or("authorization")),
            ("signature_header", &self.signature_header),
            ("timestamp_header", &self.timestamp_header),
            ("message_id_header", &self.message_id_header),
        ] {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                problem(key, format!("{name:?} is not a header name: write one like x-signature"));
            }
        }
        if !self.signature_prefix.chars().all(|c| c.is_ascii_graphic()) {
            problem("signature_prefix", "holds a blank or a character outside ASCII".to_string());
        }
        if let Some(format) = &self.payload_format {
            if !format.contains("{body}") {
                let why = "leaves {body} out, so anybody could change the body: add {body}";
                problem("payload_format", why.to_string());
            }
            if let Some(part) = unknown_part(format) {
                let known = PARTS.join(", ");
                problem("payload_format", format!("{part} is unknown: write one of {known}"));
            }
            if !self.include_timestamp && format.contains("{timestamp}") {
                let why = "is false, but payload_format names {timestamp}: change one of them";
                problem("include_timestamp", why.to_string());
            }
            if format.contains("{url}") && self.url.is_none() {
                let why = "is not set, but payload_format names {url}: write the address that the \
                           provider calls";
                problem("url", why.to_string());
            }
        }
        if let Some(url) = &self.url
            && let Err(what) = BaseUrl::parse(url)
        {
            problem("url", format!("{url:?} {what}"));
        }
        found
    }
}

/// A part in braces that is not known.
fn unknown_part(format: &str) -> Option<String> {
    let rest = PARTS.iter().fold(format.to_string(), |rest, part| rest.replace(part, ""));
    let start = rest.find(['{', '}'])?;
    let end = rest[start..].find('}').map_or(rest.len(), |end| start + end + 1);
    Some(rest[start..end].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_settings_are_sound_and_sign_the_time() {
        let usual = Webhook::default();
        assert_eq!((usual.problems(), usual.payload()), (Vec::new(), "{timestamp}.{body}"));
        let bare = Webhook { include_timestamp: false, ..Webhook::default() };
        assert_eq!((bare.problems(), bare.payload(), bare.signs_time()), (vec![], "{body}", false));
    }

    #[test]
    fn settings_that_could_not_work_are_refused_by_their_key() {
        let format =
            |text: &str| Webhook { payload_format: Some(text.to_string()), ..Webhook::default() };
        let url = |text: &str| Webhook { url: Some(text.to_string()), ..Webhook::default() };
        for (settings, key) in [
            (format("{timestamp}"), "webhook.payload_format"),
            (format("{timestamp}.{boddy}.{body}"), "webhook.payload_format"),
            (format("{body"), "webhook.payload_format"),
            (format("{url}{body}"), "webhook.url"),
            (
                Webhook { include_timestamp: false, ..format("{timestamp}{body}") },
                "webhook.include_timestamp",
            ),
            (url("ftp://example.com"), "webhook.url"),
            (
                Webhook { signature_header: "x signature".into(), ..Webhook::default() },
                "webhook.signature_header",
            ),
            (
                Webhook { bearer_header: Some(String::new()), ..Webhook::default() },
                "webhook.bearer_header",
            ),
            (
                Webhook { signature_prefix: "v1, ".into(), ..Webhook::default() },
                "webhook.signature_prefix",
            ),
        ] {
            let found = settings.problems();
            assert!(found.iter().any(|problem| problem.key == key), "{settings:?}: {found:?}");
        }
        let whole = Webhook {
            payload_format: Some("{method}\n{url}\n{svix-id}.{timestamp}.{body}".into()),
            url: Some("https://calls.example.com/webhooks/vapi".into()),
            ..Webhook::default()
        };
        assert_eq!(whole.problems(), []);
    }
}
