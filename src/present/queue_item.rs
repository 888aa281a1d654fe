//! A queue item as JSON, the same on the command line and in the API.

use serde_json::{Value, json};

use crate::domain::instant_text;
use crate::store::queue::Item;

/// The columns of the list as CSV.
pub const COLUMNS: [&str; 18] = [
    "id",
    "customer_id",
    "customer_name",
    "call_type",
    "occasion",
    "scheduled_for",
    "due_at",
    "status",
    "reason",
    "attempts",
    "max_attempts",
    "not_before",
    "expires_at",
    "error_message",
    "vapi_call_id",
    "created_at",
    "processed_at",
    "assistant",
];

/// What a list of items shows of the customer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whose<'a> {
    pub name: Option<&'a str>,
    pub assistant: Option<&'a str>,
}

/// All fields of an item, with the customer's name and assistant if they are known.
pub fn as_json(item: &Item, whose: Whose<'_>) -> Value {
    json!({
        "id": item.id,
        "customer_id": item.customer_id,
        "customer_name": whose.name,
        "call_type": item.call_type.as_str(),
        "occasion": item.occasion,
        "scheduled_for": instant_text(item.scheduled_for),
        "due_at": instant_text(item.due_at()),
        "status": item.status.as_str(),
        "reason": item.reason.map(|reason| reason.as_str()),
        "attempts": item.attempts,
        "max_attempts": item.max_attempts,
        "not_before": item.not_before.map(instant_text),
        "expires_at": item.expires_at.map(instant_text),
        "error_message": item.error_message,
        "vapi_call_id": item.vapi_call_id,
        "created_at": instant_text(item.created_at),
        "processed_at": item.processed_at.map(instant_text),
        "assistant": whose.assistant,
    })
}
