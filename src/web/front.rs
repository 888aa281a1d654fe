//! The state that all requests share: the service, the secrets, and limits on database use.
//!
//! The limits keep a crowd of requests from delaying a dial: at any moment at most two requests
//! read and one writes. A request that waits too long gets a 503 answer.

pub mod guesses;
pub mod saved_edits;
pub mod turns;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::secret::Secret;
use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::http::log_limiter::LogLimiter;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::service::Service;
use crate::steps::Context;
use crate::steps::readiness::health::Cause;
use crate::vapi::webhook::signature::Believer;
use crate::web::access::Keys;
use crate::web::base_path::BasePath;
use crate::web::front::guesses::Guesses;
use crate::web::front::saved_edits::SavedEdits;
use crate::web::front::turns::{Slots, Turn};
use crate::web::metrics::lateness::Lateness;

/// How many requests read at once: fewer than the pool's connections, so that the service keeps
/// some.
const READERS: usize = 2;
/// How many requests ask the provider at once: each takes a request of the account's rate.
const ASKERS: usize = 2;

/// Where a request sent a token.
#[derive(Clone, Copy, Debug)]
pub enum GuessedAt {
    Form,
    Bearer,
}

/// The state that all requests share.
pub struct Front {
    pub service: Arc<Service>,
    /// `None`: the webhook refuses every message.
    pub believer: Option<Believer>,
    /// Limits log lines about webhooks with a wrong secret.
    pub disbelieved: LogLimiter,
    pub keys: Keys,
    pub base: BasePath,
    /// Why nothing can be changed here; shown on each page. `None`: acts are allowed.
    pub read_only: Option<&'static str>,
    /// Counts of wrong tokens: in the form, and as bearer.
    guesses: [Mutex<Guesses>; 2],
    /// Limits log lines about guesses that were refused unchecked.
    pub limited: LogLimiter,
    pub health: Mutex<Option<HealthAnswer>>,
    pub metrics: Mutex<Lateness>,
    pub saved_edits: SavedEdits,
    reading: Slots,
    writing: Slots,
    asking: Slots,
}

impl Front {
    pub fn new(
        service: Arc<Service>,
        api_token: Option<&Secret>,
        believer: Option<Believer>,
    ) -> anyhow::Result<Front> {
        let kept = Lateness::new(&service.cx.store)?;
        let base = BasePath::of(&service.cx.config.web);
        let process = uuid::Uuid::new_v4().to_string();
        Ok(Front {
            service,
            believer,
            disbelieved: LogLimiter::new(Duration::from_secs(300)),
            keys: Keys::new(api_token, &process),
            base,
            read_only: None,
            guesses: [Guesses::at_the_form(), Guesses::by_bearer()].map(Mutex::new),
            limited: LogLimiter::new(Duration::from_secs(60)),
            health: Mutex::new(None),
            metrics: Mutex::new(kept),
            saved_edits: SavedEdits::default(),
            reading: Slots::new(READERS),
            writing: Slots::new(1),
            asking: Slots::new(ASKERS),
        })
    }

    pub fn cx(&self) -> &Context {
        &self.service.cx
    }

    /// The zone of the operator's day, which is the zone of the scan.
    pub fn zone(&self) -> Arc<Zone> {
        self.cx().timetable.zone()
    }

    /// Counts a guess at the token: in the form before the check, as bearer after a failed check.
    pub fn count_guess(
        &self,
        at: GuessedAt,
        request: &Request,
        now: Instant,
    ) -> Result<(), Problem> {
        let from = self.sender(request);
        self.guesses(at).count(from, now).map_err(|wait| {
            let behind = if self.cx().config.web.forwarded_for {
                ""
            } else {
                "; behind a reverse proxy set web.forwarded_for"
            };
            self.limited.warn(&format!("attempts to sign in from {from} are limited{behind}"));
            Problem::too_many_guesses(wait)
        })
    }

    /// Notes that the last counted guess in the form was right.
    pub fn guessed_right(&self, request: &Request) {
        self.guesses(GuessedAt::Form).was_right(self.sender(request));
    }

    fn guesses(&self, at: GuessedAt) -> MutexGuard<'_, Guesses> {
        self.guesses[at as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address that sent a request. Clients can forge `X-Forwarded-For`, so only its last entry
    /// counts, and only if `web.forwarded_for` is set.
    pub fn sender(&self, request: &Request) -> IpAddr {
        let peer = request.peer.ip();
        if !self.cx().config.web.forwarded_for {
            return peer;
        }
        let told = request.last_header("x-forwarded-for").and_then(|list| list.rsplit(',').next());
        told.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)
    }

    /// Waits for a turn to read; `None` after 3 seconds.
    pub fn turn_to_read(&self) -> Option<Turn<'_>> {
        self.reading.enter()
    }

    /// Waits for a turn to ask the provider; `None` after 3 seconds.
    pub fn turn_to_ask(&self) -> Option<Turn<'_>> {
        self.asking.enter()
    }

    /// Waits for a turn to write, which also permits reads; `None` after 3 seconds.
    pub fn turn_to_write(&self) -> Option<Turn<'_>> {
        self.writing.enter()
    }
}

/// The latest answer of the health check.
pub struct HealthAnswer {
    /// Process time of the answer (`clock::elapsed`).
    pub(crate) at: Duration,
    pub(crate) causes: Vec<Cause>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_turn_ends() {
        let slots = Slots::new(2);
        let first = slots.enter();
        let second = slots.enter();
        assert!(first.is_some() && second.is_some());
        assert_eq!(*slots.free.lock().unwrap(), 0);
        drop(first);
        assert!(slots.enter().is_some());
    }

    #[test]
    fn a_waiting_request_gets_the_place_that_is_left() {
        let slots = Slots::new(1);
        std::thread::scope(|scope| {
            let first = slots.enter();
            let second = scope.spawn(|| slots.enter().is_some());
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
