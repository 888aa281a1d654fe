//! `web`: the page of a file that this process never dials from and never changes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::exit::{CliError, Exit};
use crate::clock;
use crate::config::secret::Secret;
use crate::present::output;
use crate::service::Service;
use crate::steps::Context;
use crate::steps::readiness::armed;
use crate::store::Store;
use crate::vapi::{ApiKey, Vapi};
use crate::web::front::Front;
use crate::web::serve::serve;

/// Serve the page, read-only: of a snapshot, a copy, or a file that is not armed
#[derive(Args)]
#[command(after_help = "\
Nothing is dialed and nothing is changed; the page and the API refuse every act. Without
RINGONCE_API_TOKEN, a token for this one process is printed.

Examples:
  ringonce web --db for-the-report.db
  ringonce web --listen 127.0.0.1:9000")]
pub struct WebArgs {
    /// The address [default: web.listen, else 127.0.0.1:8787]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

const LISTEN: &str = "127.0.0.1:8787";
/// How often a signal to stop is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Shown on each page, and the reason of each refusal.
pub const NOT_DIALING: &str = "read-only: this file does not dial";
const DIALING_ELSEWHERE: &str =
    "read-only: this file may dial, and only the page of `ringonce run` changes it";

pub fn run(global: &Global, args: &WebArgs) -> anyhow::Result<Exit> {
    let mut overrides = global.overrides();
    overrides.listen = args.listen.clone();
    let settings = settings(&overrides)?;
    let is_armed = armed::not_armed_at(&Store::look(&settings.loaded.db)?)?.is_none();
    let why = if is_armed { DIALING_ELSEWHERE } else { NOT_DIALING };
    serve_until_stopped(settings, why, &stop_signals()?)
}

/// A flag that the signals to end a process set.
pub fn stop_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone()).context("listen to signals")?;
    }
    Ok(stop)
}

/// Serves the page of the database, and refuses every act with `why`.
pub fn serve_until_stopped(
    settings: Settings,
    why: &'static str,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<Exit> {
    let Settings { loaded, zones } = settings;
    if let Some(why) = loaded.short_token() {
        return Err(CliError::usage(why).into());
    }
    let made = loaded.api_token.is_none().then(|| uuid::Uuid::new_v4().simple().to_string());
    let token = loaded.api_token.clone().or(made.as_deref().map(Secret::new));
    let address = loaded.config.web.listen.clone().unwrap_or_else(|| LISTEN.to_string());
    let vapi = &loaded.config.vapi;
    // Never asked: the routes that ask the provider are refused, so no real key is needed.
    let provider =
        Vapi::new(&vapi.base_url, ApiKey::new("reading-needs-no-key"), vapi.timeout_secs)?;
    let store = Arc::new(Store::look(&loaded.db)?);
    let cx = Context::new(store, loaded.config.clone(), Arc::new(zones))?;
    let (provider, halted) = (Box::new(provider), Mutex::new(None));
    let service =
        Arc::new(Service { cx, provider, clock: loaded.clock, stop: stop.clone(), halted });
    let mut front = Front::new(service, token.as_ref(), None)?;
    front.read_only = Some(why);
    let base = front.base.text().to_string();
    let (serving, bound) = serve(Arc::new(front), &address)?;
    tell(&loaded.db, &format!("http://{bound}{base}/"), made.as_deref())?;
    while !stop.load(Ordering::Relaxed) {
        clock::pause(LOOK_EVERY);
    }
    drop(serving);
    Ok(Exit::Done)
}

fn tell(db: &Path, address: &str, token: Option<&str>) -> anyhow::Result<()> {
    output::line(&format!("the page of {}, read-only: {address}", db.display()))?;
    match token {
        Some(token) => output::line(&format!("sign in with the token {token}")),
        None => output::line("sign in with your token"),
    }
}
