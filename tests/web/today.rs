//! The first page: its order, its one chart, and that it refreshes itself without losing a form.

use crate::house::{Answer, House, Plan};
use crate::pages::{Visitor, read};

fn open(house: &House, visitor: &Visitor<'_>, path: &str) -> Answer {
    let answer = house.ask("GET", path, &[("Cookie", &visitor.cookie)], "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer
}

#[test]
fn today_refreshes_itself_unless_a_form_stands_on_it() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let today = open(&house, &visitor, "/?done=paused");
    assert_eq!(today.header("refresh"), Some("60; url=/"), "what was done is said once");
    assert!(
        !today.body.contains("<input type=\"text\"") && !today.body.contains("name=\"reason\" req")
    );
    assert!(read(&today.body).contains("last refreshed 11:45:00 UTC, every minute"));
    let days = open(&house, &visitor, "/?chart=days");
    assert_eq!(days.header("refresh"), Some("60; url=/?chart=days"));
    for still in ["/?refresh=off", "/?act=pause"] {
        let page = open(&house, &visitor, still);
        assert_eq!(page.header("refresh"), None, "{still}");
        assert!(read(&page.body).contains("last refreshed 11:45:00"), "{still}");
    }
    assert!(open(&house, &visitor, "/?act=pause").body.contains("id=\"pause-reason\""));
    // An alarm brings its form, so the page stands still.
    house.hold("flag");
    let held = open(&house, &visitor, "/");
    assert_eq!(held.header("refresh"), None);
    assert!(held.body.contains("name=\"hold\" value=\"flag\""));
}

#[test]
fn today_shows_one_chart_and_no_empty_grid() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let empty = visitor.get("/");
    assert!(empty.contains("No calls yet today.") && !empty.contains("figure"), "{empty}");
    assert!(!empty.contains("calls begin in a minute"), "the pace does not bind");
    house.place_calls(1);
    let visitor = Visitor::signed_in(&house);
    let hours = visitor.get("/");
    assert_eq!(hours.matches("<figure").count(), 1);
    assert!(hours.contains("Calls of today by hour") && !hours.contains("last 14 days: "));
    let days = visitor.get("/?chart=days");
    assert_eq!(days.matches("<figure").count(), 1);
    assert!(days.contains("Calls of the last 14 days"));
    let at = |text: &str| hours.find(text).unwrap_or_else(|| panic!("{text}: {hours}"));
    assert!(at("Next in the queue") < at("<figure") && at("Latest calls") < at("<figure"));
}

#[test]
fn the_pace_is_named_where_it_binds() {
    let rows = (1..=3).map(|number| crate::house::customer(number, "07:00")).collect();
    let config = "[dialing]\ncalls_per_minute = 1\n".to_string();
    let house = House::build(&Plan { config, customers: rows, ..Plan::default() });
    house.wait_for("the scan", || house.get("/api/queue")["items"][2].is_object());
    let visitor = Visitor::signed_in(&house);
    let pause = format!("scope=all&reason=a+test&mark={}", visitor.mark());
    assert_eq!(visitor.post("/pause", &pause).status, 303);
    house.set_clock("2026-11-23T12:00:00Z");
    let due = "3 calls are due. At most 1 calls begin in a minute.";
    assert!(read(&visitor.get("/")).contains(due));
}

#[test]
fn a_refused_pause_of_daily_calls_does_not_become_a_pause_of_all() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let form = format!("mark={}&scope=type%3Adaily&reason=", visitor.mark());
    let headers = [
        ("Cookie", visitor.cookie.as_str()),
        ("Referer", "http://x/?act=pause"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let refused = house.ask("POST", "/pause", &headers, &form);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("value=\"type:daily\" selected"), "{}", refused.body);
}
