//! Dates as a person says that they are written, such as `MM/DD/YYYY`.
//!
//! `11/12/2026` is two dates, so no such text is read until a person says which one it is.

use chrono::{NaiveDate, NaiveTime};

use crate::domain::customer::columns::shown;

/// The parts of a format in letters, with the parts of chrono; longer ones first.
const PARTS: [(&str, &str); 8] = [
    ("YYYY", "%Y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("YY", "%y"),
    ("M", "%m"),
    ("D", "%d"),
];
/// The times of day that may stand after a date.
const TIMES: [&str; 6] =
    ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p"];

/// How dates are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    said: String,
    form: String,
}

impl DateFormat {
    /// Reads `MM/DD/YYYY`, `D.M.YYYY`, `DD MMM YYYY`, or a format of strftime with `%`.
    pub fn parse(text: &str) -> Result<DateFormat, String> {
        let mut form = String::new();
        let mut rest = text.trim();
        while let Some(first) = rest.chars().next() {
            let part = PARTS.iter().find(|(letters, _)| rest.starts_with(letters));
            let taken = match part {
                Some((letters, part)) if !text.contains('%') => {
                    form.push_str(part);
                    letters.len()
                }
                _ => {
                    form.push(first);
                    first.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        let format = DateFormat { said: text.trim().to_string(), form };
        let day = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default();
        // A format that lacks a part, or that chrono cannot write, gives another date or none.
        let mut written = String::new();
        let is_written =
            std::fmt::write(&mut written, format_args!("{}", day.format(&format.form)));
        match is_written.is_ok() && format.date(&written) == Some((day, "")) {
            true => Ok(format),
            false => Err(format!(
                "\"{}\" is not a date format: write it with YYYY, MM and DD, such as MM/DD/YYYY",
                shown(text)
            )),
        }
    }

    /// As a person wrote it.
    pub fn as_str(&self) -> &str {
        &self.said
    }

    /// The date of a text in the form 2026-11-22, with its time of day. A text in that form stays.
    pub fn iso(&self, text: &str) -> Result<String, String> {
        // chrono would read `05-01-2026` as the fifth year.
        let has_whole_year = text.bytes().take_while(u8::is_ascii_digit).count() == 4;
        if has_whole_year && NaiveDate::parse_and_remainder(text, "%Y-%m-%d").is_ok() {
            return Ok(text.to_string());
        }
        let no_date = || format!("\"{}\" is not a date of the form {}", shown(text), self.said);
        let (date, rest) = self.date(text).ok_or_else(no_date)?;
        let rest = rest.trim_start_matches([' ', 'T', ',']).trim();
        if rest.is_empty() {
            return Ok(format!("{date} 00:00:00"));
        }
        let rest = rest.to_ascii_uppercase();
        let time = TIMES.iter().find_map(|form| NaiveTime::parse_from_str(&rest, form).ok());
        Ok(match time {
            Some(time) => format!("{date} {}", time.format("%H:%M:%S")),
            // The time may have an offset, which the reader of instants knows.
            None => format!("{date} {rest}"),
        })
    }

    fn date<'t>(&self, text: &'t str) -> Option<(NaiveDate, &'t str)> {
        NaiveDate::parse_and_remainder(text, &self.form).ok()
    }
}

/// Whether a text is three numbers with `/`, `.` or `-` between them, and perhaps a time after it.
pub fn is_numeric_date(text: &str) -> bool {
    let date = text.split([' ', 'T', ',']).next().unwrap_or(text);
    let parts: Vec<&str> = date.split(['/', '.', '-']).collect();
    let is_number = |part: &&str| {
        (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    parts.len() == 3 && parts.iter().all(is_number) && parts[0].len() <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_a_person_says() {
        for (format, text, iso) in [
            ("MM/DD/YYYY", "11/12/2026", "2026-11-12 00:00:00"),
            ("DD/MM/YYYY", "11/12/2026", "2026-12-11 00:00:00"),
            ("D.M.YYYY", "3.2.2026", "2026-02-03 00:00:00"),
            ("M/D/YYYY", "1/5/2026 9:05am", "2026-01-05 09:05:00"),
            ("M/D/YYYY", "1/5/2026, 12:05:09 AM", "2026-01-05 00:05:09"),
            ("DD MMM YYYY", "05 Jan 2026 17:30", "2026-01-05 17:30:00"),
            ("MM/DD/YY", "11/12/26", "2026-11-12 00:00:00"),
            ("%d-%m-%Y", "05-01-2026", "2026-01-05 00:00:00"),
            ("MM/DD/YYYY", "2026-01-05T12:00:00Z", "2026-01-05T12:00:00Z"),
            ("MM/DD/YYYY", "01/05/2026 12:00:00+00", "2026-01-05 12:00:00+00"),
        ] {
            assert_eq!(DateFormat::parse(format).unwrap().iso(text).as_deref(), Ok(iso), "{text}");
        }
        let format = DateFormat::parse("MM/DD/YYYY").unwrap();
        for text in ["23/11/2026", "02/30/2026", "yesterday", ""] {
            assert!(format.iso(text).is_err_and(|why| why.contains("MM/DD/YYYY")), "{text}");
        }
        for format in ["", "YYYY", "DD/MM", "MM/DD", "%q", "%Y-%", "day"] {
            assert!(DateFormat::parse(format).is_err(), "{format}");
        }
    }

    #[test]
    fn a_date_in_numbers_is_seen() {
        for text in ["11/16/2026", "1.2.26", "11-16-2026 9:05"] {
            assert!(is_numeric_date(text), "{text}");
        }
        for text in ["2026-11-16", "soon", "1/2", "46082", "+1-212-555"] {
            assert!(!is_numeric_date(text), "{text}");
        }
    }
}
