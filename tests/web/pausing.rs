//! A customer has one pause, whoever sets it: every resume ends it, and every view shows it.

use serde_json::{Value, json};

use crate::house::{House, Plan, customer};
use crate::pages::Visitor;

/// The ways to pause and to resume customer 1.
const WAYS: [&str; 4] = ["customers", "scope", "api", "page"];

fn act(house: &House, visitor: &Visitor<'_>, verb: &str, way: &str) {
    let why = ["--reason", "she asked"];
    match way {
        "customers" => drop(house.said(&[&["customers", verb, "id:1"], &why[..]].concat())),
        "scope" => drop(house.said(&[&[verb, "--customer", "id:1"], &why[..]].concat())),
        "api" => {
            let body = json!({"customer": "id:1", "reason": "she asked"});
            let answer = house.api("POST", &format!("/api/{verb}"), &body);
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        _ => {
            let form = format!("mark={}&reason=she+asked", visitor.mark());
            let answer = visitor.post(&format!("/customers/id:1/{verb}"), &form);
            assert_eq!(answer.status, 303, "{}", answer.body);
        }
    }
}

/// Whether each view shows that customer 1 is paused.
fn shown(house: &House, visitor: &Visitor<'_>) -> Vec<(&'static str, bool)> {
    let said =
        |words: &[&str]| -> Value { serde_json::from_str(&house.said(words)).expect("JSON") };
    let has_one = |list: &Value| list.as_array().is_some_and(|rows| !rows.is_empty());
    let status = said(&["status", "--json"]);
    let explained = house.get("/api/customers/id:1/explain");
    let page = visitor.get("/customers/id:1");
    let list = visitor.get("/customers?q=Person");
    vec![
        ("show", said(&["customers", "show", "id:1", "--json"])["call_status"] == "paused"),
        ("list", has_one(&said(&["customers", "list", "--status", "paused", "--json"]))),
        ("api", house.get("/api/customers/id:1")["call_status"] == "paused"),
        ("api list", has_one(&house.get("/api/customers?call_status=paused")["customers"])),
        (
            "pauses",
            status["pauses"]
                .as_array()
                .expect("a list")
                .iter()
                .any(|pause| pause["customer_id"] == 1 && pause["why"] == "she asked"),
        ),
        ("paused_customers", status["paused_customers"] == 1),
        ("explain", explained["customer"]["call_status"] == "paused"),
        ("rules", explained["occasions"].to_string().contains("\"reason\":\"paused\"")),
        ("button", page.contains("Resume calls") && !page.contains("Pause calls")),
        ("badge", page.contains("<span class=\"badge warn\">paused by ")),
        ("list badge", list.contains("<span class=\"badge warn\">paused by ")),
    ]
}

#[test]
fn every_way_to_pause_a_customer_sets_the_same_pause_and_every_resume_ends_it() {
    let customers = vec![customer(1, "07:00"), customer(2, "08:00")];
    let house = House::build(&Plan { customers, ..Plan::default() });
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    for set in WAYS {
        for end in WAYS {
            act(&house, &visitor, "pause", set);
            for (view, paused) in shown(&house, &visitor) {
                assert!(paused, "{view} after a pause by {set}");
            }
            act(&house, &visitor, "resume", end);
            for (view, paused) in shown(&house, &visitor) {
                assert!(!paused, "{view} after a pause by {set} and a resume by {end}");
            }
        }
    }
    assert!(house.log().lines().all(|line| !line.contains("ERROR")));
}

#[test]
fn an_upsert_that_pauses_leaves_the_record_that_every_pause_leaves() {
    let house = House::build(&Plan::default());
    let body = json!({
        "external_id": "ada", "name": "Ada", "phone": "+12125550101",
        "timezone": "America/New_York", "call_time": "07:00", "payment_status": "Paid",
    });
    assert_eq!(house.api("POST", "/api/customers", &body).status, 201);
    let paused = json!({ "external_id": "ada", "call_status": "paused" });
    assert_eq!(house.api("POST", "/api/customers", &paused).status, 200);
    let who = || house.said(&["explain", "external:ada"]);
    assert!(who().contains("paused by api"), "{}", who());
    let new = json!({
        "external_id": "bea", "name": "Bea", "phone": "+12125550102", "call_status": "paused",
        "timezone": "America/New_York", "call_time": "07:00", "payment_status": "Paid",
    });
    assert_eq!(house.api("POST", "/api/customers", &new).status, 201);
    let pauses = house.get("/api/status")["pauses"].clone();
    let by: Vec<&str> = pauses
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|pause| pause["who"].as_str())
        .collect();
    assert_eq!(by, ["api", "api"], "{pauses}");
    let scopes =
        "SELECT count(*) FROM meta JOIN customers ON meta.key = 'pause:customer:' || customers.key
        WHERE meta.key LIKE 'pause:%'";
    assert_eq!(
        (house.count(scopes), house.count("SELECT count(*) FROM meta WHERE key LIKE 'pause:%'")),
        (2, 2)
    );
}
