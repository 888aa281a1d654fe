//! What all requests share: the service, the secrets, and a turnstile in front of the database.
//!
//! The turnstile is why no crowd of visitors can delay a dial: at most two of them read and one of
//! them writes at any moment, however many wait. Whoever waits too long is told to come back.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use crate::clock;
use crate::config::Secret;
use crate::domain::Instant;
use crate::domain::zone::Zone;
use crate::service::Service;
use crate::steps::Context;
use crate::vapi::webhook::Believer;
use crate::web::access::Keys;
use crate::web::guesses::Guesses;
use crate::web::http::Request;
use crate::web::listener::{Large, Limits, Listener, Serving};
use crate::web::metrics::Kept;
use crate::web::problem::Problem;
use crate::web::quiet::Quiet;
use crate::web::{health, router};

/// Visitors that read at once; the pool has more readers than that.
const READERS: usize = 2;
/// How long a visitor waits for a turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// An end-of-call report holds the whole transcript, and some are ten times as large as anything
/// else that is sent here.
const LARGE: Large =
    Large { path: router::WEBHOOK, body_bytes: 2 * 1024 * 1024, memory_bytes: 32 * 1024 * 1024 };

/// Where a token was guessed.
#[derive(Clone, Copy, Debug)]
pub enum GuessedAt {
    Form,
    Bearer,
}

/// What all requests share.
pub struct Front {
    pub service: Arc<Service>,
    /// `None`: the webhook refuses everything.
    pub believer: Option<Believer>,
    /// Webhooks that were not believed.
    pub disbelieved: Quiet,
    /// `None`: nobody gets in but the webhook and the health check.
    pub keys: Option<Keys>,
    /// Wrong tokens at the form, and as bearers.
    guesses: [Mutex<Guesses>; 2],
    /// Guesses that were not judged.
    pub limited: Quiet,
    pub health: Mutex<Option<health::Seen>>,
    pub metrics: Mutex<Kept>,
    reading: Turnstile,
    writing: Turnstile,
}

impl Front {
    pub fn new(
        service: Arc<Service>,
        api_token: Option<&Secret>,
        believer: Option<Believer>,
    ) -> anyhow::Result<Front> {
        let kept = Kept::new(&service.cx.store)?;
        let process = uuid::Uuid::new_v4().to_string();
        Ok(Front {
            service,
            believer,
            disbelieved: Quiet::new(Duration::from_secs(300)),
            keys: api_token.map(|token| Keys::new(token, &process)),
            guesses: [Guesses::at_the_form(), Guesses::by_bearer()].map(Mutex::new),
            limited: Quiet::new(Duration::from_secs(60)),
            health: Mutex::new(None),
            metrics: Mutex::new(kept),
            reading: Turnstile::new(READERS),
            writing: Turnstile::new(1),
        })
    }

    pub fn cx(&self) -> &Context {
        &self.service.cx
    }

    /// The zone in which the operator's day begins and ends: that of the scan.
    pub fn zone(&self) -> Arc<Zone> {
        let name = &self.cx().config.schedule.timezone;
        self.cx().zones.get_schedule_zone(name).unwrap_or_else(|| Arc::new(Zone::utc()))
    }

    /// Counts a guess at the token: at the form before it is judged, as a bearer after it was wrong.
    pub fn count_guess(
        &self,
        at: GuessedAt,
        request: &Request,
        now: Instant,
    ) -> Result<(), Problem> {
        let from = self.sender(request);
        self.guesses(at).count(from, now).map_err(|wait| {
            let behind = match self.cx().config.web.forwarded_for {
                true => "",
                false => "; behind a reverse proxy set web.forwarded_for",
            };
            self.limited.warn(&format!("attempts to sign in from {from} are limited{behind}"));
            Problem::too_many_guesses(wait)
        })
    }

    /// The guess at the form that was counted last was right.
    pub fn guessed_right(&self, request: &Request) {
        self.guesses(GuessedAt::Form).was_right(self.sender(request));
    }

    fn guesses(&self, at: GuessedAt) -> MutexGuard<'_, Guesses> {
        self.guesses[at as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a request comes from. A client can write the header itself, so only its last entry
    /// counts, and only where a proxy is known to write it.
    pub fn sender(&self, request: &Request) -> IpAddr {
        let peer = request.peer.ip();
        if !self.cx().config.web.forwarded_for {
            return peer;
        }
        let told = request.last_header("x-forwarded-for").and_then(|list| list.rsplit(',').next());
        told.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)
    }

    /// A turn to read; `None` after too long a wait.
    pub fn turn_to_read(&self) -> Option<Turn<'_>> {
        self.reading.enter()
    }

    /// A turn to write (and to read meanwhile); `None` after too long a wait.
    pub fn turn_to_write(&self) -> Option<Turn<'_>> {
        self.writing.enter()
    }
}

/// Binds the address and answers on it, in threads of their own, until the returned value is
/// dropped.
pub fn serve(front: Arc<Front>, address: &str) -> anyhow::Result<Serving> {
    let listener = Listener::bind(address)
        .with_context(|| format!("listen on {address}: choose another with --listen"))?;
    let bound = listener.local_addr().context("ask for the bound address")?;
    let handler = Arc::new(move |request| router::answer(&front, &request));
    let stop = Arc::new(AtomicBool::new(false));
    let limits = Limits { large: Some(LARGE), ..Limits::default() };
    let serving: io::Result<Serving> = listener.serve(handler, limits, stop);
    log::info!("listening on http://{bound}");
    serving.context("start the listener's thread")
}

/// Lets so many through at once.
struct Turnstile {
    free: Mutex<usize>,
    left: Condvar,
}

/// A visitor's turn; ends when it is dropped.
pub struct Turn<'a> {
    turnstile: &'a Turnstile,
}

impl Turnstile {
    fn new(places: usize) -> Turnstile {
        Turnstile { free: Mutex::new(places), left: Condvar::new() }
    }

    fn enter(&self) -> Option<Turn<'_>> {
        let until = clock::elapsed() + PATIENCE;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            let left = until.saturating_sub(clock::elapsed());
            if left.is_zero() {
                return None;
            }
            free = self.left.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Turn { turnstile: self })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.turnstile.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.turnstile.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_turn_ends() {
        let turnstile = Turnstile::new(2);
        let first = turnstile.enter();
        let second = turnstile.enter();
        assert!(first.is_some() && second.is_some());
        assert_eq!(*turnstile.free.lock().unwrap(), 0);
        drop(first);
        assert!(turnstile.enter().is_some());
    }

    #[test]
    fn whoever_waits_gets_the_place_that_is_left() {
        let turnstile = Turnstile::new(1);
        std::thread::scope(|scope| {
            let first = turnstile.enter();
            let second = scope.spawn(|| turnstile.enter().is_some());
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
