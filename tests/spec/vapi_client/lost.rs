//! No reply: the call is in doubt if any byte was handed over, else it was not placed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use ringonce::provider::{PlaceError, Provider, Refusal};

use super::server::{Server, hang, read_request};
use super::{client, daily, hasty, place};

fn in_doubt(error: &PlaceError) -> bool {
    matches!(error, PlaceError::InDoubt { stop_dialing: false, .. })
}

fn never_sent(error: &PlaceError) -> bool {
    matches!(error, PlaceError::NotPlaced { refusal: Refusal::NeverSent, .. })
}

#[test]
fn a_request_that_was_read_and_not_answered_is_in_doubt() {
    let close = Server::acting(|stream, count| count(read_request(stream).unwrap()));
    let error = place(&client(&close.url()), &daily()).unwrap_err();
    assert!(in_doubt(&error), "{error:?}");
    assert_eq!(close.requests().len(), 1);
    assert_eq!(close.connections(), 1);

    let hanging = Server::acting(|stream, count| {
        count(read_request(stream).unwrap());
        hang(stream);
    });
    let error = place(&hasty(&hanging.url()), &daily()).unwrap_err();
    assert!(in_doubt(&error), "{error:?}");
    assert_eq!(hanging.requests().len(), 1);
    assert_eq!(hanging.connections(), 1);

    let half_answered = Server::acting(|stream, count| {
        count(read_request(stream).unwrap());
        let _ = stream.write_all(b"HTTP/1.1 201 Cre");
    });
    let error = place(&client(&half_answered.url()), &daily()).unwrap_err();
    assert!(in_doubt(&error), "{error:?}");
    assert_eq!(half_answered.connections(), 1);
}

#[test]
fn a_connection_reset_after_the_first_byte_is_in_doubt() {
    // Closing with unread bytes in the buffer sends a reset instead of an end.
    let reset = Server::acting(|stream, _| {
        let mut one = [0; 1];
        let _ = stream.peek(&mut one);
    });
    let error = place(&client(&reset.url()), &daily()).unwrap_err();
    assert!(in_doubt(&error), "{error:?}");
    assert_eq!(reset.connections(), 1);
}

#[test]
fn a_request_read_in_part_is_in_doubt() {
    for part in [1, 10, 100] {
        let server = Server::acting(move |stream, _| {
            let mut bytes = vec![0; part];
            let _ = stream.read_exact(&mut bytes);
        });
        let error = place(&client(&server.url()), &daily()).unwrap_err();
        assert!(in_doubt(&error), "{part}: {error:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_connection_that_closes_at_once_is_in_doubt_when_we_had_begun() {
    let server = Server::acting(|_, _| {});
    let error = place(&client(&server.url()), &daily()).unwrap_err();
    assert!(in_doubt(&error), "{error:?}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_stops_reading_a_long_request_leaves_it_in_doubt() {
    let (done, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::acting(move |_, _| {
        let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(20));
    });
    let mut order = daily();
    order.variables.insert("long".to_string(), "x".repeat(32 * 1024 * 1024).into());
    let error = place(&hasty(&server.url()), &order).unwrap_err();
    drop(done);
    assert!(in_doubt(&error), "{error:?}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_refused_connection_was_never_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = place(&client(&format!("http://127.0.0.1:{port}")), &daily()).unwrap_err();
    assert!(never_sent(&error), "{error:?}");
}

#[test]
fn an_unknown_host_was_never_sent() {
    let error = place(&hasty("https://nowhere.invalid"), &daily()).unwrap_err();
    assert!(never_sent(&error), "{error:?}");
}

#[test]
fn a_failed_tls_handshake_was_never_sent() {
    let answering = Server::acting(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        hang(stream);
    });
    let closing = Server::acting(|_, _| {});
    let hanging = Server::acting(|stream, _| hang(stream));
    for server in [answering, closing, hanging] {
        let url = format!("https://127.0.0.1:{}", server.port());
        let error = place(&hasty(&url), &daily()).unwrap_err();
        assert!(never_sent(&error), "{error:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn an_order_that_grew_stale_sends_no_byte() {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let server = Server::acting(move |stream, _| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        tell.lock().unwrap().send(bytes.len()).unwrap();
    });
    let asked = AtomicUsize::new(0);
    let error = client(&server.url())
        .place(&daily(), &|| {
            asked.fetch_add(1, Ordering::SeqCst);
            false
        })
        .unwrap_err();
    assert!(matches!(error, PlaceError::NotPlaced { refusal: Refusal::Stale, .. }), "{error:?}");
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(0), "bytes reached the provider");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn the_freshness_check_is_asked_after_connecting_and_before_the_first_byte() {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let server = Server::acting(move |stream, count| {
        tell.lock().unwrap().send("connected").unwrap();
        let request = read_request(stream).unwrap();
        tell.lock().unwrap().send("read").unwrap();
        count(request);
        let _ = stream.write_all(b"HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n");
    });
    let told = std::sync::Mutex::new(told);
    let checked = || {
        let told = told.lock().unwrap();
        told.recv_timeout(Duration::from_secs(10)) == Ok("connected")
            && told.recv_timeout(Duration::from_millis(100)).is_err()
    };
    client(&server.url()).place(&daily(), &checked).unwrap();
    assert_eq!(told.lock().unwrap().recv(), Ok("read"));
}

#[test]
fn the_freshness_check_is_not_asked_when_nothing_was_reached() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let outcome = client(&url).place(&daily(), &|| panic!("asked without a connection"));
    assert!(never_sent(&outcome.unwrap_err()));
}
