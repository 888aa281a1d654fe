//! Tests each documented variant of the credential, and each way to forge it.

use chrono::{Duration, TimeZone, Utc};
use data_encoding::{BASE64, HEXLOWER};

use super::*;

const SECRET: &str = "hook-secret";
const BODY: &[u8] = b"{\"message\":{}}";
const STAMP: &str = "1795367255";

fn now() -> Instant {
    Utc.timestamp_millis_opt(1_795_367_255_123).unwrap()
}

fn judged(
    rules: &Webhook,
    headers: &[(&str, &str)],
    body: &[u8],
    now: Instant,
) -> Result<(), Disbelief> {
    let header = |name: &str| {
        let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_string())
    };
    let secret =
        Secret::new(if rules.secret_is_base64 { "whsec_aG9vay1zZWNyZXQ=" } else { SECRET });
    let believer = Believer::new(rules, secret).unwrap();
    believer.judge(&Sent { header: &header, method: "POST", body }, now)
}

fn is_believed(headers: &[(&str, &str)], body: &[u8], now: Instant) -> bool {
    judged(&Webhook::default(), headers, body, now).is_ok()
}

/// The bytes of the signature that a sender makes by the rules.
fn signature(rules: &Webhook, payload: &[u8]) -> Vec<u8> {
    Believer::new(rules, Secret::new(SECRET)).unwrap().mac(payload)
}

#[test]
fn the_secret_is_taken_plain_or_as_bearer() {
    for (header, value, expected) in [
        ("x-vapi-secret", "hook-secret", Ok(())),
        ("x-vapi-secret", "hook-secre", Err(Disbelief::WrongSecret)),
        ("x-vapi-secret", "", Err(Disbelief::WrongSecret)),
        ("authorization", "Bearer hook-secret", Ok(())),
        ("authorization", "bearer hook-secret", Ok(())),
        ("authorization", "Basic hook-secret", Err(Disbelief::NothingShown)),
        ("authorization", "hook-secret", Err(Disbelief::NothingShown)),
        ("authorization", "Bearer hook-secrets", Err(Disbelief::WrongSecret)),
        ("x-other", "hook-secret", Err(Disbelief::NothingShown)),
    ] {
        let found = judged(&Webhook::default(), &[(header, value)], b"{}", now());
        assert_eq!(found, expected, "{header}: {value}");
    }
}

#[test]
fn a_bearer_may_come_in_another_header_with_or_without_its_word() {
    let rules = Webhook { bearer_header: Some("X-Hook-Token".into()), ..Webhook::default() };
    for (header, value, expected) in [
        ("x-hook-token", "Bearer hook-secret", true),
        ("X-Hook-Token", "hook-secret", true),
        ("x-hook-token", "hook-secret-", false),
        ("authorization", "Bearer hook-secret", false),
        ("x-vapi-secret", "hook-secret", true),
    ] {
        let found = judged(&rules, &[(header, value)], b"{}", now());
        assert_eq!(found.is_ok(), expected, "{header}: {value}");
    }
}

#[test]
fn no_secret_is_refused_before_anything_is_judged() {
    assert!(Believer::new(&Webhook::default(), Secret::new("")).is_err());
    let rules = Webhook { secret_is_base64: true, ..Webhook::default() };
    let error = Believer::new(&rules, Secret::new("not base64!")).err().unwrap();
    assert!(error.contains("secret_is_base64") && !error.contains("not base64!"), "{error}");
}

#[test]
fn a_known_signature_is_reproduced_in_every_algorithm() {
    // Made with `openssl dgst -hmac hook-secret`.
    for (algorithm, expected) in [
        (Algorithm::Sha256, "12edc909e759067a927be8d633de2f73a0783e6bab1470afad9b77aa1d341615"),
        (Algorithm::Sha1, "83a934597731a9603d2f40d593048f7ded57aaa1"),
        (
            Algorithm::Sha512,
            "5cfdd0c4cca2e3fe4ccf54a651b3c4efcb1583935fd3e7fbd6e3f020fb55f4d3532624efa72fc6eb1d318c635c78cbe76d2c3671d2d7d19619ccb1f752865116",
        ),
    ] {
        let rules = Webhook { algorithm, ..Webhook::default() };
        let payload = [STAMP.as_bytes(), b".", BODY].concat();
        assert_eq!(HEXLOWER.encode(&signature(&rules, &payload)), expected, "{algorithm:?}");
        let headers = [("x-timestamp", STAMP), ("x-signature", expected)];
        assert_eq!(judged(&rules, &headers, BODY, now()), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn a_signature_holds_for_its_body_its_stamp_and_five_minutes() {
    for stamp in ["1795367255", "1795367255123", "2026-11-22T17:07:35Z"] {
        let mac = HEXLOWER
            .encode(&signature(&Webhook::default(), &[stamp.as_bytes(), b".body"].concat()));
        let headers = [("x-timestamp", stamp), ("x-signature", mac.as_str())];
        for (later, expected) in [(0, true), (299, true), (-299, true), (301, false), (-302, false)]
        {
            let at = now() + Duration::seconds(later);
            assert_eq!(is_believed(&headers, b"body", at), expected, "{stamp} {later}");
        }
        assert!(!is_believed(&headers, b"bodY", now()));
        let moved = [("x-timestamp", "1795367256"), ("x-signature", mac.as_str())];
        assert!(!is_believed(&moved, b"body", now()));
        let found = judged(&Webhook::default(), &headers[1..], b"body", now());
        assert_eq!(found, Err(Disbelief::PartMissing));
    }
}

#[test]
fn a_stamp_that_is_not_a_time_is_refused_even_when_signed() {
    for stamp in ["", "soon", "9223372036854775807", "-9223372036854775808", "1e9"] {
        let mac = HEXLOWER
            .encode(&signature(&Webhook::default(), &[stamp.as_bytes(), b".body"].concat()));
        let headers = [("x-timestamp", stamp), ("x-signature", mac.as_str())];
        let found = judged(&Webhook::default(), &headers, b"body", now());
        assert_eq!(found, Err(Disbelief::OldTimestamp), "{stamp}");
    }
}

#[test]
fn every_variant_of_the_credential_is_believed_and_no_change_of_it() {
    let usual = Webhook::default;
    let text = |text: &str| Some(text.to_string());
    let url = "https://calls.example.com/webhooks/vapi";
    let all = "{method} {url} {svix-id}.{timestamp}.{body}!";
    let variants = [
        (usual(), format!("{STAMP}.BODY")),
        (Webhook { signature_prefix: "v1,".into(), ..usual() }, format!("{STAMP}.BODY")),
        (Webhook { signature_prefix: "sha256=".into(), ..usual() }, format!("{STAMP}.BODY")),
        (Webhook { include_timestamp: false, ..usual() }, "BODY".to_string()),
        (Webhook { payload_format: text("{body}"), ..usual() }, "BODY".to_string()),
        (
            Webhook { payload_format: text("{svix-id}.{timestamp}.{body}"), ..usual() },
            format!("m1.{STAMP}.BODY"),
        ),
        (
            Webhook { payload_format: text(all), url: text(url), ..usual() },
            format!("POST {url} m1.{STAMP}.BODY!"),
        ),
        (
            Webhook {
                signature_header: "X-Hub-Signature".into(),
                timestamp_header: "X-Time".into(),
                message_id_header: "X-Id".into(),
                payload_format: text("{svix-id}{timestamp}{body}"),
                ..usual()
            },
            format!("m1{STAMP}BODY"),
        ),
        (Webhook { secret_is_base64: true, ..usual() }, format!("{STAMP}.BODY")),
    ];
    let algorithms = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha1];
    for (rules, payload) in variants {
        for algorithm in algorithms {
            for encoding in [Encoding::Hex, Encoding::Base64] {
                let rules = Webhook { algorithm, signature_encoding: encoding, ..rules.clone() };
                assert_variant(&rules, &payload);
            }
        }
    }
}

/// Asserts that the signature over `payload`, in which `BODY` stands for the body, is accepted, and
/// that it is refused when any signed part changes.
fn assert_variant(rules: &Webhook, payload: &str) {
    let sign = |body: &str| {
        let bare = Webhook { secret_is_base64: false, ..rules.clone() };
        let mac = signature(&bare, payload.replace("BODY", body).as_bytes());
        let written = match rules.signature_encoding {
            Encoding::Hex => HEXLOWER.encode(&mac),
            Encoding::Base64 => BASE64.encode(&mac),
        };
        format!("{}{written}", rules.signature_prefix)
    };
    let ask = |signature: &str, stamp: &str, id: &str, body: &[u8]| {
        let headers = [
            (rules.signature_header.as_str(), signature),
            (rules.timestamp_header.as_str(), stamp),
            (rules.message_id_header.as_str(), id),
        ];
        judged(rules, &headers, body, now())
    };
    let right = sign("hello");
    assert_eq!(ask(&right, STAMP, "m1", b"hello"), Ok(()), "{rules:?}");
    let several = format!("{} {right}", sign("another"));
    assert_eq!(ask(&several, STAMP, "m1", b"hello"), Ok(()), "{rules:?}");
    let wrong = Err(Disbelief::WrongSignature);
    assert_eq!(ask(&right, STAMP, "m1", b"Hello"), wrong, "{rules:?}");
    assert_eq!(ask(&right[..right.len() - 4], STAMP, "m1", b"hello"), wrong, "{rules:?}");
    assert_eq!(ask("", STAMP, "m1", b"hello"), wrong, "{rules:?}");
    if rules.signs_time() {
        assert_eq!(ask(&right, "1795367200", "m1", b"hello"), wrong, "{rules:?}");
    }
    if rules.payload().contains("{svix-id}") {
        assert_eq!(ask(&right, STAMP, "m2", b"hello"), wrong, "{rules:?}");
    }
}

#[test]
fn base64_is_read_in_both_alphabets_with_and_without_padding() {
    for text in ["+/+/+w==", "-_-_-w==", "+/+/+w", "-_-_-w"] {
        assert_eq!(decoded(text), Some(vec![0xfb, 0xff, 0xbf, 0xfb]), "{text}");
    }
    assert_eq!(decoded("a$"), None);
}
