//! Shared by the measurements: a database of invented customers in a temporary folder, a provider
//! that answers at once, time, and medians.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use chrono::Timelike as _;
use ringonce::clock::{self, Clock};
use ringonce::config::settings::Config;
use ringonce::domain::calendar::zone::Zone;
use ringonce::domain::{Instant, instant_text};
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ProviderCall, ReadError,
};
use ringonce::service::Service;
use ringonce::steps::Context;
use ringonce::store::Store;
use ringonce::zones::Zones;
use rusqlite::{Connection, params};

/// A folder that is removed when it is dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// In the build folder, on a real disk: `/tmp` may be in memory.
    pub fn new() -> anyhow::Result<Folder> {
        Ok(Folder(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn db(&self) -> PathBuf {
        self.0.path().join("bench.db")
    }
}

/// The customers in the database.
#[derive(Clone, Copy)]
pub struct Crowd {
    pub customers: usize,
    /// This many customers are due, the first of them at `due_from`.
    pub due: usize,
    pub due_from: Instant,
    /// Time between two due customers. All others are due in the next days.
    pub due_every: chrono::Duration,
}

/// A zone in which people are called at this hour.
pub struct Place {
    pub name: &'static str,
    zone: Arc<Zone>,
}

impl Place {
    /// The local time of day of an instant, as a call time.
    pub fn call_time(&self, at: Instant) -> String {
        self.zone.local(at).format("%H:%M").to_string()
    }
}

/// Zones where it is day now and for the next hours, so that the figures can be taken at any hour.
pub fn open_places(now: Instant) -> anyhow::Result<Vec<Place>> {
    const NAMES: [&str; 10] = [
        "America/New_York",
        "America/Los_Angeles",
        "America/Sao_Paulo",
        "Pacific/Honolulu",
        "Pacific/Auckland",
        "Asia/Tokyo",
        "Asia/Kolkata",
        "Asia/Dubai",
        "Europe/Berlin",
        "Atlantic/Azores",
    ];
    let zones = Zones::load();
    let known = NAMES.iter().filter_map(|name| Some(Place { name, zone: zones.get(name)? }));
    let open: Vec<Place> =
        known.filter(|place| (9..17).contains(&place.zone.local(now).hour())).collect();
    anyhow::ensure!(!open.is_empty(), "it is night in every zone of the measurement");
    Ok(open)
}

/// Creates a database with our own schema and fills it in one transaction.
pub fn fill(path: &Path, crowd: Crowd, now: Instant) -> anyhow::Result<()> {
    drop(Store::open(path, now)?);
    let mut conn = plain_connection(path)?;
    let tx = conn.transaction()?;
    {
        let mut insert = tx.prepare(
            "INSERT INTO customers (external_id, name, phone, phone_validated, timezone, call_time,
               payment_status, welcome_call_completed, next_call_scheduled_at, created_at,
               updated_at)
             VALUES (?1, ?2, ?3, 1, ?4, ?7, 'Paid', 1, ?5, ?6, ?6)",
        )?;
        let places = open_places(now)?;
        let long_ago = instant_text(now - chrono::Duration::days(30));
        for number in 0..crowd.customers {
            let next = if number < crowd.due {
                crowd.due_from + crowd.due_every * i32::try_from(number)?
            } else {
                now + chrono::Duration::days(1)
                    + chrono::Duration::seconds((number % 200_000) as i64)
            };
            insert.execute(params![
                format!("bench-{number}"),
                "Ada Example",
                format!("+1212{number:07}"),
                places[number % places.len()].name,
                instant_text(next),
                long_ago,
                places[number % places.len()].call_time(next),
            ])?;
        }
    }
    tx.commit()?;
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// A connection for the plain loops: the same durability, no other setting.
pub fn plain_connection(path: &Path) -> anyhow::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = FULL")?;
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// A configuration that never delays a call: lines and pace exceed every measurement.
pub fn config(workers: usize) -> Config {
    let mut config = Config::default();
    config.vapi.phone_number_id = Some("bench-line".to_string());
    config.vapi.assistant_id = Some("bench-assistant".to_string());
    config.dialing.workers = workers;
    config.dialing.max_active_calls = 1_000_000;
    config.dialing.calls_per_minute = 100_000_000;
    config
}

pub fn context(path: &Path, workers: usize, now: Instant) -> anyhow::Result<Context> {
    let store = Arc::new(Store::open(path, now)?);
    Context::new(store, config(workers), Arc::new(Zones::load()))
}

/// A dialing service in this process, with a provider that answers at once, without a socket.
pub fn service(path: &Path, workers: usize, now: Instant) -> anyhow::Result<Service> {
    Ok(Service {
        cx: context(path, workers, now)?,
        provider: Box::new(AtOnce),
        clock: Clock::System,
        stop: Arc::default(),
        halted: Mutex::new(None),
    })
}

/// Accepts every call at once. Our code and the plain loops use the same one.
pub struct AtOnce;

impl Provider for AtOnce {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        assert!(may_send(), "an intent of the measurement was stale");
        let call = ProviderCall { id: order.tag.clone(), ..ProviderCall::default() };
        Ok(Accepted { call: Some(call), date: None })
    }

    fn get(&self, _: &str) -> Result<Fetched, ReadError> {
        Err(ReadError::NotFound)
    }

    fn list(&self, _: Instant) -> Result<Listing, ReadError> {
        Ok(Listing::default())
    }
}

/// The seconds that the work took, and its result.
pub fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(f64, T)> {
    let started = clock::elapsed();
    let value = work()?;
    Ok((clock::elapsed().saturating_sub(started).as_secs_f64(), value))
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The quantile `share` of the sorted values.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(index - 1).copied().unwrap_or(f64::NAN)
}

/// A memory figure of a process in megabytes: `VmHWM`, `VmRSS`.
pub fn memory_of(pid: u32, what: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find(|line| line.starts_with(what)).context("no such figure")?;
    let kilobytes: f64 =
        line.split_whitespace().nth(1).context("no number")?.parse().context("a number")?;
    Ok(kilobytes / 1024.0)
}

/// Seconds of processor time used by this process, and by the children that it waited for.
pub fn processor_times() -> anyhow::Result<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let rest = text.rsplit(')').next().context("no name in stat")?;
    let ticks: Vec<f64> =
        rest.split_whitespace().skip(11).take(4).filter_map(|word| word.parse().ok()).collect();
    let [user, system, children_user, children_system] = ticks[..] else {
        anyhow::bail!("/proc/self/stat has another form");
    };
    Ok(((user + system) / 100.0, (children_user + children_system) / 100.0))
}
