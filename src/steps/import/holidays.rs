//! Loads dates without calls, from files and from the configuration, into the table that the gate
//! reads.
//!
//! A file is a CSV of `country,date,name`, or an iCalendar file with all-day events, in any encoding
//! of a customers file. A file that cannot be read completely is refused, because a missing holiday
//! means a call on that day.

use std::path::Path;

use chrono::{Duration, NaiveDate};

use crate::config::settings::Holidays as Config;
use crate::domain::calendar::zone_country;
use crate::domain::country;
use crate::domain::customer::columns::{parse_date, plain_header, shown};
use crate::steps::import::sheet::Sheet;
use crate::steps::import::sheet::csv::{CsvRow, CsvRows, Next};
use crate::store::Tx;
use crate::store::holidays::{Holiday, replace};

/// The most bytes in a file.
const BYTES_MAX: u64 = 16 << 20;
/// The code for every country.
const EVERYWHERE: &str = "*";

/// Every date of the files and of `blackout_dates`. The error is one line with the file and the
/// place.
pub fn read(config: &Config) -> Result<Vec<Holiday>, String> {
    let mut days = Vec::new();
    for file in &config.files {
        days.extend(read_file(Path::new(file)).map_err(|why| format!("holidays {file}: {why}"))?);
    }
    for date in &config.blackout_dates {
        let date = parse_date(date).map_err(|why| format!("holidays.blackout_dates: {why}"))?;
        let (country, name) = (EVERYWHERE.to_string(), "blackout date".to_string());
        days.push(Holiday { country, date, name });
    }
    Ok(days)
}

/// Replaces the stored dates with these.
pub fn apply(tx: &Tx<'_>, days: &[Holiday]) -> anyhow::Result<()> {
    replace(tx, days)
}

/// The dates of one file.
pub fn read_file(path: &Path) -> Result<Vec<Holiday>, String> {
    if path.as_os_str() == "-" {
        return Err("is standard input: name a file".to_string());
    }
    // A long file is refused before it is read to find out its encoding.
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if BYTES_MAX < about.len() {
        return Err(format!("is longer than {} MiB", BYTES_MAX >> 20));
    }
    let text = Sheet::open(path, None)?.text(BYTES_MAX)?;
    if text.trim_start_matches('\u{FEFF}').trim_start().starts_with("BEGIN:VCALENDAR") {
        read_calendar(&text)
    } else {
        read_csv(&text)
    }
}

fn read_csv(text: &str) -> Result<Vec<Holiday>, String> {
    let mut rows = CsvRows::new(text.as_bytes()).map_err(|error| error.to_string())?;
    let mut order: Option<[Option<usize>; 3]> = None;
    let mut days = Vec::new();
    loop {
        let row = match rows.next_row().map_err(|error| error.to_string())? {
            Next::End => break,
            Next::Bad { line, reason } => return Err(format!("line {line}: {reason}")),
            Next::Row(row) if row.is_blank() => continue,
            Next::Row(row) => row,
        };
        let at = |why: String| format!("line {}: {why}", row.line);
        match order {
            None => order = Some(header(&row).map_err(at)?),
            Some(order) => days.push(holiday(&row, order).map_err(at)?),
        }
    }
    match order {
        Some(_) => Ok(days),
        None => Err("is empty; it needs the header country,date,name".to_string()),
    }
}

/// The positions of country, date and name.
fn header(row: &CsvRow<'_>) -> Result<[Option<usize>; 3], String> {
    let names: Vec<String> =
        (0..row.fields()).map(|i| plain_header(row.text(i).unwrap_or_default())).collect();
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let order = [place("country"), place("date"), place("name")];
    match order[1] {
        Some(_) => Ok(order),
        None => Err("there is no column \"date\"; the header is country,date,name".to_string()),
    }
}

fn holiday(row: &CsvRow<'_>, order: [Option<usize>; 3]) -> Result<Holiday, String> {
    let cell = |place: Option<usize>| match place {
        Some(place) if place < row.fields() => row.text(place).map_err(str::to_string),
        _ => Ok(""),
    };
    let (country, date, name) = (cell(order[0])?, parse_date(cell(order[1])?)?, cell(order[2])?);
    let name = if name.is_empty() { "holiday" } else { name };
    Ok(Holiday { country: country_code(country)?, date, name: name.to_string() })
}

/// A two-letter code; an empty cell and `*` mean every country. A code that no country has would
/// let calls through on that holiday.
fn country_code(text: &str) -> Result<String, String> {
    if text.is_empty() || text == EVERYWHERE {
        return Ok(EVERYWHERE.to_string());
    }
    let code = text.to_ascii_uppercase();
    if zone_country::is_country(&code) {
        return Ok(code);
    }
    let near = country::named(&code);
    let advice = match (near, code.chars().count()) {
        (Some(near), 2) => format!("did you mean {near}?"),
        (None, 2) => "write a code of ISO 3166, such as US, or *".to_string(),
        (near, _) => format!("write two letters, such as {}, or *", near.unwrap_or("US")),
    };
    Err(format!("\"{}\" is not a country code: {advice}", shown(text)))
}

/// All-day events, for every country, or for the country of a preceding line
/// `X-RINGONCE-COUNTRY:GB`. An event may last several days. Other properties are skipped, except
/// those that add dates: an event that is read in part would permit a call on a holiday. A cancelled
/// event has no dates.
fn read_calendar(text: &str) -> Result<Vec<Holiday>, String> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut days = Vec::new();
    let mut is_cancelled = false;
    let mut cancelled: Vec<String> = Vec::new();
    let mut country = EVERYWHERE.to_string();
    let mut event: Option<CalendarEvent> = None;
    for (index, line) in unfolded.lines().enumerate() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let at = |why: String| format!("line {}: {why}", index + 1);
        let property = name.split(';').next().unwrap_or_default().to_ascii_uppercase();
        let word = match property.as_str() {
            "STATUS" | "METHOD" | "BEGIN" | "END" => value.trim().to_ascii_uppercase(),
            _ => value.trim().to_string(),
        };
        match (property.as_str(), word.as_str(), &mut event) {
            ("X-RINGONCE-COUNTRY", value, _) => country = country_code(value).map_err(at)?,
            ("BEGIN", "VEVENT", event) => *event = Some(CalendarEvent::default()),
            ("END", "VEVENT", event) => {
                let event = event.take().unwrap_or_default();
                if event.is_cancelled {
                    cancelled.extend(event.uid);
                } else {
                    let dates = event.days(&country).map_err(at)?;
                    days.extend(dates.into_iter().map(|day| (event.uid.clone(), day)));
                }
            }
            ("STATUS", "CANCELLED", Some(event)) => event.is_cancelled = true,
            // The whole file cancels the events that it lists.
            ("METHOD", "CANCEL", None) => is_cancelled = true,
            ("UID", uid, Some(event)) => event.uid = Some(uid.to_string()),
            ("DTSTART", value, Some(event)) => {
                event.first = Some(calendar_date(value).map_err(at)?)
            }
            ("DTEND", value, Some(event)) => event.end = Some(calendar_date(value).map_err(at)?),
            ("SUMMARY", value, Some(event)) => {
                let name = value.replace("\\,", ",").replace("\\;", ";").replace("\\n", " ");
                event.name = Some(name);
            }
            ("RRULE" | "RDATE", _, Some(event)) => {
                return Err(at(format!("{} repeats; write each of its dates", event.shown())));
            }
            ("DURATION", _, Some(event)) => {
                return Err(at(format!("{} has a DURATION; write DTEND", event.shown())));
            }
            _ => {}
        }
    }
    match event {
        Some(_) => Err("ends inside an event".to_string()),
        None if is_cancelled => Ok(Vec::new()),
        // A later version of an event may cancel it under the same id.
        None => Ok(days
            .into_iter()
            .filter(|(uid, _)| !uid.as_ref().is_some_and(|uid| cancelled.contains(uid)))
            .map(|(_, day)| day)
            .collect()),
    }
}

/// The date of `20261225` and of `20261225T000000Z`.
fn calendar_date(value: &str) -> Result<NaiveDate, String> {
    let (date, _) = NaiveDate::parse_and_remainder(value, "%Y%m%d")
        .map_err(|_| format!("\"{}\" is not a date: write 20261225", shown(value)))?;
    Ok(date)
}

#[derive(Default)]
struct CalendarEvent {
    first: Option<NaiveDate>,
    /// The day after the last one.
    end: Option<NaiveDate>,
    name: Option<String>,
    uid: Option<String>,
    is_cancelled: bool,
}

impl CalendarEvent {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("holiday")
    }

    fn shown(&self) -> String {
        format!("\"{}\"", shown(self.name()))
    }

    fn days(&self, country: &str) -> Result<Vec<Holiday>, String> {
        let first = self.first.ok_or_else(|| format!("{} has no DTSTART", self.shown()))?;
        let last = self.end.map_or(first, |end| (end - Duration::days(1)).max(first));
        if last - first > Duration::days(366) {
            return Err(format!("{} is longer than a year", self.shown()));
        }
        let dates = first.iter_days().take_while(|date| *date <= last);
        let (country, name) = (country.to_string(), self.name().to_string());
        Ok(dates
            .map(|date| Holiday { country: country.clone(), date, name: name.clone() })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_each_encoding_of_a_customers_file() {
        let path = std::env::temp_dir().join(format!("holidays-{}", uuid::Uuid::new_v4()));
        let text = "country,date,name\r\nDE,2026-12-25,Feier für alle\r\n";
        let wide = |mark: &str, bytes: fn(u16) -> [u8; 2]| {
            format!("{mark}{text}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
        };
        let calendar = "BEGIN:VCALENDAR\nX-RINGONCE-COUNTRY:DE\nBEGIN:VEVENT\n\
            DTSTART;VALUE=DATE:20261225\nSUMMARY:Feier für alle\nEND:VEVENT\nEND:VCALENDAR\n";
        for bytes in [
            text.as_bytes().to_vec(),
            format!("\u{FEFF}{text}").into_bytes(),
            wide("\u{FEFF}", u16::to_le_bytes),
            wide("\u{FEFF}", u16::to_be_bytes),
            wide("", u16::to_le_bytes),
            encoding_rs::WINDOWS_1252.encode(text).0.into_owned(),
            encoding_rs::WINDOWS_1252.encode(calendar).0.into_owned(),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(told(read_file(&path).unwrap()), ["DE 2026-12-25 Feier für alle"]);
        }
        std::fs::write(&path, b"country,date,name\nDE,2026-12-25,\xC3\xA9\xC3\xA9\xC3\n").unwrap();
        assert!(read_file(&path).unwrap_err().contains("not text in its encoding"));
        std::fs::File::create(&path).and_then(|file| file.set_len(BYTES_MAX + 1)).unwrap();
        assert_eq!(read_file(&path).unwrap_err(), "is longer than 16 MiB");
        assert_eq!(read_file(Path::new("-")).unwrap_err(), "is standard input: name a file");
        std::fs::remove_file(&path).unwrap();
    }

    fn told(days: Vec<Holiday>) -> Vec<String> {
        days.iter().map(|day| format!("{} {} {}", day.country, day.date, day.name)).collect()
    }

    #[test]
    fn a_csv_names_countries_dates_and_names_in_any_order() {
        for text in [
            "country,date,name\nus,2026-12-25,Christmas\n,2026-12-31,\n",
            "\u{FEFF}Date;Name;Country\r\n2026-12-25;Christmas;US\r\n\r\n2026-12-31;;*\r\n",
        ] {
            let days = read_csv(text).unwrap();
            assert_eq!(told(days), ["US 2026-12-25 Christmas", "* 2026-12-31 holiday"]);
        }
    }

    #[test]
    fn a_file_that_is_not_read_whole_is_refused_with_its_line() {
        for (text, wanted) in [
            ("", "is empty"),
            ("day,name\n2026-12-25,x\n", "line 1: there is no column \"date\""),
            ("country,date,name\nUS,2026-02-30,x\n", "line 2: \"2026-02-30\" is not a date"),
            (
                "country,date,name\nUSA,2026-12-25,x\n",
                "line 2: \"USA\" is not a country code: write two letters, such as US, or *",
            ),
            (
                "country,date,name\nuk,2026-12-25,x\n",
                "line 2: \"uk\" is not a country code: did you mean GB?",
            ),
            (
                "country,date,name\nEN,2026-12-25,x\n",
                "line 2: \"EN\" is not a country code: did you mean GB?",
            ),
            (
                "country,date,name\nGer,2026-12-25,x\n",
                "line 2: \"Ger\" is not a country code: write two letters, such as DE, or *",
            ),
            (
                "country,date,name\nXX,2026-12-25,x\n",
                "line 2: \"XX\" is not a country code: write a code of ISO 3166",
            ),
        ] {
            let error = read_csv(text).unwrap_err();
            assert!(error.starts_with(wanted), "{text:?}: {error}");
        }
        let open = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225\n";
        assert_eq!(read_calendar(open).unwrap_err(), "ends inside an event");
    }

    #[test]
    fn an_icalendar_event_may_last_days_and_fold_its_lines() {
        let text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\n\
            DTEND;VALUE=DATE:20261227\r\nSUMMARY:Christ\r\n mas\\, all of it\r\nEND:VEVENT\r\n\
            BEGIN:VEVENT\r\nDTSTART:20270101T000000Z\r\nSUMMARY:New Year\r\nEND:VEVENT\r\n\
            END:VCALENDAR\r\n";
        assert_eq!(
            told(read_calendar(text).unwrap()),
            [
                "* 2026-12-24 Christmas, all of it",
                "* 2026-12-25 Christmas, all of it",
                "* 2026-12-26 Christmas, all of it",
                "* 2027-01-01 New Year"
            ]
        );
    }

    #[test]
    fn a_cancelled_event_is_not_a_holiday() {
        let event = |more: &str| {
            format!("BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20270106\n{more}END:VEVENT\n")
        };
        let calendar = |events: &str| format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n");
        let days = |text: &str| read_calendar(text).unwrap().len();
        assert_eq!(days(&calendar(&event(""))), 1);
        assert_eq!(days(&calendar(&event("STATUS:CONFIRMED\n"))), 1);
        assert_eq!(days(&calendar(&event("STATUS:CANCELLED\n"))), 0);
        assert_eq!(days(&calendar(&event("status:Cancelled\n"))), 0);
        let both = event("") + &event("SEQUENCE:1\nSTATUS:CANCELLED\n");
        assert_eq!(days(&calendar(&both)), 0, "the later version cancels the earlier one");
        assert_eq!(days(&calendar(&format!("METHOD:CANCEL\n{}", event("")))), 0);
    }

    #[test]
    fn a_country_of_a_calendar_is_one_that_exists() {
        let text = "BEGIN:VCALENDAR\nX-RINGONCE-COUNTRY:UK\nEND:VCALENDAR\n";
        let error = read_calendar(text).unwrap_err();
        assert_eq!(error, "line 2: \"UK\" is not a country code: did you mean GB?");
    }

    #[test]
    fn a_repeating_event_is_refused_instead_of_half_understood() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225\nSUMMARY:Xmas\n\
            RRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR\n";
        assert_eq!(
            read_calendar(text).unwrap_err(),
            "line 5: \"Xmas\" repeats; write each of its dates"
        );
        for (property, why) in [("RDATE:20271225", "repeats"), ("DURATION:P3D", "has a DURATION")] {
            let text = text.replace("RRULE:FREQ=YEARLY", property);
            let error = read_calendar(&text).unwrap_err();
            assert!(error.starts_with(&format!("line 5: \"Xmas\" {why}")), "{error}");
        }
    }
}
