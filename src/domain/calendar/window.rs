//! The calling window: at which customer-local hours a call may start.
//!
//! The wall-clock time of an instant decides, so gaps and folds need no rule of their own.
//! Refuses hours across midnight and a window that never opens.

use std::collections::BTreeMap;

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::domain::Instant;
use crate::domain::calendar::schedule::parse_call_time;
use crate::domain::calendar::zone::Zone;

const DAY_NAMES: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const DAY_MINUTES: u16 = 24 * 60;
/// Days ahead within which the next opening is searched.
const SEARCH_DAYS: i64 = 15;

/// Minutes of the day, [from, to).
type Hours = (u16, u16);

/// A preset's name, its country, and its hours on weekdays, on Saturday and on Sunday.
const PRESETS: [(&str, &str, [&[Hours]; 3]); 6] = [
    ("us-federal", "US", [&[(480, 1260)], &[(480, 1260)], &[(480, 1260)]]),
    ("us-florida", "US", [&[(480, 1200)], &[(480, 1200)], &[(480, 1200)]]),
    ("uk", "GB", [&[(480, 1260)], &[(540, 1260)], &[]]),
    ("ca", "CA", [&[(540, 1290)], &[(600, 1080)], &[(600, 1080)]]),
    ("au", "AU", [&[(540, 1200)], &[(540, 1020)], &[]]),
    ("fr", "FR", [&[(600, 780), (840, 1200)], &[], &[]]),
];

/// When a call may *start*, by weekday in customer-local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingWindow {
    /// From Monday on. Ascending, separate, with the stop margin already taken off.
    days: [Vec<Hours>; 7],
}

impl CallingWindow {
    /// The same hours every day. Errors are one line.
    pub fn new(start: &str, end: &str) -> Result<CallingWindow, String> {
        let hours = read_hours(&format!("{start}-{end}"))?;
        Ok(CallingWindow { days: std::array::from_fn(|_| hours.clone()) })
    }

    /// The hours of a preset: `us-federal`, `us-florida`, `uk`, `ca`, `au` or `fr`.
    pub fn preset(name: &str) -> Result<CallingWindow, String> {
        let known = || PRESETS.map(|preset| preset.0).join(", ");
        match PRESETS.iter().find(|preset| preset.0 == name) {
            Some((_, _, hours)) => Ok(CallingWindow::by_kind_of_day(hours)),
            None => Err(format!("no preset {name:?}; known are {}", known())),
        }
    }

    /// The preset hours of a country (ISO code); `None` when no rule is known.
    pub fn for_country(code: &str) -> Option<CallingWindow> {
        let (_, _, hours) = PRESETS.iter().find(|(_, country, _)| *country == code)?;
        Some(CallingWindow::by_kind_of_day(hours))
    }

    /// Builds the configured window from `start` and `end`, or from a preset instead of them.
    /// `days` replaces single weekdays: `"09:00-17:00"` (several with commas) or `"closed"`. Then
    /// the stop margin is taken off. Errors are one line that names the key.
    pub fn from_parts(
        start: &str,
        end: &str,
        preset: Option<&str>,
        days: &BTreeMap<String, String>,
        stop_margin_minutes: i64,
    ) -> Result<CallingWindow, String> {
        let mut window = match preset {
            Some(name) => CallingWindow::preset(name).map_err(|e| format!("preset: {e}"))?,
            None => CallingWindow::new(start, end).map_err(|e| format!("start and end: {e}"))?,
        };
        for (day, text) in days {
            let Some(at) = DAY_NAMES.iter().position(|name| name == day) else {
                return Err(format!("days: {day:?} is none of {}", DAY_NAMES.join(", ")));
            };
            window.days[at] = read_hours(text).map_err(|e| format!("days.{day}: {e}"))?;
        }
        let margin = u16::try_from(stop_margin_minutes).ok().filter(|m| *m < DAY_MINUTES);
        let Some(margin) = margin else {
            return Err(format!("stop_margin_minutes: {stop_margin_minutes} is not 0 to 1439"));
        };
        let window = window.with_stop_margin(margin);
        if window.days.iter().all(Vec::is_empty) {
            return Err("the window never opens: nobody could be called".to_string());
        }
        Ok(window)
    }

    /// All hours end this many minutes earlier. Hours that are not longer than that are removed.
    pub fn with_stop_margin(mut self, minutes: u16) -> CallingWindow {
        for hours in &mut self.days {
            for (_, to) in hours.iter_mut() {
                *to = to.saturating_sub(minutes);
            }
            hours.retain(|(from, to)| from < to);
        }
        self
    }

    /// The hours in which both windows are open. The result may never open.
    pub fn intersect(&self, other: &CallingWindow) -> CallingWindow {
        let days = std::array::from_fn(|day| {
            let pairs =
                self.days[day].iter().flat_map(|a| other.days[day].iter().map(move |b| (a, b)));
            let both = pairs.map(|(a, b)| (a.0.max(b.0), a.1.min(b.1)));
            both.filter(|(from, to)| from < to).collect()
        });
        CallingWindow { days }
    }

    /// Whether a call may start at this instant.
    pub fn is_open(&self, zone: &Zone, at: Instant) -> bool {
        let local = zone.local(at);
        let minute = (local.hour() * 60 + local.minute()) as u16;
        self.hours(local.date()).iter().any(|(from, to)| (*from..*to).contains(&minute))
    }

    /// Whether a call may start at this time of day on at least one weekday.
    pub fn ever_opens_at(&self, time: NaiveTime) -> bool {
        let minute = (time.hour() * 60 + time.minute()) as u16;
        self.days.iter().flatten().any(|(from, to)| (*from..*to).contains(&minute))
    }

    /// The first instant at or after `at` at which a call may start; `at` itself when open.
    /// `None` when nothing opens within 15 days.
    pub fn next_open(&self, zone: &Zone, at: Instant) -> Option<Instant> {
        if self.is_open(zone, at) {
            return Some(at);
        }
        let opens = |instant: &Instant| *instant > at && self.is_open(zone, *instant);
        let today = zone.date(at);
        let mut found: Option<Instant> = None;
        // When clocks go back across midnight, yesterday comes again. So the search starts a day
        // early, and ends a day after the first hit.
        for n in -1..=SEARCH_DAYS {
            let known = found;
            let date = today + Duration::days(n);
            let starts = self.hours(date).iter().map(|(from, _)| local_time(date, *from));
            let both = starts.flat_map(|start| [zone.resolve(start), zone.resolve_last(start)]);
            found = both.filter(opens).chain(known).min();
            if known.is_some() {
                break;
            }
        }
        // A change of the clocks can also land in the middle of open hours.
        let until = found.unwrap_or(at + Duration::days(SEARCH_DAYS));
        zone.changes(at, until).find(opens).or(found)
    }

    /// The end of the last open hours on a local date, with the stop margin taken off. Calls may
    /// start before this instant, not at it or later that date. `None`: the date has no open hour.
    pub fn last_start_on(&self, zone: &Zone, date: NaiveDate) -> Option<Instant> {
        let ends = self.hours(date).iter().map(|(_, to)| local_time(date, *to));
        let both = ends.flat_map(|end| [zone.resolve(end), zone.resolve_last(end)]);
        // A fold shows an end twice. Each counts only if the window is open just before it.
        both.filter(|at| {
            let before = *at - Duration::seconds(1);
            zone.date(before) == date && self.is_open(zone, before)
        })
        .max()
    }

    /// The window in words: `monday to friday 10:00-13:00,14:00-20:00; saturday to sunday closed`.
    pub fn describe(&self) -> String {
        let days: Vec<(&str, &Vec<Hours>)> = DAY_NAMES.into_iter().zip(&self.days).collect();
        let rows = days.chunk_by(|a, b| a.1 == b.1).map(|row| {
            let hours = written(row[0].1);
            match row {
                _ if row.len() == 7 => format!("every day {hours}"),
                [(day, _)] => format!("{day} {hours}"),
                [(first, _), .., (last, _)] => format!("{first} to {last} {hours}"),
                [] => hours,
            }
        });
        rows.collect::<Vec<_>>().join("; ")
    }

    fn by_kind_of_day(hours: &[&[Hours]; 3]) -> CallingWindow {
        CallingWindow { days: std::array::from_fn(|day| hours[day.saturating_sub(4)].to_vec()) }
    }

    fn hours(&self, date: NaiveDate) -> &[Hours] {
        &self.days[date.weekday().num_days_from_monday() as usize]
    }
}

/// The wall-clock time of a minute of a date; minute 1440 is the next date's midnight.
fn local_time(date: NaiveDate, minute: u16) -> NaiveDateTime {
    date.and_time(NaiveTime::MIN) + Duration::minutes(minute.into())
}

/// Reads `"09:00-12:00,14:00-24:00"` or `"closed"`; hours that touch or overlap are merged.
fn read_hours(text: &str) -> Result<Vec<Hours>, String> {
    if text.trim().eq_ignore_ascii_case("closed") {
        return Ok(Vec::new());
    }
    let mut hours = Vec::new();
    for part in text.split(',') {
        let Some((from, to)) = part.split_once('-') else {
            let shown: String = part.chars().take(40).collect();
            return Err(format!("{shown:?} is not a range; write \"09:00-17:00\" or \"closed\""));
        };
        let (from, to) = (read_minute(from)?, read_minute(to)?);
        if from >= to {
            return Err(format!(
                "{:?} ends before it starts; hours lie within one date, which ends at 24:00",
                part.trim()
            ));
        }
        hours.push((from, to));
    }
    hours.sort();
    let mut apart: Vec<Hours> = Vec::new();
    for (from, to) in hours {
        match apart.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => apart.push((from, to)),
        }
    }
    Ok(apart)
}

fn read_minute(text: &str) -> Result<u16, String> {
    if text.trim() == "24:00" {
        return Ok(DAY_MINUTES);
    }
    let time = parse_call_time(text)?;
    Ok((time.hour() * 60 + time.minute()) as u16)
}

fn written(hours: &[Hours]) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let texts = hours.iter().map(|(from, to)| format!("{}-{}", clock(*from), clock(*to)));
    match texts.collect::<Vec<_>>().join(",") {
        text if text.is_empty() => "closed".to_string(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{instant_text, parse_instant};

    fn at(text: &str) -> Instant {
        parse_instant(text).expect("an instant")
    }

    /// New York's clocks in 2026.
    fn new_york() -> Zone {
        let changes = [("2026-03-08T07:00:00Z", -4), ("2026-11-01T06:00:00Z", -5)];
        let changes = changes.map(|(text, hours)| (at(text).timestamp(), hours * 3600));
        Zone::new("America/New_York", -5 * 3600, changes.to_vec())
    }

    fn open(start: &str, end: &str) -> CallingWindow {
        CallingWindow::new(start, end).expect("a window")
    }

    fn configured(days: &[(&str, &str)], margin: i64) -> Result<CallingWindow, String> {
        let days = days.iter().map(|(day, text)| (day.to_string(), text.to_string())).collect();
        CallingWindow::from_parts("08:00", "21:00", None, &days, margin)
    }

    #[test]
    fn a_window_opens_at_its_start_and_is_closed_at_its_end() {
        let (window, zone) = (open("08:00", "21:00"), new_york());
        for (instant, expected) in [
            ("2026-11-22T12:59:59.999Z", false),
            ("2026-11-22T13:00:00Z", true),
            ("2026-11-23T01:59:59.999Z", true),
            ("2026-11-23T02:00:00Z", false),
        ] {
            assert_eq!(window.is_open(&zone, at(instant)), expected, "{instant}");
        }
        let all_day = open("00:00", "24:00");
        assert!(all_day.is_open(&zone, at("2026-11-22T04:59:59Z")));
    }

    #[test]
    fn the_next_opening_is_now_when_open_and_else_the_next_start() {
        let zone = new_york();
        let window = configured(&[("sunday", "closed"), ("saturday", "18:00-19:00,9:00-12:00")], 0);
        let window = window.expect("a window");
        for (from, expected) in [
            ("2026-11-20T15:00:00.123Z", "2026-11-20T15:00:00.123Z"),
            ("2026-11-21T02:00:00Z", "2026-11-21T14:00:00.000Z"),
            ("2026-11-21T17:00:00Z", "2026-11-21T23:00:00.000Z"),
            ("2026-11-22T00:00:00Z", "2026-11-23T13:00:00.000Z"),
        ] {
            let next = window.next_open(&zone, at(from)).map(instant_text);
            assert_eq!(next.as_deref(), Some(expected), "{from}");
        }
        let never = open("08:00", "09:00").intersect(&open("10:00", "11:00"));
        assert_eq!(never.next_open(&zone, at("2026-11-22T00:00:00Z")), None);
    }

    #[test]
    fn the_last_start_is_the_end_of_the_last_hours_less_the_margin() {
        let zone = new_york();
        let window =
            configured(&[("sunday", "closed"), ("saturday", "09:00-12:00,18:00-24:00")], 10);
        let window = window.expect("a window");
        for (date, expected) in [
            ("2026-11-20", Some("2026-11-21T01:50:00.000Z")),
            ("2026-11-21", Some("2026-11-22T04:50:00.000Z")),
            ("2026-11-22", None),
        ] {
            let last = window.last_start_on(&zone, date.parse().expect("a date"));
            assert_eq!(last.map(instant_text).as_deref(), expected, "{date}");
        }
    }

    #[test]
    fn every_preset_has_the_hours_of_its_rule() {
        for (name, words) in [
            ("us-federal", "every day 08:00-21:00"),
            ("us-florida", "every day 08:00-20:00"),
            ("uk", "monday to friday 08:00-21:00; saturday 09:00-21:00; sunday closed"),
            ("ca", "monday to friday 09:00-21:30; saturday to sunday 10:00-18:00"),
            ("au", "monday to friday 09:00-20:00; saturday 09:00-17:00; sunday closed"),
            ("fr", "monday to friday 10:00-13:00,14:00-20:00; saturday to sunday closed"),
        ] {
            assert_eq!(CallingWindow::preset(name).map(|w| w.describe()), Ok(words.to_string()));
        }
        let error = CallingWindow::preset("us").expect_err("no such preset");
        assert_eq!(error, "no preset \"us\"; known are us-federal, us-florida, uk, ca, au, fr");
        assert_eq!(CallingWindow::for_country("US"), CallingWindow::preset("us-federal").ok());
        assert_eq!(CallingWindow::for_country("XX"), None);
    }

    #[test]
    fn two_windows_are_open_together_only_where_both_are() {
        let both = CallingWindow::preset("fr").expect("fr").intersect(&open("12:00", "18:00"));
        let words = "monday to friday 12:00-13:00,14:00-18:00; saturday to sunday closed";
        assert_eq!(both.describe(), words);
    }

    #[test]
    fn a_wrong_window_is_refused_in_one_line_that_names_the_key() {
        for (days, margin, start) in [
            (("monday", "9-17"), 0, "days.monday: \"9\" is not a time of day"),
            (("monday", "09:00"), 0, "days.monday: \"09:00\" is not a range"),
            (("monday", "17:00-09:00"), 0, "days.monday: \"17:00-09:00\" ends before it starts"),
            (("monday", "09:00-09:00"), 0, "days.monday: \"09:00-09:00\" ends before"),
            (("monday", ""), 0, "days.monday: \"\" is not a range"),
            (("moonday", "closed"), 0, "days: \"moonday\" is none of monday"),
            (("monday", "closed"), -1, "stop_margin_minutes: -1"),
            (("monday", "closed"), 1439, "the window never opens"),
        ] {
            let error = configured(&[days], margin).expect_err("a wrong window");
            assert!(error.starts_with(start) && error.lines().count() == 1, "{error}");
        }
    }
}
