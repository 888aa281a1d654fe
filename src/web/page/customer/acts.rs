//! What a person can do for a customer, on the customer's page: each act with its form.

use maud::{Markup, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::instant_words;
use crate::domain::role::Role;
use crate::http::response::Response;
use crate::store::meta::pauses::Pause;
use crate::web::asked::Asked;
use crate::web::page::html::{form, reason_and_button, section};
use crate::web::page::layout::page;
use crate::web::page::linked;

/// What stops a customer's calls.
pub struct Stopped<'a> {
    pub pause: Option<&'a Pause>,
    pub is_listed: bool,
}

pub fn buttons(
    asked: &Asked<'_>,
    customer: &Customer,
    stopped: &Stopped<'_>,
    zone: Option<&Zone>,
) -> Markup {
    let path = format!("/customers/id:{}", customer.id);
    let act = |name: &str, button: &str, class: &str| {
        let fields = reason_and_button(&format!("reason-{name}"), button, class);
        form(asked, &format!("{path}/{name}"), fields)
    };
    let is_stopped = stopped.pause.is_some()
        || matches!(customer.call_status, CallStatus::Paused | CallStatus::Disabled);
    let content = html! {
        @if asked.role() >= Role::Support { div.acts {
            a.button.main href={ (path) "/edit" } { "Edit" }
            (form(asked, &format!("{path}/export"), html! {
                button.quiet title="The journal notes who looks" { "Export all data" }
            }))
            a.button.danger href={ (path) "/erase" } { "Erase…" }
        } } @else { p.hint { "Your role may look, and act for nobody." } }
        (act("call", "Call now", "main"))
        @if let Some(zone) = zone { (call_at(asked, &path, zone)) }
        @if asked.role() >= Role::Support { p.hint { "An extra call. It goes through the same gate as every other call." } }
        @if let Some(pause) = stopped.pause {
            p { "Paused since " (instant_words(&pause.since)) " by " (pause.who) ": " (pause.why) }
        }
        @if is_stopped { (act("resume", "Resume calls", "main")) }
        @else { (act("pause", "Pause calls", "")) }
        @if stopped.is_listed {
            p {
                "This number is on the " a href="/do-not-call" { "do-not-call list" }
                ": it is never called."
            }
            (act("allow", "Take it off the list", "danger"))
        } @else { (act("do-not-call", "Never call again", "danger")) }
    };
    section("Do", content)
}

fn call_at(asked: &Asked<'_>, path: &str, zone: &Zone) -> Markup {
    let soonest = zone.local(asked.now).format("%Y-%m-%dT%H:%M").to_string();
    let fields = html! {
        label.field for="at" {
            span { "Time in " (zone.name) }
            input #at name="at" type="datetime-local" required min=(soonest);
        }
        (reason_and_button("reason-call-at", "Call then", ""))
    };
    form(asked, &format!("{path}/call"), fields)
}

/// `GET /customers/{id}/erase`: what an erasure does, and the form that asks for it.
pub fn erasure(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let customer = asked.front.cx().store.read(|conn| linked(conn, asked.named()))?;
    let path = format!("/customers/id:{}", customer.id);
    let name = if customer.name.is_empty() { "this customer" } else { &customer.name };
    let fields = html! {
        label.check {
            input type="checkbox" name="confirm" value="yes" required;
            " Erase " (name) " for good"
        }
        (reason_and_button("reason", "Erase", "danger"))
    };
    let body = html! {
        div.head { h1 { "Erase " (name) "?" } }
        section {
            ul {
                li { "Name, phone, e-mail, variables, consent, transcripts and summaries are deleted." }
                li { "Waiting calls are skipped." }
                li {
                    "The ledger keeps a keyed hash of the number, so that a new import does not \
                     call the person a second time. A do-not-call entry stays."
                }
                li { "This cannot be undone. The reason must not name the person." }
            }
            (form(asked, &format!("{path}/erase"), fields))
            p { a href=(path) { "Back to the customer" } }
        }
    };
    Ok(page(asked, "Erase", body))
}
