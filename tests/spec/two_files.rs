//! Two living files of one installation: a copy is adopted, and the original continues. Only the
//! file that was armed last may dial. On the same machine the other one notices at once, and
//! elsewhere as soon as it sees a call of the other.

use std::path::{Path, PathBuf};

use ringonce::domain::start::{Acceptance, Asking};
use ringonce::service::opening;
use ringonce::steps::reconcile;

use crate::arming::{adopt, copy_to, tick};
use crate::processes::{stop, until};
use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";

/// A copy that somebody took to another machine, from which the original cannot be reached.
fn copy_on_another_machine(world: &World) -> PathBuf {
    let copy = copy_to(world, "copy.db");
    let conn = rusqlite::Connection::open(&copy).unwrap();
    let moved = "UPDATE meta SET value = 'another machine' WHERE key = 'armed_machine_id'";
    conn.execute(moved, []).unwrap();
    copy
}

/// Removes the time of arming from its calls, as in two files that were armed as one.
fn forget_when_armed(db: &Path) {
    let conn = rusqlite::Connection::open(db).unwrap();
    conn.execute("DELETE FROM meta WHERE key = 'armed_at'", []).unwrap();
}

fn says_who_may_dial(world: &World, db: &Path, other: &Path) {
    let run = tick(world, db);
    assert_eq!(run.code, Some(3), "{run:?}");
    let why = run.json()["refused"].as_str().unwrap_or_default().to_string();
    let there = other.canonicalize().unwrap().display().to_string();
    assert!(why.contains(&format!("armed at {there}")) && why.contains("ringonce adopt"), "{why}");
}

#[test]
fn adopting_a_copy_disarms_the_original_on_the_same_machine() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_to(&world, "copy.db");
    assert_eq!(adopt(&world, &copy).code, Some(0));
    world.set_clock(NOON);
    // The list lags, so the original would not see the copy's call and would ring again.
    world.faults("list-lag=600");
    assert_eq!(tick(&world, &copy).code, Some(0));
    world.set_clock("2026-02-02T12:00:30Z");
    let original = tick(&world, &world.db());
    assert_eq!(world.rings().len(), 1, "{original:?}");
    says_who_may_dial(&world, &world.db(), &copy);
    assert_eq!(world.lines("SELECT old FROM journal WHERE what = 'disarm'").len(), 1);
    // The person adopts the original again.
    world.faults("");
    assert_eq!(adopt(&world, &world.db()).code, Some(0));
    says_who_may_dial(&world, &copy, &world.db());
    world.set_clock("2026-02-03T12:00:00Z");
    assert_eq!(tick(&world, &world.db()).code, Some(0));
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_copy_is_not_armed_before_the_list_shows_what_the_original_has_just_dialed() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_to(&world, "copy.db");
    world.set_clock(NOON);
    world.faults("list-lag=600");
    assert_eq!(tick(&world, &world.db()).code, Some(0));
    world.set_clock("2026-02-02T12:01:00Z");
    for _ in 0..2 {
        let early = adopt(&world, &copy);
        assert_eq!(tick(&world, &copy).code, Some(3), "{early:?}");
        assert_eq!(world.rings().len(), 1, "{early:?}");
        assert_eq!(early.code, Some(3), "{early:?}");
        assert!(early.stderr.contains("is not in the provider's list yet"), "{early:?}");
    }
    world.set_clock("2026-02-02T12:11:00Z");
    assert_eq!(adopt(&world, &copy).code, Some(0));
    assert_eq!(tick(&world, &copy).code, Some(0));
    assert_eq!(world.rings().len(), 1);
    world.assert_no_phone_rang_twice();
}

#[test]
fn of_several_copies_only_the_one_that_was_adopted_last_dials() {
    let world = World::new();
    world.daily("Ada");
    let (first, second) = (copy_to(&world, "first.db"), copy_to(&world, "second.db"));
    assert_eq!(adopt(&world, &first).code, Some(0));
    assert_eq!(adopt(&world, &second).code, Some(0));
    world.set_clock(NOON);
    world.faults("list-lag=600");
    assert_eq!(tick(&world, &second).code, Some(0));
    for other in [&first, &world.db()] {
        assert_eq!(tick(&world, other).code, Some(3), "{}", other.display());
    }
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_service_whose_copy_is_adopted_stops_dialing_while_it_runs() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock("2026-02-02T11:50:00Z");
    let log = world.path("log");
    let errors = std::fs::File::create(&log).unwrap();
    let child = world.program(&["run"]).stderr(errors).spawn().unwrap();
    until("the service scans", || world.items().len() == 1);
    let copy = copy_to(&world, "copy.db");
    assert_eq!(adopt(&world, &copy).code, Some(0));
    world.faults("list-lag=600");
    world.set_clock(NOON);
    assert_eq!(tick(&world, &copy).code, Some(0));
    let said = || std::fs::read_to_string(&log).unwrap();
    until("the service says so", || {
        said().contains("nothing more is dialed: not armed here") || 1 < world.rings().len()
    });
    assert_eq!(world.rings().len(), 1, "{}", said());
    stop(child);
}

#[test]
fn an_original_that_sees_a_call_of_a_copy_that_was_armed_later_waits_for_a_person() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_on_another_machine(&world);
    assert_eq!(adopt(&world, &copy).code, Some(0));
    world.set_clock(NOON);
    assert_eq!(tick(&world, &copy).code, Some(0));
    world.set_clock("2026-02-02T12:15:00Z");
    let original = tick(&world, &world.db());
    // The next day the list lags, and neither file would see the other's call.
    world.set_clock("2026-02-03T12:00:00Z");
    world.faults("list-lag=600");
    assert_eq!(tick(&world, &copy).code, Some(0));
    world.set_clock("2026-02-03T12:00:30Z");
    tick(&world, &world.db());
    assert_eq!(world.rings().len(), 2, "one a day: {original:?}");
    assert_eq!((original.code, world.holds()), (Some(3), vec!["foreign".to_string()]));
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_copy_that_sees_a_call_of_the_original_after_its_adoption_waits_for_a_person() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_on_another_machine(&world);
    assert_eq!(adopt(&world, &copy).code, Some(0));
    world.set_clock(NOON);
    assert_eq!(tick(&world, &world.db()).code, Some(0));
    world.set_clock("2026-02-02T12:15:00Z");
    let run = tick(&world, &copy);
    assert_eq!((run.code, world.rings().len()), (Some(3), 1), "{run:?}");
    // The person has stopped the original and confirms it.
    assert_eq!(adopt(&world, &copy).code, Some(0));
    let run = tick(&world, &copy);
    assert_eq!((run.code, world.rings().len()), (Some(0), 1), "{run:?}");
}

#[test]
fn two_files_of_one_installation_hold_each_other_while_both_dial() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_on_another_machine(&world);
    world.set_clock("2026-02-02T11:59:00Z");
    // The first file dials since 11:59.
    let first = world.start();
    let since = first.clock.read().unwrap();
    assert!(opening::open(&first, &since, Acceptance::Nothing).unwrap().shut.is_none());
    // A person who forgot the first file arms the second one, which calls Ada.
    assert_eq!(adopt(&world, &copy).code, Some(0));
    forget_when_armed(&copy);
    world.set_clock(NOON);
    assert_eq!(tick(&world, &copy).code, Some(0));
    assert_eq!(world.rings().len(), 1);
    // The first file sees a call of its installation that it never made.
    let now = first.clock.read().unwrap();
    let asking = Asking::Beside { dialing_since: Some(since.now) };
    let answer = reconcile::ask(&first.cx, first.provider.as_ref(), &now, asking).unwrap();
    let done = reconcile::load(&first.cx, &answer, &now).unwrap();
    assert!(done.foreign.is_some(), "{done:?}");
    assert_eq!(world.holds(), ["foreign"]);
    drop(first);
    let ticked = world.tick_at("2026-02-02T12:01:00Z");
    assert!(ticked.shut, "{ticked:?}");
    // Dialing is held, but the other file's call counts: nobody is called again.
    let run = world.command(&["resume", "--reason", "the copy was removed"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!world.tick().shut);
    assert_eq!(world.rings().len(), 1);
    world.assert_no_phone_rang_twice();
}

#[test]
fn two_files_that_gave_the_same_number_hold_at_the_next_start() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:15").paid().welcomed().add();
    let copy = copy_on_another_machine(&world);
    assert_eq!(adopt(&world, &copy).code, Some(0));
    forget_when_armed(&copy);
    world.set_clock(NOON);
    // The list lags, so neither sees the other's call: one file calls Ada, the other calls Bob.
    world.faults("list-lag=600");
    assert_eq!(tick(&world, &world.db()).code, Some(0));
    world.set_clock("2026-02-02T12:15:00Z");
    let conn = rusqlite::Connection::open(&copy).unwrap();
    conn.execute("UPDATE customers SET call_status = 'paused' WHERE name = 'Ada'", []).unwrap();
    drop(conn);
    world.faults("list-lag=100000");
    assert_eq!(tick(&world, &copy).code, Some(0));
    world.faults("");
    world.set_clock("2026-02-02T12:30:00Z");
    let run = tick(&world, &world.db());
    assert_eq!((run.code, world.holds()), (Some(3), vec!["foreign".to_string()]), "{run:?}");
    world.assert_no_phone_rang_twice();
}
