//! The journal: who did what, and why.

use maud::{Markup, Render, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::parse_instant;
use crate::http::response::Response;
use crate::steps::customers::journaled;
use crate::store::journal;
use crate::web::asked::Asked;
use crate::web::page::html::{in_url, or_dash, table, time};
use crate::web::page::layout::page;

/// Lines of the journal page, which has no second page.
const JOURNAL_LINES: i64 = 200;

/// `GET /journal`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
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
