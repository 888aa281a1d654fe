//! One attempt with its result, the attempts that changed, and recordings.

use serde_json::{Value, json};

use crate::domain::call::AttemptState;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::present::attempt;
use crate::provider::ReadError;
use crate::store::attempts::{changes, results};
use crate::store::views::page;
use crate::web::api::{limit, only, reveals};
use crate::web::asked::Asked;
use crate::web::operate;

/// The most bytes of results in one answer of the changed attempts.
const LARGEST_PAGE: usize = 4 * 1024 * 1024;

/// `GET /api/attempts/{id}`: with `reveal=true` also the whole phone and the transcript.
pub fn one(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["reveal"])?;
    let reveal = reveals(asked)?;
    let store = &asked.front.cx().store;
    let (found, name, result) = store.read(|conn| {
        let found = operate::attempt_of(conn, asked.named())?;
        let name = page::name_of(conn, found.customer_id)?;
        let result = results::of_attempt(conn, &found.id)?;
        Ok((found, name, result))
    })?;
    if reveal {
        asked.note_reveal(&format!("attempt:{}", found.id), None)?;
    }
    let mut told = attempt::as_json(&found, Some(&name), reveal);
    told["result"] = attempt::result_json(result.as_ref(), reveal);
    Ok(Response::json(200, &told))
}

/// `GET /api/attempts?changed_after=CURSOR`: the attempts that changed after the cursor, or whose
/// results did. `next` is the cursor of the next request, also when nothing has changed.
pub fn changed(asked: &Asked<'_>, cursor: i64) -> anyhow::Result<Response> {
    only(asked, &["changed_after", "limit"])?;
    let limit = limit(asked)?;
    let store = &asked.front.cx().store;
    let (newest, (found, more)) = store.read(|conn| {
        Ok((changes::newest(conn)?, changes::after(conn, cursor, limit, LARGEST_PAGE)?))
    })?;
    if newest < cursor {
        let detail = "changed_after is ahead of this database, which is another one: begin again \
                      with changed_after=0";
        return Err(Problem::field("changed_after", detail).into());
    }
    let next = found.last().map_or(cursor, |last| last.change);
    let rows: Vec<Value> = found
        .iter()
        .map(|told| {
            let mut row = attempt::as_json(&told.attempt, Some(&told.name), false);
            row["result"] = attempt::result_json(told.result.as_ref(), false);
            row
        })
        .collect();
    Ok(Response::json(200, &json!({ "attempts": rows, "next": next, "more": more })))
}

/// `GET /api/attempts/{id}/recording`, and the page's link: asks the provider for a short-lived URL
/// and redirects to it. Nothing of the recording is stored.
pub fn recording(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &[])?;
    let store = &asked.front.cx().store;
    let found = store.read(|conn| operate::attempt_of(conn, asked.named()))?;
    // An erased person is no longer heard either.
    let is_kept = found.phone.is_some() && found.state == AttemptState::Ended;
    let Some(call_id) = found.vapi_call_id.as_ref().filter(|_| is_kept) else {
        let detail = format!("attempt {} has no recording", found.id);
        return Err(Problem::not_found(detail).into());
    };
    let url = asked.front.service.provider.recording(call_id).map_err(|error| match error {
        ReadError::NotFound => Problem::not_found("the provider has no recording of this call"),
        other => Problem::new(502, format!("the recording was not found out: {other}; try again")),
    })?;
    asked.note_reveal(&format!("attempt:{}", found.id), Some("recording"))?;
    Ok(Response::new(302).with_header("Location", &url))
}
