//! The do-not-call list over HTTP.

use serde_json::{Value, json};

use crate::domain::customer::mask_phone;
use crate::domain::instant_text;
use crate::phones;
use crate::steps::dnc::{self, Listed};
use crate::store::do_not_call::{self, Entry};
use crate::store::journal;
use crate::web::api::{WHO, body, one_line, only, reason, reveals, said, text};
use crate::web::delivery::Response;
use crate::web::problem::Problem;
use crate::web::router::Asked;

/// `GET /api/dnc`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["reveal"])?;
    let reveal = reveals(asked)?;
    let store = &asked.front.cx().store;
    let entries = store.read(|conn| do_not_call::all(conn, store.path()))?;
    if reveal {
        let entry = journal::Entry {
            who: WHO,
            what: "reveal",
            subject: "do-not-call",
            ..Default::default()
        };
        store.write(|tx| journal::add(tx, asked.now, entry))?;
    }
    let rows: Vec<Value> = entries.iter().map(|entry| as_json(entry, reveal)).collect();
    Ok(Response::json(200, &json!({ "numbers": rows })))
}

fn as_json(entry: &Entry, reveal: bool) -> Value {
    json!({
        "phone": if reveal { entry.phone.clone() } else { mask_phone(&entry.phone) },
        "reason": entry.reason,
        "source": entry.source,
        "created_at": instant_text(entry.created_at),
    })
}

/// `POST /api/dnc` with `phone` and `reason`: effective before the next call.
pub fn add(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["phone", "reason"])?;
    let (phone, why) = (text(&fields, "phone")?, reason(&fields)?);
    let added = never_call(asked, phone, &why, WHO)?;
    let told = json!({ "added": added, "phone": mask_phone(&e164(phone)?) });
    Ok(Response::json(if added { 201 } else { 200 }, &told))
}

/// `DELETE /api/dnc` with `phone` and `reason`, in the query or the body.
pub fn remove(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["phone", "reason"])?;
    let (phone, why) = (said(asked, "phone")?, said(asked, "reason")?);
    let (phone, why) = if asked.request.body.is_empty() {
        (phone.unwrap_or_default().to_string(), one_line("reason", why.unwrap_or_default())?)
    } else {
        let fields = body(asked, &["phone", "reason"])?;
        (text(&fields, "phone")?.to_string(), reason(&fields)?)
    };
    let (cx, phone) = (asked.front.cx(), e164(&phone)?);
    if !dnc::remove(&cx.store, &cx.installation, &phone, &why, WHO, asked.now)? {
        return Err(Problem::not_found("this number is not on the list").into());
    }
    Ok(Response::json(200, &json!({ "removed": true, "phone": mask_phone(&phone) })))
}

/// The number that a person wrote, in E.164.
fn e164(phone: &str) -> Result<String, Problem> {
    // In a query a plus is a blank.
    phones::e164(phone)
        .or_else(|| phones::e164(&format!("+{}", phone.trim())))
        .ok_or_else(|| Problem::field("phone", "write the number with its country: +12125550101"))
}

/// Puts a number on the list, with the journal. `false`: it was there already.
pub fn never_call(asked: &Asked<'_>, phone: &str, reason: &str, who: &str) -> anyhow::Result<bool> {
    let cx = asked.front.cx();
    let listed = [Listed { phone: e164(phone)?, reason: reason.to_string() }];
    Ok(0 < dnc::add(&cx.store, &cx.installation, &listed, who, asked.now)?)
}
