//! What a running service logs: one line for each call and for each change, and no number.

use crate::house::{House, Plan, customer};

/// The lines that hold every one of these words.
fn lines(log: &str, words: &[&str]) -> usize {
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

fn ids(house: &House) -> Vec<(String, i64)> {
    let conn = house.database();
    let mut statement = conn.prepare("SELECT id, customer_id FROM call_attempts").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn each_call_has_one_line_with_attempt_customer_and_outcome_and_no_number() {
    let customers = vec![customer(1, "07:00"), customer(2, "07:00")];
    let house = House::build(&Plan { customers, ..Plan::default() });
    house.place_calls(2);
    for (attempt, customer) in ids(&house) {
        let customer = format!("customer {customer},");
        house.wait_for("the line", || lines(&house.log(), &[&attempt]) > 0);
        let log = house.log();
        assert_eq!(lines(&log, &[&attempt]), 1, "{log}");
        assert_eq!(lines(&log, &["INFO", &attempt, &customer, "placed"]), 1, "{log}");
    }
    assert!(!house.log().contains("121255501"), "{}", house.log());
}

#[test]
fn fresh_doubt_is_a_warning_with_the_command_that_settles_it() {
    let house = House::build(&Plan { faults: "reset-before-accept", ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    house.wait_for("the doubt", || !ids(&house).is_empty());
    let (attempt, _) = ids(&house).remove(0);
    let command = format!("`ringonce attempts resolve {attempt} (--placed | --not-placed)");
    house.wait_for("the warning", || lines(&house.log(), &["WARN", "customer 1,", &command]) == 1);
}

#[test]
fn stop_and_continuation_of_dialing_have_one_line_each() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    for round in 1..=2 {
        house.hold("flag");
        house.wait_for("the stop", || lines(&house.log(), &["nothing more is dialed"]) == round);
        house.said(&["resume", "--hold", "flag", "--reason", "mended"]);
        house.wait_for("the end", || lines(&house.log(), &["dialing continues"]) == round);
    }
    assert_eq!(lines(&house.log(), &["nothing more is dialed"]), 2, "{}", house.log());
}
