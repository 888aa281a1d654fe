//! The listener under attack: a raw socket receives every refusal, and an honest request is
//! answered afterwards.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ringonce::clock;
use ringonce::http::connections::Limits;
use ringonce::http::listener::{Listener, Serving};
use ringonce::http::request::Request;
use ringonce::http::response::Response;

/// Replies with what it understood.
fn echo(request: Request) -> Response {
    if request.path == "/panic" {
        panic!("asked to");
    }
    let query: Vec<String> = request.query.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let body = String::from_utf8_lossy(&request.body);
    Response::text(200, &format!("{} {} {query:?} {body}", request.method, request.path))
}

fn serve(limits: Limits) -> (Serving, SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let stop = Arc::new(AtomicBool::new(false));
    (listener.serve(Arc::new(echo), limits, stop).expect("threads"), address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the listener accepts");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a time-out");
    stream
}

/// Sends bytes and reads until the server closes.
fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    // The server may close before it has read everything; only its reply matters.
    let _ = stream.write_all(bytes);
    read_all(stream)
}

fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

fn assert_honest_request_is_answered(address: SocketAddr) {
    let answer = talk(address, b"GET /ok?a=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(answer.contains(r#"GET /ok ["a=1"]"#), "{answer}");
}

#[test]
fn every_doubtful_request_is_refused_and_the_connection_closed() {
    let (_serving, address) = serve(Limits::default());
    let get = |line: &str| format!("GET {line} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
    let post = |headers: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}").into_bytes()
    };
    let chunked = |body: &str| post("Transfer-Encoding: chunked", body);
    let large_header = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(20_000));
    let endless_header = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(200_000));
    let many_headers = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "length and chunks",
            post("Content-Length: 3\r\nTransfer-Encoding: chunked", "abc"),
            "400",
        ),
        ("two lengths", post("Content-Length: 3\r\nContent-Length: 3", "abc"), "400"),
        ("a list of lengths", post("Content-Length: 3, 3", "abc"), "400"),
        ("a signed length", post("Content-Length: +3", "abc"), "400"),
        ("a hexadecimal length", post("Content-Length: 0x3", "abc"), "400"),
        ("an empty length", post("Content-Length: ", "abc"), "400"),
        ("a length beyond 64 bits", post("Content-Length: 99999999999999999999", ""), "400"),
        ("a body that is too large", post("Content-Length: 65537", ""), "413"),
        ("an unknown coding", post("Transfer-Encoding: xchunked", ""), "501"),
        ("a second coding", post("Transfer-Encoding: gzip, chunked", ""), "501"),
        (
            "chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", ""),
            "400",
        ),
        ("a chunk size that is not a number", chunked("zz\r\nab\r\n"), "400"),
        ("a signed chunk size", chunked("+2\r\nab\r\n0\r\n\r\n"), "400"),
        ("a chunk without its end", chunked("2\r\nabc\r\n0\r\n\r\n"), "400"),
        ("a chunk line with a bare line feed", chunked("2\nab\r\n0\r\n\r\n"), "400"),
        ("a chunk that is too large", chunked("10001\r\n"), "413"),
        ("a chunk size beyond 64 bits", chunked("fffffffffffffffff\r\n"), "400"),
        ("an endless chunk line", chunked(&"1".repeat(2000)), "400"),
        ("an endless trailer", chunked(&format!("0\r\n{}", "A: b\r\n".repeat(2000))), "400"),
        ("a head that is too large", large_header.into_bytes(), "431"),
        ("a head without an end", endless_header.into_bytes(), "431"),
        ("too many headers", many_headers.into_bytes(), "431"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "400"),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_vec(), "400"),
        ("a bare line feed", b"GET / HTTP/1.1\nHost: x\r\n\r\n".to_vec(), "400"),
        ("a folded header", b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n".to_vec(), "400"),
        ("a space before the colon", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_vec(), "400"),
        ("another version", b"GET / HTTP/3.0\r\nHost: x\r\n\r\n".to_vec(), "505"),
        ("bad UTF-8 in the target", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "400"),
        ("escaped bad UTF-8", get("/%ff"), "400"),
        ("bad UTF-8 in the query", get("/?a=%c3"), "400"),
        ("bad UTF-8 in a header", b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n".to_vec(), "400"),
        ("a broken escape", get("/%4"), "400"),
        ("a NUL in the path", get("/a%00b"), "400"),
        ("a way out of the folder", get("/a/../../etc/passwd"), "400"),
        ("an escaped way out", get("/%2e%2e/etc/passwd"), "400"),
        ("an escaped slash", get("/a%2fb"), "400"),
        ("a backslash way out", get("/..\\secret"), "400"),
        ("no path", get("example.com:443"), "400"),
        ("an unknown expectation", post("Expect: a-pony\r\nContent-Length: 0", ""), "417"),
        ("noise", vec![0x16, 3, 1, 0, 0xff, b'\r', b'\n', b'\r', b'\n'], "400"),
    ];
    for (name, bytes, expected) in cases {
        let answer = talk(address, &bytes);
        assert_eq!(status(&answer), expected, "{name}: {answer}");
        assert!(answer.contains("Connection: close"), "{name}: {answer}");
    }
    assert_honest_request_is_answered(address);
}

#[test]
fn a_body_in_chunks_arrives_whole_however_it_is_cut() {
    let (_serving, address) = serve(Limits::default());
    let bytes =
        b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                  3;note=1\r\nabc\r\n02\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    for cut in [1, 2, 7, 40, bytes.len()] {
        let mut stream = connect(address);
        stream.set_nodelay(true).expect("no delay");
        for piece in bytes.chunks(cut) {
            stream.write_all(piece).expect("the server reads");
        }
        let answer = read_all(stream);
        assert!(answer.contains("POST /c [] abcde"), "cut {cut}: {answer}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let (_serving, address) = serve(Limits::default());
    let answer = talk(
        address,
        b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi\
          POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
          GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\n\r\n",
    );
    let order: Vec<Option<usize>> =
        ["POST /1 [] hi", "POST /2 [] x", "GET /3"].iter().map(|t| answer.find(t)).collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{answer}");
    assert!(!answer.contains("/4"), "nothing is read after the close: {answer}");
}

#[test]
fn a_connection_ends_after_its_last_permitted_request() {
    let limits = Limits { requests_per_connection: 3, ..Limits::default() };
    let (_serving, address) = serve(limits);
    let answer = talk(address, &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5));
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    assert_eq!(answer.matches("Connection: close").count(), 1, "{answer}");
}

#[test]
fn a_panic_is_answered_500_and_the_next_request_200() {
    let (_serving, address) = serve(Limits::default());
    let answer = talk(
        address,
        b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(status(&answer), "500", "{answer}");
    assert!(answer.contains("GET /b"), "the thread survives: {answer}");
    assert_honest_request_is_answered(address);
}

#[test]
fn a_waiting_client_is_told_to_continue() {
    let (_serving, address) = serve(Limits::default());
    let mut stream = connect(address);
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\
              Connection: close\r\n\r\n",
        )
        .expect("the server reads");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").expect("the server reads");
    assert!(read_all(stream).contains("POST / [] hi"));
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let (_serving, address) = serve(Limits::default());
    let answer = talk(address, b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("Content-Length: 11"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("date:"), "the handler gave no date");
}

#[test]
fn three_hundred_idle_connections_do_not_keep_an_honest_one_out() {
    let (_serving, address) = serve(Limits::default());
    let idle: Vec<TcpStream> = (0..300).map(|_| connect(address)).collect();
    let before = clock::elapsed();
    assert_honest_request_is_answered(address);
    assert!(clock::elapsed() - before < Duration::from_secs(1));
    drop(idle);
}

#[test]
fn three_hundred_slow_connections_give_way_after_the_patience() {
    let limits = Limits { patience: Duration::from_millis(200), ..Limits::default() };
    let (_serving, address) = serve(limits);
    let mut slow: Vec<TcpStream> = (0..300).map(|_| connect(address)).collect();
    for stream in &mut slow {
        // Connections beyond the limit were refused or replaced an idle one.
        let _ = stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na");
    }
    let until = clock::elapsed() + Duration::from_secs(4);
    let request = b"GET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    while status(&talk(address, request)) != "200" {
        assert!(clock::elapsed() < until, "the slow ones keep everybody out");
        clock::pause(Duration::from_millis(20));
    }
}

#[test]
fn a_house_full_of_work_says_503_at_once_and_takes_the_next_when_one_has_left() {
    let limits = Limits { max_connections: 4, ..Limits::default() };
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let at_work = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let slow_handler = {
        let (at_work, done) = (Arc::clone(&at_work), Arc::clone(&done));
        move |_: Request| {
            at_work.fetch_add(1, Ordering::SeqCst);
            while !done.load(Ordering::SeqCst) {
                clock::pause(Duration::from_millis(2));
            }
            Response::text(200, "done")
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let _serving = listener.serve(Arc::new(slow_handler), limits, stop).expect("threads");
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut busy: Vec<TcpStream> = (0..4).map(|_| connect(address)).collect();
    for stream in &mut busy {
        stream.write_all(request).expect("the server reads");
    }
    while at_work.load(Ordering::SeqCst) < 4 {
        clock::pause(Duration::from_millis(2));
    }
    let turned_away = talk(address, request);
    assert_eq!(status(&turned_away), "503", "{turned_away}");
    assert!(turned_away.contains("Retry-After"));
    done.store(true, Ordering::SeqCst);
    for stream in busy {
        assert_eq!(status(&read_all(stream)), "200");
    }
    while status(&talk(address, request)) != "200" {
        clock::pause(Duration::from_millis(2));
    }
}

#[test]
fn the_deadline_counts_the_whole_request_not_each_read() {
    let limits = Limits { request_deadline: Duration::from_millis(400), ..Limits::default() };
    let (_serving, address) = serve(limits);
    let mut stream = connect(address);
    let before = clock::elapsed();
    for byte in b"GET / HTTP/1.1\r\nHost: x\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        clock::pause(Duration::from_millis(20));
    }
    let answer = read_all(stream);
    assert_eq!(status(&answer), "408", "{answer}");
    assert!(clock::elapsed() - before < Duration::from_secs(4));
    assert_honest_request_is_answered(address);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let limits = Limits { idle: Duration::from_millis(100), ..Limits::default() };
    let (_serving, address) = serve(limits);
    assert_eq!(talk(address, b""), "");
    assert_honest_request_is_answered(address);
}

#[test]
fn a_client_that_does_not_read_is_dropped_at_the_deadline() {
    let limits = Limits { answer_deadline: Duration::from_millis(300), ..Limits::default() };
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let large = |_: Request| Response::new(200).with_body(vec![b'x'; 64 * 1024 * 1024]);
    let stop = Arc::new(AtomicBool::new(false));
    let _serving = listener.serve(Arc::new(large), limits, stop).expect("threads");
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server reads");
    clock::pause(Duration::from_millis(600));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 64 * 1024 * 1024, "the answer was cut off");
}

#[test]
fn a_stopped_server_leaves_no_connection_open() {
    let (mut serving, address) = serve(Limits::default());
    let idle = connect(address);
    assert_honest_request_is_answered(address);
    serving.stop();
    assert_eq!(read_all(idle), "");
    assert!(TcpStream::connect(address).is_err());
}
