//! Customers: search, and the page of one: what will happen and why, what happened, on their own
//! clock, and the buttons that change it.

use std::sync::Arc;

use crate::domain::customer::{CallStatus, Customer, mask_phone};
use crate::domain::zone::Zone;
use crate::steps::{next, whom};
use crate::store::attempts::Attempt;
use crate::store::customer_search::find;
use crate::store::customers::{self, Filter, Found};
use crate::store::queue::Item;
use crate::store::web_views::{self, AttemptFilter, ItemFilter, Named};
use crate::store::{do_not_call, journal, meta};
use crate::web::api::number;
use crate::web::delivery::Response;
use crate::web::page::html::{
    away, badge, esc, form, in_url, length, reason_and_button, table, time,
};
use crate::web::page::words::Tone;
use crate::web::page::{go_to, linked, mark, page, work};
use crate::web::router::Asked;

const ROWS: usize = 50;

/// `GET /customers`: everybody, or whom the search fits. A text that names exactly one customer
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
                if store.read(|conn| whom::also_meant(conn, &customer, text))?.is_empty() {
                    return Ok(go_to(&format!("/customers/id:{}", customer.id)));
                }
                vec![*customer]
            }
        };
    }
    let filter = Filter { text: text.map(str::to_string), ..Filter::default() };
    let fitting = store.read(|conn| customers::list(conn, &filter, ROWS, after))?;
    let is_named = |fits: &&Customer| named.iter().any(|named| named.id == fits.id);
    let others = fitting.iter().filter(|fits| !is_named(fits));
    let rows: Vec<Vec<String>> =
        named.iter().chain(others).map(|known| row(asked, known)).collect();
    let next = match fitting.last().filter(|_| fitting.len() == ROWS) {
        Some(last) => format!(
            "<p><a href=\"/customers?q={}&amp;after={}\">More</a></p>",
            in_url(text.unwrap_or_default()),
            last.id
        ),
        None => String::new(),
    };
    let header = ["Name", "Phone", "Zone", "Called", "Payment", "State", "Next call"];
    let body = format!(
        "<div class=\"head\"><h1>Customers</h1></div><form class=\"filter\" method=\"get\" \
         role=\"search\"><label class=\"field grow\"><span>Name, e-mail, phone or id</span><input \
         type=\"search\" name=\"q\" value=\"{}\"></label><button>Find</button></form>{}{next}",
        esc(text.unwrap_or_default()),
        table("Customers", &header, &rows, "Nobody fits.")
    );
    Ok(page(asked, "Customers", &body))
}

fn row(asked: &Asked<'_>, customer: &Customer) -> Vec<String> {
    let zone = asked.front.cx().zones.get(&customer.timezone);
    let coming = customer.next_call_scheduled_at.filter(|at| asked.now <= *at);
    let next = match (coming, &zone) {
        (Some(at), Some(zone)) => time(at, zone),
        _ => "–".to_string(),
    };
    let name = if customer.name.is_empty() { "(no name)" } else { &customer.name };
    vec![
        format!("<a href=\"/customers/id:{}\">{}</a>", customer.id, esc(name)),
        esc(&mask_phone(&customer.phone)),
        esc(&customer.timezone),
        rhythm(customer),
        esc(&customer.payment_status),
        status(customer),
        next,
    ]
}

/// The daily rhythm in words; what is not understood as it was written.
fn rhythm(customer: &Customer) -> String {
    let written = customer.call_schedule.as_deref().or(customer.call_time.as_deref());
    match next::wanted(customer) {
        Some(rhythm) => esc(&rhythm.describe()),
        None => esc(written.unwrap_or("–")),
    }
}

fn status(customer: &Customer) -> String {
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

/// `POST /customers/{id}/reveal`: the same page with the whole number, noted in the journal.
pub fn reveal(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let customer = store.read(|conn| linked(conn, asked.named()))?;
    let subject = format!("customer:{}", customer.id);
    let entry = journal::Entry {
        who: crate::web::page::acts::WHO,
        what: "reveal",
        subject: &subject,
        ..Default::default()
    };
    store.write(|tx| journal::add(tx, asked.now, entry))?;
    of_customer(asked, true)
}

fn of_customer(asked: &Asked<'_>, reveal: bool) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let known = cx.store.read(|conn| {
        let customer = linked(conn, asked.named())?;
        let id = Some(customer.id);
        let items = ItemFilter { customer_id: id, ..ItemFilter::default() };
        let calls = AttemptFilter { customer_id: id, ..AttemptFilter::default() };
        let subject = format!("customer:{}", customer.id);
        Ok(Known {
            items: web_views::items(conn, &items, 20)?,
            calls: web_views::attempts(conn, &calls, 50)?,
            is_listed: do_not_call::is_listed(conn, cx.store.path(), &customer.phone)?,
            is_paused: meta::pauses(conn)?
                .iter()
                .any(|(scope, _)| *scope == format!("customer:{}", customer.key)),
            journal: journal::newest(conn, Some(&subject), 20)?,
            customer,
        })
    })?;
    let zone = cx.zones.get(&known.customer.timezone);
    let shown = zone.clone().unwrap_or_else(|| asked.front.zone());
    let name = match known.customer.name.as_str() {
        "" => format!("Customer {}", known.customer.id),
        name => name.to_string(),
    };
    let body = format!(
        "<div class=\"head\"><div><h1>{}</h1><p class=\"hint\">{}</p></div>{}</div><div \
         class=\"pair\"><section><h2>Facts</h2>{}</section>{}</div><section><h2>What happens \
         next</h2>{}</section><section><h2>Calls</h2>{}{}</section><section><h2>In the \
         queue</h2>{}</section><section><h2>Journal</h2>{}</section>",
        esc(&name),
        their_clock(asked, zone.as_ref()),
        status(&known.customer),
        facts_list(asked, &known, &shown, reveal),
        buttons(asked, &known),
        crate::web::page::story::story(asked, known.customer.id)?,
        doubts(asked, &known.calls, &shown),
        timeline(&known.calls, &shown),
        items_table(&known.items, &shown, asked),
        work::journal_table(&known.journal, &shown),
    );
    Ok(page(asked, &name, &body))
}

struct Known {
    customer: Customer,
    items: Vec<Named<Item>>,
    calls: Vec<Named<Attempt>>,
    is_listed: bool,
    is_paused: bool,
    journal: Vec<journal::Line>,
}

fn their_clock(asked: &Asked<'_>, zone: Option<&Arc<Zone>>) -> String {
    match zone {
        Some(zone) => format!("It is {} in {}", time(asked.now, zone), esc(&zone.name)),
        None => "The time zone is not known, so no local time is.".to_string(),
    }
}

fn facts_list(asked: &Asked<'_>, known: &Known, zone: &Zone, reveal: bool) -> String {
    let customer = &known.customer;
    let text = |value: &Option<String>| esc(value.as_deref().unwrap_or("–"));
    let phone = match reveal {
        true => format!("<b>{}</b>", esc(&customer.phone)),
        false => format!(
            "{} {}",
            esc(&mask_phone(&customer.phone)),
            form(
                &format!("/customers/id:{}/reveal", customer.id),
                &mark(asked),
                "<button class=\"quiet\" title=\"The journal notes who looks\">Reveal</button>"
            )
        ),
    };
    let validity = match (&customer.phone_validation_error, customer.phone_validated) {
        (_, true) => badge(Tone::Good, "valid"),
        (Some(why), false) => format!("{} {}", badge(Tone::Bad, "not valid"), esc(why)),
        (None, false) => badge(Tone::Bad, "not valid"),
    };
    let welcome = if customer.welcome_call_completed { "made" } else { "owed" };
    let next = match customer.next_call_scheduled_at {
        None => "–".to_string(),
        Some(at) if at < asked.now => format!("none since {}", time(at, zone)),
        Some(at) => format!("{} ({})", time(at, zone), away(at, asked.now)),
    };
    let last = customer.last_call_date.map_or("–".to_string(), |date| date.to_string());
    let facts = [
        ("Phone", phone),
        ("Number", validity),
        ("E-mail", text(&customer.email)),
        ("External id", text(&customer.external_id)),
        ("Payment", esc(&customer.payment_status)),
        ("Wants to be called", rhythm(customer)),
        ("Welcome call", welcome.to_string()),
        ("Last daily call", last),
        ("Next daily call", next),
        ("Calls made", customer.total_calls_made.to_string()),
        ("Failures in a row", customer.consecutive_failures.to_string()),
        ("Signed up", time(customer.created_at, zone)),
    ];
    let rows: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>"))
        .collect();
    format!("<dl class=\"facts\">{}</dl>", rows.concat())
}

fn buttons(asked: &Asked<'_>, known: &Known) -> String {
    let customer = &known.customer;
    let base = format!("/customers/id:{}", customer.id);
    let act = |path: &str, button: &str, class: &str| {
        let id = format!("reason-{path}");
        let fields = reason_and_button(&id, button, class);
        form(&format!("{base}/{path}"), &mark(asked), &fields)
    };
    let stopped = known.is_paused
        || matches!(customer.call_status, CallStatus::Paused | CallStatus::Disabled);
    let pause = match stopped {
        true => act("resume", "Resume calls", "main"),
        false => act("pause", "Pause calls", ""),
    };
    let listed = match known.is_listed {
        true => "<p>This number is on the <a href=\"/do-not-call\">do-not-call list</a>: it is \
                 never called.</p>"
            .to_string(),
        false => act("do-not-call", "Never call again", "danger"),
    };
    let call = format!(
        "{}<p class=\"hint\">An extra call, now. It goes through the same gate as every other \
         call.</p>",
        act("call", "Call now", "main")
    );
    format!("<section><h2>Do</h2>{pause}{listed}{call}</section>")
}

fn doubts(asked: &Asked<'_>, calls: &[Named<Attempt>], zone: &Zone) -> String {
    calls
        .iter()
        .filter(|named| named.row.state == crate::domain::call::AttemptState::InDoubt)
        .map(|named| work::doubt(asked, named, zone))
        .collect()
}

/// Past calls, the newest first, each at its time on the customer's own clock.
fn timeline(calls: &[Named<Attempt>], zone: &Zone) -> String {
    if calls.is_empty() {
        return "<p class=\"nothing\">Never called.</p>".to_string();
    }
    let mut html = String::from("<ol class=\"timeline\">");
    for named in calls {
        let attempt = &named.row;
        let (tone, _) = crate::web::page::words::attempt(attempt.state, attempt.disposition);
        let talked = match attempt.duration_seconds {
            Some(_) => format!(", {}", work::seconds(attempt.duration_seconds)),
            None => String::new(),
        };
        html.push_str(&format!(
            "<li class=\"{}\"><p><b>{}</b> · {} · attempt {}{talked}</p><p>{}</p></li>",
            tone.class(),
            time(attempt.created_at, zone),
            work::occasion(attempt.call_type, &attempt.occasion),
            attempt.attempt_no,
            work::attempt_state(attempt),
        ));
    }
    html.push_str("</ol>");
    html
}

fn items_table(items: &[Named<Item>], zone: &Zone, asked: &Asked<'_>) -> String {
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|named| {
            let item = &named.row;
            let until = item.expires_at.map_or("–".to_string(), |at| {
                let left = at - asked.now;
                let over = left < chrono::Duration::zero() || !item.status.is_active();
                if over { time(at, zone) } else { format!("{} ({})", time(at, zone), length(left)) }
            });
            vec![
                work::occasion(item.call_type, &item.occasion),
                work::due(item, zone),
                work::item_state(item, asked.now),
                until,
            ]
        })
        .collect();
    let header = ["Occasion", "Due", "State", "Permitted until"];
    table("In the queue", &header, &rows, "Nothing was queued yet.")
}
