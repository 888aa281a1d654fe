//! What was said in calls: summary and structured values with each call, and the transcript on
//! demand.

use maud::{Markup, html};

use crate::present::attempt::value_text;
use crate::store::attempts::Attempt;
use crate::store::attempts::results::CallResult;
use crate::web::asked::Asked;
use crate::web::page::html::form;

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

pub fn values(result: &CallResult) -> Markup {
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
