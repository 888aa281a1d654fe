//! Each reason why a call that falls due now would not be dialed: the health check, the page, the
//! API, `status`, `check` and the metrics name the same ones, each with its next command.

use serde_json::{Value, json};

use crate::house::{House, Plan, customer};

/// The words of the reasons that the health check gives, and its status.
fn seen(house: &House) -> (u16, Vec<String>) {
    let answer = house.ask("GET", "/healthz", &[("Accept", "application/json")], "");
    (answer.status, causes(&answer.json()))
}

fn causes(told: &Value) -> Vec<String> {
    let causes = told["causes"].as_array().cloned().unwrap_or_default();
    causes.iter().map(|cause| cause["cause"].as_str().expect("a word").to_string()).collect()
}

/// Every view names this reason and its next command.
fn assert_every_view_tells(house: &House, cause: &str, next: &str) {
    let (status, causes_there) = seen(house);
    assert_eq!(status, 503, "{cause}");
    assert!(causes_there.contains(&cause.to_string()), "{cause}: {causes_there:?}");
    for (view, told) in [
        ("api", house.get("/api/status")),
        ("status", serde_json::from_str(&house.said(&["status", "--json"])).expect("JSON")),
    ] {
        assert_eq!(told["healthy"], json!(false), "{view} {cause}: {told}");
        assert!(causes(&told).contains(&cause.to_string()), "{view} {cause}: {told}");
        let reasons = told["reasons"].to_string();
        assert!(reasons.contains(next), "{view} {cause}: {reasons}");
    }
    let text = house.said(&["status"]);
    assert!(text.contains("health       red"), "{cause}: {text}");
    assert!(text.contains(next), "{cause}: {text}");
    let page = house.api("GET", "/", &Value::Null).body;
    assert!(!page.contains("All well"), "{cause}: {page}");
    let metrics = house.api("GET", "/metrics", &Value::Null).body;
    let line = format!("ringonce_unhealthy{{cause=\"{cause}\"}} 1\n");
    assert!(metrics.contains(&line), "{cause}: {metrics}");
}

#[test]
fn a_provider_that_refuses_connections_is_a_reason_everywhere_after_two_failures() {
    let customers = vec![customer(1, "07:00"), customer(2, "07:00"), customer(3, "07:00")];
    let mut house = House::build(&Plan { customers, ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][2].is_object());
    house.fake.stop();
    house.set_clock("2026-11-23T12:00:00Z");
    house.wait_for("the failure", || {
        0 < house.count("SELECT count(*) FROM call_attempts WHERE state = 'not_placed'")
    });
    house.wait_for("a red light", || seen(&house).0 == 503);
    house.set_clock("2026-11-23T12:15:30Z");
    house.wait_for("the second tries", || {
        3 < house.count("SELECT count(*) FROM call_attempts WHERE state = 'not_placed'")
    });
    house.wait_for("the reason", || seen(&house).1 == ["provider_unreachable"]);
    assert_every_view_tells(&house, "provider_unreachable", "ringonce check --online");
    let body = house.ask("GET", "/healthz", &[], "").body;
    assert!(
        body.contains("requests to the provider fail since Mon 2026-11-23 12:00 UTC"),
        "{body}"
    );
    assert!(!body.contains("+1212"), "{body}");
}

const CALL_ON_A_LINE: &str = "INSERT INTO call_attempts (id, seq, customer_id, customer_key,
    call_type, occasion, attempt_no, phone_key, state, created_at, updated_at)
    VALUES ('a0000000-0000-7000-8000-000000000001', 900001, 1, 'k', 'extra', 'extra:x', 1, 'p',
      'placed', '2026-11-23T11:20:00.000Z', '2026-11-23T11:20:00.000Z')";

#[test]
fn each_thing_that_stops_due_calls_is_the_same_typed_reason_in_every_view() {
    let pause = |scope: &str| {
        format!(
            "INSERT INTO meta VALUES ('pause:{scope}', '{{\"who\":\"Eve\",\"why\":\"busy\",\
             \"since\":\"2026-11-23T11:00:00.000Z\"}}')"
        )
    };
    let hold = "INSERT INTO meta VALUES ('hold:flag', '{\"kind\":\"flag\",\"why\":\"a cause\",
        \"since\":\"2026-11-23T11:00:00.000Z\"}')";
    let breaker = "INSERT INTO meta VALUES ('breaker', '{\"why\":\"answered 402\",
        \"opened_at\":\"2026-11-23T11:40:00.000Z\",\"probe_at\":\"2026-11-23T11:55:00.000Z\"}')";
    let unpaid = "UPDATE customers SET payment_status = 'active'";
    let two_assistants = "UPDATE customers SET assistant = iif(id = 1, 'spanish', 'French')";
    for (cause, statements, next) in [
        ("paused", pause("all"), "ringonce resume --reason WHY"),
        (
            "paused",
            format!("{}; {}", pause("type:daily"), pause("type:welcome")),
            "ringonce resume --type daily --reason WHY",
        ),
        ("held", hold.to_string(), "ringonce resume --hold flag --reason WHY"),
        ("breaker_open", breaker.to_string(), "ringonce resume --reason WHY"),
        ("nobody_eligible", unpaid.to_string(), "ringonce check"),
        ("unknown_assistant", two_assistants.to_string(), "ringonce check"),
        ("no_free_line", CALL_ON_A_LINE.to_string(), "ringonce attempts list --state placed"),
    ] {
        let config = "[dialing]\nmax_active_calls = 1\n".to_string();
        let house = House::build(&Plan { config, ..Plan::default() });
        house.wait_until_well();
        let page = house.api("GET", "/", &Value::Null).body;
        assert!(page.contains("All well"), "{cause}: {page}");
        house.database().execute_batch(&statements).expect(&statements);
        house.wait_for(cause, || seen(&house).1.contains(&cause.to_string()));
        assert_every_view_tells(&house, cause, next);
    }
}

#[test]
fn the_pause_of_one_kind_of_call_leaves_health_green_and_is_shown_on_the_page() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let why = json!({"type": "welcome", "reason": "a new text"});
    assert_eq!(house.api("POST", "/api/pause", &why).status, 200);
    assert_eq!(seen(&house).0, 200);
    let page = house.api("GET", "/", &Value::Null).body;
    assert!(page.contains("All welcome calls are paused since"), "{page}");
    assert!(!page.contains("All well"), "{page}");
}

#[test]
fn nobody_eligible_says_how_many_each_payment_status_excludes() {
    let house = House::build(&Plan {
        customers: vec![customer(1, "07:00"), customer(2, "07:00"), customer(3, "07:00")],
        ..Plan::default()
    });
    house.wait_until_well();
    let unpaid = "UPDATE customers SET payment_status = iif(id = 1, 'trialing', 'active')";
    house.database().execute(unpaid, []).expect("an update");
    house.wait_for("the reason", || seen(&house).1.contains(&"nobody_eligible".to_string()));
    let body = house.ask("GET", "/healthz", &[], "").body;
    for part in [
        "none of 3 customers may be called",
        "2 with the payment status \"active\"",
        "1 with the payment status \"trialing\"",
        "customers.eligible_payment_status: Paid",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
}
