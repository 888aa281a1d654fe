//! A new database beside the traces of an earlier one dials nobody until a person accepts it. It
//! removes nothing that the earlier one left.

use std::path::Path;

use crate::world::{Run, World};

const DUE: &str = "2026-02-02T12:00:00Z";
const MIA: &str = "+442079460141";
const RON: &str = "+442079460158";
const CUSTOMERS: &str = "external_id,name,phone,timezone,call_time,payment_status,created_at\n\
    m-9,Mia,+442079460141,Europe/London,12:00,Paid,2026-02-02T11:00:00Z\n";

fn import(world: &World, more: &[&str]) -> Run {
    world.import(CUSTOMERS, more)
}

fn accept(world: &World) -> Run {
    import(world, &["--new", "--reason", "the old one is lost"])
}

/// Mia was welcomed, one person is on the do-not-call list, and one was erased. Then the database
/// and all side files but `left` are removed.
fn lost_but(left: &[&str]) -> World {
    let world = World::new();
    assert_eq!(import(&world, &[]).code, Some(0));
    world.tick_at(DUE);
    assert_eq!(world.rings().len(), 1, "{:?}", world.items());
    let listed = world.command(&["dnc", "add", "+442079460155", "--reason", "asked"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let gone = world.customer("Zed").add().to_string();
    let erased = world.command(&["customers", "erase", &gone, "--reason", "asked"]);
    assert_eq!(erased.code, Some(0), "{erased:?}");
    for ending in ["", "-wal", "-shm", ".seq", ".do-not-call", ".erased", ".lock"] {
        if !left.contains(&ending) {
            let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
        }
    }
    world
}

fn called(world: &World) -> Vec<String> {
    world.rings().into_iter().map(|ring| ring.number).collect()
}

fn says_both_ways_on(text: &str, trace: &str) {
    for part in [trace, "Put the earlier one back", "--new --reason", "adopt --reason"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_new_database_beside_each_trace_dials_nobody_until_it_is_accepted() {
    for left in [".seq", ".do-not-call", ".erased"] {
        let world = lost_but(&[left]);
        world.set_clock("2026-02-02T12:30:00Z");
        let trace = format!("ringonce.db{left}");
        let check = world.command(&["check"]);
        assert!(check.stdout.contains("does not exist, but") && check.stdout.contains(&trace));
        let imported = import(&world, &[]);
        assert_eq!(imported.code, Some(0), "{imported:?}");
        says_both_ways_on(&imported.stderr, &trace);
        for command in ["tick", "run", "reconcile"] {
            let run = world.command(&[command]);
            assert_eq!(run.code, Some(3), "{left}: {run:?}");
            says_both_ways_on(&format!("{}{}", run.stdout, run.stderr), &trace);
        }
        for command in ["status", "check", "explain"] {
            let more = if command == "explain" { &["m-9"][..] } else { &[] };
            let run = world.command(&[&[command], more].concat());
            assert!(run.stdout.contains(&trace), "{left}: {run:?}");
        }
        assert_eq!(world.rings().len(), 1, "{left}");
        let accepted = accept(&world);
        assert_eq!(accepted.code, Some(0), "{accepted:?}");
        assert!(accepted.stdout.contains("0 new, 0 changed, 1 unchanged"), "{accepted:?}");
        assert!(!accepted.stderr.contains("nobody is dialed"), "{accepted:?}");
        let why = "SELECT why || ' (' || old || ')' FROM journal WHERE what = 'new database'";
        assert_eq!(world.one(why), format!("the old one is lost ({trace})"));
        assert_eq!(
            world.one("SELECT value FROM meta WHERE key = 'new_accepted_at'"),
            "2026-02-02T12:30:00.000Z"
        );
        // The provider's records show that Mia was called. Nobody called Ron.
        world.customer("Ron").phone(RON).paid().signed_up("2026-02-02T12:00:00Z").add();
        let dialed = world.command(&["tick"]);
        assert_eq!(dialed.code, Some(0), "{left}: {dialed:?}");
        assert_eq!(called(&world), [MIA, RON], "{left}");
    }
}

#[test]
fn every_command_that_creates_a_database_keeps_it_shut() {
    let ways: [&[&str]; 5] = [
        &["tick"],
        &["run"],
        &["dnc", "add", "+442079460156", "--reason", "asked"],
        &["customers", "add", "--phone", "+442079460157", "--timezone", "Europe/London"],
        &["customers", "import", "people.csv"],
    ];
    for way in ways {
        let world = lost_but(&[".seq"]);
        world.command(way);
        assert!(world.db().exists(), "{way:?}");
        assert_eq!(import(&world, &[]).code, Some(0), "{way:?}");
        world.set_clock("2026-02-02T12:30:00Z");
        assert_eq!(world.command(&["tick"]).code, Some(3), "{way:?}");
        assert_eq!(world.rings().len(), 1, "{way:?}");
    }
}

#[test]
fn a_new_database_beside_nothing_or_a_lock_dials() {
    for left in [&[][..], &[".lock"]] {
        let world = World::new();
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
        }
        for ending in left {
            std::fs::write(world.path(&format!("ringonce.db{ending}")), "").expect("a file");
        }
        let imported = import(&world, &[]);
        assert!(!imported.stderr.contains("nobody is dialed"), "{imported:?}");
        world.set_clock(DUE);
        assert_eq!(world.command(&["tick"]).code, Some(0), "{left:?}");
        assert_eq!(called(&world), [MIA], "{left:?}");
    }
}

#[test]
fn the_earlier_database_is_put_back_and_calls_nobody_twice() {
    let world = lost_but(&["", ".seq", ".do-not-call", ".erased"]);
    let (here, away) = (world.db(), world.path("away.db"));
    std::fs::rename(&here, &away).expect("taken away");
    world.set_clock("2026-02-02T12:30:00Z");
    assert_eq!(import(&world, &[]).code, Some(0));
    assert_eq!(world.command(&["tick"]).code, Some(3));
    std::fs::rename(&away, &here).expect("put back");
    let dialed = world.command(&["tick"]);
    assert_eq!((dialed.code, world.rings().len()), (Some(0), 1), "{dialed:?}");
}

fn notes(world: &World) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(world.folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("ringonce.db.seq"))
        .collect();
    names.sort();
    names
}

fn first_word(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a note");
    text.split_whitespace().next().unwrap_or_default().to_string()
}

#[test]
fn the_earlier_number_is_kept_under_its_installation_and_the_list_still_counts() {
    let by_import = |world: &World| accept(world);
    let by_adopt = |world: &World| {
        let stored = import(world, &[]);
        assert_eq!(stored.code, Some(0), "{stored:?}");
        world.command(&["adopt", "--reason", "the old one is lost"])
    };
    let ways: [&dyn Fn(&World) -> Run; 2] = [&by_import, &by_adopt];
    for way in ways {
        let world = lost_but(&[".seq", ".do-not-call"]);
        let seq = world.path("ringonce.db.seq");
        let earlier = std::fs::read_to_string(&seq).expect("the note");
        let installation = first_word(&seq);
        world.set_clock("2026-02-02T12:30:00Z");
        let accepted = way(&world);
        assert_eq!(accepted.code, Some(0), "{accepted:?}");
        world.customer("Sue").phone("+442079460155").paid().add();
        world.customer("Ron").phone(RON).paid().add();
        world.set_clock("2026-02-02T13:30:00Z");
        assert_eq!(world.command(&["tick"]).code, Some(0));
        assert_eq!(called(&world), [MIA, RON], "{:?}", world.items());
        let kept = format!("ringonce.db.seq.{installation}");
        assert_eq!(notes(&world), ["ringonce.db.seq", &kept]);
        assert_eq!(std::fs::read_to_string(world.path(&kept)).expect("the note"), earlier);
        assert_ne!(first_word(&seq), installation);
    }
}

#[test]
fn no_database_is_created_beside_the_log_of_a_lost_one() {
    for empty_file in [false, true] {
        let world = lost_but(&[]);
        let log = world.path("ringonce.db-wal");
        std::fs::write(&log, "pages of a database").expect("a log");
        if empty_file {
            std::fs::write(world.db(), "").expect("an empty file");
        }
        std::fs::write(world.path("people.csv"), CUSTOMERS).expect("a file");
        let commands: [&[&str]; 4] = [
            &["customers", "import", "people.csv", "--new", "--reason", "lost"],
            &["customers", "add", "--phone", "+442079460157", "--timezone", "Europe/London"],
            &["dnc", "add", "+442079460156", "--reason", "asked"],
            &["tick"],
        ];
        for command in commands {
            let run = world.command(command);
            assert_eq!(run.code, Some(3), "{run:?}");
            let says = run.stderr.contains("ringonce.db-wal") && run.stderr.contains("Put the");
            assert!(says, "{run:?}");
        }
        assert_eq!(world.db().exists(), empty_file);
        assert_eq!(std::fs::read_to_string(&log).expect("the log"), "pages of a database");
    }
}

#[test]
fn accepting_needs_a_reason_and_is_done_once() {
    let world = lost_but(&[".seq"]);
    for wrong in [&["--new"][..], &["--reason", "lost"], &["--new", "--reason", " "]] {
        assert_eq!(import(&world, wrong).code, Some(2), "{wrong:?}");
        assert!(!world.db().exists(), "{wrong:?}");
    }
    assert_eq!(accept(&world).code, Some(0));
    world.set_clock("2026-02-02T18:00:00Z");
    let again = accept(&world);
    assert!(again.stderr.contains("accepted as new before"), "{again:?}");
    let at = "SELECT value FROM meta WHERE key = 'new_accepted_at'";
    assert_eq!(world.one(at), "2026-02-02T12:00:00.000Z");
}
