//! The queue: the next due first.

use maud::{Markup, Render, html};

use crate::domain::call::{AttemptState, CallType, ItemStatus, Reason};
use crate::domain::role::Role;
use crate::http::response::Response;
use crate::present::queue_item::{self, Whose};
use crate::store::queue::Item;
use crate::store::views::page::{self, AttemptFilter, Named};
use crate::web::api::calls::item_filter;
use crate::web::asked::Asked;
use crate::web::page::calls::doubts::doubts;
use crate::web::page::html::{form, reason_and_button, table};
use crate::web::page::layout::page;
use crate::web::page::lists::{
    CSV_ROWS, ROWS, csv_file, csv_link, due, item_state, occasion, older, select, who,
};

/// `GET /queue`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (filter, zone) = (item_filter(asked)?, asked.front.zone());
    let is_plain = ["status", "type", "reason", "customer", "before"]
        .iter()
        .all(|name| asked.query(name).is_none());
    let in_doubt = AttemptFilter { state: Some(AttemptState::InDoubt), ..AttemptFilter::default() };
    let (found, unsettled) = asked.front.cx().store.read(|conn| {
        // Without a filter: what comes next, and what needs a person.
        if is_plain {
            Ok((page::next_items(conn, ROWS)?, page::attempts(conn, &in_doubt, ROWS)?))
        } else {
            Ok((page::items(conn, &filter, ROWS)?, Vec::new()))
        }
    })?;
    let rows = found.iter().map(|Named { name, assistant, row: item }| {
        [
            item.id.render(),
            who(name, Some(item.customer_id)),
            html! {
                (occasion(item.call_type, &item.occasion))
                @if let Some(assistant) = assistant { " by " (assistant) }
            },
            due(item, &zone),
            item_state(item, asked.now),
            html! { (item.attempts) " of " (item.max_attempts) },
            cancel(asked, item),
        ]
    });
    let header = ["Item", "Who", "Occasion", "Due", "State", "Attempts", "Do"];
    let body = html! {
        div.head {
            h1 { "Queue" }
            p.hint {
                @if is_plain { "What waits, the next due first. Choose a state to see the rest." }
                @else { "The newest first. " a href="/queue" { "What waits" } }
            }
        }
        (doubts(asked, &unsettled, &zone))
        form.filter method="get" {
            (select(asked, "status", "State", ItemStatus::ALL))
            (select(asked, "type", "Kind", CallType::ALL))
            (select(asked, "reason", "Reason", Reason::ALL))
            button { "Show" }
        }
        (table("Queue", header, rows, "Nothing in the queue fits."))
        @if !is_plain { (older(asked, found.get(ROWS - 1).map(|named| named.row.id))) }
        (csv_link(asked))
    };
    Ok(page(asked, "Queue", body))
}

/// The form that cancels a waiting call, folded until it is wanted.
fn cancel(asked: &Asked<'_>, item: &Item) -> Markup {
    if !matches!(item.status, ItemStatus::Pending | ItemStatus::Retrying)
        || asked.role() < Role::Support
    {
        return Markup::default();
    }
    let fields = reason_and_button(&format!("cancel-{}", item.id), "Cancel the call", "danger");
    html! {
        details {
            summary { "Cancel…" }
            (form(asked, &format!("/queue/{}/cancel", item.id), fields))
        }
    }
}

/// `GET /queue.csv`
pub fn file(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let filter = item_filter(asked)?;
    let found = asked.front.cx().store.read(|conn| page::items(conn, &filter, CSV_ROWS))?;
    let rows = found.iter().map(|Named { name, assistant, row }| {
        let whose = Whose { name: Some(name), assistant: assistant.as_deref() };
        queue_item::as_json(row, whose)
    });
    let rows: Vec<_> = rows.collect();
    Ok(csv_file("queue", &queue_item::COLUMNS, &rows))
}
