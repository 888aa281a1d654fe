//! A time zone as a plain value: offsets and the instants at which they change.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime};

use crate::domain::Instant;

/// An IANA zone's clock rules as a list of transitions. Loaded by `zones.rs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// IANA Area/City.
    pub name: String,
    /// Seconds east of UTC before the first transition.
    first_offset_secs: i32,
    /// Unix seconds of a transition and the offset from then on; ascending.
    transitions: Vec<(i64, i32)>,
}

impl Zone {
    pub fn new(name: &str, first_offset_secs: i32, transitions: Vec<(i64, i32)>) -> Zone {
        Zone { name: name.to_string(), first_offset_secs, transitions }
    }

    pub fn utc() -> Zone {
        Zone::new("UTC", 0, Vec::new())
    }

    /// Whether both zones have the same rules, such as Asia/Kolkata and its old name Asia/Calcutta.
    pub fn has_rules_of(&self, other: &Zone) -> bool {
        self.first_offset_secs == other.first_offset_secs && self.transitions == other.transitions
    }

    /// Seconds east of UTC at this instant.
    pub fn offset_secs(&self, at: Instant) -> i32 {
        let next = self.transitions.partition_point(|(from, _)| *from <= at.timestamp());
        match next {
            0 => self.first_offset_secs,
            _ => self.transitions[next - 1].1,
        }
    }

    /// The wall-clock time in the zone at this instant.
    pub fn local(&self, at: Instant) -> NaiveDateTime {
        at.naive_utc() + Duration::seconds(self.offset_secs(at).into())
    }

    /// The instants in (`from`, `to`] at which the zone's clocks change, ascending.
    pub fn changes(&self, from: Instant, to: Instant) -> impl Iterator<Item = Instant> {
        let first = self.transitions.partition_point(|(at, _)| *at <= from.timestamp());
        self.transitions[first..]
            .iter()
            .take_while(move |(at, _)| *at <= to.timestamp())
            .filter_map(|(at, _)| DateTime::from_timestamp(*at, 0))
    }

    /// The local date, which names a daily occasion.
    pub fn date(&self, at: Instant) -> NaiveDate {
        self.local(at).date()
    }

    /// The instant at which the wall clock shows `local`: in a fold the first occurrence, inside
    /// a gap the first valid instant after it.
    pub fn resolve(&self, local: NaiveDateTime) -> Instant {
        let wanted = local.and_utc().timestamp();
        let around = self.transitions.partition_point(|(from, _)| *from < wanted - 2 * 86_400);
        let mut offset = match around {
            0 => self.first_offset_secs,
            _ => self.transitions[around - 1].1,
        };
        // Walk the offsets around the wanted time, earliest first. The first offset that shows it
        // gives its first occurrence. A transition that jumps past it is the end of its gap.
        for (from, next_offset) in &self.transitions[around..] {
            if wanted - i64::from(offset) < *from {
                break;
            }
            offset = *next_offset;
            if wanted - i64::from(offset) < *from {
                return DateTime::from_timestamp(*from, 0).unwrap_or_default();
            }
        }
        local.and_utc() - Duration::seconds(offset.into())
    }

    /// The last instant at which the wall clock shows `local`: in a fold the second occurrence,
    /// else the same as `resolve`.
    pub fn resolve_last(&self, local: NaiveDateTime) -> Instant {
        let first = self.resolve(local);
        self.changes(first, first + Duration::days(2))
            .map(|change| local.and_utc() - Duration::seconds(self.offset_secs(change).into()))
            .filter(|at| *at > first && self.local(*at) == local)
            .last()
            .unwrap_or(first)
    }
}
