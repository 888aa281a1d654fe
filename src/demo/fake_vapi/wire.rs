//! The fake's JSON: parses requests as strictly as the real provider, and writes calls and refusals
//! in its shapes. It refuses unknown properties, names that are too long, and numbers that are not
//! E.164.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::demo::fake_vapi::answers::{FakePlaced, FakeRefusal, FakeReply, Form, Query};
use crate::demo::fake_vapi::calls::{Order, Record};
use crate::demo::fake_vapi::said;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::http::response::{Delivery, Response};

const CREATE: &[&str] = &[
    "assistant",
    "assistantId",
    "assistantOverrides",
    "assistantVersion",
    "customer",
    "customerId",
    "customers",
    "name",
    "phoneNumber",
    "phoneNumberId",
    "schedulePlan",
    "squad",
    "squadId",
    "squadOverrides",
    "transport",
    "workflow",
    "workflowId",
    "workflowOverrides",
];
const CUSTOMER: &[&str] = &[
    "assistantOverrides",
    "email",
    "extension",
    "externalId",
    "name",
    "number",
    "numberE164CheckEnabled",
    "sipUri",
    "squadOverrides",
];
const OVERRIDES: &[&str] = &[
    "endCallMessage",
    "firstMessage",
    "maxDurationSeconds",
    "metadata",
    "name",
    "server",
    "serverMessages",
    "variableValues",
    "voicemailDetection",
    "voicemailMessage",
];
const E164: &str = "customer.number must be a valid phone number in the E.164 format. Hot tip, you \
                    may be missing the country code (Eg. US: +1).";

/// Collects all errors of a body, as the real provider does.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn unknown(&mut self, object: &Map<String, Value>, path: &str, known: &[&str]) {
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.0.push(format!("{path}property {name} should not exist"));
        }
    }

    /// A text of at most 40 characters; `None` if it is missing.
    fn short_text(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        name: &str,
    ) -> Option<String> {
        match object.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                if text.chars().count() > 40 {
                    let limit = "must be shorter than or equal to 40 characters";
                    self.0.push(format!("{path}{name} {limit}"));
                }
                Some(text.clone())
            }
            Some(_) => {
                self.0.push(format!("{path}{name} must be a string"));
                None
            }
        }
    }

    fn needed_text(&mut self, object: &Map<String, Value>, path: &str, name: &str) -> String {
        match object.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => text.to_string(),
            _ => {
                self.0.push(format!("{path}{name} must be a string"));
                String::new()
            }
        }
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        name: &str,
    ) -> Map<String, Value> {
        match object.get(name) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(inner)) => inner.clone(),
            Some(_) => {
                self.0.push(format!("{path}{name} must be an object"));
                Map::new()
            }
        }
    }
}

/// The fake's answer about a kind of thing: an assistant that says that it is an AI, a squad of one
/// assistant, or a tool that is unknown.
pub fn settings_json(kind: &str, id: &str) -> Value {
    match kind {
        "assistant" => assistant_json(id),
        "squad" => json!({"id": id, "members": [{"assistantId": format!("{id}-first")}]}),
        _ => Value::Null,
    }
}

fn assistant_json(id: &str) -> Value {
    let told =
        "You are Ada, an AI assistant. Tell everybody so, and take them off the list on request.";
    json!({
        "id": id,
        "name": "Ada",
        "firstMessage": "Hello, this is Ada, an AI assistant of Example.",
        "voicemailDetection": { "provider": "vapi" },
        "model": {
            "provider": "openai",
            "model": "gpt-4o",
            "messages": [{ "role": "system", "content": told }],
        },
    })
}

/// Parses the body of `POST /call`.
pub fn read_order(content_type: Option<&str>, body: &[u8]) -> Result<Order, FakeRefusal> {
    let is_json = content_type.is_some_and(|text| text.starts_with("application/json"));
    if !is_json {
        return Err(FakeRefusal::one(400, "the body must be application/json"));
    }
    let object = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(FakeRefusal::one(400, "the body must be an object")),
        Err(error) => return Err(FakeRefusal::one(400, &format!("Unexpected token: {error}"))),
    };
    let mut complaints = Complaints::default();
    complaints.unknown(&object, "", CREATE);
    for name in ["customers", "schedulePlan"] {
        if object.contains_key(name) {
            complaints.0.push(format!("{name} is not supported by this fake"));
        }
    }
    let customer = complaints.object(&object, "", "customer");
    complaints.unknown(&customer, "customer.", CUSTOMER);
    let squad_id = complaints.short_text(&object, "", "squadId");
    let name = if squad_id.is_some() { "squadOverrides" } else { "assistantOverrides" };
    let overrides = complaints.object(&object, "", name);
    let path = format!("{name}.");
    complaints.unknown(&overrides, &path, OVERRIDES);
    let assistant_version = complaints.short_text(&object, "", "assistantVersion");
    if squad_id.is_some() && (object.contains_key("assistantId") || assistant_version.is_some()) {
        complaints.0.push("a squad has no assistantId and no assistantVersion".to_string());
    }
    let number = customer.get("number").and_then(Value::as_str).unwrap_or_default();
    if !is_e164(number) {
        complaints.0.push(E164.to_string());
    }
    complaints.short_text(&customer, "customer.", "name");
    let order = Order {
        name: complaints.short_text(&object, "", "name"),
        external_id: complaints.short_text(&customer, "customer.", "externalId"),
        number: number.to_string(),
        assistant_id: match squad_id {
            Some(_) => String::new(),
            None => complaints.needed_text(&object, "", "assistantId"),
        },
        assistant_version,
        squad_id,
        phone_number_id: complaints.needed_text(&object, "", "phoneNumberId"),
        metadata: complaints.object(&overrides, &path, "metadata"),
        variables: complaints.object(&overrides, &path, "variableValues"),
    };
    if complaints.0.is_empty() { Ok(order) } else { Err(bad_request(complaints.0)) }
}

fn bad_request(messages: Vec<String>) -> FakeRefusal {
    FakeRefusal { status: 400, messages, as_array: true, retry_after_secs: None }
}

fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Parses the filters of `GET /call`. The fake refuses the real provider's other filters (by
/// assistant, number, id, update), so that no test relies on them.
pub fn read_query(pairs: &[(String, String)]) -> Result<Query, FakeRefusal> {
    let mut query = Query::default();
    let mut complaints = Vec::new();
    for (name, value) in pairs {
        let mut instant = || {
            let at = parse_instant(value);
            if at.is_none() {
                complaints.push(format!("{name} must be a valid ISO 8601 date string"));
            }
            at
        };
        match name.as_str() {
            "createdAtGe" => query.from = instant(),
            "createdAtGt" => query.after = instant(),
            "createdAtLe" => query.to = instant(),
            "createdAtLt" => query.before = instant(),
            "limit" => match value.parse() {
                Ok(limit @ 1..=1000) => query.limit = limit,
                _ => complaints.push("limit must not be greater than 1000".to_string()),
            },
            _ => complaints.push(format!("property {name} should not exist")),
        }
    }
    if complaints.is_empty() { Ok(query) } else { Err(bad_request(complaints)) }
}

/// A call in the provider's shape.
pub fn call_json(record: &Record) -> Value {
    let order = &record.order;
    let mut customer = json!({"number": order.number});
    let mut call = json!({
        "phoneNumberId": order.phone_number_id,
        "type": "outboundPhoneCall",
        "createdAt": instant_text(record.created_at),
        "updatedAt": instant_text(record.updated_at),
        "orgId": record.org_id,
        "cost": record.cost,
        "status": record.status,
        "phoneCallProvider": "twilio",
    });
    let overrides = json!({"variableValues": order.variables, "metadata": order.metadata});
    match &order.squad_id {
        Some(squad_id) => {
            call["squadId"] = json!(squad_id);
            call["squadOverrides"] = overrides;
        }
        None => {
            call["assistantId"] = json!(order.assistant_id);
            call["assistantOverrides"] = overrides;
        }
    }
    let at = |instant: Option<Instant>| instant.map(|at| json!(instant_text(at)));
    let optional = [
        ("id", record.id.as_ref().map(|id| json!(id))),
        ("name", order.name.as_ref().map(|name| json!(name))),
        ("assistantVersion", order.assistant_version.as_ref().map(|version| json!(version))),
        ("startedAt", at(record.started_at)),
        ("endedAt", at(record.ended_at)),
        ("endedReason", record.ended_reason.as_ref().map(|reason| json!(reason))),
    ];
    if let Some(external_id) = &order.external_id {
        customer["externalId"] = json!(external_id);
    }
    call["customer"] = customer;
    for (name, value) in optional {
        if let Some(value) = value {
            call[name] = value;
        }
    }
    if record.ended_at.is_some() && record.started_at.is_some() {
        said::add(&mut call, record);
    }
    call
}

/// A 201, whole or damaged by faults.
pub fn placed_response(placed: &FakePlaced) -> Response {
    let mut call = call_json(&placed.record);
    call["subscriptionLimits"] = json!({
        "concurrencyBlocked": placed.concurrency_blocked,
        "concurrencyLimit": placed.concurrency_limit,
        "remainingConcurrentCalls": placed.remaining_calls,
    });
    let whole = Response::json(201, &call);
    let half = whole.body.len() / 2;
    match placed.form {
        Form::Whole | Form::NoId => whole,
        Form::Empty => Response::new(201),
        Form::Truncated => whole.with_delivery(Delivery::Cut(half)),
        Form::Html => Response::html(201, "<html><body>Created</body></html>"),
        Form::Huge(megabytes) => {
            whole.with_delivery(Delivery::Padded((megabytes.max(0.0) * 1e6) as u64))
        }
        Form::Drip(pause) => whole.with_delivery(Delivery::Drip(pause)),
        Form::Array => Response::json(201, &json!([call])),
    }
}

/// The HTTP response of a failed request.
pub fn reply_response(reply: &FakeReply, path: &str) -> Response {
    let silent = |delivery| Response::new(500).with_delivery(delivery);
    match reply {
        FakeReply::Refused(refusal) => refusal_response(refusal),
        FakeReply::Html(status) => {
            let page = format!("<html><body><h1>Error {status}</h1>edge.example.com</body></html>");
            Response::html(*status, &page)
        }
        FakeReply::Redirect { status, to } => {
            Response::new(*status).with_header("Location", to.as_deref().unwrap_or(path))
        }
        FakeReply::Close => silent(Delivery::Close),
        FakeReply::Reset => silent(Delivery::Reset),
        FakeReply::Hang(duration) => silent(Delivery::Hang(*duration)),
        FakeReply::Cut => {
            let page = json!([{"id": "cut-off"}]);
            Response::json(200, &page).with_delivery(Delivery::Cut(9))
        }
    }
}

pub fn refusal_response(refusal: &FakeRefusal) -> Response {
    let message = match refusal.messages.as_slice() {
        [one] if !refusal.as_array => json!(one),
        several => json!(several),
    };
    let error = match refusal.status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Error",
    };
    let body = json!({"message": message, "error": error, "statusCode": refusal.status});
    let response = Response::json(refusal.status, &body);
    match refusal.retry_after_secs {
        Some(seconds) => response.with_header("Retry-After", &seconds.to_string()),
        None => response,
    }
}

/// The longest real time that an answer may take, long enough for the slow faults.
pub const SLOWEST: Duration = Duration::from_secs(3600);
