//! The guards in front of dialing: is this the armed file, do the clocks agree, does anything
//! hold? Each answer is a reason in words, or nothing.

use std::path::Path;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Reading;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::steps::Context;
use crate::store::files::{self, Identity};
use crate::store::meta::{self, Mark};
use crate::store::{Conn, Store, Tx};

/// A clock may be set back so far by its daemon without being wrong.
const BEHIND_MARK: Duration = Duration::seconds(2);
/// Two clocks that differ by more disagree.
const DISAGREE: Duration = Duration::seconds(60);
/// Where the last trusted look at both clocks is kept.
const LAST_READING: &str = "last_reading";

/// Why this file, here, may not dial; `None` when it is the armed one.
///
/// Looks at the path only: opening the file a second time would drop SQLite's own locks.
pub fn not_armed(cx: &Context) -> anyhow::Result<Option<String>> {
    not_armed_at(&cx.store)
}

/// The same of a store alone, also of one that is only looked at.
pub fn not_armed_at(store: &Store) -> anyhow::Result<Option<String>> {
    let path = store.path();
    if path == Path::new(":memory:") {
        return Ok(None);
    }
    let here = Identity::of(path)?;
    let armed = store.read(meta::armed_identity)?;
    Ok(mismatch(armed.as_ref(), &here).map(|what| {
        format!(
            "not armed here: {what}. If no other copy of it dials, run \
             `ringonce adopt --reason WHY`"
        )
    }))
}

/// What differs between the armed identity and the file as it is here.
pub fn mismatch(armed: Option<&Identity>, here: &Identity) -> Option<String> {
    let Some(armed) = armed else {
        return Some("this file is a snapshot for debugging".to_string());
    };
    if armed.machine_id != here.machine_id {
        return Some("the database came from another machine".to_string());
    }
    if armed.path != here.path {
        return Some(format!(
            "the database was armed at {}, and is now at {}",
            armed.path, here.path
        ));
    }
    if armed.device_inode != here.device_inode {
        return Some("another file lies at the path now (a restored backup or a copy)".to_string());
    }
    None
}

/// Whether the file at the path is still the one that was armed when it was opened, and its log
/// is there: asked before each intent, because commits go on silently in a file that was moved.
pub fn swapped(path: &Path, opened: &Identity) -> Option<String> {
    if path == Path::new(":memory:") {
        return None;
    }
    match Identity::of(path) {
        Ok(here) if here.device_inode == opened.device_inode => {}
        _ => return Some("the database file was replaced while it was open".to_string()),
    }
    if !files::beside(path, "-wal").exists() {
        return Some("the database's write-ahead log was removed while it was open".to_string());
    }
    None
}

#[derive(Serialize, Deserialize)]
struct Trusted {
    wall: String,
    monotonic_ms: i64,
    boot_id: String,
}

/// Compares the clocks, and holds or lifts the hold. Returns the reason while they disagree.
///
/// `date` is the provider's clock, when it was just heard. `machine_now` tells a provider that
/// does not take part in a test clock: its date is then no witness.
pub fn watch_clock(
    cx: &Context,
    reading: &Reading,
    date: Option<Instant>,
    machine_now: Instant,
) -> anyhow::Result<Option<String>> {
    cx.store.write(|tx| {
        let heard = date.filter(|date| !is_bystander(*date, reading, machine_now));
        match disagreement(tx, reading, heard)? {
            Some(why) => {
                meta::hold(tx, "clock", &why, reading.now)?;
                Ok(Some(why))
            }
            None => {
                trust(tx, reading)?;
                Ok(None)
            }
        }
    })
}

/// Under a test clock, a date that is right for the machine belongs to a server that does not
/// know of the test clock.
fn is_bystander(date: Instant, reading: &Reading, machine_now: Instant) -> bool {
    DISAGREE < (reading.now - machine_now).abs()
        && (date - machine_now).abs() <= DISAGREE
        && reading.boot_id == crate::clock::TEST_BOOT_ID
}

fn disagreement(
    conn: &Conn,
    reading: &Reading,
    date: Option<Instant>,
) -> anyhow::Result<Option<String>> {
    if let Some(mark) = meta::mark(conn, Mark::ClockHighWater)?
        && reading.now < mark - BEHIND_MARK
    {
        return Ok(Some(format!(
            "the clock says {}, but this file has already seen {}",
            instant_text(reading.now),
            instant_text(mark)
        )));
    }
    if let Some(date) = date {
        let apart = (date - reading.now).abs();
        if DISAGREE < apart {
            return Ok(Some(format!(
                "the clock says {}, the provider's says {}",
                instant_text(reading.now),
                instant_text(date)
            )));
        }
        // The provider agrees: whatever the last reading was, this clock is right.
        return Ok(None);
    }
    let Some(text) = meta::get(conn, LAST_READING)? else { return Ok(None) };
    let last: Trusted = serde_json::from_str(&text)?;
    if last.boot_id != reading.boot_id {
        return Ok(None);
    }
    let Some(last_wall) = parse_instant(&last.wall) else { return Ok(None) };
    let passed = Duration::milliseconds(reading.monotonic_ms - last.monotonic_ms);
    if DISAGREE < ((reading.now - last_wall) - passed).abs() {
        return Ok(Some(format!(
            "the clock jumped to {} while only {} seconds passed since {}",
            instant_text(reading.now),
            passed.num_seconds(),
            last.wall
        )));
    }
    Ok(None)
}

fn trust(tx: &Tx<'_>, reading: &Reading) -> anyhow::Result<()> {
    meta::lift_hold(tx, "clock")?;
    meta::set_mark(tx, Mark::ClockHighWater, reading.now)?;
    let trusted = Trusted {
        wall: instant_text(reading.now),
        monotonic_ms: reading.monotonic_ms,
        boot_id: reading.boot_id.clone(),
    };
    meta::set(tx, LAST_READING, &serde_json::to_string(&trusted)?)
}

/// A person vouches for the clock (`resume`, `adopt`): what was seen before no longer counts.
pub fn accept_clock(tx: &Tx<'_>, reading: &Reading) -> anyhow::Result<()> {
    meta::reset_mark(tx, Mark::ClockHighWater, reading.now)?;
    trust(tx, reading)
}

/// Every hold in words; empty when nothing holds.
pub fn holds(cx: &Context) -> anyhow::Result<Vec<String>> {
    let holds = cx.store.read(meta::holds)?;
    Ok(holds
        .into_iter()
        .map(|hold| format!("held since {} ({}): {}", hold.since, hold.kind, hold.why))
        .collect())
}
