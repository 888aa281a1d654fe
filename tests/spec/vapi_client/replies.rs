//! Every reply that arrives, sorted by what it proves. The provider is asked once each time.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use ringonce::domain::parse_instant;
use ringonce::provider::{Accepted, PlaceError, Refusal};

use super::server::{Request, Server, answer, own_form, read_request};
use super::{client, daily, hasty, parsed, place, sample};

/// The outcome of one order at a server with this reply; checks that it was asked once.
fn outcome(reply: Vec<u8>) -> Result<Accepted, PlaceError> {
    let server = Server::always(reply);
    let outcome = place(&client(&server.url()), &daily());
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.connections(), 1);
    outcome
}

fn refusal(reply: Vec<u8>) -> Refusal {
    match outcome(reply) {
        Err(PlaceError::NotPlaced { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Whether dialing must stop after a reply that leaves the call in doubt.
fn doubt(reply: Vec<u8>) -> bool {
    match outcome(reply) {
        Err(PlaceError::InDoubt { stop_dialing, .. }) => stop_dialing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_created_call_is_accepted_with_its_id_and_the_providers_clock() {
    for name in ["call_queued.json", "call_queued_concurrency_blocked.json"] {
        let body = sample(name);
        let reply = answer(201, "Date: Sun, 22 Nov 2026 17:01:00 GMT\r\n", &body);
        let accepted = outcome(reply).unwrap();
        assert_eq!(accepted.call.unwrap().id, parsed(&body)["id"], "{name}");
        assert_eq!(accepted.date, parse_instant("2026-11-22T17:01:00Z"));
    }
}

#[test]
fn a_2xx_is_accepted_whatever_its_body_says() {
    let queued = sample("call_queued.json");
    let bodies = [
        "",
        "null",
        "created",
        "<html>ok</html>",
        r#"{"status":"queued"}"#,
        r#"{"id":""}"#,
        r#"{"id":7}"#,
        r#"{"message":"no","statusCode":400}"#,
        &queued[..queued.len() / 2],
        "\u{0}\u{1}",
    ];
    for status in [200, 201, 202, 204] {
        for body in bodies.iter().filter(|body| status != 204 || body.is_empty()) {
            let accepted = outcome(answer(status, "", body)).unwrap();
            assert!(accepted.call.is_none(), "{status} {body}");
        }
    }
}

#[test]
fn a_2xx_cut_short_is_accepted() {
    let reply = b"HTTP/1.1 201 Created\r\nContent-Length: 5000\r\n\r\n{\"id\":\"c1\"}".to_vec();
    assert!(outcome(reply).unwrap().call.is_none());
    let reply = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}".to_vec();
    assert!(outcome(reply).unwrap().call.is_none());
}

#[test]
fn a_2xx_without_a_length_is_read_to_its_end() {
    let body = sample("call_queued.json");
    let reply = format!("HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{body}");
    assert!(outcome(reply.into_bytes()).unwrap().call.is_some());
}

#[test]
fn a_huge_2xx_is_accepted_without_being_read_to_its_end() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = Server::acting(move |stream, count| {
        let Some(request) = read_request(stream) else { return };
        count(request);
        let head = "HTTP/1.1 201 Created\r\nContent-Length: 52428800\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let chunk = vec![b'x'; 65536];
        let written = (0..800).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        tell.lock().unwrap().send(written).unwrap();
    });
    let accepted = place(&client(&server.url()), &daily()).unwrap();
    assert!(accepted.call.is_none());
    assert!(told.recv().unwrap() < 800, "all 50 MB were read");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_2xx_whose_body_drips_for_ever_is_accepted_when_time_is_up() {
    let server = Server::acting(|stream, count| {
        let Some(request) = read_request(stream) else { return };
        count(request);
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 5000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            ringonce::clock::pause(Duration::from_millis(50));
        }
    });
    assert!(place(&hasty(&server.url()), &daily()).unwrap().call.is_none());
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_batch_reply_gives_only_the_call_with_our_tag() {
    let body = sample("batch.json");
    assert!(outcome(answer(200, "", &body)).unwrap().call.is_none());
    let theirs = parsed(&body)["results"][0]["name"].as_str().unwrap().to_string();
    let ours = body.replace(&theirs, &daily().tag);
    assert!(outcome(answer(200, "", &ours)).unwrap().call.is_some());
}

#[test]
fn a_refusal_in_the_providers_own_form_is_sorted_by_whom_it_concerns() {
    let cases = [
        (401, Refusal::Everybody),
        (402, Refusal::Everybody),
        (403, Refusal::Everybody),
        (404, Refusal::Everybody),
        (400, Refusal::Request),
        (422, Refusal::Request),
        (429, Refusal::RateLimited { retry_after_secs: None }),
    ];
    for (status, expected) in cases {
        assert_eq!(refusal(own_form(status, "no")), expected, "{status}");
    }
    let samples = [
        ("error_400_e164.json", 400, Refusal::Number),
        ("error_400_daily_limit.json", 400, Refusal::OurNumber),
        ("error_400_unknown_property.json", 400, Refusal::Request),
        ("error_401.json", 401, Refusal::Everybody),
    ];
    for (name, status, expected) in samples {
        assert_eq!(refusal(answer(status, "", &sample(name))), expected, "{name}");
    }
}

#[test]
fn a_429_says_how_long_to_wait() {
    let body = r#"{"message":"Too many","statusCode":429}"#;
    let reply = answer(429, "Retry-After: 17\r\n", body);
    assert_eq!(refusal(reply), Refusal::RateLimited { retry_after_secs: Some(17) });
}

#[test]
fn a_4xx_in_another_form_or_of_another_kind_is_in_doubt() {
    let html = "<html><title>Forbidden</title></html>";
    for status in [400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 499] {
        assert!(!doubt(answer(status, "Content-Type: text/html\r\n", html)), "{status}");
        assert!(!doubt(answer(status, "", "")), "{status}");
        assert!(!doubt(own_form(status, "no").into_iter().rev().skip(9).rev().collect()));
    }
    for status in [405, 406, 408, 409, 410, 413, 418, 421, 423, 425, 431, 451, 499] {
        assert!(!doubt(own_form(status, "no")), "{status}");
    }
    assert!(!doubt(answer(403, "", r#"{"message":"no","statusCode":401}"#)));
}

#[test]
fn a_5xx_is_in_doubt_in_any_form() {
    for status in [500, 501, 502, 503, 504, 520, 522, 599] {
        assert!(!doubt(own_form(status, "no")), "{status}");
        assert!(!doubt(answer(status, "", "<html>bad gateway</html>")), "{status}");
    }
}

#[test]
fn an_answer_that_is_not_http_is_in_doubt() {
    let long = format!("HTTP/1.1 201 X\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    for reply in ["rubbish\r\n\r\n", "SSH-2.0-x\r\n", "HTTP/9.9 201 X\r\n\r\n", "\r\n", &long] {
        assert!(!doubt(reply.as_bytes().to_vec()), "{}", &reply[..8.min(reply.len())]);
    }
    assert!(!doubt(answer(101, "Upgrade: x\r\nConnection: Upgrade\r\n", "")));
}

#[test]
fn a_redirect_stops_dialing_and_is_never_followed() {
    let elsewhere = Server::always(answer(200, "", &sample("call_queued.json")));
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        for target in [elsewhere.url(), "/call2".to_string(), "https://example.com/".to_string()] {
            let location = format!("Location: {target}\r\n");
            assert!(doubt(answer(status, &location, "")), "{status} to {target}");
        }
        assert!(doubt(answer(status, "", "moved")), "{status} to nowhere");
    }
    assert_eq!(elsewhere.connections(), 0, "the key travelled to another host");
}

#[test]
fn a_detail_shows_neither_the_number_nor_the_key_that_the_provider_repeats() {
    let echo = |request: &Request| {
        let number =
            parsed(std::str::from_utf8(&request.body).unwrap())["customer"]["number"].clone();
        let key = request.header("authorization").unwrap_or_default();
        own_form(422, &format!("cannot call {number} with {key}\nsecond line {}", "x".repeat(5000)))
    };
    let server = Server::replying(echo);
    // `place` checks the error for both.
    let error = place(&client(&server.url()), &daily()).unwrap_err();
    assert!(error.to_string().contains("cannot call"), "{error}");
}
