//! D1: an occasion has one queue item and at most one live attempt, by unique indexes. Rows from
//! before the indexes are cleaned first, and nothing is deleted.

use ringonce::domain::call::{CallType, ItemStatus, Reason};
use ringonce::service::new_id;
use ringonce::steps::dial::{self, Pass};
use ringonce::steps::scan;
use ringonce::store::queue::dedupe::{self, GUARDED_INDEXES};
use ringonce::store::queue::{self, NewItem};
use ringonce::store::transaction::Moved;

use crate::world::{World, at};

/// 07:00 in New York.
const DUE: &str = "2026-02-02T12:00:00.000Z";

#[test]
fn a_daily_call_rings_once_however_often_the_clock_comes_by() {
    let world = World::new();
    world.daily("Ada");
    for time in ["11:30", "11:45", "12:00", "12:00", "12:15", "12:30", "16:00", "23:59"] {
        let ticked = world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert!(!ticked.shut, "{ticked:?}");
    }
    assert_eq!(world.rings().len(), 1);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    let run = world.command(&["tick", "--json"]);
    assert_eq!((run.code, run.json()["queued"].as_i64()), (Some(0), Some(0)), "{run:?}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn the_same_occasion_by_any_path_is_one_row() {
    let world = World::new();
    let id = world.daily("Ada");
    world.set_clock("2026-02-02T11:45:00Z");
    let cx = world.context();
    assert_eq!(scan::scan(&cx, world.now()).unwrap().queued, 1);
    assert_eq!(scan::scan(&world.context(), world.now()).unwrap().queued, 0);

    let new = NewItem {
        customer_id: id,
        call_type: CallType::Daily,
        occasion: "2026-02-02",
        scheduled_for: at(DUE),
        max_attempts: 3,
        expires_at: None,
    };
    let (skipped, late) = (ItemStatus::Skipped, Reason::TooLate);
    let now = world.now();
    // Disables the guards before the index, so that only the index is left.
    world.sql("UPDATE call_queue SET status = 'skipped', reason = 'too_late'");
    let inserted = cx.store.write(|tx| queue::insert_once(tx, &new, "Paid", now)).unwrap();
    assert_eq!(inserted, Moved::No);
    let settled = cx.store.write(|tx| queue::insert_settled(tx, &new, skipped, late, now)).unwrap();
    assert_eq!(settled, Moved::No);
    let by_hand = insert(&world, "(9, 1, 'daily', '2026-02-02', 'pending')");
    assert_eq!(
        by_hand.unwrap_err(),
        "UNIQUE constraint failed: call_queue.customer_id, call_queue.call_type, call_queue.occasion"
    );
    assert_eq!(world.items(), ["Ada daily 2026-02-02 skipped too_late"]);
}

#[test]
fn a_customer_has_one_open_item_of_a_type() {
    let world = World::new();
    world.daily("Ada");
    let refused = "UNIQUE constraint failed: call_queue.customer_id, call_queue.call_type";
    for open in ["pending", "retrying", "processing"] {
        insert(&world, &format!("(1, 1, 'daily', '2026-02-02', '{open}')")).unwrap();
        for other in ["pending", "retrying", "processing"] {
            let second = insert(&world, &format!("(2, 1, 'daily', '2026-02-03', '{other}')"));
            assert_eq!(second.unwrap_err(), refused, "{open} and {other}");
        }
        insert(&world, "(3, 1, 'daily', '2026-02-04', 'failed')").unwrap();
        insert(&world, "(4, 1, 'welcome', 'welcome', 'pending')").unwrap();
        world.sql("DELETE FROM call_queue");
    }
}

fn insert(world: &World, row: &str) -> Result<usize, String> {
    let sql = format!(
        "INSERT INTO call_queue (id, customer_id, call_type, occasion, status, scheduled_for,
           created_at, updated_at)
         SELECT *, '{DUE}', '{DUE}', '{DUE}' FROM (VALUES {row})"
    );
    world.connection().execute(&sql, []).map_err(|error| error.to_string())
}

#[test]
fn an_occasion_has_at_most_one_attempt_that_may_be_ringing() {
    let world = World::new();
    world.daily("Ada");
    let attempt = |number: i64, state: &str| {
        let disposition = if state == "ended" { "'no_answer'" } else { "NULL" };
        let sql = format!(
            "INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
               attempt_no, phone_key, state, disposition, created_at, updated_at)
             VALUES ('{number}', {number}, 1, 'k', 'daily', '2026-02-02', {number}, 'p', '{state}',
               {disposition}, '{DUE}', '{DUE}')"
        );
        world.connection().execute(&sql, []).map_err(|error| error.to_string())
    };
    let live = ["dialing", "in_doubt", "placed"];
    let mut number = 0;
    for first in live {
        number += 1;
        attempt(number, first).unwrap();
        for second in live {
            let error = attempt(number + 1, second).unwrap_err();
            assert!(error.contains("call_attempts.customer_id"), "{first}, {second}: {error}");
        }
        world.sql("UPDATE call_attempts SET state = 'not_placed' WHERE state <> 'not_placed'");
    }
    attempt(number + 1, "ended").unwrap();
    attempt(number + 2, "not_placed").unwrap();
}

#[test]
fn two_attempts_of_one_occasion_cannot_have_one_number() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let copied = world.connection().execute(
        "INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
           attempt_no, phone_key, state, created_at, updated_at)
         SELECT 'x', 99, customer_id, customer_key, call_type, occasion, attempt_no, phone_key,
           'not_placed', created_at, updated_at FROM call_attempts",
        [],
    );
    assert!(copied.unwrap_err().to_string().contains("call_attempts.attempt_no"));
}

/// Four rows for Ada's one occasion, from before the index; the ids are not in the order of age.
fn with_four_rows(world: &World) {
    world.daily("Ada");
    for index in GUARDED_INDEXES {
        world.sql(&format!("DROP INDEX {index}"));
    }
    for (id, created) in [(7, "10:03"), (3, "10:01"), (5, "10:00"), (9, "10:02")] {
        world.sql(&format!(
            "INSERT INTO call_queue (id, customer_id, call_type, occasion, scheduled_for, status,
               error_message, created_at, updated_at)
             VALUES ({id}, 1, 'daily', '2026-02-02', '{DUE}', 'pending', 'row {id}',
               '2026-02-02T{created}:00.000Z', '{DUE}')"
        ));
    }
}

#[test]
fn four_queue_rows_from_before_the_index_give_one_call() {
    let world = World::new();
    with_four_rows(&world);
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.rings().len(), 1);
    assert_eq!(world.lines("SELECT id FROM call_queue"), ["5"], "the oldest is kept");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    let moved = world.lines(
        "SELECT id || ' ' || duplicate_of || ' ' || occasion || ' ' || status || ' '
           || error_message || ': ' || moved_because FROM call_queue_duplicates ORDER BY id",
    );
    let whole =
        |id| format!("{id} 5 2026-02-02 pending row {id}: item 5 has the same occasion 2026-02-02");
    assert_eq!(moved, [whole(3), whole(7), whole(9)], "moved whole, nothing deleted");
    let told = "SELECT subject FROM journal WHERE what = 'duplicate moved' ORDER BY subject";
    assert_eq!(world.lines(told), ["item:3", "item:7", "item:9"]);
    for index in GUARDED_INDEXES {
        world.one(&format!("SELECT 1 FROM sqlite_schema WHERE name = '{index}'"));
    }
    world.assert_no_phone_rang_twice();
}

#[test]
fn cleaning_keeps_what_was_called_before_what_waits() {
    // Status and age of each row, and the row that is kept.
    let cases: [(&[(&str, &str)], usize); 5] = [
        (&[("pending", "10:00"), ("completed", "10:05"), ("pending", "10:01")], 1),
        (&[("pending", "10:00"), ("processing", "10:05")], 1),
        (&[("processing", "10:00"), ("completed", "10:05")], 1),
        (&[("failed", "10:03"), ("pending", "10:01"), ("skipped", "10:02")], 1),
        (&[("completed", "10:04"), ("completed", "10:02")], 1),
    ];
    for (rows, kept) in cases {
        let world = World::new();
        world.daily("Ada");
        GUARDED_INDEXES.iter().for_each(|index| world.sql(&format!("DROP INDEX {index}")));
        for (id, (status, created)) in rows.iter().enumerate() {
            world.sql(&format!(
                "INSERT INTO call_queue (id, customer_id, call_type, occasion, scheduled_for,
                   status, reason, created_at, updated_at)
                 VALUES ({id}, 1, 'daily', '2026-02-02', '{DUE}', '{status}', 'too_late',
                   '2026-02-02T{created}:00.000Z', '{DUE}')"
            ));
        }
        world.store();
        assert_eq!(world.lines("SELECT id FROM call_queue"), [kept.to_string()], "{rows:?}");
        let moved = world.count("SELECT count(*) FROM call_queue_duplicates");
        assert_eq!(moved as usize, rows.len() - 1, "{rows:?}");
    }
}

#[test]
fn cleaning_leaves_one_open_item_of_a_type_too() {
    let world = World::new();
    world.daily("Ada");
    world.sql("DROP INDEX unique_customer_call_active");
    insert(&world, "(1, 1, 'daily', '2026-02-02', 'pending')").unwrap();
    insert(&world, "(2, 1, 'daily', '2026-02-03', 'retrying')").unwrap();
    insert(&world, "(3, 1, 'welcome', 'welcome', 'pending')").unwrap();
    world.store();
    assert_eq!(world.lines("SELECT id FROM call_queue ORDER BY id"), ["1", "3"]);
    let why = world.one("SELECT moved_because FROM call_queue_duplicates");
    assert_eq!(why, "item 1 of the same type is open");
}

#[test]
fn cleaning_says_what_it_would_do_and_does_it_once() {
    let world = World::new();
    with_four_rows(&world);
    let conn = world.connection();
    let planned = dedupe::audit(&conn).unwrap();
    assert_eq!((planned.moved, planned.groups[0].keep), (3, 5));
    assert_eq!(planned.groups[0].surplus, [3, 9, 7], "by age");
    assert_eq!(world.count("SELECT count(*) FROM call_queue"), 4, "an audit changes nothing");
    drop(conn);
    let store = world.store();
    let again = store.write(|tx| dedupe::clean(tx, world.now(), "spec")).unwrap();
    assert_eq!((again.moved, again.groups.len()), (0, 0));
    assert_eq!(world.count("SELECT count(*) FROM call_queue_duplicates"), 3);
}

#[test]
fn a_cleaning_that_was_killed_in_the_middle_completes_at_the_next_start() {
    let world = World::new();
    with_four_rows(&world);
    // Copies the files as a power cut leaves them while the cleaning is not committed.
    let killed = World::new();
    let mut conn = world.connection();
    conn.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1").unwrap();
    let tx = conn.transaction().unwrap();
    assert_eq!(dedupe::clean(&tx, world.now(), "spec").unwrap().moved, 3);
    for ending in ["", "-wal"] {
        let file = format!("ringonce.db{ending}");
        std::fs::copy(world.path(&file), killed.path(&file)).unwrap();
    }
    drop(tx);
    drop(conn);
    assert_eq!(killed.count("SELECT count(*) FROM call_queue"), 4, "nothing was half done");
    killed.store();
    assert_eq!(killed.lines("SELECT id FROM call_queue"), ["5"]);
    assert_eq!(killed.count("SELECT count(*) FROM call_queue_duplicates"), 3);
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE name IN
        ('call_queue_once', 'unique_customer_call_active')";
    assert_eq!(killed.count(indexes), 2);
}

#[test]
fn the_ledger_alone_stops_a_second_call_when_the_queue_and_the_flags_are_lost() {
    let world = World::new();
    let id = world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.sql(&format!(
        "DELETE FROM call_queue; UPDATE customers SET last_call_date = NULL,
           welcome_call_completed = 1, next_call_scheduled_at = '{DUE}' WHERE id = {id}"
    ));
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed already_called"]);
    // Nor may the claim of a row that was inserted by hand.
    world.sql("UPDATE call_queue SET status = 'pending', reason = NULL");
    let cx = world.context();
    let now = world.now();
    let claimed = dial::claim(&cx, &mut Pass::default(), 1, now, &mut || new_id(now)).unwrap();
    assert_eq!((claimed.intents.len(), claimed.completed), (0, 1));
    assert_eq!(world.rings().len(), 1);
    world.assert_no_phone_rang_twice();
}
