//! The do-not-call list over HTTP.

use serde_json::{Value, json};

use crate::domain::customer::mask_phone;
use crate::domain::instant_text;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::phones;
use crate::steps::do_not_call::list::{self, ListedNumber, ReadNumber};
use crate::store::do_not_call::{self, DoNotCallEntry};
use crate::store::journal::By;
use crate::web::api::customers::DEFAULT_COUNTRY;
use crate::web::api::{body, one_line, only, optional_text, reason, reveals, said, text};
use crate::web::asked::Asked;

/// `GET /api/dnc`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["reveal"])?;
    let reveal = reveals(asked)?;
    let store = &asked.front.cx().store;
    let entries = store.read(|conn| do_not_call::all(conn, store.path()))?;
    if reveal {
        asked.note_reveal("do-not-call", None)?;
    }
    let rows: Vec<Value> = entries.iter().map(|entry| as_json(entry, reveal)).collect();
    Ok(Response::json(200, &json!({ "numbers": rows })))
}

fn as_json(entry: &DoNotCallEntry, reveal: bool) -> Value {
    json!({
        "phone": if reveal { entry.phone.clone() } else { mask_phone(&entry.phone) },
        "reason": entry.reason,
        "source": entry.source,
        "created_at": instant_text(entry.created_at),
    })
}

/// `POST /api/dnc` with `phone` and `reason`; applies before the next call.
pub fn add(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["phone", "reason", DEFAULT_COUNTRY])?;
    let (phone, why) = (text(&fields, "phone")?, reason(&fields)?);
    let told = number(phone, optional_text(&fields, DEFAULT_COUNTRY)?)?;
    let added = put_on(asked, &told.phone, &why, asked.who())?;
    let told = json!({ "added": added, "phone": mask_phone(&told.phone) });
    Ok(Response::json(if added { 201 } else { 200 }, &told))
}

/// `DELETE /api/dnc` with `phone` and `reason`, in the query or the body.
pub fn remove(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["phone", "reason"])?;
    let (phone, why) = if asked.request.body.is_empty() {
        let (phone, why) = (said(asked, "phone")?, said(asked, "reason")?);
        let phone = phone.unwrap_or_default();
        // A query decodes a plus as a blank, so try the number with its plus restored.
        let number = e164(phone, None).or_else(|refused| match phones::e164(&plus(phone)) {
            Some(number) => Ok(number),
            None => Err(refused),
        });
        (number?, one_line("reason", why.unwrap_or_default())?)
    } else {
        let fields = body(asked, &["phone", "reason", DEFAULT_COUNTRY])?;
        let country = optional_text(&fields, DEFAULT_COUNTRY)?;
        (e164(text(&fields, "phone")?, country)?, reason(&fields)?)
    };
    take_off(asked, &phone, &why, asked.who())?;
    Ok(Response::json(200, &json!({ "removed": true, "phone": mask_phone(&phone) })))
}

/// Takes a number off the list and writes the journal.
pub fn take_off(asked: &Asked<'_>, phone: &str, reason: &str, who: &str) -> anyhow::Result<()> {
    let cx = asked.front.cx();
    let by = By { who, now: asked.now };
    if !list::remove(&cx.store, &cx.installation, phone, reason, by)? {
        return Err(Problem::not_found("this number is not on the list").into());
    }
    Ok(())
}

fn plus(phone: &str) -> String {
    format!("+{}", phone.trim())
}

/// Converts a person's number to E.164. Accepts a number that is no longer valid, because it may
/// be on the list.
fn e164(phone: &str, country: Option<&str>) -> Result<String, Problem> {
    let parsed = phones::parse(phone, country).map_err(|why| refused(&why))?;
    Ok(parsed.e164)
}

/// Parses a number to list. Refuses a number that nobody can have.
fn number(phone: &str, country: Option<&str>) -> Result<ReadNumber, Problem> {
    list::number(phone, country).map_err(|why| refused(&why))
}

fn refused(why: &str) -> Problem {
    Problem::field("phone", format!("phone {why}; write it with its country, as +12125550101"))
}

/// Parses a person's number and puts it on the list.
pub fn never_call(asked: &Asked<'_>, phone: &str, reason: &str, who: &str) -> anyhow::Result<bool> {
    put_on(asked, &number(phone, None)?.phone, reason, who)
}

/// Puts a number on the list and writes the journal. `false`: it was already on the list. A
/// customer's stored number needs no check, because it is the number that would be dialed.
pub fn put_on(asked: &Asked<'_>, phone: &str, reason: &str, who: &str) -> anyhow::Result<bool> {
    let cx = asked.front.cx();
    let listed = [ListedNumber { phone: phone.to_string(), reason: reason.to_string() }];
    Ok(0 < list::add(&cx.store, &cx.installation, &listed, By { who, now: asked.now })?)
}
