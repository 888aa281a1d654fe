//! Queue items and attempts over HTTP.

use serde_json::{Value, json};

use crate::cli::queue::as_json;
use crate::domain::call::{AttemptState, CallType, Disposition, ItemStatus, Reason};
use crate::domain::customer::mask_phone;
use crate::domain::instant_text;
use crate::steps::operate::Resolved;
use crate::store::attempts::Attempt;
use crate::store::web_views::{self, AttemptFilter, ItemFilter, Named};
use crate::web::acts::{self, Reason as Why};
use crate::web::api::customers::one;
use crate::web::api::{
    WHO, body, limit, number, only, optional_text, page_of, reason, said, text, word,
};
use crate::web::delivery::Response;
use crate::web::problem::Problem;
use crate::web::router::Asked;

/// The words of a closed list.
macro_rules! words {
    ($of:ident) => {
        $of::ALL.iter().map(|word| word.as_str()).collect::<Vec<&str>>()
    };
}

/// What the query says about a list of items.
pub fn item_filter(asked: &Asked<'_>) -> anyhow::Result<ItemFilter> {
    Ok(ItemFilter {
        status: word(asked, "status", ItemStatus::parse, &words!(ItemStatus))?,
        call_type: word(asked, "type", CallType::parse, &words!(CallType))?,
        reason: word(asked, "reason", Reason::parse, &words!(Reason))?,
        customer_id: customer_id(asked)?,
        before: number(asked, "before")?,
    })
}

/// What the query says about a list of attempts.
pub fn attempt_filter(asked: &Asked<'_>) -> anyhow::Result<AttemptFilter> {
    Ok(AttemptFilter {
        state: word(asked, "state", AttemptState::parse, &words!(AttemptState))?,
        disposition: word(asked, "disposition", Disposition::parse, &words!(Disposition))?,
        call_type: word(asked, "type", CallType::parse, &words!(CallType))?,
        customer_id: customer_id(asked)?,
        before: number(asked, "before")?,
    })
}

fn customer_id(asked: &Asked<'_>) -> anyhow::Result<Option<i64>> {
    let Some(who) = said(asked, "customer")? else { return Ok(None) };
    let customer = asked.front.cx().store.read(|conn| one(conn, who));
    match customer {
        Ok(customer) => Ok(Some(customer.id)),
        Err(error) => match error.downcast::<Problem>() {
            Ok(problem) => Err(Problem { field: Some("customer".to_string()), ..problem }.into()),
            Err(error) => Err(error),
        },
    }
}

/// `GET /api/queue`
pub fn queue(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["status", "type", "reason", "customer", "before", "limit"])?;
    let (filter, limit) = (item_filter(asked)?, limit(asked)?);
    let found = asked.front.cx().store.read(|conn| web_views::items(conn, &filter, limit))?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.row.id);
    let rows = found.iter().map(|named| as_json(&named.row, Some(&named.name))).collect();
    Ok(page_of("items", rows, next))
}

/// `GET /api/attempts`
pub fn attempts(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["state", "disposition", "type", "customer", "before", "limit"])?;
    let (filter, limit) = (attempt_filter(asked)?, limit(asked)?);
    let found = asked.front.cx().store.read(|conn| web_views::attempts(conn, &filter, limit))?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.row.seq);
    Ok(page_of("attempts", found.iter().map(attempt_json).collect(), next))
}

/// An attempt as JSON, its phone masked.
fn attempt_json(named: &Named<Attempt>) -> Value {
    let attempt = &named.row;
    json!({
        "id": attempt.id,
        "seq": attempt.seq,
        "queue_id": attempt.queue_id,
        "customer_id": attempt.customer_id,
        "customer_key": attempt.customer_key,
        "customer_name": named.name,
        "call_type": attempt.call_type,
        "occasion": attempt.occasion,
        "attempt_no": attempt.attempt_no,
        "phone": attempt.phone.as_deref().map(mask_phone),
        "state": attempt.state,
        "disposition": attempt.disposition,
        "ended_reason": attempt.ended_reason,
        "vapi_call_id": attempt.vapi_call_id,
        "started_at": attempt.started_at.map(instant_text),
        "ended_at": attempt.ended_at.map(instant_text),
        "duration_seconds": attempt.duration_seconds,
        "cost": attempt.cost,
        "error_message": attempt.error_message,
        "created_at": instant_text(attempt.created_at),
        "updated_at": instant_text(attempt.updated_at),
    })
}

/// `POST /api/attempts/{id}/resolve` with `outcome` (`placed` or `not_placed`), `reason`, and the
/// provider's `call_id` where it is known: a person's word about a doubt.
pub fn resolve(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["outcome", "call_id", "reason"])?;
    let call_id = optional_text(&fields, "call_id")?;
    let word = acts::word(text(&fields, "outcome")?, call_id)?;
    let why = reason(&fields)?;
    let resolved = acts::resolve(asked, asked.named(), &word, &Why { who: WHO, why: &why })?;
    let became = match resolved {
        Resolved::Placed => "placed",
        Resolved::Retrying => "retrying",
        Resolved::Closed => "closed",
    };
    Ok(Response::json(200, &json!({ "resolved": true, "became": became })))
}
