//! One path accepts large bodies. Their memory is bounded, however many arrive.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringonce::clock;
use ringonce::http::connections::{Handler, Large, Limits};
use ringonce::http::listener::{Listener, Serving};
use ringonce::http::request::Request;
use ringonce::http::response::Response;

const MEBIBYTE: usize = 1024 * 1024;

/// Replies with the length of the body.
fn serve(memory_bytes: usize) -> (Serving, SocketAddr) {
    let length = |request: Request| Response::text(200, &request.body.len().to_string());
    serve_with(memory_bytes, Arc::new(length))
}

fn serve_with(memory_bytes: usize, handler: Handler) -> (Serving, SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let large = Large { path: "/large", body_bytes: 2 * MEBIBYTE, memory_bytes };
    let request_deadline = Duration::from_secs(2);
    let limits = Limits { large: Some(large), request_deadline, ..Limits::default() };
    let stop = Arc::new(AtomicBool::new(false));
    (listener.serve(handler, limits, stop).expect("threads"), address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the listener accepts");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    stream
}

fn head(path: &str, framing: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framing}\r\n\r\n")
}

fn talk(address: SocketAddr, path: &str, framing: &str, body: &[u8]) -> String {
    let mut stream = connect(address);
    // A refusal may arrive before everything was sent.
    let _ = stream.write_all(head(path, framing).as_bytes());
    let _ = stream.write_all(body);
    answer(stream)
}

fn answer(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[test]
fn large_body_is_taken_on_its_path_alone_and_only_up_to_its_limit() {
    let (_serving, address) = serve(4 * MEBIBYTE);
    for (path, bytes, expected, told) in [
        ("/large", 65_537, "200", "65537"),
        ("/large", 2 * MEBIBYTE, "200", "2097152"),
        ("/large", 2 * MEBIBYTE + 1, "413", "larger than 2 MiB"),
        ("/other", 65_536, "200", "65536"),
        ("/other", 65_537, "413", "larger than 64 KiB"),
        ("/large/other", 65_537, "413", "larger than 64 KiB"),
    ] {
        let body = vec![b'x'; bytes];
        let plain = talk(address, path, &format!("Content-Length: {bytes}"), &body);
        assert_eq!(status(&plain), expected, "{path} {bytes}: {plain}");
        assert!(plain.contains(told), "{path} {bytes}: {plain}");
        let pieces: Vec<u8> = body
            .chunks(50_000)
            .flat_map(|piece| {
                [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
            })
            .chain(*b"0\r\n\r\n")
            .collect();
        let chunked = talk(address, path, "Transfer-Encoding: chunked", &pieces);
        assert_eq!(status(&chunked), expected, "{path} {bytes} in chunks: {chunked}");
        assert!(chunked.contains(told), "{path} {bytes} in chunks: {chunked}");
    }
}

#[test]
fn large_body_without_memory_gets_a_503_and_small_requests_still_pass() {
    let at_work = Arc::new(AtomicBool::new(false));
    let held = Arc::new(AtomicBool::new(true));
    let handler = {
        let (at_work, held) = (Arc::clone(&at_work), Arc::clone(&held));
        move |request: Request| {
            at_work.store(true, Ordering::SeqCst);
            while request.path == "/large" && held.load(Ordering::SeqCst) {
                clock::pause(Duration::from_millis(2));
            }
            Response::text(200, &request.body.len().to_string())
        }
    };
    let (_serving, address) = serve_with(MEBIBYTE, Arc::new(handler));
    let length = MEBIBYTE + 60_000;
    let framing = format!("Content-Length: {length}");
    let body = vec![b'x'; length];
    std::thread::scope(|scope| {
        // There is memory for one body, and this request holds it.
        let first = scope.spawn(|| talk(address, "/large", &framing, &body));
        while !at_work.load(Ordering::SeqCst) {
            clock::pause(Duration::from_millis(2));
        }
        assert_eq!(status(&talk(address, "/other", "Content-Length: 2", b"hi")), "200");
        let second = talk(address, "/large", &framing, &body);
        assert_eq!(status(&second), "503", "{second}");
        held.store(false, Ordering::SeqCst);
        assert_eq!(status(&first.join().expect("no panic")), "200");
    });
    // The memory is free again.
    let answer = talk(address, "/large", &framing, &body);
    assert_eq!(status(&answer), "200", "{answer}");
}
