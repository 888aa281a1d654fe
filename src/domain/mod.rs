//! The lowest layer decides. Values in, values out; no clock, SQL, HTTP, files, environment or log.

pub mod absence_proof;
pub mod alarm;
pub mod calendar;
pub mod call;
pub mod country;
pub mod customer;
pub mod disclosure;
pub mod disposition;
pub mod event;
pub mod gate;
pub mod hold;
pub mod retry;
pub mod role;
pub mod start;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};

/// A point on the UTC time line. The caller always passes the time as a value.
pub type Instant = DateTime<Utc>;

/// The one text form of an instant: UTC, fixed width, so that text order is time order.
///
/// Almost every row holds some, so the years 0 to 9999 are formatted by hand, for speed.
pub fn instant_text(at: Instant) -> String {
    let (date, time) = (at.date_naive(), at.time());
    let (Ok(year @ 0..=9999), nanos @ 0..1_000_000_000) =
        (u32::try_from(date.year()), time.nanosecond())
    else {
        return at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    };
    let mut text = String::with_capacity(24);
    for (value, places, then) in [
        (year, 1000, '-'),
        (date.month(), 10, '-'),
        (date.day(), 10, 'T'),
        (time.hour(), 10, ':'),
        (time.minute(), 10, ':'),
        (time.second(), 10, '.'),
        (nanos / 1_000_000, 100, 'Z'),
    ] {
        let mut place = places;
        while place > 0 {
            text.push(char::from(b'0' + (value / place % 10) as u8));
            place /= 10;
        }
        text.push(then);
    }
    text
}

/// Reads the one text form; `None` for any other text.
fn parse_own_form(text: &str) -> Option<Instant> {
    let text: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0, |sum: u32, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
        })
    };
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if signs.iter().any(|(at, sign)| text[*at] != *sign) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(number(0, 4)? as i32, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    Some(date.and_hms_milli_opt(hour, minute, number(17, 19)?, number(20, 23)?)?.and_utc())
}

/// Reads an RFC 3339 instant with any offset; also the old `2026-11-22 17:01:00+00` of Postgres.
///
/// `None` when the text is not an instant. A text without an offset is read as UTC, but only in the
/// Postgres form (`timestamp without time zone`), because the old tables stored UTC so. A leap
/// second (`:60`) is read as the second before it, because the machine's clock has none.
pub fn parse_instant(text: &str) -> Option<Instant> {
    parse_own_form(text).or_else(|| {
        let at = parse_other_form(text.trim())?;
        at.with_nanosecond(at.nanosecond() % 1_000_000_000)
    })
}

/// Whether a text is an instant that names its own offset from UTC.
pub fn has_offset(text: &str) -> bool {
    parse_own_form(text).or_else(|| parse_with_offset(text.trim())).is_some()
}

fn parse_with_offset(text: &str) -> Option<Instant> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let forms = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    forms.iter().find_map(|form| Some(DateTime::parse_from_str(text, form).ok()?.to_utc()))
}

fn parse_other_form(text: &str) -> Option<Instant> {
    if let Some(at) = parse_with_offset(text) {
        return Some(at);
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Some(at.and_utc());
        }
    }
    None
}

/// An instant as people read it: `Mon 2026-02-02 12:00 UTC`.
pub fn utc_words(at: Instant) -> String {
    at.format("%a %Y-%m-%d %H:%M UTC").to_string()
}

/// The same for a stored text. A text that is not an instant stays as it is.
pub fn instant_words(text: &str) -> String {
    parse_instant(text).map_or_else(|| text.to_string(), utc_words)
}

/// Declares an enum whose variants are stored as text. Both directions come from one list of
/// variants and texts.
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The text used in the database, in JSON and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The variant of a text; `None` for a word that is not in the list.
            pub fn parse(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let text = String::deserialize(from)?;
                $name::parse(&text).ok_or_else(|| {
                    let name = stringify!($name);
                    serde::de::Error::custom(format!("{text:?} is not a valid {name}"))
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use text_enum;

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone};

    use super::*;

    #[test]
    fn the_text_of_an_instant_is_what_the_library_writes_and_comes_back() {
        let first = Utc.with_ymd_and_hms(1969, 12, 31, 23, 59, 59).unwrap();
        let step = Duration::days(17) + Duration::milliseconds(3_661_007);
        for n in 0..2000 {
            let at = first + step * n;
            let text = instant_text(at);
            assert_eq!(text, at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
            assert_eq!(parse_own_form(&text), Some(at));
        }
        for year in [-1, 0, 9999, 10_000] {
            let at = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
            assert_eq!(instant_text(at), at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        }
    }

    #[test]
    fn a_leap_second_is_the_second_before_it() {
        let before = Utc.with_ymd_and_hms(2016, 12, 31, 23, 59, 59).unwrap();
        for text in [
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.000Z",
            "2017-01-01T00:59:60+01:00",
            "2016-12-31 23:59:60+00",
            "2016-12-31 23:59:60",
        ] {
            let at = parse_instant(text).expect(text);
            assert_eq!((at, instant_text(at)), (before, "2016-12-31T23:59:59.000Z".to_string()));
        }
    }

    #[test]
    fn the_own_form_is_read_only_where_it_names_an_instant() {
        for other in [
            "2026-11-22T17:01:00.12Z",
            "2026-11-22 17:01:00.123Z",
            "2026-11-22T17:01:00.123z",
            "2026-11-31T17:01:00.123Z",
            "2026-11-22T24:01:00.123Z",
            "2026-11-22T17:01:60.123Z",
            "2026-11-22T17:01:0x.123Z",
            "+026-11-22T17:01:00.123Z",
        ] {
            assert_eq!(parse_own_form(other), None, "{other}");
        }
    }
}
