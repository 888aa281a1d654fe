//! When a customer is to be called: a time of day or a cron expression, both customer-local.
//!
//! This module computes dates and instants only; the gate decides about eligibility.

use std::fmt;

use chrono::{Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::domain::Instant;
use crate::domain::calendar::cron::Cron;
use crate::domain::calendar::zone::Zone;

/// A search gives up after this many dates with an occasion. Daily calls reach them after more
/// than two years, so only a search without a result ends here.
const MOST_DATES: usize = 800;
/// Enough to see that Monday follows Friday, or that a month has two calls.
const SLOTS_SHOWN: usize = 3;

/// Words of the old sign-up form and their hours.
const WORDS: [(&str, u32); 4] =
    [("early", 7), ("mid-morning", 9), ("mid morning", 9), ("late", 11)];

/// The times of the daily calls: at most one occasion a local date.
#[derive(Clone, Debug, PartialEq)]
pub enum Rhythm {
    /// Every date at this local time.
    At(NaiveTime),
    /// Every date on which the expression fires, at its first firing.
    Cron(Cron),
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rhythm::At(time) => write!(f, "every day at {}", time.format("%H:%M")),
            Rhythm::Cron(cron) => cron.fmt(f),
        }
    }
}

impl Rhythm {
    /// Reads the customer's columns; the cron expression wins over the time. Empty text counts as
    /// NULL. `None` = no daily calls. Errors are one line that names the column.
    pub fn of(
        call_time: Option<&str>,
        call_schedule: Option<&str>,
    ) -> Result<Option<Rhythm>, String> {
        let filled = |text: Option<&str>| text.map(str::trim).unwrap_or_default().to_string();
        let (time, schedule) = (filled(call_time), filled(call_schedule));
        if !schedule.is_empty() {
            let cron = Cron::parse(&schedule).map_err(|e| format!("call_schedule: {e}"))?;
            return Ok(Some(Rhythm::Cron(cron)));
        }
        if time.is_empty() {
            return Ok(None);
        }
        let time = parse_call_time(&time).map_err(|e| format!("call_time: {e}"))?;
        Ok(Some(Rhythm::At(time)))
    }

    /// The local time of the calls: the first firing of a cron expression.
    pub fn time_of_day(&self) -> Option<NaiveTime> {
        match self {
            Rhythm::At(time) => Some(*time),
            Rhythm::Cron(cron) => cron.times_of_day().next(),
        }
    }

    /// The occasion's instant on a local date. `None` when the date has no occasion: the cron
    /// expression does not fire, the zone skips the date, or a clock gap swallows the rest of it.
    pub fn slot_on(&self, zone: &Zone, date: NaiveDate) -> Option<Instant> {
        let local = self.first_local_from(date)?;
        if local.date() != date {
            return None;
        }
        slot_at(zone, local)
    }

    /// The first slot strictly after `after` whose date is later than `later_than` and free.
    ///
    /// `None` when the expression has no date left, or when its next 800 dates are all taken.
    pub fn next_slot(
        &self,
        zone: &Zone,
        after: Instant,
        later_than: Option<NaiveDate>,
        mut is_free: impl FnMut(NaiveDate) -> bool,
    ) -> Option<(NaiveDate, Instant)> {
        let mut date = zone.date(after);
        if let Some(called) = later_than {
            date = date.max(called.succ_opt()?);
        }
        for _ in 0..MOST_DATES {
            let local = self.first_local_from(date)?;
            if let Some(at) = slot_at(zone, local)
                && at > after
                && is_free(local.date())
            {
                return Some((local.date(), at));
            }
            date = local.date().succ_opt()?;
        }
        None
    }

    /// Every slot in [`from`, `to`), in order.
    pub fn slots_between(
        &self,
        zone: &Zone,
        from: Instant,
        to: Instant,
    ) -> Vec<(NaiveDate, Instant)> {
        let mut slots = Vec::new();
        let mut date = zone.date(from);
        // One date more, because clocks may go back across midnight. Then the next date's slot can
        // lie before `to`, although the wall clock shows the old date again.
        let last = zone.date(to) + Duration::days(1);
        while date <= last {
            let Some(local) = self.first_local_from(date) else { break };
            if let Some(at) = slot_at(zone, local)
                && (from..to).contains(&at)
            {
                slots.push((local.date(), at));
            }
            let Some(next) = local.date().succ_opt() else { break };
            date = next;
        }
        slots
    }

    /// For people: the time of day; or the cron expression with the next slots that it has on the
    /// customer's clock, because few people read cron.
    pub fn describe(&self, zone: Option<&Zone>, now: Instant) -> String {
        let (Rhythm::Cron(_), Some(zone)) = (self, zone) else { return self.to_string() };
        let slot_after = |after: Instant| Some(self.next_slot(zone, after, None, |_| true)?.1);
        let next: Vec<String> = std::iter::successors(slot_after(now), |at| slot_after(*at))
            .take(SLOTS_SHOWN)
            .map(|at| zone.local(at).format("%a %-d %b %H:%M").to_string())
            .collect();
        format!("{self} (next: {})", next.join(", "))
    }

    /// The first wall-clock time of the rhythm on or after the start of a date.
    fn first_local_from(&self, date: NaiveDate) -> Option<NaiveDateTime> {
        match self {
            Rhythm::At(time) => Some(date.and_time(*time)),
            Rhythm::Cron(cron) => {
                let midnight = date.and_time(NaiveTime::MIN);
                cron.next_local_after(midnight.checked_sub_signed(Duration::seconds(1))?)
            }
        }
    }
}

/// The instant of a wall-clock time; `None` when a clock gap swallows the rest of its date.
fn slot_at(zone: &Zone, local: NaiveDateTime) -> Option<Instant> {
    let at = zone.resolve(local);
    (zone.date(at) == local.date()).then_some(at)
}

/// Reads a customer's cron expression. Refuses one with several firings a day, because a customer
/// gets at most one daily call a date, and the other firings would be dropped silently.
pub fn parse_call_schedule(text: &str) -> Result<Cron, String> {
    let cron = Cron::parse(text).map_err(|error| error.to_string())?;
    let times: Vec<NaiveTime> = cron.times_of_day().take(2).collect();
    let [first, second] = times.as_slice() else { return Ok(cron) };
    let more = cron.times_of_day().count().saturating_sub(2);
    let more = if more == 0 { String::new() } else { format!(" and {more} more times") };
    Err(format!(
        "{text:?} fires several times a day, at {}, {}{more}: a customer gets at most one call a \
         day, so write one minute and one hour",
        call_time_text(*first),
        call_time_text(*second)
    ))
}

/// Reads a time of day: `07:00`, `7:00`, `07:00:00`, `7am`, `7:30 pm`, `early` (07:00),
/// `mid-morning` (09:00), `late` (11:00), in any case. Midnight is `00:00` or `12am`.
pub fn parse_call_time(text: &str) -> Result<NaiveTime, String> {
    if let Some(time) = stored_time(text) {
        return Ok(time);
    }
    let refused = || {
        let shown: String = text.chars().take(40).collect();
        format!("{shown:?} is not a time of day; write HH:MM, such as 07:30 or 7:30 pm")
    };
    let lower = text.trim().to_ascii_lowercase();
    if let Some((_, hour)) = WORDS.iter().find(|(word, _)| *word == lower) {
        return NaiveTime::from_hms_opt(*hour, 0, 0).ok_or_else(refused);
    }
    let half = [("am", 0), ("a.m.", 0), ("pm", 12), ("p.m.", 12)]
        .into_iter()
        .find_map(|(suffix, add)| lower.strip_suffix(suffix).map(|rest| (rest.trim_end(), add)));
    let (digits, afternoon) = half.map_or((lower.as_str(), None), |(d, add)| (d, Some(add)));
    let parts: Option<Vec<u32>> = digits.split(':').map(two_digits).collect();
    let (hour, minute) = match (parts.as_deref(), afternoon) {
        (Some([hour, minute] | [hour, minute, 0]), None) => (*hour, *minute),
        (Some([hour @ 1..=12, rest @ ..]), Some(add)) => match rest {
            [] => (hour % 12 + add, 0),
            [minute] | [minute, 0] => (hour % 12 + add, *minute),
            _ => return Err(refused()),
        },
        _ => return Err(refused()),
    };
    NaiveTime::from_hms_opt(hour, minute, 0).ok_or_else(refused)
}

/// A time in the form in which it is stored. Every row of `customers` has it, so it is read first.
fn stored_time(text: &str) -> Option<NaiveTime> {
    let [h, hour, b':', m, minute] = *text.as_bytes() else { return None };
    if ![h, hour, m, minute].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |tens: u8, ones: u8| u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
    NaiveTime::from_hms_opt(number(h, hour), number(m, minute), 0)
}

/// The form in which a call time is stored: `HH:MM`.
pub fn call_time_text(time: NaiveTime) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

fn two_digits(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    fn at(text: &str) -> Instant {
        parse_instant(text).expect("an instant")
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn rhythm(time: &str, schedule: &str) -> Rhythm {
        Rhythm::of(Some(time), Some(schedule)).expect("readable").expect("a rhythm")
    }

    #[test]
    fn every_way_to_write_a_call_time_is_understood() {
        for (texts, expected) in [
            ("07:00|7:00|07:00:00|7am|7 AM|7:00am|7a.m.|early|EARLY| Early ", "07:00"),
            ("19:30|7:30 pm|7:30PM|07:30 p.m.", "19:30"),
            ("00:00|0:00|12am|12:00 am|00:00:00", "00:00"),
            ("12:00|12pm|12:00 PM", "12:00"),
            ("00:30|12:30am", "00:30"),
            ("09:00|mid-morning|Mid Morning", "09:00"),
            ("11:00|late|Late|11am", "11:00"),
            ("23:59|11:59pm", "23:59"),
        ] {
            for text in texts.split('|') {
                assert_eq!(
                    parse_call_time(text).map(call_time_text),
                    Ok(expected.into()),
                    "{text}"
                );
            }
        }
        for text in
            "|7|0700|24:00|7:60|13pm|0am|19:00pm|7:00:30|noonish|7:000|-7:00|+7:00|7::00|am|\
            7h30|07:00+02:00|7:30 pm pm|٧:00|7:30:00:00|1:2:3 am"
                .split('|')
        {
            let error = parse_call_time(text).expect_err(text);
            assert!(error.contains("not a time of day") && error.lines().count() == 1, "{error}");
        }
    }

    #[test]
    fn the_schedule_wins_over_the_time_and_empty_text_is_none() {
        assert_eq!(Rhythm::of(None, None), Ok(None));
        assert_eq!(Rhythm::of(Some(" "), Some("")), Ok(None));
        assert_eq!(rhythm("07:00", "").to_string(), "every day at 07:00");
        assert_eq!(rhythm("07:00", "0 9 * * 1-5").to_string(), "0 9 * * 1-5");
        let error = Rhythm::of(Some("soon"), None).expect_err("no time");
        assert!(error.starts_with("call_time: \"soon\""), "{error}");
        let error = Rhythm::of(Some("07:00"), Some("0 25 * * *")).expect_err("no hour");
        assert!(error.starts_with("call_schedule: hour \"25\""), "{error}");
    }

    #[test]
    fn a_cron_rhythm_shows_its_next_three_slots_on_the_customers_clock() {
        let zone = Zone::new("Test/Plus2", 7200, Vec::new());
        // Friday 09:30 on the customer's clock, which is not later than itself.
        let now = at("2026-11-27T07:30:00Z");
        let described = |time, schedule, zone| rhythm(time, schedule).describe(zone, now);
        for (schedule, words) in [
            ("30 9-17 * * 1-5", "next: Mon 30 Nov 09:30, Tue 1 Dec 09:30, Wed 2 Dec 09:30"),
            ("0 9 1,15 * *", "next: Tue 1 Dec 09:00, Tue 15 Dec 09:00, Fri 1 Jan 09:00"),
            ("30 10 * * *", "next: Fri 27 Nov 10:30, Sat 28 Nov 10:30, Sun 29 Nov 10:30"),
        ] {
            assert_eq!(described("", schedule, Some(&zone)), format!("{schedule} ({words})"));
        }
        assert_eq!(described("", "30 9 * * 1-5", None), "30 9 * * 1-5");
        assert_eq!(described("07:00", "", Some(&zone)), "every day at 07:00");
    }

    #[test]
    fn a_cron_rhythm_has_one_slot_a_date_at_its_first_firing() {
        let zone = Zone::new("Test/Plus2", 7200, Vec::new());
        let twice = rhythm("", "0 18,9 * * 1,3");
        assert_eq!(twice.slot_on(&zone, day("2026-11-23")), Some(at("2026-11-23T07:00:00Z")));
        assert_eq!(twice.slot_on(&zone, day("2026-11-24")), None);
        let slots =
            twice.slots_between(&zone, at("2026-11-23T07:00:00Z"), at("2026-11-30T07:00:00Z"));
        let dates: Vec<String> = slots.iter().map(|(date, _)| date.to_string()).collect();
        assert_eq!(dates, ["2026-11-23", "2026-11-25"]);
    }

    #[test]
    fn the_next_slot_is_later_than_the_instant_and_the_date_and_free() {
        let zone = Zone::new("Test/Minus5", -5 * 3600, Vec::new());
        let daily = rhythm("20:00", "");
        let next = |after: &str, later: Option<&str>, taken: &[&str]| {
            let taken: Vec<NaiveDate> = taken.iter().map(|d| day(d)).collect();
            let slot =
                daily.next_slot(&zone, at(after), later.map(day), |date| !taken.contains(&date));
            slot.map(|(date, at)| format!("{date} {}", crate::domain::instant_text(at)))
        };
        let first = "2026-11-21 2026-11-22T01:00:00.000Z".to_string();
        let second = "2026-11-22 2026-11-23T01:00:00.000Z".to_string();
        assert_eq!(next("2026-11-22T00:59:59.999Z", None, &[]), Some(first.clone()));
        assert_eq!(next("2026-11-22T01:00:00Z", None, &[]), Some(second.clone()));
        assert_eq!(next("2026-11-21T12:00:00Z", Some("2026-11-20"), &[]), Some(first));
        assert_eq!(next("2026-11-21T12:00:00Z", Some("2026-11-21"), &[]), Some(second.clone()));
        assert_eq!(next("2026-11-21T12:00:00Z", None, &["2026-11-21"]), Some(second));
    }

    #[test]
    fn a_search_that_can_find_nothing_ends() {
        let asked = std::cell::Cell::new(0);
        let slot = rhythm("07:00", "").next_slot(&Zone::utc(), Instant::UNIX_EPOCH, None, |_| {
            asked.set(asked.get() + 1);
            false
        });
        assert_eq!((slot, asked.get()), (None, MOST_DATES));
        let leap = rhythm("", "0 9 29 2 *");
        let slot = leap.next_slot(&Zone::utc(), at("2096-03-01T00:00:00Z"), None, |_| true);
        assert_eq!(slot, None);
    }
}
