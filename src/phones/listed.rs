//! Compares the numbers of a provider's records with phones. A record holds E.164, a national form,
//! a SIP address or no number. Numbers are compared, never raw text.

use crate::phones::{country_of, parse};

/// Renumbering changes the beginning of a number and keeps this many digits at its end.
const END: usize = 7;
/// The longest number is 15 digits after an international prefix such as 011. A longer run of
/// digits is not one number.
const DIGITS_MAX: usize = 18;

/// Whether a call with this number in the provider's record may have rung this phone (E.164).
///
/// `false` needs proof: the text names another valid number, or the two numbers end differently.
/// A missing number, a SIP user name and any text that cannot be read may be anybody's.
pub fn may_have_rung(told: Option<&str>, phone_e164: &str) -> bool {
    let Some(told) = told.and_then(bare) else { return true };
    if told == phone_e164 {
        return true;
    }
    let (Some(told_end), Some(phone_end)) = (end_of_bare(&told), end_of_phone(phone_e164)) else {
        return true;
    };
    if told_end != phone_end {
        return false;
    }
    match (valid(&told), valid(phone_e164)) {
        (Some(told), Some(phone)) => told == phone || may_be_renumbered(&told, &phone),
        _ => true,
    }
}

/// The valid E.164 number of the provider's text; `None` when it is not certain.
pub fn named(told: Option<&str>) -> Option<String> {
    valid(&bare(told?)?)
}

/// The last digits of the provider's number, which exclude most phones. `None` = no phone excluded.
pub fn end_of_told(told: Option<&str>) -> Option<String> {
    end_of_bare(&bare(told?)?).map(str::to_string)
}

/// The last digits of a phone in E.164, for comparison with those of `end_of_told`.
pub fn end_of_phone(phone_e164: &str) -> Option<&str> {
    end_of_bare(phone_e164)
}

/// The number without scheme, parameters, host, blanks and punctuation: digits, maybe with a plus.
/// `None`: the text holds something else, such as an extension or a user name.
fn bare(text: &str) -> Option<String> {
    let text = text.trim();
    let scheme = ["tel:", "sip:", "sips:"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)));
    let text = scheme.map_or(text, |scheme| &text[scheme.len()..]);
    let text = text.split([';', '?', '@']).next().unwrap_or_default();
    let number: String = text.chars().filter(|c| !is_punctuation(*c)).collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let is_number = (1..=DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}

/// A slash is not in the list, because it separates two numbers.
fn is_punctuation(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '-' | '.' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{200B}'..='\u{200F}')
}

fn end_of_bare(number: &str) -> Option<&str> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    digits.get(digits.len().checked_sub(END)?..)
}

/// Only a number that is written with its country is certain.
fn valid(bare: &str) -> Option<String> {
    let is_whole = bare.starts_with('+');
    let parsed = is_whole.then(|| parse(bare, None).ok()).flatten()?;
    parsed.valid.then_some(parsed.e164)
}

/// Whether two numbers with the same end may be one line, before and after its country lengthened
/// its numbers.
fn may_be_renumbered(told: &str, phone: &str) -> bool {
    told.len() != phone.len() && country_of(told) == country_of(phone)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "+14155550101";

    #[test]
    fn every_spelling_of_a_number_may_have_rung_it() {
        for told in [
            "+14155550101",
            "14155550101",
            "4155550101",
            "0014155550101",
            "01114155550101",
            "5550101",
            "tel:+14155550101",
            "TEL:+1-415-555-0101;ext=5",
            "sip:+14155550101@sip.example.com",
            "sips:4155550101@sip.example.com;transport=tls",
            "Sip:14155550101@10.0.0.1?x=1",
            " +1 (415) 555-0101 ",
            "415.555.0101",
            "+1\u{a0}415\u{2011}555\u{2011}0101",
            "+014155550101",
        ] {
            assert!(may_have_rung(Some(told), PHONE), "{told}");
            assert_eq!(end_of_told(Some(told)).as_deref(), end_of_phone(PHONE), "{told}");
        }
    }

    #[test]
    fn a_number_that_cannot_be_read_may_be_anybodys() {
        for told in [
            "",
            "anonymous",
            "101",
            "sip:ada@example.com",
            "sip:%2B14155550199@example.com",
            "<sip:+14155550199@example.com>",
            "+1 415 555 0199 x5",
            "4155550199,,5",
            "+1•••••••0199",
            "4155550198/99",
            "+1415555019914155550198",
            "４１５５５５０１９９",
        ] {
            assert!(may_have_rung(Some(told), PHONE), "{told}");
            assert_eq!(end_of_told(Some(told)), None, "{told}");
        }
        assert!(may_have_rung(None, PHONE));
    }

    #[test]
    fn another_number_is_excluded_however_it_is_written() {
        for told in [
            "+14155550199",
            "+12125550101",
            "+442079460101",
            "4155550199",
            "004420 7946 0958",
            "tel:+1-212-555-0101",
            "sip:+12125550101@sip.example.com",
            "sip:2125550199@sip.example.com",
        ] {
            assert!(!may_have_rung(Some(told), PHONE), "{told}");
        }
        // Without its country it may be the same line.
        assert!(may_have_rung(Some("2125550101"), PHONE));
    }

    #[test]
    fn a_line_is_the_same_before_and_after_its_country_lengthened_its_numbers() {
        for (told, phone) in [
            ("+5215512345678", "+525512345678"),
            ("+525512345678", "+5215512345678"),
            ("+551187654321", "+5511987654321"),
            ("+541123456789", "+5491123456789"),
            ("+22507123456", "+2250707123456"),
            ("+22997123456", "+2290197123456"),
        ] {
            assert!(may_have_rung(Some(told), phone), "{told} {phone}");
        }
    }

    #[test]
    fn only_a_whole_valid_number_is_named_beyond_doubt() {
        assert_eq!(named(Some("sip:+1-415-555-0101@example.com")).as_deref(), Some(PHONE));
        for told in [None, Some("14155550101"), Some("+1555"), Some("anonymous")] {
            assert_eq!(named(told), None, "{told:?}");
        }
    }
}
