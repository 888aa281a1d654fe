//! `GET /metrics`: OpenMetrics text. Counts come from the ledger, so they survive a restart. The
//! histogram counts from the start of this process.

pub mod lateness;

use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::clock;
use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition};
use crate::http::response::Response;
use crate::steps::backup;
use crate::steps::readiness::health::Cause;
use crate::steps::status::figures::{self, Figures};
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::{breaker, holds, pauses, scan_inputs};
use crate::store::views;
use crate::store::views::page;
use crate::store::{Conn, Store};
use crate::web::asked::Asked;
use crate::web::health;
use crate::web::metrics::lateness::{Labels, Lateness};

/// How long a scrape's text is reused, because a scrape counts the whole ledger.
const FRESH: Duration = Duration::from_secs(5);

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

fn written(asked: &Asked<'_>, kept: &mut Lateness) -> anyhow::Result<String> {
    let store = &asked.front.cx().store;
    let mut registry = Registry::with_prefix("ringonce");
    store.read(|conn| {
        counts(conn, &mut registry)?;
        observe(conn, kept)?;
        let cx = asked.front.cx();
        let figures =
            figures::figures(conn, (&cx.config, &cx.timetable), (&cx.rules, &cx.zones), asked.now)?;
        of_figures(&mut registry, &figures);
        let customers = page::customers(conn)?;
        gauge(&mut registry, "customers", "Customers in the file", customers as f64);
        of_backups(conn, &mut registry, asked)?;
        of_meta(conn, &mut registry, asked.now)
    })?;
    registry.register(
        "lateness_seconds",
        "From the due instant of an occasion to the beginning of its first dialing",
        kept.lateness.clone(),
    );
    if let Some(seconds) = asked.front.service.provider.seconds() {
        let help = "The duration of a request to the provider, by method and outcome";
        registry.register("provider_seconds", help, seconds);
    }
    let lines = asked.front.cx().config.dialing.max_active_calls;
    gauge(&mut registry, "lines_max", "The most calls at once", lines as f64);
    of_health(&mut registry, &health::causes(&asked.front.service, asked.now));
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
            // Present from the start, so that the first call of a kind shows as an increase.
            let (call_type, disposition) = (call_type.to_string(), disposition.to_string());
            drop(calls.get_or_create(&vec![("type", call_type), ("disposition", disposition)]));
        }
    }
    for (call_type, disposition, count) in page::ended(conn)? {
        let labels = vec![("type", call_type), ("disposition", disposition)];
        calls.get_or_create(&labels).inc_by(count.unsigned_abs());
    }
    registry.register("calls", "Calls that ended, by type and disposition", calls);
    let skips: Family<Labels, Counter> = Family::default();
    for (call_type, reason, count) in page::skips(conn)? {
        skips
            .get_or_create(&vec![("type", call_type), ("reason", reason)])
            .inc_by(count.unsigned_abs());
    }
    registry.register("skips", "Occasions that were not called, by type and reason", skips);
    let second = Counter::<u64>::default();
    second.inc_by(page::second_calls(conn)?.unsigned_abs());
    registry.register("second_calls", "Calls beyond the one of their attempt; alarm", second);
    Ok(())
}

fn observe(conn: &Conn, kept: &mut Lateness) -> anyhow::Result<()> {
    for (seq, call_type, seconds) in page::lateness(conn, kept.seen)? {
        kept.lateness.get_or_create(&vec![("type", call_type)]).observe(seconds);
        kept.seen = kept.seen.max(seq);
    }
    Ok(())
}

fn of_figures(registry: &mut Registry, figures: &Figures) {
    let (today, in_doubt) = (&figures.today, figures.in_doubt as f64);
    for (name, help, value) in [
        ("due", "Waiting items whose instant has come", figures.due as f64),
        ("waiting", "Waiting items, the due ones too", figures.waiting() as f64),
        ("in_doubt", "Calls in doubt: it is not known whether they rang", in_doubt),
        ("lines_in_use", "Calls being dialed or on the line", figures.lines_in_use as f64),
        ("called_today", "Calls since midnight in schedule.timezone", today.called as f64),
        ("reached_today", "Answered ones of these calls", today.reached as f64),
        ("failed_today", "Occasions given up since midnight", today.failed as f64),
        ("skipped_today", "Occasions without a call since midnight", figures.skipped() as f64),
    ] {
        gauge(registry, name, help, value);
    }
    if let Some(at) = figures.next_call_at {
        let seconds = at.timestamp_millis() as f64 / 1000.0;
        gauge(registry, "next_call_timestamp_seconds", "When the next call falls due", seconds);
    }
}

fn of_meta(conn: &Conn, registry: &mut Registry, now: Instant) -> anyhow::Result<()> {
    let yes = |is: bool| f64::from(u8::from(is));
    let held = !holds::holds(conn)?.is_empty();
    gauge(registry, "held", "1 while dialing is held", yes(held));
    let probing = breaker::breaker(conn)?.map(|breaker| breaker.is_half_open(now));
    let (refuses, half) = (probing == Some(false), probing == Some(true));
    gauge(registry, "breaker_open", "1 while the provider refuses calls", yes(refuses));
    gauge(registry, "breaker_half_open", "1 while the next call is a probe", yes(half));
    let zoneless = scan_inputs::zoneless(conn)?.map_or(0, |zoneless| zoneless.customers);
    let help = "Customers who are due, in an unknown time zone, and never called";
    gauge(registry, "zoneless_customers", help, zoneless as f64);
    let paused = pauses::pauses(conn)?.iter().any(|(scope, _)| scope == "all");
    gauge(registry, "paused", "1 while a person paused all calls", yes(paused));
    if let Some(at) = marks::mark(conn, Mark::LastTick)? {
        let age = (now - at).num_milliseconds() as f64 / 1000.0;
        gauge(registry, "last_tick_age_seconds", "Since the dialer was last at work", age);
    }
    if let Some(at) = marks::mark(conn, Mark::LastReconciled)? {
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

/// Adds whether all is well, and one line for each reason that stands.
fn of_health(registry: &mut Registry, causes: &[Cause]) {
    let well = f64::from(u8::from(causes.is_empty()));
    gauge(registry, "healthy", "1 when /healthz is green", well);
    let stand: Family<Labels, Gauge> = Family::default();
    for cause in causes {
        stand.get_or_create(&vec![("cause", cause.as_str().to_string())]).set(1);
    }
    registry.register("unhealthy", "1 for each reason of a red /healthz", stand);
}

/// Adds the backup metrics if backups are configured.
fn of_backups(conn: &Conn, registry: &mut Registry, asked: &Asked<'_>) -> anyhow::Result<()> {
    let cx = asked.front.cx();
    if cx.config.backup.cron.is_none() {
        return Ok(());
    }
    let trouble = backup::trouble(conn, &cx.timetable, asked.now)?;
    let failed = f64::from(u8::from(trouble.is_some()));
    gauge(registry, "backup_failed", "1 while backups fail or are late", failed);
    if let Some(at) = marks::mark(conn, Mark::LastBackup)? {
        let age = (asked.now - at).num_milliseconds() as f64 / 1000.0;
        gauge(registry, "last_backup_age_seconds", "Since the last backup was made", age);
    }
    Ok(())
}

/// Adds the file sizes in bytes; a missing file counts as 0.
fn sizes(store: &Store, registry: &mut Registry) {
    let (database, wal) = views::sizes(store);
    gauge(registry, "database_bytes", "Size of the database file", database as f64);
    gauge(registry, "wal_bytes", "Size of its write-ahead log", wal as f64);
}
