//! Sorts the replies to a POST by what they prove. Values in, values out.
//!
//! A call counts as not placed only with proof. Proof is our own count of zero bytes, or one of the
//! provider's documented refusals in its own words. Everything else is accepted or in doubt.

use serde_json::Value;

use crate::domain::Instant;
use crate::provider::{Accepted, PlaceError, Refusal};
use crate::vapi::wire;

/// The longest detail, in characters.
const LONGEST_DETAIL: usize = 200;

/// The reply to the one POST.
pub(super) struct Reply {
    pub status: u16,
    pub date: Option<Instant>,
    /// `Retry-After` in seconds.
    pub retry_after_secs: Option<u64>,
    /// `None` when the body could not be read to its end, or was too long.
    pub body: Option<Vec<u8>>,
}

impl Reply {
    /// Decides what this reply proves about the order with this tag.
    pub fn sort(self, tag: &str, key: &str) -> Result<Accepted, PlaceError> {
        match self.status {
            200..300 => {
                let call = self.body.and_then(|body| wire::read_reply(&body, tag));
                Ok(Accepted { call, date: self.date })
            }
            300..400 => {
                let status = self.status;
                let detail = format!("the provider redirects ({status}); check vapi.base_url");
                Err(PlaceError::InDoubt { detail, stop_dialing: true })
            }
            400..=404 | 422 | 429 => self.sort_refusal(key),
            // Also other 4xx: a 409 or 425 may be about an existing call, a 499 comes from a proxy.
            status => Err(in_doubt(&format!("the provider answered {status}"), key)),
        }
    }

    fn sort_refusal(self, key: &str) -> Result<Accepted, PlaceError> {
        let status = self.status;
        let Some(message) = self.body.as_deref().and_then(|body| own_words(status, body)) else {
            let detail = format!("the answer {status} is not in the provider's own form");
            return Err(in_doubt(&detail, key));
        };
        let refusal = match status {
            400 => refusal_of_400(&message),
            401..=404 => Refusal::Everybody,
            429 => Refusal::RateLimited { retry_after_secs: self.retry_after_secs },
            _ => Refusal::Request,
        };
        let detail = scrub(&format!("the provider answered {status}: {message}"), key);
        Err(PlaceError::NotPlaced { refusal, detail })
    }
}

pub(super) fn in_doubt(detail: &str, key: &str) -> PlaceError {
    PlaceError::InDoubt { detail: scrub(detail, key), stop_dialing: false }
}

/// The message of a refusal in the provider's own JSON shape. `None` for any other body: it may
/// come from a proxy, although the provider has placed the call.
fn own_words(status: u16, body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    if value["statusCode"].as_u64()? != u64::from(status) {
        return None;
    }
    match &value["message"] {
        Value::String(message) => Some(message.clone()),
        Value::Array(messages) => {
            let texts: Option<Vec<&str>> = messages.iter().map(Value::as_str).collect();
            Some(texts?.join("; "))
        }
        _ => None,
    }
}

/// The scope of a 400. A concurrency limit counts like a 429: the occasion is not consumed.
fn refusal_of_400(message: &str) -> Refusal {
    let message = message.to_lowercase();
    let names = |words: &[&str]| words.iter().all(|word| message.contains(word));
    if names(&["daily", "limit"]) {
        Refusal::OurNumber
    } else if names(&["concurren", "limit"]) {
        Refusal::RateLimited { retry_after_secs: None }
    } else if ["customer.number", "customer number", "e.164"].iter().any(|w| message.contains(w)) {
        Refusal::Number
    } else {
        Refusal::Request
    }
}

/// One line of at most 200 characters without phone numbers and without the key.
pub(super) fn scrub(text: &str, key: &str) -> String {
    let text = if key.is_empty() { text.to_string() } else { text.replace(key, "[key]") };
    let mut out = String::new();
    let mut run = String::new();
    for character in text.chars().map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c })
    {
        let inside = character.is_numeric() || (!run.is_empty() && " -.()/".contains(character));
        if inside || character == '+' {
            run.push(character);
            continue;
        }
        put_run(&mut out, &mut run);
        out.push(character);
    }
    put_run(&mut out, &mut run);
    let line = out.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_DETAIL - 1) {
        Some((at, _)) if line.chars().count() > LONGEST_DETAIL => format!("{}…", &line[..at]),
        _ => line,
    }
}

/// Writes a run of digits and separators: masked when it may be a phone number.
fn put_run(out: &mut String, run: &mut String) {
    if run.chars().filter(|c| c.is_numeric()).count() >= 7 {
        out.push_str("[number]");
        let digits = run.trim_end_matches(|c: char| !c.is_numeric());
        out.push_str(&run[digits.len()..]);
    } else {
        out.push_str(run);
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> PlaceError {
        let body = Some(body.as_bytes().to_vec());
        let reply = Reply { status, date: None, retry_after_secs: Some(9), body };
        reply.sort("d-1", "sk-secret").unwrap_err()
    }

    fn refusal(status: u16, message: &str) -> Option<Refusal> {
        let body = format!(r#"{{"statusCode":{status},"message":{message}}}"#);
        match refused(status, &body) {
            PlaceError::NotPlaced { refusal, .. } => Some(refusal),
            PlaceError::InDoubt { .. } => None,
        }
    }

    #[test]
    fn a_400_is_sorted_by_whom_it_concerns() {
        let cases = [
            (
                r#"["customer.number must be a valid phone number in the E.164 format."]"#,
                Refusal::Number,
            ),
            (r#""Numbers Bought On Vapi Have A Daily Outbound Call Limit.""#, Refusal::OurNumber),
            (r#""Over Concurrency Limit""#, Refusal::RateLimited { retry_after_secs: None }),
            (r#"["property metadata should not exist"]"#, Refusal::Request),
            (r#"["phoneNumberId must be a UUID"]"#, Refusal::Request),
        ];
        for (message, expected) in cases {
            assert_eq!(refusal(400, message), Some(expected), "{message}");
        }
    }

    #[test]
    fn a_refusal_counts_only_in_the_providers_own_form() {
        for body in [
            "<html>Bad Request</html>",
            "",
            "{}",
            r#"{"message":"no"}"#,
            r#"{"message":"no","statusCode":500}"#,
            r#"{"message":"no","statusCode":"400"}"#,
            r#"{"message":{"no":1},"statusCode":400}"#,
            r#"{"message":["no",1],"statusCode":400}"#,
            r#"[{"message":"no","statusCode":400}]"#,
            r#"{"message":"no","statusCode":400"#,
        ] {
            let error = refused(400, body);
            assert!(matches!(error, PlaceError::InDoubt { stop_dialing: false, .. }), "{body}");
        }
    }

    #[test]
    fn only_documented_refusals_in_the_providers_own_form_prove_that_no_call_was_placed() {
        let proves = [400, 401, 402, 403, 404, 422, 429];
        for status in 100..=599_u16 {
            let body = format!(r#"{{"statusCode":{status},"message":"no"}}"#).into_bytes();
            let reply = Reply { status, date: None, retry_after_secs: None, body: Some(body) };
            let sorted = reply.sort("d-1", "sk-secret");
            match status {
                200..300 => assert!(sorted.is_ok(), "{status}: {sorted:?}"),
                _ if proves.contains(&status) => {
                    assert!(matches!(sorted, Err(PlaceError::NotPlaced { .. })), "{status}");
                }
                _ => assert!(matches!(sorted, Err(PlaceError::InDoubt { .. })), "{status}"),
            }
        }
    }

    #[test]
    fn a_detail_is_one_short_line_without_numbers_and_without_the_key() {
        let cases = [
            ("bad number +12125550101.", "bad number [number]."),
            ("bad +1 (212) 555-0101 now", "bad [number] now"),
            ("bad +1.212.555.0101", "bad [number]"),
            ("bad ٢١٢٥٥٥٠١٠١!", "bad [number]!"),
            ("key sk-secret is wrong", "key [key] is wrong"),
            ("line one\r\nline\ttwo", "line one line two"),
            ("at most 10 calls, 400", "at most 10 calls, 400"),
            ("1 + 1", "1 + 1"),
        ];
        for (text, expected) in cases {
            assert_eq!(scrub(text, "sk-secret"), expected);
        }
        assert_eq!(scrub(&"é".repeat(500), "").chars().count(), LONGEST_DETAIL);
        assert_eq!(scrub(&"é".repeat(200), ""), "é".repeat(200));
    }
}
