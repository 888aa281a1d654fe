//! `POST /webhooks/vapi`: stores the provider's events and answers. It decides nothing: the
//! follower applies the events, and only to calls that are in the ledger or carry our mark.

use serde_json::{Value, json};

use crate::domain::Instant;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::steps::follow::webhook_events::{self, WebhookReport};
use crate::store::meta::organization;
use crate::store::{Conn, attempts};
use crate::vapi::webhook::signature::Sent;
use crate::vapi::webhook::{ToolCall, WebhookEvent, read_message};
use crate::web::asked::Asked;

/// Answers 200 to every message whose sender knows the secret, and 401 to all others.
pub fn take(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let request = asked.request;
    let Some(believer) = &asked.front.believer else {
        let why = "VAPI_WEBHOOK_SECRET is not set, so every webhook is refused";
        return Err(Problem::new(401, why).into());
    };
    let header = |name: &str| request.header(name).map(str::to_string);
    let sent = Sent { header: &header, method: &request.method, body: &request.body };
    if let Err(why) = believer.judge(&sent, asked.now) {
        asked.front.disbelieved.warn(&format!(
            "a webhook was refused: {why}; compare VAPI_WEBHOOK_SECRET and [webhook] with the \
             provider's credential"
        ));
        return Err(Problem::new(401, "the webhook's secret is wrong or missing").into());
    }
    // One at a time from here on: parsing a large message takes many times its size in memory.
    let Some(_turn) = asked.front.turn_to_write() else {
        return Err(Problem::new(503, "too many webhooks at once").into());
    };
    let message = read_message(&request.body);
    // An unreadable message is answered 200 as well, because a repetition would not help.
    let is_ours = match message.event {
        Ok(event) => store(asked.front.cx(), event, asked.now)?,
        Err(_) => false,
    };
    let answer = match &message.tool_calls {
        Some(calls) => results(asked.front.cx(), calls, is_ours),
        None => json!({}),
    };
    Ok(Response::json(200, &answer))
}

/// One result line per tool call, so that the assistant can continue.
fn results(cx: &Context, calls: &[ToolCall], is_ours: bool) -> Value {
    let opts_out = &cx.config.do_not_call.tool_name;
    let line = |call: &ToolCall| match (opts_out.is_some() && call.name == *opts_out, is_ours) {
        (true, true) => "Noted: this number will not be called again.",
        (true, false) => "This call is not known here, so nothing was noted; a person must do it.",
        (false, _) => "This tool is not implemented here; continue without its result.",
    };
    let results: Vec<Value> =
        calls.iter().map(|call| json!({"toolCallId": call.id, "result": line(call)})).collect();
    json!({ "results": results })
}

/// Stores the event if it concerns one of our calls; returns whether it does.
fn store(cx: &Context, event: WebhookEvent, now: Instant) -> anyhow::Result<bool> {
    if !cx.store.read(|conn| is_ours(cx, conn, &event))? {
        log::debug!("a webhook about a call that is not ours was dropped");
        return Ok(false);
    }
    let WebhookEvent { kind, status, call, .. } = event;
    let moved = webhook_events::store(cx, &WebhookReport { kind, status, call }, now)?;
    log::debug!("a webhook was stored: {moved:?}");
    Ok(true)
}

/// Whether the event comes from our account and is about a call that is in the ledger or carries
/// our mark. An opt-out also counts while an attempt's call id is unknown.
fn is_ours(cx: &Context, conn: &Conn, event: &WebhookEvent) -> anyhow::Result<bool> {
    let ours = organization::org_id(conn)?;
    if let (Some(told), Some(ours)) = (&event.org_id, &ours)
        && told != ours
    {
        return Ok(false);
    }
    Ok(carries_our_mark(cx, conn, &event.call)?
        || attempts::by_call_id(conn, &event.call_id)?.is_some()
        || webhook_events::may_become_ours(cx, conn, &event.call)?)
}

fn carries_our_mark(cx: &Context, conn: &Conn, call: &ProviderCall) -> anyhow::Result<bool> {
    if call.installation_id.as_ref() == Some(&cx.installation.id) {
        return Ok(true);
    }
    for tag in call.tags() {
        // A tag is `w-`, `d-` or `x-` and the attempt's id.
        let Some((_, id)) = tag.split_once('-') else { continue };
        if attempts::by_id(conn, id)?.is_some_and(|attempt| attempt.tag() == tag) {
            return Ok(true);
        }
    }
    Ok(false)
}
