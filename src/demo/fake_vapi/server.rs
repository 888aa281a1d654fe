//! The fake provider over real HTTP on loopback. It refuses every other address, because nobody may
//! mistake it for the real one and its control paths need no key.
//!
//! Scripts can also use these paths, without a key:
//! - `GET /__faults` shows the faults; `POST /__faults` with a JSON array of text forms replaces
//!   them;
//! - `GET /__journal`: all entries; `GET /__rings`: rings, duplicates, repeated POSTs;
//! - `GET /recordings/ID.wav?until=MILLIS`: a second of silence, until that instant;
//! - `GET /__pushed?call=ID`: the bodies that the provider would have sent to the webhook by now;
//! - `POST /__assistants` with `{"id": {…}}`: sets the answer of `GET /assistant/id`, `/squad/id`
//!   or `/tool/id`; `null`: 404;
//! - `POST /__advance` with `{"seconds": 90}`: moves the fake's own clock forward permanently.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::demo::fake_vapi::answers::{FakeTold, ListQuery, refused};
use crate::demo::fake_vapi::core::FakeCore;
use crate::demo::fake_vapi::faults::Faults;
use crate::demo::fake_vapi::journal::{FakeEntry, Ring};
use crate::demo::fake_vapi::pushed::pushed_json;
use crate::demo::fake_vapi::webhooks::{Receiver, Webhooks};
use crate::demo::fake_vapi::{recordings, wire};
use crate::domain::Instant;
use crate::http::connections::Limits;
use crate::http::listener::{Listener, Serving};
use crate::http::request::Request;
use crate::http::response::Response;

/// The source of the fake's time; it must not run backward.
pub type FakeClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// A running fake provider. It stops when it is dropped.
pub struct FakeVapi {
    address: SocketAddr,
    desk: Arc<Desk>,
    serving: Serving,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// The state that the connections share.
struct Desk {
    address: SocketAddr,
    core: Mutex<FakeCore>,
    clock: FakeClock,
    /// The sum of all `/__advance` moves, in milliseconds.
    ahead: AtomicI64,
    /// `None`: any key is accepted, but a request must carry one.
    key: Option<String>,
    /// Assistants, squads and tools by id. Every other assistant says that it is an AI.
    assistants: Mutex<serde_json::Map<String, Value>>,
}

impl FakeVapi {
    /// Starts the server. `key`: the only accepted key; `None` accepts any key.
    pub fn start(
        address: SocketAddr,
        core: FakeCore,
        clock: FakeClock,
        key: Option<String>,
    ) -> io::Result<FakeVapi> {
        if !is_loopback(address.ip()) {
            let what = format!("the fake provider listens on loopback only, not on {address}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let listener = Listener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (core, ahead) = (Mutex::new(core), AtomicI64::new(0));
        let desk =
            Arc::new(Desk { address, core, clock, ahead, key, assistants: Mutex::default() });
        let handler = {
            let desk = Arc::clone(&desk);
            Arc::new(move |request: Request| desk.answer(&request))
        };
        let limits =
            Limits { answer_deadline: wire::SLOWEST, body_bytes: 1024 * 1024, ..Limits::default() };
        let serving = listener.serve(handler, limits, Arc::clone(&stop))?;
        let ticker = Builder::new().name("fake-vapi".to_string()).spawn({
            let (desk, stop) = (Arc::clone(&desk), Arc::clone(&stop));
            move || desk.tick_until(&stop)
        })?;
        Ok(FakeVapi { address, desk, serving, threads: vec![ticker], stop })
    }

    /// Starts a fake on a free port of 127.0.0.1 that accepts any key.
    pub fn on_free_port(core: FakeCore, clock: FakeClock) -> io::Result<FakeVapi> {
        FakeVapi::start(SocketAddr::from(([127, 0, 0, 1], 0)), core, clock, None)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `base_url` for the client's configuration.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set_faults(&self, faults: Faults) {
        self.desk.core().set_faults(faults);
    }

    /// Sets the answer about one assistant; null: it does not exist.
    pub fn set_assistant(&self, id: &str, assistant: Value) {
        self.desk.assistants().insert(id.to_string(), assistant);
    }

    pub fn journal(&self) -> Vec<FakeEntry> {
        self.desk.current_core().journal().to_vec()
    }

    /// All rings, past and planned, whatever the answers were.
    pub fn rings(&self) -> Vec<Ring> {
        self.desk.current_core().rings()
    }

    /// The number of duplicate rings; see `journal::duplicates`.
    pub fn duplicates(&self) -> usize {
        self.desk.current_core().duplicates()
    }

    /// The number of POSTs beyond one for the same tag.
    pub fn repeated_posts(&self) -> usize {
        self.desk.core().repeated_posts()
    }

    /// Moves the fake's own clock forward permanently.
    pub fn advance(&self, by: chrono::Duration) {
        self.desk.ahead.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// Sends webhooks about all further changes to a server on loopback.
    pub fn push_to(&mut self, receiver: Receiver, secret: Option<String>) -> io::Result<()> {
        let (desk, stop) = (Arc::clone(&self.desk), Arc::clone(&self.stop));
        let mut webhooks = {
            let core = desk.current_core();
            Webhooks::new(receiver, secret, &core, desk.now())
        };
        let pusher = Builder::new().name("fake-webhooks".to_string()).spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let due = desk.with_core(|core, now| webhooks.due(core, now));
                for message in due {
                    match webhooks.send(&message) {
                        Ok(200) => {}
                        Ok(status) => log::warn!("the webhook's receiver answered {status}"),
                        Err(error) => log::warn!("a webhook could not be sent: {error}"),
                    }
                }
                clock::pause(Duration::from_millis(50));
            }
        })?;
        self.threads.push(pusher);
        Ok(())
    }

    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.serving.stop();
        for thread in self.threads.drain(..) {
            // After a panic the thread has ended too, which is all that this needs.
            let _ = thread.join();
        }
    }
}

impl Drop for FakeVapi {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether only this machine can reach the address.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

impl Desk {
    fn core(&self) -> MutexGuard<'_, FakeCore> {
        // A panicked handler wrote its journal line or did not; both states are consistent.
        self.core.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn assistants(&self) -> MutexGuard<'_, serde_json::Map<String, Value>> {
        self.assistants.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// An assistant, a squad or a tool; `None` for every other path.
    fn settings(&self, request: &Request) -> Option<Response> {
        let (kind, id) = request.path.strip_prefix('/')?.split_once('/')?;
        if !["assistant", "squad", "tool"].contains(&kind) || id.is_empty() {
            return None;
        }
        if !self.knows(request) {
            return Some(wire::reply_response(&refused(401), &request.path));
        }
        let told = self.assistants().get(id).cloned();
        Some(match told.unwrap_or_else(|| wire::settings_json(kind, id)) {
            Value::Null => wire::reply_response(&refused(404), &request.path),
            told => Response::json(200, &told),
        })
    }

    /// The core, advanced to this instant.
    fn current_core(&self) -> MutexGuard<'_, FakeCore> {
        let mut core = self.core();
        core.advance(self.now());
        core
    }

    fn now(&self) -> Instant {
        let ahead = chrono::Duration::milliseconds(self.ahead.load(Ordering::SeqCst));
        (self.clock)() + ahead
    }

    /// Keeps the journal current while no request arrives.
    fn tick_until(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            drop(self.current_core());
            clock::pause(Duration::from_millis(50));
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let path = request.path.as_str();
        if path.starts_with("/__") {
            return self.control(request);
        }
        if request.method == "GET"
            && let Some(answer) = self.settings(request)
        {
            return answer;
        }
        if let Some(answer) = self.recording(request) {
            return answer;
        }
        let id = path.strip_prefix("/call/").filter(|id| !id.is_empty() && !id.contains('/'));
        match (request.method.as_str(), path, id) {
            ("POST", "/call", _) => self.post(request),
            ("GET", "/call", _) => self.list(request),
            ("GET", _, Some(id)) => {
                let told = self.with_core(|core, now| core.get(id, self.knows(request), now));
                finish(told, path, |record| Response::json(200, &wire::call_json(&record)))
            }
            ("DELETE", _, Some(id)) => {
                let told = self.with_core(|core, now| core.delete(id, self.knows(request), now));
                finish(told, path, |record| Response::json(200, &wire::call_json(&record)))
            }
            _ => wire::reply_response(&refused(404), path),
        }
    }

    /// A recording, or the redirect to it; `None` for every other path.
    fn recording(&self, request: &Request) -> Option<Response> {
        let path = request.path.as_str();
        if let Some(file) = path.strip_prefix("/recordings/") {
            let until = request.query_value("until").and_then(|text| text.parse().ok());
            return Some(recordings::file(file, until, self.now()));
        }
        let id = path.strip_prefix("/call/")?.strip_suffix("/mono-recording")?;
        if request.method != "GET" {
            return Some(wire::reply_response(&refused(404), path));
        }
        let knows = self.knows(request);
        let found = self.with_core(|core, now| core.recording(id, knows, now).map(|()| now));
        Some(match found {
            Ok(now) => {
                let to = recordings::address(&format!("http://{}", self.address), id, now);
                Response::new(302).with_header("Location", &to)
            }
            Err(reply) => wire::reply_response(&reply, path),
        })
    }

    /// Runs `act` on the core. The clock is read under the lock, so that time does not run backward
    /// between two calls.
    fn with_core<T>(&self, act: impl FnOnce(&mut FakeCore, Instant) -> T) -> T {
        let mut core = self.core();
        let now = self.now();
        act(&mut core, now)
    }

    fn post(&self, request: &Request) -> Response {
        let asked = ListQuery {
            order: wire::read_order(request.header("content-type"), &request.body),
            authorized: self.knows(request),
            client_port: Some(request.peer.port()),
        };
        let told = self.with_core(|core, now| core.post(asked, now));
        finish(told, &request.path, |placed| wire::placed_response(&placed))
    }

    fn list(&self, request: &Request) -> Response {
        let query = match wire::read_query(&request.query) {
            Ok(query) => query,
            Err(refusal) => return wire::refusal_response(&refusal),
        };
        let told = self.with_core(|core, now| core.list(&query, self.knows(request), now));
        finish(told, &request.path, |rows| {
            let rows: Vec<Value> = rows.iter().map(wire::call_json).collect();
            Response::json(200, &Value::Array(rows))
        })
    }

    /// Whether the request carries the key.
    fn knows(&self, request: &Request) -> bool {
        let sent = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        match (&self.key, sent) {
            (_, None | Some("")) => false,
            (None, Some(_)) => true,
            (Some(key), Some(sent)) => key == sent,
        }
    }

    fn control(&self, request: &Request) -> Response {
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/__faults") => Response::json(200, &json!(self.core().faults())),
            ("POST", "/__faults") => match serde_json::from_value::<Faults>(body()) {
                Ok(faults) => {
                    self.core().set_faults(faults);
                    Response::json(200, &json!(self.core().faults()))
                }
                Err(error) => Response::text(400, &error.to_string()),
            },
            ("GET", "/__journal") => Response::json(200, &json!(self.current_core().journal())),
            ("GET", "/__rings") => {
                let core = self.current_core();
                let (rings, duplicates) = (core.rings(), core.duplicates());
                let repeated = core.repeated_posts();
                let told =
                    json!({"rings": rings, "duplicates": duplicates, "repeated_posts": repeated});
                Response::json(200, &told)
            }
            ("GET", "/__pushed") => {
                let id = request.query_value("call").unwrap_or_default();
                match self.with_core(|core, now| core.push(id, now)) {
                    Some(record) => Response::json(200, &pushed_json(&record)),
                    None => Response::text(404, "no such call"),
                }
            }
            ("POST", "/__assistants") => match body() {
                Value::Object(told) => {
                    self.assistants().extend(told);
                    Response::json(200, &Value::Object(self.assistants().clone()))
                }
                _ => {
                    Response::text(400, "a body like {\"id\": {\"firstMessage\": \"…\"}} is needed")
                }
            },
            ("POST", "/__advance") => match body()["seconds"].as_f64().filter(|s| s.abs() < 1e9) {
                Some(seconds) => {
                    self.ahead.fetch_add((seconds * 1000.0) as i64, Ordering::SeqCst);
                    drop(self.current_core());
                    Response::json(200, &json!({"now": self.now()}))
                }
                None => Response::text(400, "a body like {\"seconds\": 90} is needed"),
            },
            _ => Response::text(404, "no such control path"),
        }
    }
}

/// Renders the answer with its date, after its delay.
fn finish<T>(told: FakeTold<T>, path: &str, render: impl FnOnce(T) -> Response) -> Response {
    let response = match told.what {
        Ok(what) => render(what),
        Err(reply) => wire::reply_response(&reply, path),
    };
    if !told.latency.is_zero() {
        clock::pause(told.latency);
    }
    match told.date {
        Some(date) => {
            response.with_header("Date", &date.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
        None => response,
    }
}
