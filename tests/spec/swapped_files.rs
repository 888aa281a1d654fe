//! The database, its log and its index are looked at before each intent: commits go on silently in
//! a file that another one has replaced at its path.

use ringonce::service::dialer::{Dialer, Patience};
use ringonce::service::opening;
use ringonce::steps::scan;

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
            assert!(opening::open(&service, &reading, false).unwrap().shut.is_none());
            scan::scan(&service.cx, reading.now).unwrap();
            // Others open and close the file meanwhile: SQLite puts nothing anew for that.
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
            let why = passed.shut.unwrap_or_default();
            assert!(why.contains(name) && why.contains("removed or replaced"), "{ending}: {why}");
            assert!(world.posts().is_empty(), "{ending} replaced {replaced}");
        }
    }
}
