//! Delivers the outbox to the application: in its own thread beside `run`, and for a few seconds at
//! the end of `tick`. No transaction is open while the application is asked, and no dial waits.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use crate::clock;
use crate::config::events::signing_key;
use crate::config::load::LoadedConfig;
use crate::domain::Instant;
use crate::service::outgoing::{post, signing};
use crate::service::{Service, follower};
use crate::steps::Context;
use crate::steps::readiness::armed;
use crate::store::events::{self, outbox};

/// How often the thread looks for new events.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest time that one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A try in less time would fail at a good receiver.
const SHORTEST_TRY: Duration = Duration::from_secs(1);
/// Events of one round, which shares two commits.
const BATCH: usize = 20;
/// After this many failures in a row, `tick` leaves the rest to the next one.
const FAILURES_OF_A_TICK: u32 = 3;
/// The longest rest after failures in a row. One event is tried after each rest.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Where events go, and the key of their signatures.
pub struct Receiver {
    url: String,
    key: Vec<u8>,
}

impl Receiver {
    /// `None` if no events are sent. `Err`: the secret is missing or cannot be used.
    pub fn of(loaded: &LoadedConfig) -> Result<Option<Receiver>, String> {
        let Some(url) = loaded.config.events.url.clone() else { return Ok(None) };
        let Some(secret) = &loaded.events_secret else {
            return Err("RINGONCE_EVENTS_SECRET is not set, so events wait unsent: make one with \
                        `echo whsec_$(openssl rand -base64 32)` and set it for the service and \
                        for your application"
                .to_string());
        };
        Ok(Some(Receiver { url, key: signing_key(secret)? }))
    }

    /// Sends one event once.
    pub fn send(
        &self,
        id: &str,
        body: &str,
        now: Instant,
        patience: Duration,
    ) -> Result<(), String> {
        let headers = signing::headers(&self.key, id, now.timestamp(), body);
        post::post(&self.url, &headers, body.as_bytes(), patience.min(PATIENCE))
    }
}

/// Stores which events this configuration wants. Only the holder of the dialer's lock does this, so
/// that another command with another configuration cannot stop them.
pub fn note_wanted(cx: &Context) -> anyhow::Result<()> {
    let wanted = cx.config.events.wanted(&cx.config.results);
    if cx.store.read(events::wanted)? == wanted {
        return Ok(());
    }
    cx.store.write(|tx| events::want(tx, wanted.as_ref()))
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    pub delivered: usize,
    /// Whether the last try failed; the round ended with it.
    pub failed: bool,
}

/// Delivers due events until `until` (process time), the first failure, or a full batch. A file
/// that is not armed sends nothing.
pub fn round(service: &Service, receiver: &Receiver, until: Duration) -> anyhow::Result<Round> {
    let cx = &service.cx;
    let mut done = Round::default();
    let now = service.clock.now()?;
    if !cx.store.read(|conn| outbox::is_any_due(conn, now))? {
        return Ok(done);
    }
    if armed::swapped(&cx.store).is_some() || armed::not_armed(cx)?.is_some() {
        return Ok(done);
    }
    let due = cx.store.write(|tx| outbox::take_due(tx, now, BATCH))?;
    let mut outcomes = Vec::new();
    for event in &due {
        let left = until.saturating_sub(clock::elapsed());
        if left < SHORTEST_TRY || service.stopping() {
            break;
        }
        let sent = receiver.send(&event.id, &event.body(), service.clock.now()?, left);
        done.failed = sent.is_err();
        done.delivered += usize::from(sent.is_ok());
        outcomes.push((event, sent));
        if done.failed {
            break;
        }
    }
    let ended = service.clock.now()?;
    cx.store.write(|tx| {
        for (event, sent) in &outcomes {
            outbox::end_try(tx, event, sent, ended)?;
        }
        due[outcomes.len()..].iter().try_for_each(|event| outbox::take_back(tx, event))
    })?;
    if let Some((event, Err(why))) = outcomes.last() {
        log::warn!("event {} was not delivered: {why}", event.id);
    }
    Ok(done)
}

/// Delivers what is due at the end of a pass, for a limited time. Errors are only logged: the pass
/// is done.
pub fn deliver_for(service: &Service, receiver: &Receiver, time: Duration) {
    let until = clock::elapsed() + time;
    let mut failures = 0;
    while clock::elapsed() < until && !service.stopping() {
        match round(service, receiver, until) {
            Ok(done) if done.failed => failures += 1,
            Ok(done) if done.delivered == 0 => return,
            Ok(_) => failures = 0,
            Err(error) => return log::error!("events could not be delivered: {error:#}"),
        }
        if failures >= FAILURES_OF_A_TICK {
            return;
        }
    }
}

/// Delivers events until the service stops; `None` if no events are sent.
pub fn keep_delivering(
    service: &Arc<Service>,
    receiver: Option<Receiver>,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(receiver) = receiver else { return Ok(None) };
    let service = Arc::clone(service);
    let deliverer = Builder::new().name("events".to_string()).spawn(move || {
        let mut failures = 0_u32;
        while !service.stopping() {
            let done = round(&service, &receiver, clock::elapsed() + PATIENCE);
            failures = match &done {
                Ok(done) if !done.failed => 0,
                _ => failures.saturating_add(1),
            };
            let more = matches!(&done, Ok(done) if done.delivered == BATCH);
            if let Err(error) = done.and_then(|_| forget_old(&service)) {
                log::error!("events could not be delivered: {error:#}");
            }
            if !more {
                let rest = LOOK_EVERY * 2_u32.saturating_pow(failures.min(10));
                follower::rest(&service, rest.min(LONGEST_REST));
            }
        }
    });
    deliverer.context("start the thread for events").map(Some)
}

fn forget_old(service: &Service) -> anyhow::Result<()> {
    let (store, now) = (&service.cx.store, service.clock.now()?);
    if store.read(|conn| outbox::is_any_old(conn, now))? {
        store.write(|tx| outbox::forget_old(tx, now))?;
    }
    Ok(())
}
