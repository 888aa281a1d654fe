//! A running service reads a row again only after another program wrote to its file.

use ringonce::domain::parse_instant;
use ringonce::steps::Context;
use ringonce::steps::readiness::quarantine;

use crate::world::World;

const BYTES: &str = "CAST(X'FF' AS TEXT)";

/// Checks the next rows. Returns whether nothing is left to read.
fn is_done(cx: &Context) -> bool {
    quarantine::check_next_rows(cx).unwrap();
    cx.store.sweep_rounds().are_over()
}

#[test]
fn a_running_service_names_a_row_that_another_program_writes_and_releases_it_when_corrected() {
    let world = World::new();
    world.daily("Ada");
    let bob = world.customer("Bob").in_zone("Europe/Berlin").at("13:00").add();
    let cx = world.context();
    assert!(is_done(&cx), "all rows of a short file are read at once");
    let named = || world.lines("SELECT place || ' ' || row FROM quarantine");
    world.sql(&format!("UPDATE customers SET name = {BYTES} WHERE id = {bob}"));
    assert!(is_done(&cx));
    assert_eq!(named(), [format!("customers {bob}")]);
    world.sql(&format!("UPDATE customers SET name = 'Bob' WHERE id = {bob}"));
    assert!(is_done(&cx));
    assert_eq!(named(), [""; 0]);
}

#[test]
fn what_this_program_writes_itself_lets_no_row_be_read_again() {
    let world = World::new();
    world.daily("Ada");
    let cx = world.context();
    assert!(is_done(&cx));
    let before = cx.store.data_version().unwrap();
    ringonce::steps::scan::scan(&cx, parse_instant("2026-02-02T12:00:00Z").unwrap()).unwrap();
    assert_eq!(world.items().len(), 1, "the scan wrote");
    assert_eq!(cx.store.data_version().unwrap(), before);
    world.sql("UPDATE customers SET name = 'Ada B.'");
    assert_ne!(cx.store.data_version().unwrap(), before, "another program wrote");
}
