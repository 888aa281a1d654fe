//! All HTTP to Vapi. One POST per order: never repeated, redirected, reused or sent by a proxy.
//!
//! This module decides nothing but what a reply proves. It refuses to retry, also a GET: the
//! caller knows when to ask again. The key leaves only in the `Authorization` header, only over
//! https or to loopback.

mod assistant;
mod findings;
mod paging;
mod ping;
mod reply;
mod transport;
pub mod webhook;
pub mod wire;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::DateTime;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Response, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use crate::clock;
use crate::domain::Instant;
use crate::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ReadError, Refusal, Seconds,
    no_seconds,
};
pub use assistant::AssistantWords;
use paging::{Page, Window};
pub use ping::ping;
use reply::{Reply, in_doubt, scrub};
use transport::{Question, Witness, gated};

/// A phase before the provider can have read anything is cut after so long.
const LONGEST_PHASE: Duration = Duration::from_secs(5);
/// Of a reply to a POST only the id matters.
const LARGEST_REPLY: u64 = 1024 * 1024;
/// A page of calls may hold a hundred transcripts.
const LARGEST_PAGE: u64 = 64 * 1024 * 1024;

/// The private key. Shows itself to nobody.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Surrounding white space, as a file leaves it, is dropped.
    pub fn new(key: &str) -> ApiKey {
        ApiKey(key.trim().to_string())
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// Vapi over HTTP.
#[derive(Clone, Debug)]
pub struct Vapi {
    base_url: String,
    key: ApiKey,
    timeout: Duration,
    seconds: Seconds,
}

impl Vapi {
    /// Checks the address and the key; asks nobody. `timeout_secs` bounds each request as a whole.
    ///
    /// Fails on plain http to anything but loopback, because the key and the phone numbers would
    /// travel in the open.
    pub fn new(base_url: &str, key: ApiKey, timeout_secs: u64) -> anyhow::Result<Vapi> {
        let uri: Uri = base_url.parse().ok().with_context(|| {
            format!("vapi.base_url {base_url:?} is no address; write https://…")
        })?;
        let plain = uri.query().is_none() && !base_url.contains(['@', '#']);
        if !plain || uri.host().is_none_or(str::is_empty) {
            bail!("vapi.base_url must be scheme, host and path only, like https://api.vapi.ai");
        }
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if on_loopback(base_url) => {}
            _ => bail!("vapi.base_url {base_url:?} must begin with https://; http is for loopback"),
        }
        if key.0.is_empty() || !key.0.chars().all(|c| c.is_ascii_graphic()) {
            bail!("the Vapi key is empty or holds characters that no key has; set VAPI_API_KEY");
        }
        if timeout_secs == 0 {
            bail!("vapi.timeout_secs must be at least 1");
        }
        let timeout = Duration::from_secs(timeout_secs);
        let base_url = base_url.trim_end_matches('/').to_string();
        Ok(Vapi { base_url, key, timeout, seconds: no_seconds() })
    }

    /// Settings for one request. Every phase lies inside the global limit, so that the error says
    /// which phase it was.
    fn settings(&self) -> ureq::config::Config {
        let phase = Some(self.timeout.min(LONGEST_PHASE));
        Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .accept_encoding("identity")
            .user_agent(concat!("ringonce/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(phase)
            .timeout_connect(phase)
            .timeout_send_request(phase)
            .timeout_send_body(phase)
            .timeout_recv_response(Some(self.timeout))
            .timeout_recv_body(Some(self.timeout))
            .timeout_global(Some(self.timeout))
            .build()
    }

    /// The one POST, on its own connection. `ask` reaches the caller before the first byte.
    fn post(
        &self,
        body: &[u8],
        witness: Arc<Witness>,
        ask: Sender<Question>,
    ) -> Result<Reply, ureq::Error> {
        let connector = gated(witness, ask);
        let agent = Agent::with_parts(self.settings(), connector, DefaultResolver::default());
        let response = agent
            .post(format!("{}/call", self.base_url))
            .header("Authorization", format!("Bearer {}", self.key.0))
            .header("Content-Type", "application/json")
            .header("Accept", "application/json")
            .header("Connection", "close")
            .send(body)?;
        let status = response.status().as_u16();
        let date = date_of(response.headers());
        let retry_after_secs = retry_after(response.headers(), date);
        let body = bytes(response, LARGEST_REPLY).ok();
        Ok(Reply { status, date, retry_after_secs, body })
    }

    /// One GET. Any answer but 200 is an error; none of them proves anything about a call.
    fn read(&self, path: &str) -> Result<(Value, Option<Instant>), ReadError> {
        let unavailable = |what: String| ReadError::Unavailable(scrub(&what, &self.key.0));
        let connector = DefaultConnector::default();
        let agent = Agent::with_parts(self.settings(), connector, DefaultResolver::default());
        let response = agent
            .get(format!("{}{path}", self.base_url))
            .header("Authorization", format!("Bearer {}", self.key.0))
            .header("Accept", "application/json")
            .header("Connection", "close")
            .call()
            .map_err(|error| unavailable(error.to_string()))?;
        let date = date_of(response.headers());
        match response.status().as_u16() {
            200 => {}
            404 => return Err(ReadError::NotFound),
            status @ (401 | 403) => {
                return Err(ReadError::Unauthorized(format!("it answered {status}")));
            }
            status => return Err(unavailable(format!("it answered {status}"))),
        }
        let body = bytes(response, LARGEST_PAGE).map_err(|error| unavailable(error.to_string()))?;
        let value = serde_json::from_slice(&body)
            .map_err(|error| unavailable(format!("its answer is no JSON: {error}")))?;
        Ok((value, date))
    }

    /// Makes one request and counts how long it took.
    fn timed<T, E>(
        &self,
        method: &'static str,
        request: impl FnOnce() -> Result<T, E>,
        outcome: fn(&E) -> &'static str,
    ) -> Result<T, E> {
        let begun = clock::elapsed();
        let answer = request();
        let word = answer.as_ref().map_or_else(outcome, |_| "ok");
        let took = clock::elapsed().saturating_sub(begun).as_secs_f64();
        self.seconds.get_or_create(&[("method", method), ("outcome", word)]).observe(took);
        answer
    }

    fn page(&self, window: &Window) -> Result<Page, ReadError> {
        match self.read(&format!("/call?{}", window.query())) {
            Ok((Value::Array(rows), date)) => Ok(Page { rows, date }),
            Ok(_) => Err(ReadError::Unavailable("its answer is no list".to_string())),
            // NotFound speaks of one call; a list that is not there is a wrong address.
            Err(ReadError::NotFound) => {
                Err(ReadError::Unavailable("it has no list of calls; check vapi.base_url".into()))
            }
            Err(error) => Err(error),
        }
    }
}

impl Vapi {
    /// The request of [`Provider::place`].
    fn place_once(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        let body = wire::order_body(order).to_string();
        let witness = Arc::new(Witness::default());
        let (ask, asked) = channel::<Question>();
        let seen = witness.clone();
        // The library keeps its connections for ever and `may_send` is only lent, so the request
        // runs on its own thread and asks this one.
        let outcome = std::thread::scope(|scope| {
            let poster = std::thread::Builder::new()
                .name("post".to_string())
                .spawn_scoped(scope, move || self.post(body.as_bytes(), seen, ask))
                .map_err(|error| format!("no thread for the request: {error}"))?;
            // Ends when the poster has dropped its connection.
            while let Ok(answer) = asked.recv() {
                // A poster that is gone needs no answer; its end is read below.
                let _ = answer.send(may_send());
            }
            match poster.join() {
                Ok(reply) => reply.map_err(|error| error.to_string()),
                Err(_) => Err("the request's thread broke down".to_string()),
            }
        });
        let key = &self.key.0;
        let error = match outcome {
            Ok(reply) => return reply.sort(&order.tag, key),
            Err(error) => error,
        };
        match (witness.handed_over(), witness.was_stale()) {
            (0, true) => Err(not_sent(Refusal::Stale, "too late: no byte was sent", key)),
            (0, false) => {
                Err(not_sent(Refusal::NeverSent, &format!("no byte was sent: {error}"), key))
            }
            (bytes, _) => {
                Err(in_doubt(&format!("no answer after {bytes} bytes were sent: {error}"), key))
            }
        }
    }

    fn get_once(&self, call_id: &str) -> Result<Fetched, ReadError> {
        let (value, date) = self.read(&format!("/call/{}", path_segment(call_id)))?;
        match wire::read_call(&value) {
            Some(call) if call.id == call_id => Ok(Fetched { call, date }),
            Some(_) => Err(ReadError::Unavailable("it answered with another call".to_string())),
            None => Err(ReadError::Unavailable("its answer is no call".to_string())),
        }
    }
}

impl Provider for Vapi {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        self.timed("place", || self.place_once(order, may_send), PlaceError::outcome)
    }

    fn get(&self, call_id: &str) -> Result<Fetched, ReadError> {
        self.timed("get", || self.get_once(call_id), ReadError::outcome)
    }

    fn list(&self, since: Instant) -> Result<Listing, ReadError> {
        paging::every_call(since, &mut |window| {
            self.timed("list", || self.page(window), ReadError::outcome)
        })
    }

    fn seconds(&self) -> Option<Seconds> {
        Some(self.seconds.clone())
    }
}

fn not_sent(refusal: Refusal, detail: &str, key: &str) -> PlaceError {
    PlaceError::NotPlaced { refusal, detail: scrub(detail, key) }
}

/// Whether this address names this very machine: `localhost`, `127.0.0.0/8` or `[::1]`.
pub fn on_loopback(base_url: &str) -> bool {
    let Ok(uri) = base_url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

fn bytes(mut response: Response<ureq::Body>, limit: u64) -> Result<Vec<u8>, ureq::Error> {
    response.body_mut().with_config().limit(limit).read_to_vec()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn http_date(text: &str) -> Option<Instant> {
    Some(DateTime::parse_from_rfc2822(text.trim()).ok()?.to_utc())
}

fn date_of(headers: &HeaderMap) -> Option<Instant> {
    http_date(header(headers, "date")?)
}

/// `Retry-After` in seconds; its date form counts from the provider's own `Date`.
fn retry_after(headers: &HeaderMap, date: Option<Instant>) -> Option<u64> {
    let text = header(headers, "retry-after")?.trim();
    text.parse().ok().or_else(|| {
        let wait = http_date(text)?.signed_duration_since(date?);
        Some(wait.num_seconds().max(0).unsigned_abs())
    })
}

/// An id from outside as one segment of a path; nothing in it can point elsewhere.
fn path_segment(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    id.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_loopback_is_taken() {
        let good = [
            "https://api.vapi.ai",
            "https://api.vapi.ai/",
            "https://proxy.example.com/vapi",
            "http://127.0.0.1:9000",
            "http://127.9.8.7",
            "http://localhost:80",
            "http://LOCALHOST",
            "http://[::1]:80",
        ];
        let bad = [
            "",
            "api.vapi.ai",
            "/call",
            "http://api.vapi.ai",
            "ftp://127.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://example.com@127.0.0.1",
            "http://127.0.0.1@example.com",
            "https://api.vapi.ai?x=1",
            "https://api.vapi.ai#x",
            "http://0.0.0.0",
            "http://[::]",
            "http://10.0.0.1",
            "https://",
        ];
        for url in good {
            assert!(Vapi::new(url, ApiKey::new("k"), 20).is_ok(), "{url}");
        }
        for url in bad {
            let error = Vapi::new(url, ApiKey::new("k"), 20).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{url}: {error}");
        }
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_and_never_shown() {
        for key in ["", " ", "two words", "line\nbreak", "ключ"] {
            assert!(Vapi::new("https://api.vapi.ai", ApiKey::new(key), 20).is_err(), "{key:?}");
        }
        let vapi = Vapi::new("https://api.vapi.ai", ApiKey::new("sk-secret\n"), 20).unwrap();
        assert!(!format!("{vapi:?}").contains("secret"));
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(path_segment("01a2-b_C"), "01a2-b_C");
        assert_eq!(path_segment("../x?y#z/é"), "%2E%2E%2Fx%3Fy%23z%2F%C3%A9");
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.parse().unwrap());
            retry_after(&headers, http_date("Sun, 22 Nov 2026 17:00:00 GMT"))
        };
        assert_eq!(read("30"), Some(30));
        assert_eq!(read("Sun, 22 Nov 2026 17:01:30 GMT"), Some(90));
        assert_eq!(read("Sun, 22 Nov 2026 16:00:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
