//! A service whose files may not grow for a while: a full disk.

use serde_json::json;

use crate::house::{House, Plan, customer};

fn two_due() -> House {
    let customers = vec![customer(1, "07:00"), customer(2, "07:00")];
    let house = House::build(&Plan { customers, ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][1].is_object());
    house
}

#[test]
fn service_on_a_full_disk_dials_nothing_keeps_its_page_open_and_continues_by_itself() {
    let house = two_due();
    house.limit_files(Some(4096));
    house.set_clock("2026-11-23T12:00:00Z");
    let health = || house.ask("GET", "/healthz", &[], "");
    let words = "ringonce.db cannot be written, because its disk is full";
    house.wait_for("the reason", || health().body.contains(words));
    assert_eq!(health().status, 503);
    assert_eq!(house.fake.rings().len(), 0, "no intent is durable");
    let page = house.api("GET", "/", &json!(null));
    assert!(page.status == 200 && page.body.contains(words), "{}", page.body);
    assert_eq!(house.api("GET", "/api/customers", &json!(null)).status, 200);
    assert!(!house.log().contains("dialing continues"), "{}", house.log());
    house.limit_files(None);
    house.wait_for("the calls", || house.fake.rings().len() == 2);
    house.wait_for("a green light", || health().status == 200);
    let log = house.log();
    for words in ["nothing more is dialed", "dialing continues"] {
        assert_eq!(log.matches(words).count(), 1, "{words}: {log}");
    }
    assert!(log.contains("Make room there (`df -h"), "{log}");
    assert_eq!(house.fake.duplicates(), 0);
    assert_eq!(house.count("SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'"), 0);
}

#[test]
fn outcome_that_a_full_disk_keeps_out_is_written_when_there_is_room_again() {
    let customers = vec![customer(1, "07:00"), customer(2, "07:00")];
    let house = House::build(&Plan { customers, faults: "latency=1500", ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][1].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    house.wait_for("the first call", || !house.fake.rings().is_empty());
    house.limit_files(Some(4096));
    let health = || house.ask("GET", "/healthz", &[], "").body;
    house.wait_for("the halt", || health().contains("1 outcomes cannot be written"));
    assert_eq!(house.fake.rings().len(), 1);
    house.limit_files(None);
    house.wait_for("the other call", || house.fake.rings().len() == 2);
    house.wait_for("both outcomes", || {
        house.count("SELECT count(*) FROM call_attempts WHERE state IN ('placed', 'ended')") == 2
    });
    assert_eq!(house.fake.duplicates(), 0);
}
