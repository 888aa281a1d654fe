//! The calls that a customer is owed on a date, where several rules or files meet.

use crate::world::{World, nobody_home};

const CUSTOMERS: &str = "external_id,name,phone,timezone,call_time,payment_status,\
     welcome_call_completed,last_call_date,next_call_scheduled_at,created_at\n";
const QUEUE: &str =
    "id,customer_id,call_type,scheduled_for,status,attempts,vapi_call_id,created_at\n";

fn take_over(world: &World, kind: &str, header: &str, rows: &[&str]) {
    std::fs::write(world.path("file.csv"), format!("{header}{}\n", rows.join("\n"))).unwrap();
    let run = world.command(&[kind, "import", "file.csv"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

fn audit(world: &World) {
    let run = world.command(&["audit", "--offline"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_next_call_that_another_program_worked_out_wrongly_rings_nobody_in_the_night() {
    let world = World::new();
    take_over(
        &world,
        "customers",
        CUSTOMERS,
        &["7,Ada,+12125550101,America/New_York,07:00,Paid,1,,2026-02-03T12:00:00Z,"],
    );
    // 07:00 in New York, mistaken for 07:00 UTC, when it is two o'clock there.
    world.sql("UPDATE customers SET next_call_scheduled_at = '2026-02-03T07:00:00.000Z'");
    for time in ["03T06:45", "03T07:00", "03T11:15", "04T11:45", "04T12:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    let rings: Vec<String> =
        world.rings().iter().map(|ring| ring.at.format("%dT%H:%M").to_string()).collect();
    assert_eq!(rings, ["04T12:00"], "{:?}", world.items());
    assert_eq!(world.items()[0], "Ada daily 2026-02-03 skipped outside_window");
}

#[test]
fn a_call_that_an_old_queue_made_and_lost_again_is_marked_as_called() {
    let world = World::new();
    take_over(
        &world,
        "customers",
        CUSTOMERS,
        &["7,Ada,+12125550101,America/New_York,07:00,Paid,0,,,2026-01-01T00:00:00Z"],
    );
    take_over(
        &world,
        "queue",
        QUEUE,
        &[
            "1,7,welcome,2026-01-01T12:00:00Z,failed,1,old-1,2026-01-01T11:40:00Z",
            "2,7,daily,2026-02-01T12:00:00Z,cancelled,1,old-2,2026-02-01T11:40:00Z",
        ],
    );
    world.tick_at("2026-02-02T12:00:00Z");
    audit(&world);
    assert_eq!(world.count("SELECT welcome_call_completed FROM customers"), 1);
}

#[test]
fn a_hole_in_an_old_queue_is_not_our_gap() {
    let world = World::new();
    take_over(
        &world,
        "customers",
        CUSTOMERS,
        &["7,Ada,+12125550101,America/New_York,07:00,Paid,1,2026-02-01,,2026-01-01T00:00:00Z"],
    );
    take_over(
        &world,
        "queue",
        QUEUE,
        &[
            "1,7,daily,2026-01-28T12:00:00Z,completed,1,old-1,2026-01-28T11:40:00Z",
            "2,7,daily,2026-02-01T12:00:00Z,completed,1,old-2,2026-02-01T11:40:00Z",
        ],
    );
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.rings().len(), 1);
    audit(&world);
}

#[test]
fn a_welcome_that_a_person_opens_again_stops_no_daily_calls() {
    let world = World::with_faults("accept-then-close:first=1");
    let ada = world.customer("Ada").at("07:00").paid();
    ada.signed_up("2026-02-01T08:00:00Z").add();
    world.tick();
    assert_eq!(world.attempts(), ["Ada welcome welcome #1 in_doubt"]);
    world.faults("list-lag=100000");
    world.tick_at("2026-02-03T07:00:00Z");
    assert_eq!(world.rings().len(), 2, "{:?}", world.items());
    world.set_clock("2026-02-03T22:00:00Z");
    let id = world.one("SELECT id FROM call_attempts WHERE call_type = 'welcome'");
    let run = world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "asked"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for time in ["04T06:45", "04T07:00", "04T08:00", "05T06:45", "05T07:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    let daily: Vec<String> =
        world.items().into_iter().filter(|item| item.contains("daily")).collect();
    assert_eq!(
        daily,
        [
            "Ada daily 2026-02-03 completed",
            "Ada daily 2026-02-04 completed",
            "Ada daily 2026-02-05 completed"
        ]
    );
}

#[test]
fn a_plan_foretells_no_daily_call_before_the_welcome_call() {
    let world = World::new();
    let ada = world.customer("Ada").at("07:00").paid();
    ada.signed_up("2026-02-02T20:50:00Z").add();
    world.set_clock("2026-02-02T21:00:00Z");
    let run = world.command(&["plan", "--days", "2", "--json"]);
    println!("{}", run.stdout);
    for time in ["03T06:45", "03T07:00", "03T08:00", "03T09:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    println!("{:?}", world.items());
    assert!(!run.stdout.contains("2026-02-03T07:00"), "{}", run.stdout);
}

#[test]
fn a_retry_that_was_permitted_then_is_not_a_duplicate_when_retries_are_turned_off_later() {
    let world = World::with(nobody_home(), "");
    world.daily("Ada");
    for time in ["12:00", "12:15", "14:30", "14:45"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(world.rings().len(), 2, "{:?}", world.items());
    audit(&world);
    world.set_config("[retry.no_answer]\ndaily = { times = 0 }\n");
    audit(&world);
}

#[test]
fn an_edit_after_days_of_silence_leaves_no_missed_date_untold() {
    let world = World::new();
    world.daily("Ada");
    world.daily("Ben");
    world.tick_at("2026-02-02T12:00:00Z");
    // Nothing runs for days. Before the next run, a person gives Ada another time.
    world.set_clock("2026-02-05T12:20:00Z");
    let edit = ["customers", "update", "1", "--call-time", "03:30"];
    let run = world.command(&edit);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.tick();
    let of = |name: &str| -> Vec<String> {
        world.items().into_iter().filter(|item| item.starts_with(name)).collect()
    };
    assert_eq!(
        of("Ada"),
        [
            "Ada daily 2026-02-02 completed",
            "Ada daily 2026-02-03 skipped too_late",
            "Ada daily 2026-02-04 skipped too_late",
            "Ada daily 2026-02-05 skipped cancelled"
        ]
    );
    assert_eq!(of("Ben").len(), 4);
    audit(&world);
}

#[test]
fn an_edit_to_a_later_time_of_the_same_date_keeps_that_dates_call() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.set_clock("2026-02-04T12:20:00Z");
    let edit = ["customers", "update", "1", "--call-time", "09:00"];
    assert_eq!(world.command(&edit).code, Some(0));
    world.tick_at("2026-02-04T14:00:00Z");
    assert_eq!(
        world.items(),
        [
            "Ada daily 2026-02-02 completed",
            "Ada daily 2026-02-03 skipped too_late",
            "Ada daily 2026-02-04 completed"
        ]
    );
}

#[test]
fn explain_says_which_column_ended_the_daily_calls() {
    let world = World::new();
    world.daily("Ada");
    world.sql("UPDATE customers SET call_schedule = 'every day'");
    let run = world.command(&["explain", "1"]);
    assert!(run.stdout.contains("cannot parse its call_schedule"), "{run:?}");
}

#[test]
fn a_cap_that_is_lifted_keeps_no_welcome_call_waiting_for_weeks() {
    let world = World::with_config("[caps]\ncalls_per_number_per_period = 1\nperiod_days = 30\n");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let ben = world.customer("Ben").paid().phone(&world.one("SELECT phone FROM customers"));
    ben.add();
    world.sql("UPDATE customers SET shared_phone = 1");
    world.tick_at("2026-02-02T14:00:00Z");
    assert_eq!(world.items()[1], "Ben welcome welcome pending cap");
    world.set_config("");
    world.tick_at("2026-02-02T14:15:00Z");
    assert_eq!(world.items()[1], "Ben welcome welcome completed");
}

#[test]
fn a_retry_that_a_move_carried_past_its_date_takes_no_later_dates_call() {
    let world = World::with(nobody_home(), "");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 retrying"]);
    let edit = ["customers", "update", "1", "--call-time", "15:00", "--timezone", "Asia/Tokyo"];
    assert_eq!(world.command(&edit).code, Some(0));
    // 14:05 is at night there, and 23:00 is 08:00 of the next date.
    for time in ["02T14:30", "02T23:00", "03T05:45", "03T06:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    let rings: Vec<String> =
        world.rings().iter().map(|ring| ring.at.format("%dT%H:%M").to_string()).collect();
    assert_eq!(rings, ["02T12:00", "03T06:00"], "{:?}", world.items());
}

#[test]
fn a_pause_of_welcome_calls_stops_no_daily_call_of_a_new_customer() {
    let world = World::new();
    let ada = world.customer("Ada").in_zone("America/New_York").at("07:00").paid();
    // The daily calls had not begun, so the dates before the pause were not missed.
    ada.signed_up("2026-01-30T15:00:00Z").next_call(Some("2026-01-31T12:00:00Z")).add();
    let pause = ["pause", "--type", "welcome", "--reason", "a new text"];
    assert_eq!(world.command(&pause).code, Some(0));
    let explained = world.command(&["explain", "1", "--json"]).json();
    assert_eq!(explained["next_call_at"], "2026-02-02T12:00:00.000Z", "{explained}");
    let plan = world.command(&["plan"]).stdout;
    assert!(plan.contains("daily"), "{plan}");
    world.tick();
    world.tick_at("2026-02-02T12:00:00Z");
    let items = ["Ada welcome welcome pending paused", "Ada daily 2026-02-02 completed"];
    assert_eq!(world.items(), items);
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.rings().len(), 2);
    assert_eq!(world.command(&["audit"]).code, Some(0));
    assert_eq!(world.command(&["resume", "--type", "welcome", "--reason", "done"]).code, Some(0));
    world.tick_at("2026-02-03T13:00:00Z");
    assert_eq!(world.items()[0], "Ada welcome welcome completed");
    world.tick_at("2026-02-04T12:00:00Z");
    assert_eq!(world.rings().len(), 4, "{:?}", world.items());
    assert_eq!(world.command(&["audit"]).code, Some(0));
    world.assert_no_phone_rang_twice();
}
