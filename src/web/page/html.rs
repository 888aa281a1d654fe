//! Small pieces of HTML. Whatever others wrote goes through [`esc`], without exception.

use chrono::Duration;

use crate::cli::output;
use crate::domain::zone::Zone;
use crate::domain::{Instant, instant_text};
use crate::web::page::words::Tone;

/// Text for an element or an attribute in double quotes. Also takes out what could steer a
/// reader: control characters, and marks that turn the reading direction.
pub fn esc(text: &str) -> String {
    let clean = output::clean(text);
    let mut escaped = String::with_capacity(clean.len());
    for c in clean.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A text as one segment of a path or one value of a query.
pub fn in_url(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// An instant on the wall clock of a zone, with the exact one for machines and on hovering.
pub fn time(at: Instant, zone: &Zone) -> String {
    let local = zone.local(at).format("%a %e %b, %H:%M");
    format!(
        "<time datetime=\"{}\" title=\"{}\">{local}</time>",
        instant_text(at),
        esc(&output::local_rfc3339(at, zone))
    )
}

/// The same to the second, without the day.
pub fn clock(at: Instant, zone: &Zone) -> String {
    let local = zone.local(at).format("%H:%M:%S");
    format!("<time datetime=\"{}\">{local}</time>", instant_text(at))
}

/// `in 12 min`, `3 h ago`.
pub fn away(at: Instant, now: Instant) -> String {
    esc(&output::relative(at, now))
}

/// A length of time in its largest unit.
pub fn length(length: Duration) -> String {
    esc(&output::duration(length))
}

/// A short word with a colour.
pub fn badge(tone: Tone, text: &str) -> String {
    format!("<span class=\"badge {}\">{}</span>", tone.class(), esc(text))
}

/// A table with a caption for those who do not see it. `rows` are ready cells; the first cell of
/// each names its row.
pub fn table(caption: &str, header: &[&str], rows: &[Vec<String>], nothing: &str) -> String {
    if rows.is_empty() {
        return format!("<p class=\"nothing\">{}</p>", esc(nothing));
    }
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table>\
         <caption class=\"unseen\">{0}</caption><thead><tr>",
        esc(caption)
    );
    for name in header {
        html.push_str(&format!("<th scope=\"col\">{}</th>", esc(name)));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let label = esc(header.get(index).copied().unwrap_or_default());
            match index {
                0 => html.push_str(&format!("<th scope=\"row\">{cell}</th>")),
                _ => html.push_str(&format!("<td data-label=\"{label}\">{cell}</td>")),
            }
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// A choice out of a closed list; the empty value means "all".
pub fn select(name: &str, label: &str, all: &str, words: &[&str], chosen: Option<&str>) -> String {
    let mut html = format!(
        "<label class=\"field\"><span>{}</span><select name=\"{name}\"><option value=\"\">{}\
         </option>",
        esc(label),
        esc(all)
    );
    for word in words {
        let selected = if chosen == Some(word) { " selected" } else { "" };
        html.push_str(&format!(
            "<option value=\"{word}\"{selected}>{}</option>",
            esc(&word.replace('_', " "))
        ));
    }
    html.push_str("</select></label>");
    html
}

/// A form that acts, with the session's mark in it. `fields` is ready HTML.
pub fn form(action: &str, mark: &str, fields: &str) -> String {
    format!(
        "<form method=\"post\" action=\"{}\" class=\"act\"><input type=\"hidden\" name=\"mark\" \
         value=\"{}\">{fields}</form>",
        esc(action),
        esc(mark)
    )
}

/// The line for a reason, and the button: what acts on calls always wants a reason.
pub fn reason_and_button(id: &str, button: &str, class: &str) -> String {
    format!(
        "<label class=\"field grow\" for=\"{id}\"><span>Reason</span><input id=\"{id}\" \
         name=\"reason\" required maxlength=\"500\" autocomplete=\"off\" \
         placeholder=\"for the journal\"></label><button class=\"{class}\">{}</button>",
        esc(button)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text() {
        let text = "<script>alert('x')</script> & \"q\"\u{202e}\u{7}";
        assert_eq!(
            esc(text),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot;"
        );
    }

    #[test]
    fn a_text_in_a_url_stays_in_its_place() {
        assert_eq!(in_url("a b/../ü?x=1&y#z"), "a%20b%2F..%2F%C3%BC%3Fx%3D1%26y%23z");
    }

    #[test]
    fn a_table_names_its_columns_and_rows() {
        let html = table("Calls", &["When", "Who"], &[vec!["now".into(), "Ada".into()]], "none");
        assert!(html.contains("<th scope=\"col\">When</th>"));
        assert!(html.contains("<th scope=\"row\">now</th>"));
        assert!(table("Calls", &["When"], &[], "no calls yet").contains("no calls yet"));
    }
}
