//! An outcome that cannot be written holds dialing in the file, if the hold can be written. No
//! later start dials until the result is known and written, or a person resumes.

use std::time::Duration;

use ringonce::clock;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::{Passed, Patience};
use ringonce::service::{Service, new_id};
use ringonce::steps::dial::{self, Pass};

use crate::halting::due_at_noon;
use crate::processes::until;
use crate::world::World;

const REFUSES_PLACED: &str = "CREATE TRIGGER broken BEFORE UPDATE ON call_attempts
    WHEN NEW.state = 'placed' BEGIN SELECT RAISE(ABORT, 'planted'); END";

fn pass(service: &Service, world: &World, record: Duration) -> anyhow::Result<Passed> {
    let patience = Patience { pace: false, record };
    Dialer::new(service, patience, world.now()).unwrap().pass(&mut |_| Ok(None))
}

/// Ada's call rings, its outcome cannot be written, and the process gives up.
fn left_unwritten(names: &[&str]) -> World {
    let world = due_at_noon(names);
    world.sql(REFUSES_PLACED);
    pass(&world.start(), &world, Duration::ZERO).unwrap_err();
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 dialing"]);
    world
}

#[test]
fn an_outcome_that_cannot_be_written_holds_the_next_starts_until_it_is_known() {
    let world = left_unwritten(&["Ada", "Bob", "Cy"]);
    assert_eq!(world.holds(), ["record"]);
    let status = world.command(&["status", "--json"]).json();
    let why = status["holds"][0]["why"].as_str().expect("a reason").to_string();
    let attempt = world.one("SELECT id FROM call_attempts");
    let call = world.rings()[0].call_id.clone();
    for part in [&attempt, &call, "planted"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let run = world.command(&["tick"]);
    assert!(run.stderr.contains("resume --hold record --reason"), "{run:?}");
    // The list lags and does not show the call yet.
    world.faults("list-empty");
    assert!(world.tick_at("2026-02-02T12:01:00Z").shut);
    world.sql("DROP TRIGGER broken");
    assert!(world.tick_at("2026-02-02T12:02:00Z").shut, "the outcome of the call is unknown");
    assert_eq!((world.posts().len(), world.holds()), (1, vec!["record".to_string()]));
    world.faults("");
    let ticked = world.tick_at("2026-02-02T12:03:00Z");
    assert!(!ticked.shut, "{ticked:?}");
    assert!(world.holds().is_empty());
    let lifted = "SELECT why FROM journal WHERE what = 'hold' AND subject = 'dialing:record'";
    assert!(world.one(lifted).contains("no call is in doubt"), "{}", world.one(lifted));
    assert_eq!(world.rings().len(), 3);
    world.assert_no_phone_rang_twice();
}

#[test]
fn while_the_cause_is_there_neither_a_start_nor_a_person_gets_one_more_call_out() {
    let world = left_unwritten(&["Ada", "Bob"]);
    for minute in 1..4 {
        assert!(world.tick_at(&format!("2026-02-02T12:0{minute}:00Z")).shut, "{minute}");
        assert_eq!((world.posts().len(), world.holds()), (1, vec!["record".to_string()]));
        let resumed = world.command(&["resume", "--reason", "I hope it is well"]);
        assert_eq!(resumed.code, Some(0), "{resumed:?}");
        assert!(world.holds().is_empty());
    }
}

#[test]
fn a_person_may_go_on_before_the_call_is_known() {
    let world = left_unwritten(&["Ada", "Bob"]);
    world.sql("DROP TRIGGER broken");
    world.faults("list-empty");
    assert!(world.tick_at("2026-02-02T12:01:00Z").shut);
    assert_eq!(world.command(&["resume", "--reason", "there is room again"]).code, Some(0));
    assert!(!world.tick_at("2026-02-02T12:02:00Z").shut);
    let known = ["Ada daily 2026-02-02 #1 in_doubt", "Bob daily 2026-02-02 #1 ended answered"];
    assert_eq!(world.attempts(), known);
    world.assert_no_phone_rang_twice();
}

/// A pass that runs this statement once dialing holds, and can write outcomes soon after it.
fn mended_after(world: &World, meanwhile: &'static str) -> Passed {
    world.sql(REFUSES_PLACED);
    let db = world.db();
    let fixer = std::thread::spawn(move || {
        let conn = rusqlite::Connection::open(db).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        let held = "SELECT count(*) FROM meta WHERE key = 'hold:record'";
        until("dialing holds", || conn.query_one(held, [], |r| r.get(0)) == Ok(1));
        conn.execute_batch(meanwhile).unwrap();
        clock::pause(Duration::from_millis(600));
        conn.execute_batch("DROP TRIGGER broken").unwrap();
    });
    let passed = pass(&world.start(), world, Duration::from_secs(60)).unwrap();
    fixer.join().unwrap();
    passed
}

#[test]
fn the_process_that_writes_the_outcome_after_all_lifts_its_own_hold() {
    let world = due_at_noon(&["Ada", "Bob"]);
    let passed = mended_after(&world, "");
    assert_eq!((passed.succeeded, world.rings().len()), (2, 2), "{passed:?}");
    assert!(world.holds().is_empty());
    let lifted = "SELECT count(*) FROM journal WHERE what = 'hold' AND old = 'held'";
    assert_eq!(world.count(lifted), 1);
    // Somebody lifts the hold while the outcome cannot be written; it is set again.
    let world = due_at_noon(&["Ada"]);
    mended_after(&world, "DELETE FROM meta WHERE key = 'hold:record'");
    assert_eq!((world.count(lifted), world.holds().len()), (1, 0));
}

#[test]
fn the_process_leaves_a_hold_that_is_not_its_own() {
    let other = "UPDATE meta SET value = replace(value, 'planted', 'another') \
                 WHERE key = 'hold:record'";
    let not_loaded = "INSERT INTO meta VALUES ('untaken_calls', '[\"a-call\"]')";
    for (meanwhile, lifts) in [(other, true), (not_loaded, false)] {
        let world = due_at_noon(&["Ada", "Bob"]);
        let passed = mended_after(&world, meanwhile);
        assert_eq!((passed.succeeded, world.rings().len()), (1, 1), "{passed:?}");
        assert_eq!(world.holds(), ["record"]);
        // No attempt is in doubt any more, but the one call may still be unknown.
        assert_eq!(world.tick_at("2026-02-02T12:01:00Z").shut, !lifts, "{meanwhile}");
        world.command(&["resume", "--reason", "go on without it"]);
        assert!(!world.tick_at("2026-02-02T12:02:00Z").shut, "{meanwhile}");
        assert_eq!(world.rings().len(), 2);
    }
}

#[test]
fn a_call_that_could_not_be_loaded_holds_while_a_list_does_not_show_it() {
    let world = due_at_noon(&["Ada", "Bob"]);
    let service = world.start();
    let mut id = || new_id(world.now());
    let claimed = dial::claim(&service.cx, &mut Pass::default(), 1, world.now(), &mut id).unwrap();
    let committed = service.clock.read().unwrap();
    let read = || service.clock.read().ok();
    dial::place(service.provider.as_ref(), &claimed.intents[0], &committed, &read).unwrap();
    drop(service);
    // The ledger of a backup from before that call.
    world.sql(
        "DROP TRIGGER call_attempts_refuse_delete; DELETE FROM call_attempts;
         UPDATE meta SET value = '0' WHERE key = 'highest_seq';
         UPDATE call_queue SET status = 'pending', attempts = 0;
         CREATE TRIGGER broken BEFORE INSERT ON call_attempts
         BEGIN SELECT RAISE(ABORT, 'planted'); END",
    );
    assert!(world.tick_at("2026-02-02T12:01:00Z").shut);
    assert_eq!(world.holds(), ["record"]);
    world.sql("DROP TRIGGER broken");
    world.faults("list-empty");
    assert!(world.tick_at("2026-02-02T12:02:00Z").shut, "the call is still not loaded");
    assert!(world.tick_at("2026-02-02T13:02:00Z").shut);
    world.faults("");
    assert!(!world.tick_at("2026-02-02T13:30:00Z").shut, "loaded");
    assert!(world.holds().is_empty());
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_service_that_finds_its_unwritten_call_continues() {
    let world = left_unwritten(&["Ada", "Bob"]);
    world.set_config("[reconcile]\npoll_seconds = 1\n");
    world.faults("list-empty");
    let child = world.program(&["run"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let in_doubt = ["Ada daily 2026-02-02 #1 in_doubt"];
    until("the service has opened", || world.attempts() == in_doubt);
    world.sql("DROP TRIGGER broken");
    world.faults("");
    until("the others are called", || world.rings().len() == 2);
    let run = crate::processes::stop(child);
    assert_eq!((run.code, world.holds().len()), (Some(0), 0), "{run:?}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_flag_whose_write_fails_names_the_customer_and_the_next_step() {
    let world = due_at_noon(&["Ada", "Bob"]);
    // When Ada's flag is first written, and when that write is tried again.
    for kind in ["ABORT, 'planted'", "IGNORE"] {
        world.sql(&format!(
            "CREATE TRIGGER broken BEFORE UPDATE OF last_call_date ON customers
             BEGIN SELECT RAISE({kind}); END"
        ));
        assert!(world.tick().shut);
        let why = world.one("SELECT value ->> 'why' FROM meta WHERE key = 'hold:flag'");
        for part in ["customer 1 was called", "daily 2026-02-02"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        let run = world.command(&["status"]);
        assert!(run.stdout.contains("resume --hold flag --reason"), "{run:?}");
        world.sql("DROP TRIGGER broken");
        world.command(&["resume", "--reason", "it is repaired"]);
    }
}
