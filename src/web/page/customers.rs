//! Customers: the search and the list.

use maud::{Markup, Render, html};

use crate::domain::customer::{Customer, mask_phone};
use crate::http::response::Response;
use crate::steps::customers::find;
use crate::store::Conn;
use crate::store::customers::search::find;
use crate::store::customers::{self, Filter, Found};
use crate::web::api::number;
use crate::web::asked::Asked;
use crate::web::page::html::{badge, in_url, or_dash, table, time};
use crate::web::page::layout::{go_to, page};
use crate::web::page::standing::{Known, rhythm, standing};

const ROWS: usize = 50;

/// `GET /customers`: everybody, or the matches of the search. A text that names exactly one customer
/// leads to their page.
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let text = asked.query("q");
    let after = number(asked, "after")?.unwrap_or(0);
    let store = &asked.front.cx().store;
    let mut named = Vec::new();
    if let Some(text) = text.filter(|_| after == 0) {
        named = match store.read(|conn| find(conn, text))? {
            Found::Nobody => Vec::new(),
            Found::Several(customers) => customers,
            Found::One(customer) => {
                if store.read(|conn| find::also_meant(conn, &customer, text))?.is_empty() {
                    return Ok(go_to(&format!("/customers/id:{}", customer.id)));
                }
                vec![*customer]
            }
        };
    }
    let filter = Filter { text: text.map(str::to_string), ..Filter::default() };
    let matching = store.read(|conn| customers::list(conn, &filter, ROWS, after))?;
    let is_named = |other: &&Customer| named.iter().any(|named| named.id == other.id);
    let others = matching.iter().filter(|other| !is_named(other));
    let rows = store.read(|conn| {
        named
            .iter()
            .chain(others)
            .map(|customer| row(asked, conn, customer))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let header = ["Name", "Phone", "Zone", "Called", "Payment", "State", "Next call"];
    let text = text.unwrap_or_default();
    let body = html! {
        div.head { h1 { "Customers" } }
        form.filter method="get" role="search" {
            label.field.grow {
                span { "Name, e-mail, phone or id" }
                input type="search" name="q" value=(text);
            }
            button { "Find" }
        }
        (table("Customers", header, rows, "Nobody fits."))
        @if let Some(last) = matching.get(ROWS - 1) {
            p { a href={ "/customers?q=" (in_url(text)) "&after=" (last.id) } { "More" } }
        }
    };
    Ok(page(asked, "Customers", body))
}

fn row(asked: &Asked<'_>, conn: &Conn, customer: &Customer) -> anyhow::Result<[Markup; 7]> {
    let cx = asked.front.cx();
    let zone = cx.zones.get(&customer.timezone);
    let shown = zone.clone().unwrap_or_else(|| asked.front.zone());
    let (tone, word) = standing(customer, &Known::of(cx, conn, customer)?, &shown, asked.now);
    let coming = customer.next_call_scheduled_at.filter(|at| asked.now <= *at).zip(zone);
    let name = if customer.name.is_empty() { "(no name)" } else { &customer.name };
    Ok([
        html! { a href={ "/customers/id:" (customer.id) } { (name) } },
        mask_phone(&customer.phone).render(),
        customer.timezone.render(),
        rhythm(asked, customer),
        customer.payment_status.render(),
        badge(tone, &word),
        or_dash(coming.map(|(at, zone)| time(at, &zone))),
    ])
}
