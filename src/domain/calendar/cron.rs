//! Five-field Unix cron on wall-clock time.
//!
//! This module parses every field strictly into a set of numbers, and searches the sets. It refuses
//! an expression that never fires.

use std::fmt;

use chrono::{Datelike, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;

/// The five fields in their order.
const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day-of-month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: &MONTHS },
    Field { name: "day-of-week", min: 0, max: 7, names: &WEEKDAYS },
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];
/// A search ends with this year. The expressions that never fire have been refused before.
const LAST_YEAR: i32 = 2100;

/// A valid expression that fires at least once.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    /// Bit n of a field is set when the field allows n; Sunday is 0.
    sets: [u64; 5],
    /// Day-of-month and day-of-week both restrict, so a match of either is enough.
    either_day: bool,
}

/// The wrong field, its text and the problem. Displays as one line.
#[derive(Clone, Debug, PartialEq)]
pub struct CronError {
    /// `minute`, `hour`, `day-of-month`, `month`, `day-of-week`, or `cron expression` for all.
    pub field: &'static str,
    pub text: String,
    pub problem: String,
}

struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// The first name stands for `min`.
    names: &'static [&'static str],
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.field, self.text, self.problem)
    }
}

impl std::error::Error for CronError {}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        (self.sets, self.either_day) == (other.sets, other.either_day)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Cron {
    /// Reads `minute hour day-of-month month day-of-week`, or a nickname such as `@daily`.
    pub fn parse(text: &str) -> Result<Cron, CronError> {
        let whole = |problem: String| CronError {
            field: "cron expression",
            text: text.chars().take(80).collect(),
            problem,
        };
        let trimmed = text.trim();
        let spelled = match NICKNAMES.iter().find(|(name, _)| trimmed.eq_ignore_ascii_case(name)) {
            Some((_, fields)) => fields,
            None if trimmed.starts_with('@') => {
                let known = NICKNAMES.map(|(name, _)| name).join(" ");
                return Err(whole(format!("unknown nickname; known are {known}")));
            }
            None => trimmed,
        };
        let parts: Vec<&str> = spelled.split_ascii_whitespace().collect();
        let Ok(parts) = <[&str; 5]>::try_from(parts.as_slice()) else {
            return Err(whole(format!(
                "needs five fields (minute hour day-of-month month day-of-week), has {}",
                parts.len()
            )));
        };
        let mut sets = [0; 5];
        for (field, (part, set)) in FIELDS.iter().zip(parts.iter().zip(&mut sets)) {
            *set = field.read(part).map_err(|problem| field.error(part, problem))?;
        }
        let either_day = !parts[2].starts_with('*') && !parts[4].starts_with('*');
        let cron = Cron { text: trimmed.to_string(), sets, either_day };
        match cron.next_local_after(Instant::UNIX_EPOCH.naive_utc()) {
            Some(_) => Ok(cron),
            None => Err(FIELDS[2].error(parts[2], format!("never comes in month {:?}", parts[3]))),
        }
    }

    /// The first wall-clock time strictly after `local` at which it fires; whole minutes.
    /// `None` past the year 2100.
    pub fn next_local_after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let minute = local.with_second(0)?.with_nanosecond(0)?;
        let at = minute.checked_add_signed(Duration::minutes(1))?;
        let mut date = at.date();
        let mut from = at.time();
        while date.year() <= LAST_YEAR {
            if !has(self.sets[3], date.month()) {
                date = date.with_day(1)?.checked_add_months(Months::new(1))?;
            } else if let Some(time) = self.fires_on(date).then(|| self.time_from(from)).flatten() {
                return Some(date.and_time(time));
            } else {
                date = date.succ_opt()?;
            }
            from = NaiveTime::MIN;
        }
        None
    }

    /// The wall-clock times at which it fires on each date on which it fires, in order.
    pub fn times_of_day(&self) -> impl Iterator<Item = NaiveTime> + '_ {
        let holds = |field: usize, n: &u32| self.sets[field] & 1 << n != 0;
        let hours = (0..24).filter(move |hour| holds(1, hour));
        let minutes = move || (0..60).filter(move |minute| holds(0, minute));
        hours.flat_map(move |hour| {
            minutes().filter_map(move |minute| NaiveTime::from_hms_opt(hour, minute, 0))
        })
    }

    fn fires_on(&self, date: NaiveDate) -> bool {
        let [_, _, days, _, weekdays] = self.sets;
        let day = has(days, date.day());
        let weekday = has(weekdays, date.weekday().num_days_from_sunday());
        if self.either_day { day || weekday } else { day && weekday }
    }

    /// The last time at which it fires on each of its dates.
    fn last_time(&self) -> NaiveTime {
        let [hour, minute] = [self.sets[1], self.sets[0]].map(|set| set.checked_ilog2());
        hour.zip(minute).and_then(|(h, m)| NaiveTime::from_hms_opt(h, m, 0)).unwrap_or_default()
    }

    /// The first time of a date at which it fires, at or after `from`, a whole minute.
    fn time_from(&self, from: NaiveTime) -> Option<NaiveTime> {
        let [minutes, hours, ..] = self.sets;
        let same_hour =
            has(hours, from.hour()).then(|| first_from(minutes, from.minute())).flatten();
        match same_hour {
            Some(minute) => NaiveTime::from_hms_opt(from.hour(), minute, 0),
            None => {
                let hour = first_from(hours, from.hour() + 1)?;
                NaiveTime::from_hms_opt(hour, first_from(minutes, 0)?, 0)
            }
        }
    }

    /// The longest time between two firings, without clock changes.
    pub fn longest_pause(&self) -> Duration {
        let mut longest = Duration::zero();
        let Some(mut at) = self.next_local_after(Instant::UNIX_EPOCH.naive_utc()) else {
            return longest;
        };
        // Every date has the same times, so only the first date is walked through. 400 dates are
        // more than a year of one a day, and 33 years of one a month.
        let mut dates = 0;
        while dates < 400
            && let Some(next) = self.next_local_after(at)
        {
            longest = longest.max(next - at);
            if next.date() == at.date() {
                at = next;
            } else {
                dates += 1;
                at = next.date().and_time(self.last_time());
            }
        }
        longest
    }

    /// The first instant strictly after `after` at which it fires in the zone. A time inside a gap
    /// fires at the first valid instant after it. A time in a fold fires once, the first time.
    pub fn next_after(&self, zone: &Zone, after: Instant) -> Option<Instant> {
        // First occurrences follow the order of wall-clock times, so no time at or before the
        // local time of `after` still lies ahead. In the second pass of a fold the next few times
        // have already fired, and the loop skips them.
        let mut local = zone.local(after);
        loop {
            local = self.next_local_after(local)?;
            let at = zone.resolve(local);
            if at > after {
                return Some(at);
            }
        }
    }
}

impl Field {
    fn error(&self, text: &str, problem: String) -> CronError {
        CronError { field: self.name, text: text.chars().take(80).collect(), problem }
    }

    /// The numbers of a whole field.
    fn read(&self, text: &str) -> Result<u64, String> {
        let mut set = 0;
        for item in text.split(',') {
            if item.is_empty() {
                return Err("nothing between two commas, or at an end".to_string());
            }
            set |= self.read_item(item)?;
        }
        // Sunday is 0 or 7; the set holds it as 0.
        if self.max == 7 && set & 1 << 7 != 0 {
            set = set & !(1 << 7) | 1;
        }
        Ok(set)
    }

    /// Reads `*`, `5` or `1-5`; `*` and a range may have a `/step`.
    fn read_item(&self, item: &str) -> Result<u64, String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.read_step(step)?)),
            None => (item, None),
        };
        let (low, high) = if range == "*" {
            (self.min, if self.max == 7 { 6 } else { self.max })
        } else if let Some((low, high)) = range.split_once('-') {
            let (low, mut last) = (self.value(low)?, self.value(high)?);
            // In a range such as FRI-SUN the named Sunday ends the week.
            if self.max == 7 && low > 0 && high.starts_with(['s', 'S']) && last == 0 {
                last = 7;
            }
            (low, last)
        } else if step.is_some() {
            return Err(format!("a step needs * or a range: write {range}-{}/…", self.max));
        } else {
            let only = self.value(range)?;
            (only, only)
        };
        if low > high {
            return Err(format!("the range {range} runs backwards; write two with a comma"));
        }
        Ok((low..=high).step_by(step.unwrap_or(1)).fold(0, |set, n| set | 1 << n))
    }

    fn read_step(&self, text: &str) -> Result<usize, String> {
        match small_number(text) {
            Some(step) if (1..=self.max).contains(&step) => Ok(step as usize),
            _ => Err(format!("the step {text:?} is not a number from 1 to {}", self.max)),
        }
    }

    /// One number or name.
    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        let named = self.names.iter().position(|name| lower == *name || lower == name[..3]);
        let value = named.map(|at| at as u32 + self.min).or_else(|| small_number(text));
        let names = if self.names.is_empty() { "" } else { ", or a name" };
        match value {
            Some(value) if (self.min..=self.max).contains(&value) => Ok(value),
            _ => Err(format!("{text:?} is not a number from {} to {}{names}", self.min, self.max)),
        }
    }
}

/// One or two digits and nothing else: no sign, no space.
fn small_number(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn has(set: u64, number: u32) -> bool {
    set & 1 << number != 0
}

/// The smallest number of the set from `number` on.
fn first_from(set: u64, number: u32) -> Option<u32> {
    let rest = set >> number;
    (rest != 0).then(|| number + rest.trailing_zeros())
}

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;
