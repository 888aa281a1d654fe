//! Writes and reads Vapi's JSON: the body of one `POST /call`, and the provider's record of a call.
//!
//! Reading is tolerant: a call needs only its id. An unknown word, a missing field or a field of
//! another type never loses the rest. A call that cannot be read has rung all the same. This module
//! makes no requests.

use crate::vapi::values::{call_id, number, read_instant, replace, text, transcript, whole, word};
use serde_json::{Value, json};

use crate::domain::call::CallType;
use crate::domain::instant_text;
use crate::provider::{PlaceOrder, ProviderCall, Speaker};
use crate::vapi::findings;

/// The whole body of one `POST /call`. It holds only properties of the official schema; the
/// provider answers 400 to any other.
///
/// The tag is sent in three places, because the provider may lose any of them.
pub fn order_body(order: &PlaceOrder) -> Value {
    let mut body = json!({
        "phoneNumberId": order.phone_number_id,
        "name": order.tag,
        "customer": { "number": order.phone, "externalId": order.tag },
    });
    let overrides = json!({
        "variableValues": order.variables,
        "metadata": {
            "attemptId": order.tag,
            "installationId": order.installation_id,
            "armedAt": instant_text(order.armed_at),
            "seq": order.seq,
            "attemptNo": order.attempt_no,
            "customerKey": order.customer_key,
            "callType": order.call_type.as_str(),
            "occasion": order.occasion,
        },
    });
    match &order.speaker {
        Speaker::Assistant { id, version } => {
            body["assistantId"] = json!(id);
            if let Some(version) = version {
                body["assistantVersion"] = json!(version);
            }
            body["assistantOverrides"] = overrides;
        }
        Speaker::Squad { id } => {
            body["squadId"] = json!(id);
            body["squadOverrides"] = overrides;
        }
    }
    body
}

/// A call of the provider. `None` only when it has no usable id.
pub fn read_call(value: &Value) -> Option<ProviderCall> {
    let places = ["assistantOverrides", "squadOverrides"].map(|of| &value[of]["metadata"]);
    let metadata = places.into_iter().find(|found| found.is_object()).unwrap_or(&value["metadata"]);
    let customer = &value["customer"];
    let analysis = &value["analysis"];
    Some(ProviderCall {
        id: call_id(&value["id"])?,
        org_id: word(&value["orgId"]),
        kind: word(&value["type"]),
        assistant_id: word(&value["assistantId"]),
        squad_id: word(&value["squadId"]),
        created_at: read_instant(&value["createdAt"]),
        status: word(&value["status"]),
        ended_reason: word(&value["endedReason"]),
        started_at: read_instant(&value["startedAt"]),
        ended_at: read_instant(&value["endedAt"]),
        cost: number(&value["cost"]),
        transcript: spoken(value),
        summary: text(&analysis["summary"]).or_else(|| text(&value["summary"])),
        success_evaluation: findings::success_evaluation(value),
        structured_data: findings::structured_data(value),
        structured_outputs: findings::structured_outputs(value),
        tool_names: findings::tool_names(value),
        customer_number: word(&customer["number"]).or_else(|| word(&customer["sipUri"])),
        name: word(&value["name"]),
        external_id: word(&customer["externalId"]),
        attempt_tag: word(&metadata["attemptId"]),
        installation_id: word(&metadata["installationId"]),
        armed_at: read_instant(&metadata["armedAt"]),
        seq: whole(&metadata["seq"]),
        attempt_no: whole(&metadata["attemptNo"]),
        customer_key: word(&metadata["customerKey"]),
        call_type: word(&metadata["callType"]).and_then(|word| CallType::parse(&word)),
        occasion: word(&metadata["occasion"]),
        left_out: false,
    })
}

fn spoken(value: &Value) -> Option<String> {
    transcript(&value["artifact"]["transcript"]).or_else(|| transcript(&value["transcript"]))
}

/// The call in the reply to a POST. A batch reply, which we never ask for, is searched for the
/// call that carries our tag.
pub fn read_reply(body: &[u8], tag: &str) -> Option<ProviderCall> {
    let value: Value = serde_json::from_slice(body).ok()?;
    read_call(&value).or_else(|| {
        value["results"].as_array()?.iter().filter_map(read_call).find(|call| call.carries(tag))
    })
}

/// Merges `value`, the outer part of a webhook, over the call inside it. Only the customer's number
/// of the call wins.
pub(super) fn read_end(value: &Value, call: &mut ProviderCall) {
    let analysis = &value["analysis"];
    replace(&mut call.ended_reason, word(&value["endedReason"]));
    call.customer_number =
        call.customer_number.take().or_else(|| word(&value["customer"]["number"]));
    replace(&mut call.started_at, read_instant(&value["startedAt"]));
    replace(&mut call.ended_at, read_instant(&value["endedAt"]));
    replace(&mut call.cost, number(&value["cost"]));
    replace(&mut call.transcript, spoken(value));
    replace(&mut call.summary, text(&analysis["summary"]).or_else(|| text(&value["summary"])));
    replace(&mut call.success_evaluation, findings::success_evaluation(value));
    findings::lay_over(&mut call.structured_data, findings::structured_data(value));
    findings::lay_over(&mut call.structured_outputs, findings::structured_outputs(value));
    for name in findings::tool_names(value).into_iter().flatten() {
        let names = call.tool_names.get_or_insert_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vapi::values::LONGEST_WORD;

    #[test]
    fn a_call_is_read_whatever_else_is_odd_about_it() {
        let cases = [
            json!({"id": "c1"}),
            json!({"id": "c1", "status": "dreaming", "endedReason": "never-heard-of-it"}),
            json!({"id": "c1", "createdAt": 17, "cost": {}, "customer": [], "analysis": "no"}),
            json!({"id": "c1", "assistantOverrides": null, "metadata": 4, "name": false}),
        ];
        for value in cases {
            let call = read_call(&value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(call.id, "c1", "{value}");
        }
    }

    #[test]
    fn a_call_without_a_usable_id_is_not_a_call() {
        let long = "x".repeat(LONGEST_WORD + 1);
        for id in [json!(null), json!(""), json!(7), json!("a b"), json!("a\nb"), json!(long)] {
            assert_eq!(read_call(&json!({"id": id})), None, "{id}");
        }
        for value in [json!([]), json!(null), json!("c1"), json!(1)] {
            assert_eq!(read_call(&value), None, "{value}");
        }
    }

    #[test]
    fn our_metadata_comes_back_as_numbers_or_as_text() {
        for (seq, attempt_no) in [(json!(41), json!(2)), (json!("41"), json!("2"))] {
            let metadata = json!({"attemptId": "d-1", "seq": seq, "attemptNo": attempt_no,
                "callType": "daily", "occasion": "2026-11-22"});
            let value = json!({"id": "c1", "assistantOverrides": {"metadata": metadata}});
            let call = read_call(&value).unwrap();
            assert_eq!((call.seq, call.attempt_no), (Some(41), Some(2)));
            assert_eq!(call.call_type, Some(CallType::Daily));
            assert!(call.carries("d-1") && !call.carries("d-2"));
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let name = "é".repeat(LONGEST_WORD);
        let call = read_call(&json!({"id": "c1", "name": name})).unwrap();
        assert_eq!(call.name.unwrap(), "é".repeat(LONGEST_WORD / 2));
    }
}
