//! Dates without calls, from files and from the configuration, into the table that the gate asks.
//!
//! A CSV of `country,date,name`, or an iCalendar file with all-day events. Refuses a file that it
//! cannot read whole: a holiday that is not known is a call on a holiday.

use std::io::Read;
use std::path::Path;

use chrono::{Duration, NaiveDate};

use crate::config::Holidays as Config;
use crate::domain::fields::{parse_date, plain_header, shown};
use crate::steps::csv_rows::{CsvRows, Next, Row};
use crate::store::Tx;
use crate::store::holidays::{Holiday, replace};

/// A file may be so long.
const BYTES_MAX: u64 = 16 << 20;
/// Every country.
const EVERYWHERE: &str = "*";

/// Every date of the files and of `blackout_dates`. The error is one line that names file and
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

/// Writes the dates in place of those that were there.
pub fn apply(tx: &Tx<'_>, days: &[Holiday]) -> anyhow::Result<()> {
    replace(tx, days)
}

/// The dates of one file.
pub fn read_file(path: &Path) -> Result<Vec<Holiday>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if BYTES_MAX < bytes.len() as u64 {
        return Err("is longer than 16 MiB".to_string());
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_string())?;
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

/// Where country, date and name stand.
fn header(row: &Row<'_>) -> Result<[Option<usize>; 3], String> {
    let names: Vec<String> =
        (0..row.fields()).map(|i| plain_header(row.text(i).unwrap_or_default())).collect();
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let order = [place("country"), place("date"), place("name")];
    match order[1] {
        Some(_) => Ok(order),
        None => Err("there is no column \"date\"; the header is country,date,name".to_string()),
    }
}

fn holiday(row: &Row<'_>, order: [Option<usize>; 3]) -> Result<Holiday, String> {
    let cell = |place: Option<usize>| match place {
        Some(place) if place < row.fields() => row.text(place).map_err(str::to_string),
        _ => Ok(""),
    };
    let (country, date, name) = (cell(order[0])?, parse_date(cell(order[1])?)?, cell(order[2])?);
    let name = if name.is_empty() { "holiday" } else { name };
    Ok(Holiday { country: country_code(country)?, date, name: name.to_string() })
}

/// Two letters, or everybody for an empty cell and for `*`.
fn country_code(text: &str) -> Result<String, String> {
    if text.is_empty() || text == EVERYWHERE {
        return Ok(EVERYWHERE.to_string());
    }
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(format!("\"{}\" is no country: write two letters, such as US, or *", shown(text)))
}

/// All-day events, for everybody, or for the country of a line `X-RINGONCE-COUNTRY:GB` before
/// them. An event may last several days.
fn read_calendar(text: &str) -> Result<Vec<Holiday>, String> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut days = Vec::new();
    let mut country = EVERYWHERE.to_string();
    let mut event: Option<Event> = None;
    for (index, line) in unfolded.lines().enumerate() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let at = |why: String| format!("line {}: {why}", index + 1);
        let property = name.split(';').next().unwrap_or_default().to_ascii_uppercase();
        match (property.as_str(), value.trim()) {
            ("X-RINGONCE-COUNTRY", value) => country = country_code(value).map_err(at)?,
            ("BEGIN", "VEVENT") => event = Some(Event::default()),
            ("END", "VEVENT") => {
                let event = event.take().unwrap_or_default();
                days.extend(event.days(&country).map_err(at)?);
            }
            (property, value) => {
                if let Some(event) = &mut event {
                    event.take(property, value).map_err(at)?;
                }
            }
        }
    }
    match event {
        Some(_) => Err("ends inside an event".to_string()),
        None => Ok(days),
    }
}

#[derive(Default)]
struct Event {
    first: Option<NaiveDate>,
    /// The day after the last.
    end: Option<NaiveDate>,
    name: Option<String>,
    repeats: bool,
}

impl Event {
    fn take(&mut self, property: &str, value: &str) -> Result<(), String> {
        let date = || {
            let day: String = value.chars().take(8).collect();
            NaiveDate::parse_from_str(&day, "%Y%m%d")
                .map_err(|_| format!("\"{}\" is no date: write 20261225", shown(value)))
        };
        match property {
            "DTSTART" => self.first = Some(date()?),
            "DTEND" => self.end = Some(date()?),
            "SUMMARY" => {
                self.name = Some(value.replace("\\,", ",").replace("\\;", ";").replace("\\n", " "));
            }
            "RRULE" => self.repeats = true,
            _ => {}
        }
        Ok(())
    }

    fn days(self, country: &str) -> Result<Vec<Holiday>, String> {
        let name = self.name.unwrap_or_else(|| "holiday".to_string());
        if self.repeats {
            return Err(format!("\"{}\" repeats; write each of its dates", shown(&name)));
        }
        let Some(first) = self.first else {
            return Err(format!("\"{}\" has no DTSTART", shown(&name)));
        };
        let last = self.end.map_or(first, |end| (end - Duration::days(1)).max(first));
        if Duration::days(366) < last - first {
            return Err(format!("\"{}\" is longer than a year", shown(&name)));
        }
        Ok(first
            .iter_days()
            .take_while(|date| *date <= last)
            .map(|date| Holiday { country: country.to_string(), date, name: name.clone() })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("country,date,name\nUS,2026-02-30,x\n", "line 2: \"2026-02-30\" is no date"),
            ("country,date,name\nUSA,2026-12-25,x\n", "line 2: \"USA\" is no country"),
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
    fn a_repeating_event_is_refused_instead_of_half_understood() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225\nSUMMARY:Xmas\n\
            RRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR\n";
        assert!(read_calendar(text).unwrap_err().contains("\"Xmas\" repeats"));
    }
}
