//! A customer's wish to the assistant reaches the do-not-call list through the real webhook. This
//! holds for every form of report, and before the next call to that number.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha512;

use crate::house::{Answer, House, Plan, SECRET, exchange};

const LISTED: &str = "SELECT count(*) FROM do_not_call";
const RULES: &str = "[do_not_call]\nstructured_data_field = \"opt_out\"\ntool_name = \"stop\"\n";

/// A service with one active call, the call's id and its tag.
fn talking() -> (House, String, String) {
    let house = House::build(&Plan { config: RULES.to_string(), ..Plan::default() });
    house.place_calls(1);
    let ring = house.fake.rings().remove(0);
    (house, ring.call_id, ring.tag.expect("a tag"))
}

fn send(house: &House, message: &Value) -> Answer {
    let body = json!({ "message": message }).to_string();
    house.ask("POST", "/webhooks/vapi", &[("X-Vapi-Secret", SECRET)], &body)
}

fn report(call: &Value, artifact: &Value) -> Value {
    json!({"type": "end-of-call-report", "endedReason": "customer-ended-call", "call": call,
        "artifact": artifact})
}

fn output(name: &str, result: &Value) -> Value {
    json!({"structuredOutputs": {"5f0c1f6e-2d47-4a3b-9f10-6f2f6f1c9a02":
        {"name": name, "result": result}}})
}

#[test]
fn report_with_a_structured_output_lists_the_number() {
    let (house, id, _) = talking();
    let told = report(&json!({ "id": id }), &output("Wishes", &json!({"opt_out": true})));
    assert_eq!(send(&house, &told).status, 200);
    house.wait_for("the list", || house.count(LISTED) == 1);
}

#[test]
fn tool_calls_are_each_answered_and_ours_lists_the_number() {
    let (house, id, _) = talking();
    let told = json!({"type": "tool-calls", "call": {"id": id}, "toolCallList": [
        {"id": "t1", "name": "look_up", "arguments": {}},
        {"id": "t2", "function": {"name": "stop", "arguments": "{}"}},
    ]});
    let answer = send(&house, &told);
    assert_eq!(answer.status, 200);
    let results = answer.json()["results"].clone();
    let ids: Vec<&str> =
        results.as_array().unwrap().iter().filter_map(|one| one["toolCallId"].as_str()).collect();
    assert_eq!(ids, ["t1", "t2"], "{results}");
    let told: Vec<&str> =
        results.as_array().unwrap().iter().filter_map(|one| one["result"].as_str()).collect();
    assert!(told[0].contains("not implemented"), "{results}");
    assert!(told[1].contains("not be called again"), "{results}");
    assert!(told.iter().all(|line| !line.contains('\n')), "{results}");
    house.wait_for("the list", || house.count(LISTED) == 1);
}

#[test]
fn tool_call_of_an_unknown_call_is_answered_and_promises_nothing() {
    let (house, _, _) = talking();
    for call in [json!(null), json!({"id": "6f1e7c55-0000-4000-8000-000000000000"})] {
        let told = json!({"type": "tool-calls", "call": call, "toolWithToolCallList": [
            {"name": "stop", "toolCall": {"id": "t9", "function": {"name": "stop"}}},
        ]});
        let answer = send(&house, &told);
        assert_eq!(
            (answer.status, &answer.json()["results"][0]["toolCallId"]),
            (200, &json!("t9"))
        );
        let result = answer.json()["results"][0]["result"].to_string();
        assert!(result.contains("not known"), "{result}");
    }
    assert_eq!(house.count(LISTED), 0);
}

#[test]
fn every_other_message_is_answered_with_an_empty_object() {
    let (house, id, tag) = talking();
    for kind in ["status-update", "end-of-call-report", "hang", "conversation-update"] {
        let answer = send(&house, &json!({"type": kind, "call": {"id": id, "name": tag}}));
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{kind}");
    }
}

#[test]
fn report_of_nearly_two_mebibytes_is_heard() {
    let (house, id, _) = talking();
    let mut artifact = output("Opt out", &json!("Yes."));
    artifact["transcript"] = json!("AI: Hello.\n".repeat(170_000));
    assert_eq!(send(&house, &report(&json!({ "id": id }), &artifact)).status, 200);
    house.wait_for("the list", || house.count(LISTED) == 1);
}

#[test]
fn body_over_its_limit_is_refused_and_the_log_names_the_limit() {
    let (house, id, _) = talking();
    let artifact = json!({"transcript": "AI: Hello.\n".repeat(200_000)});
    let answer = send(&house, &report(&json!({ "id": id }), &artifact));
    assert_eq!(answer.status, 413, "{}", answer.body);
    house.wait_for("the log", || house.log().contains("2 MiB"));
    let answer = house.api("POST", "/api/customers", &json!({"name": "x".repeat(70_000)}));
    assert_eq!(answer.status, 413, "{}", answer.body);
    house.wait_for("the log", || house.log().contains("64 KiB"));
}

#[test]
fn opt_out_of_a_call_whose_reply_was_lost_is_kept_until_the_attempt_is_known() {
    let faults = "accept-then-close:first=1 list-lag=100000";
    let config = RULES.to_string();
    let house = House::build(&Plan { faults, config, ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.count("SELECT count(*) FROM call_queue") == 1);
    house.set_clock("2026-11-23T12:00:00Z");
    let doubt = "SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'";
    house.wait_for("the doubt", || house.count(doubt) == 1);
    // The message does not name the customer.
    let id = house.fake.rings().remove(0).call_id;
    let told = json!({"type": "tool-calls", "call": {"id": id},
        "toolCallList": [{"id": "t", "name": "stop"}]});
    assert_eq!(send(&house, &told).status, 200);
    assert_eq!(house.count("SELECT count(*) FROM webhook_events"), 1);
    house.fake.set_faults("".parse().expect("no faults"));
    house.wait_for("the list", || house.count(LISTED) == 1);
    // An opt-out that cannot belong to one of our calls is not stored.
    let foreign = json!({"type": "tool-calls", "toolCallList": [{"id": "t", "name": "stop"}],
        "call": {"id": "6f1e7c55-0000-4000-8000-000000000000"}});
    assert_eq!(send(&house, &foreign).status, 200);
    assert_eq!(house.count("SELECT count(*) FROM webhook_events"), 1);
}

#[test]
fn everything_that_the_provider_pushes_about_a_call_is_heard() {
    for faults in ["calls-tool=stop", "reports-output=Opt_Out", "reports=opt_out"] {
        let config = RULES.to_string();
        let house = House::build(&Plan { faults, config, ..Plan::default() });
        house.place_calls(1);
        let id = house.fake.rings().remove(0).call_id;
        house.set_clock("2026-11-23T12:01:00Z");
        let path = format!("GET /__pushed?call={id} HTTP/1.0\r\n\r\n");
        let pushed = exchange(house.fake.address(), path.as_bytes()).json();
        for body in pushed.as_array().expect("messages") {
            assert_eq!(send(&house, &body["message"]).status, 200, "{body}");
        }
        assert!(2 <= pushed.as_array().unwrap().len(), "{pushed}");
        house.wait_for("the list", || house.count(LISTED) == 1);
    }
}

#[test]
fn credential_of_the_provider_is_configured_by_its_own_names() {
    let config = "[webhook]\nalgorithm = \"sha512\"\nsignature_header = \"x-hub-signature\"\n\
                  signature_prefix = \"sha512=\"\nsignature_encoding = \"base64\"\n\
                  include_timestamp = false\nbearer_header = \"x-token\"\n";
    let house = House::build(&Plan { config: config.to_string(), ..Plan::default() });
    let body = r#"{"message":{"type":"hang"}}"#;
    let mac = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).expect("a key");
    let mac = mac.chain_update(body).finalize().into_bytes();
    let right = format!("sha512={}", BASE64.encode(&mac));
    for (header, value, status) in [
        ("X-Hub-Signature", right.as_str(), 200),
        ("X-Signature", right.as_str(), 401),
        ("X-Hub-Signature", "sha512=AAAA", 401),
        ("X-Token", SECRET, 200),
        ("X-Token", "wrong", 401),
        ("X-Vapi-Secret", SECRET, 200),
    ] {
        let answer = house.ask("POST", "/webhooks/vapi", &[(header, value)], body);
        assert_eq!(answer.status, status, "{header}: {value}");
    }
    let log = house.log();
    assert_eq!(log.matches("a webhook was refused").count(), 1, "{log}");
    assert!(!log.contains(SECRET) && !log.contains("AAAA"), "{log}");
}
