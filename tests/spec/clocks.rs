//! The clock guards: a wrong clock rings nobody, ends no occasion and is reported. Dialing
//! continues when the clocks agree.

use std::path::PathBuf;
use std::process::Stdio;

use chrono::Duration;
use ringonce::clock::{self, Reading};
use ringonce::demo::fake_vapi::journal::Event;
use ringonce::domain::start::{Acceptance, Clocks};
use ringonce::domain::{instant_text, parse_instant};
use ringonce::provider::Listing;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::{Patience, Stop};
use ringonce::service::{adopting, opening};
use ringonce::steps::readiness::clock_check::{self, Heard};

use crate::listed::{Listed, Through};
use crate::processes::{end_of, stop, until};
use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";

fn jumps() -> [Duration; 8] {
    let days = [1, 30, 365, -1, -30, -365];
    let mut jumps = [Duration::minutes(2), Duration::minutes(-2)].to_vec();
    jumps.extend(days.map(Duration::days));
    jumps.try_into().expect("eight")
}

#[test]
fn a_machine_whose_clock_jumped_rings_nobody_ends_nothing_and_continues_when_it_is_right_again() {
    for jump in jumps() {
        let world = World::new();
        world.daily("Ada");
        world.customer("Eve").paid().signed_up("2026-02-02T11:00:00Z").add();
        world.tick_at("2026-02-02T11:45:00Z");
        let (items, rings) = (world.items(), world.rings().len());
        // Our clock is wrong by `jump`, and the provider's is right.
        world.pass(jump);
        world.faults(&format!("date-skew={}", -jump.num_seconds()));
        for _ in 0..3 {
            let run = world.command(&["tick", "--json"]);
            assert_eq!(run.code, Some(3), "{jump}: {run:?}");
            let why = run.json()["refused"].as_str().unwrap_or_default().to_string();
            assert!(why.contains("clock"), "{jump}: {why}");
        }
        assert_eq!((world.items(), world.rings().len()), (items, rings), "{jump}");
        assert_eq!(world.holds(), ["clock"], "{jump}");
        // The clock is right again, and each due call is made once.
        world.faults("");
        let ticked = world.tick_at(NOON);
        assert!(!ticked.shut, "{jump}: {ticked:?}");
        assert!(world.holds().is_empty(), "{jump}");
        assert!(world.items().contains(&"Ada daily 2026-02-02 completed".to_string()), "{jump}");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn a_wrong_clock_reads_no_records_and_moves_no_mark() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let marks =
        || world.lines("SELECT key || value FROM meta WHERE key LIKE '%_at' OR key LIKE 'clock%'");
    let before = marks();
    world.set_clock("2027-02-02T11:45:00Z");
    world.faults("date-skew=-31536000");
    world.tick();
    assert_eq!(marks(), before);
}

#[test]
fn a_clock_behind_what_the_file_has_seen_holds_until_it_catches_up_or_a_person_confirms_it() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let held = world.tick_at("2026-02-01T12:00:00Z");
    assert!(held.shut && held.refused.unwrap().contains("already seen"));
    let run = world.command(&["resume", "--reason", "the file was used under a wrong clock"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("clock"), "{run:?}");
    assert!(!world.tick().shut);
}

#[test]
fn adopt_accepts_a_clock_behind_the_mark_only_when_the_provider_agrees() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock("2026-02-01T12:00:00Z");
    world.faults("date-skew=86400");
    let run = world.command(&["adopt", "--reason", "a restore"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    world.faults("");
    let run = world.command(&["adopt", "--reason", "a restore"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!world.tick().shut);
}

#[test]
fn after_a_restart_of_the_machine_a_silent_provider_leaves_the_clock_unproven_and_ends_nothing() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let items = world.items();
    // A dead battery: another boot, a year later, and a provider that does not answer.
    world.sql(
        "UPDATE meta SET value = replace(value, 'test-clock', 'b-1') WHERE key = 'last_reading'",
    );
    world.faults("down=503");
    let ticked = world.tick_at("2027-02-02T12:00:00Z");
    assert!(ticked.shut, "{ticked:?}");
    assert_eq!(world.items(), items);
    // The clock is set right while the provider is silent; then the provider answers again.
    assert!(world.tick_at("2026-02-02T11:59:00Z").shut);
    world.faults("");
    assert!(!world.tick_at(NOON).shut);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
}

#[test]
fn a_jump_against_the_clock_that_never_jumps_holds_until_the_providers_date_agrees() {
    let world = World::new();
    let service = world.start();
    let reading = |seconds: i64, monotonic_seconds: i64| Reading {
        now: world.now() + Duration::seconds(seconds),
        monotonic_ms: monotonic_seconds * 1000,
        boot_id: "boot".to_string(),
    };
    let watch = |reading: &Reading, heard| {
        clock_check::watch_clock(&service.cx, reading, heard, clock::machine_now()).unwrap()
    };
    let date = |seconds| Heard::Date(world.now() + Duration::seconds(seconds));
    assert_eq!(watch(&reading(0, 0), date(0)), Clocks::Agree);
    assert_eq!(watch(&reading(600, 590), Heard::Nothing), Clocks::Agree);
    for wrong in [reading(86_400, 600), reading(700, 10)] {
        assert!(matches!(watch(&wrong, Heard::Nothing), Clocks::Disagree(_)), "{wrong:?}");
        assert_eq!(world.holds(), ["clock"]);
    }
    // The clock was right after all, or is right again.
    assert_eq!(watch(&reading(86_400, 600), date(86_390)), Clocks::Agree);
    assert!(world.holds().is_empty());
    assert_eq!(watch(&reading(86_460, 660), Heard::Nothing), Clocks::Agree);
}

#[test]
fn only_the_providers_date_lifts_a_hold_that_it_caused() {
    let world = World::new();
    let service = world.start();
    let now = service.clock.read().unwrap();
    let later = Heard::Date(now.now + Duration::hours(1));
    let watch =
        |heard| clock_check::watch_clock(&service.cx, &now, heard, clock::machine_now()).unwrap();
    assert_eq!(watch(Heard::Date(now.now)), Clocks::Agree);
    let mark = world.one("SELECT value FROM meta WHERE key = 'clock_high_water'");
    assert_eq!(mark, instant_text(now.now), "what was trusted is the mark from now on");
    assert!(matches!(watch(later), Clocks::Disagree(_)));
    assert!(matches!(watch(Heard::Nothing), Clocks::Disagree(_)), "silence lifts nothing");
    assert!(matches!(watch(Heard::Undated), Clocks::Disagree(_)));
    assert_eq!(watch(Heard::Date(now.now)), Clocks::Agree);
    assert!(world.holds().is_empty());
}

#[test]
fn a_jump_since_the_last_trusted_look_is_seen_before_the_next_intent() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock(NOON);
    let service = world.start();
    let reading = service.clock.read().unwrap();
    let patience = Patience { pace: false, record: std::time::Duration::ZERO };
    let mut dialer = Dialer::new(&service, patience, reading.now).unwrap();
    dialer.trust(Reading { now: reading.now - Duration::days(1), ..reading.clone() });
    let passed = dialer.pass(&mut |_| Ok(None)).unwrap();
    assert_eq!(passed.shut, Some(Stop::ClockJumped));
    assert!(world.posts().is_empty());
    dialer.trust(reading);
    assert_eq!(dialer.pass(&mut |_| Ok(None)).unwrap().succeeded, 1);
}

#[test]
fn adopt_writes_nothing_while_the_clock_is_unconfirmed() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let marks = || world.lines("SELECT key || value FROM meta WHERE key LIKE '%_at' ORDER BY key");
    let before = marks();
    world.faults("no-date");
    // Behind the mark: the provider's date would decide, but its replies carry no date.
    world.set_clock("2026-02-01T12:00:00Z");
    let run = world.command(&["adopt", "--reason", "a restore"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    let said = &run.stderr;
    assert!(said.contains("unconfirmed") && said.contains("ringonce resume"), "{run:?}");
    assert_eq!(marks(), before);
    // A person checks the clock and confirms it.
    let run = world.command(&["resume", "--reason", "date -u is right"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = world.command(&["adopt", "--reason", "a restore"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn after_a_reboot_an_undated_answer_leaves_the_clock_unconfirmed() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.faults("no-date");
    // A dead battery: another boot, a year later. A person accepts the file, or not.
    let service = world.start();
    let later = Reading {
        now: world.now() + Duration::days(365),
        monotonic_ms: 1000,
        boot_id: "another boot".to_string(),
    };
    let mark = "SELECT value FROM meta WHERE key = 'last_reconciled_at'";
    for accepted in [Acceptance::Nothing, Acceptance::Adoption { unreadable_rows: false }] {
        let opened = opening::open(&service, &later, accepted).unwrap();
        let shut = opened.shut.unwrap();
        assert!(shut.is_of_the_clock() && shut.to_string().contains("is unconfirmed"), "{shut}");
        assert_eq!(world.one(mark), "2026-02-02T11:45:00.000Z");
    }
    assert_eq!(world.holds(), ["clock"]);
    // The provider sends its date again, and the clock is right.
    world.faults("");
    let right = Reading { now: world.now(), ..later };
    assert!(opening::open(&service, &right, Acceptance::Nothing).unwrap().shut.is_none());
    assert!(world.holds().is_empty());
}

#[test]
fn the_date_of_a_reply_holds_the_next_call() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:00").paid().welcomed().add();
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock(NOON);
    let service = world.start();
    let reading = service.clock.read().unwrap();
    assert!(opening::open(&service, &reading, Acceptance::Nothing).unwrap().shut.is_none());
    // From now on the provider is a day ahead.
    world.faults("date-skew=86400");
    let patience = Patience { pace: false, record: std::time::Duration::ZERO };
    let mut dialer = Dialer::new(&service, patience, reading.now).unwrap();
    let passed = dialer.pass(&mut |_| Ok(None)).unwrap();
    assert_eq!(passed.succeeded, 1, "{passed:?}");
    assert!(passed.shut.unwrap().to_string().contains("clock"));
    assert_eq!((world.rings().len(), world.holds()), (1, vec!["clock".to_string()]));
}

#[test]
fn a_pass_whose_reply_carries_a_wrong_date_ends_no_call_and_moves_no_mark() {
    let world = World::with_faults("latency=700");
    world.daily("Ada");
    world.daily("Bob");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock(NOON);
    let marks = || world.lines("SELECT key || value FROM meta WHERE key = 'last_tick_at'");
    let mut program = world.program(&["tick", "--json"]);
    let child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    until("the first call is under way", || !world.posts().is_empty());
    let before = marks();
    world.faults("date-skew=86400");
    let run = end_of(child);
    assert_eq!(run.json()["succeeded"], 2, "{run:?}");
    let placed = ["Ada daily 2026-02-02 #1 placed", "Bob daily 2026-02-02 #1 placed"];
    assert_eq!(world.attempts(), placed);
    assert_eq!((marks(), world.holds()), (before, vec!["clock".to_string()]));
    // The next pass follows these calls, when the clocks agree.
    world.faults("");
    world.tick();
    assert_eq!(world.attempts()[1], "Bob daily 2026-02-02 #1 ended answered");
}

#[test]
fn the_service_holds_on_a_wrong_date_and_continues_when_it_is_right() {
    let world = World::with_config("[reconcile]\npoll_seconds = 1\n");
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:01").paid().welcomed().add();
    world.set_clock("2026-02-02T11:59:30Z");
    let child = world.program(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    let lists = || world.fake.journal().iter().filter(|e| e.event == Event::List).count();
    until("the service is open", || 2 <= lists());
    world.faults("date-skew=86400");
    world.set_clock(NOON);
    // The reply to Ada's call shows it, and Bob is not called.
    until("dialing holds", || world.holds() == ["clock"]);
    world.set_clock("2026-02-02T12:01:00Z");
    let before = lists();
    until("the records are read three times", || before + 3 <= lists());
    assert_eq!(world.rings().len(), 1);
    world.faults("");
    until("Bob is called", || world.rings().len() == 2);
    assert!(world.holds().is_empty());
    let run = stop(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.assert_no_phone_rang_twice();
}

/// A list that takes three minutes, as for a busy account over two weeks.
fn slowly(clock: PathBuf) -> Through {
    Box::new(move |listing| {
        let text = std::fs::read_to_string(&clock).unwrap();
        let now = parse_instant(&text).unwrap() + Duration::minutes(3);
        std::fs::write(&clock, now.to_rfc3339()).unwrap();
        // The date of the last page.
        Listing { date: Some(now), ..listing }
    })
}

#[test]
fn a_list_that_takes_minutes_does_not_mean_a_wrong_clock() {
    let world = World::new();
    world.daily("Ada");
    world.tick();
    let mut service = world.start();
    service.provider = Box::new(Listed(world.vapi(), slowly(world.path("clock"))));
    let reading = service.clock.read().unwrap();
    let opened = opening::open(&service, &reading, Acceptance::Nothing).unwrap();
    assert_eq!(opened.shut, None);
    adopting::reconcile_beside(&service).expect("the clocks agree");
    assert!(world.holds().is_empty());
}
