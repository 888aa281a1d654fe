//! The database, its WAL and its index are checked before each intent. Commits would continue
//! silently in a file that was replaced at its path.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use ringonce::domain::start::Acceptance;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::Patience;
use ringonce::service::opening;
use ringonce::steps::scan;
use ringonce::store::file::lock::LockAnswer;

use crate::arming::copy_to;
use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";

#[test]
fn a_file_that_is_removed_or_swapped_while_it_is_open_is_noticed_before_the_next_intent() {
    for (ending, name) in [("", "database file"), ("-wal", "write-ahead log"), ("-shm", "index")] {
        for replaced in [true, false] {
            let world = World::new();
            world.daily("Ada");
            world.set_clock(NOON);
            let service = world.start();
            let reading = service.clock.read().unwrap();
            assert!(opening::open(&service, &reading, Acceptance::Nothing).unwrap().shut.is_none());
            scan::scan(&service.cx, reading.now).unwrap();
            // Others open and close the file in the meantime; SQLite replaces no file for that.
            world.sql("PRAGMA wal_checkpoint(TRUNCATE); VACUUM");
            assert_eq!(opening::shut(&service).unwrap(), None);
            let path = world.path(&format!("ringonce.db{ending}"));
            if replaced {
                std::fs::copy(&path, world.path("copy")).unwrap();
                std::fs::rename(world.path("copy"), &path).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
            let patience = Patience { pace: false, record: std::time::Duration::ZERO };
            let mut dialer = Dialer::new(&service, patience, reading.now).unwrap();
            let passed = dialer.pass(&mut |_| Ok(None)).unwrap();
            let why = passed.shut.map(|why| why.to_string()).unwrap_or_default();
            assert!(why.contains(name) && why.contains("removed or replaced"), "{ending}: {why}");
            assert!(why.contains(&world.db().display().to_string()), "names the path: {why}");
            assert!(world.posts().is_empty(), "{ending} replaced {replaced}");
        }
    }
}

#[test]
fn a_lock_file_that_is_removed_or_replaced_is_noticed_before_the_next_intent() {
    for replaced in [true, false] {
        let world = World::new();
        world.daily("Ada");
        world.set_clock(NOON);
        let service = world.start();
        let locked = service.cx.store.lock_for_dialing(world.now()).unwrap();
        assert!(matches!(locked, LockAnswer::Mine(_)));
        let reading = service.clock.read().unwrap();
        assert!(opening::open(&service, &reading, Acceptance::Nothing).unwrap().shut.is_none());
        scan::scan(&service.cx, reading.now).unwrap();
        assert_eq!(opening::shut(&service).unwrap(), None);
        let path = world.path("ringonce.db.lock");
        if replaced {
            std::fs::write(world.path("copy"), "pid 1").unwrap();
            std::fs::rename(world.path("copy"), &path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let patience = Patience { pace: false, record: std::time::Duration::ZERO };
        let mut dialer = Dialer::new(&service, patience, reading.now).unwrap();
        let why = dialer.pass(&mut |_| Ok(None)).unwrap().shut.expect("stopped").to_string();
        assert!(why.contains("lock file was removed or replaced"), "{why}");
        assert!(world.posts().is_empty(), "replaced {replaced}");
    }
}

#[test]
fn another_file_at_the_path_is_never_read_with_the_log_of_the_one_that_was_open() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(NOON);
    let service = world.start();
    let store = &service.cx.store;
    let copy = copy_to(&world, "copy.db");
    let bytes = std::fs::read(&copy).unwrap();
    scan::scan(&service.cx, service.clock.now().unwrap()).unwrap();
    std::fs::rename(&copy, world.db()).unwrap();
    // A second reader beside the first would have to be opened now.
    let second = store.read(|_| store.read(|_| Ok(())));
    let why = format!("{:#}", second.unwrap_err());
    assert!(why.contains("the database file was removed or replaced"), "{why}");
    // An outcome in flight is still recorded, in a file that nobody will read.
    store.write(|tx| Ok(tx.execute_batch("UPDATE customers SET name = 'Ada L.'")?)).unwrap();
    drop(service);
    assert_eq!(std::fs::read(world.db()).unwrap(), bytes);
    let log = std::fs::metadata(world.path("ringonce.db-wal")).unwrap();
    assert_eq!(log.len(), 0, "no log of another file is left for the next process");
    assert_eq!(world.items().len(), 0, "the item was queued in the other file");
}

const ADOPT: [&str; 3] = ["adopt", "--reason", "restored"];

/// Restores a copy of the live file, page for page, beside the WAL of a killed process.
fn restored_beside_an_old_log(world: &World, days_behind: u32) {
    let keep = world.connection();
    let backup = std::fs::read(world.db()).unwrap();
    for day in 3..3 + days_behind {
        drop(world.tick_at(&format!("2026-02-{day:02}T12:00:00Z")));
        keep.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    }
    drop(world.tick_at(&format!("2026-02-{:02}T12:00:00Z", 3 + days_behind)));
    let log = std::fs::read(world.path("ringonce.db-wal")).unwrap();
    drop(keep);
    std::fs::write(world.db(), backup).unwrap();
    let restored = world.path("ringonce.db-wal");
    std::fs::write(&restored, log).unwrap();
    std::fs::set_permissions(restored, Permissions::from_mode(0o600)).unwrap();
}

fn with_twenty_people() -> World {
    let world = World::new();
    for n in 0..20 {
        world.daily(&format!("Person {n}"));
    }
    world.tick_at(NOON);
    world
}

#[test]
fn a_file_that_another_program_has_damaged_is_never_adopted() {
    let world = with_twenty_people();
    restored_beside_an_old_log(&world, 2);
    // A program that does not check this writes the WAL into the file when it closes it.
    world.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    assert!(!world.path("ringonce.db-wal").exists());
    let run = world.command(&ADOPT);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("is damaged"), "{run:?}");
}

#[test]
fn a_restore_moves_such_a_file_and_its_log_aside_as_they_are() {
    let world = with_twenty_people();
    assert_eq!(world.command(&["backup", "backup.db"]).code, Some(0));
    restored_beside_an_old_log(&world, 2);
    let bytes = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    let before = ["", "-wal"].map(|ending| bytes(world.path(&format!("ringonce.db{ending}"))));
    let run = world.command(&["restore", "backup.db"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut folders = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap());
    let aside = folders
        .find(|entry| entry.file_name().to_string_lossy().contains(".before-restore-"))
        .expect("the old files");
    let after = ["", "-wal"].map(|ending| bytes(aside.path().join(format!("ringonce.db{ending}"))));
    assert!(before == after, "the old files were changed");
    assert_eq!(world.command(&["verify", "ringonce.db"]).code, Some(0));
}

#[test]
fn a_backup_that_is_restored_beside_an_old_log_is_refused_and_said_to_be_damaged() {
    for days_behind in [1, 3, 6] {
        let world = with_twenty_people();
        restored_beside_an_old_log(&world, days_behind);
        let posts = world.posts().len();
        world.pass(chrono::Duration::days(1));
        let log = || std::fs::metadata(world.path("ringonce.db-wal")).map_or(0, |log| log.len());
        let left = log();
        world.command(&["status"]);
        assert_eq!(log(), left, "a look changes nothing");
        for command in [&["tick"][..], &["call", "1"], &ADOPT] {
            let run = world.command(command);
            assert_eq!((run.code, run.stderr.lines().count()), (Some(3), 1), "{command:?} {run:?}");
            assert!(run.stderr.contains("is damaged") && run.stderr.contains("-wal"), "{run:?}");
        }
        assert_eq!(world.posts().len(), posts, "{days_behind} days behind");
        // Nothing was destroyed: without the WAL the backup is complete, and a start loads what it
        // missed.
        for ending in ["-wal", "-shm"] {
            std::fs::remove_file(world.path(&format!("ringonce.db{ending}"))).unwrap();
        }
        let run = world.command(&["tick"]);
        assert_eq!((run.code, world.posts().len()), (Some(0), posts + 20), "{run:?}");
        assert_eq!(world.command(&["audit"]).code, Some(0));
    }
}
