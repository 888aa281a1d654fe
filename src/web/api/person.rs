//! One person's data: all of it as JSON, and its erasure.

use serde_json::{Value, json};

use crate::domain::customer::Customer;
use crate::http::response::Response;
use crate::present::customer as present_customer;
use crate::present::{attempt, queue_item};
use crate::steps::customers::find;
use crate::store::attempts::{results, second_calls};
use crate::store::customers::source;
use crate::store::journal;
use crate::store::meta::pauses;
use crate::store::{Conn, Tx, do_not_call, made_elsewhere, views};
use crate::web::api::customers::{as_problem, one};
use crate::web::api::{body, only, reason};
use crate::web::asked::Asked;
use crate::web::operate::{self, WhoAndWhy};

/// The most calls and journal lines of one person; a call a day for 27 years.
const MOST: usize = 10_000;

/// `GET /api/customers/{id}/export`: everything that is stored about one person. The journal
/// records it.
pub fn export(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &[])?;
    let customer = asked.front.cx().store.read(|conn| one(conn, asked.named()))?;
    exported(asked, &customer)
}

/// The export of a customer who is known already.
pub fn exported(asked: &Asked<'_>, customer: &Customer) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let told = cx.store.read(|conn| whole(asked, conn, customer))?;
    asked.note_reveal(&format!("customer:{}", customer.id), Some("export"))?;
    Ok(Response::json(200, &told))
}

fn whole(asked: &Asked<'_>, conn: &Conn, customer: &Customer) -> anyhow::Result<Value> {
    let cx = asked.front.cx();
    let items = views::items_of_customer(conn, customer.id)?;
    let calls = views::calls_of_customer(conn, customer.id, MOST)?;
    let mut attempts = Vec::new();
    for call in &calls {
        let mut told = attempt::as_json(call, Some(&customer.name), true);
        let result = results::of_attempt(conn, &call.id)?;
        told["result"] = attempt::result_json(result.as_ref(), true);
        attempts.push(told);
    }
    let mut subjects = vec![format!("customer:{}", customer.id)];
    subjects.extend(items.iter().map(|item| format!("item:{}", item.id)));
    subjects.extend(calls.iter().map(|call| format!("attempt:{}", call.id)));
    let mut lines = Vec::new();
    for subject in &subjects {
        lines.extend(journal::newest(conn, Some(subject), MOST as i64)?);
    }
    lines.sort_by_key(|line| line.id);
    let phone_key = cx.installation.phone_key(&customer.phone);
    let elsewhere = made_elsewhere::all(conn)?;
    let elsewhere = elsewhere.iter().filter(|call| call.may_have_rung(&customer.phone, &phone_key));
    let elsewhere: Vec<Value> = elsewhere
        .map(|call| {
            json!({
                "vapi_call_id": call.vapi_call_id,
                "phone": call.told,
                "created_at": crate::domain::instant_text(call.created_at),
            })
        })
        .collect();
    let second = second_calls::all(conn)?;
    let second = second.iter().filter(|call| call.customer_key == customer.key);
    let scope = format!("customer:{}", customer.key);
    let pauses = pauses::pauses(conn)?;
    let pause = pauses.iter().find(|(known, _)| *known == scope);
    let as_of = source::as_of(conn, customer.id)?;
    let whose =
        queue_item::Whose { name: Some(&customer.name), assistant: customer.assistant.as_deref() };
    Ok(json!({
        "customer": present_customer::as_json(customer, true),
        "source_as_of": as_of.map(crate::domain::instant_text),
        "pause": pause.map(|(_, pause)| json!({"why": pause.why, "since": pause.since})),
        "on_do_not_call_list": do_not_call::is_listed(conn, cx.store.path(), &customer.phone)?,
        "items": items
            .iter()
            .map(|item| queue_item::as_json(item, whose))
            .collect::<Vec<_>>(),
        "attempts": attempts,
        "calls_elsewhere": elsewhere,
        "second_calls": second.map(|call| call.vapi_call_id.clone()).collect::<Vec<_>>(),
        "journal": lines,
    }))
}

/// `DELETE /api/customers/{id}` with `reason`: erases the person, and keeps that they were called.
pub fn erase(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["reason"])?;
    let why = reason(&fields)?;
    let find = |tx: &Tx<'_>| find::one_for_good(tx, asked.named()).map_err(as_problem);
    let by = WhoAndWhy { who: asked.who(), why: &why };
    let (report, emptied) = operate::erase(asked, find, &by)?;
    let mut told = json!(report);
    told["wal_emptied"] = json!(emptied);
    Ok(Response::json(200, &told))
}
