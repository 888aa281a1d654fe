//! The numbers that a text without `+` may mean under a country.
//!
//! `491713920012` in Germany is a national number, or an international one whose plus was lost.
//! The library silently prefers one of them. When both are numbers, the text is ambiguous.

use rlibphonenumber::CountryCodeSource::{self, FromDefaultCountry, FromNumberWithoutPlusSign};
use rlibphonenumber::{PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat, Region};

use crate::phones::renumbered;

/// The number of a text. The outer error is the library's; the inner one holds two possible
/// readings in E.164.
pub(super) fn read(
    text: &str,
    region: Option<Region>,
) -> Result<Result<PhoneNumber, (String, String)>, ParseError> {
    let is_international = text.trim_start_matches('(').starts_with('+');
    let country = region.and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region));
    let (Some(code), false) = (country, is_international) else {
        return PHONE_NUMBER_UTIL.parse(text, region).map(Ok);
    };
    let digits = crate::phones::text::digits(text);
    let mut preferred = PHONE_NUMBER_UTIL.parse_and_keep_raw_input(text, region);
    let mut readings: Vec<PhoneNumber> = others(&digits, code, preferred.as_ref().ok());
    if preferred.as_ref().is_ok_and(|number| has_source(number, FromNumberWithoutPlusSign)) {
        // The library would also accept a local number after the calling code.
        preferred = PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None);
    }
    readings.extend(preferred.clone());
    let valid = distinct(&readings, PhoneNumber::is_valid);
    if let [one, other, ..] = valid.as_slice() {
        return Ok(Err((e164(one), e164(other))));
    }
    let old = distinct(&readings, |number| renumbered::today(&e164(number)).is_some());
    match (valid.first(), old.as_slice()) {
        (Some(valid), _) => Ok(Ok((*valid).clone())),
        (None, [one, other, ..]) => Ok(Err((e164(one), e164(other)))),
        (None, [one]) => Ok(Ok((*one).clone())),
        (None, []) => preferred.map(Ok),
    }
}

/// The readings of the digits besides the one that the library prefers.
fn others(digits: &str, code: i32, preferred: Option<&PhoneNumber>) -> Vec<PhoneNumber> {
    let is_national = preferred.is_some_and(|number| has_source(number, FromDefaultCountry));
    let mut texts = Vec::new();
    if !is_national {
        texts.push(format!("+{code}{digits}"));
    }
    if digits.starts_with(&code.to_string()) {
        texts.push(format!("+{digits}"));
    }
    // 00 is the international prefix of most countries; people write it in other countries too.
    if let Some(abroad) = digits.strip_prefix("00") {
        texts.push(format!("+{abroad}"));
    }
    texts.iter().filter_map(|text| PHONE_NUMBER_UTIL.parse(text, None).ok()).collect()
}

fn has_source(number: &PhoneNumber, source: CountryCodeSource) -> bool {
    number.country_code_source() == source
}

fn distinct(
    readings: &[PhoneNumber],
    is_meant: impl Fn(&PhoneNumber) -> bool,
) -> Vec<&PhoneNumber> {
    let mut found: Vec<&PhoneNumber> = Vec::new();
    for number in readings.iter().filter(|number| is_meant(number)) {
        if !found.iter().any(|known| e164(known) == e164(number)) {
            found.push(number);
        }
    }
    found
}

fn e164(number: &PhoneNumber) -> String {
    number.format_as(PhoneNumberFormat::E164).into_owned()
}
