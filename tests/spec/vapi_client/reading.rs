//! Reading back: one call, and every call of a window.

use std::collections::HashSet;

use chrono::Duration;
use ringonce::domain::parse_instant;
use ringonce::provider::{Provider, ReadError};
use serde_json::{Value, json};

use super::little_vapi::{Order, little_vapi, row, start_of_day};
use super::server::{Server, answer, own_form};
use super::{KEY, client, hasty, parsed, sample};

#[test]
fn an_ended_call_is_read_with_all_its_fields() {
    let body = sample("call_ended_answered.json");
    let id = parsed(&body)["id"].as_str().unwrap().to_string();
    let server = Server::always(answer(200, "Date: Sun, 22 Nov 2026 17:08:00 GMT\r\n", &body));
    let fetched = client(&server.url()).get(&id).unwrap();
    let call = fetched.call;
    assert!(call.is_ended());
    assert_eq!(call.ended_reason.as_deref(), Some("customer-ended-call"));
    assert_eq!(call.cost, Some(0.1173));
    assert_eq!(call.started_at, parse_instant("2026-11-22T17:06:11.123Z"));
    assert_eq!(call.ended_at, parse_instant("2026-11-22T17:07:30.123Z"));
    assert_eq!(call.summary.as_deref(), Some("The customer was reached and talked."));
    assert!(call.transcript.unwrap().starts_with("AI: Hi"));
    assert_eq!(call.customer_number.as_deref(), Some("+12125550106"));
    assert_eq!(call.name, call.attempt_tag);
    assert_eq!(call.name, call.external_id);
    assert_eq!(fetched.date, parse_instant("2026-11-22T17:08:00Z"));
    let request = &server.requests()[0];
    assert_eq!(request.line(), format!("GET /call/{id} HTTP/1.1"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn a_call_that_cannot_be_read_is_sorted_and_asked_for_once() {
    type Expected = fn(&ReadError) -> bool;
    let cases: [(Vec<u8>, Expected); 9] = [
        (own_form(404, "no"), |e| matches!(e, ReadError::NotFound)),
        (own_form(401, "no"), |e| matches!(e, ReadError::Unauthorized(_))),
        (own_form(403, "no"), |e| matches!(e, ReadError::Unauthorized(_))),
        (own_form(429, "no"), |e| matches!(e, ReadError::Unavailable(_))),
        (own_form(500, "no"), |e| matches!(e, ReadError::Unavailable(_))),
        (answer(302, "Location: /x\r\n", ""), |e| matches!(e, ReadError::Unavailable(_))),
        (answer(200, "", "<html>"), |e| matches!(e, ReadError::Unavailable(_))),
        (answer(200, "", r#"{"id":"another"}"#), |e| matches!(e, ReadError::Unavailable(_))),
        (b"HTTP/1.1 20".to_vec(), |e| matches!(e, ReadError::Unavailable(_))),
    ];
    for (reply, expected) in cases {
        let server = Server::always(reply);
        let error = client(&server.url()).get("call-1").unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert!(!error.to_string().contains(KEY));
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_sample_page_is_read_oldest_first() {
    let server = Server::replying(|request| {
        let more = request.target().contains("createdAtLe");
        answer(200, "", &if more { "[]".to_string() } else { sample("list.json") })
    });
    let since = parse_instant("2026-11-22T17:00:00Z").unwrap();
    let listing = client(&server.url()).list(since).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (6, 0));
    assert!(listing.calls.is_sorted_by_key(|call| call.created_at));
    let first = server.requests()[0].target().to_string();
    assert_eq!(first, "/call?limit=100&createdAtGe=2026-11-22T17:00:00.000Z");
}

/// Lists these rows in every order the provider may have, and returns the ids found each time.
fn ids_in_every_order(rows: &[Value]) -> Vec<Vec<String>> {
    [Order::NewestFirst, Order::OldestFirst, Order::Mixed, Order::LimitIgnored]
        .into_iter()
        .map(|order| {
            let server = little_vapi(rows.to_vec(), order);
            let listing = client(&server.url()).list(start_of_day()).unwrap();
            assert!(listing.calls.is_sorted_by_key(|call| call.created_at), "{order:?}");
            assert_eq!(listing.date, parse_instant("2026-11-22T17:01:00Z"));
            listing.calls.into_iter().map(|call| call.id).collect()
        })
        .collect()
}

#[test]
fn five_thousand_calls_are_listed_once_each_in_any_order() {
    let rows: Vec<Value> = (0..5000).map(|n| row(n, n as i64 * 7)).collect();
    let expected: Vec<String> = (0..5000).map(|n| format!("call-{n:05}")).collect();
    for ids in ids_in_every_order(&rows) {
        assert_eq!(ids, expected);
    }
}

#[test]
fn three_hundred_calls_of_one_millisecond_are_all_listed() {
    let mut rows: Vec<Value> = (0..300).map(|n| row(n, 500)).collect();
    rows.extend((300..600).map(|n| row(n, n as i64)));
    rows.extend((600..700).map(|n| row(n, 499)));
    for ids in ids_in_every_order(&rows) {
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 700);
        assert_eq!(ids.len(), 700);
    }
}

#[test]
fn a_millisecond_that_fills_the_largest_page_is_not_evidence_and_hides_no_other() {
    let mut rows: Vec<Value> = (0..1001).map(|n| row(n, 500)).collect();
    rows.push(row(2000, 499));
    let server = little_vapi(rows, Order::NewestFirst);
    let listing = client(&server.url()).list(start_of_day()).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (1001, 1));
}

#[test]
fn a_bad_row_is_counted_and_loses_no_page() {
    let mut rows: Vec<Value> = (0..250).map(|n| row(n, n as i64)).collect();
    rows[120] = json!({"createdAt": rows[120]["createdAt"], "status": "ended"});
    rows[30]["status"] = json!({"no": "word"});
    rows[31]["endedReason"] = json!("a-reason-that-nobody-knows");
    let server = little_vapi(rows, Order::NewestFirst);
    let listing = client(&server.url()).list(start_of_day()).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (249, 1));
}

#[test]
fn calls_from_before_the_window_are_left_out() {
    let rows: Vec<Value> = (0..10).map(|n| row(n, n as i64)).collect();
    let server = little_vapi(rows, Order::NewestFirst);
    let listing = client(&server.url()).list(start_of_day() + Duration::milliseconds(5)).unwrap();
    assert_eq!(listing.calls.len(), 5);
}

#[test]
fn a_listing_with_one_page_lost_is_refused() {
    let rows: Vec<Value> = (100..200).rev().map(|n| row(n, n as i64)).collect();
    let full = json!(rows).to_string();
    let later_pages = [
        own_form(500, "no"),
        own_form(404, "no"),
        answer(200, "", "{}"),
        answer(200, "", "[{"),
        b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n[".to_vec(),
    ];
    for later in later_pages {
        let full = full.clone();
        let server = Server::replying(move |request| {
            let first = !request.target().contains("createdAtLe");
            if first { answer(200, "", &full) } else { later.clone() }
        });
        let error = client(&server.url()).list(start_of_day()).unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
        assert_eq!(server.requests().len(), 2, "asked again");
    }
}

#[test]
fn a_list_that_never_comes_ends_with_the_time_limit() {
    let server = Server::acting(|stream, _| super::server::hang(stream));
    let error = hasty(&server.url()).list(start_of_day()).unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
}
