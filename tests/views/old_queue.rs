//! Importing an old queue: nobody is called again for a call that was made, and nothing is lost.

use std::path::PathBuf;

use ringonce::domain::call::{AttemptState, Disposition};
use ringonce::steps::import::queue::{QueueImportReport, import};
use ringonce::steps::import::report::ImportOutcome;
use ringonce::store::queue::dedupe;
use ringonce::store::views;

use crate::world::World;

const HEADER: &str = "id,customer_id,call_type,scheduled_for,status,attempts,max_attempts,\
    error_message,vapi_call_id,created_at,processed_at,notes\n";

fn world() -> World {
    let world = World::new("2026-03-02T11:30:00Z");
    world.add("external_id=a1 call_time=07:00 phone=+12125550101");
    world.add("external_id=b2 call_time=07:00 phone=+12125550102 welcome_call_completed=0");
    world
}

fn file(world: &World, rows: &str) -> PathBuf {
    let path = world.folder.path().join("queue.csv");
    std::fs::write(&path, format!("{HEADER}{rows}")).unwrap();
    path
}

fn take(world: &World, rows: &str) -> QueueImportReport {
    import(&world.cx, &file(world, rows), world.now).unwrap()
}

#[test]
fn four_rows_from_before_the_index_give_one_call() {
    let mut world = world();
    let rows: String = (1..=4)
        .map(|n| {
            format!(
                "{n},a1,daily,2026-03-02 12:00:00+00,pending,0,3,,,2026-03-02 11:0{n}:00+00,,x\n"
            )
        })
        .collect();
    let report = take(&world, &rows);
    assert_eq!((report.imported, report.duplicates), (1, 3), "{report:?}");
    assert_eq!(world.told(1), ["2026-03-02 pending"]);
    assert_eq!(world.tick("2026-03-02T12:00:00Z"), [1]);
    assert!(world.tick("2026-03-02T12:15:00Z").is_empty());
}

#[test]
fn a_completed_row_is_a_call_in_the_ledger_and_sets_its_flag() {
    let mut world = world();
    let report = take(
        &world,
        "1,a1,daily,2026-03-02 12:00:00+00,completed,1,3,,old-1,2026-03-02 11:00:00+00,,\n\
         2,b2,welcome_call,2026-03-01 12:00:00+00,completed,1,3,,old-2,2026-03-01 11:00:00+00,,\n",
    );
    assert_eq!((report.imported, report.called, report.bad), (2, 2, 0), "{report:?}");
    assert_eq!(world.customer(1).last_call_date.unwrap().to_string(), "2026-03-02");
    assert!(world.customer(2).welcome_call_completed);
    let made = world.cx.store.read(|conn| views::calls_of_customer(conn, 1, 9)).unwrap();
    assert_eq!(made[0].state, AttemptState::Ended);
    assert_eq!(made[0].disposition, Some(Disposition::Unknown));
    assert_eq!(made[0].vapi_call_id.as_deref(), Some("old-1"));
    assert_eq!(world.tick("2026-03-02T12:00:00Z"), [2], "only the daily call that is owed");
}

#[test]
fn a_row_in_the_middle_of_a_call_is_in_doubt_and_blocks_its_own_occasion_only() {
    let mut world = world();
    let report = take(
        &world,
        "1,a1,daily,2026-03-02 12:00:00+00,processing,1,3,,,2026-03-02 11:00:00+00,,\n",
    );
    assert_eq!(report.in_doubt, 1);
    assert_eq!(world.told(1), ["2026-03-02 failed in_doubt"]);
    assert!(!world.tick("2026-03-02T12:00:00Z").contains(&1));
    assert!(world.tick("2026-03-03T12:00:00Z").contains(&1));
}

#[test]
fn a_waiting_row_with_a_provider_id_was_called() {
    let mut world = world();
    take(
        &world,
        "1,a1,daily,2026-03-02 12:00:00+00,retrying,1,3,,old-1,2026-03-02 11:00:00+00,,\n",
    );
    assert_eq!(world.told(1), ["2026-03-02 completed already_called"]);
    assert!(!world.tick("2026-03-02T12:00:00Z").contains(&1));
}

#[test]
fn the_same_file_again_changes_nothing() {
    let world = world();
    let rows = "1,a1,daily,2026-03-02 12:00:00+00,pending,0,3,,,2026-03-02 11:00:00+00,,\n\
        2,a1,daily,2026-03-02 12:00:00+00,pending,0,3,,,2026-03-02 11:01:00+00,,\n\
        3,a1,daily,2026-03-05 12:00:00+00,pending,0,3,,,2026-03-02 11:02:00+00,,\n";
    let first = take(&world, rows);
    assert_eq!((first.imported, first.duplicates), (1, 2));
    let before = world.items(1);
    let second = take(&world, rows);
    assert_eq!((second.imported, second.duplicates, second.known), (0, 0, 3));
    assert_eq!(world.items(1), before);
    let left = world.cx.store.read(dedupe::audit).unwrap();
    assert_eq!(left.moved, 0);
}

#[test]
fn a_call_that_waits_here_is_not_pushed_out_by_an_older_row() {
    let mut world = world();
    world.now = crate::world::at("2026-03-02T11:50:00Z");
    world.scan();
    take(&world, "1,a1,daily,2026-03-01 12:00:00+00,pending,0,3,,,2026-02-01 11:00:00+00,,\n");
    assert_eq!(world.told(1), ["2026-03-02 pending", "2026-03-01 skipped cancelled"]);
    assert!(world.tick("2026-03-02T12:00:00Z").contains(&1));
}

#[test]
fn one_bad_row_refuses_the_file_with_every_bad_row_named() {
    let world = world();
    let report = take(
        &world,
        "1,a1,daily,2026-03-02 12:00:00+00,pending,0,3,,,2026-03-02 11:00:00+00,,\n\
         2,zz,daily,2026-03-02 12:00:00+00,pending,0,3,,,,,\n\
         3,a1,weekly,2026-03-02 12:00:00+00,pending,0,3,,,,,\n\
         4,a1,daily,soon,pending,0,3,,,,,\n\
         5,a1,daily,2026-03-02 12:00:00+00,pendin,0,3,,,,,\n\
         6,a1\n",
    );
    assert_eq!(report.outcome, ImportOutcome::Refused);
    let told: Vec<(u64, Option<&str>)> =
        report.problems.iter().map(|p| (p.line, p.column.as_deref())).collect();
    assert_eq!(
        told,
        [
            (3, Some("customer_id")),
            (4, Some("call_type")),
            (5, Some("scheduled_for")),
            (6, Some("status")),
            (7, None)
        ]
    );
    assert!(report.problems[3].reason.contains("nearest: pending"));
    assert!(world.items(1).is_empty());
}
