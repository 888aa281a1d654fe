//! A fake provider with a clock that the test moves, and a client that sends raw bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::Journal;
use ringonce::demo::fake_vapi::server::FakeVapi;
use ringonce::domain::{Instant, parse_instant};
use serde_json::{Value, json};

/// A fake with a clock that the test moves.
pub struct World {
    pub fake: FakeVapi,
    pub now: Arc<Mutex<Instant>>,
}

pub struct Answer {
    /// `None`: the connection ended without a reply.
    pub status: Option<u16>,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub fn start() -> Instant {
    parse_instant("2026-11-22T17:00:00Z").expect("an instant")
}

pub fn world_with(setup: Setup, journal: Journal) -> World {
    let now = Arc::new(Mutex::new(start()));
    let clock = {
        let now = Arc::clone(&now);
        Arc::new(move || *now.lock().expect("no panic"))
    };
    let fake = FakeVapi::on_free_port(FakeCore::new(setup, journal), clock).expect("a free port");
    World { fake, now }
}

/// Everybody answers.
pub fn setup() -> Setup {
    Setup { mix: "answered=1".parse().expect("a mix"), ..Setup::default() }
}

pub fn world(faults: &str) -> World {
    let faults = faults.parse().expect("faults");
    world_with(Setup { faults, ..setup() }, Journal::default())
}

pub fn tag(number: u32) -> String {
    format!("d-01a20433-4afb-71ff-91ff-{number:012}")
}

pub fn order(number: u32) -> Value {
    json!({
        "name": tag(number), "assistantId": "assistant", "phoneNumberId": "line",
        "customer": {"number": "+12125550101", "externalId": tag(number)},
        "assistantOverrides": {"variableValues": {"greeting": "hi"}, "metadata": {
            "attemptId": tag(number), "installationId": "here", "seq": number, "attemptNo": 1,
            "customerKey": format!("customer-{number}"), "callType": "daily",
            "occasion": "2026-11-22"}},
    })
}

impl World {
    pub fn pass(&self, seconds: i64) {
        *self.now.lock().expect("no panic") += TimeDelta::seconds(seconds);
    }

    pub fn ask_with(&self, method: &str, path: &str, key: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        exchange(self.fake.address(), &[head.as_bytes(), body].concat())
    }

    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.ask_with(method, path, "Authorization: Bearer key\r\n", &body)
    }

    pub fn post(&self, number: u32) -> Answer {
        self.ask("POST", "/call", &order(number))
    }

    pub fn list(&self, query: &str) -> Vec<Value> {
        let answer = self.ask("GET", &format!("/call?{query}"), &Value::Null);
        answer.json().as_array().cloned().unwrap_or_else(|| panic!("{}", answer.text()))
    }

    pub fn get(&self, id: &str) -> Answer {
        self.ask("GET", &format!("/call/{id}"), &Value::Null)
    }
}

pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the fake accepts");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    stream.write_all(bytes).expect("the fake reads");
    let mut answer = Vec::new();
    // A reset is one of the faults; only the bytes before it matter.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&answer[..end.unwrap_or(0)]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status, head, body: answer.split_off(end.map_or(0, |end| end + 4)) }
}

pub fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().expect("an id").to_string()
}
