//! The list of customers: filters in people's words, the count, the order, and the file.

use crate::house::{House, Plan, customer};
use crate::pages::{Visitor, read};

#[test]
fn customers_are_filtered_by_how_things_stand_counted_ordered_and_saved() {
    let unpaid = customer(3, "08:00").replace("Paid", "Pending");
    let rows = vec![customer(1, "07:00"), customer(2, "09:00"), unpaid, customer(4, "10:00")];
    let house = House::build(&Plan { customers: rows, ..Plan::default() });
    house.place_calls(1);
    house.set_clock("2026-11-23T12:10:00Z");
    let answered = "SELECT count(*) FROM call_attempts WHERE disposition = 'answered'";
    house.wait_for("the end", || house.count(answered) == 1);
    let visitor = Visitor::signed_in(&house);
    let act = |path: &str| {
        let form = format!("mark={}&reason=she+asked", visitor.mark());
        assert_eq!(visitor.post(path, &form).status, 303);
    };
    act("/customers/id:2/pause");
    act("/customers/id:4/do-not-call");
    for (query, expected) in [
        ("", vec![1, 2, 3, 4]),
        ("state=reached", vec![1]),
        ("state=reached&since=2026-11-24", vec![]),
        ("state=not_reached", vec![2, 3, 4]),
        ("since=2026-11-24", vec![1, 2, 3, 4]),
        ("state=paused", vec![2]),
        ("state=never_call", vec![4]),
        ("state=not_eligible", vec![3]),
        ("state=in_doubt", vec![]),
        ("state=stopped", vec![]),
        ("state=bad_number", vec![]),
        ("state=not_reached&q=person+3", vec![3]),
    ] {
        let page = visitor.get(&format!("/customers?{query}"));
        let file = visitor.get(&format!("/customers.csv?{query}"));
        for id in 1..=4 {
            let is_shown = expected.contains(&id);
            assert_eq!(page.contains(&format!("/customers/id:{id}\"")), is_shown, "{query} {id}");
            assert_eq!(file.contains(&format!("Person {id}")), is_shown, "{query} {id}: {file}");
        }
        let counted = match expected.len() {
            1 => "1 customer".to_string(),
            count => format!("{count} customers"),
        };
        assert!(read(&page).contains(&counted), "{query}: {}", read(&page));
        assert!(!file.contains("212555"), "{file}");
    }
    let newest = visitor.get("/customers?sort=newest");
    assert!(newest.find("Person 4") < newest.find("Person 1"), "{newest}");
    let by_call = visitor.get("/customers?sort=next_call");
    assert!(by_call.find("Person 3") < by_call.find("Person 1"), "{by_call}");
    for column in ["Time zone", "Wants to be called", "How it stands"] {
        assert!(newest.contains(&format!("<th scope=\"col\">{column}</th>")), "{column}");
    }
    let cookie = [("Cookie", visitor.cookie.as_str())];
    for wrong in ["state=angry", "since=soon", "sort=height"] {
        assert_eq!(house.ask("GET", &format!("/customers?{wrong}"), &cookie, "").status, 422);
    }
}

#[test]
fn a_long_list_goes_on_with_the_same_filter_and_order() {
    let rows = (1..=60).map(|number| customer(number, "19:00")).collect();
    let house = House::build(&Plan { customers: rows, ..Plan::default() });
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let first = visitor.get("/customers?q=person&sort=newest&state=not_reached");
    assert!(first.contains("Person 60") && !first.contains(">Person 10<"), "{first}");
    let link = "/customers?q=person&amp;sort=newest&amp;state=not_reached&amp;after=50";
    assert!(first.contains(link), "{first}");
    let second = visitor.get(&link.replace("&amp;", "&"));
    assert!(second.contains(">Person 10<") && !second.contains(">Person 11<"), "{second}");
    assert!(!second.contains(">More<"));
}
