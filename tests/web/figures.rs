//! The figures of one world are the same on the page, in `status`, in the API, in the metrics and
//! in `plan`, whatever has happened in it.

use serde_json::Value;

use crate::house::{House, Plan, customer};

/// A small generator, so that a failure names its world.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// The figures that each view shows, as texts. The next call is in minutes.
fn figures(house: &House) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let status: Value = serde_json::from_str(&house.said(&["status", "--json"])).expect("JSON");
    let page = house.api("GET", "/", &Value::Null).body;
    let metrics = house.api("GET", "/metrics", &Value::Null).body;
    let tile = |name: &str| {
        let start = format!("{name}</span><span class=\"value\">");
        let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{name}: {page}"));
        rest.split('<').next().expect("a value").to_string()
    };
    let metric = |name: &str| {
        let start = format!("ringonce_{name} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or("none").trim_end_matches(".0").to_string()
    };
    let said = |found: &Value| {
        let total = |list: &Value| {
            let counts = list.as_array().expect("a list").iter();
            counts.map(|count| count["count"].as_i64().expect("a count")).sum::<i64>().to_string()
        };
        let today = &found["today"];
        vec![
            ("due", found["due"].to_string()),
            ("waiting", total(&found["waiting"])),
            ("called", today["called"].to_string()),
            ("reached", today["reached"].to_string()),
            ("failed", today["failed"].to_string()),
            ("skipped", total(&today["skipped"])),
            ("in doubt", found["in_doubt"].as_array().expect("a list").len().to_string()),
            ("lines", found["lines_in_use"].to_string()),
        ]
    };
    let on_the_page = ["Due now", "Waiting", "Called today", "Reached today", "Failed today"];
    let more = ["Skipped today", "In doubt"];
    let names = ["due", "waiting", "called", "reached", "failed", "skipped", "in doubt"];
    let tiles = on_the_page.into_iter().chain(more).map(tile);
    let mut shown: Vec<(&str, String)> = names.into_iter().zip(tiles).collect();
    let lines = page.split_once("<p class=\"big\">").expect("lines").1;
    shown.push(("lines", lines.split_whitespace().next().expect("a number").to_string()));
    let of_metrics = [
        ("due", metric("due")),
        ("waiting", metric("waiting")),
        ("called", metric("called_today")),
        ("reached", metric("reached_today")),
        ("failed", metric("failed_today")),
        ("skipped", metric("skipped_today")),
        ("in doubt", metric("in_doubt")),
        ("lines", metric("lines_in_use")),
    ];
    vec![
        ("status", said(&status)),
        ("api", said(&house.get("/api/status"))),
        ("page", shown),
        ("metrics", of_metrics.to_vec()),
    ]
}

/// When the next call falls due, as each view says it.
fn next_calls(house: &House) -> Vec<(&'static str, String)> {
    let at = |found: &Value| found["next_call_at"].as_str().unwrap_or("none").to_string();
    let status: Value = serde_json::from_str(&house.said(&["status", "--json"])).expect("JSON");
    let metrics = house.api("GET", "/metrics", &Value::Null).body;
    let seconds = metrics.lines().find_map(|line| {
        line.strip_prefix("ringonce_next_call_timestamp_seconds ")?.parse::<f64>().ok()
    });
    let metric = seconds.map_or("none".to_string(), |seconds| {
        let at = chrono::DateTime::from_timestamp(seconds as i64, 0).expect("an instant");
        ringonce::domain::instant_text(at)
    });
    vec![("status", at(&status)), ("api", at(&house.get("/api/status"))), ("metrics", metric)]
}

fn assert_all_agree(house: &House, world: &str) {
    // The text of a scrape is reused for some seconds.
    house.wait_for("fresh metrics", || {
        let (all, next) = (figures(house), next_calls(house));
        all[0].1 == all[3].1 && next[0].1 == next[2].1
    });
    let all = figures(house);
    let (_, first) = &all[0];
    for (view, figures) in &all[1..] {
        for (name, value) in first {
            let shown = figures.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            assert_eq!(shown, Some(value), "{world}: {name} of {view}, and of status");
        }
    }
    let next = next_calls(house);
    for (view, at) in &next[1..] {
        assert_eq!(*at, next[0].1, "{world}: the next call of {view}");
    }
    let page = house.api("GET", "/", &Value::Null).body;
    let text = house.said(&["status"]);
    let tile = page.split_once("Next call</span><span class=\"value\">").expect("a tile").1;
    let tile = tile.split('<').next().expect("a value");
    let line = text.lines().find(|line| line.starts_with("next call")).expect("a line");
    assert!(line.contains(tile), "{world}: {tile} on the page, {line} in status");
    assert_plan_agrees(house, &next[0].1, world);
}

/// The first planned call that nothing is against is the next call.
fn assert_plan_agrees(house: &House, next: &str, world: &str) {
    let plan: Value =
        serde_json::from_str(&house.said(&["plan", "--days", "3", "--json"])).expect("JSON");
    let calls = plan.as_array().expect("a list").iter();
    let mut open = calls.filter(|call| call["against"].is_null());
    let planned = open.next().map_or("none", |call| call["at"].as_str().expect("an instant"));
    assert_eq!(planned, next, "{world}: {plan}");
}

/// Moves the clock, and waits until the service has done everything due by then.
fn settle(house: &House, clock: &str) {
    house.set_clock(clock);
    house.wait_for("the scan", || {
        let status = house.get("/api/status");
        status["last_scan_at"].as_str().is_some_and(|at| at >= clock.trim_end_matches('Z'))
    });
    let dialing = "SELECT count(*) FROM call_attempts WHERE state = 'dialing'";
    house.wait_for("the replies", || house.count(dialing) == 0);
    let due = "SELECT count(*) FROM call_queue WHERE status IN ('pending', 'retrying')
        AND reason IS NULL
        AND coalesce(not_before, scheduled_for) <= strftime('%Y-%m-%dT%H:%M:%fZ', ?1)";
    let to_poll = "SELECT count(*) FROM call_attempts WHERE state = 'placed'
        AND next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', ?1)";
    for (what, sql) in [("the calls", due), ("the ends", to_poll)] {
        house.wait_for(what, || {
            let counted: Result<i64, _> =
                house.database().query_one(sql, [clock], |row| row.get(0));
            counted.expect("a count") == 0
        });
    }
}

#[test]
fn every_view_shows_the_same_figures_in_random_worlds() {
    for seed in 1..=3_u64 {
        let mut dice = Dice(seed);
        let customers: Vec<String> = (1..=9)
            .map(|number| {
                let minute = ["07:00", "07:00", "07:05", "08:30", "18:00"][dice.below(5) as usize];
                customer(number, minute)
            })
            .collect();
        let faults = ["", "status=400:first=2", "reset-before-accept:first=1"];
        let faults = faults[dice.below(3) as usize];
        let house = House::build(&Plan { customers, faults, ..Plan::default() });
        house.wait_until_well();
        let world = format!("world {seed} with \"{faults}\" before anything is due");
        assert_all_agree(&house, &world);
        let paused = 1 + dice.below(9);
        house.said(&["customers", "pause", &format!("id:{paused}"), "--reason", "away"]);
        let listed = format!("+121255501{:02}", 1 + dice.below(9));
        house.said(&["dnc", "add", &listed, "--reason", "asked"]);
        for clock in ["2026-11-23T12:00:00Z", "2026-11-23T12:15:00Z", "2026-11-23T17:00:00Z"] {
            settle(&house, clock);
            assert_all_agree(&house, &format!("world {seed} with \"{faults}\" at {clock}"));
        }
    }
}

#[test]
fn what_an_erasure_keeps_of_a_flag_is_a_call_in_no_view() {
    let house = House::build(&Plan { customers: vec![customer(1, "07:00")], ..Plan::default() });
    let flags = "UPDATE customers SET welcome_call_completed = 1, last_call_date = '2026-11-23'";
    house.database().execute_batch(flags).expect("written");
    let erased = house.said(&["customers", "erase", "id:1", "--reason", "asked"]);
    assert!(erased.contains("erased customer 1"), "{erased}");
    assert!(house.count("SELECT count(*) FROM call_attempts WHERE seq < 0") > 0);
    let none = |found: &Value| found.as_array().is_some_and(Vec::is_empty);
    assert_eq!(house.get("/api/status")["today"]["called"], 0);
    assert!(none(&house.get("/api/attempts")["attempts"]));
    assert!(none(&house.get("/api/attempts?changed_after=0")["attempts"]));
    assert_eq!(house.get("/api/report")["total"]["calls"], 0);
    let listed: Value = serde_json::from_str(&house.said(&["attempts", "list", "--json"])).unwrap();
    assert!(none(&listed), "{listed}");
    house.wait_for("fresh metrics", || {
        let metrics = house.api("GET", "/metrics", &Value::Null).body;
        let calls = metrics.lines().filter(|line| line.starts_with("ringonce_calls"));
        calls.clone().all(|line| line.ends_with(" 0")) && metrics.contains("ringonce_customers 0")
    });
    let page = house.api("GET", "/", &Value::Null).body;
    assert!(page.contains("Called today</span><span class=\"value\">0"), "{page}");
}
