//! The backups that `run` makes by itself: on time, complete, private and limited in number. A
//! failure is reported, and no backup delays a dial.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;
use std::time::Duration;

use ringonce::clock;
use ringonce::domain::Instant;
use ringonce::steps::backup;
use ringonce::store::Store;

use crate::world::{START, World, at};

fn config(world_folder: &str) -> String {
    format!("[backup]\ncron = \"0 12 * * *\"\nfolder = \"{world_folder}\"\nkeep = 2\n")
}

/// A world with backups due at noon, and a backup folder that does not exist yet.
fn world() -> World {
    let world = World::new();
    world.set_config(&config(&world.path("copies").display().to_string()));
    world
}

fn names(world: &World) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(world.path("copies")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Does what the service's thread does each second.
fn look(world: &World, since: Instant, now: &str) -> anyhow::Result<bool> {
    world.set_clock(now);
    let service = world.start();
    let is_due = backup::is_due(&service.cx, since, at(now))?;
    if is_due {
        backup::make(&service.cx, at(now))?;
    }
    Ok(is_due)
}

#[test]
fn a_backup_is_made_at_its_instant_once_and_the_newest_stay() {
    let world = world();
    let since = at(START);
    world.daily("Ada");
    for (now, expected) in [
        ("2026-02-02T11:59:59Z", false),
        ("2026-02-02T12:00:00Z", true),
        ("2026-02-02T12:00:01Z", false),
        ("2026-02-03T11:00:00Z", false),
        ("2026-02-03T12:00:09Z", true),
        // Two backups were missed while nothing ran; only one is made.
        ("2026-02-06T09:00:00Z", true),
        ("2026-02-06T09:00:01Z", false),
    ] {
        assert_eq!(look(&world, since, now).unwrap(), expected, "{now}");
    }
    let kept = ["ringonce-2026-02-03T120009Z.db", "ringonce-2026-02-06T090000Z.db"];
    assert_eq!(names(&world), kept);
    let newest = world.path("copies").join(kept[1]);
    assert_eq!(std::fs::metadata(&newest).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(world.path("copies").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let verified = world.command(&["verify", newest.to_str().unwrap(), "--json"]).json();
    assert_eq!(verified["customers"], 1, "{verified}");
    let status = world.command(&["status", "--json"]).json();
    assert_eq!(status["last_backup_at"], "2026-02-06T09:00:00.000Z");
    assert!(status["backup_trouble"].is_null());
}

#[test]
fn a_failed_backup_is_reported_and_retried_until_it_is_made() {
    let world = world();
    let since = at(START);
    // A file stands in place of the folder.
    std::fs::write(world.path("copies"), "").unwrap();
    let failed = look(&world, since, "2026-02-02T12:00:00Z").unwrap_err();
    assert!(format!("{failed:#}").contains("copies"), "{failed:#}");
    assert!(!look(&world, since, "2026-02-02T12:09:59Z").unwrap(), "tried again too soon");
    let trouble = || world.command(&["status", "--json"]).json()["backup_trouble"].clone();
    let told = trouble();
    assert!(told.as_str().is_some_and(|told| told.contains("2026-02-02 12:00 UTC")), "{told}");
    std::fs::remove_file(world.path("copies")).unwrap();
    assert!(look(&world, since, "2026-02-02T12:10:00Z").unwrap());
    assert!(trouble().is_null());
    assert_eq!(names(&world).len(), 1);
    // Backups have stopped; they are late after the second missed instant.
    world.set_clock("2026-02-04T11:59:00Z");
    assert!(trouble().is_null());
    world.set_clock("2026-02-04T12:00:01Z");
    assert!(trouble().as_str().is_some_and(|told| told.contains("47 hours old")), "{}", trouble());
}

#[test]
fn a_mark_from_a_future_that_a_wrong_clock_saw_keeps_no_backup_away() {
    let world = world();
    assert!(look(&world, at(START), "2030-01-01T12:00:00Z").unwrap());
    assert!(look(&world, at(START), "2026-02-02T12:00:00Z").unwrap());
}

#[test]
fn the_rest_of_a_killed_copy_is_not_a_backup_and_goes_after_its_date() {
    let world = world();
    std::fs::create_dir(world.path("copies")).unwrap();
    for left in ["ringonce-2026-02-01T120000Z.db", "ringonce-2026-02-01T120000Z.db.part"] {
        std::fs::write(world.path("copies").join(left), "").unwrap();
    }
    std::fs::write(world.path("copies").join("notes.txt"), "").unwrap();
    for day in 2..4 {
        assert!(look(&world, at(START), &format!("2026-02-0{day}T12:00:00Z")).unwrap());
    }
    let kept = ["notes.txt", "ringonce-2026-02-02T120000Z.db", "ringonce-2026-02-03T120000Z.db"];
    assert_eq!(names(&world), kept);
}

#[test]
fn a_backup_never_waits_for_the_writer_nor_the_writer_for_it() {
    let world = world();
    world.daily("Ada");
    let store = world.store();
    let (tell, told) = channel();
    let (db, copy) = (world.db(), world.path("copy.db"));
    store
        .write(|tx| {
            tx.execute("UPDATE customers SET name = 'Changed'", [])?;
            // If the test fails, this thread waits forever and is left behind.
            std::thread::spawn(move || {
                let look = Store::look(&db).unwrap();
                tell.send(
                    ringonce::store::file::backup::backup(&look, &copy).map(|made| made.customers),
                )
            });
            let made = told.recv_timeout(Duration::from_secs(30))?;
            assert_eq!(made?, 1);
            Ok(())
        })
        .expect("the copy was made while a write was open");
}

#[test]
fn the_service_makes_backups_while_it_dials() {
    let world = world();
    world.daily("Ada");
    world.set_clock("2026-02-02T11:59:30Z");
    let mut run = world.program(&["run"]);
    let mut child = run.stderr(std::process::Stdio::null()).spawn().unwrap();
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let end = clock::elapsed() + Duration::from_secs(60);
        while !is_so() {
            assert!(clock::elapsed() < end, "waited in vain for {what}");
            clock::pause(Duration::from_millis(20));
        }
    };
    let waits = || {
        let rows = world.command(&["queue", "list", "--json"]).json();
        rows.as_array().is_some_and(|rows| !rows.is_empty())
    };
    until("the scan", &waits);
    assert!(names(&world).is_empty());
    world.set_clock("2026-02-02T12:00:00Z");
    until("the call", &|| world.rings().len() == 1);
    until("the backup", &|| {
        let status = world.command(&["status", "--json"]).json();
        status["last_backup_at"] == "2026-02-02T12:00:00.000Z"
    });
    assert_eq!(names(&world), ["ringonce-2026-02-02T120000Z.db"]);
    // The test started this process, which has no call in flight.
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_backup_into_a_folder_that_is_not_there_says_to_make_it() {
    let world = World::new();
    for command in ["backup", "snapshot"] {
        let run = world.command(&[command, "copies/x.db"]);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains("make the folder copies first"), "{run:?}");
    }
}
