//! The webhook: which senders are believed, what is stored, and that it never dials.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::house::{House, Plan, SECRET};

const EVENTS: &str = "SELECT count(*) FROM webhook_events";

fn update(call_id: &str, tag: &str, status: &str) -> String {
    json!({"message": {"type": "status-update", "status": status, "call": {
        "id": call_id, "name": tag, "orgId": "0b8c1f6e-2d47-4a3b-9f10-6f2f6f1c9a01",
    }}})
    .to_string()
}

fn send(house: &House, header: (&str, &str), body: &str) -> u16 {
    house.ask("POST", "/webhooks/vapi", &[header], body).status
}

/// The provider's id and our tag of the one call.
fn the_call(house: &House) -> (String, String) {
    let ring = house.fake.rings().remove(0);
    (ring.call_id, ring.tag.expect("a tag"))
}

#[test]
fn nobody_is_believed_without_the_secret() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let (id, tag) = the_call(&house);
    let body = update(&id, &tag, "ringing");
    for header in [
        ("X-None", ""),
        ("X-Vapi-Secret", "wrong"),
        ("X-Vapi-Secret", ""),
        ("Authorization", "Bearer wrong"),
        ("Authorization", "Bearer a-token-that-nobody-guesses"),
        ("X-Signature", "00"),
    ] {
        assert_eq!(send(&house, header, &body), 401, "{header:?}");
    }
    assert_eq!(house.count(EVENTS), 0);
}

#[test]
fn no_secret_set_refuses_every_webhook() {
    let house = House::build(&Plan { with_secret: false, ..Plan::default() });
    assert_eq!(send(&house, ("X-Vapi-Secret", ""), &update("c", "d-1", "ringing")), 401);
}

#[test]
fn many_copies_in_any_order_are_stored_once_each_and_nothing_rings() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let (id, tag) = the_call(&house);
    let statuses = ["in-progress", "queued", "ringing"];
    for copy in 0..30 {
        let body = update(&id, &tag, statuses[copy % 3]);
        assert_eq!(send(&house, ("X-Vapi-Secret", SECRET), &body), 200);
    }
    assert_eq!(house.count(EVENTS), 3);
    house.wait_for("the follower", || {
        house.count("SELECT count(*) FROM webhook_events WHERE applied_at IS NULL") == 0
    });
    assert_eq!((house.fake.rings().len(), house.fake.duplicates()), (1, 0));
}

#[test]
fn a_signature_is_taken_and_its_body_cannot_be_swapped() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let (id, tag) = the_call(&house);
    let body = update(&id, &tag, "ringing");
    let stamp = "1795435200"; // 2026-11-23T12:00:00Z
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{stamp}.{body}").as_bytes());
    let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
    let headers = [("X-Timestamp", stamp), ("X-Signature", signature.as_str())];
    assert_eq!(house.ask("POST", "/webhooks/vapi", &headers, &body).status, 200);
    let other = update(&id, &tag, "ended");
    assert_eq!(house.ask("POST", "/webhooks/vapi", &headers, &other).status, 401);
    let replayed = [("X-Timestamp", "1795434000"), ("X-Signature", signature.as_str())];
    assert_eq!(house.ask("POST", "/webhooks/vapi", &replayed, &body).status, 401);
    assert_eq!(house.count(EVENTS), 1);
}

#[test]
fn calls_that_are_not_ours_are_answered_and_forgotten() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let (id, tag) = the_call(&house);
    // The first accepted call records the account.
    let mut foreign: Value = serde_json::from_str(&update(&id, &tag, "ended")).expect("JSON");
    foreign["message"]["call"]["orgId"] = json!("00000000-0000-4000-8000-00000000dead");
    let unknown = update("6f1e7c55-0000-4000-8000-000000000000", "somebody-else", "ended");
    for body in [unknown.as_str(), &foreign.to_string(), "{}", "not JSON", ""] {
        assert_eq!(send(&house, ("X-Vapi-Secret", SECRET), body), 200, "{body}");
    }
    assert_eq!(house.count(EVENTS), 0);
}
