//! Lists: the queue, the calls with their doubts, the do-not-call list, the journal.

use std::fmt::Display;

use chrono::Duration;
use maud::{Markup, Render, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::call::{AttemptState, CallType, Disposition, ItemStatus, Reason};
use crate::domain::customer::mask_phone;
use crate::domain::{Instant, parse_instant};
use crate::http::response::Response;
use crate::present::output;
use crate::steps::customers::journaled;
use crate::store::attempts::Attempt;
use crate::store::queue::Item;
use crate::store::views::page::{self, Named};
use crate::store::{do_not_call, journal};
use crate::web::api::calls::{attempt_filter, item_filter};
use crate::web::asked::Asked;
use crate::web::page::html::{badge, form, in_url, or_dash, query, reason_and_button, table, time};
use crate::web::page::layout::page;
use crate::web::page::words::{self, Tone};

/// Rows of one page.
const ROWS: usize = 100;
/// Lines of the journal page, which has no second page.
const JOURNAL_LINES: i64 = 200;
/// Rows of the do-not-call page, which has no second page.
const NUMBERS: usize = 1000;

/// The customer of an item or an attempt, as a link.
fn who(name: &str, customer_id: Option<i64>) -> Markup {
    let Some(id) = customer_id else { return html! { span.dim { "unknown here" } } };
    html! {
        a href={ "/customers/id:" (id) } {
            @if name.is_empty() { "customer " (id) } @else { (name) }
        }
    }
}

/// The kind of a call, and the day of a daily one.
pub fn occasion(call_type: CallType, occasion: &str) -> Markup {
    match call_type {
        CallType::Daily => html! { span.whole { "daily, " (occasion) } },
        CallType::Welcome => "welcome".render(),
        CallType::Extra => "extra".render(),
    }
}

/// When the dialer looks at an item next, or when a finished item was due.
fn due_at(item: &Item) -> Instant {
    if item.status.is_active() { item.due_at() } else { item.scheduled_for }
}

/// The same as HTML, with the first due time of an item that was postponed.
pub fn due(item: &Item, zone: &Zone) -> Markup {
    let at = due_at(item);
    html! {
        (time(at, zone))
        @if at != item.scheduled_for {
            " " span.why { "first due " (time(item.scheduled_for, zone)) }
        }
    }
}

fn state(tone: Tone, word: &str, why: &str) -> Markup {
    html! { (badge(tone, word)) @if !why.is_empty() { " " span.why { (why) } } }
}

/// The state of an item, the reason, and when the dialer looks at it again.
pub fn item_state(item: &Item, now: Instant) -> Markup {
    let (tone, word) = words::item(item.status);
    let mut why: Vec<String> = Vec::new();
    why.extend(item.reason.map(|reason| words::reason(reason).to_string()));
    let waits = matches!(item.status, ItemStatus::Pending | ItemStatus::Retrying);
    match (waits, now < item.due_at()) {
        (true, true) => why.push(output::relative(item.due_at(), now)),
        (true, false) if item.reason.is_none() => why.push("due now".to_string()),
        _ => {}
    }
    why.extend(item.error_message.clone());
    state(tone, word, &why.join("; "))
}

/// The state of an attempt, with the provider's word for it.
pub fn attempt_state(attempt: &Attempt) -> Markup {
    let (tone, word) = words::attempt(attempt.state, attempt.disposition);
    let why = attempt.ended_reason.as_deref().or(attempt.error_message.as_deref());
    state(tone, word, why.unwrap_or_default())
}

/// A few items for the first page.
pub fn short_items(items: &[Named<Item>], zone: &Zone, now: Instant) -> Markup {
    let rows = items.iter().map(|Named { name, row: item }| {
        [who(name, Some(item.customer_id)), time(due_at(item), zone), item_state(item, now)]
    });
    table("Next in the queue", ["Who", "When", "State"], rows, "Nobody waits.")
}

/// A few calls for the first page.
pub fn short_attempts(attempts: &[Named<Attempt>], zone: &Zone) -> Markup {
    let rows = attempts.iter().map(|Named { name, row: attempt }| {
        [who(name, attempt.customer_id), time(attempt.created_at, zone), attempt_state(attempt)]
    });
    table("Latest calls", ["Who", "When", "What came of it"], rows, "No calls yet.")
}

/// `GET /queue`
pub fn queue(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (filter, zone) = (item_filter(asked)?, asked.front.zone());
    let found = asked.front.cx().store.read(|conn| page::items(conn, &filter, ROWS))?;
    let rows = found.iter().map(|Named { name, row: item }| {
        [
            item.id.render(),
            who(name, Some(item.customer_id)),
            occasion(item.call_type, &item.occasion),
            due(item, &zone),
            item_state(item, asked.now),
            html! { (item.attempts) " of " (item.max_attempts) },
        ]
    });
    let header = ["Item", "Who", "Occasion", "Due", "State", "Attempts"];
    let body = html! {
        div.head { h1 { "Queue" } }
        form.filter method="get" {
            (select(asked, "status", "State", ItemStatus::ALL))
            (select(asked, "type", "Kind", CallType::ALL))
            (select(asked, "reason", "Reason", Reason::ALL))
            button { "Show" }
        }
        (table("Queue", header, rows, "Nothing in the queue fits."))
        (older(asked, found.get(ROWS - 1).map(|named| named.row.id)))
    };
    Ok(page(asked, "Queue", body))
}

/// A choice out of a closed list, with the value of the query selected.
fn select<T: Display>(asked: &Asked<'_>, name: &str, label: &str, words: &[T]) -> Markup {
    let chosen = asked.query(name);
    html! {
        label.field {
            span { (label) }
            select name=(name) {
                option value="" { "all" }
                @for word in words.iter().map(T::to_string) {
                    option value=(word) selected[chosen == Some(&word)] { (word.replace('_', " ")) }
                }
            }
        }
    }
}

/// The link to the rows before these, with the same filter.
fn older(asked: &Asked<'_>, before: Option<i64>) -> Markup {
    let Some(before) = before else { return Markup::default() };
    let request = asked.request;
    let kept = request.query.iter().filter(|(name, value)| name != "before" && !value.is_empty());
    let before = ("before".to_string(), before.to_string());
    let query = query(kept.chain([&before]));
    html! { p { a href={ (request.path) "?" (query) } { "Older ones" } } }
}

/// `GET /calls`
pub fn calls(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (filter, zone) = (attempt_filter(asked)?, asked.front.zone());
    let found = asked.front.cx().store.read(|conn| page::attempts(conn, &filter, ROWS))?;
    let rows = found.iter().map(|Named { name, row: attempt }| {
        [
            time(attempt.created_at, &zone),
            who(name, attempt.customer_id),
            occasion(attempt.call_type, &attempt.occasion),
            or_dash(attempt.phone.as_deref().map(mask_phone)),
            attempt_state(attempt),
            or_dash(attempt.duration_seconds.map(seconds)),
            or_dash(attempt.cost.map(|cost| format!("${cost:.3}"))),
        ]
    });
    let header = ["When", "Who", "Occasion", "Phone", "What came of it", "Length", "Cost"];
    let body = html! {
        div.head { h1 { "Calls" } }
        form.filter method="get" {
            (select(asked, "state", "State", AttemptState::ALL))
            (select(asked, "disposition", "Ended as", Disposition::ALL))
            (select(asked, "type", "Kind", CallType::ALL))
            button { "Show" }
        }
        (doubts(asked, &found, &zone))
        (overdue(asked, &found, &zone))
        (table("Calls", header, rows, "No calls fit."))
        (older(asked, found.get(ROWS - 1).map(|named| named.row.seq)))
    };
    Ok(page(asked, "Calls", body))
}

/// `1 min 20 s`
pub fn seconds(length: f64) -> String {
    // Rounded first; otherwise 119.7 seconds would become 1 min 60 s.
    match length.round() {
        length if length < 60.0 => format!("{length:.0} s"),
        length => format!("{:.0} min {:.0} s", (length / 60.0).floor(), length % 60.0),
    }
}

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

/// `GET /do-not-call`
pub fn numbers(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let zone = asked.front.zone();
    let store = &asked.front.cx().store;
    let found = store.read(|conn| do_not_call::all(conn, store.path()))?;
    let rows = found.iter().rev().take(NUMBERS).map(|entry| {
        [
            mask_phone(&entry.phone).render(),
            entry.reason.render(),
            entry.source.render(),
            time(entry.created_at, &zone),
        ]
    });
    let fields = html! {
        label.field for="phone" {
            span { "Phone" }
            input #phone name="phone" type="tel" required autocomplete="off"
                placeholder="+1 212 555 0101";
        }
        (reason_and_button("why", "Never call it", "danger"))
    };
    let header = ["Phone", "Reason", "Added by", "When"];
    let body = html! {
        div.head { h1 { "Do not call" } }
        p.hint {
            (found.len()) @if found.len() == 1 { " number" } @else { " numbers" }
            ". None of them is called, whoever they belong to; the list outlives a restored \
             backup. A number that its country renumbered is listed once and protected in its old \
             and new forms. To take one off: "
            code { "ringonce dnc remove PHONE --reason WHY" } "."
        }
        (form(asked, "/do-not-call", fields))
        (table("Do not call", header, rows, "The list is empty."))
    };
    Ok(page(asked, "Do not call", body))
}

/// `GET /journal`
pub fn journal(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let zone = asked.front.zone();
    let subject = asked.query("subject").filter(|text| !text.trim().is_empty());
    let cx = asked.front.cx();
    let lines = cx.store.read(|conn| match subject {
        Some(text) => journaled::lines(cx, conn, text, JOURNAL_LINES),
        None => journal::newest(conn, None, JOURNAL_LINES),
    })?;
    let body = html! {
        div.head { h1 { "Journal" } }
        p.hint {
            "Who did what to what, and why; the newest first. Nothing here can be changed."
        }
        form.filter method="get" {
            label.field {
                span { "Customer (id, external id, e-mail or phone) or subject" }
                input name="subject" value=(subject.unwrap_or_default())
                    placeholder="ada@example.com";
            }
            button { "Show" }
        }
        (journal_table(&lines, &zone))
    };
    Ok(page(asked, "Journal", body))
}

/// Lines of the journal. A value that is an instant is shown on the clock of `zone`.
pub fn journal_table(lines: &[journal::JournalLine], zone: &Zone) -> Markup {
    let shown = |text: &str| parse_instant(text).map_or_else(|| text.render(), |at| time(at, zone));
    let value = |value: &Option<String>| or_dash(value.as_deref().map(shown));
    let rows = lines.iter().map(|line| {
        [
            shown(&line.at),
            line.who.render(),
            line.what.render(),
            html! { a href={ "/journal?subject=" (in_url(&line.subject)) } { (line.subject) } },
            html! { (value(&line.old)) " → " (value(&line.new)) },
            value(&line.why),
        ]
    });
    let header = ["When", "Who", "What", "Subject", "Change", "Why"];
    table("Journal", header, rows, "The journal is empty.")
}

#[cfg(test)]
mod tests {
    use super::{or_dash, seconds};

    #[test]
    fn no_length_has_sixty_seconds_beside_its_minutes() {
        for (length, expected) in [
            (None, "–"),
            (Some(59.4), "59 s"),
            (Some(59.7), "1 min 0 s"),
            (Some(119.7), "2 min 0 s"),
            (Some(80.2), "1 min 20 s"),
        ] {
            let shown = or_dash(length.map(seconds)).into_string();
            assert_eq!(shown, expected, "{length:?}");
        }
    }
}
