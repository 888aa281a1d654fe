//! What was said in calls, on the pages: summary and structured values with each call, and the
//! transcript on demand.

use maud::{Markup, html};

use crate::http::response::Response;
use crate::present::attempt::value_text;
use crate::store::attempts::Attempt;
use crate::store::attempts::results::{self, CallResult};
use crate::store::journal;
use crate::store::views::page::name_of;
use crate::web::asked::Asked;
use crate::web::operate;
use crate::web::page::html::{form, or_dash, section, time};
use crate::web::page::layout::page;
use crate::web::page::lists;

/// The result below a call, with the ways to read or hear more. Nothing without a result.
pub fn said(asked: &Asked<'_>, attempt: &Attempt, result: Option<&CallResult>) -> Markup {
    let Some(result) = result else { return Markup::default() };
    let path = format!("/calls/{}", attempt.id);
    let look = html! { button.quiet title="The journal notes who looks" { "Transcript" } };
    html! {
        div.said {
            @if let Some(summary) = &result.summary { p { (summary) } }
            (values(result))
            div.acts {
                (form(asked, &format!("{path}/transcript"), look))
                @if attempt.vapi_call_id.is_some() {
                    a href={ (path) "/recording" } { "Recording" }
                }
            }
        }
    }
}

fn values(result: &CallResult) -> Markup {
    html! {
        @if !result.structured.is_empty() {
            dl.facts {
                @for (name, value) in &result.structured {
                    div { dt { (name) } dd { (value_text(value)) } }
                }
            }
        }
    }
}

/// `POST /calls/{id}/transcript`: one call with every word. The journal notes it.
pub fn transcript(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let (found, name, result) = cx.store.read(|conn| {
        let found = operate::attempt_of(conn, asked.named())?;
        let name = name_of(conn, found.customer_id)?;
        let result = results::of_attempt(conn, &found.id)?;
        Ok((found, name, result))
    })?;
    let subject = format!("attempt:{}", found.id);
    let entry = journal::Entry {
        who: asked.who(),
        what: "reveal",
        subject: &subject,
        ..Default::default()
    };
    cx.store.write(|tx| journal::add(tx, asked.now, entry))?;
    let zone = asked.front.zone();
    let words = result.as_ref().and_then(|result| result.transcript.as_deref());
    let summary = result.as_ref().and_then(|result| result.summary.as_ref());
    let body = html! {
        div.head {
            div {
                h1 { "Call of " (name) }
                p.hint { (time(found.created_at, &zone)) " · " (lists::attempt_state(&found)) }
            }
        }
        (section("Summary", html! {
            p { (or_dash(summary)) }
            @if let Some(result) = &result { (values(result)) }
        }))
        (section("Transcript", html! {
            @if let Some(words) = words { pre.transcript { (words) } }
            @else {
                p.nothing {
                    "No transcript is stored. With results.transcript = true, those of coming \
                     calls are."
                }
            }
        }))
        @if let Some(customer) = found.customer_id {
            p { a href={ "/customers/id:" (customer) } { "Back to the customer" } }
        }
    };
    Ok(page(asked, "Call", body))
}
