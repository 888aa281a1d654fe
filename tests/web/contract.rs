//! The description of the API agrees with the API itself.

use std::collections::BTreeSet;

use ringonce::web::router::ROUTES;
use serde_json::{Value, json};

use crate::house::{House, Plan};

fn document() -> Value {
    serde_json::from_str(include_str!("../../src/web/api/openapi.json")).expect("JSON")
}

fn described() -> BTreeSet<(String, String)> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths").clone();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").clone();
            methods.into_iter().map(move |(method, _)| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let is_page = |path: &str| {
        !path.starts_with("/api/") && !["/healthz", "/metrics", "/webhooks/vapi"].contains(&path)
    };
    let routes: BTreeSet<(String, String)> = ROUTES
        .iter()
        .filter(|route| !is_page(route.path))
        .map(|route| (route.method.to_string(), route.path.to_string()))
        .collect();
    assert_eq!(routes, described());
}

#[test]
fn the_description_is_valid_openapi() {
    let schema: Value =
        serde_json::from_str(include_str!("../data/openapi-3.1.schema.json")).expect("JSON");
    let official = jsonschema::validator_for(&schema).expect("the official schema");
    let complaints: Vec<String> =
        official.iter_errors(&document()).map(|error| error.to_string()).collect();
    assert_eq!(complaints, Vec::<String>::new());
    let mut broken = document();
    broken["paths"]["/api/dnc"]["get"]["responses"] = json!(7);
    assert!(!official.is_valid(&broken), "the schema complains of nothing");
}

#[test]
fn every_cause_that_health_can_name_is_described_and_nothing_else_is() {
    // Each word stands once, in the one function that gives a cause its word.
    let source = include_str!("../../src/steps/readiness/health.rs");
    let words = source.split("fn as_str").nth(1).and_then(|text| text.split("\n    }\n").next());
    let told: BTreeSet<&str> = words.expect("the function").split('"').skip(1).step_by(2).collect();
    assert!(told.contains("odd_rows"), "{told:?}");
    let document = document().to_string();
    let list =
        document.split("[\"database_unreadable\"").nth(1).and_then(|text| text.split(']').next());
    let described: BTreeSet<&str> = list.expect("the list").split('"').skip(1).step_by(2).collect();
    assert_eq!(&told - &described, BTreeSet::from(["database_unreadable"]));
    assert_eq!(&described - &told, BTreeSet::new());
}

#[test]
fn every_reference_of_the_description_leads_somewhere_and_every_operation_is_named_once() {
    let document = document();
    assert_eq!(document["openapi"], json!("3.1.0"));
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().expect("a pointer");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    let mut names = BTreeSet::new();
    for (method, path) in described() {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let name = operation["operationId"].as_str().expect("a name");
        assert!(names.insert(name.to_string()), "{name} twice");
        assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{path}");
    }
}

/// Whether an answer fits the schema that the description gives for it.
fn assert_fits(method: &str, path: &str, status: u16, answer: &Value) {
    let document = document();
    let response =
        &document["paths"][path][method.to_lowercase()]["responses"][status.to_string()]["content"];
    let schema = &response["application/json"]["schema"];
    let schema =
        if schema.is_null() { &response["application/problem+json"]["schema"] } else { schema };
    assert!(!schema.is_null(), "{method} {path} {status} is not described");
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
        "allOf": [schema],
    });
    let validator = jsonschema::validator_for(&whole).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{method} {path} {status}: {errors:?} in {answer}");
}

#[test]
fn every_answer_fits_its_description() {
    let config = "[events]\nurl = \"http://127.0.0.1:9/hook\"\n".to_string();
    let faults = "reset-before-accept:first=1";
    let house = House::build(&Plan { faults, config, ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    house
        .wait_for("the doubt", || house.get("/api/attempts")["attempts"][0]["state"] == "in_doubt");
    let attempts = house.get("/api/attempts");
    let id = attempts["attempts"][0]["id"].as_str().expect("an id").to_string();
    let number = json!({"phone": "+442079460103", "reason": "asked"});
    let new =
        json!({"email": "new@example.com", "phone": "+442079460104", "timezone": "Europe/London"});
    let why = json!({"reason": "a test"});
    let at_night = json!({"reason": "a test", "at": "2026-11-24T08:00:00Z", "key": "k-1"});
    let word = json!({"outcome": "not_placed", "reason": "a test"});
    let nothing = Value::Null;
    let asked: Vec<(&str, &str, &str, &Value)> = vec![
        ("GET", "/api/openapi.json", "", &nothing),
        ("GET", "/api/status", "", &nothing),
        ("GET", "/api/customers", "?limit=1", &nothing),
        ("POST", "/api/customers", "", &new),
        ("PUT", "/api/customers", "", &new),
        ("POST", "/api/customers", "", &why),
        ("GET", "/api/customers/{id}", "u1", &nothing),
        ("GET", "/api/customers/{id}", "nobody", &nothing),
        ("GET", "/api/customers/{id}/explain", "u1", &nothing),
        ("POST", "/api/dnc", "", &number),
        ("GET", "/api/dnc", "", &nothing),
        ("DELETE", "/api/dnc", "", &number),
        ("GET", "/api/queue", "?status=failed", &nothing),
        ("GET", "/api/attempts", "?state=in_doubt", &nothing),
        ("GET", "/api/attempts", "?changed_after=0&limit=5", &nothing),
        ("GET", "/api/attempts", "?changed_after=99999999", &nothing),
        ("GET", "/api/events", "?limit=5", &nothing),
        ("GET", "/api/events", "?undelivered=maybe", &nothing),
        ("GET", "/api/report", "?from=2026-11-01&by=week", &nothing),
        ("GET", "/api/report", "?from=2026-11-01&to=2026-10-01", &nothing),
        ("GET", "/api/attempts/{id}", &id, &nothing),
        ("GET", "/api/attempts/{id}", "ffffffff", &nothing),
        ("GET", "/api/attempts/{id}/recording", &id, &nothing),
        ("POST", "/api/pause", "", &why),
        ("POST", "/api/resume", "", &why),
        ("POST", "/api/attempts/{id}/resolve", &id, &word),
        ("POST", "/api/attempts/{id}/resolve", "ffff", &word),
        ("POST", "/api/attempts/{id}/close", &id, &why),
        ("POST", "/api/attempts/{id}/close", "ffff", &why),
        ("POST", "/api/queue/{id}/cancel", "1", &why),
        ("POST", "/api/queue/{id}/cancel", "999999", &why),
        ("POST", "/api/customers/{id}/call", "u1", &why),
        ("POST", "/api/customers/{id}/call", "u1", &at_night),
        ("GET", "/api/customers/{id}/export", "u1", &nothing),
        ("DELETE", "/api/customers/{id}", "new@example.com", &why),
        ("DELETE", "/api/customers/{id}", "new@example.com", &why),
    ];
    for (method, path, place, body) in &asked {
        let target = match path.contains("{id}") {
            true => path.replace("{id}", place),
            false => format!("{path}{place}"),
        };
        let answer = house.api(method, &target, body);
        assert_fits(method, path, answer.status, &answer.json());
    }
    assert!(house.get("/api/events").to_string().contains("call.in_doubt"), "no event was seen");
    for query in ["on=2026-11-23", "on=2026-11-20", "at=2026-11-22T12:00:00Z"] {
        let answer = house.get(&format!("/api/customers/u1/explain?{query}"));
        assert_fits("GET", "/api/customers/{id}/explain", 200, &answer);
    }
    let tried: BTreeSet<(String, String)> =
        asked.iter().map(|(method, path, ..)| (method.to_string(), path.to_string())).collect();
    let open = ["/healthz", "/metrics", "/webhooks/vapi"];
    let left: Vec<_> = described()
        .into_iter()
        .filter(|known| !tried.contains(known) && !open.contains(&known.1.as_str()))
        .collect();
    assert!(left.is_empty(), "not tried: {left:?}");
}

/// Places of objects without any description of their fields, and of values of several types.
fn untyped(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let is_schema = |name: &str| fields.contains_key(name);
            let types: Vec<&str> = match &fields.get("type") {
                Some(Value::String(one)) => vec![one],
                Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            let kinds = types.iter().filter(|kind| **kind != "null").count();
            let is_open = types.contains(&"object")
                && !["properties", "additionalProperties", "allOf"].into_iter().any(is_schema);
            if is_open || kinds > 1 || (types.contains(&"array") && !is_schema("items")) {
                found.push(place.to_string());
            }
            for (name, inner) in fields {
                untyped(inner, &format!("{place}/{name}"), found);
            }
        }
        Value::Array(all) => all.iter().for_each(|inner| untyped(inner, place, found)),
        _ => {}
    }
}

#[test]
fn every_body_of_the_description_has_its_type() {
    let mut found = Vec::new();
    untyped(&document(), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let mut odd = Vec::new();
    let bodies = [
        json!({"type": ["string", "number"]}),
        json!({"type": "object"}),
        json!({"type": "array"}),
    ];
    bodies.iter().for_each(|body| untyped(body, "x", &mut odd));
    assert_eq!(odd.len(), 3);
}

#[test]
fn a_query_takes_the_parameters_that_are_described_and_no_other() {
    let house = House::build(&Plan::default());
    let document = document();
    let mut tried = 0;
    for (method, path) in described() {
        let parameters = &document["paths"][&path][method.to_lowercase()]["parameters"];
        let parameters = parameters.as_array().cloned().unwrap_or_default();
        let named = |place: &str| parameters.iter().filter(|one| one["in"] == place).count();
        if named("query") == 0 {
            continue;
        }
        let target = path.replace("{id}", "u1");
        let field_of = |query: &str| {
            let answer = house.api(&method, &format!("{target}?{query}"), &Value::Null);
            assert_eq!(answer.status, 422, "{method} {target}?{query}");
            answer.json()["field"].clone()
        };
        assert_eq!(field_of("nobody=1"), "nobody", "{path}");
        for one in parameters.iter().filter(|one| one["in"] == "query" && method == "GET") {
            let name = one["name"].as_str().expect("a name");
            // An empty value is refused as a value, which shows that the field is known.
            let field = field_of(&format!("{name}="));
            assert_eq!(field, name, "{path}");
            tried += 1;
        }
    }
    assert!(20 <= tried, "{tried}");
}
