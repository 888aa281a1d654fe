//! The parts of `run` beside the dialer: the listener, notices to the service manager, and the
//! ping to a dead-man's switch. None of them can delay a dial.

use std::cell::Cell;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;

use crate::cli::exit::CliError;
use crate::clock;
use crate::config::load::LoadedConfig;
use crate::config::secret::Secret;
use crate::http::listener::Serving;
use crate::service::{Service, follower};
use crate::store::meta::marks::{self, Mark};
use crate::vapi::webhook::signature::Believer;
use crate::web::front::Front;
use crate::web::health;
use crate::web::serve::serve;

/// How often the pinger checks for a new scan.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The interval of watchdog notices to the service manager; half its watchdog time if that is
/// shorter.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// The secrets that admit requests to the page, the API and the webhook.
pub struct Secrets {
    pub api_token: Option<Secret>,
    pub webhook: Option<Believer>,
}

impl Secrets {
    /// Refuses secrets that are too weak, before the database is opened. Checks nothing if
    /// `web.listen` is not set.
    pub fn of(loaded: &LoadedConfig) -> Result<Secrets, CliError> {
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

/// Starts the listener at `web.listen`; `None` if it is not set. It answers before dialing has
/// opened, so that a health check shows why dialing is shut.
pub fn listen(service: &Arc<Service>, secrets: Secrets) -> anyhow::Result<Option<Serving>> {
    let Some(address) = service.cx.config.web.listen.clone() else { return Ok(None) };
    if secrets.api_token.is_none() {
        log::warn!("RINGONCE_API_TOKEN is not set: the page and the API refuse every request");
    }
    if secrets.webhook.is_none() {
        log::warn!("VAPI_WEBHOOK_SECRET is not set: webhooks are refused, calls are polled");
    }
    let token = secrets.api_token.as_ref();
    let front = Front::new(Arc::clone(service), token, secrets.webhook)?;
    let (serving, _) = serve(Arc::new(front), &address)?;
    Ok(Some(serving))
}

/// Notifies systemd once that the service is ready. Later calls notify its watchdog, at least twice
/// per watchdog time. Does nothing without a service manager.
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
            log::warn!("the service manager cannot be notified: {error}");
        }
    }
}

/// Notifies systemd that the service stops on purpose.
pub fn goodbye() {
    // A failure does no harm, because systemd sees the process end.
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Fetches the ping URL after each scan while the service is healthy, in a separate thread.
pub fn ping_after_scans(service: &Arc<Service>) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(url) = service.cx.config.web.ping_url.clone() else { return Ok(None) };
    let service = Arc::clone(service);
    let pinger = Builder::new().name("ping".to_string()).spawn(move || {
        let scanned =
            || service.cx.store.read(|conn| marks::mark(conn, Mark::LastScan)).ok().flatten();
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
    service.clock.now().is_ok_and(|now| health::causes(service, now).is_empty())
}

/// Fetches the ping URL once; errors are only logged.
pub fn ping(url: &str) {
    if let Err(why) = crate::vapi::ping::ping(url) {
        log::warn!("the ping URL did not answer: {why}");
    }
}
