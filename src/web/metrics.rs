//! `GET /metrics`: OpenMetrics text. Counts come from the ledger, so they survive a restart; the
//! histogram counts from this process's start on.

use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock;
use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition};
use crate::steps::backup;
use crate::store::meta::{self, Mark};
use crate::store::web_views::{self, Glance, Span};
use crate::store::{Conn, Store, views};
use crate::web::delivery::Response;
use crate::web::health;
use crate::web::router::Asked;

/// A scrape is good for so long: the whole ledger is counted for it.
const FRESH: Duration = Duration::from_secs(5);
/// Seconds after the due instant. A call is to begin within one.
const LATENESS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 14400.0];

type Labels = Vec<(&'static str, String)>;

/// What is kept from one scrape to the next.
pub struct Kept {
    lateness: Family<Labels, Histogram, fn() -> Histogram>,
    /// Attempts up to this number are in the histogram, or older than this process.
    seen: i64,
    /// When the text was made, of `clock::elapsed`.
    text: Option<(Duration, String)>,
}

impl Kept {
    /// Attempts that the file knows now are not observed.
    pub fn new(store: &Store) -> anyhow::Result<Kept> {
        let seen = store.read(web_views::newest_seq)?;
        let lateness = Family::new_with_constructor(histogram as fn() -> Histogram);
        Ok(Kept { lateness, seen, text: None })
    }
}

fn histogram() -> Histogram {
    Histogram::new(LATENESS)
}

/// `GET /metrics`
pub fn metrics(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let mut kept = asked.front.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = kept.text.as_ref().filter(|(at, _)| clock::elapsed() < *at + FRESH);
    let text = match fresh {
        Some((_, text)) => text.clone(),
        None => {
            let text = written(asked, &mut kept)?;
            kept.text = Some((clock::elapsed(), text.clone()));
            text
        }
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(Response::new(200).with_header("Content-Type", kind).with_body(text.into_bytes()))
}

fn written(asked: &Asked<'_>, kept: &mut Kept) -> anyhow::Result<String> {
    let store = &asked.front.cx().store;
    let mut registry = Registry::with_prefix("ringonce");
    store.read(|conn| {
        counts(conn, &mut registry)?;
        observe(conn, kept)?;
        let span = Span { from: asked.now, to: asked.now };
        let glance = web_views::glance(conn, span, asked.now)?;
        of_glance(&mut registry, &glance);
        of_backups(conn, &mut registry, asked)?;
        of_meta(conn, &mut registry, asked.now)
    })?;
    registry.register(
        "lateness_seconds",
        "From the due instant of an occasion to the beginning of its first dialing",
        kept.lateness.clone(),
    );
    if let Some(seconds) = asked.front.service.provider.seconds() {
        let help = "How long the provider took for one request, by method and outcome";
        registry.register("provider_seconds", help, seconds);
    }
    let lines = asked.front.cx().config.dialing.max_active_calls;
    gauge(&mut registry, "lines_max", "The most calls at once", lines as f64);
    let well = health::reasons(&asked.front.service, asked.now).is_empty();
    gauge(&mut registry, "healthy", "1 when /healthz is green", f64::from(u8::from(well)));
    sizes(store, &mut registry);
    let build: Family<Labels, Gauge> = Family::default();
    build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_string())]).set(1);
    registry.register("build", "The version that runs", build);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn counts(conn: &Conn, registry: &mut Registry) -> anyhow::Result<()> {
    let calls: Family<Labels, Counter> = Family::default();
    for call_type in CallType::ALL {
        for disposition in Disposition::ALL {
            // There from the start, so that the first call of a kind shows as an increase.
            let (call_type, disposition) = (call_type.to_string(), disposition.to_string());
            drop(calls.get_or_create(&vec![("type", call_type), ("disposition", disposition)]));
        }
    }
    for (call_type, disposition, count) in web_views::ended(conn)? {
        let labels = vec![("type", call_type), ("disposition", disposition)];
        calls.get_or_create(&labels).inc_by(count.unsigned_abs());
    }
    registry.register("calls", "Calls that ended, by type and disposition", calls);
    let skips: Family<Labels, Counter> = Family::default();
    for (call_type, reason, count) in web_views::skips(conn)? {
        skips
            .get_or_create(&vec![("type", call_type), ("reason", reason)])
            .inc_by(count.unsigned_abs());
    }
    registry.register("skips", "Occasions that were not called, by type and reason", skips);
    let second = Counter::<u64>::default();
    second.inc_by(web_views::second_calls(conn)?.unsigned_abs());
    registry.register("second_calls", "Calls beyond the one of their attempt; alarm", second);
    Ok(())
}

fn observe(conn: &Conn, kept: &mut Kept) -> anyhow::Result<()> {
    for (seq, call_type, seconds) in web_views::lateness(conn, kept.seen)? {
        kept.lateness.get_or_create(&vec![("type", call_type)]).observe(seconds);
        kept.seen = kept.seen.max(seq);
    }
    Ok(())
}

fn of_glance(registry: &mut Registry, glance: &Glance) {
    for (name, help, value) in [
        ("due", "Open items whose instant has come", glance.due),
        ("waiting", "Open items whose instant is still to come", glance.waiting),
        ("in_doubt", "Calls of which nobody knows whether they rang", glance.in_doubt),
        ("lines_in_use", "Calls being dialed or on the line", glance.lines_in_use),
        ("customers", "Customers in the file", glance.customers),
    ] {
        gauge(registry, name, help, value as f64);
    }
}

fn of_meta(conn: &Conn, registry: &mut Registry, now: Instant) -> anyhow::Result<()> {
    let yes = |is: bool| f64::from(u8::from(is));
    let held = !meta::holds(conn)?.is_empty();
    gauge(registry, "held", "1 while dialing is held", yes(held));
    let probing = meta::breaker(conn)?.map(|breaker| breaker.is_half_open(now));
    let (refuses, half) = (probing == Some(false), probing == Some(true));
    gauge(registry, "breaker_open", "1 while the provider refuses calls", yes(refuses));
    gauge(registry, "breaker_half_open", "1 while the next call is a probe", yes(half));
    let zoneless = meta::zoneless(conn)?.map_or(0, |zoneless| zoneless.customers);
    let help = "Customers who are due, in no known time zone, and never called";
    gauge(registry, "zoneless_customers", help, zoneless as f64);
    let paused = meta::pauses(conn)?.iter().any(|(scope, _)| scope == "all");
    gauge(registry, "paused", "1 while a person paused all calls", yes(paused));
    if let Some(at) = meta::mark(conn, Mark::LastTick)? {
        let age = (now - at).num_milliseconds() as f64 / 1000.0;
        gauge(registry, "last_tick_age_seconds", "Since the dialer was last at work", age);
    }
    if let Some(at) = meta::mark(conn, Mark::LastReconciled)? {
        let age = (now - at).num_milliseconds() as f64 / 1000.0;
        gauge(
            registry,
            "last_reconciled_age_seconds",
            "Since the provider's records were read",
            age,
        );
    }
    Ok(())
}

/// Nothing where no backups are configured.
fn of_backups(conn: &Conn, registry: &mut Registry, asked: &Asked<'_>) -> anyhow::Result<()> {
    let cx = asked.front.cx();
    if cx.config.backup.cron.is_none() {
        return Ok(());
    }
    let trouble = backup::trouble(conn, &cx.config, &cx.zones, asked.now)?;
    let failed = f64::from(u8::from(trouble.is_some()));
    gauge(registry, "backup_failed", "1 while backups fail or are late", failed);
    if let Some(at) = meta::mark(conn, Mark::LastBackup)? {
        let age = (asked.now - at).num_milliseconds() as f64 / 1000.0;
        gauge(registry, "last_backup_age_seconds", "Since the last backup was made", age);
    }
    Ok(())
}

/// Bytes on the disk; a file that is not there has none.
fn sizes(store: &Store, registry: &mut Registry) {
    let (database, wal) = views::sizes(store);
    gauge(registry, "database_bytes", "Size of the database file", database as f64);
    gauge(registry, "wal_bytes", "Size of its write-ahead log", wal as f64);
}
