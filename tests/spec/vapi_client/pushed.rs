//! Reading the official shapes of webhooks.

use ringonce::domain::parse_instant;
use ringonce::vapi::webhook::read_message;

use super::{parsed, sample};

#[test]
fn a_status_update_holds_status_and_call() {
    for (name, status, reason) in [
        ("webhook_status_update_ringing.json", "ringing", None),
        ("webhook_status_update_ended.json", "ended", Some("customer-did-not-answer")),
    ] {
        let body = sample(name);
        let event = read_message(body.as_bytes()).event.unwrap();
        assert_eq!((event.kind.as_str(), event.status.as_str()), ("status-update", status));
        assert_eq!(event.call.status.as_deref(), Some(status));
        assert_eq!(event.call.ended_reason.as_deref(), reason);
        assert_eq!(event.call_id, parsed(&body)["message"]["call"]["id"]);
        assert_eq!(event.call.tags().count(), 3);
        assert!(
            event.org_id.is_some() && event.call.tool_names.is_none_or(|names| names.is_empty())
        );
    }
}

#[test]
fn an_end_of_call_report_is_an_ended_call_with_what_the_message_says() {
    let mut body = parsed(&sample("webhook_end_of_call_report.json"));
    // The call inside may be older than the report around it.
    body["message"]["call"]["status"] = "in-progress".into();
    body["message"]["call"]["endedReason"] = serde_json::Value::Null;
    body["message"]["call"]["cost"] = 0.into();
    body["message"]["analysis"]["structuredData"] = serde_json::json!({"stop": true});
    let event = read_message(body.to_string().as_bytes()).event.unwrap();
    assert_eq!((event.kind.as_str(), event.status.as_str()), ("end-of-call-report", ""));
    assert!(event.call.is_ended());
    assert_eq!(event.call.ended_reason.as_deref(), Some("customer-ended-call"));
    assert_eq!(event.call.cost, Some(0.1173));
    assert_eq!(event.call.ended_at, parse_instant("2026-11-22T17:07:30.123Z"));
    assert_eq!(event.call.summary.as_deref(), Some("The customer was reached and talked."));
    assert_eq!(event.call.structured_data, Some(serde_json::json!({"stop": true})));
    assert!(event.call.transcript.is_some());
}
