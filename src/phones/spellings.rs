//! The numbers that a person can mean by a text without a country.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

use crate::phones::e164;
use crate::phones::text::{check_shape, clean, digit, split_extension};

/// Every number that a person can mean by a text. It is read with a plus, with an international
/// prefix, and as a national number of any country. Only for finding known numbers.
pub fn readings(text: &str) -> Vec<String> {
    /// Shorter texts are parts of numbers.
    const DIGITS_MIN: usize = 6;
    let mut found: Vec<String> = e164(text).into_iter().collect();
    let Ok(cleaned) = clean(text) else { return found };
    let (number, _) = split_extension(&cleaned);
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if number.contains('+') || digits.len() < DIGITS_MIN || check_shape(number).is_err() {
        return found;
    }
    let prefixes = ["", "00", "011"].into_iter().filter_map(|prefix| digits.strip_prefix(prefix));
    found.extend(prefixes.filter_map(|rest| e164(&format!("+{rest}"))));
    let regions = PHONE_NUMBER_UTIL.get_supported_regions();
    let parsed = regions.filter_map(|region| PHONE_NUMBER_UTIL.parse(number, Some(region)).ok());
    found.extend(parsed.map(|phone| phone.format_as(PhoneNumberFormat::E164).into_owned()));
    found.sort_unstable();
    found.dedup();
    found
}

/// The text with the digits 0–9 instead of the digits of other scripts.
pub fn with_plain_digits(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{FF10}'..='\u{FF19}' => char::from_digit(u32::from(c) - 0xFF10, 10),
        _ => digit(c),
    };
    text.chars().map(|c| plain(c).unwrap_or(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_its_country_has_every_reading_that_a_country_gives_it() {
        for text in [
            "+1 212 555 0101",
            "12125550101",
            "(212) 555-0101",
            "001 212 555 0101",
            "011 1 212 555 0101",
        ] {
            assert!(readings(text).contains(&"+12125550101".to_string()), "{text}");
        }
        for text in ["020 7946 0101", "0044 20 7946 0101", "442079460101"] {
            assert!(readings(text).contains(&"+442079460101".to_string()), "{text}");
        }
        for text in ["", "0101", "nobody", "ada@example.com", "#2125550101", "-"] {
            assert_eq!(readings(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(with_plain_digits("\u{661}-\u{ff12}…3"), "1-2…3");
    }
}
