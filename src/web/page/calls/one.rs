//! One call: what came of it, what was said, its cost, and the other attempts of its occasion.

use maud::{Markup, Render, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::mask_phone;
use crate::http::response::Response;
use crate::store::attempts::results::{self, CallResult};
use crate::store::attempts::{self, Attempt};
use crate::store::views::page::{Named, name_of};
use crate::store::{Conn, customers};
use crate::web::asked::Asked;
use crate::web::operate;
use crate::web::page::calls::doubts::{doubts, overdue};
use crate::web::page::calls::said::{said, values};
use crate::web::page::html::{badge, or_dash, section, table, time};
use crate::web::page::layout::page;
use crate::web::page::lists::{attempt_state, cost, occasion, seconds, who};
use crate::web::page::words;

struct CallView {
    call: Named<Attempt>,
    result: Option<CallResult>,
    /// The attempts of the same occasion, this one included.
    attempts: Vec<Attempt>,
    timezone: Option<String>,
}

fn view(conn: &Conn, text: &str) -> anyhow::Result<CallView> {
    let row = operate::attempt_of(conn, text)?;
    let name = name_of(conn, row.customer_id)?;
    let result = results::of_attempt(conn, &row.id)?;
    let (attempts, timezone) = match row.customer_id {
        Some(id) => (
            attempts::of_occasion(conn, id, row.call_type, &row.occasion)?,
            customers::by_id(conn, id)?.map(|customer| customer.timezone),
        ),
        None => (Vec::new(), None),
    };
    Ok(CallView { call: Named { name, assistant: None, row }, result, attempts, timezone })
}

/// `GET /calls/{id}`
pub fn one(asked: &Asked<'_>) -> anyhow::Result<Response> {
    shown(asked, false)
}

/// `POST /calls/{id}/transcript`: the same page with every word and the whole number. The journal
/// notes it.
pub fn transcript(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let found = store.read(|conn| operate::attempt_of(conn, asked.named()))?;
    asked.note_reveal(&format!("attempt:{}", found.id), None)?;
    shown(asked, true)
}

fn shown(asked: &Asked<'_>, reveal: bool) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let view = cx.store.read(|conn| view(conn, asked.named()))?;
    let zone = view.timezone.as_deref().and_then(|name| cx.zones.get(name));
    let zone = zone.unwrap_or_else(|| asked.front.zone());
    let attempt = &view.call.row;
    let (tone, word) = words::attempt(attempt.state, attempt.disposition);
    let name = if view.call.name.is_empty() { "somebody" } else { &view.call.name };
    let calls = std::slice::from_ref(&view.call);
    let body = html! {
        div.head {
            div {
                h1 { "Call of " (name) }
                p.hint { (time(attempt.created_at, &zone)) " · " (occasion(attempt.call_type, &attempt.occasion)) }
            }
            (badge(tone, word))
        }
        (doubts(asked, calls, &zone))
        (overdue(asked, calls, &zone))
        div.pair {
            (section("What came of it", facts(&view, &zone, reveal)))
            (section("What was said", words_of(asked, &view, reveal)))
        }
        @if view.attempts.len() > 1 {
            (section("Attempts of this call", attempts_table(&view, &zone)))
        }
        p.hint {
            "The " a href={ "/journal?subject=attempt:" (attempt.id) } { "journal" } " of this call. "
            a href="/calls" { "All calls" }
        }
    };
    Ok(page(asked, "Call", body))
}

fn facts(view: &CallView, zone: &Zone, reveal: bool) -> Markup {
    let attempt = &view.call.row;
    let phone = attempt.phone.as_deref();
    let phone = phone.map(|phone| if reveal { phone.to_string() } else { mask_phone(phone) });
    let facts = [
        ("Customer", who(&view.call.name, attempt.customer_id)),
        ("Phone", or_dash(phone)),
        ("Attempt", attempt.attempt_no.render()),
        ("It ended", attempt_state(attempt)),
        ("Sent", time(attempt.created_at, zone)),
        ("Began", or_dash(attempt.started_at.map(|at| time(at, zone)))),
        ("Ended", or_dash(attempt.ended_at.map(|at| time(at, zone)))),
        ("Length", or_dash(attempt.duration_seconds.map(seconds))),
        ("Cost", or_dash(attempt.cost.map(cost))),
        ("Provider's call id", or_dash(attempt.vapi_call_id.as_deref().map(code))),
        ("Our tag", code(&attempt.tag())),
    ];
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

fn code(text: &str) -> Markup {
    html! { code { (text) } }
}

fn words_of(asked: &Asked<'_>, view: &CallView, reveal: bool) -> Markup {
    let attempt = &view.call.row;
    let Some(result) = &view.result else {
        return html! {
            p.nothing {
                "Nothing is known of what was said. Results arrive with the end of a call, if the \
                 assistant has an analysis plan."
            }
            (recording(attempt))
        };
    };
    if !reveal {
        return html! {
            (said(asked, attempt, Some(result)))
            @if result.summary.is_none() && result.structured.is_empty() {
                p.nothing { "No summary is stored." }
            }
        };
    }
    html! {
        p { (or_dash(result.summary.as_ref())) }
        (values(result))
        h3 { "Transcript" }
        @if let Some(words) = &result.transcript { pre.transcript { (words) } }
        @else {
            p.nothing {
                "No transcript is stored. With results.transcript = true, those of coming calls are."
            }
        }
        (recording(attempt))
    }
}

fn recording(attempt: &Attempt) -> Markup {
    html! {
        @if attempt.vapi_call_id.is_some() && attempt.ended_at.is_some() {
            p { a href={ "/calls/" (attempt.id) "/recording" } { "Recording" } }
        }
    }
}

fn attempts_table(view: &CallView, zone: &Zone) -> Markup {
    let rows = view.attempts.iter().map(|attempt| {
        [
            html! {
                @if attempt.id == view.call.row.id { (attempt.attempt_no) " (this one)" }
                @else { a href={ "/calls/" (attempt.id) } { (attempt.attempt_no) } }
            },
            time(attempt.created_at, zone),
            attempt_state(attempt),
        ]
    });
    table("Attempts of this call", ["Attempt", "When", "What came of it"], rows, "")
}
