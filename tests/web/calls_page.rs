//! The list of calls with its filters, and the page of one call.

use crate::house::{House, Plan, customer};
use crate::pages::{Visitor, read};

fn ended_calls(plan: &Plan, calls: usize) -> House {
    let house = House::build(plan);
    house.place_calls(calls);
    house.set_clock("2026-11-23T12:10:00Z");
    let ended = "SELECT count(*) FROM call_attempts WHERE state = 'ended'";
    house.wait_for("the end", || house.count(ended) == calls as i64);
    house
}

#[test]
fn a_row_of_the_calls_opens_the_call_with_its_reason_in_words_and_its_cost() {
    let nobody = "ended-reason=customer-did-not-answer";
    let house = ended_calls(&Plan { faults: nobody, ..Plan::default() }, 1);
    let priced = "UPDATE call_attempts SET cost = 0.0123, duration_seconds = 80.2";
    house.database().execute(priced, []).expect("a price");
    let visitor = Visitor::signed_in(&house);
    let list = visitor.get("/calls");
    let (_, rest) = list.split_once("href=\"/calls/").expect("a link to the call");
    let id = rest.split('"').next().expect("an id");
    let page = visitor.get(&format!("/calls/{id}"));
    let told = read(&page);
    for words in [
        "Call of Person 1",
        "no answer",
        "nobody answered customer-did-not-answer",
        "1.2 ¢",
        "1 min 20 s",
        "Mon 23 Nov, 07:00 UTC-5",
        "+1•••••••0101",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(page.contains("href=\"/customers/id:1\"") && !page.contains("2125550101"));
    let timeline = visitor.get("/customers/id:1");
    assert!(timeline.contains(&format!("href=\"/calls/{id}\"")), "{timeline}");
    let unknown = house.ask("GET", "/calls/ffffffff", &[("Cookie", &visitor.cookie)], "");
    assert_eq!(unknown.status, 404);
}

#[test]
fn calls_are_filtered_by_date_and_ending_and_saved_as_a_file() {
    let rows = vec![customer(1, "07:00"), customer(2, "07:00")];
    let house = ended_calls(&Plan { customers: rows, ..Plan::default() }, 2);
    let earlier = "UPDATE call_attempts SET created_at = '2026-11-20T12:00:00.000Z' \
                   WHERE customer_id = 1";
    house.database().execute(earlier, []).expect("an earlier call");
    let visitor = Visitor::signed_in(&house);
    for (query, first, second) in [
        ("", true, true),
        ("from=2026-11-23", false, true),
        ("to=2026-11-22", true, false),
        ("from=2026-11-20&to=2026-11-20", true, false),
        ("from=2026-11-24", false, false),
        ("disposition=busy", false, false),
        ("disposition=answered&type=daily&from=2026-11-23&to=2026-11-23", false, true),
    ] {
        let page = visitor.get(&format!("/calls?{query}"));
        assert_eq!(page.contains("Person 1"), first, "{query}: {page}");
        assert_eq!(page.contains("Person 2"), second, "{query}: {page}");
        let file = visitor.get(&format!("/calls.csv?{query}"));
        assert_eq!(file.contains("Person 1"), first, "{query}: {file}");
        assert!(file.starts_with("id,seq,") && !file.contains("2125550101"), "{file}");
    }
    let wrong = house.ask("GET", "/calls?from=yesterday", &[("Cookie", &visitor.cookie)], "");
    assert_eq!(wrong.status, 422);
}
