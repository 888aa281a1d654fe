//! All HTTP to Vapi. One POST per order, never repeated, never redirected, on its own connection
//! and without a proxy.
//!
//! This module decides only what a reply proves. It never retries, not even a GET, because the
//! caller decides when to ask again. The key is sent only in the `Authorization` header, only over
//! https or to loopback.

pub mod assistant;
pub mod findings;
pub(crate) mod get;
pub(crate) mod headers;
pub mod paging;
pub mod ping;
pub mod recordings;
pub mod reply;
pub(crate) mod rows;
pub mod transport;
pub mod values;
pub mod webhook;
pub mod wire;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use ureq::Agent;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::DefaultResolver;

use crate::clock;
use crate::domain::Instant;
use crate::provider::{
    Accepted, Fetched, KEEPS_NOTHING, ListKeeper, Listing, PlaceError, PlaceOrder, Provider,
    ReadError, Refusal, Seconds, no_seconds,
};
use crate::vapi::get::Get;
use crate::vapi::headers::{date_of, retry_after};
use crate::vapi::reply::{Reply, in_doubt, scrub};
use crate::vapi::transport::{Question, Witness, gated};
use crate::vapi::values::path_segment;

/// The limit of each phase before the reply: resolving, connecting and sending.
const LONGEST_PHASE: Duration = Duration::from_secs(5);
/// In bytes. Only the id matters in a reply to a POST.
const LARGEST_REPLY: u64 = 1024 * 1024;
/// The private key. Its text is never shown.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Drops surrounding white space, such as the line end of a file.
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
    /// Checks the address and the key without a request. `timeout_secs` limits a whole request.
    ///
    /// Fails on plain http beyond loopback, because others could read the key and the phone
    /// numbers on the network.
    pub fn new(base_url: &str, key: ApiKey, timeout_secs: u64) -> anyhow::Result<Vapi> {
        let uri: Uri = base_url.parse().ok().with_context(|| {
            format!("vapi.base_url {base_url:?} is not an address; write https://…")
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

    /// Settings for one request. Every phase has its own limit inside the global one, so that the
    /// error names the phase.
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

    /// The one POST, on its own connection. It asks the caller by `ask` before the first byte.
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

    fn reader(&self) -> Get<'_> {
        Get { base_url: &self.base_url, key: &self.key.0, settings: self.settings() }
    }

    /// Makes one request and records its duration.
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
        // The library's connections may outlive this call, and `may_send` is only borrowed. So the
        // request runs on its own thread and asks this one.
        let outcome = std::thread::scope(|scope| {
            let poster = std::thread::Builder::new()
                .name("post".to_string())
                .spawn_scoped(scope, move || self.post(body.as_bytes(), seen, ask))
                .map_err(|error| format!("no thread for the request: {error}"))?;
            // The loop ends when the poster has dropped its connection.
            while let Ok(answer) = asked.recv() {
                // If the poster has ended, it needs no answer; `join` reads its result below.
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
        let (value, date) = self.reader().value(&format!("/call/{}", path_segment(call_id)))?;
        match wire::read_call(&value) {
            Some(call) if call.id == call_id => Ok(Fetched { call, date }),
            Some(_) => Err(ReadError::Unavailable("it answered with another call".to_string())),
            None => Err(ReadError::Unavailable("its answer is not a call".to_string())),
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
        self.list_on(since, &KEEPS_NOTHING)
    }

    fn list_on(&self, since: Instant, keeper: &ListKeeper<'_>) -> Result<Listing, ReadError> {
        paging::every_call(since, keeper, &mut |window| {
            self.timed("list", || self.reader().page(window), ReadError::outcome)
        })
    }

    fn recording(&self, call_id: &str) -> Result<String, ReadError> {
        self.timed("recording", || self.recording_once(call_id), ReadError::outcome)
    }

    fn seconds(&self) -> Option<Seconds> {
        Some(self.seconds.clone())
    }
}

fn not_sent(refusal: Refusal, detail: &str, key: &str) -> PlaceError {
    PlaceError::NotPlaced { refusal, detail: scrub(detail, key) }
}

/// Whether the address is on this machine: `localhost`, `127.0.0.0/8` or `[::1]`.
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
    fn a_key_that_is_not_a_header_is_refused_and_never_shown() {
        for key in ["", " ", "two words", "line\nbreak", "ключ"] {
            assert!(Vapi::new("https://api.vapi.ai", ApiKey::new(key), 20).is_err(), "{key:?}");
        }
        let vapi = Vapi::new("https://api.vapi.ai", ApiKey::new("sk-secret\n"), 20).unwrap();
        assert!(!format!("{vapi:?}").contains("secret"));
    }
}
