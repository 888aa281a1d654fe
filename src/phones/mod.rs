//! Phone numbers: the only module that uses the phone library.
//!
//! Converts text from people and spreadsheets to E.164 and decides whether it may be dialed.
//! Nothing is guessed: it refuses a text without a country, with letters, with two readings or two
//! numbers, or in a spreadsheet's decimal form. It never parses a phone as a number.

pub(crate) mod listed;
mod plain_forms;
mod readings;
mod renumbered;
mod spellings;
mod text;
mod two_numbers;

#[cfg(test)]
mod phones_tests;
#[cfg(test)]
mod plain_forms_tests;

use rlibphonenumber::{
    PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region,
};

use crate::domain::country;
use crate::domain::customer::columns::shown;

pub use listed::{end_of_phone, end_of_told, may_have_rung, named};
pub use renumbered::other_forms;
pub use spellings::{readings, with_plain_digits};
use text::{check_shape, clean, no_phone, split_extension};

/// E.164 allows 15 digits after the plus.
const E164_CHARACTERS_MAX: usize = 16;

/// Country codes whose trunk prefix is a plain 0 (1 for +1) or none, so that a valid number never
/// begins with it. Only the largest countries; a test compares them with the library.
const PLAIN_COUNTRY_CODES: [&str; 8] = ["1", "33", "34", "44", "45", "49", "81", "91"];

/// A text that is a phone number, valid or not.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedPhone {
    /// E.164, without any extension. Today's form when an old form is certain.
    pub e164: String,
    /// Whether it may be dialed.
    pub valid: bool,
    /// Why it is not valid; holds no digits of the number. `None` when it is valid.
    pub error: Option<String>,
    /// Today's form of a number that was written in a form from before a renumbering.
    pub today: Option<String>,
    /// Whether its country's numbering plan has such a number, even one that is not dialed.
    pub exists: bool,
}

/// Reads one phone number.
///
/// `default_country` (`US`, `GB`, …) is assumed for a text without a leading `+`. The error shows
/// why the text is not a phone number, and both numbers when it could mean two.
pub fn parse(text: &str, default_country: Option<&str>) -> Result<ParsedPhone, String> {
    let plain = plain_forms::e164(text, default_country);
    let number = plain.and_then(|plain| read_e164(&plain));
    match number.map(|number| judge(&number, false)) {
        Some(phone) if phone.valid => Ok(phone),
        _ => parse_any(text, default_country),
    }
}

/// Reads a number in any form.
fn parse_any(text: &str, default_country: Option<&str>) -> Result<ParsedPhone, String> {
    let cleaned = clean(text)?;
    let (number, extension) = split_extension(&cleaned);
    check_shape(number)?;
    let region = match default_country {
        Some(country) => Some(region(country)?),
        None if number.trim_start_matches('(').starts_with('+') => None,
        None => {
            return Err("has no country: write it as +…, or give --default-country".to_string());
        }
    };
    if let Some((left, right)) = two_numbers::sides(number, region) {
        return Err(text::two_numbers(left, right));
    }
    match readings::read(number, region).map_err(explain)? {
        Ok(number) => Ok(judge(&number, extension)),
        Err((one, other)) => {
            Err(format!("has two readings, {one} and {other}: write the right one, with its +"))
        }
    }
}

/// The E.164 form that a text probably means. It is only a guess: compare it with what `parse` says,
/// to know later what `parse` said of the same text and country.
pub fn likely(text: &str, country: Option<&str>) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if text.contains('+') {
        return Some(format!("+{digits}"));
    }
    let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region(country?).ok()?)?;
    Some(format!("+{code}{}", digits.strip_prefix('0').unwrap_or(&digits)))
}

/// Whether this is a country that `parse` can assume; the error names the expected form.
pub fn check_country(country: &str) -> Result<(), String> {
    region(country).map(|_| ())
}

/// The code of the country that a text names: `GB`, `United Kingdom`, or a calling code such as 44,
/// +44 or 0044.
pub fn country_named(text: &str) -> Result<String, String> {
    let unknown = || {
        let text = shown(text);
        format!(
            "\"{text}\" is not a country: write two letters or a calling code, such as GB or 44"
        )
    };
    let digits = text.trim_start_matches('+').trim_start_matches("00");
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let code = digits.parse().map_err(|_| unknown())?;
        let region = PHONE_NUMBER_UTIL.get_region_for_country_code(code).ok_or_else(unknown)?;
        let name = region.as_region_str();
        // 001 is the code of satellites and other numbers without a country.
        return if *name == *"001" { Err(unknown()) } else { Ok(name.to_string()) };
    }
    let word = text.to_uppercase();
    if check_country(&word).is_ok() {
        return Ok(word);
    }
    // Two letters may be a language; only UK is nothing else.
    let is_name = word.chars().count() > 2 || word == "UK";
    match country::named(text).filter(|_| is_name) {
        Some(code) => Ok(code.to_string()),
        None => Err(match country::nearest_name(text).filter(|_| is_name) {
            Some(near) => format!("\"{}\" is not a country: did you mean {near}?", shown(text)),
            None => unknown(),
        }),
    }
}

/// The E.164 form of a text that a person typed to name a customer; `None` if it is not a phone.
pub fn e164(text: &str) -> Option<String> {
    parse(text, None).ok().map(|phone| phone.e164)
}

/// ISO 3166 code of the country that an E.164 number belongs to; `None` for an invalid number and
/// for a number without a country.
pub fn country_of(e164: &str) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(e164, None).ok()?;
    let region = number.is_valid().then(|| number.get_region_code())??;
    // 001 is the code of satellites and other numbers without a country.
    Some(region.as_region_str().to_string()).filter(|code| code != "001")
}

fn region(country: &str) -> Result<Region, String> {
    let refused =
        || format!("\"{country}\" is not a country code: give two letters, such as US or GB");
    let region = Region::from_code(&country.to_ascii_uppercase()).map_err(|_| refused())?;
    match PHONE_NUMBER_UTIL.get_country_code_for_region(region) {
        Some(_) => Ok(region),
        None => Err(refused()),
    }
}

/// Reads a text that is E.164 already; `None` for any other text.
///
/// The library's parser takes three times as long as its validation, and a large file mostly holds
/// such texts. Only for countries where the parser would drop nothing from a valid number.
fn read_e164(text: &str) -> Option<PhoneNumber> {
    let digits = text.strip_prefix('+')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    if !plain || !(8..E164_CHARACTERS_MAX).contains(&digits.len()) {
        return None;
    }
    let code = PLAIN_COUNTRY_CODES.iter().find(|code| digits.starts_with(**code))?;
    let national = &digits[code.len()..];
    if national.starts_with('0') {
        return None;
    }
    Some(PhoneNumber {
        country_code: code.parse().ok()?,
        national_number: national.parse().ok()?,
        ..PhoneNumber::default()
    })
}

fn judge(number: &PhoneNumber, extension: bool) -> ParsedPhone {
    let e164 = number.format_as(PhoneNumberFormat::E164).into_owned();
    let kind = number.get_type();
    let renumbered = match kind {
        PhoneNumberType::Unknown => renumbered::today(&e164),
        _ => None,
    };
    let exists = kind != PhoneNumberType::Unknown || renumbered.is_some();
    let error = match (kind, &renumbered) {
        (_, Some((_, false))) => Some("written as before a renumbering: write today's number"),
        (PhoneNumberType::Unknown, None) => Some("no such number in its country's numbering plan"),
        (PhoneNumberType::PremiumRate, _) => Some("a premium rate number"),
        _ if E164_CHARACTERS_MAX < e164.len() => Some("more than 15 digits"),
        _ if extension => Some("has an extension, which cannot be dialed"),
        _ => None,
    };
    let (e164, today) = match renumbered {
        Some((today, true)) => (today.clone(), Some(today)),
        Some((today, false)) => (e164, Some(today)),
        None => (e164, None),
    };
    let exists = exists && e164.len() <= E164_CHARACTERS_MAX;
    ParsedPhone { e164, valid: error.is_none(), error: error.map(str::to_string), today, exists }
}

fn explain(error: ParseError) -> String {
    no_phone(match error {
        ParseError::InvalidCountryCode => "has an unknown country code",
        ParseError::NotANumber(_) => "has too few digits",
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => "is too short",
        ParseError::TooLongNsn => "is too long",
    })
}
