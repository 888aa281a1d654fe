//! Phone numbers: the only door to the phone library.
//!
//! Turns what people and spreadsheets write into E.164 and says whether it may be dialed.
//! Refuses to guess: a text without a country, with letters, or turned into a decimal number by a
//! spreadsheet is no phone. It never parses a phone as a number.

mod told;

use rlibphonenumber::{
    PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region,
};

pub use told::{end_of_phone, end_of_told, may_have_rung, named};

/// The longest text that is looked at; the library itself stops at 250 characters.
const TEXT_CHARACTERS_MAX: usize = 64;

/// E.164 allows 15 digits after the plus.
const E164_CHARACTERS_MAX: usize = 16;

/// Country codes whose trunk prefix is a plain 0 (1 for +1) or none, so that a valid number never
/// begins with it. The largest ones; a test compares them with the library.
const PLAIN_COUNTRY_CODES: [&str; 8] = ["1", "33", "34", "44", "45", "49", "81", "91"];

/// A text that is a phone number, valid or not.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedPhone {
    /// E.164, without any extension.
    pub e164: String,
    /// Whether it may be dialed.
    pub valid: bool,
    /// Why it is not valid; holds no digits of the number. `None` when it is.
    pub error: Option<String>,
}

/// Reads one phone number.
///
/// `default_country` (`US`, `GB`, …) is assumed for a text without a leading `+`. The error says
/// why the text is no phone number at all.
pub fn parse(text: &str, default_country: Option<&str>) -> Result<ParsedPhone, String> {
    if let Some(phone) = read_e164(text).map(|number| judge(&number, false))
        && phone.valid
    {
        return Ok(phone);
    }
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
    let parsed = PHONE_NUMBER_UTIL.parse(number, region).map_err(explain)?;
    Ok(judge(&parsed, extension))
}

/// Whether this is a country that `parse` can assume; the error names what is expected.
pub fn check_country(country: &str) -> Result<(), String> {
    region(country).map(|_| ())
}

/// The E.164 form of what a person typed to name a customer, if it is a phone at all.
pub fn e164(text: &str) -> Option<String> {
    parse(text, None).ok().map(|phone| phone.e164)
}

/// ISO 3166 code of the country that an E.164 number belongs to; `None` for an invalid number and
/// for one that belongs to no country.
pub fn country_of(e164: &str) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(e164, None).ok()?;
    let region = number.is_valid().then(|| number.get_region_code())??;
    // 001 stands for satellites and other numbers of no country.
    Some(region.as_region_str().to_string()).filter(|code| code != "001")
}

fn region(country: &str) -> Result<Region, String> {
    let refused = || format!("\"{country}\" is no country: give two letters, such as US or GB");
    let region = Region::from_code(&country.to_ascii_uppercase()).map_err(|_| refused())?;
    match PHONE_NUMBER_UTIL.get_country_code_for_region(region) {
        Some(_) => Ok(region),
        None => Err(refused()),
    }
}

/// Plain ASCII: digits of other scripts become 0–9, all blanks and dashes the plain ones,
/// invisible marks vanish.
fn clean(text: &str) -> Result<String, String> {
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
            '\t' | '\u{00A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{3000}' => {
                cleaned.push(' ');
            }
            '\u{2010}'..='\u{2015}' | '\u{2212}' => cleaned.push('-'),
            // Full-width forms lie at a fixed distance from ASCII.
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
    let cleaned = cleaned.strip_prefix("tel:").unwrap_or(cleaned).trim();
    if cleaned.is_empty() { Err("is empty".to_string()) } else { Ok(cleaned.to_string()) }
}

/// The ASCII digit of a decimal digit in the scripts whose keyboards produce them.
fn digit(character: char) -> Option<char> {
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

/// The number and, apart, whether an extension followed it (`ext. 5`, `x5`, `#5`, `,5`).
fn split_extension(text: &str) -> (&str, bool) {
    let marks = |c: char| c.is_ascii_alphabetic() || matches!(c, '#' | ',' | ';');
    let Some(start) = text.find(marks) else {
        return (text, false);
    };
    let (number, rest) = text.split_at(start);
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let word = rest[..rest.len() - digits.len()].to_ascii_lowercase();
    let word = word.trim_matches(|c: char| matches!(c, ' ' | '.' | ':' | '=' | ',' | ';'));
    let known = matches!(word, "" | "x" | "#" | "ext" | "extn" | "extension");
    let short = (1..=7).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if known && short && !number.trim().is_empty() {
        (number.trim_end(), true)
    } else {
        (text, false)
    }
}

/// Refuses what the library would make a number of by dropping a part.
fn check_shape(text: &str) -> Result<(), String> {
    if is_spreadsheet_number(text) {
        return Err("is a spreadsheet's number, its digits are lost: export phones as text".into());
    }
    if text.bytes().any(|b| b.is_ascii_alphabetic()) {
        return Err(no_phone("holds letters"));
    }
    if text.bytes().any(|b| !b.is_ascii_digit() && !b" +-.()/".contains(&b)) {
        return Err(no_phone("holds a character that no phone number has"));
    }
    let plus_is_first = text.trim_start_matches('(').rfind('+').is_none_or(|at| at == 0);
    if !plus_is_first {
        return Err(no_phone("has a + inside, or is two numbers"));
    }
    Ok(())
}

/// `1.41556E+10`, and `12125550101.0` as a table of floats prints it.
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

/// The number of a text that is E.164 already.
///
/// The library's parser costs three times its judgement, and a large file mostly holds such
/// texts. Only for countries where the parser would drop nothing from a valid number.
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
    let error = match number.get_type() {
        PhoneNumberType::Unknown => Some("no such number in its country's numbering plan"),
        PhoneNumberType::PremiumRate => Some("a premium rate number"),
        _ if E164_CHARACTERS_MAX < e164.len() => Some("more than 15 digits"),
        _ if extension => Some("has an extension, which cannot be dialed"),
        _ => None,
    };
    ParsedPhone { e164, valid: error.is_none(), error: error.map(str::to_string) }
}

fn explain(error: ParseError) -> String {
    no_phone(match error {
        ParseError::InvalidCountryCode => "has an unknown country code",
        ParseError::NotANumber(_) => "has too few digits",
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => "is too short",
        ParseError::TooLongNsn => "is too long",
    })
}

fn no_phone(why: &str) -> String {
    format!("is no phone number: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_number_becomes_the_same_e164() {
        for (text, country) in [
            ("+12125550101", None),
            (" +1 (212) 555-0101 ", None),
            ("+1\u{a0}212\u{a0}555\u{a0}0101", None),
            ("\u{202a}+1 212 555 0101\u{202c}", None),
            ("\u{ff0b}\u{ff11}\u{ff12}\u{ff11}\u{ff12}5550101", None),
            (
                "+\u{661}\u{662}\u{661}\u{662}\u{665}\u{665}\u{665}\u{660}\u{661}\u{660}\u{661}",
                None,
            ),
            ("tel:+1-212-555-0101", None),
            ("(+1) 212.555.0101", None),
            ("+1 212\u{2011}555\u{2013}0101", None),
            ("212 555 0101", Some("US")),
            ("12125550101", Some("us")),
            ("1-212-555-0101", Some("CA")),
            ("001 1 212 555 0101", Some("SG")),
        ] {
            let phone = parse(text, country).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((phone.e164.as_str(), phone.valid), ("+12125550101", true), "{text}");
        }
    }

    #[test]
    fn a_lost_zero_and_a_trunk_zero_give_the_same_british_number() {
        for text in ["020 7946 0101", "20 7946 0101", "442079460101", "+44 (0)20 7946 0101"] {
            let phone = parse(text, Some("GB")).unwrap();
            assert_eq!((phone.e164.as_str(), phone.valid), ("+442079460101", true), "{text}");
        }
    }

    #[test]
    fn the_short_way_for_e164_agrees_with_the_library() {
        let mut short = 0;
        for code in PLAIN_COUNTRY_CODES {
            // A walk through the numbering plan, with a step that is prime to its blocks.
            for national in (20_000_000..9_999_999_999_u64).step_by(9_999_991) {
                let text = format!("+{code}{national}");
                let Some(number) = read_e164(&text) else { continue };
                let read = judge(&number, false);
                if read.valid {
                    let parsed = PHONE_NUMBER_UTIL.parse(&text, None);
                    assert_eq!(Ok(read), parsed.map(|number| judge(&number, false)), "{text}");
                    short += 1;
                }
            }
        }
        assert!(1000 < short, "only {short} numbers took the short way");
    }

    #[test]
    fn the_country_is_told_by_the_number() {
        for (number, expected) in [
            ("+12125550101", Some("US")),
            ("+442079460101", Some("GB")),
            ("+15555550101", None),
            ("nobody", None),
        ] {
            assert_eq!(country_of(number).as_deref(), expected, "{number}");
        }
    }

    #[test]
    fn what_is_no_phone_is_refused_with_the_reason() {
        for (text, country, part) in [
            ("", None, "is empty"),
            (" \u{200b} ", Some("US"), "is empty"),
            ("n/a", Some("US"), "letters"),
            ("1-800-FLOWERS", Some("US"), "letters"),
            ("1.41556E+10", Some("US"), "spreadsheet"),
            ("1,2125550101e10", Some("US"), "spreadsheet"),
            ("12125550101.0", Some("US"), "spreadsheet"),
            ("+12125550101 / +12125550102", None, "two numbers"),
            ("212 555 0101", None, "no country"),
            ("12125550101", None, "no country"),
            ("+9991234567", None, "unknown country code"),
            ("+1 212 555 0101 \u{1F4DE}", None, "character"),
            ("*67 212 555 0101", Some("US"), "character"),
            ("212 555 0101", Some("Narnia"), "no country"),
            ("212 555 0101", Some("ZZ"), "no country"),
            ("5", Some("US"), "few digits"),
        ] {
            let error = parse(text, country).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(parse(&"1".repeat(1 << 20), Some("US")).unwrap_err().contains("too long"));
    }

    #[test]
    fn a_number_that_cannot_be_dialed_is_kept_but_not_valid() {
        for (text, part) in [
            ("+1 555 555 0101", "no such number"),
            ("+1 212 555 010", "no such number"),
            ("+1 900 555 0101", "premium"),
            ("+1 212 555 0101 ext. 12", "extension"),
            ("+1 212 555 0101x7", "extension"),
            ("+1 212 555 0101,,7", "extension"),
        ] {
            let phone = parse(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(!phone.valid, "{text}");
            assert!(phone.error.as_deref().unwrap_or("").contains(part), "{text}: {phone:?}");
        }
        let with_extension = parse("+1 212 555 0101 ext. 12", None).unwrap();
        assert_eq!(with_extension.e164, "+12125550101");
    }
}
