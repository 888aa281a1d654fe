//! Health, metrics and the ping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ringonce::http::connections::Limits;
use ringonce::http::listener::Listener;
use ringonce::http::request::Request;
use ringonce::http::response::Response;
use serde_json::json;

use crate::house::{House, Plan};

#[test]
fn health_is_green_when_nothing_stands_between_a_call_and_its_phone() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let answer = house.ask("GET", "/healthz", &[], "");
    assert_eq!((answer.status, answer.body.trim()), (200, "ok"));
    let told = house.ask("GET", "/healthz", &[("Accept", "application/json")], "").json();
    assert_eq!(told, json!({"status": "ok", "reasons": []}));
}

#[test]
fn health_answers_red_with_the_reason_while_the_provider_cannot_be_read() {
    let nowhere = "http://127.0.0.1:9".to_string();
    let house = House::build(&Plan { base_url: Some(nowhere), ..Plan::default() });
    house.wait_for("the reason", || {
        let answer = house.ask("GET", "/healthz", &[], "");
        answer.status == 503 && answer.body.contains("records")
    });
    let status = house.get("/api/status");
    assert_eq!(status["healthy"], json!(false), "{status}");
    let page = house.api("GET", "/", &json!(null));
    assert!(page.body.contains("Nothing is dialed"), "{}", page.body);
}

#[test]
fn a_call_in_doubt_turns_health_red_and_a_person_settles_it_over_the_api() {
    let house = House::build(&Plan { faults: "reset-before-accept", ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    house.wait_for("the doubt", || house.count(IN_DOUBT) == 1);
    house.wait_for("a red light", || {
        house.ask("GET", "/healthz", &[], "").body.contains("1 call is in doubt")
    });
    let attempts = house.get("/api/attempts?state=in_doubt");
    let id = attempts["attempts"][0]["id"].as_str().expect("an id");
    let path = format!("/api/attempts/{id}/resolve");
    let without = house.api("POST", &path, &json!({"outcome": "placed"}));
    assert_eq!((without.status, without.json()["field"].clone()), (422, json!("reason")));
    let word = json!({"outcome": "placed", "reason": "they told us"});
    let settled = house.api("POST", &path, &word);
    assert_eq!((settled.status, settled.json()["became"].clone()), (200, json!("placed")));
    let again = house.api("POST", &path, &word);
    assert_eq!(again.status, 409, "{}", again.body);
    assert_eq!(house.fake.duplicates(), 0);
}

#[test]
fn a_wal_that_is_no_longer_checkpointed_is_shown_on_the_page_and_in_the_status() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let told = || [house.api("GET", "/", &json!(null)).body, house.said(&["status"])];
    let words = "the write-ahead log has grown to 300 MiB";
    assert!(told().iter().all(|text| !text.contains("the write-ahead log has grown")));
    // SQLite ignores bytes behind the last page of the WAL.
    let log = house.folder.path().join("ringonce.db-wal");
    let log = std::fs::OpenOptions::new().append(true).open(log).expect("the log");
    log.set_len(300 << 20).expect("a long log");
    for text in told() {
        assert!(text.contains(words), "{text}");
    }
    log.set_len(4 << 20).expect("a short log");
    assert!(told().iter().all(|text| !text.contains(words)));
}

const IN_DOUBT: &str = "SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'";

#[test]
fn a_breaker_turns_health_red_until_its_probe_may_go_also_when_nobody_is_due() {
    let house = House::build(&Plan { faults: "status=402", ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    let body = || house.ask("GET", "/healthz", &[], "").body;
    house.wait_for("a red light", || body().contains("the breaker is open since"));
    assert_eq!(house.get("/api/status")["breaker"]["half_open"], json!(false));
    let page = || house.api("GET", "/", &json!(null)).body;
    assert!(page().contains("The provider refuses calls since"), "{}", page());
    // By then the occasion is over and nobody else is due, so the probe is not sent.
    house.set_clock("2026-11-23T20:00:00Z");
    house.wait_for("a green light", || body().trim() == "ok");
    assert_eq!(house.get("/api/status")["breaker"]["half_open"], json!(true));
    assert!(page().contains("The next call is a probe"), "{}", page());
    let metrics = house.api("GET", "/metrics", &json!(null)).body;
    for line in ["ringonce_breaker_open 0.0\n", "ringonce_breaker_half_open 1.0\n"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn metrics_count_calls_and_their_lateness() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    house.set_clock("2026-11-23T12:20:00Z");
    house.wait_for("the end of the call", || {
        let metrics = house.api("GET", "/metrics", &json!(null)).body;
        metrics.contains("ringonce_calls_total{type=\"daily\",disposition=\"answered\"} 1\n")
    });
    let answer = house.api("GET", "/metrics", &json!(null));
    assert!(answer.header("content-type").is_some_and(|kind| kind.contains("openmetrics-text")));
    for line in [
        "ringonce_lateness_seconds_count{type=\"daily\"} 1\n",
        "ringonce_in_doubt 0.0\n",
        "ringonce_lines_max 8.0\n",
        "ringonce_held 0.0\n",
        "ringonce_provider_seconds_count{method=\"place\",outcome=\"ok\"} 1\n",
        "ringonce_provider_seconds_bucket{le=\"60.0\",method=\"place\",outcome=\"ok\"} 1\n",
    ] {
        assert!(answer.body.contains(line), "{line}: {}", answer.body);
    }
    for method in ["get", "list"] {
        let line = format!("ringonce_provider_seconds_sum{{method=\"{method}\",outcome=\"ok\"}}");
        assert!(answer.body.contains(&line), "{method}: {}", answer.body);
    }
    assert!(!answer.body.contains("ringonce_backup_failed"), "no backups are asked for");
    assert!(answer.body.ends_with("# EOF\n"));
    assert!(!answer.body.contains("+1212"), "a phone number is in the metrics");
}

#[test]
fn a_backup_that_fails_turns_health_red_and_holds_no_call_up() {
    let config = "[backup]\ncron = \"0 12 * * *\"\nfolder = \"customers.csv\"\n".to_string();
    let house = House::build(&Plan { config, ..Plan::default() });
    house.place_calls(1);
    house.wait_for("a red light", || {
        house
            .ask("GET", "/healthz", &[], "")
            .body
            .contains("no backup since Mon 2026-11-23 12:00 UTC")
    });
    assert!(house.get("/api/status")["backup_trouble"].is_string());
    assert!(house.api("GET", "/", &json!(null)).body.contains("Backups: no backup since"));
    let metrics = house.api("GET", "/metrics", &json!(null)).body;
    assert!(metrics.contains("ringonce_backup_failed 1.0\n"), "{metrics}");
}

#[test]
fn the_ping_url_is_asked_after_a_good_scan() {
    let pings = Arc::new(AtomicUsize::new(0));
    let listener = Listener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let handler = {
        let pings = Arc::clone(&pings);
        Arc::new(move |_: Request| {
            pings.fetch_add(1, Ordering::SeqCst);
            Response::text(200, "ok")
        })
    };
    let stop = Arc::new(AtomicBool::new(false));
    let _serving = listener.serve(handler, Limits::default(), stop).expect("a server");
    let config = format!("[web]\nping_url = \"http://{address}/ping\"\n");
    let house = House::build(&Plan { config, ..Plan::default() });
    house.wait_for("a ping", || 1 <= pings.load(Ordering::SeqCst));
}

#[test]
fn nobody_signs_up_over_the_api_by_a_clock_that_the_provider_contradicts() {
    // A year behind this clock.
    let house = House::build(&Plan { faults: "date-skew=-31536000", ..Plan::default() });
    let eve = json!({"external_id": "e1", "phone": "+12125550199", "timezone": "Europe/London"});
    let held = "SELECT count(*) FROM meta WHERE key = 'date_disagreed'";
    house.wait_for("the service to compare the clocks", || house.count(held) == 1);
    let refused = house.api("POST", "/api/customers", &eve);
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("2025-11-23"), "{}", refused.body);
    assert_eq!(house.count("SELECT count(*) FROM customers"), 1);
    house.fake.set_faults("".parse().expect("no faults"));
    house.wait_for("the sign-up", || house.api("POST", "/api/customers", &eve).status == 201);
}

#[test]
fn by_a_clock_that_is_behind_somebody_signs_up_over_the_api_and_no_call_is_asked_for() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let eve = json!({"external_id": "e1", "phone": "+12125550199", "timezone": "Europe/London"});
    house.set_clock("2026-11-21T12:00:00Z");
    let refused = house.api("POST", "/api/customers/u1/call", &json!({"reason": "asked"}));
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("already seen"), "{}", refused.body);
    assert_eq!(house.count("SELECT count(*) FROM call_queue WHERE call_type = 'extra'"), 0);
    let added = house.api("POST", "/api/customers", &eve);
    assert_eq!(added.status, 201, "{}", added.body);
}
