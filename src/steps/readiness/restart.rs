//! Decides what a start waits for after an unclean end. A restored or cloned disk holds a file that
//! looks armed but is too old, and that did not end cleanly. The provider's list has the calls that
//! such a file forgot, but may not show them yet.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::{self, Reading};
use crate::domain::call::AttemptState;
use crate::domain::start::{self, VISIBLE_AFTER};
use crate::domain::{Instant, instant_text, parse_instant};
use crate::steps::Context;
use crate::steps::readiness::{armed, clock_check};
use crate::steps::reconcile::account;
use crate::steps::reconcile::listing::ListAnswer;
use crate::store::attempts::{self, unresolved};
use crate::store::quarantine::readable;
use crate::store::{Conn, Tx, meta};

/// The key of the last process that might dial.
const LAST_START: &str = "last_start";
/// The longest time from a clean end to the next boot for which that end still counts as the last
/// one. It covers the 15 minutes between two passes, and a reboot.
const REBOOT_AT_MOST: Duration = Duration::minutes(20);

/// A process that might dial.
#[derive(Serialize, Deserialize)]
struct Start {
    boot_id: String,
    /// `None` while it runs, and for ever if it did not end cleanly.
    ended_at: Option<String>,
    /// The wait of its start.
    wait: Option<StoredWait>,
}

/// A wait for the provider's list.
#[derive(Clone, Serialize, Deserialize)]
struct StoredWait {
    /// The first start after the unclean end, or of this boot.
    since: String,
    monotonic_ms: i64,
    boot_id: String,
    /// The machine was rebooted, so the disk may be an older one. The last known call then shows
    /// nothing about the calls that the file forgot.
    rebooted: bool,
}

impl StoredWait {
    fn from(reading: &Reading, rebooted: bool) -> StoredWait {
        StoredWait {
            since: instant_text(reading.now),
            monotonic_ms: reading.monotonic_ms,
            boot_id: reading.boot_id.clone(),
            rebooted,
        }
    }

    fn is_over(&self, reading: &Reading) -> bool {
        let waited = if self.boot_id == reading.boot_id {
            Duration::milliseconds(reading.monotonic_ms - self.monotonic_ms)
        } else {
            parse_instant(&self.since).map_or(Duration::zero(), |at| reading.now - at)
        };
        VISIBLE_AFTER <= waited
    }

    fn evidence(&self, now: Instant) -> start::Wait {
        let since = parse_instant(&self.since).unwrap_or(now);
        start::Wait { until: since + VISIBLE_AFTER, rebooted: self.rebooted }
    }
}

/// The first write of a process that may dial. The caller holds the dialer's lock, and the file is
/// armed or will be.
pub fn begin(cx: &Context, reading: &Reading) -> anyhow::Result<()> {
    cx.store.write(|tx| {
        cx.machine.learn(tx)?;
        let wait = wait_of(tx, reading)?;
        let boot_id = reading.boot_id.clone();
        keep(tx, &Start { boot_id, ended_at: None, wait })
    })
}

/// The wait of this start. Several starts share one wait.
fn wait_of(conn: &Conn, reading: &Reading) -> anyhow::Result<Option<StoredWait>> {
    let Some(last) = last_start(conn)? else {
        // A file of an earlier version, or a new one that was never opened for dialing.
        let boot = clock_check::trusted_boot(conn)?;
        return Ok(boot.map(|boot| StoredWait::from(reading, is_another_boot(&boot, reading))));
    };
    let rebooted = is_another_boot(&last.boot_id, reading);
    let ended = last.ended_at.as_deref().and_then(parse_instant);
    let in_order = ended.is_some_and(|at| !rebooted || nobody_dialed_since(at, reading));
    Ok(match last.wait {
        Some(wait) if !rebooted => Some(wait),
        None if in_order => None,
        _ => Some(StoredWait::from(reading, rebooted)),
    })
}

/// Boots without an id never count as different.
fn is_another_boot(boot_id: &str, reading: &Reading) -> bool {
    let is_known = |id: &str| !id.starts_with(clock::UNKNOWN_BOOT);
    boot_id != reading.boot_id && is_known(boot_id) && is_known(&reading.boot_id)
}

/// Whether the machine booted so soon after the clean end that this disk counts as the one used
/// last. If it booted before that end, it is another machine, and the time until now counts.
fn nobody_dialed_since(ended: Instant, reading: &Reading) -> bool {
    let booted = reading.now - Duration::milliseconds(reading.monotonic_ms);
    let until = if ended < booted { booted } else { reading.now };
    (Duration::zero()..=REBOOT_AT_MOST).contains(&(until - ended))
}

/// The instant of the last known call, if this start's list must show it; `None`: it need not.
pub fn asks_since(conn: &Conn, oldest: Instant, now: Instant) -> anyhow::Result<Option<Instant>> {
    match wait(conn)? {
        Some(wait) if !wait.rebooted => Ok(last_call(conn, oldest, now)?.map(|(_, at)| at)),
        _ => Ok(None),
    }
}

/// Why dialing still waits after the list was loaded; `None`: it does not. A finished wait is
/// deleted.
pub fn waits(
    cx: &Context,
    answer: &ListAnswer,
    reading: &Reading,
) -> anyhow::Result<Option<start::Wait>> {
    let Some(wait) = cx.store.read(wait)? else { return Ok(None) };
    let is_shown =
        cx.store.read(|conn| Ok(!wait.rebooted && is_last_shown(conn, answer, reading.now)?))?;
    if !is_shown && !wait.is_over(reading) {
        return Ok(Some(wait.evidence(reading.now)));
    }
    cx.store.write(|tx| match last_start(tx)? {
        Some(start) => keep(tx, &Start { wait: None, ..start }),
        None => Ok(()),
    })?;
    Ok(None)
}

/// Whether the list shows the last call. True if this file has no call within the records.
fn is_last_shown(conn: &Conn, answer: &ListAnswer, now: Instant) -> anyhow::Result<bool> {
    let last = last_call(conn, answer.oldest, now)?;
    Ok(last.is_none_or(|(id, _)| answer.listing.calls.iter().any(|call| call.id == id)))
}

/// The newest call that this account's records must contain: its id, and when it was requested.
fn last_call(
    conn: &Conn,
    oldest: Instant,
    now: Instant,
) -> anyhow::Result<Option<(String, Instant)>> {
    let from = account::since(conn)?.map_or(oldest, |since| since.max(oldest));
    // A wrong clock may have dated a call ahead, so calls up to a day ahead count.
    let until = now + Duration::days(1);
    let Some(id) = unresolved::last_call_ids(conn, from, until, 1)?.pop() else { return Ok(None) };
    let made = readable(attempts::by_call_id(conn, &id))?.flatten();
    Ok(made.map(|made| (id, made.created_at)))
}

/// The last write of a process that ends cleanly, with no call in progress. A file that is no
/// longer ours is left alone. A failure only makes the next start wait.
pub fn end(cx: &Context, reading: &Reading) {
    if let Err(error) = try_to_end(cx, reading) {
        log::warn!("the end cannot be recorded, so the next start waits for the list: {error:#}");
    }
}

fn try_to_end(cx: &Context, reading: &Reading) -> anyhow::Result<()> {
    if armed::swapped(&cx.store).is_some() || armed::not_armed(cx)?.is_some() {
        return Ok(());
    }
    cx.store.write(|tx| {
        let under_way = unresolved::is_any_in_state(tx, AttemptState::Dialing)?;
        match last_start(tx)? {
            Some(start) if !under_way => {
                keep(tx, &Start { ended_at: Some(instant_text(reading.now)), ..start })
            }
            _ => Ok(()),
        }
    })
}

fn wait(conn: &Conn) -> anyhow::Result<Option<StoredWait>> {
    Ok(last_start(conn)?.and_then(|start| start.wait))
}

fn last_start(conn: &Conn) -> anyhow::Result<Option<Start>> {
    Ok(meta::get(conn, LAST_START)?.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn keep(tx: &Tx<'_>, start: &Start) -> anyhow::Result<()> {
    meta::set(tx, LAST_START, &serde_json::to_string(start)?)
}
