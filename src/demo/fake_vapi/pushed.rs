//! The bodies of the webhooks that the provider sends about a call.

use serde_json::{Value, json};

use crate::demo::fake_vapi::calls::Record;
use crate::demo::fake_vapi::said::tool_call;
use crate::demo::fake_vapi::wire::call_json;

/// A status update about the call as it is now.
pub(super) fn status_update(record: &Record) -> Value {
    let call = call_json(record);
    json!({"message": {"type": "status-update", "status": record.status, "call": call}})
}

/// The use of a tool, if the call has one and somebody has answered.
pub(super) fn tools_used(record: &Record) -> Option<Value> {
    let (Some(tool), Some(_)) = (&record.said.tool, record.started_at) else { return None };
    let tools = json!([tool_call(tool)]);
    let call = call_json(record);
    Some(json!({"message": {"type": "tool-calls", "toolCallList": tools, "call": call}}))
}

/// The end-of-call report, once the call is over.
pub(super) fn report(record: &Record) -> Option<Value> {
    record.ended_at?;
    let call = call_json(record);
    Some(json!({"message": {"type": "end-of-call-report", "endedReason": record.ended_reason,
        "artifact": call["artifact"], "analysis": call["analysis"], "call": call}}))
}

/// The webhook bodies that the provider would have sent about a call by now, in their order.
pub fn pushed_json(record: &Record) -> Value {
    let bodies = [Some(status_update(record)), tools_used(record), report(record)];
    bodies.into_iter().flatten().collect()
}
