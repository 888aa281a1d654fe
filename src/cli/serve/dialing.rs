//! `run` and `tick`: the two commands that dial.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use clap::Args;

use crate::cli::arguments::configuration::{Global, Settings, settings_for_dialing};
use crate::cli::exit::{CliError, Exit};
use crate::cli::serve::listening::{self, Secrets};
use crate::cli::serve::outgoing::Outgoing;
use crate::cli::serve::startup;
use crate::present::output;
use crate::service::tick::{self, Ticked};
use crate::service::{Service, backups, run};
use crate::steps::Context;
use crate::steps::customers::census;
use crate::steps::import::holidays;
use crate::steps::readiness::armed;
use crate::store::Store;
use crate::store::file::lock::{DialerLock, LockAnswer};
use crate::store::holidays::Holiday;
use crate::vapi::{ApiKey, Vapi};

/// Run one pass for a system cron: scan, dial everything due now, follow placed calls
#[derive(Args)]
#[command(after_help = "Example, in a crontab:\n  */15 * * * *  ringonce tick")]
pub struct TickArgs {
    /// Print the result of the pass as JSON
    #[arg(long)]
    pub json: bool,
}

/// Run the service: scan on the cron, dial each call at its own instant, follow, reconcile
#[derive(Args)]
pub struct RunArgs {
    /// Serve the page, the API and the webhook at this address, e.g. 127.0.0.1:8787
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

/// Builds the state of a dialing process without the lock. Also reads the dates without calls,
/// which the holder of the lock writes.
pub fn service(settings: Settings) -> anyhow::Result<(Service, Vec<Holiday>)> {
    let Settings { loaded, zones } = settings;
    let now = loaded.clock.now()?;
    let key = loaded.api_key.as_ref().context("VAPI_API_KEY is not set")?;
    threads_are_permitted()?;
    let vapi = &loaded.config.vapi;
    let provider = Vapi::new(&vapi.base_url, ApiKey::new(key.expose()), vapi.timeout_secs)?;
    // Before `Store::open`, so that bad holiday files do not create a database.
    let days = holidays::read(&loaded.config.holidays).map_err(CliError::usage)?;
    let store = Arc::new(Store::open(&loaded.db, now)?);
    let cx = Context::new(store, loaded.config.clone(), Arc::new(zones))?;
    let stop = Arc::new(AtomicBool::new(false));
    let hangup = Some(signal_hook::consts::SIGHUP).filter(|_| !startup::outlives_its_terminal());
    for signal in
        [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT].into_iter().chain(hangup)
    {
        signal_hook::flag::register(signal, stop.clone()).context("listen to signals")?;
    }
    let (provider, halted) = (Box::new(provider), Mutex::new(None));
    Ok((Service { cx, provider, clock: loaded.clock, stop, halted }, days))
}

/// Every call and each look at the provider's records takes a thread. The HTTP client panics without
/// one.
fn threads_are_permitted() -> anyhow::Result<()> {
    let thread = std::thread::Builder::new().name("try".to_string()).spawn(|| ());
    thread.map(|thread| drop(thread.join())).map_err(|error| {
        anyhow::anyhow!(
            "no thread can be started ({error}), so nothing is dialed: raise the limit of processes \
             of this user (`ulimit -u`, TasksMax of the service), then start again"
        )
    })
}

/// Takes the dialer's lock, or returns its holder. Refuses a damaged file. Writes only after it
/// has the lock, so that a second process does not wait for the first one's writes.
///
/// Only the holder of the lock writes the dates without calls, so that another command with
/// another configuration cannot remove them.
pub fn lock(service: &Service, days: &[Holiday]) -> anyhow::Result<Result<DialerLock, String>> {
    let store = &service.cx.store;
    match store.lock_for_dialing(service.clock.now()?)? {
        LockAnswer::Mine(lock) => {
            store.check_after_crash()?;
            store.write(|tx| {
                armed::renew_identity(tx, store.path())?;
                holidays::apply(tx, days)
            })?;
            Ok(Ok(lock))
        }
        LockAnswer::Taken(holder) => Ok(Err(holder)),
    }
}

/// Warns of a database without customers, because a default path in the wrong folder would look like
/// a day without calls. Also warns of customers whom no rule ever lets be called.
fn warn_if_nobody_can_be_called(service: &Service, path: &Path) -> anyhow::Result<()> {
    let cx = &service.cx;
    let census = cx.store.read(|conn| census::take(conn, &cx.rules))?;
    // Many people choose 07:00, before the window opens; at 00:00 nobody wants to be called.
    let at_midnight = census.odd_times().filter(|_| census.at_midnight > 0);
    for why in census.few_eligible().into_iter().chain(at_midnight) {
        log::warn!("{why}");
    }
    if census.known == 0 {
        log::warn!(
            "{} holds no customers, so nobody is called: import them, or name another file with \
             --db",
            path.display()
        );
    }
    Ok(())
}

pub fn tick(global: &Global, args: &TickArgs) -> anyhow::Result<Exit> {
    let settings = settings_for_dialing(&global.overrides())?;
    let path = settings.loaded.db.clone();
    let outgoing = Outgoing::of(&settings);
    let (service, days) = service(settings)?;
    let held = match lock(&service, &days)? {
        Ok(lock) => lock,
        Err(holder) => {
            let why = format!("another dialer is running ({holder}); nothing to do");
            print(&Ticked { refused: Some(why), ..Ticked::default() }, args.json)?;
            return Ok(Exit::Done);
        }
    };
    warn_if_nobody_can_be_called(&service, &path)?;
    let ticked = tick::tick(&service);
    drop(held);
    if let Ok(ticked) = &ticked {
        print(ticked, args.json)?;
        if let (Some(url), false) = (&service.cx.config.web.ping_url, ticked.shut) {
            listening::ping(url);
        }
    }
    // A pass that failed needs a person all the more.
    outgoing.after_tick(&service);
    let ticked = ticked?;
    Ok(if ticked.shut { Exit::Refused } else { Exit::Done })
}

fn print(ticked: &Ticked, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(ticked);
    }
    output::line(&format!(
        "queued {}, claimed {}: placed {}, failed {}, skipped {}, in doubt {} ({} ms)",
        ticked.queued,
        ticked.processed,
        ticked.succeeded,
        ticked.failed,
        ticked.skipped,
        ticked.in_doubt,
        ticked.execution_time_ms
    ))?;
    match &ticked.refused {
        Some(why) => output::line(why),
        None => Ok(()),
    }
}

pub fn run(global: &Global, args: &RunArgs) -> anyhow::Result<Exit> {
    let mut overrides = global.overrides();
    overrides.listen = args.listen.clone();
    let settings = settings_for_dialing(&overrides)?;
    let path = settings.loaded.db.clone();
    let secrets = Secrets::of(&settings.loaded)?;
    let outgoing = Outgoing::of(&settings);
    let (mut service, days) = service(settings)?;
    service.cx.recheck_after = chrono::Duration::seconds(30);
    let _lock = match lock(&service, &days)? {
        Ok(lock) => lock,
        Err(holder) => {
            return Err(CliError::locked(format!("another dialer is running: {holder}")).into());
        }
    };
    warn_if_nobody_can_be_called(&service, &path)?;
    let service = Arc::new(service);
    let listener = listening::listen(&service, secrets)?;
    let beside = [listening::ping_after_scans(&service)?, backups::keep_making(&service)?];
    let sending = outgoing.keep_sending(&service)?;
    let was_armed = armed::not_armed(&service.cx)?.is_none();
    log::info!("running on {}", path.display());
    let ended = run::run(&service, &listening::told_to_the_manager());
    listening::goodbye();
    service.stop.store(true, Ordering::Relaxed);
    drop(listener);
    if was_armed && matches!(&ended, Err(error) if error.is::<run::NeedsPerson>()) {
        sending.tell_stopped(&service)?;
    }
    sending.end();
    for thread in beside.into_iter().flatten() {
        // The panic was already printed, and the service itself has ended cleanly.
        let _ = thread.join();
    }
    match ended {
        Ok(()) => {
            log::info!("stopped");
            Ok(Exit::Done)
        }
        Err(error) => match error.downcast::<run::NeedsPerson>() {
            Ok(refused) => Err(CliError::refused(refused.0).into()),
            Err(error) => Err(error),
        },
    }
}
