//! What stands beside the dialer in `run`: the listener, the word to the service manager, and the
//! ping to a dead-man's switch. None of them can hold a dial up.

use std::cell::Cell;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;

use crate::cli::exit::CliError;
use crate::clock;
use crate::config::{Loaded, Secret};
use crate::service::{Service, follower};
use crate::store::meta::{self, Mark};
use crate::vapi;
use crate::vapi::webhook::Believer;
use crate::web::front::{Front, serve};
use crate::web::health;
use crate::web::listener::Serving;

/// How often the pinger looks for a scan that was not told yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The service manager hears from us at most this often.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Who may come in.
pub struct Secrets {
    pub api_token: Option<Secret>,
    pub webhook: Option<Believer>,
}

impl Secrets {
    /// Refuses secrets that would protect nothing, before anything is opened. Nothing is checked where
    /// nothing is served.
    pub fn of(loaded: &Loaded) -> Result<Secrets, CliError> {
        if loaded.config.web.listen.is_none() {
            return Ok(Secrets { api_token: None, webhook: None });
        }
        if let Some(why) = loaded.short_token() {
            return Err(CliError::usage(why));
        }
        let believer = |secret| Believer::new(&loaded.config.webhook, secret);
        let webhook = loaded.webhook_secret.clone().map(believer).transpose();
        let webhook = webhook.map_err(CliError::usage)?;
        Ok(Secrets { api_token: loaded.api_token.clone(), webhook })
    }
}

/// Starts to answer where the configuration says; `None` when it says nowhere. Answers before
/// dialing has opened, so that a health check sees why it has not.
pub fn listen(service: &Arc<Service>, secrets: Secrets) -> anyhow::Result<Option<Serving>> {
    let Some(address) = service.cx.config.web.listen.clone() else { return Ok(None) };
    if secrets.api_token.is_none() {
        log::warn!("RINGONCE_API_TOKEN is not set: the page and the API let nobody in");
    }
    if secrets.webhook.is_none() {
        log::warn!("VAPI_WEBHOOK_SECRET is not set: webhooks are refused, calls are polled");
    }
    let token = secrets.api_token.as_ref();
    let front = Front::new(Arc::clone(service), token, secrets.webhook)?;
    serve(Arc::new(front), &address).map(Some)
}

/// Tells systemd that the service is ready, once, and from then on that it is alive, twice as
/// often as its watchdog asks for. Nothing where no service manager listens.
pub fn told_to_the_manager() -> impl Fn() {
    let every = sd_notify::watchdog_enabled().map_or(TELL_EVERY, |limit| TELL_EVERY.min(limit / 2));
    let last: Cell<Option<Duration>> = Cell::new(None);
    move || {
        let now = clock::elapsed();
        let news = match last.get() {
            None => NotifyState::Ready,
            Some(at) if at + every <= now => NotifyState::Watchdog,
            Some(_) => return,
        };
        last.set(Some(now));
        if let Err(error) = sd_notify::notify(&[news]) {
            log::warn!("the service manager cannot be told: {error}");
        }
    }
}

/// Tells systemd that the service ends on purpose.
pub fn goodbye() {
    // Nothing depends on it: the manager sees the process end.
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Asks the ping URL after each scan that found the service well; in a thread of its own.
pub fn ping_after_scans(service: &Arc<Service>) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(url) = service.cx.config.web.ping_url.clone() else { return Ok(None) };
    let service = Arc::clone(service);
    let pinger = Builder::new().name("ping".to_string()).spawn(move || {
        let scanned =
            || service.cx.store.read(|conn| meta::mark(conn, Mark::LastScan)).ok().flatten();
        let mut told = scanned();
        while !service.stopping() {
            follower::rest(&service, LOOK_EVERY);
            let latest = scanned();
            if latest != told && is_well(&service) {
                told = latest;
                ping(&url);
            }
        }
    });
    pinger.context("start the pinger").map(Some)
}

fn is_well(service: &Service) -> bool {
    service.clock.now().is_ok_and(|now| health::reasons(service, now).is_empty())
}

/// One ping; what goes wrong is only logged.
pub fn ping(url: &str) {
    if let Err(why) = vapi::ping(url) {
        log::warn!("the ping URL did not answer: {why}");
    }
}
