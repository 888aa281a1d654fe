//! The text that a cell means, without the marks that spreadsheets and databases put around it.

use std::borrow::Cow;

/// Texts that databases and spreadsheets write for "no value".
const NOTHING: [&str; 4] = ["NULL", "null", "\\N", "#N/A"];

/// A cell without a spreadsheet's marks: `="00123"` is 00123, and `'+1 212` is +1 212.
///
/// In a free text an apostrophe may be a letter (`'t Hart`), so it goes only where it protects a
/// number or a formula.
pub fn unwrapped(text: &str, is_free: bool) -> Cow<'_, str> {
    let quoted = text.strip_prefix("=\"").and_then(|text| text.strip_suffix('"'));
    if let Some(inner) = quoted {
        return match inner.contains('"') {
            true => Cow::Owned(inner.replace("\"\"", "\"").trim().to_string()),
            false => Cow::Borrowed(inner.trim()),
        };
    }
    match text.strip_prefix('\'') {
        Some(rest) if !is_free || is_protected(rest) => Cow::Borrowed(rest.trim()),
        _ => Cow::Borrowed(text),
    }
}

/// The same, and texts such as NULL are empty.
pub fn value(text: &str, is_free: bool) -> Cow<'_, str> {
    let text = unwrapped(text, is_free);
    if NOTHING.contains(&text.as_ref()) { Cow::Borrowed("") } else { text }
}

/// Whether a spreadsheet would treat the text as a number or a formula.
fn is_protected(rest: &str) -> bool {
    let begins = |c: char| c.is_ascii_digit() || "=+-@＝＋－＠".contains(c);
    rest.trim_start().starts_with(begins) || rest.starts_with(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheets_marks_go_and_letters_stay() {
        for (text, is_free, expected) in [
            ("'+12125550101", false, "+12125550101"),
            ("'Europe/London", false, "Europe/London"),
            ("=\"00123\"", false, "00123"),
            ("=\"say \"\"hi\"\"\"", true, "say \"hi\""),
            ("'007", true, "007"),
            ("'=1+1", true, "=1+1"),
            ("'t Hart", true, "'t Hart"),
            ("'", true, "'"),
            ("'", false, ""),
            ("O'Neill", true, "O'Neill"),
            ("=1+1", true, "=1+1"),
            ("", true, ""),
        ] {
            assert_eq!(unwrapped(text, is_free), expected, "{text}");
        }
        for text in ["NULL", "\\N", "#N/A", "null", "=\"NULL\""] {
            assert_eq!(value(text, true), "", "{text}");
        }
        for text in ["Null", "N/A", "none"] {
            assert_eq!(value(text, true), text);
        }
    }
}
