//! The customers of a life and their changes. It computes independently, with another zone library
//! and plain rules, when each customer is owed a call.

use chrono::{Duration, NaiveDate, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;
use ringonce::domain::Instant;
use ringonce::domain::customer::entry::{CustomerEntry, EntryPhone};

use crate::dice::Dice;

const ZONES: [&str; 6] = [
    "America/New_York",
    "America/Los_Angeles",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Sydney",
];
const TIMES: [&str; 12] = [
    "07:00", "08:00", "08:30", "09:00", "11:00", "12:15", "17:00", "19:00", "20:45", "22:00",
    "00:15", "02:30",
];

/// A customer's settings from an instant on.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub from: Instant,
    pub zone: Tz,
    pub time: NaiveTime,
    pub paid: bool,
    pub paused: bool,
}

impl Wish {
    pub fn eligible(&self) -> bool {
        self.paid && !self.paused
    }

    /// The instant of the call on a local date: the first valid one in a gap, the first of a fold.
    pub fn slot(&self, date: NaiveDate) -> Instant {
        let mut local = date.and_time(self.time);
        loop {
            if let Some(at) = self.zone.from_local_datetime(&local).earliest() {
                return at.to_utc();
            }
            local += Duration::minutes(1);
        }
    }

    pub fn date(&self, at: Instant) -> NaiveDate {
        at.with_timezone(&self.zone).date_naive()
    }

    /// Whether the calling hours are open at this instant.
    pub fn in_window(&self, at: Instant) -> bool {
        (8..21).contains(&at.with_timezone(&self.zone).hour())
    }
}

#[derive(Clone, Debug)]
pub struct Person {
    pub id: i64,
    pub phone: String,
    /// Oldest first; never empty.
    pub wishes: Vec<Wish>,
    /// Was welcomed before the life began.
    pub old: bool,
    pub created_at: Instant,
    /// Until then no exact call is owed, because something changed.
    pub loose_until: Instant,
    /// Another row has the same number.
    pub shares_number: bool,
}

impl Person {
    pub fn wish(&self) -> &Wish {
        self.wishes.last().expect("never empty")
    }

    /// The wish that was valid at an instant.
    pub fn wish_at(&self, at: Instant) -> &Wish {
        let known = self.wishes.iter().rev().find(|wish| wish.from <= at);
        known.unwrap_or(&self.wishes[0])
    }

    /// Whether any wish until now puts the occasion of this date at this instant.
    pub fn ever_wanted(&self, date: NaiveDate, at: Instant) -> bool {
        self.wishes.iter().any(|wish| wish.slot(date) == at)
    }
}

/// A number of the ranges that are reserved for invented people.
pub fn phone(index: usize) -> String {
    match index {
        0..100 => format!("+121255501{index:02}"),
        _ => format!("+44207946{:04}", index % 1000),
    }
}

pub fn wish(dice: &mut Dice, few: usize, from: Instant) -> Wish {
    let zone: Tz = ZONES[dice.below(few.min(ZONES.len()))].parse().expect("a zone");
    let at = dice.below(few * 2) * 5 % TIMES.len();
    let time = NaiveTime::parse_from_str(TIMES[at], "%H:%M").expect("a time");
    Wish { from, zone, time, paid: true, paused: false }
}

/// The entry that gives a wish to the program.
pub fn entry(wish: &Wish, phone: Option<&str>) -> CustomerEntry {
    CustomerEntry {
        phone: phone.map(|e164| EntryPhone { e164: e164.to_string(), valid: true, error: None }),
        timezone: Some(wish.zone.name().to_string()),
        call_time: Some(Some(wish.time.format("%H:%M").to_string())),
        payment_status: Some(if wish.paid { "Paid" } else { "Pending" }.to_string()),
        ..CustomerEntry::default()
    }
}
