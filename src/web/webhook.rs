//! `POST /webhooks/vapi`: stores what the provider tells and answers. Decides nothing: the
//! follower applies it, and only to calls that the ledger knows or that carry our mark.

use serde_json::json;

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::steps::events::{self, Told};
use crate::store::{Conn, attempts, meta};
use crate::vapi::webhook::{WebhookEvent, authorised, parse_event};
use crate::web::delivery::Response;
use crate::web::problem::Problem;
use crate::web::router::Asked;

/// Answers 200 to every message of a sender who knows the secret, 401 to everybody else.
pub fn take(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let request = asked.request;
    let header = |name: &str| request.header(name).map(str::to_string);
    let secret = asked.front.webhook_secret.as_ref();
    let Some(secret) = secret else {
        let why = "VAPI_WEBHOOK_SECRET is not set, so no webhook is believed";
        return Err(Problem::new(401, why).into());
    };
    if !authorised(&header, &request.body, secret.expose(), asked.now) {
        return Err(Problem::new(401, "the webhook's secret is wrong or missing").into());
    }
    let done = Response::json(200, &json!({}));
    // What cannot be read concerns no call of ours; repeating it would not help.
    let Ok(event) = parse_event(&request.body) else { return Ok(done) };
    let Some(_turn) = asked.front.turn_to_write() else {
        return Err(Problem::new(503, "too many webhooks at once").into());
    };
    store(asked.front.cx(), event, asked.now)?;
    Ok(done)
}

fn store(cx: &Context, event: WebhookEvent, now: Instant) -> anyhow::Result<()> {
    if !cx.store.read(|conn| is_ours(cx, conn, &event))? {
        log::debug!("a webhook about a call that is not ours was dropped");
        return Ok(());
    }
    let WebhookEvent { kind, status, call, tool_names, .. } = event;
    let moved = events::store(cx, &Told { kind, status, call, tool_names }, now)?;
    log::debug!("a webhook was stored: {moved:?}");
    Ok(())
}

/// Whether the event is about a call that the ledger knows or that carries our mark, told by our
/// own account.
fn is_ours(cx: &Context, conn: &Conn, event: &WebhookEvent) -> anyhow::Result<bool> {
    let ours = meta::org_id(conn)?;
    if let (Some(told), Some(ours)) = (&event.org_id, &ours)
        && told != ours
    {
        return Ok(false);
    }
    Ok(carries_our_mark(cx, conn, &event.call)?
        || attempts::by_call_id(conn, &event.call_id)?.is_some())
}

fn carries_our_mark(cx: &Context, conn: &Conn, call: &ProviderCall) -> anyhow::Result<bool> {
    if call.installation_id.as_ref() == Some(&cx.installation.id) {
        return Ok(true);
    }
    for tag in call.tags() {
        // `d-` and the attempt's id.
        let Some((_, id)) = tag.split_once('-') else { continue };
        if attempts::by_id(conn, id)?.is_some_and(|attempt| attempt.tag() == tag) {
            return Ok(true);
        }
    }
    Ok(false)
}
