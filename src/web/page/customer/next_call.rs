//! The next call of one customer: the answer of `explain`, in sentences.

use maud::{Markup, Render, html};

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::Reason;
use crate::domain::customer::columns::parse_date;
use crate::domain::gate::facts::{Answer, Verdict};
use crate::present::output::relative;
use crate::steps::forecast::explain::{Explained, Explanation, Outcome, Question, answer};
use crate::steps::forecast::past::Day;
use crate::web::asked::Asked;
use crate::web::page::html::{badge, time};
use crate::web::page::lists;
use crate::web::page::words::{self, Tone};

/// The next call of a customer, and every occasion with its rules.
pub fn story(asked: &Asked<'_>, customer_id: i64) -> anyhow::Result<Markup> {
    let question = Question::now(asked.now);
    let Some(explained) = answer(asked.front.cx(), customer_id, &question, None)? else {
        return Ok(html! { p.nothing { "The customer is gone." } });
    };
    let fallback = asked.front.zone();
    let zone = explained.zone.as_ref().unwrap_or(&fallback);
    Ok(html! {
        (next_call(&explained, zone))
        @for explanation in &explained.occasions { (occasion(explanation, zone, asked.now)) }
    })
}

/// The form that asks about one date, and the answer.
pub fn past_date(asked: &Asked<'_>, customer_id: i64) -> anyhow::Result<Markup> {
    let text = asked.query("on").filter(|text| !text.is_empty());
    let on = text.and_then(|text| parse_date(text).ok());
    let question = Question { on, ..Question::now(asked.now) };
    let explained = match on {
        Some(_) => answer(asked.front.cx(), customer_id, &question, None)?,
        None => None,
    };
    let fallback = asked.front.zone();
    Ok(html! {
        section {
            h2 { "Why was there no call?" }
            form.filter method="get" {
                label.field {
                    span { "On the date" }
                    input type="date" name="on" value=(text.unwrap_or_default()) required;
                }
                button { "Show" }
            }
            @if text.is_some() && on.is_none() { p { "This is not a date: write 2026-11-22." } }
            @if let Some(explained) = &explained {
                @let zone = explained.zone.as_ref().unwrap_or(&fallback);
                @match &explained.day {
                    Some(day) => (told_of_day(explained, day, zone)),
                    None => p { "The time zone is not known, so no date is." },
                }
            }
        }
    })
}

fn told_of_day(explained: &Explained, day: &Day, zone: &Zone) -> Markup {
    let said = explained.of_the_day(day);
    let (tone, word) = match said.verdict {
        "called" | "already_called" => (Tone::Good, "called"),
        "rings" => (Tone::Good, "rings"),
        "skipped" | "not_called" | "no_record" => (Tone::Bad, "not called"),
        "failed" => (Tone::Bad, "failed"),
        "waits" | "in_flight" => (Tone::Calm, "waits"),
        _ => (Tone::Dim, "no call was due"),
    };
    let told = said.detail.clone().unwrap_or_default();
    html! {
        p.lead {
            (day.date.format("%a %e %b %Y").to_string()) ": " (badge(tone, word))
            @if let Some(reason) = said.reason { " " (words::reason(reason)) }
            @if said.verdict == "no_record" { " no result is recorded" }
            @if !told.is_empty() { ": " span.why { (told) } }
        }
        ul {
            @for past in &day.items {
                li {
                    (lists::occasion(past.item.call_type, &past.item.occasion)) ", due "
                    (time(past.item.scheduled_for, zone)) ": " (words::item(past.item.status).1)
                }
            }
            @for call in &day.calls {
                li { "attempt " (call.attempt_no) " " (time(call.created_at, zone)) " "
                    (lists::attempt_state(call)) }
            }
            @for stop in day.stops.iter().filter(|stop| !told.contains(&stop.words())) {
                li.why { (stop.words()) }
            }
        }
        @if explained.at < explained.now {
            @for then in &explained.occasions {
                details {
                    summary { "Every rule and its answer, as it stood " (time(explained.at, zone)) }
                    ul.rules { @for answer in &then.answers { (rule(answer, zone)) } }
                }
            }
        }
    }
}

fn next_call(explained: &Explained, zone: &Zone) -> Markup {
    let rhythm = explained.rhythm.as_deref().unwrap_or("no daily calls");
    html! {
        p.lead {
            @if let Some(at) = explained.next_call_at {
                @let away = if at <= explained.at { "now".into() } else { relative(at, explained.at) };
                "The phone rings " b { (away) } ", " (time(at, zone)) "."
            } @else { "No call is coming." }
            " " span.dim { "Rhythm: " (rhythm) "." }
        }
        @if let Some(warning) = &explained.place { p { "Beware: " (warning) "." } }
    }
}

fn occasion(explanation: &Explanation, zone: &Zone, now: Instant) -> Markup {
    let (tone, word, sentence) = outcome(explanation, zone, now);
    html! {
        article.story {
            h3 {
                (lists::occasion(explanation.call_type, &explanation.occasion)) " · due "
                (time(explanation.scheduled_for, zone)) " " (badge(tone, word))
            }
            p { (sentence) }
            (rules(&explanation.answers, zone))
        }
    }
}

/// The colour and the word for an outcome, and a sentence that explains it.
fn outcome(explanation: &Explanation, zone: &Zone, now: Instant) -> (Tone, &'static str, Markup) {
    match explanation.outcome {
        Outcome::Rings => (Tone::Good, "rings", "The phone rings.".render()),
        Outcome::Waits { reason: None, until } => {
            let at = until.unwrap_or(explanation.scheduled_for);
            let sentence = html! {
                @if let Some(tried) = &explanation.tried {
                    "Attempt " (tried.attempts + 1) " of it comes " (relative(at, now)) ", "
                    (time(at, zone)) ", because the last one ended as "
                    (tried.last.replace('_', " ")) "."
                } @else { "Its instant comes " (relative(at, now)) "." }
            };
            (Tone::Calm, "waits", sentence)
        }
        Outcome::Waits { reason: Some(reason), until } => {
            let sentence = html! {
                "It waits: " (words::reason(reason))
                @if let Some(until) = until {
                    @if !reason.ends_by_time() { ";" }
                    " " (Reason::before_instant(Some(reason))) " " (time(until, zone))
                } @else { "; until something changes" }
                "."
            };
            (Tone::Warn, "waits", sentence)
        }
        Outcome::Skipped(reason) => {
            let sentence = html! { "It ends without a call: " (words::reason(reason)) "." };
            (Tone::Dim, "skipped", sentence)
        }
        Outcome::AlreadyCalled => {
            (Tone::Good, "called", "A phone rang for it, or may have: never again.".render())
        }
        Outcome::InFlight => (Tone::Calm, "under way", "A call of it is under way.".render()),
    }
}

/// The rules that stop the call are open; those that allow it are folded.
fn rules(answers: &[Answer], zone: &Zone) -> Markup {
    let (allow, stop): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.verdict == Verdict::Open);
    html! {
        @if !stop.is_empty() {
            ul.rules { @for answer in &stop { (rule(answer, zone)) } }
        }
        @if !allow.is_empty() {
            details {
                summary {
                    @if stop.is_empty() { "Every rule and its answer" }
                    @else { "The " (allow.len()) " rules that allow it" }
                }
                ul.rules { @for answer in &allow { (rule(answer, zone)) } }
            }
        }
    }
}

fn rule(answer: &Answer, zone: &Zone) -> Markup {
    let (tone, word, what, until) = match &answer.verdict {
        Verdict::Open => (Tone::Good, "yes", "", None),
        Verdict::Wait { reason, until } => (Tone::Warn, "not now", words::reason(*reason), *until),
        Verdict::Skip(reason) => (Tone::Bad, "no", words::reason(*reason), None),
        Verdict::AlreadyCalled => (Tone::Good, "called", "a phone rang for it, or may have", None),
    };
    let waits_for = match &answer.verdict {
        Verdict::Wait { reason, .. } => Some(*reason),
        _ => None,
    };
    html! {
        li.(tone) {
            span.sign { (word) } " " b { (answer.rule) } " " (what)
            @if let Some(until) = until { ", " (Reason::before_instant(waits_for)) " " (time(until, zone)) }
            @if !answer.detail.is_empty() { " " span.why { (answer.detail) } }
        }
    }
}
