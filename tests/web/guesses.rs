//! Wrong tokens are limited, and nobody is locked out for long.

use serde_json::Value;

use crate::house::{Answer, House, Plan, TOKEN};

fn sign_in(house: &House, token: &str, forwarded: &str) -> Answer {
    let form = format!("token={token}&next=%2Fqueue");
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    house.ask("POST", "/login", &[kind, ("X-Forwarded-For", forwarded)], &form)
}

fn bearer(house: &House, path: &str, token: &str) -> Answer {
    house.ask("GET", path, &[("Authorization", &format!("Bearer {token}"))], "")
}

#[test]
fn sixth_wrong_sign_in_waits_and_the_right_token_enters_after_ten_seconds() {
    let house = House::build(&Plan::default());
    let cookie = sign_in(&house, TOKEN, "").header("set-cookie").expect("a cookie").to_string();
    let statuses: Vec<u16> = (0..7).map(|_| sign_in(&house, "wrong", "").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let limited = sign_in(&house, TOKEN, "");
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("10")));
    assert!(limited.body.contains("wait 10 seconds"), "{}", limited.body);
    assert!(limited.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    // A signed-in person and every program can continue.
    let session = cookie.split(';').next().expect("a pair");
    assert_eq!(house.ask("GET", "/queue", &[("Cookie", session)], "").status, 200);
    assert_eq!(house.api("GET", "/api/status", &Value::Null).status, 200);
    house.set_clock("2026-11-23T11:45:10Z");
    assert_eq!(sign_in(&house, TOKEN, "").status, 303);
    assert_eq!(sign_in(&house, "wrong", "").status, 401);
    assert!(house.log().contains("attempts to sign in from 127.0.0.1 are limited"));
}

#[test]
fn wrong_bearers_are_limited_and_the_right_one_always_passes() {
    let house = House::build(&Plan::default());
    let statuses: Vec<u16> =
        (0..61).map(|_| bearer(&house, "/api/status", "wrong").status).collect();
    assert_eq!((statuses[59], statuses[60]), (401, 429), "{statuses:?}");
    for path in ["/api/status", "/queue", "/metrics"] {
        let limited = bearer(&house, path, "wrong");
        assert_eq!((limited.status, limited.header("retry-after")), (429, Some("1")), "{path}");
        assert_eq!(bearer(&house, path, TOKEN).status, 200, "{path}");
        // A request without a token does not count as a guess.
        assert_eq!(house.ask("GET", path, &[], "").status, 401, "{path}");
    }
    assert_eq!(sign_in(&house, TOKEN, "").status, 303, "a program keeps no person out");
}

#[test]
fn behind_a_proxy_each_visitor_is_limited_alone() {
    let config = "[web]\nforwarded_for = true\n".to_string();
    let house = House::build(&Plan { config, ..Plan::default() });
    // The visitor invents the part of the header that the proxy did not write.
    for invented in 0..5 {
        let forwarded = format!("10.0.0.{invented}, 192.0.2.7");
        assert_eq!(sign_in(&house, "wrong", &forwarded).status, 401);
    }
    assert_eq!(sign_in(&house, "wrong", "10.0.0.9, 192.0.2.7").status, 429);
    assert_eq!(sign_in(&house, TOKEN, "192.0.2.7").status, 429);
    assert_eq!(sign_in(&house, TOKEN, "192.0.2.8").status, 303);
}

#[test]
fn header_of_a_proxy_that_is_not_configured_counts_for_nothing() {
    let house = House::build(&Plan::default());
    let statuses: Vec<u16> =
        (0..6).map(|n| sign_in(&house, "wrong", &format!("192.0.2.{n}")).status).collect();
    assert_eq!(statuses[5], 429, "{statuses:?}");
}
