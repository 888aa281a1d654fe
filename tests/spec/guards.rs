//! The guards inside single statements, asked directly: behind other guards most of them would
//! be missed only on the one day on which the other guard fails.

use ringonce::domain::Instant;
use ringonce::domain::call::{AttemptState, CallType, Disposition, ItemStatus, Reason};
use ringonce::domain::parse_instant;
use ringonce::provider::ProviderCall;
use ringonce::store::attempts::{self, Attempt};
use ringonce::store::enqueue::{NewItem, insert_once};
use ringonce::store::facts::Whose;
use ringonce::store::moves::{self, Change};
use ringonce::store::queue::{self, Moved};
use ringonce::store::{Store, Tx, doubts, facts, flags};

fn now() -> Instant {
    parse_instant("2026-03-02T12:00:00Z").unwrap()
}

/// One customer, due for both kinds of call, and nothing else.
fn store() -> Store {
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

fn sql(store: &Store, text: &str) {
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

type Move = fn(&Tx<'_>, &Attempt) -> anyhow::Result<Moved>;

#[test]
fn an_attempt_moves_only_as_its_life_allows_whoever_asks() {
    use AttemptState::*;
    let moves: [(&str, Move, &[AttemptState]); 8] = [
        (
            "accept",
            |tx, attempt| attempts::accept(tx, attempt, Some("call"), now(), "spec", now()),
            &[Dialing, InDoubt],
        ),
        ("doubt", |tx, attempt| attempts::doubt(tx, attempt, "why", "spec", now()), &[Dialing]),
        (
            "refuse what is dialing",
            |tx, attempt| attempts::refuse(tx, attempt, Dialing, "why", "spec", now()),
            &[Dialing],
        ),
        (
            "refuse what is in doubt",
            |tx, attempt| attempts::refuse(tx, attempt, InDoubt, "why", "spec", now()),
            &[InDoubt],
        ),
        (
            "refuse what is placed",
            |tx, attempt| attempts::refuse(tx, attempt, Placed, "why", "spec", now()),
            &[],
        ),
        (
            "end",
            |tx, attempt| {
                let call = ProviderCall { id: "call".to_string(), ..ProviderCall::default() };
                let busy = Disposition::Busy;
                attempts::end(tx, attempt, &call, busy, true, "spec", now())
            },
            &[Placed],
        ),
        ("revive", |tx, attempt| doubts::revive(tx, attempt, "call", "spec", now()), &[NotPlaced]),
        (
            "end untold",
            |tx, attempt| doubts::end_untold(tx, attempt, "why", "spec", now()),
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
                        moves::park(tx, &before, Reason::Cap, None, now())?;
                    } else {
                        let change = Change::because(ItemStatus::Failed, Reason::Cap);
                        let moved =
                            moves::item(tx, &before, &moves::WAITING, &change, "spec", now())?;
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
        let (same, last) = store
            .read(|conn| {
                let daily = CallType::Daily;
                let same = facts::same_phone(conn, 2, false, "h", daily, "2026-03-02")?;
                Ok((same, facts::last_call(conn, &Whose::Number("h"))?))
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
            store.write(|tx| flags::prove_called(tx, id, call_type, occasion, Some("call"), now()))
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
    let history = store.read(|conn| facts::history(conn, 1, daily, "2026-03-02")).unwrap();
    assert_eq!(history, [(AttemptState::InDoubt, None)]);
}
