//! An event of the outbox as JSON, the same on the command line and in the API.

use serde_json::{Value, json};

use crate::domain::instant_text;
use crate::store::events::outbox::Event;

/// The columns of a list of events as CSV, which are the JSON keys of one.
pub const COLUMNS: [&str; 13] = [
    "seq",
    "id",
    "type",
    "state",
    "customer_id",
    "attempt_id",
    "created_at",
    "tries",
    "next_at",
    "delivered_at",
    "given_up_at",
    "last_error",
    "data",
];

/// All fields of an event, with its content as the application gets it.
pub fn as_json(event: &Event) -> Value {
    json!({
        "seq": event.seq,
        "id": event.id,
        "type": event.kind,
        "state": state(event),
        "customer_id": event.customer_id,
        "attempt_id": event.attempt_id,
        "created_at": instant_text(event.created_at),
        "tries": event.tries,
        "next_at": event.next_at.map(instant_text),
        "delivered_at": event.delivered_at.map(instant_text),
        "given_up_at": event.given_up_at.map(instant_text),
        "last_error": event.last_error,
        "data": serde_json::from_str::<Value>(&event.data).unwrap_or_default(),
    })
}

/// `waiting`, `delivered` or `given_up`.
pub fn state(event: &Event) -> &'static str {
    match (event.delivered_at, event.given_up_at) {
        (Some(_), _) => "delivered",
        (None, Some(_)) => "given_up",
        (None, None) => "waiting",
    }
}
