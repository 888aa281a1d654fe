//! The do-not-call list over HTTP.

use serde_json::{Value, json};

use crate::domain::customer::mask_phone;
use crate::domain::instant_text;
use crate::phones;
use crate::store::do_not_call::{self, Entry};
use crate::store::journal;
use crate::store::queue::Moved;
use crate::web::api::{WHO, body, one_line, reason, reveals, text};
use crate::web::delivery::Response;
use crate::web::problem::Problem;
use crate::web::router::Asked;

/// `GET /api/dnc`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let entries = store.read(do_not_call::all)?;
    let reveal = reveals(asked);
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
    let entry = entry(asked, text(&fields, "phone")?, reason(&fields)?, WHO)?;
    let added = put(asked, &entry, true)?;
    let status = if added { 201 } else { 200 };
    Ok(Response::json(status, &json!({ "added": added, "number": as_json(&entry, false) })))
}

/// `DELETE /api/dnc` with `phone` and `reason`, in the query or the body.
pub fn remove(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (phone, why) = if asked.request.body.is_empty() {
        let phone = asked.query("phone").unwrap_or_default().to_string();
        (phone, one_line("reason", asked.query("reason").unwrap_or_default())?)
    } else {
        let fields = body(asked, &["phone", "reason"])?;
        (text(&fields, "phone")?.to_string(), reason(&fields)?)
    };
    let entry = entry(asked, &phone, why, WHO)?;
    if !put(asked, &entry, false)? {
        return Err(Problem::not_found("this number is not on the list").into());
    }
    Ok(Response::json(200, &json!({ "removed": true, "number": as_json(&entry, false) })))
}

/// An entry for a number as a person wrote it.
pub fn entry(asked: &Asked<'_>, phone: &str, why: String, who: &str) -> Result<Entry, Problem> {
    // In a query a plus is a blank.
    let phone = phones::e164(phone)
        .or_else(|| phones::e164(&format!("+{}", phone.trim())))
        .ok_or_else(|| Problem::field("phone", "write the number with its country: +12125550101"))?;
    Ok(Entry { phone, reason: why, source: who.to_string(), created_at: asked.now })
}

/// Adds or removes a number, with the journal. `false`: it was so already.
pub fn put(asked: &Asked<'_>, entry: &Entry, on: bool) -> anyhow::Result<bool> {
    let cx = asked.front.cx();
    let path = cx.store.path();
    cx.store.write(|tx| {
        let moved = match on {
            true => do_not_call::add(tx, path, entry)?,
            false => do_not_call::remove(tx, path, entry)?,
        };
        if moved == Moved::Yes {
            // The journal can never be erased: it names the number by its key alone.
            let subject = format!("number:{}", cx.installation.phone_key(&entry.phone));
            let line = journal::Entry {
                who: &entry.source,
                what: "do not call",
                subject: &subject,
                old: None,
                new: Some(if on { "added" } else { "removed" }),
                why: Some(&entry.reason),
            };
            journal::add(tx, asked.now, line)?;
        }
        Ok(moved == Moved::Yes)
    })
}
