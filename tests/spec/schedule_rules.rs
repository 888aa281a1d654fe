//! The rules of time, each as a line: when a call falls due, what is late, what is missed, and what
//! an edit does. Every case runs through its ticks and is compared with the rings.

use ringonce::demo::fake_vapi::core::Setup;

use crate::people::Person;
use crate::world::{World, nobody_home, quick};

/// Sets the customer of a case.
type Says = for<'w> fn(Person<'w>) -> Person<'w>;

/// The customer at 06:30 in New York on Monday the 2nd, the ticks, and the rings. Ticks are the day
/// and time in UTC; rings are the day and time in UTC and the occasion.
struct Case {
    what: &'static str,
    says: Says,
    ticks: &'static [&'static str],
    rings: &'static [&'static str],
    /// Items that were never dialed, with their reasons.
    skipped: &'static [&'static str],
}

fn daily(person: Person<'_>) -> Person<'_> {
    person.in_zone("America/New_York").at("07:00").paid().welcomed()
}

fn run(case: &Case, setup: Setup) {
    let world = World::with(setup, "");
    (case.says)(world.customer("Ada")).add();
    for tick in case.ticks {
        world.tick_at(&format!("2026-02-{tick}:00Z"));
    }
    let rings: Vec<String> = world
        .rings()
        .iter()
        .map(|ring| {
            let occasion = ring.occasion.clone().unwrap_or_default();
            format!("{} {occasion}", ring.at.format("%dT%H:%M:%S"))
        })
        .collect();
    let wanted: Vec<String> = case.rings.iter().map(|ring| ring.to_string()).collect();
    assert_eq!(rings, wanted, "{}: {:?} {:?}", case.what, world.items(), world.attempts());
    let skipped = world.lines(
        "SELECT occasion || ' ' || reason FROM call_queue WHERE status = 'skipped' ORDER BY occasion",
    );
    assert_eq!(skipped, case.skipped, "{}: {:?}", case.what, world.items());
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_daily_call_comes_at_its_time_or_late_or_not_at_all() {
    let cases = [
        Case {
            what: "never early, though it is queued before",
            says: daily,
            ticks: &["02T11:40", "02T11:59", "02T12:00"],
            rings: &["02T12:00:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "within half an hour it is still at its time, before the window opens",
            says: daily,
            ticks: &["02T12:30"],
            rings: &["02T12:30:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "later than that it waits for the window",
            says: daily,
            ticks: &["02T12:31", "02T12:59", "02T13:00"],
            rings: &["02T13:00:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "four hours late is the last moment",
            says: daily,
            ticks: &["02T16:00"],
            rings: &["02T16:00:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "a minute more is too late",
            says: daily,
            ticks: &["02T16:01", "02T16:15"],
            rings: &[],
            skipped: &["2026-02-02 too_late"],
        },
        Case {
            what: "a queued call that nobody took in time is too late",
            says: daily,
            ticks: &["02T11:45", "02T16:01"],
            rings: &[],
            skipped: &["2026-02-02 too_late"],
        },
        Case {
            what: "one that waited for the window only is skipped for that",
            says: |p| daily(p).at("04:00").next_call(Some("2026-02-02T09:00:00Z")),
            ticks: &["02T11:31", "02T12:59", "02T13:01"],
            rings: &[],
            skipped: &["2026-02-02 outside_window"],
        },
        Case {
            what: "a chosen time outside the window is permitted",
            says: |p| daily(p).at("22:30"),
            ticks: &["03T03:30", "03T03:45", "03T04:01"],
            rings: &["03T03:30:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "but not half an hour later",
            says: |p| daily(p).at("22:30"),
            ticks: &["03T04:01"],
            rings: &[],
            skipped: &["2026-02-02 too_late"],
        },
        Case {
            what: "an evening call is cut at the window's end",
            says: |p| daily(p).at("19:00"),
            ticks: &["03T02:01"],
            rings: &[],
            skipped: &["2026-02-02 too_late"],
        },
        Case {
            what: "midnight is a time, and its date is the customer's",
            says: |p| daily(p).at("00:00"),
            ticks: &["03T04:45", "03T05:00", "03T05:15", "04T05:00"],
            rings: &["03T05:00:00 2026-02-03", "04T05:00:00 2026-02-04"],
            skipped: &[],
        },
        Case {
            what: "a zone 5:45 ahead, to the minute",
            says: |p| daily(p).in_zone("Asia/Kathmandu").at("19:20"),
            ticks: &["02T13:34", "02T13:35"],
            rings: &["02T13:35:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "a zone where it is tomorrow",
            says: |p| daily(p).in_zone("Pacific/Auckland").at("07:00"),
            ticks: &["02T17:59", "02T18:00", "02T18:15"],
            rings: &["02T18:00:00 2026-02-03"],
            skipped: &[],
        },
        Case {
            what: "by a schedule on weekdays",
            says: |p| daily(p).on_schedule("30 9 * * 1-5"),
            ticks: &["06T14:30", "07T14:30", "08T14:30", "09T14:30"],
            rings: &["06T14:30:00 2026-02-06", "09T14:30:00 2026-02-09"],
            skipped: &[
                "2026-02-02 too_late",
                "2026-02-03 too_late",
                "2026-02-04 too_late",
                "2026-02-05 too_late",
            ],
        },
        Case {
            what: "no time, no daily calls",
            says: |p| p.in_zone("America/New_York").paid().welcomed(),
            ticks: &["02T12:00", "03T12:00"],
            rings: &[],
            skipped: &[],
        },
    ];
    cases.iter().for_each(|case| run(case, quick()));
}

#[test]
fn a_welcome_call_comes_twenty_minutes_after_sign_up_and_in_the_window() {
    let cases = [
        Case {
            what: "not a second early",
            says: |p| p.paid().signed_up("2026-02-02T11:30:00Z"),
            ticks: &["02T11:45", "02T11:49", "02T11:50", "02T12:05", "03T11:50"],
            rings: &["02T11:50:00 welcome"],
            skipped: &[],
        },
        Case {
            what: "sent again by the tick after, never twice",
            says: |p| p.paid().signed_up("2026-01-20T11:30:00Z"),
            ticks: &["02T11:45", "02T12:00", "03T12:00"],
            rings: &["02T11:45:00 welcome"],
            skipped: &[],
        },
        Case {
            what: "at night it waits for the morning, and is never skipped for that",
            says: |p| p.paid().signed_up("2026-02-02T20:45:00Z"),
            ticks: &["02T20:59", "02T21:05", "03T03:00", "03T07:59", "03T08:00", "03T08:15"],
            rings: &["03T08:00:00 welcome"],
            skipped: &[],
        },
        Case {
            what: "before the daily calls, and an hour from the first",
            says: |p| p.paid().at("12:00").signed_up("2026-02-02T11:30:00Z"),
            ticks: &["02T11:50", "02T12:00", "02T12:45", "02T12:50", "03T12:00"],
            rings: &["02T11:50:00 welcome", "02T12:50:00 2026-02-02", "03T12:00:00 2026-02-03"],
            skipped: &[],
        },
        Case {
            what: "three days down: still owed",
            says: |p| p.paid().signed_up("2026-02-02T11:30:00Z"),
            ticks: &["05T12:00"],
            rings: &["05T12:00:00 welcome"],
            skipped: &[],
        },
    ];
    cases.iter().for_each(|case| run(case, quick()));
}

#[test]
fn after_days_of_silence_at_most_todays_call_is_made_and_each_missed_date_is_recorded() {
    let cases = [
        Case {
            what: "in time for today's",
            says: daily,
            ticks: &["02T11:45", "05T12:00", "05T12:15"],
            rings: &["05T12:00:00 2026-02-05"],
            skipped: &["2026-02-02 too_late", "2026-02-03 too_late", "2026-02-04 too_late"],
        },
        Case {
            what: "late, inside the window",
            says: daily,
            ticks: &["02T12:00", "05T14:00"],
            rings: &["02T12:00:00 2026-02-02", "05T14:00:00 2026-02-05"],
            skipped: &["2026-02-03 too_late", "2026-02-04 too_late"],
        },
        Case {
            what: "too late for today's",
            says: daily,
            ticks: &["02T12:00", "05T17:00", "06T12:00"],
            rings: &["02T12:00:00 2026-02-02", "06T12:00:00 2026-02-06"],
            skipped: &["2026-02-03 too_late", "2026-02-04 too_late", "2026-02-05 too_late"],
        },
        Case {
            what: "before today's",
            says: daily,
            ticks: &["02T12:00", "04T11:00", "04T12:00"],
            rings: &["02T12:00:00 2026-02-02", "04T12:00:00 2026-02-04"],
            skipped: &["2026-02-03 too_late"],
        },
    ];
    cases.iter().for_each(|case| run(case, quick()));
}

#[test]
fn an_unpaid_or_paused_week_is_not_missed_but_a_pause_is_told() {
    let stops = [
        ("payment_status = 'Overdue'", "payment_status = 'Paid'"),
        ("call_status = 'paused'", "call_status = 'pending'"),
        ("phone_validated = 0", "phone_validated = 1"),
    ];
    for (stop, go) in stops {
        let world = World::new();
        world.daily("Ada");
        world.tick_at("2026-02-02T12:00:00Z");
        let change = |sets: &str| {
            let now = world.now().format("%Y-%m-%dT%H:%M:%S%.3fZ");
            world.sql(&format!("UPDATE customers SET {sets}, updated_at = '{now}'"));
        };
        change(stop);
        for day in 3..=8 {
            world.tick_at(&format!("2026-02-{day:02}T12:00:00Z"));
        }
        world.set_clock("2026-02-09T10:00:00Z");
        change(go);
        world.tick_at("2026-02-09T12:00:00Z");
        let mut expected = vec!["Ada daily 2026-02-02 completed".to_string()];
        if stop.starts_with("call_status") {
            expected
                .extend((3..=8).map(|day| format!("Ada daily 2026-02-{day:02} skipped paused")));
        }
        expected.push("Ada daily 2026-02-09 completed".to_string());
        assert_eq!(world.items(), expected, "{stop}");
        assert_eq!(world.rings().len(), 2, "{stop}");
    }
}

#[test]
fn nobody_who_is_home_is_tried_once_more_two_hours_later_before_20_00() {
    let busy = || Setup { mix: "busy=1".parse().expect("a mix"), ..quick() };
    let voicemail = || Setup { mix: "voicemail=1".parse().expect("a mix"), ..quick() };
    let twice = Case {
        what: "two hours later, once",
        says: daily,
        ticks: &["02T12:00", "02T13:59", "02T14:00", "02T16:00", "02T18:00", "03T12:00"],
        rings: &["02T12:00:00 2026-02-02", "02T14:00:00 2026-02-02", "03T12:00:00 2026-02-03"],
        skipped: &[],
    };
    run(&twice, nobody_home());
    run(&twice, busy());
    let once = Case { rings: &["02T12:00:00 2026-02-02", "03T12:00:00 2026-02-03"], ..twice };
    run(&once, voicemail());
    run(&once, quick());
    let cases = [
        Case {
            what: "17:59 is the last time that leaves two hours before 20:00",
            says: |p| daily(p).at("17:59"),
            ticks: &["02T22:59", "03T00:58", "03T00:59", "03T01:15"],
            rings: &["02T22:59:00 2026-02-02", "03T00:59:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "without a second try after it",
            says: |p| daily(p).at("18:00"),
            ticks: &["02T23:00", "03T01:00", "03T01:15"],
            rings: &["02T23:00:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "a second try that missed its end is completed, not skipped",
            says: |p| daily(p).at("17:30"),
            ticks: &["02T22:30", "03T01:01", "03T01:15"],
            rings: &["02T22:30:00 2026-02-02"],
            skipped: &[],
        },
        Case {
            what: "welcome calls are not tried again",
            says: |p| p.paid().signed_up("2026-02-02T11:30:00Z"),
            ticks: &["02T11:50", "02T13:50", "02T14:00", "03T11:50"],
            rings: &["02T11:50:00 welcome"],
            skipped: &[],
        },
    ];
    cases.iter().for_each(|case| run(case, nobody_home()));
}

#[test]
fn local_time_follows_the_clock_changes() {
    // New York springs forward on 8 March at 02:00 and falls back on 1 November.
    let cases = [
        ("02:30", "2026-03-07T12:00:00Z", &["03-08T07:00", "03-09T06:30"]),
        ("07:00", "2026-03-06T20:00:00Z", &["03-07T12:00", "03-08T11:00"]),
        ("01:30", "2026-10-31T12:00:00Z", &["11-01T05:30", "11-02T06:30"]),
    ];
    for (time, start, wanted) in cases {
        let world = World::new();
        world.set_clock(start);
        world.customer("Ada").in_zone("America/New_York").at(time).paid().welcomed().add();
        for _ in 0..96 {
            world.pass(chrono::Duration::minutes(30));
            world.tick();
        }
        let rings: Vec<String> =
            world.rings().iter().map(|ring| ring.at.format("%m-%dT%H:%M").to_string()).collect();
        assert_eq!(rings, wanted, "{time}: {:?}", world.items());
        world.assert_no_phone_rang_twice();
    }
}
