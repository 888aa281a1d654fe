//! The only reader of time. Everybody else is handed an instant.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use chrono::DateTime;

use crate::domain::{Instant, parse_instant};

/// Where time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System,
    /// A file that holds one RFC 3339 instant and *is* the clock, wall and monotonic.
    /// Only allowed while the provider is on loopback; `config` refuses it otherwise.
    File(PathBuf),
}

/// The boot that a test clock counts from.
pub const TEST_BOOT_ID: &str = "test-clock";

/// How the id of a boot begins that the system does not tell: such ids differ by process.
pub const UNKNOWN_BOOT: &str = "process-";

/// One look at both clocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub now: Instant,
    /// Milliseconds of the clock that runs through suspend and never jumps.
    pub monotonic_ms: i64,
    /// Which boot the monotonic milliseconds count from.
    pub boot_id: String,
}

impl Reading {
    /// This reading after what passed between two others of one clock.
    pub fn later_by(&self, earlier: &Reading, later: &Reading) -> Reading {
        Reading {
            now: self.now + (later.now - earlier.now),
            monotonic_ms: self.monotonic_ms + (later.monotonic_ms - earlier.monotonic_ms),
            boot_id: self.boot_id.clone(),
        }
    }
}

impl Clock {
    /// Both clocks at once. Fails when a clock file is missing or holds no instant.
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

    /// The wall clock. A step between two processes on a clock file is ordinary time passing.
    pub fn now(&self) -> anyhow::Result<Instant> {
        Ok(self.read()?.now)
    }

    /// Whether this is a clock file.
    pub fn is_test(&self) -> bool {
        matches!(self, Clock::File(_))
    }
}

/// Sleeps in real time, whatever the clock: for pacing and polling, never for deciding.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The machine's own wall clock, also under a clock file: tells a provider that does not take
/// part in the test clock from one whose clock is wrong.
pub fn machine_now() -> Instant {
    system_now()
}

/// Real elapsed time since the process asked first; for pacing and time-outs, never for deciding.
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

#[cfg(target_os = "linux")]
fn boot_time_ms() -> i64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is a valid, writable timespec for the length of the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut at) };
    if failed != 0 {
        return elapsed().as_millis() as i64;
    }
    at.tv_sec * 1000 + at.tv_nsec / 1_000_000
}

#[cfg(not(target_os = "linux"))]
fn boot_time_ms() -> i64 {
    elapsed().as_millis() as i64
}
