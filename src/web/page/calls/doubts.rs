//! Calls that need a person: doubts, and calls that do not end, each with the form that settles it.

use chrono::Duration;
use maud::{Markup, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::call::AttemptState;
use crate::domain::role::Role;
use crate::store::attempts::Attempt;
use crate::store::views::page::Named;
use crate::web::asked::Asked;
use crate::web::page::html::{form, reason_and_button, time};
use crate::web::page::lists::{occasion, who};

/// Each doubt among the shown calls, with the form that settles it.
pub fn doubts(asked: &Asked<'_>, found: &[Named<Attempt>], zone: &Zone) -> Markup {
    let in_doubt = found.iter().filter(|named| named.row.state == AttemptState::InDoubt);
    let in_doubt: Vec<&Named<Attempt>> = in_doubt.collect();
    html! {
        @if in_doubt.len() > 1 && asked.role() >= Role::Support { (all_at_once(asked, &in_doubt)) }
        @for named in in_doubt { (doubt(asked, named, zone)) }
    }
}

/// The form that settles every shown doubt for one cause, such as an outage of the provider.
fn all_at_once(asked: &Asked<'_>, in_doubt: &[&Named<Attempt>]) -> Markup {
    let fields = html! {
        @for named in in_doubt { input type="hidden" name="id" value=(named.row.id); }
        fieldset {
            legend { "One cause for all of them" }
            label { input type="radio" name="outcome" value="placed" required; " They rang" }
            label { input type="radio" name="outcome" value="not_placed"; " None of them rang" }
        }
        (reason_and_button("settle-all", "Settle all", "danger"))
    };
    html! {
        section.alarm.warn {
            h2 { (in_doubt.len()) " calls are in doubt" }
            p { "Settle them together only if you looked for each of them in the provider's log." }
            (form(asked, "/doubts/settle", fields))
        }
    }
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
                "The call was sent " (time(attempt.created_at, zone))
                ", and the answer was lost. So the phone may have rung, and nobody calls again \
                 until this is settled."
            }
            ul {
                li {
                    "Open the provider's call log at this time, and search for "
                    code { (attempt.tag()) } "."
                }
                li { "The call is in the log: choose “The phone rang”. It is not made again." }
                li { "The log has no such call: choose “It never rang”. Then it is made again." }
            }
            p.why {
                "What is known: "
                (attempt.error_message.as_deref().unwrap_or("nothing"))
                ". Absent from " (attempt.clean_reads) " complete listings so far."
            }
            (form(asked, &format!("/calls/{}/resolve", attempt.id), fields))
        }
    }
}
