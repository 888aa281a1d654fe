//! How a person names one customer: an id, an external id, an e-mail or a phone, alone or with
//! the kind before it (`id:7`, `external:7`).

use crate::domain::customer::columns::shown;
use crate::domain::text_enum;

/// The digits of a number that a mask shows at its end.
pub const DIGITS_SHOWN: usize = 4;
/// Characters that replace hidden digits, on our pages and in numbers that people shorten.
const MASKS: [char; 3] = ['•', '…', '*'];

text_enum! {
    /// The kinds of names.
    pub enum Kind {
        Id = "id",
        External = "external",
        Email = "email",
        Phone = "phone",
        /// The stable key that the provider gets. It names a customer when every other name is
        /// ambiguous.
        Key = "key",
    }
}

/// Splits `id:7` into its kind and the rest. The kind may have capitals.
pub fn with_kind(text: &str) -> Option<(Kind, &str)> {
    let (kind, name) = text.split_once(':')?;
    Some((Kind::parse(&kind.trim().to_ascii_lowercase())?, name.trim()))
}

/// Reads an id in its one spelling: `0192`, `+7` and `７` are not ids.
pub fn id(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    is_plain.then(|| text.parse().ok())?
}

/// Refuses an external id that reads like the name of another customer.
pub fn check_external_id(text: &str) -> Result<(), String> {
    let Some((kind, _)) = with_kind(text) else { return Ok(()) };
    Err(format!(
        "\"{}\" would name a customer by the kind \"{kind}\": give an external id that does not \
         begin with {kind}:",
        shown(text)
    ))
}

/// The known parts of a number: its beginning and its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberPart {
    /// With a plus; empty when only the end is known.
    pub head: String,
    /// At least two digits.
    pub tail: String,
}

/// The part of a phone number that a text holds: `0192`, `…0192`, `+1•••••••0192`,
/// `phone:212 555 0192`. `None` for a text with anything else in it.
pub fn number_part(text: &str) -> Option<NumberPart> {
    let text = match with_kind(text) {
        Some((Kind::Phone, name)) => name,
        _ => text.trim(),
    };
    let (head, tail) = match (text.find(MASKS), text.rfind(MASKS)) {
        (Some(first), Some(last)) => (&text[..first], text[last..].trim_start_matches(MASKS)),
        _ => ("", text),
    };
    let mut part = NumberPart { head: digits(head)?, tail: digits(tail)? };
    // Without a plus it is unknown which part of the number the head is.
    part.head = if head.starts_with('+') { format!("+{}", part.head) } else { String::new() };
    // Remove the trunk prefix of a number in its national form.
    if 7 <= part.tail.len() {
        part.tail = part.tail.trim_start_matches('0').to_string();
    }
    (2 <= part.tail.len()).then_some(part)
}

/// The decimal digits of a text that holds only digits and separators; else `None`.
fn digits(text: &str) -> Option<String> {
    let mut found = String::new();
    for character in text.chars() {
        match character {
            '0'..='9' => found.push(character),
            ' ' | '+' | '-' | '.' | '(' | ')' | '/' => {}
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        for (text, expected) in [
            ("7", Some(7)),
            ("192", Some(192)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("0192", None),
            ("0", None),
            ("+7", None),
            ("-7", None),
            (" 7", None),
            ("7.0", None),
            ("７", None),
            ("٧", None),
            ("#7", None),
            ("", None),
        ] {
            assert_eq!(id(text), expected, "{text}");
        }
    }

    #[test]
    fn a_kind_is_read_in_any_case_and_only_from_the_closed_list() {
        assert_eq!(with_kind("id:7"), Some((Kind::Id, "7")));
        assert_eq!(with_kind("External: a:b"), Some((Kind::External, "a:b")));
        for text in ["7", "item:7", "customer:7", ":7", "", "id"] {
            assert_eq!(with_kind(text), None, "{text}");
        }
        assert!(check_external_id("crm:7").is_ok());
        assert!(check_external_id("ID:7").is_err_and(|why| why.contains("begin with id:")));
    }

    #[test]
    fn a_number_is_known_by_its_end_also_behind_a_mask() {
        for (text, head, tail) in [
            ("0192", "", "0192"),
            ("…0192", "", "0192"),
            ("+1•••••••0192", "+1", "0192"),
            ("+4•••••••0105", "+4", "0105"),
            ("***0192", "", "0192"),
            ("phone:212 555-0192", "", "2125550192"),
            ("(020) 7946 0105", "", "2079460105"),
        ] {
            let part = NumberPart { head: head.to_string(), tail: tail.to_string() };
            assert_eq!(number_part(text), Some(part), "{text}");
        }
        for text in
            ["", "7", "•••••••", "item 4", "#12", "ada", "12a4", "a…0192", "0192…", "id:0192"]
        {
            assert_eq!(number_part(text), None, "{text}");
        }
    }
}
