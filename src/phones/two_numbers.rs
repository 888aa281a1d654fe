//! Finds two numbers in one cell that have only the marks of one: `+49 30 23125014/15`.
//!
//! A slash, a bracket, several blanks or a dash between blanks may separate the area code from the
//! rest. After a whole number they begin a second number, or the last digits of a second number.
//! An unspaced dash before a few digits is a direct line (`23125-14`). If these digits continue the
//! count of the number, it is a range (`23125014-15`). A single 0 at the end is the switchboard.

use std::cell::OnceCell;

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

use crate::phones::text::digits;

/// No area code has this many digits, so a valid text with this many digits is a number.
const NUMBER_DIGITS_MIN: usize = 6;
/// If both sides of a slash have this many digits, neither is an area code or an extension.
const SIDE_DIGITS_MIN: usize = 5;
/// At most this many digits after a dash may be the end of a range of numbers.
const LAST_DIGITS_MAX: usize = 3;
/// A range of numbers ends at most this far after its first number.
const RANGE_MAX: u64 = 9;
/// Numbering plans with variable lengths rarely have more digits, without the calling code.
const USUAL_DIGITS_MAX: usize = 10;

/// The two sides, when the text holds two numbers.
pub(super) fn sides(text: &str, region: Option<Region>) -> Option<(&str, &str)> {
    let groups = groups(text);
    let known = OnceCell::new();
    let is_whole = || *known.get_or_init(|| is_number(text, region));
    for pair in groups.windows(2) {
        let (left, between) = (&text[..pair[0].1], &text[pair[0].1..pair[1].0]);
        let right = &text[pair[1].0..];
        if digits(right) != "0" && begins_a_second(&is_whole, left, between, right, region) {
            let bracket = usize::from(between.ends_with('('));
            return Some((left, &text[pair[1].0 - bracket..]));
        }
    }
    None
}

/// The beginning and the end of each run of digits.
fn groups(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let starts = (0..bytes.len()).filter(|at| is_digit(*at) && (*at == 0 || !is_digit(at - 1)));
    starts.map(|start| (start, (start..).find(|at| !is_digit(*at)).unwrap_or(start))).collect()
}

/// `is_whole`: whether the whole text is a number.
fn begins_a_second(
    is_whole: &dyn Fn() -> bool,
    left: &str,
    between: &str,
    right: &str,
    region: Option<Region>,
) -> bool {
    let right_digits = digits(right);
    let is_dash = between.contains('-');
    let is_apart = between.contains('/')
        || between.contains("  ")
        || (is_dash && between.contains(' '))
        || (between.contains('(') && !right.starts_with("0)"));
    if is_apart {
        let (left_digits, right_digits) = (digits(left).len(), right_digits.len());
        let are_long = SIDE_DIGITS_MIN <= left_digits && SIDE_DIGITS_MIN <= right_digits;
        return is_number(left, region) || (are_long && !is_whole());
    }
    if is_dash && right_digits.len() <= LAST_DIGITS_MAX && is_next(left, &right_digits) {
        let is_long = 2 <= right_digits.len() || USUAL_DIGITS_MAX <= national_digits(left, region);
        return is_long && is_number(left, region);
    }
    // The second number has its own trunk zero, or makes the whole too long.
    NUMBER_DIGITS_MIN <= right_digits.len()
        && (right.starts_with('0') || !is_whole())
        && is_number(left, region)
        && is_number(right, region.or_else(|| region_of(left)))
}

/// Whether `last` continues the count of the number, as `15` after `…14`, but not `12` after `…19`.
fn is_next(number: &str, last: &str) -> bool {
    let number = digits(number);
    let end = &number[number.len().saturating_sub(last.len())..];
    match (end.parse::<u64>(), last.parse::<u64>()) {
        (Ok(end), Ok(last)) => (end + 1..=end + RANGE_MAX).contains(&last),
        _ => false,
    }
}

fn is_number(text: &str, region: Option<Region>) -> bool {
    let parsed = PHONE_NUMBER_UTIL.parse(text, region).ok().filter(|number| number.is_valid());
    parsed.is_some_and(|number| NUMBER_DIGITS_MIN <= number.get_national_significant_number().len())
}

fn national_digits(text: &str, region: Option<Region>) -> usize {
    let parsed = PHONE_NUMBER_UTIL.parse(text, region);
    parsed.map_or(0, |number| number.get_national_significant_number().len())
}

fn region_of(text: &str) -> Option<Region> {
    PHONE_NUMBER_UTIL.parse(text, None).ok()?.get_region_code()
}
