//! The only module that reads time. All other code gets an instant as a value.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use chrono::DateTime;
use rustix::time::{DynamicClockId, clock_gettime_dynamic};

use crate::domain::{Instant, parse_instant};

/// The source of time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System,
    /// A file with one RFC 3339 instant, which is both the wall clock and the monotonic clock.
    /// Only allowed while the provider is on loopback; `config` refuses it otherwise.
    File(PathBuf),
}

/// The boot id of a test clock.
pub const TEST_BOOT_ID: &str = "test-clock";

/// The prefix of a boot id that the system does not provide; such an id differs by process.
pub const UNKNOWN_BOOT: &str = "process-";

/// One reading of both clocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub now: Instant,
    /// Milliseconds of the monotonic clock, which runs during suspend and never jumps.
    pub monotonic_ms: i64,
    /// The boot from which the monotonic milliseconds count.
    pub boot_id: String,
}

impl Reading {
    /// This reading plus the time between two other readings of one clock.
    pub fn later_by(&self, earlier: &Reading, later: &Reading) -> Reading {
        Reading {
            now: self.now + (later.now - earlier.now),
            monotonic_ms: self.monotonic_ms + (later.monotonic_ms - earlier.monotonic_ms),
            boot_id: self.boot_id.clone(),
        }
    }
}

impl Clock {
    /// Reads both clocks. Fails when a clock file is missing or holds no instant.
    pub fn read(&self) -> anyhow::Result<Reading> {
        match self {
            Clock::System => {
                Ok(Reading { now: system_now(), monotonic_ms: boot_time_ms(), boot_id: boot_id() })
            }
            Clock::File(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("read the test clock {}", path.display()))?;
                let Some(now) = parse_instant(&text) else {
                    bail!("the test clock {} holds no RFC 3339 instant", path.display());
                };
                Ok(Reading {
                    now,
                    monotonic_ms: now.timestamp_millis(),
                    boot_id: TEST_BOOT_ID.to_string(),
                })
            }
        }
    }

    /// The wall-clock time. A change of a clock file counts as ordinary time passing.
    pub fn now(&self) -> anyhow::Result<Instant> {
        Ok(self.read()?.now)
    }

    /// Whether this is a clock file.
    pub fn is_test(&self) -> bool {
        matches!(self, Clock::File(_))
    }
}

/// Sleeps in real time, whatever the clock: for pacing and polling, never for decisions.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The machine's own wall clock, also under a clock file. It distinguishes a provider that does not
/// use the test clock from a provider whose clock is wrong.
pub fn machine_now() -> Instant {
    system_now()
}

/// Real time since the first call in this process; for pacing and timeouts, never for decisions.
pub fn elapsed() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

fn system_now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    DateTime::from_timestamp_millis(since.as_millis() as i64).unwrap_or_default()
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_string())
        .unwrap_or_else(|_| format!("{UNKNOWN_BOOT}{}", std::process::id()))
}

fn boot_time_ms() -> i64 {
    match clock_gettime_dynamic(DynamicClockId::Boottime) {
        Ok(at) => at.tv_sec * 1000 + at.tv_nsec / 1_000_000,
        Err(_) => elapsed().as_millis() as i64,
    }
}
