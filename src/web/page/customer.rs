//! The page of one customer: what they are, what a person can do, the next call and its reasons,
//! and everything that happened, on the customer's own clock.

pub mod acts;
pub mod edit;
pub mod fields;
pub mod next_call;
pub mod timeline;

use std::sync::Arc;

use maud::{Markup, Render, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::{Customer, mask_phone};
use crate::http::response::Response;
use crate::present::output::{duration, relative};
use crate::store::attempts::Attempt;
use crate::store::queue::Item;
use crate::store::views::page::{self, AttemptFilter, Named, PageItemFilter};
use crate::web::asked::Asked;
use crate::web::page::calls::doubts;
use crate::web::page::customer::acts::Stopped;
use crate::web::page::customer::next_call::{past_date, story};
use crate::web::page::customer::timeline::timeline;
use crate::web::page::html::{badge, form, or_dash, section, table, time};
use crate::web::page::layout::page;
use crate::web::page::linked;
use crate::web::page::lists;
use crate::web::page::standing::{Known, rhythm, standing};
use crate::web::page::words::Tone;

/// `GET /customers/{id}`
pub fn one(asked: &Asked<'_>) -> anyhow::Result<Response> {
    of_customer(asked, false)
}

/// `POST /customers/{id}/reveal`: the same page with the whole number. The journal notes it.
pub fn reveal(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let customer = store.read(|conn| linked(conn, asked.named()))?;
    asked.note_reveal(&format!("customer:{}", customer.id), None)?;
    of_customer(asked, true)
}

struct CustomerView {
    customer: Customer,
    items: Vec<Named<Item>>,
    calls: Vec<Named<Attempt>>,
    known: Known,
}

fn of_customer(asked: &Asked<'_>, reveal: bool) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let view = cx.store.read(|conn| {
        let customer = linked(conn, asked.named())?;
        let id = Some(customer.id);
        let items = PageItemFilter { customer_id: id, ..PageItemFilter::default() };
        let calls = AttemptFilter { customer_id: id, ..AttemptFilter::default() };
        Ok(CustomerView {
            items: page::items(conn, &items, 20)?,
            calls: page::attempts(conn, &calls, 50)?,
            known: Known::of(cx, conn, &customer)?,
            customer,
        })
    })?;
    let zone = cx.zones.get(&view.customer.timezone);
    let shown = zone.clone().unwrap_or_else(|| asked.front.zone());
    let name = match view.customer.name.as_str() {
        "" => format!("Customer {}", view.customer.id),
        name => name.to_string(),
    };
    let (tone, word) = standing(&view.customer, &view.known, &shown, asked.now);
    let Known { pause, is_listed, .. } = &view.known;
    let stopped = Stopped { pause: pause.as_ref(), is_listed: *is_listed };
    let body = html! {
        div.head {
            div { h1 { (name) } p.hint { (local_time(asked, zone.as_ref())) } }
            (badge(tone, &word))
        }
        div.pair {
            (section("Facts", facts(asked, &view.customer, &shown, reveal)))
            (acts::buttons(asked, &view.customer, &stopped, zone.as_deref()))
        }
        (section("What happens next", story(asked, view.customer.id)?))
        (past_date(asked, view.customer.id)?)
        (section("In the queue", items_table(&view.items, &shown, asked)))
        (section("What happened", html! {
            (doubts::doubts(asked, &view.calls, &shown))
            (doubts::overdue(asked, &view.calls, &shown))
            (timeline(asked, &view.customer, &view.calls, &shown)?)
            p.hint {
                "The whole " a href={ "/journal?subject=customer:" (view.customer.id) } { "journal" }
                " of this customer."
            }
        }))
    };
    Ok(page(asked, &name, body))
}

fn local_time(asked: &Asked<'_>, zone: Option<&Arc<Zone>>) -> Markup {
    html! {
        @if let Some(zone) = zone { "It is " (time(asked.now, zone)) " in " (zone.name) }
        @else { "The time zone is not known, so no local time is." }
    }
}

fn facts(asked: &Asked<'_>, customer: &Customer, zone: &Zone, reveal: bool) -> Markup {
    let reveal_form = || {
        let action = format!("/customers/id:{}/reveal", customer.id);
        let title = "The journal notes who looks";
        form(asked, &action, html! { button.quiet title=(title) { "Reveal" } })
    };
    let phone = html! {
        @if reveal { b { (customer.phone) } }
        @else { (mask_phone(&customer.phone)) " " (reveal_form()) }
    };
    let validity = html! {
        @if customer.phone_validated { (badge(Tone::Good, "valid")) }
        @else {
            (badge(Tone::Bad, "not valid"))
            @if let Some(why) = &customer.phone_validation_error { " " (why) }
        }
    };
    let next = or_dash(customer.next_call_scheduled_at.map(|at| {
        html! {
            @if at < asked.now { "none since " (time(at, zone)) }
            @else { (time(at, zone)) " (" (relative(at, asked.now)) ")" }
        }
    }));
    let welcome = if customer.welcome_call_completed { "made" } else { "owed" };
    let facts = [
        ("Phone", phone),
        ("Number", validity),
        ("E-mail", or_dash(customer.email.as_ref())),
        ("External id", or_dash(customer.external_id.as_ref())),
        ("Payment", customer.payment_status.render()),
        ("Wants to be called", rhythm(asked, customer)),
        ("Assistant", html! { (customer.assistant.as_deref().unwrap_or("by type of call")) }),
        ("Welcome call", welcome.render()),
        ("Last daily call", or_dash(customer.last_call_date.map(maud::display))),
        ("Next daily call", next),
        ("Calls made", customer.total_calls_made.render()),
        ("Failures in a row", customer.consecutive_failures.render()),
        ("Signed up", time(customer.created_at, zone)),
    ];
    let variables = fields::variables(customer);
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
        @if !variables.is_empty() {
            details {
                summary { "Variables for the assistant" }
                dl.facts { @for (name, value) in &variables { div { dt { (name) } dd { (value) } } } }
            }
        }
    }
}

fn items_table(items: &[Named<Item>], zone: &Zone, asked: &Asked<'_>) -> Markup {
    let until = |item: &Item, at| {
        let left = at - asked.now;
        let is_over = left < chrono::Duration::zero() || !item.status.is_active();
        html! { (time(at, zone)) @if !is_over { " (" (duration(left)) ")" } }
    };
    let rows = items.iter().map(|Named { row: item, .. }| {
        [
            lists::occasion(item.call_type, &item.occasion),
            lists::due(item, zone),
            lists::item_state(item, asked.now),
            or_dash(item.expires_at.map(|at| until(item, at))),
        ]
    });
    let header = ["Occasion", "Due", "State", "Permitted until"];
    table("In the queue", header, rows, "Nothing was queued yet.")
}
