//! Three days with a tick every fifteen minutes over a file of customers, through the real import.
//! Every ring is compared with the due calls, which other code computes here. That code walks over
//! the minutes with `chrono-tz` and has no queues, claims or occasions.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Duration, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use ringonce::domain::instant_text;

use crate::inner_loop::sized;
use crate::world::{World, at};

const DAYS: i64 = 3;
const CUSTOMERS: usize = 120;
const START: &str = "2026-03-06T00:07:00Z";

/// Zones on both sides of the date line, one that changes its clocks on 8 March, odd offsets.
const ZONES: [&str; 12] = [
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
];

/// One line of the file.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    phone: String,
    zone: Tz,
    /// Minutes after midnight; `None`: no daily calls.
    time: Option<u32>,
    paid: bool,
    validated: bool,
    status: &'static str,
    welcomed: bool,
    called_on: Option<String>,
    signed_up: DateTime<Utc>,
}

/// Small numbers whose pattern does not line up with the fields.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }
}

fn rows(seed: u64) -> Vec<Row> {
    let mut dice = Dice(seed);
    let start = at(START);
    (0..CUSTOMERS)
        .map(|number| {
            let mut one_in = |sides| dice.roll(sides) == 0;
            let (unpaid, refused, stopped) = (one_in(7), one_in(9), one_in(8));
            let (welcomed, called, timeless) = (!one_in(4), one_in(6), one_in(15));
            let minutes = dice.roll(24 * 60) as u32;
            let zone: Tz = ZONES[dice.roll(12) as usize].parse().expect("a zone");
            let today = start.with_timezone(&zone).date_naive();
            Row {
                name: format!("Customer {number}"),
                phone: format!("+4420794{:05}", 60000 + number),
                zone,
                time: (!timeless).then_some(minutes),
                paid: !unpaid,
                validated: !refused,
                status: if stopped { ["paused", "disabled"][number % 2] } else { "pending" },
                welcomed,
                called_on: (welcomed && called).then(|| today.to_string()),
                signed_up: start + Duration::minutes(dice.roll(4000) as i64 - 2000),
            }
        })
        .collect()
}

fn csv(rows: &[Row]) -> String {
    let mut text = String::from(
        "created_at,name,phone,timezone,call_time,payment_status,phone_validated,call_status,\
         welcome_call_completed,last_call_date,plan\n",
    );
    for row in rows {
        let time = row.time.map(|t| format!("{:02}:{:02}", t / 60, t % 60)).unwrap_or_default();
        writeln!(
            text,
            "{},{},{},{},{time},{},{},{},{},{},gold",
            row.signed_up.min(at(START)).to_rfc3339(),
            row.name,
            row.phone,
            row.zone,
            if row.paid { "Paid" } else { "Pending" },
            if row.validated { "" } else { "no" },
            row.status,
            row.welcomed,
            row.called_on.as_deref().unwrap_or_default(),
        )
        .expect("text");
    }
    text
}

/// The expected rings: the number, the kind of call, and the tick.
type Rings = BTreeSet<(String, String, DateTime<Utc>)>;

/// Whether this wall-clock minute is inside the calling window.
fn is_open(zone: Tz, now: DateTime<Utc>) -> bool {
    let wall = now.with_timezone(&zone).time();
    let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour");
    hour(8) <= wall && wall < hour(21)
}

/// The first instant of this local minute on the date; in a gap the first one after it.
fn instant_of(zone: Tz, date: chrono::NaiveDate, minutes: u32) -> DateTime<Utc> {
    let time = NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).expect("a time");
    let mut wall = date.and_time(time);
    loop {
        if let Some(found) = zone.from_local_datetime(&wall).earliest() {
            return found.to_utc();
        }
        wall += Duration::minutes(1);
    }
}

fn due(row: &Row, ticks: &[DateTime<Utc>]) -> Rings {
    let mut rings = Rings::new();
    if !row.paid || !row.validated || row.status != "pending" {
        return rings;
    }
    let mut last_ring: Option<DateTime<Utc>> = None;
    let mut welcomed_at = row.welcomed.then_some(ticks[0] - Duration::days(1));
    let mut called: Option<String> = row.called_on.clone();
    for now in ticks {
        if welcomed_at.is_none()
            && row.signed_up + Duration::minutes(20) <= *now
            && is_open(row.zone, *now)
        {
            rings.insert((row.phone.clone(), "welcome".to_string(), *now));
            (welcomed_at, last_ring) = (Some(*now), Some(*now));
            continue;
        }
        let (Some(since), Some(minutes)) = (welcomed_at, row.time) else { continue };
        let local = now.with_timezone(&row.zone).date_naive();
        for date in [local.pred_opt().expect("a date"), local] {
            let slot = instant_of(row.zone, date, minutes);
            let name = date.format("%Y-%m-%d").to_string();
            let first = since.max(at(START));
            let late = *now - slot;
            // The next occasion after the import or the welcome call, and none that was called
            // already.
            if slot <= first || late < Duration::zero() || called.as_ref() >= Some(&name) {
                continue;
            }
            let at_its_time = late <= Duration::minutes(30);
            let in_window =
                is_open(row.zone, *now) && local == date && late <= Duration::minutes(240);
            let apart = last_ring.is_none_or(|last| Duration::minutes(60) <= *now - last);
            if apart && (at_its_time || in_window) {
                rings.insert((row.phone.clone(), name.clone(), *now));
                (called, last_ring) = (Some(name), Some(*now));
            }
        }
    }
    rings
}

#[test]
fn every_ring_of_three_days_is_one_that_was_due_and_none_is_missing() {
    for seed in sized(&[1][..], &[1, 20_260_306]) {
        let world = World::with_config(
            "[dialing]\nworkers = 8\nmax_active_calls = 50\ncalls_per_minute = 10000\n\
             [follow]\nrequests_per_minute = 1000\n",
        );
        world.set_clock(START);
        let rows = rows(*seed);
        std::fs::write(world.path("customers.csv"), csv(&rows)).unwrap();
        let import = world.command(&["customers", "import", "customers.csv"]);
        assert_eq!(import.code, Some(0), "{import:?}");
        // No file may hold a sign-up of the future; another program's write to the database may.
        for row in &rows {
            let (signed_up, phone) = (instant_text(row.signed_up), &row.phone);
            world.sql(&format!(
                "UPDATE customers SET created_at = '{signed_up}' WHERE phone = '{phone}'"
            ));
        }
        let first = at(START).with_minute(15).expect("a quarter");
        let first = first.with_second(0).expect("a minute");
        let ticks: Vec<DateTime<Utc>> =
            (0..DAYS * 96).map(|quarter| first + Duration::minutes(15 * quarter)).collect();
        assert_eq!(ticks[0].day(), 6);
        for tick in &ticks {
            world.set_now(*tick);
            world.tick();
        }
        let rang: Rings = world
            .rings()
            .into_iter()
            .map(|ring| (ring.number, ring.occasion.unwrap_or_default(), ring.at))
            .collect();
        let wanted: Rings = rows.iter().flat_map(|row| due(row, &ticks)).collect();
        let who = |(phone, ..): &&(String, String, DateTime<Utc>)| {
            rows.iter().find(|row| row.phone == *phone).cloned()
        };
        let missing: Vec<_> = wanted.difference(&rang).map(|r| (r, who(&r))).collect();
        let extra: Vec<_> = rang.difference(&wanted).map(|r| (r, who(&r))).collect();
        assert!(missing.is_empty() && extra.is_empty(), "missing {missing:#?}\nextra {extra:#?}");
        assert!(150 < wanted.len(), "{} rings are a thin test", wanted.len());
        assert_eq!(world.rings().len(), rang.len());
        world.assert_no_phone_rang_twice();
    }
}
