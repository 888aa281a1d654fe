//! The do-not-call list.

use maud::{Render, html};
use serde_json::json;

use crate::domain::customer::mask_phone;
use crate::domain::instant_text;
use crate::http::response::Response;
use crate::store::do_not_call;
use crate::web::asked::Asked;
use crate::web::page::html::{form, reason_and_button, table, time};
use crate::web::page::layout::page;
use crate::web::page::lists::{csv_file, csv_link};

/// Rows of the page, which has no second page; the file has all.
const NUMBERS: usize = 200;

/// `GET /do-not-call`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let zone = asked.front.zone();
    let store = &asked.front.cx().store;
    let found = store.read(|conn| do_not_call::all(conn, store.path()))?;
    let rows = found.iter().rev().take(NUMBERS).map(|entry| {
        [
            mask_phone(&entry.phone).render(),
            entry.reason.render(),
            entry.source.render(),
            time(entry.created_at, &zone),
        ]
    });
    let fields = html! {
        label.field for="phone" {
            span { "Phone" }
            input #phone name="phone" type="tel" required autocomplete="off"
                placeholder="+1 212 555 0101";
        }
        (reason_and_button("why", "Never call it", "danger"))
    };
    let header = ["Phone", "Reason", "Added by", "When"];
    let body = html! {
        div.head { h1 { "Do not call" } }
        p.hint {
            (found.len()) @if found.len() == 1 { " number" } @else { " numbers" }
            ". None of them is called, whoever they belong to; the list outlives a restored \
             backup. A number that its country renumbered is listed once and protected in its old \
             and new forms. To take one off: "
            code { "ringonce dnc remove PHONE --reason WHY" } "."
        }
        (form(asked, "/do-not-call", fields))
        (table("Do not call", header, rows, "The list is empty."))
        (csv_link(asked))
    };
    Ok(page(asked, "Do not call", body))
}

/// `GET /do-not-call.csv`
pub fn file(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let found = store.read(|conn| do_not_call::all(conn, store.path()))?;
    let rows: Vec<_> = found
        .iter()
        .rev()
        .map(|entry| {
            json!({
                "phone": mask_phone(&entry.phone),
                "reason": entry.reason,
                "source": entry.source,
                "created_at": instant_text(entry.created_at),
            })
        })
        .collect();
    Ok(csv_file("do-not-call", &["phone", "reason", "source", "created_at"], &rows))
}
