//! The journal: what people did, as sentences; what the machine did on demand.

use std::collections::HashMap;

use maud::{Markup, Render, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::parse_instant;
use crate::http::response::Response;
use crate::steps::customers::journaled;
use crate::store::journal::{self, JournalLine};
use crate::web::api::number;
use crate::web::asked::Asked;
use crate::web::page::html::{in_url, table, time, told_change};
use crate::web::page::layout::page;
use crate::web::page::lists::{ROWS, older};

/// Lines about one customer, which have no second page.
const LINES_OF_ONE: i64 = 200;

/// `GET /journal`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let zone = asked.front.zone();
    let subject = asked.query("subject").filter(|text| !text.trim().is_empty());
    let with_machines = asked.query("all").is_some();
    let before = number(asked, "before")?;
    let cx = asked.front.cx();
    let (lines, whose) = cx.store.read(|conn| {
        let lines = match subject {
            Some(text) => journaled::lines(cx, conn, text, LINES_OF_ONE)?,
            None => journal::page(conn, with_machines, before, ROWS as i64)?,
        };
        let whose = journal::whose(conn, lines.iter().map(|line| line.subject.as_str()))?;
        Ok((lines, whose))
    })?;
    let next = lines.get(ROWS - 1).map(|line| line.id).filter(|_| subject.is_none());
    let nothing = match (subject, with_machines) {
        (Some(_), _) => "No line of the journal is about this.",
        (None, false) => "Nobody has done anything here yet.",
        (None, true) => "The journal is empty.",
    };
    let body = html! {
        div.head { h1 { "Journal" } }
        p.hint { "Who did what, and why; the newest first. Nothing here can be changed." }
        form.filter method="get" {
            label.field.grow {
                span { "Customer (id, external id, e-mail or phone) or subject" }
                input name="subject" value=(subject.unwrap_or_default())
                    placeholder="ada@example.com";
            }
            label.check {
                input type="checkbox" name="all" value="1" checked[with_machines];
                " also what ringonce did by itself"
            }
            button { "Show" }
        }
        (journal_table(&lines, &whose, &zone, nothing))
        @if lines.is_empty() && (subject.is_some() || before.is_some()) {
            p { a href="/journal" { "All of the journal" } }
        }
        (older(asked, next))
    };
    Ok(page(asked, "Journal", body))
}

/// The customer by name, or the subject in words; both lead to the lines about the same.
fn about(line: &JournalLine, whose: Option<&(i64, String)>) -> Markup {
    let (kind, key) = line.subject.split_once(':').unwrap_or((&line.subject, ""));
    let lines = format!("/journal?subject={}", in_url(&line.subject));
    let what = match kind {
        "item" | "attempt" => "a call of ",
        _ => "",
    };
    html! {
        @if let Some((id, name)) = whose {
            (what)
            a href={ "/customers/id:" (id) } {
                @if name.is_empty() { "customer " (id) } @else { (name) }
            }
            " " a.quiet href=(lines) aria-label={ "Lines about " (line.subject) } { "lines" }
        } @else {
            a href=(lines) {
                @match kind {
                    "customer" => { "customer " (key) ", who is gone" },
                    "item" | "attempt" => { "a call of somebody who is gone" },
                    "pause" | "dialing" if !key.is_empty() => { (kind) ": " (key) },
                    _ => (line.subject),
                }
            }
        }
    }
}

fn journal_table(
    lines: &[JournalLine],
    whose: &HashMap<String, (i64, String)>,
    zone: &Zone,
    nothing: &str,
) -> Markup {
    let rows = lines.iter().map(|line| {
        let at = parse_instant(&line.at);
        [
            at.map_or_else(|| line.at.render(), |at| time(at, zone)),
            html! {
                b { (line.who) } " " (told(line, zone))
                @if let Some(why) = &line.why { ": " span.why { (why) } }
            },
            about(line, whose.get(&line.subject)),
        ]
    });
    table("Journal", ["When", "What happened", "About"], rows, nothing)
}

/// What a line tells, after the name of who did it.
fn told(line: &JournalLine, zone: &Zone) -> Markup {
    let shown = |text: &str| {
        let plain = |text: &str| told_change(text, zone).render();
        parse_instant(text).map_or_else(|| plain(text), |at| time(at, zone))
    };
    let (old, new) = (line.old.as_deref(), line.new.as_deref());
    let sentence = match (line.what.as_str(), old, new) {
        ("pause", _, Some(_)) => "paused calls",
        ("pause", _, None) => "resumed calls",
        ("hold", Some(_), None) => "lifted the hold",
        ("do not call", _, Some("added")) => "put the number on the do-not-call list",
        ("do not call", _, Some("removed")) => "took the number off the do-not-call list",
        ("customer", None, Some("created")) => "added the customer",
        ("customer", _, Some("erased")) => "erased the customer",
        ("reveal", _, Some("export")) => "exported all data",
        ("reveal", _, Some("recording")) => "listened to the recording (reveal)",
        ("reveal", ..) => "looked at what is hidden (reveal)",
        ("cancel", ..) => "cancelled the call",
        ("extra call", ..) => "asked for an extra call",
        ("resolve", _, Some("placed")) => "settled the doubt: the phone rang, so it is placed",
        ("resolve", ..) => "settled the doubt: it never rang",
        ("adopt", ..) => "armed this file here",
        ("events", _, Some("replayed")) => "sent events again",
        ("token", None, Some(_)) => "made a token",
        ("token", _, Some("revoked")) => "revoked the token",
        _ => "",
    };
    html! {
        @if sentence.is_empty() {
            "changed " (line.what.replace('_', " "))
            @match (old, new) {
                (Some(old), Some(new)) => { ": " (shown(old)) " → " (shown(new)) },
                (None, Some(new)) => { ": " (shown(new)) },
                (Some(old), None) => { ": no longer " (shown(old)) },
                (None, None) => {},
            }
        } @else { (sentence) }
    }
}
