//! `ringonce fake-vapi`: the fake provider as a command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use chrono::Duration;

use crate::cli::exit::CliError;
use crate::clock::{self, Clock};
use crate::demo::fake_vapi::calls::{Mix, Timing};
use crate::demo::fake_vapi::core::{FakeCore, Setup};
use crate::demo::fake_vapi::faults::{Fault, FaultKind, Faults, Takes};
use crate::demo::fake_vapi::journal::Journal;
use crate::demo::fake_vapi::server::{FakeVapi, is_loopback};
use crate::demo::fake_vapi::webhooks::Receiver;

/// Serve a fake provider on loopback that calls nobody, for demos and tests. It can simulate the
/// faults of a real provider, and its journal records each simulated ring.
#[derive(Clone, Debug, clap::Args)]
pub struct FakeOptions {
    /// Loopback address to listen on; port 0 chooses a free port.
    #[arg(long, default_value = "127.0.0.1:8788", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// File to which the fake appends every POST and every ring, one JSON object per line. It reads
    /// the file at start and continues from there.
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// The only key to accept. If it is not given, any key is accepted.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// The organisation that owns all calls.
    #[arg(long, value_name = "UUID", default_value = "0b8c1f6e-2d47-4a3b-9f10-6f2f6f1c9a01")]
    pub org: String,
    /// Seed that decides, with each number, how calls go; the same seed gives the same calls.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seconds that a call waits in the provider's queue before it rings.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub queue_seconds: f64,
    /// Seconds of ringing until somebody answers, or until the call ends unanswered.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    pub ring_seconds: f64,
    /// Seconds of talking; 0 ends every call the instant it is accepted.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub call_seconds: f64,
    /// How calls go, by weight: answered, voicemail, no_answer, busy, bad_number, never_dialed,
    /// failed.
    #[arg(
        long,
        default_value = "answered=70,no_answer=15,busy=5,voicemail=10",
        value_name = "MIX"
    )]
    pub mix: Mix,
    /// Number of concurrent calls above which a reply reports concurrencyBlocked.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub concurrency: usize,
    /// Send webhooks to this address on loopback, as the provider would: each message once
    #[arg(long, value_name = "URL")]
    pub webhook: Option<Receiver>,
    /// The secret that the webhooks carry as X-Vapi-Secret; an invented one
    #[arg(long, value_name = "SECRET", requires = "webhook")]
    pub webhook_secret: Option<String>,
    /// A fault: `NAME[=VALUE][:every=N][:first=N][:share=0.1][:tag=TEXT]`. May be given several
    /// times; all conditions of one fault must hold.
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// List every fault and exit.
    #[arg(long)]
    pub list_faults: bool,
}

impl FakeOptions {
    /// Builds the core's setup. Refuses a number of seconds that is out of range.
    pub fn setup(&self) -> Result<Setup, CliError> {
        let span = |name: &str, seconds: f64| {
            if !(0.0..=1e7).contains(&seconds) {
                let why = format!("--{name} needs seconds from 0 to 10000000, not {seconds}");
                return Err(CliError::usage(why));
            }
            Ok(Duration::milliseconds((seconds * 1000.0) as i64))
        };
        Ok(Setup {
            org_id: self.org.clone(),
            seed: self.seed,
            timing: Timing {
                queue: span("queue-seconds", self.queue_seconds)?,
                ring: span("ring-seconds", self.ring_seconds)?,
                talk: span("call-seconds", self.call_seconds)?,
            },
            mix: self.mix.clone(),
            concurrency_limit: self.concurrency,
            faults: Faults(self.faults.clone()),
            ..Setup::default()
        })
    }
}

/// Serves until SIGTERM or SIGINT. Prints one line, `listening on http://…`, when it is ready.
pub fn run(options: FakeOptions, clock: Clock) -> anyhow::Result<()> {
    if options.list_faults {
        anstream::print!("{}", fault_list());
        return Ok(());
    }
    if !is_loopback(options.listen.ip()) {
        let why = format!(
            "the fake provider listens on loopback only, not on {}; use 127.0.0.1 or [::1]",
            options.listen
        );
        return Err(CliError::usage(why).into());
    }
    let setup = options.setup()?;
    let journal = match &options.journal {
        Some(path) => Journal::open(path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?,
        None => Journal::default(),
    };
    // A clock file may be unreadable while it is rewritten; until then the last time stays valid.
    let last = std::sync::Mutex::new(clock.now()?);
    let now = Arc::new(move || {
        let mut last = last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *last = clock.now().unwrap_or(*last);
        *last
    });
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot watch signals")?;
    }
    let core = FakeCore::new(setup, journal);
    let mut fake = FakeVapi::start(options.listen, core, now, options.key.clone())
        .with_context(|| format!("cannot listen on {}; give another --listen", options.listen))?;
    if let Some(receiver) = options.webhook {
        fake.push_to(receiver, options.webhook_secret).context("start the webhooks")?;
    }
    anstream::println!("listening on {}", fake.base_url());
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        clock::pause(std::time::Duration::from_millis(50));
    }
    fake.stop();
    Ok(())
}

/// Lists the faults, one per line.
pub fn fault_list() -> String {
    let mut list = String::new();
    for kind in FaultKind::ALL {
        let default = match kind.takes() {
            Takes::Nothing => String::new(),
            Takes::Number(default) => format!(" [default: {default}]"),
            Takes::Text(default) => format!(" [default: {default}]"),
        };
        list.push_str(&format!("{:<20} {}{default}\n", kind.name(), kind.help()));
    }
    list
}
