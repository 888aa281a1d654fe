//! The schema enforces strict types, and its constraints are named as sentences. The journal and
//! the ledger cannot be rewritten. Query plans visit the due rows, not the million.

use std::cell::RefCell;

use ringonce::domain::call::CallType;
use ringonce::store::queue;
use rusqlite::TransactionBehavior;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use crate::world::{World, at};

#[test]
fn every_table_is_strict() {
    let world = World::new();
    let tables = world.lines(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
           AND name NOT LIKE 'sqlite_%' AND strict = 0",
    );
    assert!(tables.is_empty(), "not strict: {tables:?}");
    let count = "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND strict = 1";
    assert!(9 <= world.count(count));
    let refused = world.connection().execute("INSERT INTO meta VALUES (x'00', 'x')", []);
    assert!(refused.is_err());
}

#[test]
fn a_broken_rule_is_reported_by_its_name() {
    let cases = [
        ("UPDATE customers SET phone_validated = 2", "phone_validated_is_0_or_1"),
        ("UPDATE customers SET welcome_call_completed = 5", "welcome_call_completed_is_0_or_1"),
        ("UPDATE customers SET call_time = '7:00'", "call_time_is_hh_mm"),
        ("UPDATE customers SET call_time = '24:00'", "call_time_is_hh_mm"),
        ("UPDATE customers SET call_status = 'Paused'", "call_status_is_known"),
        ("UPDATE customers SET last_call_date = '2.2.2026'", "last_call_date_is_a_date"),
        ("UPDATE customers SET variables = '[]'", "variables_are_a_json_object"),
        ("UPDATE call_queue SET call_type = 'weekly'", "call_type_is_known"),
        ("UPDATE call_queue SET occasion = 'today'", "occasion_fits_its_type"),
        ("UPDATE call_queue SET call_type = 'welcome'", "occasion_fits_its_type"),
        (
            "UPDATE call_queue SET call_type = 'extra', occasion = 'extra:'",
            "occasion_fits_its_type",
        ),
        ("UPDATE call_queue SET status = 'done'", "status_is_known"),
        ("UPDATE call_queue SET reason = 'because'", "reason_is_of_the_closed_list"),
        ("UPDATE call_queue SET status = 'skipped', reason = NULL", "skipped_has_a_reason"),
        ("UPDATE call_attempts SET state = 'lost'", "state_is_known"),
        ("UPDATE call_attempts SET state = 'placed'", "ended_has_a_disposition"),
        (
            "UPDATE call_attempts SET state = 'not_placed', disposition = NULL",
            "not_placed_has_no_provider_call",
        ),
        ("INSERT INTO holidays VALUES ('US', 'today', 'x')", "holiday_is_a_date"),
    ];
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    for (statement, name) in cases {
        let error = world.connection().execute(statement, []).unwrap_err().to_string();
        assert_eq!(error, format!("CHECK constraint failed: {name}"), "{statement}");
    }
    for (statement, says) in [
        ("UPDATE journal SET why = 'nothing happened'", "the journal is append-only"),
        ("DELETE FROM journal", "the journal is append-only"),
        ("DELETE FROM call_attempts", "the ledger of attempts is permanent"),
    ] {
        let error = world.connection().execute(statement, []).unwrap_err().to_string();
        assert_eq!(error, says, "{statement}");
    }
    assert_eq!(world.attempts().len(), 1);
}

/// A web application, or a person with `sqlite3`, may write customers and items too.
#[test]
fn an_instant_that_another_program_writes_is_kept_in_the_one_form() {
    let cases = [
        ("2026-02-02T12:00:00.000Z", Some("2026-02-02T12:00:00.000Z")),
        ("2026-02-02T12:00:00Z", Some("2026-02-02T12:00:00.000Z")),
        ("2026-02-02T07:00:00-05:00", Some("2026-02-02T12:00:00.000Z")),
        ("2026-02-02 12:00", Some("2026-02-02T12:00:00.000Z")),
        ("2026-02-02", Some("2026-02-02T00:00:00.000Z")),
        ("soon", None),
    ];
    let insert = "INSERT INTO customers (phone, timezone, created_at, updated_at,
          next_call_scheduled_at) VALUES ('+12125550199', 'America/New_York', ?1, ?1, ?2)";
    for (written, kept) in cases {
        let world = World::new();
        let conn = world.connection();
        let as_inserted = conn.execute(insert, [written, written]);
        assert_eq!(as_inserted.is_ok(), kept.is_some(), "{written}: {as_inserted:?}");
        if kept.is_none() {
            conn.execute(insert, ["2026-02-02", written]).unwrap();
        }
        let next = "SELECT coalesce(next_call_scheduled_at, 'none') FROM customers";
        assert_eq!(world.one(next), kept.unwrap_or("none"), "{written}");
        let at = "2026-02-02T09:00:00.000Z";
        conn.execute(
            "INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, expires_at,
               created_at, updated_at) VALUES (1, 'daily', '2026-02-02', ?1, ?2, ?1, ?1)",
            [at, written],
        )
        .unwrap();
        let expires = "SELECT coalesce(expires_at, 'none') FROM call_queue";
        assert_eq!(world.one(expires), kept.unwrap_or("none"), "{written}");
        for (table, column) in [
            ("customers", "next_call_scheduled_at"),
            ("customers", "created_at"),
            ("call_queue", "scheduled_for"),
            ("call_queue", "not_before"),
        ] {
            let update = format!("UPDATE {table} SET {column} = ?1");
            let updated = conn.execute(&update, [written]);
            let must_be = column != "next_call_scheduled_at" && column != "not_before";
            assert_eq!(updated.is_err(), kept.is_none() && must_be, "{column} {written}");
            let found = world.one(&format!("SELECT coalesce({column}, 'none') FROM {table}"));
            if updated.is_ok() {
                assert_eq!(found, kept.unwrap_or("none"), "{column} {written}");
            }
        }
    }
}

#[test]
fn a_row_that_another_program_writes_counts_as_updated_when_it_was_created() {
    let world = World::new();
    let conn = world.connection();
    conn.execute_batch(
        "INSERT INTO customers (phone, timezone, created_at)
         VALUES ('+12125550199', 'America/New_York', '2026-02-02T09:00:00Z');
         INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, created_at)
         VALUES (1, 'daily', '2026-02-02', '2026-02-02T12:00:00Z', '2026-02-02T09:00:00Z');",
    )
    .unwrap();
    for table in ["customers", "call_queue"] {
        let updated = world.one(&format!("SELECT updated_at FROM {table}"));
        assert_eq!(updated, "2026-02-02T09:00:00.000Z", "{table}");
    }
}

#[test]
fn a_call_is_made_at_the_instant_that_another_program_wrote_in_its_own_form() {
    let world = World::new();
    world.daily("Ada");
    world.sql("UPDATE customers SET next_call_scheduled_at = '2026-02-02T07:00:00-05:00'");
    assert_eq!(world.tick_at("2026-02-02T11:45:00Z").queued, 1);
    assert_eq!(world.tick_at("2026-02-02T12:00:00Z").succeeded, 1);
}

#[test]
fn a_pass_over_the_due_comes_to_its_end_whatever_form_their_instants_have() {
    let world = World::new();
    world.daily("Ada");
    assert_eq!(world.tick_at("2026-02-02T11:45:00Z").queued, 1);
    let mut conn = world.connection();
    let tx = conn.transaction().unwrap();
    tx.execute_batch(
        "DROP TRIGGER call_queue_instants_as_updated;
         UPDATE call_queue SET scheduled_for = '2026-02-02T12:00:00Z',
           expires_at = '2026-02-02T16:00:00Z'",
    )
    .unwrap();
    let (now, until) = (at("2026-02-02T12:30:00Z"), at("2026-02-02T17:00:00Z"));
    let mut cursor = queue::Cursor::default();
    assert_eq!(queue::due(&tx, CallType::Daily, now, &mut cursor, 5).unwrap().len(), 1);
    assert_eq!(queue::due(&tx, CallType::Daily, now, &mut cursor, 5).unwrap().len(), 0);
    let mut cursor = queue::Cursor::default();
    assert_eq!(queue::last_chance(&tx, now, until, &mut cursor, 5).unwrap().len(), 1);
    assert_eq!(queue::last_chance(&tx, now, until, &mut cursor, 5).unwrap().len(), 0);
}

#[test]
fn ids_are_never_given_twice() {
    let world = World::new();
    world.daily("Ada");
    world.daily("Bob");
    world.tick_at("2026-02-02T12:00:00Z");
    for (table, column) in [
        ("customers", "key"),
        ("customers", "external_id"),
        ("call_attempts", "id"),
        ("call_attempts", "seq"),
        ("call_attempts", "vapi_call_id"),
    ] {
        world.sql("UPDATE customers SET external_id = id");
        let same = format!(
            "UPDATE {table} SET {column} = (SELECT {column} FROM {table} ORDER BY rowid LIMIT 1)"
        );
        let error = world.connection().execute(&same, []).unwrap_err().to_string();
        assert_eq!(error, format!("UNIQUE constraint failed: {table}.{column}"));
    }
}

#[test]
fn what_only_reads_cannot_write() {
    let world = World::new();
    let store = world.store();
    for statement in ["DELETE FROM holidays", "INSERT INTO meta VALUES ('a', 'b')"] {
        let refused = store.read(|conn| Ok(conn.execute(statement, [])?));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("readonly"), "{statement}: {error}");
    }
}

#[test]
fn the_ledger_outlives_queue_rows_and_customers() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.sql("DELETE FROM call_queue; DELETE FROM customers");
    assert_eq!(world.attempts(), ["unknown daily 2026-02-02 #1 ended answered"]);
    // The same person signs up again with the same number, which the ledger knows.
    world.set_clock("2026-02-02T11:30:00Z");
    let phone = "SELECT phone FROM call_attempts";
    let phone = world.one(phone);
    let again = world.customer("Ada again").in_zone("America/New_York").at("07:30").paid();
    again.welcomed().phone(&phone).add();
    world.tick_at("2026-02-02T12:30:00Z");
    assert_eq!(world.items(), ["Ada again daily 2026-02-02 skipped same_phone"]);
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_guard_that_somebody_dropped_is_put_back_at_the_next_start() {
    let world = World::new();
    let guards = "SELECT type || ' ' || name FROM sqlite_schema
        WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY 1";
    let before = world.lines(guards);
    for guard in &before {
        world.sql(&format!("DROP {guard}"));
    }
    world.store();
    assert_eq!(world.lines(guards), before);
}

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn remember(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        SEEN.with(|seen| seen.borrow_mut().push(statement.sql().into_owned()));
    }
}

/// The plan of every statement that `act` runs, one line for each step.
fn plans(world: &World, act: impl FnOnce(&rusqlite::Transaction<'_>)) -> Vec<String> {
    let mut conn = world.connection();
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(remember));
    act(&tx);
    tx.trace_v2(TraceEventCodes::empty(), None);
    let statements = SEEN.with(|seen| std::mem::take(&mut *seen.borrow_mut()));
    assert!(!statements.is_empty());
    let mut steps = Vec::new();
    for statement in statements {
        let mut plan = tx.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        // Parameters stay unbound, because the plan must not depend on a value.
        let mut rows = plan.raw_query();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
    }
    steps
}

#[test]
fn the_scan_and_the_claim_search_the_due_and_never_read_a_whole_table() {
    let world = World::new();
    world.daily("Ada");
    let now = world.now();
    let hour = chrono::Duration::hours(1);
    type Act<'a> = Box<dyn FnOnce(&rusqlite::Transaction<'_>) + 'a>;
    let cases: [(&str, Act<'_>); 6] = [
        (
            "customers_daily_due",
            Box::new(|tx| {
                queue::daily_candidates(tx, "Paid", now - hour, now + hour).unwrap();
            }),
        ),
        (
            "customers_welcome_due",
            Box::new(|tx| {
                queue::welcome_candidates(tx, "Paid", now).unwrap();
            }),
        ),
        (
            "customers_daily_due",
            Box::new(|tx| {
                ringonce::store::customers::next_call_missing::stale_customers(
                    tx,
                    "Paid",
                    now - hour,
                )
                .unwrap();
            }),
        ),
        (
            "call_queue_due",
            Box::new(|tx| {
                queue::due(tx, CallType::Daily, now, &mut queue::Cursor::default(), 5).unwrap();
            }),
        ),
        (
            "call_queue_due",
            Box::new(|tx| {
                queue::next_due(tx, now).unwrap();
            }),
        ),
        (
            "call_queue_due",
            Box::new(|tx| {
                queue::is_anything_due(tx, now).unwrap();
            }),
        ),
    ];
    for (index, act) in cases {
        let steps = plans(&world, act);
        let leads = format!("USING INDEX {index} (");
        let covering = format!("USING COVERING INDEX {index} (");
        assert!(
            steps.iter().any(|step| step.starts_with("SEARCH")
                && (step.contains(&leads) || step.contains(&covering))),
            "{index}: {steps:#?}"
        );
        let leads_with_status = steps
            .iter()
            .all(|step| !step.contains("INDEX customers_") || step.contains("(payment_status=?"));
        assert!(leads_with_status, "{index}: {steps:#?}");
        let whole: Vec<_> = steps
            .iter()
            .filter(|step| step.starts_with("SCAN") && !step.contains("CONSTANT ROW"))
            .collect();
        assert!(whole.is_empty(), "{index}: {whole:?}");
    }
}

#[test]
fn a_row_that_another_program_wrote_loosely_keeps_nobody_else_from_being_called() {
    for written in ["2026-01-15", "yes"] {
        let world = World::new();
        world.daily("Ada");
        world.daily("Bob");
        world.sql(&format!("UPDATE customers SET consent_at = '{written}' WHERE name = 'Ada'"));
        world.tick_at("2026-02-02T12:00:00Z");
        assert_eq!(world.rings().len(), 2, "{written}: {:?}", world.items());
    }
}

#[test]
fn a_do_not_call_number_in_another_spelling_would_protect_nobody_and_is_refused() {
    let world = World::new();
    let insert = "INSERT INTO do_not_call VALUES (?1, 'asked', 'crm', '2026-02-02T11:00:00.000Z')";
    for spelling in ["+44 20 7946 0101", "442079460101", "+44(20)79460101", "+0442079460101", "+"] {
        let error = world.connection().execute(insert, [spelling]).unwrap_err().to_string();
        assert_eq!(error, "a do-not-call number is written as + and digits", "{spelling}");
    }
    assert_eq!(world.connection().execute(insert, ["+442079460101"]).unwrap(), 1);
    let update = "UPDATE do_not_call SET phone = ' +442079460101'";
    assert!(world.connection().execute(update, []).is_err());
}
