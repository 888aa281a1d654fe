//! Queue items and attempts over HTTP.

use serde_json::{Value, json};

use crate::domain::call::{AttemptState, CallType, Disposition, ItemStatus, Reason};
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::present::attempt;
use crate::present::queue_item::{Whose, as_json};
use crate::steps::operate::Resolved;
use crate::store::attempts::Attempt;
use crate::store::queue::{Item, item as item_of_id};
use crate::store::views::page::{self, AttemptFilter, Named, PageItemFilter};
use crate::web::api::customers::one;
use crate::web::api::{
    body, limit, number, only, optional_text, page_of, reason, results, said, text, word,
};
use crate::web::asked::Asked;
use crate::web::operate::{self, WhoAndWhy as Why};

/// The words of a closed list.
macro_rules! words {
    ($of:ident) => {
        $of::ALL.iter().map(|word| word.as_str()).collect::<Vec<&str>>()
    };
}

/// Parses the query's filter for a list of items.
pub fn item_filter(asked: &Asked<'_>) -> anyhow::Result<PageItemFilter> {
    Ok(PageItemFilter {
        status: word(asked, "status", ItemStatus::parse, &words!(ItemStatus))?,
        call_type: word(asked, "type", CallType::parse, &words!(CallType))?,
        reason: word(asked, "reason", Reason::parse, &words!(Reason))?,
        customer_id: customer_id(asked)?,
        before: number(asked, "before")?,
    })
}

/// Parses the query's filter for a list of attempts.
pub fn attempt_filter(asked: &Asked<'_>) -> anyhow::Result<AttemptFilter> {
    Ok(AttemptFilter {
        state: word(asked, "state", AttemptState::parse, &words!(AttemptState))?,
        disposition: word(asked, "disposition", Disposition::parse, &words!(Disposition))?,
        call_type: word(asked, "type", CallType::parse, &words!(CallType))?,
        customer_id: customer_id(asked)?,
        before: number(asked, "before")?,
        ..AttemptFilter::default()
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
    let found = asked.front.cx().store.read(|conn| page::items(conn, &filter, limit))?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.row.id);
    let rows = found.iter().map(item_json).collect();
    Ok(page_of("items", rows, next))
}

fn item_json(named: &Named<Item>) -> Value {
    let assistant = named.assistant.as_deref();
    as_json(&named.row, Whose { name: Some(&named.name), assistant })
}

/// `GET /api/attempts`: the newest first, or with `changed_after` in the order of changes.
pub fn attempts(asked: &Asked<'_>) -> anyhow::Result<Response> {
    if let Some(cursor) = number(asked, "changed_after")? {
        return results::changed(asked, cursor);
    }
    only(asked, &["state", "disposition", "type", "customer", "before", "limit", "changed_after"])?;
    let (filter, limit) = (attempt_filter(asked)?, limit(asked)?);
    let found = asked.front.cx().store.read(|conn| page::attempts(conn, &filter, limit))?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.row.seq);
    Ok(page_of("attempts", found.iter().map(attempt_json).collect(), next))
}

fn attempt_json(named: &Named<Attempt>) -> Value {
    attempt::as_json(&named.row, Some(&named.name), false)
}

/// `POST /api/attempts/{id}/resolve`: a person resolves a doubt. Fields: `outcome` (`placed` or
/// `not_placed`), `reason`, and the provider's `call_id` if known.
pub fn resolve(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["outcome", "call_id", "reason"])?;
    let call_id = optional_text(&fields, "call_id")?;
    let word = operate::word(text(&fields, "outcome")?, call_id)?;
    let why = reason(&fields)?;
    let resolved =
        operate::resolve(asked, asked.named(), &word, &Why { who: asked.who(), why: &why })?;
    let became = match resolved {
        Resolved::Placed => "placed",
        Resolved::Retrying => "retrying",
        Resolved::Closed => "closed",
    };
    Ok(Response::json(200, &json!({ "resolved": true, "became": became })))
}

/// `POST /api/attempts/{id}/close`: a person closes a placed call that does not end. Field: `reason`.
pub fn close(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let why = reason(&body(asked, &["reason"])?)?;
    operate::close(asked, asked.named(), &Why { who: asked.who(), why: &why })?;
    Ok(Response::json(200, &json!({ "closed": true })))
}

/// `POST /api/queue/{id}/cancel`: a waiting item is not called. Field: `reason`. An item that was
/// cancelled before is answered as now, so that the request may be sent again.
pub fn cancel(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let why = reason(&body(asked, &["reason"])?)?;
    let unknown = || Problem::not_found(format!("there is no item {}", asked.named()));
    let id: i64 = asked.named().parse().map_err(|_| unknown())?;
    let known = asked.front.cx().store.read(|conn| item_of_id(conn, id))?;
    let was_cancelled = known.is_some_and(|item| {
        item.status == ItemStatus::Skipped && item.reason == Some(Reason::Cancelled)
    });
    if !was_cancelled {
        operate::cancel(asked, id, &Why { who: asked.who(), why: &why })?;
    }
    Ok(Response::json(200, &json!({ "cancelled": true, "item_id": id })))
}
