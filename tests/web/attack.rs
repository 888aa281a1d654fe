//! Hostile connections never delay a call.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use ringonce::clock;
use std::time::Duration;

use crate::house::{House, Plan, customer};

const CROWD: usize = 300;

/// Connections that send nothing.
fn idle(house: &House) -> Vec<TcpStream> {
    (0..CROWD).filter_map(|_| TcpStream::connect(house.address).ok()).collect()
}

/// Connections that send a header byte by byte, without end.
fn drip(house: &House, stop: &AtomicBool) {
    let mut streams: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        while streams.len() < CROWD {
            let Ok(mut stream) = TcpStream::connect(house.address) else { break };
            // The service may refuse a connection.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            streams.push(stream);
        }
        streams.retain_mut(|stream| stream.write_all(b"a").is_ok());
        clock::pause(Duration::from_millis(50));
    }
}

/// Requests as fast as the replies come, with and without the token.
fn flood(house: &House, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        for request in [
            "GET /healthz HTTP/1.0\r\n\r\n",
            "GET /api/customers HTTP/1.0\r\nAuthorization: Bearer a-token-that-nobody-guesses\r\n\r\n",
            "POST /webhooks/vapi HTTP/1.0\r\nX-Vapi-Secret: wrong\r\nContent-Length: 2\r\n\r\n{}",
            "GET /../../etc/passwd HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            if let Ok(mut stream) = TcpStream::connect(house.address) {
                // Any reply, or none, is fine: the test checks the calls.
                let _ = stream.write_all(request.as_bytes());
            }
        }
        clock::pause(Duration::from_millis(5));
    }
}

#[test]
fn calls_go_out_once_each_while_hundreds_idle_drip_and_flood() {
    let calls = 12;
    let customers = (1..=calls).map(|number| customer(number, "07:00")).collect();
    let config = "[dialing]\nmax_active_calls = 9\nworkers = 4\n".to_string();
    let house = House::build(&Plan { customers, config, ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.count("SELECT count(*) FROM call_queue") == 12);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _idle = idle(&house);
        scope.spawn(|| drip(&house, &stop));
        scope.spawn(|| flood(&house, &stop));
        house.set_clock("2026-11-23T12:00:00Z");
        let placed = "SELECT count(*) FROM call_attempts WHERE state = 'placed'";
        house.wait_for("the first calls", || house.count(placed) == 9);
        house.set_clock("2026-11-23T12:20:00Z");
        let made = "SELECT count(*) FROM call_attempts WHERE state IN ('placed', 'ended')";
        house.wait_for("the other calls", || house.count(made) == 12);
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!((house.fake.rings().len(), house.fake.duplicates()), (12, 0));
    house.wait_until_well();
}
