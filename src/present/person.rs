//! Everything that is stored about one person, as JSON: the same from the command line, the API and
//! the page.

use std::path::Path;

use serde_json::{Value, json};

use crate::domain::customer::Customer;
use crate::domain::instant_text;
use crate::present::{attempt, customer, event, queue_item};
use crate::store::attempts::{results, second_calls};
use crate::store::customers::source;
use crate::store::events::outbox;
use crate::store::meta::{installation, pauses};
use crate::store::{Conn, do_not_call, journal, made_elsewhere, views};

/// The most calls and journal lines of one person; a call a day for 27 years.
const MOST: usize = 10_000;

/// All of it, with the whole number and the transcripts. `path`: the database file.
pub fn as_json(conn: &Conn, path: &Path, customer: &Customer) -> anyhow::Result<Value> {
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
    let phone_key = installation::installation(conn)?.phone_key(&customer.phone);
    let elsewhere = made_elsewhere::all(conn)?;
    let elsewhere = elsewhere.iter().filter(|call| call.may_have_rung(&customer.phone, &phone_key));
    let elsewhere: Vec<Value> = elsewhere
        .map(|call| {
            json!({
                "vapi_call_id": call.vapi_call_id,
                "phone": call.told,
                "created_at": instant_text(call.created_at),
            })
        })
        .collect();
    let events = outbox::of_customer(conn, customer.id)?;
    let second = second_calls::all(conn)?;
    let second = second.iter().filter(|call| call.customer_key == customer.key);
    let scope = format!("customer:{}", customer.key);
    let pauses = pauses::pauses(conn)?;
    let pause = pauses.iter().find(|(known, _)| *known == scope);
    let as_of = source::as_of(conn, customer.id)?;
    let whose =
        queue_item::Whose { name: Some(&customer.name), assistant: customer.assistant.as_deref() };
    Ok(json!({
        "customer": customer::as_json(customer, true),
        "source_as_of": as_of.map(instant_text),
        "pause": pause.map(|(_, pause)| json!({"why": pause.why, "since": pause.since})),
        "on_do_not_call_list": do_not_call::is_listed(conn, path, &customer.phone)?,
        "items": items
            .iter()
            .map(|item| queue_item::as_json(item, whose))
            .collect::<Vec<_>>(),
        "attempts": attempts,
        "calls_elsewhere": elsewhere,
        "second_calls": second.map(|call| call.vapi_call_id.clone()).collect::<Vec<_>>(),
        "events": events.iter().map(event::as_json).collect::<Vec<_>>(),
        "journal": lines,
    }))
}
