//! What the lists of the page share: how an item and an attempt are shown, filters, the way to older
//! rows, and the same rows as CSV.

pub mod journal;
pub mod numbers;
pub mod queue;

use std::fmt::Display;

use maud::{Markup, Render, html};
use serde_json::Value;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, ItemStatus, Reason, extra_key};
use crate::http::response::Response;
use crate::present::{csv, output};
use crate::store::attempts::Attempt;
use crate::store::queue::Item;
use crate::store::views::page::Named;
use crate::web::asked::Asked;
use crate::web::page::html::{badge, query, table, time};
use crate::web::page::words::{self, Tone};

/// Rows of one page: few enough for a phone.
pub const ROWS: usize = 50;
/// Rows of one CSV file.
pub const CSV_ROWS: usize = 50_000;

/// The customer of an item or an attempt, as a link.
pub fn who(name: &str, customer_id: Option<i64>) -> Markup {
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
        CallType::Extra => match extra_key(occasion) {
            Some(key) => html! { "extra, " (key) },
            None => "extra".render(),
        },
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
    let (tone, word) = match (item.status, item.reason) {
        (ItemStatus::Failed, Some(Reason::InDoubt)) => (Tone::Bad, "in doubt"),
        (status, _) => words::item(status),
    };
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
    let told = attempt.ended_reason.as_deref();
    let words = told.and_then(words::ended_reason);
    html! {
        (badge(tone, word))
        @if let Some(words) = words { " " (words) }
        @if let Some(told) = told.or(attempt.error_message.as_deref()) { " " span.why { (told) } }
    }
}

/// A few items for the first page.
pub fn short_items(items: &[Named<Item>], zone: &Zone, now: Instant) -> Markup {
    let rows = items.iter().map(|Named { name, row: item, .. }| {
        [who(name, Some(item.customer_id)), time(due_at(item), zone), item_state(item, now)]
    });
    table("Next in the queue", ["Who", "When", "State"], rows, "Nobody waits.")
}

/// A few calls for the first page.
pub fn short_attempts(attempts: &[Named<Attempt>], zone: &Zone) -> Markup {
    let rows = attempts.iter().map(|Named { name, row: attempt, .. }| {
        [who(name, attempt.customer_id), time(attempt.created_at, zone), attempt_state(attempt)]
    });
    table("Latest calls", ["Who", "When", "What came of it"], rows, "No calls yet.")
}

/// A choice out of a closed list, with the value of the query selected.
pub fn select<T: Display>(asked: &Asked<'_>, name: &str, label: &str, words: &[T]) -> Markup {
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
pub fn older(asked: &Asked<'_>, before: Option<i64>) -> Markup {
    let Some(before) = before else { return Markup::default() };
    let request = asked.request;
    let kept = request.query.iter().filter(|(name, value)| name != "before" && !value.is_empty());
    let before = ("before".to_string(), before.to_string());
    let query = query(kept.chain([&before]));
    html! { p { a href={ (request.path) "?" (query) } { "Older ones" } } }
}

/// A date of the query as a field of a filter.
pub fn date_field(asked: &Asked<'_>, name: &str, label: &str) -> Markup {
    html! {
        label.field {
            span { (label) }
            input type="date" name=(name) value=(asked.query(name).unwrap_or_default());
        }
    }
}

/// The link to the same rows as a file.
pub fn csv_link(asked: &Asked<'_>) -> Markup {
    let kept = asked.request.query.iter();
    let kept = kept.filter(|(name, value)| {
        !["before", "after", "done"].contains(&name.as_str()) && !value.is_empty()
    });
    html! { p.hint { a href={ (asked.request.path) ".csv?" (query(kept)) } { "Save as CSV" } } }
}

/// Rows as a CSV file.
pub fn csv_file(name: &str, columns: &[&str], rows: &[Value]) -> Response {
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    Response::new(200)
        .with_header("Content-Type", "text/csv; charset=utf-8")
        .with_header("Content-Disposition", &disposition)
        .with_body(csv::table(columns, rows).into_bytes())
}

/// `1 min 20 s`
pub fn seconds(length: f64) -> String {
    // Rounded first; otherwise 119.7 seconds would become 1 min 60 s.
    match length.round() {
        length if length < 60.0 => format!("{length:.0} s"),
        length => format!("{:.0} min {:.0} s", (length / 60.0).floor(), length % 60.0),
    }
}

/// The cost of a call: `1.2 ¢`, or `$3.40` from a dollar on.
pub fn cost(dollars: f64) -> String {
    if dollars < 1.0 { format!("{:.1} ¢", dollars * 100.0) } else { format!("${dollars:.2}") }
}

#[cfg(test)]
mod tests {
    use super::{cost, seconds};
    use crate::web::page::html::or_dash;

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

    #[test]
    fn a_small_cost_is_shown_in_cents() {
        assert_eq!(cost(0.0123), "1.2 ¢");
        assert_eq!(cost(3.4), "$3.40");
    }
}
