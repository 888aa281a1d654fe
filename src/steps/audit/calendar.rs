//! The audit's own calendar: finds the instant of a wall-clock time by trial, not by the schedule's
//! rules.

use std::collections::BTreeSet;

use chrono::{Duration, NaiveDate, NaiveDateTime, NaiveTime};

use crate::domain::Instant;
use crate::domain::calendar::cron::Cron;
use crate::domain::calendar::zone::Zone;
use crate::store::views::audit::AuditCustomer;

/// The instant of a customer's call on one local date, computed from local wall-clock time.
pub fn slot(person: &AuditCustomer, zone: &Zone, date: NaiveDate) -> Option<Instant> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let time = match (text(&person.call_schedule), text(&person.call_time)) {
        (Some(schedule), _) => {
            let before = date.and_time(NaiveTime::MIN) - Duration::seconds(1);
            let fires = Cron::parse(&schedule).ok()?.next_local_after(before)?;
            if fires.date() != date {
                return None;
            }
            fires.time()
        }
        (None, Some(time)) => NaiveTime::parse_from_str(&time, "%H:%M").ok()?,
        (None, None) => return None,
    };
    let at = first_instant_showing(zone, date.and_time(time));
    (zone.local(at).date() == date).then_some(at)
}

/// The first instant at which the local clock shows this time. If it never shows it, the instant
/// just after the gap. Tries every offset in force around the date, and bisects inside a gap.
fn first_instant_showing(zone: &Zone, wanted: NaiveDateTime) -> Instant {
    let naive = wanted.and_utc();
    let offsets: BTreeSet<i32> =
        (-28..=28).map(|hours| zone.offset_secs(naive + Duration::hours(hours))).collect();
    let shown = offsets
        .iter()
        .map(|offset| naive - Duration::seconds(i64::from(*offset)))
        .filter(|at| zone.local(*at) == wanted)
        .min();
    if let Some(at) = shown {
        return at;
    }
    let (mut before, mut after) = (naive - Duration::hours(28), naive + Duration::hours(28));
    while Duration::seconds(1) < after - before {
        let middle = before + Duration::seconds((after - before).num_seconds() / 2);
        if zone.local(middle) < wanted { before = middle } else { after = middle }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::schedule::Rhythm;
    use crate::zones::Zones;

    #[test]
    fn both_reckonings_of_a_slot_agree_on_every_date_of_difficult_zones() {
        let zones = Zones::bundled_only();
        let mut person = AuditCustomer {
            id: 1,
            timezone: String::new(),
            call_time: None,
            call_schedule: None,
            payment_status: "Paid".into(),
            call_status: "pending".into(),
            phone_validated: true,
            welcomed: true,
            last_call_date: None,
            next_call_at: None,
            eligible_from: None,
            created_at: Instant::UNIX_EPOCH,
        };
        let places = "America/New_York Europe/London Australia/Lord_Howe Pacific/Apia \
                      America/Sao_Paulo Asia/Beirut Africa/Casablanca America/Scoresbysund";
        for name in places.split(' ') {
            let zone = zones.get(name).unwrap();
            for time in ["00:00", "00:30", "01:30", "02:15", "07:00", "23:59"] {
                person.call_time = Some(time.to_string());
                let rhythm = Rhythm::of(Some(time), None).unwrap().unwrap();
                let mut date = NaiveDate::from_ymd_opt(2011, 1, 1).unwrap();
                while date < NaiveDate::from_ymd_opt(2013, 1, 1).unwrap() {
                    let theirs = rhythm.slot_on(&zone, date);
                    assert_eq!(slot(&person, &zone, date), theirs, "{name} {time} {date}");
                    date += Duration::days(1);
                }
            }
        }
    }
}
