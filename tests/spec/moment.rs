//! The call knows its moment: `variableValues` say where and when the call is made. The variables
//! change what is said, never who is called or how often.

use serde_json::{Map, Value, json};

use crate::world::{World, nobody_home, quick};

/// The variables of every call that was placed, in the order of the calls.
fn told(world: &World) -> Vec<Map<String, Value>> {
    let posts = world.posts();
    posts.iter().flat_map(|post| &post.calls).map(|call| call.order.variables.clone()).collect()
}

#[test]
fn a_call_knows_the_customers_own_time_and_history() {
    let world = World::new();
    let ada = world.customer("Ada").in_zone("Asia/Kolkata").at("17:30").paid().welcomed();
    ada.add();
    world.sql("UPDATE customers SET last_call_date = '2026-01-30', total_calls_made = 7");
    world.tick_at("2026-02-02T12:00:00Z");
    let expected = json!({
        "name": "Ada",
        "local_date": "2026-02-02",
        "local_time": "17:30",
        "weekday": "Monday",
        "timezone": "Asia/Kolkata",
        "call_type": "daily",
        "attempt_no": 1,
        "calls_made": 7,
        "days_since_last_call": 3,
    });
    assert_eq!(json!(told(&world)), json!([expected]));
}

#[test]
fn the_date_is_the_customers_own_where_it_is_tomorrow_already() {
    let world = World::new();
    world.customer("Kai").in_zone("Pacific/Kiritimati").at("08:30").paid().welcomed().add();
    world.tick_at("2026-02-02T18:30:00Z");
    let told = told(&world).remove(0);
    assert_eq!((&told["local_date"], &told["weekday"]), (&json!("2026-02-03"), &json!("Tuesday")));
    assert_eq!(told["local_time"], "08:30");
    // Nobody called Kai before: what is not known is left out.
    assert!(!told.contains_key("days_since_last_call"), "{told:?}");
    assert_eq!(told["calls_made"], 0);
}

#[test]
fn a_retry_tells_the_moment_of_its_own_attempt() {
    let world = World::with(nobody_home(), "");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T14:00:00Z");
    let told = told(&world);
    let of = |name: &str| told.iter().map(|one| one[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("local_time"), ["07:00", "09:00"]);
    assert_eq!(of("attempt_no"), [1, 2]);
    assert_eq!(of("calls_made"), [0, 1]);
    assert_eq!(told[1]["days_since_last_call"], 0, "the first attempt was a call of today");
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn days_count_on_the_customers_calendar_over_all_types_of_calls() {
    let world = World::new();
    let id = world.customer("Ada").in_zone("America/New_York").at("07:00").paid().add();
    world.tick_at("2026-02-02T15:00:00Z");
    world.tick_at("2026-02-03T12:00:00Z");
    let id = id.to_string();
    world.set_clock("2026-02-05T03:00:00Z");
    let extra = world.command(&["call", &id, "--extra", "--reason", "asked"]);
    assert!(extra.code.is_some(), "{extra:?}");
    world.tick_at("2026-02-05T15:00:00Z");
    let told = told(&world);
    let told: Vec<(Value, Option<Value>)> = told
        .iter()
        .map(|one| (one["call_type"].clone(), one.get("days_since_last_call").cloned()))
        .collect();
    assert_eq!(told[0], (json!("welcome"), None));
    assert_eq!(told[1], (json!("daily"), Some(json!(1))));
    assert!(told.len() > 2 && told[2].1 == Some(json!(2)), "{told:?}");
}

#[test]
fn a_customers_own_variable_of_the_same_name_wins() {
    let world = World::new();
    world.daily("Ada");
    let own = r#"{"name": "Countess", "weekday": "lundi", "attempt_no": null, "timezone": {"a": 1},
        "plan": "gold {{ x }}"}"#;
    world.connection().execute("UPDATE customers SET variables = ?1", [own]).unwrap();
    world.tick_at("2026-02-02T12:00:00Z");
    let told = told(&world).remove(0);
    assert_eq!((&told["name"], &told["weekday"]), (&json!("Countess"), &json!("lundi")));
    assert_eq!((&told["attempt_no"], &told["timezone"]), (&json!(null), &json!({"a": 1})));
    assert_eq!((&told["plan"], &told["local_time"]), (&json!("gold {{ x }}"), &json!("07:00")));
}

#[test]
fn the_summary_of_the_last_call_is_sent_only_if_it_is_wanted() {
    for (config, expected) in [("", None), ("send_last_summary = true", Some("asked for tea"))] {
        let world = World::with(quick(), config);
        world.daily("Ada");
        world.daily("Bob");
        world.tick_at("2026-02-02T12:00:00Z");
        // The first call's result is no longer asked for.
        world.tick_at("2026-02-02T13:00:00Z");
        world.sql(
            "UPDATE call_results SET summary = iif(attempt_id IN (SELECT id FROM call_attempts
               WHERE customer_id = 1), 'asked for tea', 'wants a rest')",
        );
        world.tick_at("2026-02-03T12:00:00Z");
        let told = told(&world);
        assert_eq!(told.len(), 4);
        assert!(told[..2].iter().all(|one| !one.contains_key("last_summary")), "{told:?}");
        let of = |name: &str| {
            let one = told[2..].iter().find(|one| one["name"] == name).expect("a call");
            one.get("last_summary").cloned()
        };
        assert_eq!(of("Ada"), expected.map(|text| json!(text)));
        assert_eq!(of("Bob"), expected.map(|_| json!("wants a rest")), "their own words");
    }
}

#[test]
fn the_newest_summary_counts_and_a_long_one_is_cut() {
    let world = World::with(quick(), "send_last_summary = true");
    world.daily("Ada");
    for day in ["2026-02-02", "2026-02-03"] {
        world.tick_at(&format!("{day}T12:00:00Z"));
        world.tick_at(&format!("{day}T13:00:00Z"));
    }
    let long = "é".repeat(5_000);
    let put = "UPDATE call_results SET summary = ?1
        WHERE attempt_id = (SELECT id FROM call_attempts WHERE occasion = ?2)";
    world.connection().execute(put, ["old words", "2026-02-02"]).unwrap();
    world.connection().execute(put, [long.as_str(), "2026-02-03"]).unwrap();
    world.tick_at("2026-02-04T12:00:00Z");
    let told = told(&world).remove(2);
    let summary = told["last_summary"].as_str().expect("a summary");
    assert!(summary.chars().count() == 4_000 && summary.ends_with("é…"), "{}", summary.len());
}

#[test]
fn variables_change_neither_who_is_called_nor_how_often() {
    let calls = |variables: &str| {
        let world = World::with(nobody_home(), "send_last_summary = true");
        world.daily("Ada");
        world.customer("Bob").in_zone("America/New_York").at("07:00").paid().add();
        world.connection().execute("UPDATE customers SET variables = ?1", [variables]).unwrap();
        for time in ["12:00", "14:00", "15:00", "16:30"] {
            world.tick_at(&format!("2026-02-02T{time}:00Z"));
        }
        world.assert_no_phone_rang_twice();
        (world.attempts(), world.items())
    };
    let plain = calls("{}");
    assert!(!plain.0.is_empty());
    let odd = r#"{"occasion": "extra", "call_type": "welcome", "attempt_no": 0, "local_date": "x",
        "customer": {"number": "+12125550199"}, "phoneNumberId": "x", "metadata": {}}"#;
    assert_eq!(calls(odd), plain);
}
