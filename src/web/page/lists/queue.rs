//! The queue: the next due first.

use maud::{Render, html};

use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::http::response::Response;
use crate::present::queue_item;
use crate::store::views::page::{self, Named};
use crate::web::api::calls::item_filter;
use crate::web::asked::Asked;
use crate::web::page::html::table;
use crate::web::page::layout::page;
use crate::web::page::lists::{
    CSV_ROWS, ROWS, csv_file, csv_link, due, item_state, occasion, older, select, who,
};

/// `GET /queue`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (filter, zone) = (item_filter(asked)?, asked.front.zone());
    let found = asked.front.cx().store.read(|conn| page::items(conn, &filter, ROWS))?;
    let rows = found.iter().map(|Named { name, row: item }| {
        [
            item.id.render(),
            who(name, Some(item.customer_id)),
            occasion(item.call_type, &item.occasion),
            due(item, &zone),
            item_state(item, asked.now),
            html! { (item.attempts) " of " (item.max_attempts) },
        ]
    });
    let header = ["Item", "Who", "Occasion", "Due", "State", "Attempts"];
    let body = html! {
        div.head { h1 { "Queue" } }
        form.filter method="get" {
            (select(asked, "status", "State", ItemStatus::ALL))
            (select(asked, "type", "Kind", CallType::ALL))
            (select(asked, "reason", "Reason", Reason::ALL))
            button { "Show" }
        }
        (table("Queue", header, rows, "Nothing in the queue fits."))
        (older(asked, found.get(ROWS - 1).map(|named| named.row.id)))
        (csv_link(asked))
    };
    Ok(page(asked, "Queue", body))
}

/// `GET /queue.csv`
pub fn file(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let filter = item_filter(asked)?;
    let found = asked.front.cx().store.read(|conn| page::items(conn, &filter, CSV_ROWS))?;
    let rows: Vec<_> =
        found.iter().map(|named| queue_item::as_json(&named.row, Some(&named.name))).collect();
    Ok(csv_file("queue", &queue_item::COLUMNS, &rows))
}
