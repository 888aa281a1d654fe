//! Texts with the usual marks of one number: `(212) 555-0101`, `+44 20 7946 0101`.
//!
//! Reading such a text with the library takes ten times as long as judging its number, and a large
//! file mostly holds such texts.

/// Countries whose numbers have ten digits, no trunk zero, and the calling code 1.
const TEN_DIGITS: [&str; 2] = ["US", "CA"];
/// E.164 has at most this many digits; with fewer than eight, a text may be a date.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// An area code in brackets begins after at most this many digits.
const BEFORE_BRACKET_MAX: usize = 3;
/// Fewer digits after a dash may end a range of numbers.
const AFTER_DASH_MIN: usize = 4;
/// This many digits after a mark may be a second number, if they begin with 0.
const SECOND_MIN: usize = 6;

/// The number of such a text in E.164. `None`: the text has other marks, or its digits could mean
/// something else.
pub(super) fn e164(text: &str, country: Option<&str>) -> Option<String> {
    let digits = joined(text)?;
    if text.starts_with('+') {
        return Some(format!("+{digits}"));
    }
    let is_ten = digits.len() == 10 && !digits.starts_with(['0', '1']);
    let has_ten = country.is_some_and(|country| TEN_DIGITS.contains(&country));
    (is_ten && has_ten).then(|| format!("+1{digits}"))
}

/// The digits, if the marks between them separate nothing but parts of one number.
fn joined(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let total = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    // `12125550101.0` comes from a table of floats.
    let dots = bytes.iter().filter(|byte| **byte == b'.').count();
    if !DIGITS.contains(&total) || dots == 1 {
        return None;
    }
    let mut digits = String::with_capacity(total);
    let (mut is_open, mut is_dash) = (false, false);
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let is_after_digit = before.is_some_and(|byte| byte.is_ascii_digit());
        match byte {
            b'0'..=b'9' => {
                let rest = total - digits.len();
                let begins = !is_after_digit && !digits.is_empty();
                let may_be_second = *byte == b'0' && SECOND_MIN <= rest;
                if begins && (may_be_second || (is_dash && rest < AFTER_DASH_MIN)) {
                    return None;
                }
                is_dash = false;
                digits.push(char::from(*byte));
            }
            b'+' if at == 0 => {}
            b'(' if digits.len() <= BEFORE_BRACKET_MAX && !text[..at].contains('(') => {
                let is_placed = at == 0 || is_after_digit || before == Some(b' ');
                if !is_placed || !is_digit(at + 1) {
                    return None;
                }
                is_open = true;
            }
            b')' if is_open && is_after_digit => is_open = false,
            b' ' | b'-' | b'.' => {
                let is_placed = is_after_digit || (before == Some(b')') && *byte != b'.');
                let begins_area = *byte == b' ' && bytes.get(at + 1) == Some(&b'(');
                if !is_placed || !(is_digit(at + 1) || begins_area) {
                    return None;
                }
                is_dash = *byte == b'-';
            }
            _ => return None,
        }
    }
    (!is_open).then_some(digits)
}
