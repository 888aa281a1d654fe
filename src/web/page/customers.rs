//! Customers: the search and the list, filtered by how things stand.

use maud::{Markup, Render, html};

use crate::domain::customer::columns::parse_date;
use crate::domain::customer::{Customer, mask_phone};
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::present::customer::{COLUMNS, as_json};
use crate::steps::customers::find;
use crate::store::customers::Found;
use crate::store::customers::people::{
    COUNTED_MAX, Order, PeopleFilter, Rows, Standing, count, people,
};
use crate::store::customers::search::find;
use crate::store::{Conn, do_not_call};
use crate::web::api::{number, word};
use crate::web::asked::Asked;
use crate::web::page::html::{badge, or_dash, query, table, time};
use crate::web::page::layout::{go_to, page};
use crate::web::page::lists::{CSV_ROWS, ROWS, csv_file, csv_link, date_field};
use crate::web::page::standing::{Known, rhythm, standing};
use crate::web::page::words;

/// The filter of the query.
fn filter(asked: &Asked<'_>) -> anyhow::Result<PeopleFilter> {
    let cx = asked.front.cx();
    let known: Vec<&str> = Standing::ALL.iter().map(|standing| standing.as_str()).collect();
    let orders: Vec<&str> = Order::ALL.iter().map(|order| order.as_str()).collect();
    let standing = word(asked, "state", Standing::parse, &known)?;
    let since = asked.query("since").map(parse_date).transpose();
    let since = since.map_err(|why| Problem::field("since", format!("since: {why}")))?;
    let zone = asked.front.zone();
    let midnight = |date: chrono::NaiveDate| zone.resolve(date.and_time(chrono::NaiveTime::MIN));
    let listed = match standing {
        Some(Standing::NeverCall) => {
            let all = cx.store.read(|conn| do_not_call::all(conn, cx.store.path()))?;
            all.iter().flat_map(|entry| do_not_call::forms(&entry.phone)).collect()
        }
        _ => Vec::new(),
    };
    Ok(PeopleFilter {
        text: asked.query("q").map(str::to_string),
        // A date alone asks who was not reached since.
        standing: standing.or(since.map(|_| Standing::NotReached)),
        since: since.map(midnight),
        order: word(asked, "sort", Order::parse, &orders)?.unwrap_or(Order::Added),
        eligible: cx.rules.eligible_payment_status.clone(),
        listed,
    })
}

/// `GET /customers`: everybody, or those who fit the filter. A text that names exactly one customer
/// leads to their page.
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let filter = filter(asked)?;
    let offset = number(asked, "after")?.unwrap_or(0);
    let store = &asked.front.cx().store;
    let mut named = Vec::new();
    let is_plain = filter.standing.is_none() && offset == 0;
    if let Some(text) = filter.text.as_deref().filter(|_| is_plain) {
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
    let (rows, fitting, has_more) = store.read(|conn| {
        let matching = people(conn, &filter, Rows { limit: ROWS, offset })?;
        let is_named = |other: &&Customer| named.iter().any(|named| named.id == other.id);
        let others: Vec<&Customer> = matching.iter().filter(|other| !is_named(other)).collect();
        let fitting = count(conn, &filter)?.max((named.len() + others.len()) as i64);
        let shown = named.iter().chain(others).map(|customer| row(asked, conn, customer));
        Ok((shown.collect::<anyhow::Result<Vec<_>>>()?, fitting, matching.len() == ROWS))
    })?;
    let header = [
        "Name",
        "Phone",
        "Time zone",
        "Wants to be called",
        "Payment",
        "How it stands",
        "Next call",
    ];
    let body = html! {
        div.head { h1 { "Customers" } p.hint { (fitting_words(fitting)) } }
        (filter_form(asked, &filter))
        (table("Customers", header, rows, "Nobody fits."))
        @if has_more { p { a href={ "/customers?" (next_page(asked, offset)) } { "More" } } }
        (csv_link(asked))
    };
    Ok(page(asked, "Customers", body))
}

fn fitting_words(fitting: i64) -> String {
    match fitting {
        1 => "1 customer".to_string(),
        more if COUNTED_MAX < more => format!("more than {COUNTED_MAX} customers"),
        other => format!("{other} customers"),
    }
}

fn next_page(asked: &Asked<'_>, offset: i64) -> String {
    let kept = asked.request.query.iter();
    let kept = kept
        .filter(|(name, value)| !["after", "done"].contains(&name.as_str()) && !value.is_empty());
    let after = ("after".to_string(), (offset + ROWS as i64).to_string());
    query(kept.chain([&after]))
}

fn filter_form(asked: &Asked<'_>, filter: &PeopleFilter) -> Markup {
    html! {
        form.filter method="get" role="search" {
            label.field.grow {
                span { "Name, e-mail, phone or id" }
                input type="search" name="q" value=(filter.text.as_deref().unwrap_or_default())
                    autofocus[asked.query("find").is_some()];
            }
            label.field {
                span { "How it stands" }
                select name="state" {
                    option value="" { "all" }
                    @for standing in Standing::ALL {
                        option value=(standing.as_str()) selected[filter.standing == Some(*standing)] {
                            (words::standing(*standing))
                        }
                    }
                }
            }
            (date_field(asked, "since", "Reached or not since"))
            label.field {
                span { "Order" }
                select name="sort" {
                    @for order in Order::ALL {
                        option value=(order.as_str()) selected[filter.order == *order] {
                            (words::order(*order))
                        }
                    }
                }
            }
            button { "Find" }
        }
    }
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

/// `GET /customers.csv`
pub fn file(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let filter = filter(asked)?;
    let rows = Rows { limit: CSV_ROWS, offset: 0 };
    let found = asked.front.cx().store.read(|conn| people(conn, &filter, rows))?;
    let rows: Vec<_> = found.iter().map(|customer| as_json(customer, false)).collect();
    Ok(csv_file("customers", &COLUMNS, &rows))
}
