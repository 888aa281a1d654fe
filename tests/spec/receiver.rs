//! An application that receives events: a real server on loopback that keeps what it hears and
//! answers as the test says.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use ringonce::config::load::{LoadedConfig, Overrides, load};
use ringonce::http::connections::Limits;
use ringonce::http::listener::{Listener, Serving};
use ringonce::http::request::Request;
use ringonce::http::response::Response;
use ringonce::service::outgoing::events::{self, Round};
use serde_json::Value;
use sha2::Sha256;

use crate::world::World;

/// The secret of the specification's example.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One request.
#[derive(Clone, Debug)]
pub struct Heard {
    pub id: String,
    pub seconds: i64,
    pub signature: String,
    pub body: String,
    /// The status that was answered.
    pub answered: u16,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_string()
    }

    /// Whether the signature is the one that the specification demands, computed here.
    pub fn is_signed(&self) -> bool {
        let key = BASE64.decode(SECRET.trim_start_matches("whsec_").as_bytes()).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        mac.update(format!("{}.{}.{}", self.id, self.seconds, self.body).as_bytes());
        self.signature == format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

pub struct Receiver {
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    _serving: Serving,
}

impl Receiver {
    /// Answers every request with 204.
    pub fn new() -> Receiver {
        Receiver::answering(|_| Response::new(204))
    }

    /// `answer` gets the number of the request, counted from 0.
    pub fn answering(answer: impl Fn(usize) -> Response + Send + Sync + 'static) -> Receiver {
        let listener = Listener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let kept = Arc::clone(&heard);
        let handler = move |request: Request| {
            let header = |name: &str| request.header(name).unwrap_or_default().to_string();
            let mut heard = kept.lock().expect("no panic");
            let response = answer(heard.len());
            heard.push(Heard {
                id: header("webhook-id"),
                seconds: header("webhook-timestamp").parse().unwrap_or_default(),
                signature: header("webhook-signature"),
                body: String::from_utf8(request.body.clone()).expect("text"),
                answered: response.status,
            });
            response
        };
        let stop = Arc::new(AtomicBool::new(false));
        let serving = listener.serve(Arc::new(handler), Limits::default(), stop).expect("a server");
        Receiver { url, heard, _serving: serving }
    }

    /// The lines of `ringonce.toml` that send events here.
    pub fn config(&self) -> String {
        format!("[events]\nurl = \"{}\"\n", self.url)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }

    /// The types of what was answered with success, in order.
    pub fn kinds(&self) -> Vec<String> {
        self.heard().iter().filter(|one| one.answered < 300).map(Heard::kind).collect()
    }
}

/// The world's configuration, with the secret of the events.
pub fn loaded(world: &World) -> LoadedConfig {
    let files = Overrides {
        config: Some(world.path("ringonce.toml")),
        db: Some(world.db()),
        ..Overrides::default()
    };
    let clock = world.path("clock").display().to_string();
    let environment = |name: &str| match name {
        "RINGONCE_TEST_CLOCK" => Some(clock.clone()),
        "RINGONCE_EVENTS_SECRET" => Some(SECRET.to_string()),
        _ => None,
    };
    load(&files, &environment).expect("a good configuration")
}

/// One round of delivery, as the service's thread does it.
pub fn deliver(world: &World) -> Round {
    let receiver = events::Receiver::of(&loaded(world)).expect("a secret").expect("an address");
    let until = ringonce::clock::elapsed() + std::time::Duration::from_secs(30);
    events::round(&world.start(), &receiver, until).expect("the database works")
}

/// Rounds until nothing is due.
pub fn deliver_all(world: &World) {
    while deliver(world) != Round::default() {}
}
