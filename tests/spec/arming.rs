//! The arming gate. A copied, restored, moved or swapped file never dials before the provider's
//! records are applied and a person adopts it. Calls that the file lacks are adopted from the
//! records.

use std::path::{Path, PathBuf};

use chrono::Duration;
use ringonce::store::file::lock::{DialerLock, LockAnswer};

use crate::processes::{end_of, until};
use crate::world::{Run, World};

const NOON: &str = "2026-02-02T12:00:00Z";

/// A consistent copy, as `VACUUM INTO` makes it.
pub fn copy_to(world: &World, name: &str) -> PathBuf {
    let to = world.path(name);
    world.connection().execute("VACUUM INTO ?1", [to.display().to_string()]).expect("a copy");
    to
}

/// Puts an old copy back over the live file, keeping the inode, as `cp` does.
pub fn restore(world: &World, backup: &Path) {
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
    }
    let bytes = std::fs::read(backup).expect("the backup");
    std::fs::write(world.db(), bytes).expect("restore");
}

pub fn tick(world: &World, db: &Path) -> Run {
    world.command(&["tick", "--json", "--db", &db.display().to_string()])
}

pub fn adopt(world: &World, db: &Path) -> Run {
    let db = db.display().to_string();
    world.command(&["adopt", "--db", &db, "--reason", "the old machine is gone"])
}

#[test]
fn a_copied_moved_or_swapped_file_does_not_dial_and_says_what_to_do() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_to(&world, "copy.db");
    world.set_clock(NOON);
    let refused = tick(&world, &copy);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let why = refused.json()["refused"].as_str().unwrap().to_string();
    assert!(why.contains("not armed here") && why.contains("ringonce adopt"), "{why}");
    // It also queues nothing that would be due where the original is armed.
    let conn = rusqlite::Connection::open(&copy).unwrap();
    let queued = conn.query_one("SELECT count(*) FROM call_queue", [], |row| row.get(0));
    assert_eq!(queued, Ok(0));
    drop(conn);
    // Every command that only reads works.
    let db = copy.display().to_string();
    assert_eq!(world.command(&["customers", "list", "--db", &db]).code, Some(0));
    assert_eq!(world.command(&["attempts", "list", "--db", &db]).code, Some(0));
    for command in ["run", "reconcile"] {
        assert_eq!(world.command(&[command, "--db", &db]).code, Some(3), "{command}");
    }
    // The copy is moved over the armed path: another inode.
    std::fs::rename(&copy, world.db()).expect("move");
    assert_eq!(tick(&world, &world.db()).code, Some(3));
    assert!(world.posts().is_empty());
    // A person adopts it, and it dials.
    let adopted = adopt(&world, &world.db());
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    assert_eq!(
        world.one("SELECT why FROM journal WHERE what = 'adopt'"),
        "the old machine is gone"
    );
    assert_eq!(tick(&world, &world.db()).code, Some(0));
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_restored_backup_adopts_what_it_does_not_know_before_it_dials() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Eve").paid().signed_up("2026-02-01T08:00:00Z").add();
    let backup = copy_to(&world, "backup.db");
    for day in 0..3 {
        world.set_clock(NOON);
        world.pass(Duration::days(day));
        world.tick();
    }
    assert_eq!(world.rings().len(), 4);
    let before = world.attempts();
    restore(&world, &backup);
    assert!(world.attempts().is_empty());
    let run = tick(&world, &world.db());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.attempts(), before);
    assert_eq!(world.rings().len(), 4, "nobody is called again");
    assert_eq!(world.one("SELECT welcome_call_completed FROM customers WHERE name = 'Eve'"), "1");
    assert_eq!(world.one("SELECT last_call_date FROM customers WHERE name = 'Ada'"), "2026-02-04");
    world.tick_at("2026-02-05T12:00:00Z");
    assert_eq!(world.rings().len(), 5, "and the next day's call is made");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_restored_file_gives_no_number_of_a_change_again() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bea").in_zone("America/New_York").at("08:00").paid().welcomed().add();
    let backup = copy_to(&world, "backup.db");
    world.tick_at(NOON);
    let newest = "SELECT max(change) FROM attempt_changes";
    let seen_by_a_reader = world.count(newest);
    restore(&world, &backup);
    world.set_clock("2026-02-02T13:00:00Z");
    assert_eq!(adopt(&world, &world.db()).code, Some(0));
    let first = "SELECT min(change) FROM attempt_changes";
    assert!(seen_by_a_reader < world.count(first), "the adopted call is a change");
    world.tick();
    assert!(world.count(first) < world.count(newest));
}

#[test]
fn a_replica_that_is_restored_to_the_old_path_dials_nobody_until_it_is_adopted() {
    let world = World::new();
    let files = || ["ringonce.db", "ringonce.db-wal", "ringonce.db-shm"].map(|f| world.path(f));
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    // The file as a replicator copied it, page by page, before the machine is lost.
    world.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
    std::fs::copy(world.db(), world.path("replica")).expect("a replica");
    world.tick_at(NOON);
    assert_eq!(world.rings().len(), 1);
    for file in files() {
        // The last connection removes the WAL and its index.
        let _ = std::fs::remove_file(file);
    }
    std::fs::rename(world.path("replica"), world.db()).expect("the restored file");
    for command in ["tick", "run"] {
        let refused = world.command(&[command]);
        assert_eq!(refused.code, Some(3), "{command}: {refused:?}");
        let told = format!("{}{}", refused.stdout, refused.stderr);
        assert!(told.contains("ringonce adopt"), "{command}: {told}");
    }
    let status = world.command(&["status", "--json"]).json();
    assert_eq!(status["armed"], false, "{status}");
    let explained = world.command(&["explain", "1"]);
    assert_eq!(explained.code, Some(0), "a file that may not dial can be read: {explained:?}");
    assert_eq!(world.rings().len(), 1);
    assert_eq!(adopt(&world, &world.db()).code, Some(0));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.rings().len(), 1, "{:?}", world.items());
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_call_of_a_customer_that_the_backup_does_not_know_keeps_its_number_from_a_second_welcome() {
    let world = World::new();
    world.daily("Ada");
    let backup = copy_to(&world, "backup.db");
    let sign_up = || {
        world.customer("Eve").phone("+12125550142").paid().signed_up("2026-02-01T08:00:00Z").add()
    };
    sign_up();
    world.set_clock(NOON);
    world.tick();
    let rung = world.rings().len();
    restore(&world, &backup);
    sign_up();
    world.tick_at("2026-02-02T12:15:00Z");
    assert!(world.attempts().contains(&"unknown welcome welcome #1 ended answered".to_string()));
    assert!(world.items().contains(&"Eve welcome welcome skipped same_phone".to_string()));
    assert_eq!(world.rings().len(), rung);
}

#[test]
fn a_restored_backup_knows_its_calls_by_tag_and_number_when_their_metadata_are_gone() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Eve").paid().signed_up("2026-02-01T08:00:00Z").add();
    let backup = copy_to(&world, "backup.db");
    world.tick_at(NOON);
    restore(&world, &backup);
    world.faults("strips=metadata");
    let ticked = world.tick_at("2026-02-02T12:01:00Z");
    assert!(!ticked.shut, "{ticked:?}");
    assert_eq!(world.rings().len(), 2);
    let mut known = world.attempts();
    known.sort();
    assert_eq!(
        known,
        ["Ada daily 2026-02-02 #1 ended answered", "Eve welcome welcome #1 ended answered"]
    );
}

#[test]
fn a_record_that_cannot_be_loaded_holds_dialing_and_other_records_are_loaded() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:00").paid().welcomed().add();
    let backup = copy_to(&world, "backup.db");
    world.tick_at(NOON);
    restore(&world, &backup);
    world.sql(
        "CREATE TRIGGER broken BEFORE INSERT ON call_attempts WHEN NEW.customer_id = 1
         BEGIN SELECT RAISE(ABORT, 'a damaged page'); END",
    );
    let ticked = world.tick_at("2026-02-02T12:01:00Z");
    assert!(ticked.shut, "{ticked:?}");
    assert_eq!(world.attempts(), ["Bob daily 2026-02-02 #1 ended answered"]);
    world.sql("DROP TRIGGER broken");
    world.command(&["resume", "--reason", "the trigger is gone"]);
    assert!(!world.tick().shut);
    assert_eq!(world.attempts().len(), 2, "the last known good moment had not moved");
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn a_gap_beyond_the_providers_records_needs_a_person() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(NOON);
    let last_good = "SELECT value FROM meta WHERE key = 'last_reconciled_at'";
    assert_eq!(world.one(last_good), "2026-02-02T12:00:00.000Z");
    let refused = {
        world.set_clock("2026-02-20T12:00:00Z");
        tick(&world, &world.db())
    };
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stdout.contains("2026-02-02T12:00") && refused.stdout.contains("adopt"));
    assert_eq!(world.one(last_good), "2026-02-02T12:00:00.000Z", "refusing accepts nothing");
    assert_eq!(world.rings().len(), 1);
    let run = world.command(&["run"]);
    assert_eq!(run.code, Some(3), "the service does not wait for what never comes: {run:?}");
    assert_eq!(adopt(&world, &world.db()).code, Some(0));
    assert_eq!(tick(&world, &world.db()).code, Some(0));
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn the_service_ends_when_its_file_was_replaced_and_leaves_the_other_file_alone() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock("2026-02-02T11:50:00Z");
    let log = world.path("log");
    let child = world.program(&["run"]).stderr(std::fs::File::create(&log).unwrap()).spawn();
    until("the service scans", || world.items().len() == 1);
    let copy = copy_to(&world, "copy.db");
    let bytes = std::fs::read(&copy).unwrap();
    std::fs::rename(copy, world.db()).expect("another file in its place");
    let run = end_of(child.unwrap());
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(run.code, Some(3), "{said}");
    assert_eq!(said.matches("the database file was removed or replaced").count(), 1, "{said}");
    assert!(!said.contains("malformed"), "{said}");
    assert_eq!(std::fs::read(world.db()).unwrap(), bytes);
    assert_eq!(std::fs::metadata(world.path("ringonce.db-wal")).unwrap().len(), 0);
    world.set_clock(NOON);
    let refused = tick(&world, &world.db());
    assert_eq!((refused.code, world.posts().len()), (Some(3), 0), "{refused:?}");
}

#[test]
fn a_file_that_never_dialed_may_wait_for_its_first_day_as_long_as_it_likes() {
    let world = World::new();
    world.daily("Ada");
    let backup = copy_to(&world, "backup.db");
    let ticked = world.tick_at("2026-03-20T12:00:00Z");
    assert!(!ticked.shut, "{ticked:?}");
    // An old copy of a file that did dial must not: the provider may have forgotten its first
    // calls.
    world.set_clock("2026-03-30T12:00:00Z");
    restore(&world, &backup);
    let refused = tick(&world, &world.db());
    assert_eq!(refused.code, Some(3), "{refused:?}");
}

#[test]
fn a_listing_that_could_not_be_read_completely_does_not_move_the_last_known_good_moment() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(NOON);
    for fault in ["list-status=503", "list-cut"] {
        world.faults(fault);
        world.tick_at("2026-02-02T13:00:00Z");
        let mark = world.one("SELECT value FROM meta WHERE key = 'last_reconciled_at'");
        assert_eq!(mark, "2026-02-02T12:00:00.000Z", "{fault}");
    }
}

#[test]
fn a_snapshot_is_never_adopted() {
    let world = World::new();
    world.daily("Ada");
    world.sql("DELETE FROM meta WHERE key LIKE 'armed_%'");
    world.set_clock(NOON);
    assert_eq!(tick(&world, &world.db()).code, Some(3));
    let run = adopt(&world, &world.db());
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("snapshot"), "{run:?}");
    assert!(world.posts().is_empty());
}

#[test]
fn adopt_refuses_while_another_process_dials_or_the_records_cannot_be_read() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_to(&world, "copy.db");
    world.set_clock(NOON);
    {
        let LockAnswer::Mine(_lock) = DialerLock::take(&copy, world.now()).unwrap() else {
            panic!("the lock is free");
        };
        assert_eq!(adopt(&world, &copy).code, Some(4));
    }
    world.faults("list-status=503");
    assert_eq!(adopt(&world, &copy).code, Some(3));
    world.faults("");
    assert_eq!(tick(&world, &copy).code, Some(3), "still not armed");
    let db = copy.display().to_string();
    assert_eq!(world.command(&["adopt", "--db", &db, "--reason", " "]).code, Some(2));
    assert_eq!(world.command(&["adopt", "--db", "nowhere.db", "--reason", "x"]).code, Some(2));
    assert!(!world.path("nowhere.db").exists());
}

#[test]
fn an_adopted_call_in_progress_is_followed_to_its_end() {
    let mut setup = crate::world::quick();
    setup.timing.talk = Duration::minutes(5);
    let world = World::with(setup, "");
    world.daily("Ada");
    let backup = copy_to(&world, "backup.db");
    world.tick_at(NOON);
    restore(&world, &backup);
    world.tick_at("2026-02-02T12:01:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 placed"]);
    world.tick_at("2026-02-02T12:10:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn an_adoption_of_an_older_backup_reports_the_calls_that_it_adopted_and_no_other_dialer() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:05").paid().welcomed().add();
    let backup = copy_to(&world, "backup.db");
    // The file was adopted after the backup, so its calls say that they come from a later arming.
    world.pass(Duration::minutes(1));
    assert_eq!(adopt(&world, &world.db()).code, Some(0));
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(world.rings().len(), 2);
    world.set_clock("2026-02-02T13:00:00Z");
    restore(&world, &backup);
    let adopted = adopt(&world, &world.db());
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    assert!(adopted.stdout.contains("adopted 2,"), "{adopted:?}");
    assert!(!adopted.stderr.contains("another dialer"), "{adopted:?}");
    let status = world.command(&["status", "--json"]).json();
    assert_eq!(status["holds"], serde_json::json!([]), "{status}");
    world.tick_at("2026-02-02T14:00:00Z");
    world.assert_no_phone_rang_twice();
}
