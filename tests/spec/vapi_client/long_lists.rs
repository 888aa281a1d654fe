//! Lists whose records are long, broken, or come slowly. Each is read to its end, and one record
//! never hides the others.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use ringonce::provider::Provider;
use serde_json::{Value, json};

use super::little_vapi::{Order, answered_rows, little_vapi, row, start_of_day};
use super::server::{Server, answer, read_request};
use super::{client, hasty};

fn rows(count: usize, transcript: usize) -> Vec<Value> {
    let with_words = |number| {
        let mut row = row(number, number as i64);
        row["artifact"] = json!({"transcript": "x ".repeat(transcript / 2)});
        row
    };
    (0..count).map(with_words).collect()
}

#[test]
fn a_page_beyond_the_largest_size_is_read_in_smaller_ones() {
    let server = little_vapi(rows(100, 700_000), Order::NewestFirst);
    let listing = client(&server.url()).list(start_of_day()).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (100, 0));
    assert!(listing.calls.iter().all(|call| call.transcript.is_none()));
    assert!(server.requests().len() < 8, "{}", server.requests().len());
}

#[test]
fn a_hundred_long_records_of_one_instant_are_read() {
    let mut all = rows(100, 700_000);
    let at = all[0]["createdAt"].clone();
    all.iter_mut().for_each(|row| row["createdAt"] = at.clone());
    let server = little_vapi(all, Order::NewestFirst);
    let listing = client(&server.url()).list(start_of_day()).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (100, 0));
}

/// Writes the reply in pieces with a pause between them, until the client has left.
fn drip(stream: &mut TcpStream, reply: &[u8], piece: usize, pause: Duration) {
    for piece in reply.chunks(piece) {
        if stream.write_all(piece).is_err() {
            return;
        }
        ringonce::clock::pause(pause);
    }
}

#[test]
fn a_page_that_does_not_come_in_time_is_read_in_smaller_ones() {
    let all = rows(130, 2_000);
    let server = Server::acting(move |stream, count| {
        let Some(request) = read_request(stream) else { return };
        count(request.clone());
        let reply = answer(200, "", &answered_rows(&request, &all, Order::NewestFirst).to_string());
        drip(stream, &reply, 10_000, Duration::from_millis(60));
    });
    let listing = hasty(&server.url()).list(start_of_day()).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (130, 0));
}

#[test]
fn a_gateway_that_refuses_long_pages_is_asked_for_shorter_ones() {
    for status in [413, 504] {
        let all = rows(40, 10);
        let server = Server::replying(move |request| {
            let found = answered_rows(request, &all, Order::NewestFirst);
            match found.as_array().map_or(0, Vec::len) {
                0..=7 => answer(200, "", &found.to_string()),
                _ => answer(status, "", "<html>"),
            }
        });
        let listing = client(&server.url()).list(start_of_day()).unwrap();
        assert_eq!((listing.calls.len(), listing.unreadable.len()), (40, 0), "{status}");
    }
}

#[test]
fn a_broken_record_is_counted_and_the_others_are_read() {
    let good = json!(rows(3, 10)).to_string();
    let deep = format!(r#"{{"id":"deep","messages":{}{}}}"#, "[".repeat(3000), "]".repeat(3000));
    let huge = r#"{"id":"huge","cost":1e999,"name":"\ud800"}"#;
    let body = format!(r#"{},{deep},{huge},{{"id": Infinity}}]"#, good.trim_end_matches(']'));
    let server = Server::replying(move |_| answer(200, "", &body));
    let listing = client(&server.url()).list(start_of_day()).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (5, 1));
}

#[test]
fn one_call_is_read_however_long_it_is() {
    let long = rows(1, 70_000_000).remove(0).to_string();
    let server = Server::replying(move |_| answer(200, "", &long));
    let call = client(&server.url()).get("call-00000").unwrap().call;
    assert!(call.is_ended());
    assert_eq!(call.transcript.map(|text| text.len()), Some(8 * 1024 * 1024));
}
