//! Reads single values of the provider's JSON, cut to a bounded length.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::domain::{Instant, parse_instant};

/// The longest name, id or reason that is kept, in bytes; the provider's limits are far below.
pub(crate) const LONGEST_WORD: usize = 200;

/// Dots are escaped too, because `..` would be the folder above.
const ESCAPED_IN_A_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The longest summary that is kept, in bytes.
pub(crate) const LONGEST_TEXT: usize = 256 * 1024;
/// The longest transcript that is kept, in bytes. Transcripts of 600 kB are known.
pub(crate) const LONGEST_TRANSCRIPT: usize = 8 * 1024 * 1024;

/// A short text. Longer texts are cut, because no text that we compare with is that long.
pub(crate) fn word(value: &Value) -> Option<String> {
    Some(cut(value.as_str()?, LONGEST_WORD)).filter(|word| !word.is_empty())
}

/// A call's id that is valid in an address and in the database. It is never cut, because a cut id
/// is another id.
pub(crate) fn call_id(value: &Value) -> Option<String> {
    let id = value.as_str()?;
    let usable =
        !id.is_empty() && id.len() <= LONGEST_WORD && id.chars().all(|c| c.is_ascii_graphic());
    usable.then(|| id.to_string())
}

pub(crate) fn text(value: &Value) -> Option<String> {
    Some(cut(value.as_str()?, LONGEST_TEXT)).filter(|text| !text.is_empty())
}

pub(crate) fn transcript(value: &Value) -> Option<String> {
    Some(cut(value.as_str()?, LONGEST_TRANSCRIPT)).filter(|text| !text.is_empty())
}

pub(crate) fn cut(text: &str, longest: usize) -> String {
    let end = (0..=longest.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_string()
}

pub(crate) fn read_instant(value: &Value) -> Option<Instant> {
    parse_instant(value.as_str()?)
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite())
}

pub(crate) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

pub(crate) fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

/// An external id as one segment of a path, encoded so that it cannot point elsewhere.
pub(crate) fn path_segment(id: &str) -> String {
    utf8_percent_encode(id, ESCAPED_IN_A_SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(path_segment("01a2-b_C"), "01a2-b_C");
        assert_eq!(path_segment("../x?y#z/é"), "%2E%2E%2Fx%3Fy%23z%2F%C3%A9");
    }
}
