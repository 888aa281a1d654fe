//! A paused customer is not called, and each date says so: like every other date without a call, it
//! has a row with its reason.

use crate::arming::{copy_to, restore};
use crate::world::World;

/// The commands that pause and resume customer 1.
const WAYS: [[&[&str]; 2]; 2] = [
    [&["customers", "pause", "1"], &["customers", "resume", "1"]],
    [&["pause", "--customer", "1"], &["resume", "--customer", "1"]],
];

fn act(world: &World, words: &[&str]) {
    let run = world.command(&[words, &["--reason", "away"]].concat());
    assert_eq!(run.code, Some(0), "{words:?}: {run:?}");
}

/// Ticks at the due time and when the date is over, as a system cron does.
fn live(world: &World, days: std::ops::RangeInclusive<u32>) {
    for day in days {
        for time in ["11:45", "12:00", "20:00"] {
            world.tick_at(&format!("2026-02-{day:02}T{time}:00Z"));
        }
    }
}

#[test]
fn each_date_of_a_paused_customer_ends_as_skipped_because_paused() {
    for [pause, resume] in WAYS {
        let world = World::new();
        world.daily("Ada");
        live(&world, 2..=2);
        act(&world, pause);
        live(&world, 3..=5);
        act(&world, resume);
        live(&world, 6..=6);
        assert_eq!(
            world.items(),
            [
                "Ada daily 2026-02-02 completed",
                "Ada daily 2026-02-03 skipped paused",
                "Ada daily 2026-02-04 skipped paused",
                "Ada daily 2026-02-05 skipped paused",
                "Ada daily 2026-02-06 completed",
            ],
            "{pause:?}"
        );
        assert_eq!(world.rings().len(), 2);
    }
}

#[test]
fn the_dates_of_a_pause_during_which_nothing_ran_have_their_rows_too() {
    for [pause, _] in WAYS {
        let world = World::new();
        world.daily("Ada");
        live(&world, 2..=2);
        act(&world, pause);
        world.tick_at("2026-02-06T11:00:00Z");
        assert_eq!(
            world.items(),
            [
                "Ada daily 2026-02-02 completed",
                "Ada daily 2026-02-03 skipped paused",
                "Ada daily 2026-02-04 skipped paused",
                "Ada daily 2026-02-05 skipped paused",
            ],
            "{pause:?}"
        );
    }
}

#[test]
fn a_date_missed_before_a_pause_is_too_late_and_not_forgotten() {
    for [pause, _] in WAYS {
        let world = World::new();
        world.daily("Ada");
        live(&world, 2..=2);
        world.set_clock("2026-02-04T16:00:00Z");
        act(&world, pause);
        world.tick_at("2026-02-06T11:00:00Z");
        assert_eq!(
            world.items(),
            [
                "Ada daily 2026-02-02 completed",
                "Ada daily 2026-02-03 skipped too_late",
                "Ada daily 2026-02-04 skipped too_late",
                "Ada daily 2026-02-05 skipped paused",
            ],
            "{pause:?}"
        );
    }
}

#[test]
fn a_pause_that_began_and_ended_while_nothing_ran_leaves_no_date_without_a_row() {
    for [pause, resume] in WAYS {
        let world = World::new();
        world.daily("Ada");
        live(&world, 2..=2);
        world.set_clock("2026-02-03T16:00:00Z");
        act(&world, pause);
        world.set_clock("2026-02-05T20:00:00Z");
        act(&world, resume);
        world.tick_at("2026-02-07T11:00:00Z");
        assert_eq!(
            world.items(),
            [
                "Ada daily 2026-02-02 completed",
                "Ada daily 2026-02-03 skipped too_late",
                "Ada daily 2026-02-04 skipped paused",
                "Ada daily 2026-02-05 skipped paused",
                "Ada daily 2026-02-06 skipped too_late",
            ],
            "{pause:?}"
        );
    }
}

#[test]
fn a_disabled_customer_who_is_resumed_missed_no_date() {
    for [pause, resume] in WAYS {
        let world = World::new();
        world.daily("Ada");
        live(&world, 2..=2);
        world.set_clock("2026-02-02T20:00:00Z");
        world.sql("UPDATE customers SET call_status = 'disabled'");
        world.set_clock("2026-02-04T20:00:00Z");
        act(&world, pause);
        world.set_clock("2026-02-06T20:00:00Z");
        act(&world, resume);
        live(&world, 7..=7);
        let made = ["Ada daily 2026-02-02 completed", "Ada daily 2026-02-07 completed"];
        assert_eq!(world.items(), made, "{pause:?}");
    }
}

#[test]
fn a_program_that_takes_back_the_status_ends_the_pause_but_not_one_after_a_second_call() {
    let resumed = "UPDATE customers SET call_status = 'pending' WHERE id = 1";
    let pauses = "SELECT count(*) FROM meta WHERE key LIKE 'pause:customer:%'";
    for [pause, _] in WAYS {
        let world = World::new();
        world.daily("Ada");
        act(&world, pause);
        assert_eq!(world.one("SELECT call_status FROM customers"), "paused");
        world.sql(resumed);
        assert_eq!(world.count(pauses), 0, "{pause:?}");
        live(&world, 2..=2);
        assert_eq!(world.rings().len(), 1, "{pause:?}");
    }
    let world = World::with_faults("twice:first=1");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(world.count(pauses), 1);
    world.sql(resumed);
    assert_eq!(world.count(pauses), 1);
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.items()[1], "Ada daily 2026-02-03 pending paused");
    let listed = world.command(&["customers", "list", "--status", "paused", "--json"]).json();
    assert_eq!(listed[0]["call_status"], "paused");
    act(&world, WAYS[0][1]);
    world.tick();
    assert_eq!(world.items()[1], "Ada daily 2026-02-03 completed");
}

#[test]
fn a_paused_customer_is_neither_called_for_a_sign_up_nor_forgotten_after_the_pause() {
    let world = World::new();
    world.customer("Ada").in_zone("America/New_York").at("07:00").paid().add();
    act(&world, WAYS[1][0]);
    world.tick_at("2026-02-02T15:00:00Z");
    assert_eq!(world.items(), ["Ada welcome welcome pending paused"]);
    act(&world, WAYS[0][1]);
    world.tick_at("2026-02-02T15:05:00Z");
    assert_eq!(world.items()[0], "Ada welcome welcome completed");
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn each_date_of_a_customer_whom_another_program_paused_ends_as_skipped_because_paused() {
    let world = World::new();
    world.daily("Ada");
    live(&world, 2..=2);
    world.set_clock("2026-02-02T20:30:00Z");
    world.sql("UPDATE customers SET call_status = 'paused'");
    live(&world, 3..=4);
    let paused = [
        "Ada daily 2026-02-02 completed",
        "Ada daily 2026-02-03 skipped paused",
        "Ada daily 2026-02-04 skipped paused",
    ];
    assert_eq!(world.items(), paused);
    let explained = world.command(&["explain", "1"]).stdout;
    assert!(explained.contains("another program"), "{explained}");
    act(&world, WAYS[0][1]);
    live(&world, 5..=5);
    assert_eq!(world.items()[3], "Ada daily 2026-02-05 completed");
}

#[test]
fn an_imported_customer_who_is_paused_has_a_row_for_each_date_too() {
    let world = World::new();
    world.set_clock("2026-02-02T08:00:00Z");
    world.imported(
        "name,phone,timezone,call_time,payment_status,call_status,welcome_call_completed\n\
         Ada,+12125550101,America/New_York,07:00,Paid,paused,true\n",
        &[],
    );
    live(&world, 2..=3);
    assert_eq!(
        world.items(),
        ["Ada daily 2026-02-02 skipped paused", "Ada daily 2026-02-03 skipped paused"]
    );
    assert_eq!(world.rings().len(), 0);
}

#[test]
fn a_second_call_whose_record_names_nobody_pauses_its_customer_and_nobody_else() {
    let world = World::with_faults("twice:first=1");
    world.customer("Ada").paid().signed_up("2026-02-02T10:00:00Z").add();
    let backup = copy_to(&world, "backup.db");
    world.tick_at("2026-02-02T10:25:00Z");
    assert_eq!(world.rings().len(), 2);
    restore(&world, &backup);
    world.faults("strips=metadata");
    world.daily("Bob");
    only_one_is_paused(&world, "pause:customer:");
    assert_eq!(world.one("SELECT call_status FROM customers WHERE name = 'Ada'"), "paused");
}

#[test]
fn a_second_call_of_nobody_whom_the_file_names_pauses_its_number_and_nobody_else() {
    let world = World::with_faults("twice:first=1 list-lag=600");
    world.customer("Ada").paid().signed_up("2026-02-02T10:00:00Z").add();
    world.daily("Bob");
    world.tick_at("2026-02-02T10:25:00Z");
    // As a call that was adopted without the customer's key, after the customer was erased.
    world.sql("UPDATE call_attempts SET customer_id = NULL, customer_key = ''");
    only_one_is_paused(&world, "pause:number:");
}

fn only_one_is_paused(world: &World, kind: &str) {
    world.tick_at("2026-02-02T11:00:00Z");
    assert_eq!(world.count("SELECT count(*) FROM second_calls"), 1);
    let pauses = world.lines("SELECT key FROM meta WHERE key LIKE 'pause:%'");
    assert_eq!(pauses.len(), 1, "{pauses:?}");
    assert!(pauses[0].starts_with(kind) && pauses[0] != kind, "{pauses:?}");
    world.tick_at("2026-02-02T12:00:00Z");
    let items = world.items();
    assert!(items.contains(&"Bob daily 2026-02-02 completed".to_string()), "{items:?}");
}
