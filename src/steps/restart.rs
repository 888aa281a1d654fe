//! restart: what a start after an end out of order waits for. A disk that was set back or cloned holds a
//! file that is older than the world and looks armed, and no end in order was its last act. The
//! provider's list knows the calls that such a file forgot, but may not show them yet.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::{self, Reading};
use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::steps::account::{self, VISIBLE_AFTER};
use crate::steps::reconcile::Answer;
use crate::steps::{Context, guard};
use crate::store::{Conn, Tx, attempts, doubts, meta};

/// Where the last process that might dial is kept.
const LAST_START: &str = "last_start";
/// How long after an end in order the machine may start anew and that end still counts as the last one:
/// a pass every 15 minutes, and the time that a reboot takes.
const REBOOT_AT_MOST: Duration = Duration::minutes(20);

/// Why dialing waits after a start, though the records were taken in. It needs no person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Waits {
    #[error(
        "dialing waits until {until} at the latest: the process before this one did not end in order, \
         and the provider's list does not show this file's last call yet; dialing starts by itself"
    )]
    ForTheLastCall { until: String },
    #[error(
        "dialing waits until {until}: the machine was started anew, and ringonce did not end in order \
         shortly before, so this disk may be older than the calls of the last minutes; dialing starts by \
         itself"
    )]
    ForAnyCall { until: String },
}

/// A process that might dial.
#[derive(Serialize, Deserialize)]
struct Start {
    boot_id: String,
    /// `None` while it runs, and for ever when it did not end in order.
    ended_at: Option<String>,
    /// What its start waits for.
    wait: Option<Wait>,
}

/// A wait for the provider's list.
#[derive(Clone, Serialize, Deserialize)]
struct Wait {
    /// The first start after the end out of order, or of this boot.
    since: String,
    monotonic_ms: i64,
    boot_id: String,
    /// The machine was started anew, so the disk may be an older one: the last known call says nothing
    /// about those that the file forgot.
    rebooted: bool,
}

impl Wait {
    fn from(reading: &Reading, rebooted: bool) -> Wait {
        Wait {
            since: instant_text(reading.now),
            monotonic_ms: reading.monotonic_ms,
            boot_id: reading.boot_id.clone(),
            rebooted,
        }
    }

    fn is_over(&self, reading: &Reading) -> bool {
        let waited = match self.boot_id == reading.boot_id {
            true => Duration::milliseconds(reading.monotonic_ms - self.monotonic_ms),
            false => parse_instant(&self.since).map_or(Duration::zero(), |at| reading.now - at),
        };
        VISIBLE_AFTER <= waited
    }

    fn told(&self) -> Waits {
        let until = parse_instant(&self.since).map(|at| instant_text(at + VISIBLE_AFTER));
        let until = until.unwrap_or_default();
        match self.rebooted {
            true => Waits::ForAnyCall { until },
            false => Waits::ForTheLastCall { until },
        }
    }
}

/// The first write of a process that may dial. The caller holds the dialer's lock, and the file is armed
/// or about to be.
pub fn begin(cx: &Context, reading: &Reading) -> anyhow::Result<()> {
    cx.store.write(|tx| {
        cx.machine.learn(tx)?;
        let wait = wait_of(tx, reading)?;
        let boot_id = reading.boot_id.clone();
        keep(tx, &Start { boot_id, ended_at: None, wait })
    })
}

/// What this start has to wait for. Several starts share one wait.
fn wait_of(conn: &Conn, reading: &Reading) -> anyhow::Result<Option<Wait>> {
    let Some(last) = last_start(conn)? else {
        // A file of an earlier version, or a new one, which nobody has opened yet.
        let boot = guard::trusted_boot(conn)?;
        return Ok(boot.map(|boot| Wait::from(reading, is_another_boot(&boot, reading))));
    };
    let rebooted = is_another_boot(&last.boot_id, reading);
    let ended = last.ended_at.as_deref().and_then(parse_instant);
    let in_order = ended.is_some_and(|at| !rebooted || nobody_dialed_since(at, reading));
    Ok(match last.wait {
        Some(wait) if !rebooted => Some(wait),
        None if in_order => None,
        _ => Some(Wait::from(reading, rebooted)),
    })
}

/// A boot without an id is never told from another one.
fn is_another_boot(boot_id: &str, reading: &Reading) -> bool {
    let is_known = |id: &str| !id.starts_with(clock::UNKNOWN_BOOT);
    boot_id != reading.boot_id && is_known(boot_id) && is_known(&reading.boot_id)
}

/// Whether so little time passed between an end in order and the start of the machine that this disk is
/// taken for the one that was used last. A machine that was started before that end is another one.
fn nobody_dialed_since(ended: Instant, reading: &Reading) -> bool {
    let booted = reading.now - Duration::milliseconds(reading.monotonic_ms);
    let until = if ended < booted { booted } else { reading.now };
    (Duration::zero()..=REBOOT_AT_MOST).contains(&(until - ended))
}

/// Since when the list of a start is asked for the last known call; `None`: it waits for none.
pub fn asks_since(conn: &Conn, oldest: Instant, now: Instant) -> anyhow::Result<Option<Instant>> {
    match wait(conn)? {
        Some(wait) if !wait.rebooted => Ok(last_call(conn, oldest, now)?.map(|(_, at)| at)),
        _ => Ok(None),
    }
}

/// Why dialing still waits after the list was taken in; `None`: it does not. What is over is forgotten.
pub fn waits(cx: &Context, answer: &Answer, reading: &Reading) -> anyhow::Result<Option<Waits>> {
    let Some(wait) = cx.store.read(wait)? else { return Ok(None) };
    let is_shown =
        cx.store.read(|conn| Ok(!wait.rebooted && is_last_shown(conn, answer, reading.now)?))?;
    if !is_shown && !wait.is_over(reading) {
        return Ok(Some(wait.told()));
    }
    cx.store.write(|tx| match last_start(tx)? {
        Some(start) => keep(tx, &Start { wait: None, ..start }),
        None => Ok(()),
    })?;
    Ok(None)
}

/// A file that knows of no call within the provider's records has none to look for.
fn is_last_shown(conn: &Conn, answer: &Answer, now: Instant) -> anyhow::Result<bool> {
    let last = last_call(conn, answer.oldest, now)?;
    Ok(last.is_none_or(|(id, _)| answer.listing.calls.iter().any(|call| call.id == id)))
}

/// The newest call that this account's records must hold: its id, and when it was asked for.
fn last_call(
    conn: &Conn,
    oldest: Instant,
    now: Instant,
) -> anyhow::Result<Option<(String, Instant)>> {
    let from = account::since(conn)?.map_or(oldest, |since| since.max(oldest));
    // Whatever the clocks say, the newest one counts.
    let until = now + Duration::days(1);
    let Some(id) = doubts::last_call_ids(conn, from, until, 1)?.pop() else { return Ok(None) };
    Ok(attempts::by_call_id(conn, &id)?.map(|made| (id, made.created_at)))
}

/// The last write of a process that ends in order: nothing of it is under way. A file that is not ours any
/// more is left alone. Failing is no trouble of what was done, only of the next start, which waits.
pub fn end(cx: &Context, reading: &Reading) {
    if let Err(error) = try_to_end(cx, reading) {
        log::warn!("the end cannot be noted, so the next start waits for the list: {error:#}");
    }
}

fn try_to_end(cx: &Context, reading: &Reading) -> anyhow::Result<()> {
    if guard::swapped(&cx.store).is_some() || guard::not_armed(cx)?.is_some() {
        return Ok(());
    }
    cx.store.write(|tx| {
        let under_way = attempts::in_state(tx, AttemptState::Dialing)?;
        match last_start(tx)? {
            Some(start) if under_way.is_empty() => {
                keep(tx, &Start { ended_at: Some(instant_text(reading.now)), ..start })
            }
            _ => Ok(()),
        }
    })
}

fn wait(conn: &Conn) -> anyhow::Result<Option<Wait>> {
    Ok(last_start(conn)?.and_then(|start| start.wait))
}

fn last_start(conn: &Conn) -> anyhow::Result<Option<Start>> {
    Ok(meta::get(conn, LAST_START)?.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn keep(tx: &Tx<'_>, start: &Start) -> anyhow::Result<()> {
    meta::set(tx, LAST_START, &serde_json::to_string(start)?)
}
