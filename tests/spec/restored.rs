//! `ringonce restore`: the backup takes the database's place, the old files are kept, and nobody is
//! called twice, also if the restore is killed at any step.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringonce::store::Store;
use ringonce::store::file::lock::LockAnswer;
use ringonce::store::file::restore::{Step, restore};

use crate::world::{World, at};

const NOON: &str = "2026-02-02T12:00:00Z";
/// Tells the killed child what to do: the folder and the step.
const KILLED: &str = "RINGONCE_RESTORE_KILLED";

/// A world with a backup from before Ada's call, and Ada called since.
fn called_since_the_backup() -> World {
    let world = World::new();
    world.daily("Ada");
    let run = world.command(&["backup", "backup.db"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.tick_at(NOON);
    assert_eq!(world.rings().len(), 1);
    world
}

/// The folders with old files.
fn aside(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.folder.path()).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".before-restore-"))
        .collect();
    found.sort();
    found
}

fn attempts_in(db: &Path) -> i64 {
    let conn = rusqlite::Connection::open(db).unwrap();
    conn.query_one("SELECT count(*) FROM call_attempts", [], |row| row.get(0)).unwrap()
}

/// Leaves the newest commits in the WAL, like a killed process.
fn with_a_log(world: &World) {
    let store = world.store();
    store
        .write(|tx| ringonce::store::meta::organization::set_org_id(tx, "only in the WAL"))
        .unwrap();
    let kept = world.path("kept-wal");
    for ending in ["", "-wal"] {
        std::fs::copy(
            world.path(&format!("ringonce.db{ending}")),
            format!("{}{ending}", kept.display()),
        )
        .unwrap();
    }
    drop(store);
    // The same inode, so that the file stays armed.
    std::fs::write(world.db(), std::fs::read(&kept).unwrap()).unwrap();
    std::fs::write(
        world.path("ringonce.db-wal"),
        std::fs::read(world.path("kept-wal-wal")).unwrap(),
    )
    .unwrap();
}

#[test]
fn a_restored_backup_dials_nobody_before_adopt_and_nobody_twice_after_it() {
    let world = called_since_the_backup();
    let run = world.command(&["restore", "backup.db"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("Next: ringonce adopt --reason"), "{run:?}");
    assert_eq!(attempts_in(&world.db()), 0, "the backup is in place");
    assert_eq!(world.db().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let old = aside(&world);
    assert_eq!(old.len(), 1);
    assert!(run.stdout.contains(old[0].to_str().unwrap()), "{run:?}");
    assert_eq!(attempts_in(&old[0].join("ringonce.db")), 1, "nothing of the old file is lost");
    let tick = world.command(&["tick"]);
    assert_eq!(tick.code, Some(3), "{tick:?}");
    assert_eq!(world.rings().len(), 1);
    world.set_clock("2026-02-02T12:20:00Z");
    let adopt = world.command(&["adopt", "--reason", "restored the backup"]);
    assert_eq!(adopt.code, Some(0), "{adopt:?}");
    world.set_clock("2026-02-02T12:40:00Z");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.rings().len(), 1, "Ada was called before");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_plain_copy_that_is_restored_over_its_own_armed_file_dials_nobody_either() {
    let world = World::new();
    world.daily("Ada");
    std::fs::copy(world.db(), world.path("copy.db")).unwrap();
    world.tick_at(NOON);
    let run = world.command(&["restore", "copy.db"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    // Back onto the inode that was armed, as an overwriting program would do.
    let restored = std::fs::read(world.db()).unwrap();
    let old = aside(&world)[0].join("ringonce.db");
    std::fs::rename(old, world.db()).unwrap();
    std::fs::write(world.db(), restored).unwrap();
    assert_eq!(world.command(&["tick"]).code, Some(3));
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn the_commits_in_both_logs_are_kept() {
    let world = called_since_the_backup();
    with_a_log(&world);
    // The live file with its WAL is itself a source; its commits must be in the restored file.
    std::fs::copy(world.db(), world.path("live.db")).unwrap();
    std::fs::copy(world.path("ringonce.db-wal"), world.path("live.db-wal")).unwrap();
    let run = world.command(&["restore", "live.db"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("WAL beside the backup are included"), "{run:?}");
    for db in [world.db(), aside(&world)[0].join("ringonce.db")] {
        let conn = rusqlite::Connection::open(&db).unwrap();
        let found: i64 = conn
            .query_one("SELECT count(*) FROM meta WHERE value = 'only in the WAL'", [], |r| {
                r.get(0)
            })
            .unwrap();
        assert_eq!(found, 1, "{}", db.display());
    }
    assert!(world.path("live.db-wal").exists(), "the source stays as it was");
}

#[test]
fn a_damaged_database_is_moved_aside_with_its_log_and_a_lost_one_leaves_only_its_log() {
    for lost in [false, true] {
        let world = called_since_the_backup();
        with_a_log(&world);
        if lost {
            std::fs::remove_file(world.db()).unwrap();
        } else {
            std::fs::write(world.db(), "no database at all, but long enough for a page").unwrap();
        }
        let log = std::fs::read(world.path("ringonce.db-wal")).unwrap();
        let run = world.command(&["restore", "backup.db"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let old = &aside(&world)[0];
        assert_eq!(std::fs::read(old.join("ringonce.db-wal")).unwrap(), log, "lost {lost}");
        assert_eq!(old.join("ringonce.db").exists(), !lost);
        assert_eq!(world.command(&["verify", "ringonce.db"]).code, Some(0), "lost {lost}");
        assert_eq!(world.command(&["tick"]).code, Some(3));
    }
}

#[test]
fn the_lists_beside_the_backup_are_taken_where_the_database_has_none() {
    let world = called_since_the_backup();
    let add = ["dnc", "add", "+12125550177", "--reason", "asked us"];
    assert_eq!(world.command(&add).code, Some(0));
    let list = world.path("ringonce.db.do-not-call");
    std::fs::create_dir(world.path("copies")).unwrap();
    std::fs::rename(world.path("backup.db"), world.path("copies/b.db")).unwrap();
    std::fs::rename(&list, world.path("copies/ringonce.db.do-not-call")).unwrap();
    let run = world.command(&["restore", "copies/b.db", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()["copied_lists"].as_array().map(Vec::len), Some(1), "{run:?}");
    let listed = world.command(&["dnc", "list", "--reveal"]);
    assert!(listed.stdout.contains("+12125550177"), "{listed:?}");
    assert_eq!(list.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_restore_refuses_what_it_must_not_use_and_changes_nothing() {
    let world = called_since_the_backup();
    assert_eq!(world.command(&["snapshot", "snapshot.db"]).code, Some(0));
    std::fs::write(world.path("text.db"), "hello, this is a text and not a database").unwrap();
    let mut cut = std::fs::read(world.path("backup.db")).unwrap();
    let half = cut.len() / 2;
    cut.truncate(half);
    std::fs::write(world.path("cut.db"), &cut).unwrap();
    std::fs::copy(world.path("backup.db"), world.path("newer.db")).unwrap();
    let newer = rusqlite::Connection::open(world.path("newer.db")).unwrap();
    newer.pragma_update(None, "user_version", 999).unwrap();
    drop(newer);
    std::os::unix::fs::symlink(world.db(), world.path("link.db")).unwrap();
    std::fs::create_dir(world.path("folder")).unwrap();
    for (name, code, words) in [
        ("missing.db", 2, "is missing"),
        ("folder", 2, "is a folder"),
        ("text.db", 2, "not a ringonce database"),
        ("cut.db", 3, "damaged"),
        ("newer.db", 2, "newer ringonce"),
        ("snapshot.db", 2, "is a snapshot"),
        ("ringonce.db", 2, "is the database itself"),
        ("link.db", 2, "is the database itself"),
    ] {
        let run = world.command(&["restore", name]);
        assert_eq!(run.code, Some(code), "{name}: {run:?}");
        assert!(run.stderr.contains(words), "{name}: {run:?}");
        assert!(aside(&world).is_empty(), "{name} left a folder");
    }
    let run = world.command(&["restore", "backup.db", "--db", "nowhere/ringonce.db"]);
    assert!(run.code == Some(2) && run.stderr.contains("there is no folder"), "{run:?}");
    std::fs::hard_link(world.db(), world.path("second.db")).unwrap();
    let run = world.command(&["restore", "backup.db"]);
    assert!(run.code == Some(3) && run.stderr.contains("2 names"), "{run:?}");
    std::fs::remove_file(world.path("second.db")).unwrap();
    assert_eq!(world.count("SELECT count(*) FROM call_attempts"), 1);
    assert!(aside(&world).is_empty());
}

#[test]
fn a_restore_waits_for_nobody_and_refuses_while_a_dialer_or_another_process_has_the_file() {
    let world = called_since_the_backup();
    let store = world.store();
    let lock = store.lock_for_dialing(world.now()).unwrap();
    assert!(matches!(lock, LockAnswer::Mine(_)));
    let run = world.command(&["restore", "backup.db"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(run.stderr.contains("in use by a dialer") && run.stderr.contains("pid"), "{run:?}");
    drop(lock);
    store.read(|_| Ok(())).unwrap();
    let run = world.command(&["restore", "backup.db"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(run.stderr.contains("another process has"), "{run:?}");
    assert!(aside(&world).is_empty());
    drop(store);
    assert_eq!(world.command(&["restore", "backup.db"]).code, Some(0));
}

/// Runs only in the process that `a_restore_that_is_killed…` starts.
#[test]
fn the_child_of_the_killed_restore() {
    let Ok(told) = std::env::var(KILLED) else { return };
    let (folder, step) = told.split_once('=').unwrap();
    let folder = Path::new(folder);
    let now = at(NOON);
    let _ = restore(&folder.join("backup.db"), &folder.join("ringonce.db"), now, &mut |reached| {
        if format!("{reached:?}") == step {
            // SAFETY: ends this process, as `kill -9` does.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    });
}

#[test]
fn a_restore_that_is_killed_at_any_step_leaves_a_usable_database_and_loses_nothing() {
    use Step::{Built, DamagedMoved, FolderMade, ListsCopied, Locked, OldQuiet, Placed, SideMoved};
    for (step, is_damaged) in [
        (Locked, false),
        (FolderMade, false),
        (Built, false),
        (ListsCopied, false),
        (OldQuiet, false),
        (Placed, false),
        (OldQuiet, true),
        (DamagedMoved, true),
        (SideMoved, true),
        (Placed, true),
    ] {
        let world = called_since_the_backup();
        with_a_log(&world);
        if is_damaged {
            std::fs::write(world.db(), "no database at all, but long enough for a page").unwrap();
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restored::the_child_of_the_killed_restore"])
            .env(KILLED, format!("{}={step:?}", world.folder.path().display()))
            .output()
            .unwrap()
            .status;
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{step:?} {is_damaged}");
        if !is_damaged {
            let is_new = step == Placed;
            let store = Store::look(&world.db()).unwrap();
            store.check().unwrap();
            drop(store);
            let whole = if is_new { aside(&world)[0].join("ringonce.db") } else { world.db() };
            assert_eq!(attempts_in(&whole), 1, "{step:?}: the call of the old file is lost");
            assert_eq!(attempts_in(&world.db()), i64::from(!is_new), "{step:?}");
        }
        let _ = world.command(&["tick"]);
        assert_eq!(world.rings().len(), 1, "{step:?}: Ada was called twice");
        let again = world.command(&["restore", "backup.db"]);
        assert_eq!(again.code, Some(0), "{step:?} {is_damaged}: {again:?}");
        assert_eq!(world.command(&["verify", "ringonce.db"]).code, Some(0));
        assert_eq!(world.command(&["tick"]).code, Some(3), "{step:?}");
        assert_eq!(world.rings().len(), 1);
    }
}
