//! The guards of queue items, tested directly. Only a waiting item is due, marked or moved, and
//! only one is open. A doubt that was proven absent reopens its own item and no other.

use ringonce::domain::call::{AttemptState, CallType, ItemStatus, Reason};
use ringonce::steps::settle::{self, Unplaced};
use ringonce::store::attempts::Attempt;
use ringonce::store::journal::By;
use ringonce::store::queue::insert::{NewItem, insert_once};
use ringonce::store::queue::{self, Cursor, transitions};
use ringonce::store::transaction::Moved;

use crate::guards::{QUEUED_DAILY, by, now, sql, store};
use crate::world::World;

/// Changes Ada's item, and returns its state after its attempt is settled as absent.
fn settled(change: &str) -> (Unplaced, String) {
    let world = World::new();
    world.daily("Ada");
    world.sql(
        "INSERT INTO call_queue (id, customer_id, call_type, occasion, scheduled_for, status,
           reason, attempts, max_attempts, expires_at, created_at, updated_at)
         VALUES (7, 1, 'daily', '2026-02-02', '2026-02-02T12:00:00.000Z', 'failed', 'in_doubt',
           1, 3, '2026-02-02T16:00:00.000Z', '2026-02-02T11:40:00.000Z',
           '2026-02-02T11:40:00.000Z')",
    );
    world.sql(change);
    world.set_clock("2026-02-02T12:30:00Z");
    let attempt = Attempt {
        id: "attempt".to_string(),
        queue_id: Some(7),
        customer_id: Some(1),
        call_type: CallType::Daily,
        occasion: "2026-02-02".to_string(),
        state: AttemptState::InDoubt,
        ..Attempt::default()
    };
    let cx = world.context();
    let became = cx
        .store
        .write(|tx| settle::absent_item(tx, &attempt, "why", By { who: "spec", now: world.now() }))
        .expect("it is settled");
    (became, world.one("SELECT status || coalesce(' ' || reason, '') FROM call_queue WHERE id = 7"))
}

#[test]
fn an_absent_call_is_tried_again_only_by_its_own_item_in_time_with_an_attempt_left_and_alone() {
    let another = "INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, status,
           created_at, updated_at)
         VALUES (1, 'daily', '2026-02-03', '2026-02-03T12:00:00.000Z', 'pending', '2026-02-02T11:40:00.000Z',
           '2026-02-02T11:40:00.000Z')";
    for (change, expected, row) in [
        ("", Unplaced::Retrying, "retrying"),
        ("UPDATE call_queue SET reason = 'cancelled'", Unplaced::Failed, "failed cancelled"),
        (
            "UPDATE call_queue SET status = 'skipped', reason = 'in_doubt'",
            Unplaced::Failed,
            "skipped in_doubt",
        ),
        (
            "UPDATE call_queue SET status = 'completed', reason = 'already_called'",
            Unplaced::Failed,
            "completed already_called",
        ),
        ("UPDATE call_queue SET attempts = 3", Unplaced::Failed, "failed attempts_used"),
        (
            "UPDATE call_queue SET expires_at = '2026-02-02T12:29:59.999Z'",
            Unplaced::Failed,
            "failed too_late",
        ),
        (another, Unplaced::Failed, "failed too_late"),
    ] {
        assert_eq!(settled(change), (expected, row.to_string()), "{change}");
    }
}

#[test]
fn beside_an_open_item_none_is_queued_and_that_is_not_an_error() {
    let store = store();
    sql(&store, QUEUED_DAILY);
    let new = NewItem {
        customer_id: 1,
        call_type: CallType::Daily,
        occasion: "2026-03-02",
        scheduled_for: now(),
        max_attempts: 3,
        expires_at: None,
    };
    assert_eq!(store.write(|tx| insert_once(tx, &new, "Paid", now())).unwrap(), Moved::No);
    sql(&store, "UPDATE call_queue SET status = 'completed'");
    assert_eq!(store.write(|tx| insert_once(tx, &new, "Paid", now())).unwrap(), Moved::Yes);
}

#[test]
fn only_a_waiting_item_is_due_marked_or_rescheduled_and_only_at_its_instant() {
    let hour = chrono::Duration::hours(1);
    for status in ItemStatus::ALL {
        let waits = matches!(status, ItemStatus::Pending | ItemStatus::Retrying);
        let store = store();
        sql(
            &store,
            &format!(
                "INSERT INTO call_queue (id, customer_id, call_type, occasion, scheduled_for,
                   status, reason, expires_at, created_at, updated_at)
                 VALUES (7, 1, 'daily', '2026-03-02', '2026-03-02T12:00:00.000Z', '{status}',
                   'held', '2026-03-02T12:10:00.000Z', '2026-03-02T11:00:00.000Z',
                   '2026-03-02T11:00:00.000Z')"
            ),
        );
        store
            .write(|tx| {
                let daily = CallType::Daily;
                let due = |at| queue::due(tx, daily, at, &mut Cursor::default(), 9);
                assert_eq!(due(now())?.len(), usize::from(waits), "{status}");
                assert_eq!(due(now() - chrono::Duration::milliseconds(1))?.len(), 0, "{status}");
                let last = |at| queue::last_chance(tx, at, now() + hour, &mut Cursor::default(), 9);
                assert_eq!(last(now())?.len(), usize::from(waits), "{status}");
                assert_eq!(last(now() - chrono::Duration::milliseconds(1))?.len(), 0, "{status}");
                let marked = transitions::mark_left(tx, Reason::Breaker, now())?;
                assert_eq!(marked, usize::from(waits), "{status}");
                let item = queue::item(tx, 7)?.unwrap();
                let moved = transitions::reschedule(tx, &item, now() + hour, "2026-03-03", by());
                assert_eq!(moved? == Moved::Yes, waits, "{status}");
                Ok(())
            })
            .unwrap();
    }
}
