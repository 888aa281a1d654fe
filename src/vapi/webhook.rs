//! Reads what Vapi pushes. Pure functions: who may speak, and what was said.
//!
//! A webhook is a hint. It may be lost, doubled, late or out of order, so nothing read here may
//! cause a call; the follow step asks the provider itself.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::wire;
use crate::domain::Instant;
use crate::provider::ProviderCall;

/// A signed message is taken for so long before and after its time stamp.
const REPLAY_WINDOW_MS: i64 = 5 * 60 * 1000;
/// Time stamps above this are milliseconds; as seconds it would be the year 5138.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// One event about one call.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookEvent {
    pub call_id: String,
    /// The provider's word: `status-update`, `end-of-call-report`, `tool-calls`, …
    pub kind: String,
    /// Of a status update its status; empty for every other kind. With `call_id` and `kind` it
    /// names the event, however often it is sent.
    pub status: String,
    /// The call as the event leaves it: what the message says wins over the call inside it.
    pub call: ProviderCall,
    /// The assistant's tools that were called, as far as this event tells.
    pub tool_names: Vec<String>,
    pub org_id: Option<String>,
}

/// Whether the sender knows the secret: as `X-Vapi-Secret`, as bearer token, or as the key of an
/// HMAC over time stamp and body that is at most five minutes old. Takes the same time for a wrong
/// secret as for a right one. An empty secret lets nobody in.
///
/// `header` looks a header up by its lower-case name.
pub fn authorised(
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
    secret: &str,
    now: Instant,
) -> bool {
    if secret.is_empty() {
        return false;
    }
    let plain = header("x-vapi-secret").is_some_and(|given| same(&given, secret));
    let bearer = header("authorization")
        .and_then(|given| bearer_token(&given).map(|token| same(token, secret)))
        .unwrap_or(false);
    plain || bearer || signed(header, body, secret, now)
}

/// Reads an event. The error says in one line what is missing; such a message concerns no call.
pub fn parse_event(body: &[u8]) -> Result<WebhookEvent, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let message = &value["message"];
    let kind = wire::word(&message["type"]).ok_or("the message has no type")?;
    let mut call = wire::read_call(&message["call"]).ok_or("the message names no call")?;
    wire::read_end(message, &mut call);
    let mut status = String::new();
    match kind.as_str() {
        "status-update" => {
            if let Some(word) = wire::word(&message["status"]) {
                call.status = Some(word.clone());
                status = word;
            }
        }
        "end-of-call-report" => call.status = Some("ended".to_string()),
        _ => {}
    }
    let mut tool_names = wire::tool_names(message);
    for name in wire::tool_names(&message["call"]) {
        if !tool_names.contains(&name) {
            tool_names.push(name);
        }
    }
    let org_id = call.org_id.clone().or_else(|| wire::word(&message["orgId"]));
    Ok(WebhookEvent { call_id: call.id.clone(), kind, status, call, tool_names, org_id })
}

/// Compares digests, so that not even the secret's length shows in the time it takes.
fn same(given: &str, secret: &str) -> bool {
    Sha256::digest(given.as_bytes()).ct_eq(&Sha256::digest(secret.as_bytes())).into()
}

fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn signed(
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
    secret: &str,
    now: Instant,
) -> bool {
    let (Some(stamp), Some(signature)) = (header("x-timestamp"), header("x-signature")) else {
        return false;
    };
    let stamp = stamp.trim();
    let fresh = stamp.parse::<i64>().ok().and_then(|at| {
        let at_ms = if at < FIRST_MILLISECONDS { at.checked_mul(1000)? } else { at };
        let apart = now.timestamp_millis().checked_sub(at_ms)?;
        Some(apart.checked_abs()? <= REPLAY_WINDOW_MS)
    });
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let given = signature.trim().to_ascii_lowercase();
    let given = given.strip_prefix("sha256=").unwrap_or(&given);
    let right = hex(&mac.finalize().into_bytes());
    bool::from(right.as_bytes().ct_eq(given.as_bytes())) && fresh == Some(true)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone, Utc};

    use super::*;

    const SECRET: &str = "hook-secret";

    fn now() -> Instant {
        Utc.timestamp_millis_opt(1_795_367_255_123).unwrap()
    }

    fn asked(headers: &[(&str, &str)], body: &[u8], now: Instant) -> bool {
        let header = |name: &str| {
            headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string())
        };
        authorised(&header, body, SECRET, now)
    }

    fn signature(stamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(&[stamp.as_bytes(), b".", body].concat());
        hex(&mac.finalize().into_bytes())
    }

    #[test]
    fn the_secret_is_taken_plain_or_as_bearer() {
        for (header, value, expected) in [
            ("x-vapi-secret", "hook-secret", true),
            ("x-vapi-secret", "hook-secre", false),
            ("x-vapi-secret", "", false),
            ("authorization", "Bearer hook-secret", true),
            ("authorization", "bearer hook-secret", true),
            ("authorization", "Basic hook-secret", false),
            ("authorization", "hook-secret", false),
            ("authorization", "Bearer hook-secrets", false),
        ] {
            assert_eq!(asked(&[(header, value)], b"{}", now()), expected, "{header}: {value}");
        }
        assert!(!asked(&[], b"{}", now()));
    }

    #[test]
    fn no_secret_set_lets_nobody_in() {
        let header = |_: &str| Some(String::new());
        assert!(!authorised(&header, b"", "", now()));
    }

    #[test]
    fn a_known_signature_is_reproduced() {
        let mac = signature("1795367255", b"{\"message\":{}}");
        assert_eq!(mac, "12edc909e759067a927be8d633de2f73a0783e6bab1470afad9b77aa1d341615");
    }

    #[test]
    fn a_signature_holds_for_its_body_its_stamp_and_five_minutes() {
        for stamp in ["1795367255", "1795367255123"] {
            let mac = signature(stamp, b"body");
            let headers = [("x-timestamp", stamp), ("x-signature", mac.as_str())];
            for (later, expected) in
                [(0, true), (299, true), (-299, true), (301, false), (-302, false)]
            {
                let at = now() + Duration::seconds(later);
                assert_eq!(asked(&headers, b"body", at), expected, "{stamp} {later}");
            }
            assert!(!asked(&headers, b"bodY", now()));
            let moved = [("x-timestamp", "1795367256"), ("x-signature", mac.as_str())];
            assert!(!asked(&moved, b"body", now()));
            assert!(!asked(&headers[1..], b"body", now()));
        }
    }

    #[test]
    fn a_stamp_that_is_no_time_is_refused_even_when_signed() {
        for stamp in ["", "soon", "9223372036854775807", "-9223372036854775808", "1e9"] {
            let mac = signature(stamp, b"body");
            let headers = [("x-timestamp", stamp), ("x-signature", mac.as_str())];
            assert!(!asked(&headers, b"body", now()), "{stamp}");
        }
    }

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
            let error = parse_event(body).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_tool_call_is_named() {
        let body = br#"{"message":{"type":"tool-calls","call":{"id":"c1"},
            "toolCallList":[{"id":"t1","function":{"name":"stop_calling","arguments":{}}}]}}"#;
        let event = parse_event(body).unwrap();
        assert_eq!(event.tool_names, ["stop_calling"]);
        assert_eq!((event.kind.as_str(), event.status.as_str()), ("tool-calls", ""));
    }
}
