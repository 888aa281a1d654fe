//! `base_path`: behind a proxy below a sub-path, nothing that is served names a path outside it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::house::{Answer, House, Plan, TOKEN, customer};

const BASE: &str = "/ops/ringonce";

fn house() -> House {
    let config = format!("[web]\nbase_path = \"{BASE}/\"\n");
    let customers = (1..4).map(|number| customer(number, "07:00")).collect();
    House::build(&Plan { config, customers, ..Plan::default() })
}

fn sign_in(house: &House) -> (Answer, String) {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let form = format!("token={TOKEN}&next=%2Fqueue");
    let answer = house.ask("POST", &format!("{BASE}/login"), &headers, &form);
    let cookie = answer.header("set-cookie").expect("a cookie");
    let pair = cookie.split(';').next().expect("a pair").to_string();
    (answer, pair)
}

/// The values of every attribute that names an address.
fn addresses(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in [" href=\"", " action=\"", " src=\"", " formaction=\""] {
        let values = page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(values.map(|value| value.replace("&amp;", "&")));
    }
    found
}

fn is_inside(address: &str) -> bool {
    let below = address.strip_prefix(BASE);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        || address.starts_with(['#', '?'])
        || address.starts_with("data:")
}

#[test]
fn no_page_that_is_reached_by_links_names_a_path_outside_the_base() {
    let house = house();
    house.place_calls(3);
    let (_, cookie) = sign_in(&house);
    let mut open = vec![format!("{BASE}/")];
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        if 120 < seen.len() || !seen.insert(path.clone()) {
            continue;
        }
        let answer = house.ask("GET", &path, &[("Cookie", &cookie)], "");
        assert!([200, 303].contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
        if let Some(refresh) = answer.header("refresh") {
            assert!(refresh.contains(&format!("url={BASE}/")), "{path}: {refresh}");
        }
        if !answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            continue;
        }
        for address in addresses(&answer.body) {
            assert!(is_inside(&address), "{path} leads to {address}");
            let is_recording = address.ends_with("/recording");
            if address.starts_with(BASE) && !is_recording && !address.ends_with("/logout") {
                open.extend(linked(&answer.body, &address).then_some(address));
            }
        }
    }
    for part in ["/customers", "/queue", "/calls", "/reports", "/do-not-call", "/journal"] {
        assert!(seen.contains(&format!("{BASE}{part}")), "{part} was not reached: {seen:?}");
    }
    let of_a_customer = |path: &String| path.starts_with(&format!("{BASE}/customers/id:"));
    assert!(seen.iter().any(of_a_customer), "{seen:?}");
}

/// Whether the address is a link, not a form that must be posted.
fn linked(page: &str, address: &str) -> bool {
    page.contains(&format!(" href=\"{}\"", address.replace('&', "&amp;")))
}

#[test]
fn redirects_the_cookie_refusals_and_the_forms_stay_below_the_base() {
    let house = house();
    let (answer, cookie) = sign_in(&house);
    let to = format!("{BASE}/queue");
    assert_eq!((answer.status, answer.header("location")), (303, Some(to.as_str())));
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.contains(&format!("; Path={BASE};")), "{set}");
    // Signed out, wrong, and refused pages.
    let stranger = house.ask("GET", &format!("{BASE}/customers"), &[], "");
    assert_eq!(stranger.status, 401);
    let missing = house.ask("GET", &format!("{BASE}/customers/999"), &[("Cookie", &cookie)], "");
    assert_eq!(missing.status, 404);
    for page in [stranger, missing] {
        let outside: Vec<String> =
            addresses(&page.body).into_iter().filter(|address| !is_inside(address)).collect();
        assert!(outside.is_empty(), "{outside:?}");
    }
    // A form is sent where its page says, and leads back below the base.
    let page = house.ask("GET", &format!("{BASE}/customers/id:1"), &[("Cookie", &cookie)], "").body;
    let (_, rest) = page.split_once("name=\"mark\" value=\"").expect("a form");
    let mark = rest.split('"').next().expect("a mark");
    let headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie.as_str())];
    let form = format!("mark={mark}&reason=asked+us");
    let paused = house.ask("POST", &format!("{BASE}/customers/id:1/pause"), &headers, &form);
    let to = paused.header("location").unwrap_or_default();
    assert!(paused.status == 303 && to.starts_with(&format!("{BASE}/customers/")), "{to}");
    let signed_out =
        house.ask("POST", &format!("{BASE}/logout"), &headers, &format!("mark={mark}"));
    assert_eq!(signed_out.header("location"), Some(format!("{BASE}/login").as_str()));
    assert!(signed_out.header("set-cookie").is_some_and(|set| set.contains(BASE)));
}

#[test]
fn the_api_the_webhook_and_the_style_answer_with_and_without_the_base() {
    let house = house();
    let openapi = house.api("GET", &format!("{BASE}/api/openapi.json"), &Value::Null).json();
    assert_eq!(openapi["servers"][0]["url"], BASE);
    for base in [BASE, ""] {
        assert_eq!(house.api("GET", &format!("{base}/api/status"), &Value::Null).status, 200);
        assert_eq!(house.ask("GET", &format!("{base}/style.css"), &[], "").status, 200);
        let secret = [("X-Vapi-Secret", crate::house::SECRET)];
        // Larger than any other body may be.
        let body =
            format!("{{\"message\":{{\"type\":\"hang\",\"x\":\"{}\"}}}}", "y".repeat(100_000));
        let taken = house.ask("POST", &format!("{base}/webhooks/vapi"), &secret, &body);
        assert_eq!(taken.status, 200, "{base}: {}", taken.body);
    }
    assert_eq!(house.ask("GET", "/ops/ringonces/api/status", &[], "").status, 404);
}
