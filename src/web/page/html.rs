//! Pieces of HTML that several pages share. `html!` escapes every value.

use maud::{Markup, Render, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::columns::Column;
use crate::domain::role::Role;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::present::output;
use crate::web::asked::Asked;
use crate::web::page::words::Tone;

/// RFC 3986 leaves these unreserved; every other byte is escaped.
const ESCAPED_IN_URLS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encodes a text as one segment of a path or one value of a query.
pub fn in_url(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED_IN_URLS).to_string()
}

/// The text with a capital.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", letters.as_str())
}

/// The pairs as the query of a URL, without the question mark.
pub fn query<'a>(pairs: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let pair = |(name, value): &(String, String)| format!("{}={}", in_url(name), in_url(value));
    pairs.into_iter().map(pair).collect::<Vec<_>>().join("&")
}

/// An instant on the wall clock of a zone. Programs and the tooltip get the exact instant.
pub fn time(at: Instant, zone: &Zone) -> Markup {
    let local = zone.local(at).format("%a %e %b, %H:%M");
    html! {
        time datetime=(instant_text(at)) title=(output::local_rfc3339(at, zone)) {
            (maud::display(local)) " " (output::offset(at, zone))
        }
    }
}

/// What changed, as the journal tells it, with the names of columns as words and each instant on the
/// wall clock of a zone.
pub fn told_change(text: &str, zone: &Zone) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches(',');
        let end = &word[bare.len()..];
        if let Some(at) = parse_instant(bare) {
            let local = zone.local(at).format("%a %e %b %Y, %H:%M");
            return format!("{local} {}{end}", output::offset(at, zone));
        }
        match bare {
            "next_call_scheduled_at" => format!("next call{end}"),
            _ if Column::of_header(bare).is_some_and(|column| column.as_str() == bare) => {
                format!("{}{end}", bare.replace('_', " "))
            }
            _ => word.to_string(),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The value, or a dash if there is none.
pub fn or_dash(value: Option<impl Render>) -> Markup {
    html! { @if let Some(value) = value { (value) } @else { "–" } }
}

/// A box of the page with a heading.
pub fn section(title: &str, content: Markup) -> Markup {
    html! { section { h2 { (title) } (content) } }
}

/// A short word with a colour.
pub fn badge(tone: Tone, text: &str) -> Markup {
    html! { span.badge.(tone) { (text) } }
}

/// A table whose caption is for screen readers only. The first cell of each row names the row.
pub fn table<const N: usize>(
    caption: &str,
    header: [&str; N],
    rows: impl IntoIterator<Item = [Markup; N]>,
    nothing: &str,
) -> Markup {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return html! { p.nothing { (nothing) } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption.unseen { (caption) }
                thead { tr { @for name in header { th scope="col" { (name) } } } }
                tbody {
                    @for row in rows { tr {
                        @for (index, (name, cell)) in header.iter().zip(row).enumerate() {
                            @if index == 0 { th scope="row" { (cell) } }
                            @else { td data-label=(name) { (cell) } }
                        }
                    } }
                }
            }
        }
    }
}

/// A form that changes something; nothing for those who may only look.
pub fn form(asked: &Asked<'_>, action: &str, fields: Markup) -> Markup {
    if asked.role() < Role::Support { Markup::default() } else { any_form(asked, action, fields) }
}

/// A form for every role. It carries the session's mark.
pub fn any_form(asked: &Asked<'_>, action: &str, fields: Markup) -> Markup {
    html! {
        form.act method="post" action=(action) {
            input type="hidden" name="mark" value=(asked.mark());
            (fields)
        }
    }
}

/// The line for a reason, and the button. Everything that changes calls requires a reason.
pub fn reason_and_button(id: &str, button: &str, class: &str) -> Markup {
    html! {
        label.field.grow for=(id) {
            span { "Reason" }
            input id=(id) name="reason" required maxlength="500" autocomplete="off"
                placeholder="for the journal";
        }
        button class=(class) { (button) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_a_url_stays_in_its_place() {
        assert_eq!(in_url("a b/../ü?x=1&y#z"), "a%20b%2F..%2F%C3%BC%3Fx%3D1%26y%23z");
    }

    #[test]
    fn a_table_names_its_columns_and_rows() {
        let html = table("Calls", ["When", "Who"], [["now".render(), "Ada".render()]], "none");
        let html = html.into_string();
        assert!(html.contains("<th scope=\"col\">When</th>"));
        assert!(html.contains("<th scope=\"row\">now</th>"));
        assert!(html.contains("<td data-label=\"Who\">Ada</td>"));
        let empty = table("Calls", ["When"], [], "no calls yet").into_string();
        assert!(empty.contains("no calls yet") && !empty.contains("<table"));
    }
}
