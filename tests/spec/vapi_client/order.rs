//! The one request: the official schema, the tags, the key and nothing else.

use jsonschema::Validator;
use ringonce::domain::call::CallType;
use ringonce::provider::{PlaceOrder, Speaker};
use ringonce::vapi::wire;
use serde_json::{Value, json};

use super::server::{Server, answer};
use super::{KEY, client, daily, order, parsed, place, sample};

/// The official schema of a create request, with every object that we fill closed to unknown
/// properties.
fn create_call() -> Validator {
    let mut document = parsed(&sample("openapi-calls.json"));
    plain_schema(&mut document);
    for name in ["CreateCallDTO", "CreateCustomerDTO", "AssistantOverrides"] {
        document["components"]["schemas"][name]["additionalProperties"] = json!(false);
    }
    document["$ref"] = json!("#/components/schemas/CreateCallDTO");
    jsonschema::validator_for(&document).unwrap()
}

/// OpenAPI 3.0 says `nullable` where JSON Schema adds a type.
fn plain_schema(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.remove("nullable") == Some(json!(true)) {
                let kind = map.remove("type").unwrap_or(json!("object"));
                map.insert("type".to_string(), json!([kind, "null"]));
            }
            map.values_mut().for_each(plain_schema);
        }
        Value::Array(items) => items.iter_mut().for_each(plain_schema),
        _ => {}
    }
}

#[test]
fn every_order_passes_the_official_schema() {
    let schema = create_call();
    for call_type in CallType::ALL {
        let rich = order(*call_type, 7);
        let mut empty = rich.clone();
        empty.variables.clear();
        let speaks = |speaker: Speaker| PlaceOrder { speaker, ..rich.clone() };
        let pinned = speaks(Speaker::Assistant { id: "a".into(), version: Some("3".into()) });
        let squad = speaks(Speaker::Squad { id: "s".into() });
        for order in [empty, pinned, squad, rich.clone()] {
            let body = wire::order_body(&order);
            let errors: Vec<String> =
                schema.iter_errors(&body).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{call_type}: {errors:?}");
        }
    }
}

#[test]
fn the_schema_refuses_what_the_provider_would_refuse() {
    let schema = create_call();
    let good = wire::order_body(&daily());
    let changes: [(&str, Value); 7] = [
        ("/metadata", json!({})),
        ("/idempotencyKey", json!("x")),
        ("/name", json!("n".repeat(41))),
        ("/customer/externalId", json!("n".repeat(41))),
        ("/customer/phone", json!("+12125550101")),
        ("/customer/number", json!(12125550101_u64)),
        ("/assistantOverrides/metaData", json!({})),
    ];
    for (path, value) in changes {
        let mut body = good.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[field] = value;
        assert!(!schema.is_valid(&body), "{path}");
    }
    assert!(schema.is_valid(&good));
}

#[test]
fn the_same_tag_travels_in_all_three_places() {
    for call_type in CallType::ALL {
        let order = order(*call_type, 9);
        let body = wire::order_body(&order);
        for path in ["/name", "/customer/externalId", "/assistantOverrides/metadata/attemptId"] {
            assert_eq!(body.pointer(path), Some(&json!(order.tag)), "{path}");
        }
        assert!(order.tag.len() <= 40);
        let metadata = &body["assistantOverrides"]["metadata"];
        assert_eq!(metadata["installationId"], json!(order.installation_id));
        assert_eq!(metadata["armedAt"], json!("2026-11-22T17:01:00.123Z"));
        assert_eq!((&metadata["seq"], &metadata["attemptNo"]), (&json!(9), &json!(1)));
        assert_eq!(metadata["customerKey"], json!(order.customer_key));
        assert_eq!(metadata["callType"], json!(call_type.as_str()));
        assert_eq!(metadata["occasion"], json!(order.occasion));
    }
}

#[test]
fn a_squad_gets_the_same_overrides_and_no_assistant() {
    let order = daily();
    let plain = wire::order_body(&order);
    let id = "s-1".to_string();
    let squad = wire::order_body(&PlaceOrder { speaker: Speaker::Squad { id }, ..order.clone() });
    assert_eq!(squad["squadOverrides"], plain["assistantOverrides"]);
    assert_eq!(squad["squadId"], "s-1");
    for name in ["assistantId", "assistantVersion", "assistantOverrides"] {
        assert_eq!(squad.get(name), None, "{name}");
    }
    assert_eq!(plain.get("assistantVersion"), None);
    let mut told = squad;
    told["id"] = json!("c1");
    let call = wire::read_call(&told).unwrap();
    assert_eq!((call.attempt_tag, call.seq), (Some(order.tag), Some(order.seq)));
    assert_eq!(call.squad_id.as_deref(), Some("s-1"));
}

#[test]
fn one_plain_request_leaves_on_a_connection_of_its_own() {
    let server = Server::always(answer(201, "", &sample("call_queued.json")));
    let order = daily();
    place(&client(&format!("{}/", server.url())), &order).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.line(), "POST /call HTTP/1.1");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("connection"), Some("close"));
    assert_eq!(request.header("expect"), None);
    assert!(!request.header("accept-encoding").unwrap_or_default().contains("gzip"));
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert_eq!(parsed(&body), wire::order_body(&order));
    assert!(!body.contains('\n'), "compact");
    assert_eq!(server.connections(), 1);
}

#[test]
fn two_orders_never_share_a_connection() {
    let server = Server::always(answer(201, "Connection: keep-alive\r\n", "{}"));
    let client = client(&server.url());
    for _ in 0..3 {
        place(&client, &daily()).unwrap();
    }
    assert_eq!(server.requests().len(), 3);
    assert_eq!(server.connections(), 3);
}

/// Set in the child process: the address to call.
const TARGET: &str = "RINGONCE_SPEC_TARGET";

#[test]
fn proxies_of_the_environment_are_not_used() {
    if let Ok(target) = std::env::var(TARGET) {
        place(&client(&target), &daily()).unwrap();
        return;
    }
    let proxy = Server::always(answer(201, "", "{}"));
    let server = Server::always(answer(201, "", "{}"));
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("{module}::proxies_of_the_environment_are_not_used")]);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, proxy.url()).env(name.to_uppercase(), proxy.url());
    }
    for name in ["no_proxy", "NO_PROXY"] {
        child.env_remove(name);
    }
    let output = child.env(TARGET, server.url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(proxy.connections(), 0);
}
