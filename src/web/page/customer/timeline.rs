//! Everything that concerns one customer, in one list: calls, occasions without a call, pauses, the
//! do-not-call list, edits and other acts.

use maud::{Markup, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::Customer;
use crate::domain::{Instant, parse_instant};
use crate::steps::customers::journaled;
use crate::steps::forecast::past::{self, PastItem};
use crate::steps::forecast::stops::{Stop, StopKind, stops};
use crate::store::attempts::Attempt;
use crate::store::attempts::results as call_results;
use crate::store::journal::{self, JournalLine};
use crate::store::views::page::Named;
use crate::web::asked::Asked;
use crate::web::page::calls::said;
use crate::web::page::html::{time, told_change};
use crate::web::page::lists::{self, seconds};
use crate::web::page::words::{self, Tone};

/// Lines of one page.
const LINES: usize = 100;
/// Kinds of journal lines that another part of the list already shows, or that only a machine wrote.
const TOLD_ELSEWHERE: [&str; 5] = ["attempt", "pause", "call_status", "do not call", "poll"];

/// One line: its instant, its colour, and its text.
struct Event {
    at: Instant,
    tone: Tone,
    text: Markup,
    /// What was said in a call.
    more: Markup,
}

/// The list, the newest first, each at its time on the customer's own clock.
pub fn timeline(
    asked: &Asked<'_>,
    customer: &Customer,
    calls: &[Named<Attempt>],
    zone: &Zone,
) -> anyhow::Result<Markup> {
    let cx = asked.front.cx();
    let stops = stops(cx, customer)?;
    let (skips, lines, said) = cx.store.read(|conn| {
        let subjects = journaled::subjects_of(cx, conn, customer)?;
        let lines = journal::newest_about(conn, &subjects, &[customer.id], LINES as i64)?;
        let said = call_results::of_attempts(conn, calls.iter().map(|call| call.row.id.as_str()))?;
        Ok((past::skips(conn, customer, &stops)?, lines, said))
    })?;
    let called = |named: &Named<Attempt>| {
        let result = said.get(&named.row.id);
        Event { more: said::said(asked, &named.row, result), ..call(&named.row) }
    };
    let mut events: Vec<Event> = calls.iter().map(called).collect();
    events.extend(skips.iter().map(skip));
    events.extend(stops.iter().filter(|stop| stop.kind.is_of_the_customer()).flat_map(stop_events));
    events.extend(lines.iter().filter_map(|line| act(line, zone)));
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events.truncate(LINES);
    if events.is_empty() {
        return Ok(html! { p.nothing { "Nothing has happened yet." } });
    }
    Ok(html! {
        @if calls.is_empty() { p.nothing { "Never called." } }
        ol.timeline {
            @for Event { at, tone, text, more } in &events {
                li.(tone) { p { b { (time(*at, zone)) } " · " (text) } (more) }
            }
        }
    })
}

fn call(attempt: &Attempt) -> Event {
    let text = html! {
        a href={ "/calls/" (attempt.id) } { (lists::occasion(attempt.call_type, &attempt.occasion)) }
        " · attempt " (attempt.attempt_no)
        @if let Some(length) = attempt.duration_seconds { ", " (seconds(length)) }
        " · " (lists::attempt_state(attempt))
    };
    let tone = words::attempt(attempt.state, attempt.disposition).0;
    Event { at: attempt.created_at, tone, text, more: Markup::default() }
}

fn skip(past: &PastItem) -> Event {
    let item = &past.item;
    let (tone, word) = words::item(item.status);
    let text = html! {
        (lists::occasion(item.call_type, &item.occasion)) " · " (word)
        @if let Some(reason) = item.reason { ": " (words::reason(reason)) }
        @if let Some(detail) = past.detail() { " " span.why { (detail) } }
    };
    let at = item.processed_at.unwrap_or(item.scheduled_for);
    Event { at, tone, text, more: Markup::default() }
}

/// The begin of a stop, and its end.
fn stop_events(stop: &Stop) -> Vec<Event> {
    let (began, ended) = match (stop.kind, stop.scope.as_str()) {
        (StopKind::DoNotCall, _) => {
            ("put on the do-not-call list", "taken off the do-not-call list")
        }
        (StopKind::CallStatus, "disabled") => ("calls disabled", "calls resumed"),
        (_, "all") => ("all calls paused", "all calls resumed"),
        (_, scope) => match scope.strip_prefix("type:") {
            Some("welcome") => ("welcome calls paused", "welcome calls resumed"),
            Some("daily") => ("daily calls paused", "daily calls resumed"),
            Some(_) => ("extra calls paused", "extra calls resumed"),
            None => ("calls paused", "calls resumed"),
        },
    };
    let text = |what: &str, who: &str, why: &str| {
        html! {
            (what) @if !who.is_empty() { " by " (who) }
            @if !why.is_empty() { ": " span.why { (why) } }
        }
    };
    let begin_text = text(began, &stop.who, &stop.why);
    let more = Markup::default();
    let begin = Event { at: stop.from, tone: Tone::Warn, text: begin_text, more };
    let end = stop.until.map(|at| {
        let (who, why) = stop.ended.clone().unwrap_or_default();
        let text = text(ended, &who, &why);
        Event { at, tone: Tone::Calm, text, more: Markup::default() }
    });
    std::iter::once(begin).chain(end).collect()
}

/// Another act of the journal. Of the moves of an item, only those to another time are acts.
fn act(line: &JournalLine, zone: &Zone) -> Option<Event> {
    let at = parse_instant(&line.at)?;
    let instant = |text: &Option<String>| text.as_deref().and_then(parse_instant);
    let moved = instant(&line.old).zip(instant(&line.new));
    let is_told = TOLD_ELSEWHERE.contains(&line.what.as_str())
        || (line.what == "item" && moved.is_none())
        || (line.what == "customer" && line.new.as_deref() == Some("disabled"));
    if is_told {
        return None;
    }
    let text = html! {
        @if let Some((old, new)) = moved {
            "call moved by " (line.who) " from " (time(old, zone)) " to " (time(new, zone))
        } @else {
            (acted(&line.what)) " by " (line.who)
            @if let Some(change) = change(line) { " · " (told_change(&change, zone)) }
        }
        @if let Some(why) = &line.why { ": " span.why { (why) } }
    };
    Some(Event { at, tone: Tone::Dim, text, more: Markup::default() })
}

fn acted(what: &str) -> String {
    match what {
        "customer" => "edited".to_string(),
        what => what.replace('_', " "),
    }
}

fn change(line: &JournalLine) -> Option<String> {
    match (line.old.as_deref(), line.new.as_deref()) {
        (None, None) => None,
        (None, Some(new)) => Some(new.to_string()),
        (Some(old), None) => Some(format!("no longer {old}")),
        (Some(old), Some(new)) => Some(format!("{old} → {new}")),
    }
}
