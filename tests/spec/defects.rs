//! The four old defects, each in the setting of its failure. A flag is rolled back by a later error
//! (A). Runs overlap (B, in `d2_…`). A flag update changes no row (C). Rows come from before the
//! index (D, in `d1_…`).

use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;

use crate::world::{World, nobody_home, quick};

const DUE: &str = "2026-02-02T12:00:00Z";

/// One dialing worker, so that the order of the calls is known.
const ONE_BY_ONE: &str = "[dialing]\nworkers = 1\n";

#[test]
fn a_later_error_of_the_same_pass_does_not_roll_back_an_earlier_flag() {
    let later_errors = [
        // The next intent, the end of the placed call, and the mark of the pass.
        "BEFORE INSERT ON call_attempts WHEN NEW.customer_id = 2",
        "BEFORE UPDATE OF state ON call_attempts WHEN NEW.state = 'ended'",
        "BEFORE INSERT ON meta WHEN NEW.key = 'last_tick_at'",
    ];
    for when in later_errors {
        let world = World::with_config(ONE_BY_ONE);
        world.daily("Ada");
        world.daily("Bob");
        world.set_clock(DUE);
        world.sql(&format!(
            "CREATE TRIGGER later {when} BEGIN SELECT RAISE(ABORT, 'a later error'); END"
        ));
        let run = world.command(&["tick"]);
        assert_eq!(run.code, Some(1), "{when}: {run:?}");
        assert!(run.stderr.contains("a later error"), "{when}: {run:?}");
        let flag = "SELECT last_call_date FROM customers WHERE name = 'Ada'";
        assert_eq!(world.one(flag), "2026-02-02", "{when}");
        let first_rings = world.rings().len();
        assert!(first_rings > 0, "{when}");

        world.sql("DROP TRIGGER later");
        world.tick();
        world.tick_at("2026-02-02T12:15:00Z");
        assert_eq!(world.rings().len(), 2, "{when}");
        assert_eq!(
            world.items(),
            ["Ada daily 2026-02-02 completed", "Bob daily 2026-02-02 completed"],
            "{when}"
        );
        world.assert_no_phone_rang_twice();
    }
}

/// Ways in which a flag is written but not stored.
const LOST_FLAGS: [(&str, &str); 5] = [
    (
        "the update hits no row",
        "CREATE TRIGGER lost BEFORE UPDATE OF last_call_date ON customers
         BEGIN SELECT RAISE(IGNORE); END",
    ),
    (
        "the date is taken back behind the update",
        "CREATE TRIGGER lost AFTER UPDATE OF last_call_date ON customers
         BEGIN UPDATE customers SET last_call_date = NULL WHERE id = NEW.id; END",
    ),
    (
        "an older date is put back",
        "CREATE TRIGGER lost AFTER UPDATE OF last_call_date ON customers
         BEGIN UPDATE customers SET last_call_date = '2026-02-01' WHERE id = NEW.id; END",
    ),
    (
        "the update fails",
        "CREATE TRIGGER lost BEFORE UPDATE OF last_call_date ON customers
         BEGIN SELECT RAISE(ABORT, 'no flags today'); END",
    ),
    (
        "the item cannot be completed",
        "CREATE TRIGGER lost BEFORE UPDATE OF status ON call_queue WHEN NEW.status = 'completed'
         BEGIN SELECT RAISE(IGNORE); END",
    ),
];

#[test]
fn a_flag_that_is_not_proven_stops_all_dialing_until_a_person_says_so() {
    for (what, trigger) in LOST_FLAGS {
        // Calls last long, so that the first is not over when dialing halts.
        let timing = Timing::default();
        let world = World::with(Setup { timing, ..quick() }, ONE_BY_ONE);
        for name in ["Ada", "Bob", "Cyd"] {
            world.daily(name);
        }
        world.set_clock(DUE);
        world.sql(trigger);
        let run = world.command(&["tick"]);
        assert_eq!(run.code, Some(3), "{what}: {run:?}");
        assert_eq!(world.posts().len(), 1, "{what}: no further POST");
        let attempt = "SELECT state || ' ' || (vapi_call_id IS NOT NULL) FROM call_attempts";
        assert_eq!(world.one(attempt), "placed 1", "{what}: placed, with its id");
        assert_eq!(world.items()[0], "Ada daily 2026-02-02 processing", "{what}");
        let made = world.one("SELECT total_calls_made FROM customers WHERE name = 'Ada'");
        assert_eq!(made, "0", "{what}: what was written with the flag is undone");
        assert_eq!(world.holds(), ["flag"], "{what}");

        // Restarts do not lift the hold, even when the cause is gone and the flag can be written.
        for time in ["12:00", "12:15", "12:30"] {
            let run = world.command(&["tick"]);
            assert_eq!(run.code, Some(3), "{what} at {time}: {run:?}");
            world.set_clock(&format!("2026-02-02T{time}:00Z"));
        }
        world.sql("DROP TRIGGER lost");
        let run = world.command(&["tick"]);
        assert_eq!((run.code, world.posts().len()), (Some(3), 1), "{what}: {run:?}");
        assert_eq!(
            world.one("SELECT last_call_date FROM customers WHERE name = 'Ada'"),
            "2026-02-02",
            "{what}: the flag was written after all"
        );
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn a_lost_welcome_flag_stops_dialing_too() {
    let lost = [
        "CREATE TRIGGER lost BEFORE UPDATE OF welcome_call_completed ON customers
         BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER lost AFTER UPDATE OF welcome_call_completed ON customers
         BEGIN UPDATE customers SET welcome_call_completed = 0 WHERE id = NEW.id; END",
    ];
    for trigger in lost {
        let world = World::with_config(ONE_BY_ONE);
        for name in ["Ada", "Bob"] {
            world.customer(name).paid().signed_up("2026-02-02T11:00:00Z").add();
        }
        world.sql(trigger);
        let run = world.command(&["tick"]);
        assert_eq!((run.code, world.posts().len()), (Some(3), 1), "{trigger}: {run:?}");
        assert_eq!(world.holds(), ["flag"], "{trigger}");
        assert_eq!(world.command(&["tick"]).code, Some(3), "{trigger}");
        assert_eq!(world.rings().len(), 1, "{trigger}");
    }
}

#[test]
fn an_update_that_hits_no_row_halts_also_when_the_flag_was_there_before() {
    let world = World::with(nobody_home(), ONE_BY_ONE);
    world.daily("Ada");
    world.tick_at(DUE);
    assert_eq!(world.one("SELECT last_call_date FROM customers"), "2026-02-02");
    world.sql(
        "CREATE TRIGGER lost BEFORE UPDATE OF last_call_date ON customers
         BEGIN SELECT RAISE(IGNORE); END",
    );
    world.set_clock("2026-02-02T14:00:00Z");
    let second_try = world.command(&["tick"]);
    assert_eq!((second_try.code, world.posts().len()), (Some(3), 2), "{second_try:?}");
    assert_eq!(world.holds(), ["flag"]);
}

#[test]
fn a_customer_whose_row_is_gone_when_the_reply_comes_halts_dialing() {
    let world = World::with_config(ONE_BY_ONE);
    world.daily("Ada");
    world.daily("Bob");
    world.set_clock(DUE);
    // The row disappears between the intent and the reply.
    world.sql(
        "CREATE TRIGGER gone AFTER UPDATE OF state ON call_attempts WHEN NEW.state = 'placed'
         BEGIN DELETE FROM customers WHERE id = NEW.customer_id; END",
    );
    let run = world.command(&["tick"]);
    assert_eq!((run.code, world.posts().len()), (Some(3), 1), "{run:?}");
    assert_eq!(world.holds(), ["flag"]);
}

#[test]
fn no_flag_of_a_made_call_goes_backward() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(DUE);
    world.tick_at("2026-02-03T12:00:00Z");
    let flags = "SELECT last_call_date || ' ' || total_calls_made FROM customers";
    assert_eq!(world.one(flags), "2026-02-03 2");
    // An old doubt is settled late: the provider knows a call of the 2nd.
    world.sql(
        "UPDATE call_attempts SET state = 'in_doubt', disposition = NULL, vapi_call_id = NULL
         WHERE occasion = '2026-02-02';
         UPDATE call_queue SET status = 'failed', reason = 'in_doubt'
         WHERE occasion = '2026-02-02'",
    );
    world.sql("DELETE FROM meta WHERE key = 'last_reconciled_at'");
    world.tick_at("2026-02-03T12:15:00Z");
    assert_eq!(world.items()[0], "Ada daily 2026-02-02 completed", "{:?}", world.attempts());
    assert!(world.one(flags).starts_with("2026-02-03"), "{}", world.one(flags));
    assert_eq!(world.rings().len(), 2);
}
