//! Calls that need a person: doubts, and calls that do not end, each with the form that settles it.

use chrono::Duration;
use maud::{Markup, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::call::AttemptState;
use crate::store::attempts::Attempt;
use crate::store::views::page::Named;
use crate::web::asked::Asked;
use crate::web::page::html::{form, reason_and_button, time};
use crate::web::page::lists::{occasion, who};

/// Each doubt among the shown calls, with the form that settles it.
pub fn doubts(asked: &Asked<'_>, found: &[Named<Attempt>], zone: &Zone) -> Markup {
    let in_doubt = found.iter().filter(|named| named.row.state == AttemptState::InDoubt);
    html! { @for named in in_doubt { (doubt(asked, named, zone)) } }
}

/// Each shown call that does not end, with the form that closes it.
pub fn overdue(asked: &Asked<'_>, found: &[Named<Attempt>], zone: &Zone) -> Markup {
    let alarm = Duration::minutes(asked.front.cx().config.follow.alarm_minutes);
    let is_late =
        |call: &Attempt| call.state == AttemptState::Placed && call.created_at <= asked.now - alarm;
    html! {
        @for named in found.iter().filter(|named| is_late(&named.row)) {
            section.alarm.warn {
                h2 {
                    "Not ended: " (who(&named.name, named.row.customer_id)) ", "
                    (occasion(named.row.call_type, &named.row.occasion))
                }
                p {
                    "The call was sent " (time(named.row.created_at, zone))
                    ", and the provider reports no end. Look at the provider's page. Closing the \
                     call frees its line and makes no other call."
                }
                (form(
                    asked,
                    &format!("/calls/{}/close", named.row.id),
                    reason_and_button(&format!("close-{}", named.row.id), "Close", "main"),
                ))
            }
        }
    }
}

fn doubt(asked: &Asked<'_>, named: &Named<Attempt>, zone: &Zone) -> Markup {
    let attempt = &named.row;
    let id = format!("call-{}", attempt.id);
    let fields = html! {
        fieldset {
            legend { "What happened?" }
            label { input type="radio" name="outcome" value="placed" required; " The phone rang" }
            label { input type="radio" name="outcome" value="not_placed"; " It never rang" }
        }
        label.field for=(id) {
            span { "Provider's call id, if it is known" }
            input id=(id) name="call_id" autocomplete="off" maxlength="100";
        }
        (reason_and_button(&format!("why-{}", attempt.id), "Settle", "main"))
    };
    html! {
        section.alarm.bad {
            h2 {
                "In doubt: " (who(&named.name, attempt.customer_id)) ", "
                (occasion(attempt.call_type, &attempt.occasion))
            }
            p {
                "The call was sent " (time(attempt.created_at, zone)) " and the answer was lost: "
                (attempt.error_message.as_deref().unwrap_or("nothing is known"))
                ". Absent from " (attempt.clean_reads) " complete listings so far. Search the \
                 provider's page for " code { (attempt.tag()) }
                "; “it never rang” lets the call be made again."
            }
            (form(asked, &format!("/calls/{}/resolve", attempt.id), fields))
        }
    }
}
