//! The guards inside single statements, tested directly. Behind another guard, most of them would
//! be missed only on the day on which that guard fails.

use ringonce::domain::call::{AttemptState, CallType, Disposition, ItemStatus, Reason};
use ringonce::domain::customer::Customer;
use ringonce::domain::customer::entry::{CustomerEntry, EntryPhone};
use ringonce::domain::{Instant, parse_instant};
use ringonce::provider::ProviderCall;
use ringonce::store::attempts::history::{self, Whose};
use ringonce::store::attempts::{self, Attempt, unresolved};
use ringonce::store::customers::called_flags;
use ringonce::store::journal::By;
use ringonce::store::meta::marks::{self, Mark};
use ringonce::store::meta::{self, holds, sequence};
use ringonce::store::queue;
use ringonce::store::queue::insert::{NewItem, insert_once};
use ringonce::store::queue::transitions::{self, Change};
use ringonce::store::transaction::Moved;
use ringonce::store::{Store, Tx, part};

pub fn now() -> Instant {
    parse_instant("2026-03-02T12:00:00Z").unwrap()
}

/// One customer, due for both kinds of call, and nothing else.
pub fn store() -> Store {
    let store = Store::in_memory(now()).unwrap();
    sql(
        &store,
        "INSERT INTO customers (id, key, phone, phone_validated, timezone, call_time,
           payment_status, next_call_scheduled_at, created_at, updated_at)
         VALUES (1, 'k', '+12125550101', 1, 'America/New_York', '07:00', 'Paid',
           '2026-03-02T12:00:00.000Z', '2026-03-02T11:00:00.000Z', '2026-03-02T11:00:00.000Z')",
    );
    store
}

pub fn sql(store: &Store, text: &str) {
    store.write(|tx| Ok(tx.execute_batch(text)?)).unwrap();
}

fn in_state(state: AttemptState, call_type: CallType, occasion: &str) -> Attempt {
    Attempt {
        id: format!("attempt-{state}"),
        seq: 1,
        customer_id: Some(1),
        customer_key: "k".to_string(),
        call_type,
        occasion: occasion.to_string(),
        attempt_no: 1,
        phone_key: "h".to_string(),
        state,
        disposition: (state == AttemptState::Ended).then_some(Disposition::Answered),
        created_at: now(),
        updated_at: now(),
        ..Attempt::default()
    }
}

const QUEUED_WELCOME: &str = "INSERT INTO call_queue
    (customer_id, call_type, occasion, scheduled_for, status, created_at, updated_at)
    SELECT id, 'welcome', 'welcome', created_at, 'failed', created_at, created_at FROM customers";
pub const QUEUED_DAILY: &str = "INSERT INTO call_queue
    (customer_id, call_type, occasion, scheduled_for, status, created_at, updated_at)
    SELECT id, 'daily', '2026-03-01', created_at, 'processing', created_at, created_at
    FROM customers";

pub fn by() -> By<'static> {
    By { who: "spec", now: now() }
}

type Move = fn(&Tx<'_>, &Attempt) -> anyhow::Result<Moved>;

#[test]
fn an_attempt_moves_only_as_its_life_allows_whoever_asks() {
    use AttemptState::*;
    let moves: [(&str, Move, &[AttemptState]); 8] = [
        (
            "accept",
            |tx, attempt| attempts::accept(tx, attempt, Some("call"), now(), by()),
            &[Dialing, InDoubt],
        ),
        ("doubt", |tx, attempt| attempts::doubt(tx, attempt, "why", by()), &[Dialing]),
        (
            "refuse what is dialing",
            |tx, attempt| attempts::refuse(tx, attempt, Dialing, "why", by()),
            &[Dialing],
        ),
        (
            "refuse what is in doubt",
            |tx, attempt| attempts::refuse(tx, attempt, InDoubt, "why", by()),
            &[InDoubt],
        ),
        (
            "refuse what is placed",
            |tx, attempt| attempts::refuse(tx, attempt, Placed, "why", by()),
            &[],
        ),
        (
            "end",
            |tx, attempt| {
                let call = ProviderCall { id: "call".to_string(), ..ProviderCall::default() };
                let busy = Disposition::Busy;
                attempts::end(tx, attempt, &call, busy, by())
            },
            &[Placed],
        ),
        ("revive", |tx, attempt| unresolved::revive(tx, attempt, "call", by()), &[NotPlaced]),
        (
            "end untold",
            |tx, attempt| unresolved::end_without_record(tx, attempt, "why", by()),
            &[Placed],
        ),
    ];
    for (name, move_it, allowed) in moves {
        for state in AttemptState::ALL {
            let store = store();
            let attempt = in_state(*state, CallType::Welcome, "welcome");
            let moved = store.write(|tx| {
                attempts::insert(tx, &attempt, "spec")?;
                move_it(tx, &attempt)
            });
            let expected = if allowed.contains(state) { Moved::Yes } else { Moved::No };
            assert_eq!(moved.ok(), Some(expected), "{name} from {state}");
            let after = store.read(|conn| attempts::by_id(conn, &attempt.id)).unwrap().unwrap();
            assert_eq!(after.state == *state, expected == Moved::No, "{name} from {state}");
        }
    }
}

#[test]
fn an_item_moves_only_out_of_the_named_states_and_only_a_waiting_one_is_parked() {
    for status in ItemStatus::ALL {
        let waits = matches!(status, ItemStatus::Pending | ItemStatus::Retrying);
        for ask_to_park in [false, true] {
            let store = store();
            sql(
                &store,
                &format!(
                    "INSERT INTO call_queue (id, customer_id, call_type, occasion, scheduled_for,
                       status, reason, created_at, updated_at)
                     VALUES (7, 1, 'welcome', 'welcome', '2026-03-02T11:20:00.000Z', '{status}',
                       'held', '2026-03-02T11:00:00.000Z', '2026-03-02T11:00:00.000Z')"
                ),
            );
            let before = store.read(|conn| queue::item(conn, 7)).unwrap().unwrap();
            let after = store
                .write(|tx| {
                    if ask_to_park {
                        transitions::park(tx, &before, Reason::Cap, None, now())?;
                    } else {
                        let change = Change::because(ItemStatus::Failed, Reason::Cap);
                        let moved =
                            transitions::item(tx, &before, &transitions::WAITING, &change, by())?;
                        assert_eq!(moved == Moved::Yes, waits, "{status}");
                    }
                    Ok(queue::item(tx, 7)?.unwrap())
                })
                .unwrap();
            assert_eq!(after.reason == Some(Reason::Cap), waits, "{status} {ask_to_park}");
        }
    }
}

#[test]
fn queueing_asks_the_ledger_even_when_flags_and_queue_are_silent() {
    for (call_type, occasion) in [(CallType::Welcome, "welcome"), (CallType::Daily, "2026-03-02")] {
        for state in AttemptState::ALL {
            let store = store();
            let queued = store.write(|tx| {
                attempts::insert(tx, &in_state(*state, call_type, occasion), "spec")?;
                let new = NewItem {
                    customer_id: 1,
                    call_type,
                    occasion,
                    scheduled_for: now(),
                    max_attempts: 3,
                    expires_at: None,
                };
                insert_once(tx, &new, "Paid", now())
            });
            let free = *state == AttemptState::NotPlaced;
            assert_eq!(queued.unwrap() == Moved::Yes, free, "{call_type} {state}");
        }
    }
}

#[test]
fn the_first_query_of_welcome_calls_leaves_out_who_may_not_be_called() {
    let cases = [
        ("", 1),
        ("UPDATE customers SET phone_validated = 0", 0),
        ("UPDATE customers SET call_status = 'paused'", 0),
        ("UPDATE customers SET call_status = 'disabled'", 0),
        ("UPDATE customers SET payment_status = 'Pending'", 0),
        ("UPDATE customers SET welcome_call_completed = 1", 0),
        ("UPDATE customers SET created_at = '2026-03-02T12:00:00.001Z'", 0),
        (QUEUED_WELCOME, 0),
    ];
    for (change, expected) in cases {
        let store = store();
        sql(&store, change);
        let found = store.write(|tx| queue::welcome_candidates(tx, "Paid", now())).unwrap();
        assert_eq!(found.len(), expected, "{change}");
    }
}

#[test]
fn what_may_have_rung_keeps_its_number_from_the_same_call_and_from_any_call_too_soon() {
    for state in AttemptState::ALL {
        let store = store();
        let rang = *state != AttemptState::NotPlaced;
        let attempt = in_state(*state, CallType::Daily, "2026-03-02");
        store.write(|tx| attempts::insert(tx, &attempt, "spec")).unwrap();
        let entry = CustomerEntry {
            phone: Some(EntryPhone { e164: "+12125550101".into(), valid: true, error: None }),
            timezone: Some("America/New_York".to_string()),
            ..CustomerEntry::default()
        };
        let other = Customer { id: 2, ..entry.new_customer(now()).unwrap() };
        let (same, last) = store
            .read(|conn| {
                let daily = CallType::Daily;
                let same = history::same_phone(conn, &other, "h", daily, "2026-03-02")?;
                Ok((same, history::last_call(conn, &Whose::Number("h"))?))
            })
            .unwrap();
        assert_eq!((same, last.is_some()), (rang, rang), "{state}");
    }
}

#[test]
fn no_flag_is_proven_on_a_row_that_is_gone() {
    for (call_type, occasion) in [
        (CallType::Welcome, "welcome"),
        (CallType::Daily, "2026-03-02"),
        (CallType::Extra, "extra:1"),
    ] {
        let store = store();
        let prove = |id| {
            store.write(|tx| {
                called_flags::prove_called(tx, id, call_type, occasion, Some("call"), now())
            })
        };
        assert!(prove(1).is_ok(), "{call_type}");
        assert!(prove(2).is_err(), "{call_type}");
    }
}

#[test]
fn a_state_that_nobody_understands_blocks_its_occasion_like_a_doubt() {
    let store = store();
    let attempt = in_state(AttemptState::InDoubt, CallType::Daily, "2026-03-02");
    store.write(|tx| attempts::insert(tx, &attempt, "spec")).unwrap();
    // As a newer program may have written it.
    sql(&store, "PRAGMA ignore_check_constraints = 1; UPDATE call_attempts SET state = 'resting'");
    let daily = CallType::Daily;
    let history = store.read(|conn| history::history(conn, 1, daily, "2026-03-02")).unwrap();
    assert_eq!(history, [(AttemptState::InDoubt, None)]);
}

#[test]
fn what_is_noted_beside_a_move_is_noted_only_in_its_state() {
    use AttemptState::*;
    type Note = fn(&Tx<'_>) -> anyhow::Result<()>;
    let notes: [(&str, Note, &[AttemptState], &str); 4] = [
        ("a poll", |tx| attempts::poll_again(tx, "a", None, now()), &[Placed], "next_poll_at"),
        (
            "an absence",
            |tx| unresolved::note_absence(tx, "a", Some((now(), 1, "boot")), 1),
            &[InDoubt],
            "absent_since",
        ),
        ("a word", |tx| unresolved::tell(tx, "a", "look").map(drop), &[InDoubt], "error_message"),
        (
            "an id",
            |tx| unresolved::learn_call_id(tx, "a", "call").map(drop),
            &[Placed, Ended],
            "vapi_call_id",
        ),
    ];
    for (name, note, allowed, column) in notes {
        for state in AttemptState::ALL {
            let store = store();
            let attempt =
                Attempt { id: "a".to_string(), ..in_state(*state, CallType::Welcome, "welcome") };
            // A write that the schema refuses is not recorded either.
            let _ = store.write(|tx| {
                attempts::insert(tx, &attempt, "spec")?;
                note(tx)
            });
            let noted = format!("SELECT count({column}) FROM call_attempts");
            let noted: i64 =
                store.read(|conn| Ok(conn.query_one(&noted, [], |row| row.get(0))?)).unwrap();
            assert_eq!(noted == 1, allowed.contains(state), "{name} of what is {state}");
        }
    }
}

#[test]
fn an_attempt_with_a_call_keeps_it_and_is_never_called_not_placed() {
    use AttemptState::*;
    for state in [Dialing, InDoubt, Placed] {
        let store = store();
        let attempt = Attempt {
            vapi_call_id: Some("first".to_string()),
            ..in_state(state, CallType::Welcome, "welcome")
        };
        let moved = store.write(|tx| {
            attempts::insert(tx, &attempt, "spec")?;
            let learnt = unresolved::learn_call_id(tx, &attempt.id, "second")?;
            Ok((learnt, attempts::refuse(tx, &attempt, state, "why", by())?))
        });
        assert_eq!(moved.unwrap(), (Moved::No, Moved::No), "{state}");
        let after = store.read(|conn| attempts::by_id(conn, &attempt.id)).unwrap().unwrap();
        assert_eq!((after.state, after.vapi_call_id.as_deref()), (state, Some("first")));
    }
}

#[test]
fn the_first_query_of_daily_calls_leaves_out_who_may_not_be_called() {
    let cases = [
        ("", 1),
        ("UPDATE customers SET phone_validated = 0", 0),
        ("UPDATE customers SET call_status = 'paused'", 0),
        ("UPDATE customers SET call_status = 'disabled'", 0),
        ("UPDATE customers SET payment_status = 'Pending'", 0),
        ("UPDATE customers SET welcome_call_completed = 0", 0),
        ("UPDATE customers SET call_time = NULL", 0),
        (QUEUED_DAILY, 0),
        ("UPDATE customers SET next_call_scheduled_at = '2026-03-02T12:00:00.001Z'", 0),
        ("UPDATE customers SET next_call_scheduled_at = '2026-03-02T11:59:59.999Z'", 0),
    ];
    for (change, expected) in cases {
        let store = store();
        sql(&store, "UPDATE customers SET welcome_call_completed = 1");
        sql(&store, change);
        let found = store.write(|tx| queue::daily_candidates(tx, "Paid", now(), now())).unwrap();
        assert_eq!(found.len(), expected, "{change}");
    }
}

#[test]
fn marks_and_numbers_never_go_back_and_a_hold_keeps_its_first_reason() {
    let store = store();
    let earlier = now() - chrono::Duration::hours(1);
    let (mark, seq, holds) = store
        .write(|tx| {
            for at in [now(), earlier] {
                marks::set_mark(tx, Mark::ClockHighWater, at)?;
                holds::hold(tx, "flag", if at == now() { "first" } else { "second" }, at)?;
            }
            for seq in [5, 3] {
                sequence::raise_seq(tx, seq)?;
            }
            Ok((marks::mark(tx, Mark::ClockHighWater)?, sequence::next_seq(tx)?, holds::holds(tx)?))
        })
        .unwrap();
    assert_eq!((mark, seq), (Some(now()), 6));
    assert_eq!(holds.len(), 1);
    assert_eq!(holds[0].why, "first");
}

#[test]
fn a_part_that_fails_leaves_no_trace_and_the_rest_of_its_transaction_stays() {
    let store = store();
    store
        .write(|tx| {
            meta::set(tx, "before", "1")?;
            let failed: anyhow::Result<()> = part(tx, |tx| {
                meta::set(tx, "inside", "1")?;
                anyhow::bail!("no")
            });
            assert!(failed.is_err());
            meta::set(tx, "after", "1")
        })
        .unwrap();
    let kept = |key| store.read(|conn| meta::get(conn, key)).unwrap().is_some();
    assert_eq!((kept("before"), kept("inside"), kept("after")), (true, false, true));
}
