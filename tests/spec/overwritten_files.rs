//! Another content in the same file. `cp` and `cat >` keep the inode, so only the content shows it.
//! The WAL beside the file belongs to the earlier content.

use std::cell::RefCell;
use std::path::Path;
use std::process::Child;

use chrono::Duration;
use ringonce::domain::start::{Acceptance, Asking};
use ringonce::steps::dial::{self, Pass};
use ringonce::steps::reconcile::older_database;
use ringonce::store::error::StoreError;
use ringonce::store::file::last_seq::{self, Given};

use crate::arming::copy_to;
use crate::halting::HangingProvider;
use crate::processes::{end_of, until};
use crate::world::{World, at};

const NOON: &str = "2026-02-02T12:00:00Z";

/// The pages of the file as they are now; the WAL holds nothing that they lack.
fn raw_copy(world: &World) -> Vec<u8> {
    let conn = world.connection();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
    std::fs::read(world.db()).expect("the file")
}

#[test]
fn a_backup_over_the_file_of_a_killed_process_does_not_count_as_reconciled() {
    let world = World::new();
    world.daily("Ada");
    // Another connection stays open, so that the WAL stays.
    let keep = world.connection();
    keep.execute_batch("SELECT * FROM meta").expect("the file is open");
    // Two copies of one size, with a call between them: the number of pages does not differ.
    let (day, backup) = (2..28)
        .find_map(|day| {
            world.tick_at(&format!("2026-02-{day:02}T11:45:00Z"));
            let before = raw_copy(&world);
            world.tick_at(&format!("2026-02-{day:02}T12:00:00Z"));
            (before.len() == raw_copy(&world).len()).then_some((day, before))
        })
        .expect("a call that needs no new page");
    let rings = world.rings().len();
    // The last passes only wrote that the records are known, and when they ran.
    world.tick_at(&format!("2026-02-{day:02}T12:30:00Z"));
    let log = std::fs::read(world.path("ringonce.db-wal")).unwrap();
    drop(keep);
    std::fs::write(world.db(), backup).unwrap();
    std::fs::write(world.path("ringonce.db-wal"), log).unwrap();
    let _ = std::fs::remove_file(world.path("ringonce.db-shm"));
    world.set_clock(&format!("2026-02-{day:02}T13:05:00Z"));
    let run = world.command(&["tick"]);
    assert_eq!(world.rings().len(), rings, "{run:?}");
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("is damaged") && run.stderr.contains("-wal"), "{run:?}");
    // Without the WAL of the other content the backup is complete, and the pass loads what it
    // missed.
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
    }
    let run = world.command(&["tick"]);
    assert_eq!((run.code, world.rings().len()), (Some(0), rings), "{run:?}");
    assert_eq!(world.attempts().len(), rings);
    world.assert_no_phone_rang_twice();
}

/// A service at work before noon, with Ada's call in its queue.
fn service(world: &World) -> Child {
    world.daily("Ada");
    world.set_clock("2026-02-02T11:50:00Z");
    let log = std::fs::File::create(world.path("log")).unwrap();
    let child = world.program(&["run"]).stderr(log).spawn().unwrap();
    until("the service scans", || world.items().len() == 1);
    child
}

fn said(world: &World) -> String {
    std::fs::read_to_string(world.path("log")).unwrap()
}

#[test]
fn a_file_that_is_overwritten_under_the_service_ends_it_before_the_next_intent() {
    type Overwrite = fn(&World, &[u8]);
    let cases: [(&str, Overwrite); 4] = [
        ("an old copy", |world, old| std::fs::write(world.db(), old).unwrap()),
        ("a backup", |world, _| {
            let bytes = std::fs::read(copy_to(world, "backup.db")).unwrap();
            std::fs::write(world.db(), bytes).unwrap();
        }),
        ("nothing", |world, _| std::fs::write(world.db(), b"").unwrap()),
        ("text", |world, _| std::fs::write(world.db(), "name,phone\n".repeat(9000)).unwrap()),
    ];
    std::thread::scope(|scope| {
        for (what, overwrite) in cases {
            scope.spawn(move || {
                let world = World::new();
                let old = raw_copy(&world);
                let child = service(&world);
                overwrite(&world, &old);
                let there = std::fs::read(world.db()).unwrap();
                world.set_clock(NOON);
                let run = end_of(child);
                assert_eq!(run.code, Some(3), "{what}: {}", said(&world));
                assert!(said(&world).contains("was overwritten"), "{what}: {}", said(&world));
                assert!(world.posts().is_empty(), "{what}: {:?}", world.posts());
                assert!(there == std::fs::read(world.db()).unwrap(), "{what}: it was written to");
            });
        }
    });
}

/// Restores as `.restore` of the sqlite3 shell does: through the WAL, under SQLite's own locks.
fn restore_into(world: &World, old: &Path) {
    let from = rusqlite::Connection::open(old).unwrap();
    let mut into = world.connection();
    let restore = rusqlite::backup::Backup::new(&from, &mut into).unwrap();
    restore.run_to_completion(1000, std::time::Duration::ZERO, None).unwrap();
}

#[test]
fn an_older_database_that_is_restored_around_a_claim_is_noticed_before_the_request() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let old = copy_to(&world, "old.db");
    world.set_clock(NOON);
    let cx = world.start().cx;
    let claim = || {
        let now = world.now();
        dial::claim(&cx, &mut Pass::default(), 1, now, &mut || uuid::Uuid::new_v4().to_string())
    };
    assert_eq!(claim().unwrap().intents.len(), 1);
    // Restored after the commit of the claim, and before the check that precedes the request.
    restore_into(&world, &old);
    assert!(matches!(cx.store.swapped(), Some(StoreError::SetBack(_))));
    // Restored after the check that precedes the claim.
    let claimed = claim().expect_err("its number was given before").to_string();
    assert!(claimed.contains("an older database was restored into"), "{claimed}");
}

#[test]
fn an_older_database_that_is_restored_into_the_open_file_ends_the_service_and_rings_nobody_again() {
    let world = World::new();
    let child = RefCell::new(service(&world));
    let old = copy_to(&world, "old.db");
    world.set_clock(NOON);
    until("Ada is called", || world.attempts() == ["Ada daily 2026-02-02 #1 placed"]);
    restore_into(&world, &old);
    let ended = || !matches!(child.borrow_mut().try_wait(), Ok(None));
    until("it ends, or rings again", || ended() || 1 < world.rings().len());
    assert_eq!(world.rings().len(), 1, "{}", said(&world));
    let run = end_of(child.into_inner());
    assert_eq!(run.code, Some(3), "{}", said(&world));
    assert!(said(&world).contains("an older database was restored into"), "{}", said(&world));
    assert_eq!(world.rings().len(), 1);
    // The next start loads the calls that the old database lacks.
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_start_after_an_overwriting_rings_nobody_again() {
    let world = World::new();
    let child = service(&world);
    let old = raw_copy(&world);
    world.set_clock(NOON);
    until("Ada is called", || world.attempts() == ["Ada daily 2026-02-02 #1 placed"]);
    std::fs::write(world.db(), old).unwrap();
    assert_eq!(end_of(child).code, Some(3), "{}", said(&world));
    world.set_clock("2026-02-02T12:01:00Z");
    let beside_the_log = world.command(&["tick"]);
    assert_eq!(world.rings().len(), 1, "{beside_the_log:?}");
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
    }
    let run = world.command(&["tick"]);
    assert_eq!((run.code, world.rings().len()), (Some(0), 1), "{run:?} after {beside_the_log:?}");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_file_that_is_overwritten_between_intent_and_request_sends_nothing() {
    let world = World::new();
    world.daily("Ada");
    let old = raw_copy(&world);
    let provider = HangingProvider::new();
    let config = std::fs::read_to_string(world.path("ringonce.toml")).unwrap();
    let config = config.replace(&world.fake.base_url(), &format!("http://{}", provider.address));
    std::fs::write(world.path("ringonce.toml"), config).unwrap();
    world.set_clock(NOON);
    let tick = world.program(&["tick"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let fillers = provider.answer_a_list();
    let dialing = "SELECT count(*) FROM call_attempts WHERE state = 'dialing'";
    until("the intent is committed", || world.count(dialing) == 1);
    std::fs::write(world.db(), old).unwrap();
    let said = provider.let_in(fillers);
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    let run = end_of(tick);
    assert_ne!(run.code, Some(0), "{run:?}");
}

#[test]
fn checkpoints_of_any_program_are_not_an_overwrite() {
    let world = World::new();
    world.daily("Ada");
    let store = world.store();
    let other = world.connection();
    let write = |name: &str| format!("UPDATE customers SET name = '{name}'");
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
        for n in 0..5 {
            let ours = write(&format!("ours {n}"));
            store.write(|tx| Ok(tx.execute_batch(&ours)?)).unwrap();
            other.execute_batch(&write(&format!("theirs {n}"))).unwrap();
            other.execute_batch(&format!("PRAGMA wal_checkpoint({mode})")).unwrap();
            assert!(store.swapped().is_none(), "{mode} {n}");
            // A WAL that starts again must not excuse a change of the file.
            store.write(|tx| Ok(tx.execute_batch(&ours)?)).unwrap();
        }
    }
    other.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(store.swapped().is_none());
    let bytes = std::fs::read(world.db()).unwrap();
    std::fs::write(world.db(), bytes).unwrap();
    let why = store.swapped().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("was overwritten"), "{why}");
    assert!(store.swapped().is_some(), "and it stays so");
}

#[test]
fn a_ledger_that_loses_its_newest_calls_while_it_is_open_is_noticed() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(NOON);
    let store = world.store();
    assert!(store.swapped().is_none());
    // As if a ledger page was overwritten during a checkpoint, which hides the change.
    world.sql("UPDATE meta SET value = 2 WHERE key = 'highest_seq'");
    let why = store.swapped().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("was overwritten"), "{why}");
}

#[test]
fn an_older_database_in_its_place_waits_until_the_list_shows_every_number_that_was_given() {
    let world = World::new();
    world.daily("Ada");
    let old = raw_copy(&world);
    world.tick_at(NOON);
    assert_eq!(world.rings().len(), 1);
    // Path, machine and inode are those of the armed file, and the list shows no call yet.
    std::fs::write(world.db(), old).unwrap();
    world.faults("list-lag=600");
    world.set_clock("2026-02-02T12:01:00Z");
    let early = world.command(&["tick"]);
    assert_eq!(world.rings().len(), 1, "{early:?}");
    assert_eq!(early.code, Some(3), "{early:?}");
    assert!(early.stdout.contains("knows them up to 0"), "{early:?}");
    let adopted = world.command(&["adopt", "--reason", "restored"]);
    assert_eq!(adopted.code, Some(3), "{adopted:?}");
    assert!(adopted.stderr.contains("from 2026-02-02T12:15:00.000Z on"), "{adopted:?}");
    // Dialing continues without a person, once the records show the call.
    world.set_clock("2026-02-02T12:12:00Z");
    let late = world.command(&["tick"]);
    assert_eq!((late.code, world.rings().len()), (Some(0), 1), "{late:?}");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
}

#[test]
fn a_list_that_lags_by_an_hour_is_read_back_until_it_shows_the_call() {
    let world = World::new();
    world.daily("Ada");
    let old = raw_copy(&world);
    world.tick_at(NOON);
    std::fs::write(world.db(), old).unwrap();
    world.faults("list-lag=3600");
    // Many lists without the call are applied before the one that shows it.
    for minute in (1..60).step_by(7) {
        world.set_clock(&format!("2026-02-02T12:{minute:02}:00Z"));
        assert_eq!(world.command(&["tick"]).code, Some(3), "minute {minute}");
    }
    world.set_clock("2026-02-02T13:01:00Z");
    let late = world.command(&["tick"]);
    assert_eq!((late.code, world.rings().len()), (Some(0), 1), "{late:?}");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
}

#[test]
fn an_older_database_waits_although_the_list_shows_the_last_call_already() {
    let world = World::new();
    world.daily("Ada");
    world.daily("Bob");
    let old = raw_copy(&world);
    world.tick_at(NOON);
    assert_eq!(world.rings().len(), 2);
    // A replica that has the second call but not yet the first.
    let posts = world.posts();
    let first = posts[0].tag.clone().unwrap();
    world.faults(&format!("drops-rows:tag={first}"));
    std::fs::write(world.db(), old).unwrap();
    for time in ["2026-02-02T12:01:00Z", "2026-02-02T12:10:00Z"] {
        world.set_clock(time);
        let early = world.command(&["tick"]);
        assert_eq!((early.code, world.rings().len()), (Some(3), 2), "{early:?}");
    }
    world.faults("");
    world.set_clock("2026-02-02T12:16:00Z");
    let late = world.command(&["tick"]);
    assert_eq!((late.code, world.rings().len()), (Some(0), 2), "{late:?}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_number_that_no_list_will_ever_show_is_accepted_by_a_person_alone() {
    // On the same day, and when the provider's records no longer reach back to the call.
    for day in ["02", "22"] {
        let world = World::new();
        world.daily("Ada");
        world.tick_at("2026-02-02T11:45:00Z");
        let old = raw_copy(&world);
        world.faults("status=400");
        world.tick_at(NOON);
        assert!(world.rings().is_empty());
        std::fs::write(world.db(), old).unwrap();
        world.faults("");
        world.set_clock(&format!("2026-02-{day}T13:00:00Z"));
        assert_eq!(world.command(&["tick"]).code, Some(3));
        let adopted = world.command(&["adopt", "--reason", "nobody was called"]);
        assert_eq!(adopted.code, Some(0), "{adopted:?}");
        let run = world.command(&["tick"]);
        assert_eq!((run.code, world.rings().len()), (Some(0), 1), "{run:?}");
    }
}

#[test]
fn a_number_of_the_last_minutes_is_accepted_by_nobody() {
    let world = World::new();
    let cx = world.context();
    let given = Given { seq: 7, at: at(NOON) };
    last_seq::note(cx.store.path(), &cx.installation.id, given).unwrap();
    let missed = cx.store.read(|conn| older_database::missed(&cx, conn)).unwrap().unwrap();
    let waits = |accepted, minutes| {
        missed.keeps_shut(Asking::Start(accepted), given.at + Duration::minutes(minutes))
    };
    let adopts = Acceptance::Adoption { unreadable_rows: true };
    let nothing = Acceptance::Nothing;
    let told = [waits(adopts, 14), waits(adopts, 15), waits(nothing, 14), waits(nothing, 600)];
    assert_eq!(told, [true, false, true, true]);
}

#[test]
fn a_number_that_cannot_be_noted_is_not_dialed() {
    let world = World::new();
    world.daily("Ada");
    let note = world.path("ringonce.db.seq");
    std::os::unix::fs::symlink(world.path("nowhere/at all"), &note).unwrap();
    world.set_clock(NOON);
    let run = world.command(&["tick"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("ringonce.db.seq"), "{run:?}");
    assert!(world.posts().is_empty());
    std::fs::remove_file(&note).unwrap();
    let run = world.command(&["tick"]);
    assert_eq!((run.code, world.rings().len()), (Some(0), 1), "{run:?}");
    assert_eq!(
        world.attempts(),
        ["Ada daily 2026-02-02 #1 not_placed", "Ada daily 2026-02-02 #2 ended answered"]
    );
}
