//! One person over HTTP: upserts in the order of the application's data, a call at an instant,
//! everything that is stored, and the erasure. Each answer carries the request's id.

use serde_json::{Value, json};

use crate::house::{House, Plan, TOKEN};

fn upsert(house: &House, fields: Value) -> Value {
    let mut body = json!({"external_id": "u1"});
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let answer = house.api("POST", "/api/customers", &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[test]
fn an_upsert_that_is_older_than_what_is_known_changes_nothing() {
    let house = House::build(&Plan::default());
    let newer = json!({"call_time": "08:00", "as_of": "2026-11-23T11:00:00Z"});
    let older = json!({"call_time": "09:00", "as_of": "2026-11-23T10:59:59.999Z"});
    assert_eq!(upsert(&house, newer.clone())["ignored"], false);
    let told = upsert(&house, older);
    assert_eq!((&told["ignored"], &told["changed"]), (&json!(true), &json!([])));
    assert_eq!(told["customer"]["call_time"], "08:00");
    let again = upsert(&house, newer);
    assert_eq!((&again["ignored"], &again["changed"]), (&json!(false), &json!([])));
    let plain = upsert(&house, json!({"call_time": "10:00"}));
    assert_eq!(
        (&plain["ignored"], &plain["customer"]["call_time"]),
        (&json!(false), &json!("10:00"))
    );
    for as_of in ["2026-11-24T00:00:00Z", "yesterday"] {
        let body = json!({"external_id": "u1", "as_of": as_of});
        let answer = house.api("POST", "/api/customers", &body);
        assert_eq!((answer.status, &answer.json()["field"]), (422, &json!("as_of")), "{as_of}");
    }
    let new = json!({"external_id": "u9", "phone": "+12125550109", "timezone": "America/New_York",
        "as_of": "2026-11-23T11:00:00Z", "name": "New"});
    assert_eq!(house.api("POST", "/api/customers", &new).status, 201);
    let older = json!({"external_id": "u9", "name": "Old", "as_of": "2026-11-22T11:00:00Z"});
    assert_eq!(house.api("POST", "/api/customers", &older).json()["ignored"], true);
}

#[test]
fn flags_of_made_calls_are_never_set_back_by_an_upsert() {
    let house = House::build(&Plan::default());
    let _ = upsert(&house, json!({"last_call_date": "2026-11-20"}));
    let told = house.api(
        "POST",
        "/api/customers",
        &json!({"external_id": "u1", "welcome_call_completed": false,
            "last_call_date": "2026-11-01", "as_of": "2026-11-23T11:40:00Z"}),
    );
    let stored = house.get("/api/customers/u1");
    assert_eq!(stored["welcome_call_completed"], true, "{}", told.body);
    assert_eq!(stored["last_call_date"], "2026-11-20", "{}", told.body);
}

#[test]
fn a_call_at_an_instant_is_queued_once_for_its_key() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let wish = json!({"reason": "asked", "at": "2026-11-23T20:00:00Z", "key": "k-1"});
    let path = "/api/customers/u1/call";
    let first = house.api("POST", path, &wish);
    assert_eq!((first.status, &first.json()["created"]), (202, &json!(true)), "{}", first.body);
    let again = house.api("POST", path, &wish);
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(again.json()["item_id"], first.json()["item_id"]);
    let keyed = house.api("POST", path, &json!({"reason": "asked", "key": "k-1"}));
    assert_eq!((keyed.status, &keyed.json()["created"]), (200, &json!(false)));
    let other = json!({"reason": "asked", "at": "2026-11-23T21:00:00Z", "key": "k-1"});
    let other = house.api("POST", path, &other);
    assert_eq!((other.status, &other.json()["field"]), (409, &json!("at")), "{}", other.body);
    assert_eq!(other.json()["item_id"], first.json()["item_id"]);
    let night = json!({"reason": "asked", "at": "2026-11-24T08:00:00Z", "key": "k-2"});
    let night = house.api("POST", path, &night);
    assert_eq!(night.status, 422, "{}", night.body);
    assert_eq!(night.json()["next_opening"], "2026-11-24T13:00:00.000Z");
    for (at, says) in [("2026-11-23T20:00:00", "has no offset"), ("8 pm", "is not an instant")] {
        let local = json!({"reason": "asked", "at": at, "key": "k-3"});
        let refused = house.api("POST", path, &local);
        assert_eq!((refused.status, &refused.json()["field"]), (422, &json!("at")), "{at}");
        assert!(refused.body.contains(says), "{}", refused.body);
    }
    assert_eq!(house.count("SELECT count(*) FROM call_queue WHERE call_type = 'extra'"), 1);
    house.set_clock("2026-11-23T20:00:00Z");
    let rang =
        || house.fake.rings().iter().filter(|r| r.call_type.as_deref() == Some("extra")).count();
    house.wait_for("the call", || rang() == 1);
    let after = house.api("POST", path, &wish);
    assert_eq!((after.status, rang()), (200, 1), "{}", after.body);
}

#[test]
fn an_appointment_is_shown_with_its_key_called_off_and_made_again_under_another_key() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let at = "2026-11-23T20:00:00Z";
    let wish = |key: &str| json!({"reason": "asked", "at": at, "key": key});
    let path = "/api/customers/u1/call";
    let item = house.api("POST", path, &wish("appointment-from-crm-17")).json()["item_id"].clone();
    let shown = [
        house.said(&["queue", "list"]),
        house.said(&["explain", "u1"]),
        house.api("GET", "/queue", &json!(null)).body,
    ];
    for view in shown {
        assert!(view.contains("appointment-from-crm-17"), "{view}");
    }
    let cancel = format!("/api/queue/{item}/cancel");
    assert_eq!(house.api("POST", &cancel, &json!({})).status, 422, "a reason is needed");
    for _ in 0..2 {
        let cancelled = house.api("POST", &cancel, &json!({"reason": "moved"}));
        let told = json!({"cancelled": true, "item_id": item});
        assert_eq!((cancelled.status, cancelled.json()), (200, told));
    }
    let known = house.api("POST", path, &wish("appointment-from-crm-17"));
    assert_eq!((known.status, &known.json()["status"]), (200, &json!("skipped")));
    assert_eq!(house.api("POST", path, &wish("appointment-from-crm-18")).status, 202);
    house.set_clock(at);
    let rang =
        || house.fake.rings().iter().filter(|r| r.call_type.as_deref() == Some("extra")).count();
    house.wait_for("the call", || rang() == 1);
    let over = house.database().query_one(
        "SELECT id FROM call_queue WHERE call_type = 'extra' AND status = 'completed'",
        [],
        |row| row.get::<_, i64>(0),
    );
    let over = format!("/api/queue/{}/cancel", over.expect("the item"));
    assert_eq!(house.api("POST", &over, &json!({"reason": "too late"})).status, 409);
}

#[test]
fn everything_about_a_person_is_exported_and_then_erased() {
    let house = House::build(&Plan {
        config: "[results]\ntranscript = true\n[events]\nurl = \"http://127.0.0.1:9/hook\"\n"
            .to_string(),
        ..Plan::default()
    });
    house.place_calls(1);
    house.set_clock("2026-11-23T12:02:00Z");
    house.wait_for("the result", || house.count("SELECT count(*) FROM call_results") == 1);
    let told = house.get("/api/customers/u1/export");
    assert_eq!(told["customer"]["phone"], "+12125550101");
    assert_eq!(told["events"][0]["type"], "call.placed", "{told}");
    assert_eq!(told["events"][0]["data"]["customer"]["external_id"], "u1", "{told}");
    assert!(told["attempts"][0]["result"]["transcript"].is_string(), "{told}");
    assert!(told["items"][0]["id"].is_i64() && told["journal"][0]["what"].is_string(), "{told}");
    let revealed = "SELECT count(*) FROM journal WHERE what = 'reveal' AND new = 'export'";
    assert_eq!(house.count(revealed), 1);
    let named = house.api("DELETE", "/api/customers/u1", &json!({"reason": "Person 1 wrote"}));
    assert_eq!((named.status, &named.json()["field"]), (422, &json!("reason")));
    let silent = house.api("DELETE", "/api/customers/u1", &Value::Null);
    assert_eq!((silent.status, &silent.json()["field"]), (422, &json!("reason")));
    let erased = house.api("DELETE", "/api/customers/u1", &json!({"reason": "letter of today"}));
    assert_eq!(erased.status, 200, "{}", erased.body);
    assert_eq!(erased.json()["attempts"], 1);
    assert_eq!(house.count("SELECT count(*) FROM customers"), 0);
    assert_eq!(house.count("SELECT count(*) FROM call_results"), 0);
    let named = "SELECT count(*) FROM events
         WHERE json_extract(data, '$.customer.external_id') IS NOT NULL
            OR json_extract(data, '$.result') IS NOT NULL";
    assert_eq!(house.count(named), 0);
    assert!(house.count("SELECT count(*) FROM events") > 0);
    let side = house.folder.path().join("ringonce.db.erased");
    assert!(std::fs::read_to_string(side).is_ok_and(|text| !text.trim().is_empty()));
    let gone = house.api("DELETE", "/api/customers/u1", &json!({"reason": "letter"}));
    assert_eq!(gone.status, 404, "{}", gone.body);
}

#[test]
fn each_answer_carries_the_id_of_its_request() {
    let house = House::build(&Plan::default());
    let bearer = format!("Bearer {TOKEN}");
    let ask = |headers: &[(&str, &str)], path: &str| {
        let answer = house.ask("GET", path, headers, "");
        answer.header("x-request-id").map(str::to_string).expect("an id")
    };
    let given = [("Authorization", bearer.as_str()), ("X-Request-Id", "app-42")];
    assert_eq!(ask(&given, "/api/status"), "app-42");
    assert_eq!(ask(&given, "/api/nothing"), "app-42");
    assert_eq!(ask(&[("X-Request-Id", "app-43")], "/api/status"), "app-43", "also of a refusal");
    let (one, two) = (ask(&[], "/healthz"), ask(&[], "/healthz"));
    assert!(one != two && one.len() == 36, "{one} {two}");
    let bad = "x".repeat(65);
    assert_ne!(ask(&[("X-Request-Id", &bad)], "/healthz"), bad);
}

#[test]
fn the_application_sets_and_clears_the_assistant_and_an_unknown_name_is_refused() {
    let config =
        "[assistants.spanish]\nassistant_id = \"a-1\"\n[assistants.team]\nsquad_id = \"s\"\n";
    let house = House::build(&Plan { config: config.to_string(), ..Plan::default() });
    let told = upsert(&house, json!({"assistant": "spanish"}));
    assert_eq!(told["changed"], json!(["assistant"]));
    assert_eq!(told["customer"]["assistant"], "spanish");
    assert_eq!(upsert(&house, json!({"name": "Ada"}))["customer"]["assistant"], "spanish");
    let body = json!({"external_id": "u1", "assistant": "Spanich"});
    let refused = house.api("POST", "/api/customers", &body);
    assert_eq!((refused.status, &refused.json()["field"]), (422, &json!("assistant")));
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_string();
    assert!(detail.contains("did you mean spanish?"), "{detail}");
    assert_eq!(house.get("/api/customers/u1/explain")["customer"]["assistant"], "spanish");
    let call = json!({"reason": "asked", "at": "2026-11-23T19:00:00Z"});
    assert_eq!(house.api("POST", "/api/customers/u1/call", &call).status, 202);
    let items = house.get("/api/queue");
    let extra =
        items["items"].as_array().expect("items").iter().find(|i| i["call_type"] == "extra");
    assert_eq!(extra.expect("the call")["assistant"], "spanish", "{items}");
    assert_eq!(house.get("/api/customers/u1/export")["customer"]["assistant"], "spanish");
    let cleared = upsert(&house, json!({"assistant": null}));
    assert_eq!(cleared["customer"]["assistant"], json!(null));
}
