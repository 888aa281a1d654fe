//! An attempt as JSON, the same on the command line and in the API.

use serde_json::{Value, json};

use crate::domain::instant_text;
use crate::present::output;
use crate::store::attempts::Attempt;
use crate::store::attempts::results::CallResult;

/// The columns of the list as CSV.
pub const COLUMNS: [&str; 22] = [
    "id",
    "seq",
    "queue_id",
    "customer_id",
    "customer_key",
    "customer_name",
    "call_type",
    "occasion",
    "attempt_no",
    "phone",
    "state",
    "disposition",
    "ended_reason",
    "error_message",
    "vapi_call_id",
    "clean_reads",
    "started_at",
    "ended_at",
    "duration_seconds",
    "cost",
    "created_at",
    "updated_at",
];

/// The phone is masked unless it is revealed.
pub fn as_json(attempt: &Attempt, customer_name: Option<&str>, reveal: bool) -> Value {
    json!({
        "id": attempt.id,
        "seq": attempt.seq,
        "queue_id": attempt.queue_id,
        "customer_id": attempt.customer_id,
        "customer_key": attempt.customer_key,
        "customer_name": customer_name,
        "call_type": attempt.call_type.as_str(),
        "occasion": attempt.occasion,
        "attempt_no": attempt.attempt_no,
        "phone": attempt.phone.as_deref().map(|phone| output::phone(phone, reveal)),
        "state": attempt.state.as_str(),
        "disposition": attempt.disposition.map(|disposition| disposition.as_str()),
        "ended_reason": attempt.ended_reason,
        "error_message": attempt.error_message,
        "vapi_call_id": attempt.vapi_call_id,
        "clean_reads": attempt.clean_reads,
        "started_at": attempt.started_at.map(instant_text),
        "ended_at": attempt.ended_at.map(instant_text),
        "duration_seconds": attempt.duration_seconds,
        "cost": attempt.cost,
        "created_at": instant_text(attempt.created_at),
        "updated_at": instant_text(attempt.updated_at),
    })
}

/// The result of a call; null if nothing is known. The transcript only if it is revealed.
pub fn result_json(result: Option<&CallResult>, reveal: bool) -> Value {
    let Some(result) = result else { return Value::Null };
    let mut told = json!({
        "summary": result.summary,
        "success_evaluation": result.success_evaluation,
        "structured": result.structured,
        "source": result.source.as_str(),
        "received_at": instant_text(result.received_at),
        "updated_at": instant_text(result.updated_at),
    });
    if reveal {
        told["transcript"] = json!(result.transcript);
    }
    told
}

/// A structured value in words: texts as they are, yes and no, everything else as JSON.
pub fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_string(),
        Value::Bool(false) => "no".to_string(),
        other => other.to_string(),
    }
}
