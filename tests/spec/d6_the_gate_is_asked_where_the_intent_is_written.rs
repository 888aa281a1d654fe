//! D6: the scan leaves out a customer who may not be called (L1). The insert of the item asks again
//! (L2), and so does the transaction that writes the intent (L3).

use ringonce::domain::customer::CallStatus;
use ringonce::service::new_id;
use ringonce::steps::dial::{self, Pass};
use ringonce::steps::scan::{self, Scanned};
use ringonce::store::Tx;

use crate::people::Person;
use crate::world::World;

/// The scan comes 15 minutes before the call.
const SCAN: &str = "2026-02-02T11:45:00Z";
const DUE: &str = "2026-02-02T12:00:00Z";

/// A change to Ada between the scan and her time, her item after that, and her item at the end of
/// the day.
#[test]
fn what_changes_after_queueing_is_seen_before_dialing() {
    let set = |change: &str| format!("UPDATE customers SET {change} WHERE name = 'Ada'");
    let dnc = "INSERT INTO do_not_call (phone, reason, source, created_at)
        SELECT phone, 'asked', 'spec', '2026-02-02T11:50:00.000Z' FROM customers";
    let same = "INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
          attempt_no, phone_key, state, disposition, ended_at, created_at, updated_at)
        SELECT 'b', 900, 2, 'bob', 'daily', '2026-02-02', 1, 'KEY', 'ended', 'answered',
          '2026-02-02T09:00:00.000Z', '2026-02-02T09:00:00.000Z', '2026-02-02T09:00:00.000Z'";
    let other_row = "INSERT INTO customers (name, phone, timezone, last_call_date, created_at)
        SELECT 'Bob', phone, timezone, '2026-02-02', created_at FROM customers";
    let left_by_a_row = "INSERT INTO meta VALUES
        ('called:own:KEY', '{\"welcome\":false,\"last_date\":\"2026-02-02\"}')";
    let cases: Vec<(String, &str, &str)> = vec![
        (set("last_call_date = '2026-02-02'"), "completed already_called", ""),
        (set("last_call_date = '2026-02-05'"), "completed already_called", ""),
        (dnc.to_string(), "skipped do_not_call", ""),
        (same.to_string(), "skipped same_phone", ""),
        (other_row.to_string(), "skipped same_phone", ""),
        (left_by_a_row.to_string(), "skipped same_phone", ""),
        (set("call_status = 'paused'"), "pending paused", "skipped paused"),
        (set("call_status = 'disabled'"), "pending not_eligible", "skipped not_eligible"),
        (set("payment_status = 'Refunded'"), "pending not_eligible", "skipped not_eligible"),
        (set("phone = '212 555 0101'"), "pending invalid_phone", "skipped invalid_phone"),
        (set("phone = '+1 212 555 0101'"), "pending invalid_phone", "skipped invalid_phone"),
        (set("phone_validated = 0"), "pending invalid_phone", "skipped invalid_phone"),
        (set("timezone = 'Mars/Olympus'"), "pending not_eligible", "skipped not_eligible"),
        ("DELETE FROM customers".to_string(), "skipped customer_gone", ""),
        (pause("all"), "pending paused", "skipped paused"),
        (pause("type:daily"), "pending paused", "skipped paused"),
        (pause("customer:CUSTOMER"), "pending paused", "skipped paused"),
        (pause("number:KEY"), "pending paused", "skipped paused"),
        (pause("type:welcome"), "completed", ""),
        (holiday("US"), "pending holiday", "skipped holiday"),
        (holiday("*"), "pending holiday", "skipped holiday"),
        (holiday("GB"), "completed", ""),
    ];
    for (change, at_its_time, in_the_end) in cases {
        let world = World::new();
        world.daily("Ada");
        assert_eq!(world.tick_at(SCAN).queued, 1);
        let cx = world.context();
        let phone = world.one("SELECT phone FROM customers");
        let change = change
            .replace("CUSTOMER", &world.one("SELECT key FROM customers"))
            .replace("KEY", &cx.installation.phone_key(&phone));
        drop(cx);
        world.sql(&change);
        world.tick_at(DUE);
        let item = "SELECT status || coalesce(' ' || reason, '') FROM call_queue";
        assert_eq!(world.one(item), at_its_time, "{change}");
        let called = usize::from(at_its_time == "completed");
        assert_eq!(world.posts().len(), called, "{change}");
        world.tick_at("2026-02-02T17:00:00Z");
        let in_the_end = if in_the_end.is_empty() { at_its_time } else { in_the_end };
        let item =
            "SELECT status || coalesce(' ' || reason, '') FROM call_queue ORDER BY id LIMIT 1";
        assert_eq!(world.one(item), in_the_end, "{change}");
        assert_eq!(world.posts().len(), called, "{change}");
        world.assert_no_phone_rang_twice();
    }
}

fn pause(scope: &str) -> String {
    format!(
        "INSERT INTO meta (key, value) VALUES ('pause:{scope}',
           '{{\"who\": \"spec\", \"why\": \"test\", \"since\": \"2026-02-02T11:50:00.000Z\"}}')"
    )
}

fn holiday(country: &str) -> String {
    format!("INSERT INTO holidays VALUES ('{country}', '2026-02-02', 'a day off')")
}

#[test]
fn a_claim_refuses_what_is_too_late_or_too_early_without_any_scan() {
    // The instant of the claim, and the item's state after it.
    let cases = [
        ("11:59:59", "pending"),
        ("12:00:00", "processing"),
        ("16:00:00", "processing"),
        ("16:00:01", "skipped too_late"),
    ];
    for (time, item) in cases {
        let world = World::new();
        world.daily("Ada");
        world.tick_at(SCAN);
        world.set_clock(&format!("2026-02-02T{time}Z"));
        let (cx, now) = (world.context(), world.now());
        dial::claim(&cx, &mut Pass::default(), 1, now, &mut || new_id(now)).unwrap();
        assert_eq!(world.items(), [format!("Ada daily 2026-02-02 {item}")], "{time}");
    }
}

#[test]
fn what_passes_in_time_is_dialed_after_all() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(SCAN);
    world.sql("UPDATE customers SET call_status = 'paused'");
    world.tick_at(DUE);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 pending paused"]);
    world.sql("UPDATE customers SET call_status = 'pending'");
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_welcome_call_that_was_made_elsewhere_is_not_made_again() {
    let world = World::new();
    world.customer("Ada").paid().add();
    world.tick();
    assert_eq!(world.items(), ["Ada welcome welcome pending"]);
    world.sql("UPDATE customers SET welcome_call_completed = 1");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    assert_eq!(world.posts().len(), 0);
}

#[test]
fn two_customers_with_one_number_get_one_call_of_a_kind() {
    let world = World::new();
    let add = |name: &str| world.customer(name).paid().phone("+442079460999");
    add("Ada").at("12:00").welcomed().add();
    add("Bob").at("12:00").welcomed().add();
    add("Cyd").at("18:00").in_zone("Asia/Kolkata").welcomed().add();
    for name in ["Dan", "Eve"] {
        let person = world.customer(name).paid().phone("+442079460998");
        person.signed_up("2026-02-02T11:30:00Z").add();
    }
    for time in ["02T11:45", "02T12:00", "02T12:30", "02T13:15", "02T14:30", "02T16:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    let mut rings: Vec<String> =
        world.rings().into_iter().map(|ring| ring.call_type.unwrap_or_default()).collect();
    rings.sort();
    assert_eq!(rings, ["daily", "welcome"], "{:?}", world.items());
    let skipped = "SELECT count(*) FROM call_queue WHERE reason = 'same_phone'";
    assert_eq!(world.count(skipped), 3, "{:?}", world.items());
    world.assert_no_phone_rang_twice();
}

#[test]
fn people_who_share_a_number_and_say_so_are_each_called() {
    let world = World::new();
    let add = |name: &str, time: &str| {
        world.customer(name).paid().phone("+442079460999").shared_phone().welcomed().at(time).add()
    };
    add("Ada", "12:00");
    add("Bob", "13:30");
    add("Cyd", "13:45");
    for time in ["12:00", "13:30", "13:45", "14:15", "14:30", "14:45"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    let times: Vec<String> =
        world.rings().iter().map(|ring| ring.at.format("%H:%M").to_string()).collect();
    assert_eq!(times, ["12:00", "13:30", "14:30"], "an hour apart: {:?}", world.items());
}

/// One line: the customer's data, and whether the scan queues the call.
#[test]
fn the_scan_finds_the_due_and_nobody_else() {
    type Says = for<'w> fn(Person<'w>) -> Person<'w>;
    let cases: [(&str, Says, bool); 22] = [
        ("as it should be", |p| p, true),
        ("not paid", |p| p.payment("Pending"), false),
        ("a word in another case", |p| p.payment("paid"), false),
        ("a partner who is not in the list", |p| p.payment("Partner"), false),
        ("refunded", |p| p.payment("Refunded"), false),
        ("not a number", |p| p.unvalidated(), false),
        ("disabled", |p| p.status(CallStatus::Disabled), false),
        // Its date gets a row, and the gate refuses the call.
        ("paused", |p| p.status(CallStatus::Paused), true),
        ("failed before", |p| p.status(CallStatus::Failed), true),
        ("completed before", |p| p.status(CallStatus::Completed), true),
        ("called yesterday", |p| p.last_called("2026-02-01"), true),
        ("called today", |p| p.last_called("2026-02-02").next_call(Some(DUE)), false),
        ("called on a later date", |p| p.last_called("2026-02-03").next_call(Some(DUE)), false),
        ("due at the end of the look-ahead", |p| p.next_call(Some("2026-02-02T12:05:00Z")), true),
        ("due beyond it", |p| p.next_call(Some("2026-02-02T12:05:00.001Z")), false),
        ("due now", |p| p.next_call(Some("2026-02-02T11:45:00Z")), true),
        ("due tomorrow", |p| p.next_call(Some("2026-02-03T12:00:00Z")), false),
        ("by a schedule", |p| p.on_schedule("0 7 * * *").next_call(Some(DUE)), true),
        ("in another zone", |p| p.in_zone("Asia/Kolkata").next_call(Some(DUE)), true),
        ("in no zone", |p| p.in_zone("Mars/Olympus").next_call(Some(DUE)), false),
        ("no instant yet, time to come", |p| p.next_call(None), true),
        ("no instant, and called", |p| p.next_call(None).last_called("2026-02-02"), false),
    ];
    for (what, says, queued) in cases {
        let world = World::new();
        let person = world.customer("Ada").in_zone("America/New_York").at("07:00").welcomed();
        says(person.paid()).add();
        world.set_clock(SCAN);
        let now = world.now();
        scan::scan(&world.context(), now).unwrap();
        let open = "SELECT count(*) FROM call_queue WHERE status = 'pending'";
        assert_eq!(world.count(open) == 1, queued, "{what}: {:?}", world.items());
    }
}

#[test]
fn the_list_of_eligible_payments_is_the_configured_one() {
    let world =
        World::with_config("[customers]\neligible_payment_status = [\"Partner\", \"Free\"]\n");
    for (name, status) in [("Ada", "Paid"), ("Bob", "Partner"), ("Cyd", "Free"), ("Dan", "free")] {
        let person = world.customer(name).in_zone("America/New_York").at("07:00");
        person.payment(status).welcomed().add();
    }
    world.tick_at(DUE);
    let mut items = world.items();
    items.sort();
    assert_eq!(items, ["Bob daily 2026-02-02 completed", "Cyd daily 2026-02-02 completed"]);
}

/// The query alone, without the later checks.
#[test]
fn the_query_itself_leaves_out_who_is_not_eligible() {
    let cases = [
        ("", true),
        ("payment_status = 'Pending'", false),
        ("phone_validated = 0", false),
        ("call_status = 'paused'", false),
        ("call_status = 'disabled'", false),
        ("call_time = NULL", false),
        ("welcome_call_completed = 0", false),
        ("next_call_scheduled_at = NULL", false),
        ("next_call_scheduled_at = '2026-02-02T07:44:59.999Z'", false),
        ("next_call_scheduled_at = '2026-02-02T07:45:00.000Z'", true),
        ("next_call_scheduled_at = '2026-02-02T12:05:00.001Z'", false),
    ];
    for (change, found) in cases {
        let world = World::new();
        world.daily("Ada");
        world.set_clock(SCAN);
        if !change.is_empty() {
            world.sql(&format!("UPDATE customers SET {change}"));
        }
        let (cx, now) = (world.context(), world.now());
        let candidates = cx.store.write(|tx| scan::daily_candidates(&cx, tx, "Paid", now)).unwrap();
        assert_eq!(candidates.len(), usize::from(found), "{change}");
    }
}

/// An attempt that was made in the meantime.
fn an_attempt(call_type: &str, occasion: &str, state: &str) -> String {
    let disposition = if state == "ended" { "'answered'" } else { "NULL" };
    format!(
        "INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
           attempt_no, phone_key, state, disposition, created_at, updated_at)
         VALUES ('x', 900, 1, 'k', '{call_type}', '{occasion}', 1, 'p', '{state}', {disposition},
           '2026-02-02T11:44:00.000Z', '2026-02-02T11:44:00.000Z')"
    )
}

/// L2: a change between the query and the insert, inside the same transaction.
#[test]
fn what_changes_between_the_query_and_the_insert_queues_nothing() {
    let cases = [
        ("", 1),
        ("UPDATE customers SET last_call_date = '2026-02-02'", 0),
        ("UPDATE customers SET payment_status = 'Refunded'", 0),
        ("UPDATE customers SET phone_validated = 0", 0),
        ("UPDATE customers SET call_status = 'paused'", 0),
        ("UPDATE customers SET call_status = 'disabled'", 0),
        ("UPDATE customers SET next_call_scheduled_at = '2026-02-02T13:00:00.000Z'", 0),
        (&an_attempt("daily", "2026-02-02", "ended"), 0),
        (&an_attempt("daily", "2026-02-02", "in_doubt"), 0),
        (&an_attempt("daily", "2026-02-02", "not_placed"), 1),
        (&an_attempt("daily", "2026-02-01", "ended"), 1),
        ("DELETE FROM customers", 0),
    ];
    for (change, queued) in cases {
        let world = World::new();
        world.daily("Ada");
        world.set_clock(SCAN);
        let (cx, now) = (world.context(), world.now());
        let mut done = Scanned::default();
        let between = |tx: &Tx<'_>| {
            let found = scan::daily_candidates(&cx, tx, "Paid", now)?;
            assert_eq!(found.len(), 1);
            tx.execute_batch(change)?;
            scan::queue_daily(&cx, tx, &found[0], now, &mut done)
        };
        cx.store.write(between).unwrap();
        assert_eq!(done.queued, queued, "{change}");
        let open = "SELECT count(*) FROM call_queue WHERE status = 'pending'";
        assert_eq!(world.count(open) as usize, queued, "{change}");
    }
}

#[test]
fn a_welcome_that_was_made_between_the_query_and_the_insert_queues_nothing() {
    let cases = [
        ("", 1),
        ("UPDATE customers SET welcome_call_completed = 1", 0),
        (&an_attempt("welcome", "welcome", "ended"), 0),
        (&an_attempt("welcome", "welcome", "not_placed"), 1),
        ("UPDATE customers SET payment_status = 'Pending'", 0),
        ("UPDATE customers SET phone_validated = 0", 0),
        ("UPDATE customers SET call_status = 'disabled'", 0),
    ];
    for (change, queued) in cases {
        let world = World::new();
        world.customer("Ada").paid().add();
        world.set_clock(SCAN);
        let (cx, now) = (world.context(), world.now());
        let mut done = Scanned::default();
        let between = |tx: &Tx<'_>| {
            let found = scan::welcome_candidates(&cx, tx, "Paid", now)?;
            tx.execute_batch(change)?;
            scan::queue_welcome(&cx, tx, &found[0], now, &mut done)
        };
        cx.store.write(between).unwrap();
        assert_eq!(done.queued, queued, "{change}");
        let open = "SELECT count(*) FROM call_queue WHERE status = 'pending'";
        assert_eq!(world.count(open) as usize, queued, "{change}");
    }
}

#[test]
fn an_occasion_found_called_while_queueing_has_its_one_terminal_row() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(SCAN);
    let (cx, now) = (world.context(), world.now());
    let mut done = Scanned::default();
    let between = |tx: &Tx<'_>| {
        let found = scan::daily_candidates(&cx, tx, "Paid", now)?;
        tx.execute_batch("UPDATE customers SET last_call_date = '2026-02-02'")?;
        scan::queue_daily(&cx, tx, &found[0], now, &mut done)
    };
    cx.store.write(between).unwrap();
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed already_called"]);
    assert_eq!(
        world.one("SELECT next_call_scheduled_at FROM customers"),
        "2026-02-03T12:00:00.000Z"
    );
}
