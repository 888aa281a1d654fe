//! Customers: the search, and the page of one customer. That page has the next call and its reasons,
//! the past calls on the customer's own clock, and the buttons that change something.

use std::sync::Arc;

use maud::{Markup, Render, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::{CallStatus, Customer, mask_phone};
use crate::domain::instant_words;
use crate::http::response::Response;
use crate::present::output::{duration, relative};
use crate::steps::customers::find;
use crate::steps::occasions::next;
use crate::store::attempts::Attempt;
use crate::store::customers::search::find;
use crate::store::customers::{self, Filter, Found};
use crate::store::meta::pauses::{self, Pause};
use crate::store::queue::Item;
use crate::store::views::page::{self, AttemptFilter, Named, PageItemFilter};
use crate::store::{do_not_call, journal};
use crate::web::api::number;
use crate::web::asked::Asked;
use crate::web::page::forms::WHO;
use crate::web::page::html::{
    badge, form, in_url, or_dash, reason_and_button, section, table, time,
};
use crate::web::page::layout::{go_to, page};
use crate::web::page::linked;
use crate::web::page::lists;
use crate::web::page::next_call::{past_date, story};
use crate::web::page::timeline::timeline;
use crate::web::page::words::Tone;

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
    let rows = named.iter().chain(others).map(|customer| row(asked, customer));
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

fn row(asked: &Asked<'_>, customer: &Customer) -> [Markup; 7] {
    let zone = asked.front.cx().zones.get(&customer.timezone);
    let coming = customer.next_call_scheduled_at.filter(|at| asked.now <= *at).zip(zone);
    let name = if customer.name.is_empty() { "(no name)" } else { &customer.name };
    [
        html! { a href={ "/customers/id:" (customer.id) } { (name) } },
        mask_phone(&customer.phone).render(),
        customer.timezone.render(),
        rhythm(asked, customer),
        customer.payment_status.render(),
        status(customer),
        or_dash(coming.map(|(at, zone)| time(at, &zone))),
    ]
}

/// The daily rhythm with its next slots, or the original text if it is not understood.
fn rhythm(asked: &Asked<'_>, customer: &Customer) -> Markup {
    let zone = asked.front.cx().zones.get(&customer.timezone);
    let original = customer.call_schedule.as_ref().or(customer.call_time.as_ref());
    or_dash(
        next::wanted(customer)
            .map(|rhythm| rhythm.describe(zone.as_deref(), asked.now))
            .as_ref()
            .or(original),
    )
}

fn status(customer: &Customer) -> Markup {
    let tone = match customer.call_status {
        CallStatus::Pending => Tone::Calm,
        CallStatus::Completed => Tone::Good,
        CallStatus::Failed | CallStatus::Paused => Tone::Warn,
        CallStatus::Disabled => Tone::Bad,
    };
    badge(tone, customer.call_status.as_str())
}

/// `GET /customers/{id}`
pub fn one(asked: &Asked<'_>) -> anyhow::Result<Response> {
    of_customer(asked, false)
}

/// `POST /customers/{id}/reveal`: the same page with the whole number. The journal notes it.
pub fn reveal(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let customer = store.read(|conn| linked(conn, asked.named()))?;
    let subject = format!("customer:{}", customer.id);
    let entry =
        journal::Entry { who: WHO, what: "reveal", subject: &subject, ..Default::default() };
    store.write(|tx| journal::add(tx, asked.now, entry))?;
    of_customer(asked, true)
}

struct CustomerView {
    customer: Customer,
    items: Vec<Named<Item>>,
    calls: Vec<Named<Attempt>>,
    is_listed: bool,
    /// The record of the customer's pause.
    pause: Option<Pause>,
}

fn of_customer(asked: &Asked<'_>, reveal: bool) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let known = cx.store.read(|conn| {
        let customer = linked(conn, asked.named())?;
        let id = Some(customer.id);
        let items = PageItemFilter { customer_id: id, ..PageItemFilter::default() };
        let calls = AttemptFilter { customer_id: id, ..AttemptFilter::default() };
        Ok(CustomerView {
            items: page::items(conn, &items, 20)?,
            calls: page::attempts(conn, &calls, 50)?,
            is_listed: do_not_call::is_listed(conn, cx.store.path(), &customer.phone)?,
            pause: pauses::pause_of(conn, &pauses::of_customer(&customer.key))?,
            customer,
        })
    })?;
    let zone = cx.zones.get(&known.customer.timezone);
    let shown = zone.clone().unwrap_or_else(|| asked.front.zone());
    let name = match known.customer.name.as_str() {
        "" => format!("Customer {}", known.customer.id),
        name => name.to_string(),
    };
    let body = html! {
        div.head {
            div { h1 { (name) } p.hint { (local_time(asked, zone.as_ref())) } }
            (status(&known.customer))
        }
        div.pair {
            (section("Facts", facts(asked, &known.customer, &shown, reveal)))
            (buttons(asked, &known))
        }
        (section("What happens next", story(asked, known.customer.id)?))
        (past_date(asked, known.customer.id)?)
        (section("In the queue", items_table(&known.items, &shown, asked)))
        (section("What happened", html! {
            (lists::doubts(asked, &known.calls, &shown))
            (lists::overdue(asked, &known.calls, &shown))
            (timeline(asked, &known.customer, &known.calls, &shown)?)
            p.hint {
                "The whole " a href={ "/journal?subject=customer:" (known.customer.id) } { "journal" }
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
        ("Welcome call", welcome.render()),
        ("Last daily call", or_dash(customer.last_call_date.map(maud::display))),
        ("Next daily call", next),
        ("Calls made", customer.total_calls_made.render()),
        ("Failures in a row", customer.consecutive_failures.render()),
        ("Signed up", time(customer.created_at, zone)),
    ];
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

fn buttons(asked: &Asked<'_>, known: &CustomerView) -> Markup {
    let customer = &known.customer;
    let act = |path: &str, button: &str, class: &str| {
        let fields = reason_and_button(&format!("reason-{path}"), button, class);
        form(asked, &format!("/customers/id:{}/{path}", customer.id), fields)
    };
    let is_stopped = known.pause.is_some()
        || matches!(customer.call_status, CallStatus::Paused | CallStatus::Disabled);
    let content = html! {
        @if let Some(pause) = &known.pause {
            p { "Paused since " (instant_words(&pause.since)) " by " (pause.who) ": " (pause.why) }
        }
        @if is_stopped { (act("resume", "Resume calls", "main")) }
        @else { (act("pause", "Pause calls", "")) }
        @if known.is_listed {
            p {
                "This number is on the " a href="/do-not-call" { "do-not-call list" }
                ": it is never called."
            }
        } @else { (act("do-not-call", "Never call again", "danger")) }
        (act("call", "Call now", "main"))
        p.hint { "An extra call, now. It goes through the same gate as every other call." }
    };
    section("Do", content)
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
