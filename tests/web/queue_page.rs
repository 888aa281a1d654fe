//! The queue, doubts that are settled together, and the journal as sentences.

use crate::house::{House, Plan, customer};
use crate::pages::{Visitor, read};

#[test]
fn the_queue_shows_the_next_due_first_and_a_call_is_cancelled_with_a_reason() {
    let rows = vec![customer(1, "07:05"), customer(2, "07:00")];
    let house = House::build(&Plan { customers: rows, ..Plan::default() });
    house.wait_for("the scan", || house.get("/api/queue")["items"][1].is_object());
    let visitor = Visitor::signed_in(&house);
    let page = visitor.get("/queue");
    assert!(page.find("Person 2") < page.find("Person 1"), "{page}");
    let (_, rest) = page.split_once("action=\"/queue/").expect("a form that cancels");
    let id = rest.split('/').next().expect("an id").to_string();
    let path = format!("/queue/{id}/cancel");
    let mark = visitor.mark();
    assert_eq!(visitor.post(&path, &format!("mark={mark}&reason=")).status, 422);
    let answer = visitor.post(&path, &format!("mark={mark}&reason=she+is+away"));
    assert_eq!(answer.header("location"), Some("/queue?done=cancelled"), "{}", answer.body);
    assert!(read(&visitor.get("/queue?done=cancelled")).contains("The call is cancelled."));
    assert!(!visitor.get("/queue").contains("Person 2"), "a finished item is not next");
    assert!(visitor.get("/queue?status=skipped").contains("she is away"));
    assert_eq!(visitor.post(&path, &format!("mark={mark}&reason=again")).status, 409);
    assert_eq!(house.count("SELECT count(*) FROM journal WHERE what = 'cancel'"), 1);
}

#[test]
fn doubts_of_one_cause_are_settled_together() {
    let rows = vec![customer(1, "07:00"), customer(2, "07:00")];
    let house =
        House::build(&Plan { faults: "reset-before-accept", customers: rows, ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][1].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    let doubts = "SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'";
    house.wait_for("the doubts", || house.count(doubts) == 2);
    let visitor = Visitor::signed_in(&house);
    let page = visitor.get("/queue");
    assert!(page.contains("2 calls are in doubt") && page.contains("Settle all"), "{page}");
    assert!(read(&page).contains("The call is in the log: choose “The phone rang”."), "{page}");
    let ids: Vec<&str> = page
        .split("name=\"id\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("an id"))
        .collect();
    assert_eq!(ids.len(), 2);
    let form = format!("mark={}&id={}&id={}&reason=it+was+down", visitor.mark(), ids[0], ids[1]);
    assert_eq!(visitor.post("/doubts/settle", &form).status, 422, "no outcome was chosen");
    assert_eq!(house.count(doubts), 2);
    let answer = visitor.post("/doubts/settle", &format!("{form}&outcome=placed"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(house.count(doubts), 0);
    let resolved = "SELECT count(*) FROM journal WHERE who = 'page' AND what = 'resolve'";
    assert_eq!(house.count(resolved), 2);
    // The form is sent again: nothing changes, and nothing fails.
    assert_eq!(visitor.post("/doubts/settle", &format!("{form}&outcome=placed")).status, 303);
    assert_eq!(house.count(resolved), 2);
}

#[test]
fn the_journal_tells_what_people_did_and_the_rest_on_demand() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let visitor = Visitor::signed_in(&house);
    let form = format!("mark={}&reason=on+a+journey", visitor.mark());
    assert_eq!(visitor.post("/customers/id:1/pause", &form).status, 303);
    let people = read(&visitor.get("/journal"));
    assert!(people.contains("page paused calls: on a journey"), "{people}");
    assert!(!people.contains("dial changed") && !people.contains("scan changed"), "{people}");
    let all = read(&visitor.get("/journal?all=1"));
    assert!(all.contains("page paused calls") && all.contains("changed attempt"), "{all}");
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
        INSERT INTO journal (at, who, what, subject, why, build)
        SELECT '2026-11-23T12:00:00.000Z', 'Ada', 'note', 'file', 'note ' || i, '0' FROM n";
    house.database().execute(many, []).expect("a long journal");
    let page = visitor.get("/journal");
    assert_eq!(page.matches("note ").count(), 50, "a page has a bounded length");
    assert!(page.contains("Older ones") && !page.contains("on a journey"));
    let (_, rest) = page.split_once("href=\"/journal?before=").expect("older lines");
    let before = rest.split('"').next().expect("an id");
    assert!(visitor.get(&format!("/journal?before={before}")).contains("on a journey"));
}
