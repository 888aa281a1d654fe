//! Cleans the text of a person or a spreadsheet into the plain ASCII text of one number.
//!
//! Refuses a text that the library would turn into a number by dropping a part of it.

/// The longest text that is read, in characters; the library's own limit is 250.
const TEXT_CHARACTERS_MAX: usize = 64;
/// What programs write before a number: links, and lead forms of advertisements.
const PREFIXES: [&str; 2] = ["tel:", "p:"];
/// An extension has at most this many digits. Seven can be a second local number.
const EXTENSION_DIGITS_MAX: usize = 6;
/// The shortest run of digits that can be a number of its own before a second one.
const NUMBER_DIGITS_MIN: usize = 5;

/// Converts to plain ASCII: digits of other scripts become 0–9, blanks and dashes the plain ones.
/// Invisible marks are removed. A line break becomes `;`, because it separates two numbers.
pub(super) fn clean(text: &str) -> Result<String, String> {
    let text = text.trim();
    if TEXT_CHARACTERS_MAX < text.chars().count() {
        return Err("is too long for a phone number".to_string());
    }
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' => cleaned.push(character),
            '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' => {}
            '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => {}
            '\u{00A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{3000}' => cleaned.push(' '),
            '\t' => cleaned.push_str("  "),
            '\n' | '\r' | '\u{0B}' | '\u{0C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                cleaned.push(';');
            }
            '\u{060C}' | '\u{061B}' | '\u{3001}' | '\u{00B7}' | '\u{2022}' => cleaned.push(';'),
            '\u{2044}' | '\u{2215}' => cleaned.push('/'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => cleaned.push('-'),
            // Full-width forms have a fixed distance from ASCII.
            '\u{FF01}'..='\u{FF5E}' => {
                cleaned.extend(char::from_u32(u32::from(character) - 0xFEE0));
            }
            _ => match digit(character) {
                Some(digit) => cleaned.push(digit),
                None => return Err(no_phone("holds a character that no phone number has")),
            },
        }
    }
    let cleaned = cleaned.trim();
    let prefix = PREFIXES.iter().find(|prefix| {
        cleaned.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    });
    let cleaned = cleaned[prefix.map_or(0, |prefix| prefix.len())..].trim();
    if cleaned.is_empty() { Err("is empty".to_string()) } else { Ok(cleaned.to_string()) }
}

/// The ASCII digit of a decimal digit in the scripts whose keyboards produce them.
pub(super) fn digit(character: char) -> Option<char> {
    const ZEROS: [u32; 9] = [
        0x0660, // Arabic-Indic
        0x06F0, // Persian and Urdu
        0x0966, // Devanagari
        0x09E6, // Bengali
        0x0A66, // Gurmukhi
        0x0AE6, // Gujarati
        0x0BE6, // Tamil
        0x0E50, // Thai
        0x1040, // Myanmar
    ];
    let code = u32::from(character);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// The number without its extension (`ext. 5`, `x5`, `#5`, `,,5`), and whether it had one.
///
/// One comma or semicolon does not begin an extension, because it separates numbers in a list.
pub(super) fn split_extension(text: &str) -> (&str, bool) {
    let marks = |c: char| c.is_ascii_alphabetic() || matches!(c, '#' | ',' | ';');
    let Some(start) = text.find(marks) else {
        return (text, false);
    };
    let (number, rest) = text.split_at(start);
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let word = rest[..rest.len() - digits.len()].to_ascii_lowercase();
    let word = word.trim_matches(|c: char| matches!(c, ' ' | '.' | ':' | '=' | ',' | ';'));
    let known = match word {
        "" => rest.starts_with(",,"),
        word => matches!(word, "x" | "#" | "ext" | "extn" | "extension"),
    };
    let short = (1..=EXTENSION_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit());
    if known && short && !number.trim().is_empty() {
        (number.trim_end(), true)
    } else {
        (text, false)
    }
}

/// Refuses a text that is not one number.
pub(super) fn check_shape(text: &str) -> Result<(), String> {
    if is_spreadsheet_number(text) {
        return Err("is a spreadsheet's number, its digits are lost: export phones as text".into());
    }
    if is_date(text) {
        return Err(no_phone("is a date"));
    }
    if let Some((left, right)) = listed(text) {
        return Err(two_numbers(left, right));
    }
    if text.bytes().any(|b| b.is_ascii_alphabetic()) {
        return Err(no_phone("holds letters"));
    }
    if text.bytes().any(|b| !is_of_a_number(b)) {
        return Err(no_phone("holds a character that no phone number has"));
    }
    let plus_is_first = text.trim_start_matches('(').rfind('+').is_none_or(|at| at == 0);
    if !plus_is_first {
        return Err(no_phone("has a + inside, or is two numbers"));
    }
    Ok(())
}

pub(super) fn no_phone(why: &str) -> String {
    format!("is not a phone number: {why}")
}

/// The error for a text that holds two numbers; it shows both.
pub(super) fn two_numbers(left: &str, right: &str) -> String {
    format!("holds two numbers, \"{}\" and \"{}\": keep one", left.trim(), right.trim())
}

pub(super) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn is_of_a_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b" +-.()/".contains(&byte)
}

/// The two sides of a mark that is never inside a number: `;`, `|`, `or`, a second `+`.
fn listed(text: &str) -> Option<(&str, &str)> {
    let is_inside = |(at, byte): (usize, u8)| {
        let separates = !is_of_a_number(byte) || byte == b'+';
        separates && NUMBER_DIGITS_MIN <= digits(&text[..at]).len()
    };
    let at = text.bytes().enumerate().find(|part| is_inside(*part))?.0;
    let left = text[..at].trim_end_matches([' ', '(', '/', '-', '.']);
    let right = text[at..].trim_start_matches(|c: char| !c.is_ascii_digit() && !"+(".contains(c));
    right.bytes().any(|b| b.is_ascii_digit()).then_some((left, right))
}

/// Whether it is like `1.41556E+10`, or like `12125550101.0` from a table of floats.
fn is_spreadsheet_number(text: &str) -> bool {
    let number = text.trim_start_matches(['+', '-']);
    let (mantissa, exponent) = number.split_once(['E', 'e']).unwrap_or((number, ""));
    let Some((whole, fraction)) = mantissa.split_once(['.', ',']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shifted = digits(exponent.trim_start_matches(['+', '-']));
    digits(whole) && digits(fraction) && (shifted || (7 <= whole.len() && fraction.len() <= 2))
}

/// Whether it is like `2026-01-31`, `31.12.2026` or `1/31/2026`: some countries have such numbers.
fn is_date(text: &str) -> bool {
    let Some(separator) = text.chars().find(|c| matches!(c, '-' | '.' | '/')) else {
        return false;
    };
    let parts: Vec<&str> = text.split(separator).collect();
    let [first, second, third] = parts.as_slice() else { return false };
    let is_year = |part: &str| {
        part.len() == 4 && part.parse().is_ok_and(|year: u32| (1900..2100).contains(&year))
    };
    let is_day = |part: &str| {
        (1..=2).contains(&part.len()) && part.parse().is_ok_and(|day: u32| (1..=31).contains(&day))
    };
    (is_year(first) && is_day(second) && is_day(third))
        || (is_day(first) && is_day(second) && is_year(third))
}
