//! A customer as JSON, the same on the command line and in the API.

use serde_json::{Value, json};

use crate::domain::customer::Customer;
use crate::domain::instant_text;
use crate::present::output;

/// The columns of the list as CSV.
pub const COLUMNS: [&str; 28] = [
    "id",
    "key",
    "external_id",
    "name",
    "email",
    "phone",
    "phone_validated",
    "phone_validation_error",
    "timezone",
    "call_time",
    "call_schedule",
    "payment_status",
    "call_status",
    "welcome_call_completed",
    "next_call_scheduled_at",
    "last_call_date",
    "last_call_id",
    "total_calls_made",
    "consecutive_failures",
    "variables",
    "shared_phone",
    "consent_at",
    "consent_source",
    "consent_text",
    "eligible_from",
    "created_at",
    "updated_at",
    "assistant",
];

/// Every column, with the phone masked unless it is revealed.
pub fn as_json(customer: &Customer, reveal: bool) -> Value {
    json!({
        "id": customer.id,
        "key": customer.key,
        "external_id": customer.external_id,
        "name": customer.name,
        "email": customer.email,
        "phone": output::phone(&customer.phone, reveal),
        "phone_validated": customer.phone_validated,
        "phone_validation_error": customer.phone_validation_error,
        "timezone": customer.timezone,
        "call_time": customer.call_time,
        "call_schedule": customer.call_schedule,
        "payment_status": customer.payment_status,
        "call_status": customer.call_status.as_str(),
        "welcome_call_completed": customer.welcome_call_completed,
        "next_call_scheduled_at": customer.next_call_scheduled_at.map(instant_text),
        "last_call_date": customer.last_call_date.map(|date| date.to_string()),
        "last_call_id": customer.last_call_id,
        "total_calls_made": customer.total_calls_made,
        "consecutive_failures": customer.consecutive_failures,
        "variables": customer.variables,
        "shared_phone": customer.shared_phone,
        "consent_at": customer.consent_at.map(instant_text),
        "consent_source": customer.consent_source,
        "consent_text": customer.consent_text,
        "eligible_from": customer.eligible_from.map(instant_text),
        "created_at": instant_text(customer.created_at),
        "updated_at": instant_text(customer.updated_at),
        "assistant": customer.assistant,
    })
}
