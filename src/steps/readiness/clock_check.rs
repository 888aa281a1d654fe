//! Decides whether this machine's clock can be trusted, from the file's last reading and the
//! provider's date.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Reading;
use crate::domain::hold::HoldKind;
use crate::domain::start::Clocks;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::steps::Context;
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::{self, holds};
use crate::store::{Conn, Tx};

/// How far a time daemon may set the clock back, so that this much does not count as behind.
const BEHIND_MARK: Duration = Duration::seconds(2);

/// Two clocks disagree if they differ by more than this.
pub(crate) const DISAGREE: Duration = Duration::seconds(60);

/// The key of the last trusted reading of both clocks.
const LAST_READING: &str = "last_reading";

/// The reason if the last reading is of another boot or machine, and the answer has no date.
pub const UNCONFIRMED: &str = "the clock is unconfirmed: it cannot be compared with an \
    earlier reading of this file, and the provider's answer has no date; compare the machine's \
    clock with another one, then run `ringonce resume --hold clock --reason WHY`";

/// Set while the provider's last date disagreed. Only an agreeing date or a person removes it.
const DATE_DISAGREED: &str = "date_disagreed";

/// Set together with it if the provider's date was later, so that this clock is behind.
const DATE_IS_LATER: &str = "date_is_later";

#[derive(Serialize, Deserialize)]
struct Trusted {
    wall: String,
    monotonic_ms: i64,
    boot_id: String,
}

/// The provider's date, as far as it was received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard {
    /// The provider was not asked, or did not answer.
    Nothing,
    /// It answered without a date.
    Undated,
    /// Under a test clock, the provider's date follows the machine's clock. It proves nothing, and
    /// no proof is needed.
    Bystander,
    Date(Instant),
}

impl Heard {
    /// The case for an answer with or without a date.
    pub fn of(date: Option<Instant>) -> Heard {
        date.map_or(Heard::Undated, Heard::Date)
    }
}

/// Compares the clocks, and sets or lifts the hold.
///
/// `machine_now` detects a provider that does not use the test clock: its date proves nothing.
pub fn watch_clock(
    cx: &Context,
    reading: &Reading,
    heard: Heard,
    machine_now: Instant,
) -> anyhow::Result<Clocks> {
    let heard = match heard {
        Heard::Date(date) if is_bystander(date, reading, machine_now) => Heard::Bystander,
        heard => heard,
    };
    cx.store.write(|tx| {
        let clocks = compare(tx, reading, heard)?;
        match &clocks {
            Clocks::Disagree(why) => {
                holds::hold(tx, HoldKind::Clock, why, reading.now)?;
                if let Heard::Date(date) = heard {
                    note_date(tx, why, date, reading.now)?;
                }
            }
            Clocks::Agree => trust(tx, reading)?,
            Clocks::Unproven => {}
        }
        Ok(clocks)
    })
}

/// Why the provider's date contradicts this clock; `None` if it does not.
pub fn date_disagrees(
    reading: &Reading,
    date: Option<Instant>,
    machine_now: Instant,
) -> Option<String> {
    let date = date.filter(|date| !is_bystander(*date, reading, machine_now))?;
    (DISAGREE < (date - reading.now).abs()).then(|| apart(reading.now, date))
}

/// Holds dialing if the date of a reply disagrees; otherwise writes nothing.
pub fn heard_date(
    cx: &Context,
    reading: &Reading,
    date: Instant,
    machine_now: Instant,
) -> anyhow::Result<()> {
    let Some(why) = date_disagrees(reading, Some(date), machine_now) else { return Ok(()) };
    log::error!("dialing is held: {why}");
    cx.store.write(|tx| {
        note_date(tx, &why, date, reading.now)?;
        holds::hold(tx, HoldKind::Clock, &why, reading.now)
    })
}

fn note_date(tx: &Tx<'_>, why: &str, date: Instant, now: Instant) -> anyhow::Result<()> {
    meta::set(tx, DATE_DISAGREED, why)?;
    if now < date {
        meta::set(tx, DATE_IS_LATER, &instant_text(date))
    } else {
        meta::remove(tx, DATE_IS_LATER).map(drop)
    }
}

/// Whether everything known now agrees with this clock. Writes nothing.
pub fn is_trusted(cx: &Context, reading: &Reading) -> anyhow::Result<bool> {
    Ok(cx.store.read(|conn| compare(conn, reading, Heard::Nothing))? == Clocks::Agree)
}

/// Why this clock must not be used to compute future due times; `None`: it may be used. A clock
/// that is behind may be used, because its due times have already passed. An unconfirmed clock may
/// be used, because it may be right after a restart of the machine.
pub fn wrong_clock(conn: &Conn, reading: &Reading) -> anyhow::Result<Option<String>> {
    if behind_mark(conn, reading.now)?.is_some() {
        return Ok(None);
    }
    let clocks = match meta::get(conn, DATE_IS_LATER)? {
        Some(_) => compare_with_last(conn, reading, Heard::Nothing)?,
        None => compare(conn, reading, Heard::Nothing)?,
    };
    match clocks {
        Clocks::Disagree(why) => Ok(Some(why)),
        Clocks::Agree | Clocks::Unproven => Ok(None),
    }
}

/// The same for acts that can wait. For them the clock must be confirmed and not behind. A file
/// without any trusted reading has nothing to compare with, so the clock may be used.
pub fn unproven_clock(conn: &Conn, reading: &Reading) -> anyhow::Result<Option<String>> {
    Ok(match compare(conn, reading, Heard::Nothing)? {
        Clocks::Disagree(why) => Some(why),
        Clocks::Unproven if meta::get(conn, LAST_READING)?.is_some() => Some(
            "the clock is unconfirmed since the machine was rebooted; `ringonce run` and \
             `ringonce tick` ask the provider for its time"
                .to_string(),
        ),
        Clocks::Agree | Clocks::Unproven => None,
    })
}

/// Whether the wall clock and the monotonic clock moved differently between two readings. Readings
/// of different boots count as a jump.
pub fn jumped(earlier: &Reading, now: &Reading) -> bool {
    let passed = Duration::milliseconds(now.monotonic_ms - earlier.monotonic_ms);
    earlier.boot_id != now.boot_id || DISAGREE < ((now.now - earlier.now) - passed).abs()
}

/// Whether the date comes from a server that does not know the test clock, because under a test
/// clock the date matches the machine's clock.
fn is_bystander(date: Instant, reading: &Reading, machine_now: Instant) -> bool {
    DISAGREE < (reading.now - machine_now).abs()
        && (date - machine_now).abs() <= DISAGREE
        && reading.boot_id == crate::clock::TEST_BOOT_ID
}

pub(crate) fn apart(now: Instant, date: Instant) -> String {
    format!(
        "the clock says {}, the provider's says {}; set the machine's clock right",
        instant_text(now),
        instant_text(date)
    )
}

/// Why the clock is behind what this file has seen; `None` if it is not.
pub fn behind_mark(conn: &Conn, now: Instant) -> anyhow::Result<Option<String>> {
    let mark = marks::mark(conn, Mark::ClockHighWater)?;
    Ok(mark.filter(|mark| now < *mark - BEHIND_MARK).map(|mark| {
        format!(
            "the clock says {}, but this file has already seen {}; set the machine's clock \
             right, or, if that was wrong, run `ringonce resume --hold clock --reason WHY`",
            instant_text(now),
            instant_text(mark)
        )
    }))
}

pub(crate) fn compare(conn: &Conn, reading: &Reading, heard: Heard) -> anyhow::Result<Clocks> {
    if let Some(why) = behind_mark(conn, reading.now)? {
        return Ok(Clocks::Disagree(why));
    }
    if let Heard::Date(date) = heard {
        // If the provider agrees, this clock is right, whatever the last reading was.
        let agree = (date - reading.now).abs() <= DISAGREE;
        return Ok(if agree { Clocks::Agree } else { Clocks::Disagree(apart(reading.now, date)) });
    }
    if let Some(why) = meta::get(conn, DATE_DISAGREED)? {
        return Ok(Clocks::Disagree(why));
    }
    compare_with_last(conn, reading, heard)
}

/// Compares with the last trusted reading of both clocks.
fn compare_with_last(conn: &Conn, reading: &Reading, heard: Heard) -> anyhow::Result<Clocks> {
    let unproven = if heard == Heard::Nothing { Clocks::Unproven } else { Clocks::Agree };
    let Some(text) = meta::get(conn, LAST_READING)? else { return Ok(unproven) };
    let last: Trusted = serde_json::from_str(&text)?;
    let Some(last_wall) = parse_instant(&last.wall) else { return Ok(unproven) };
    let earlier =
        Reading { now: last_wall, monotonic_ms: last.monotonic_ms, boot_id: last.boot_id };
    if earlier.boot_id != reading.boot_id {
        // Occasions would expire and marks would move by this clock, though nothing has confirmed
        // it.
        return Ok(match heard {
            Heard::Undated => Clocks::Disagree(UNCONFIRMED.to_string()),
            _ => unproven,
        });
    }
    if jumped(&earlier, reading) {
        return Ok(Clocks::Disagree(format!(
            "the clock jumped to {} while only {} seconds passed since {}; dialing continues when \
             the provider's clock agrees",
            instant_text(reading.now),
            (reading.monotonic_ms - earlier.monotonic_ms) / 1000,
            last.wall
        )));
    }
    Ok(Clocks::Agree)
}

/// The boot of the last trusted reading; `None`: this file was never opened for dialing.
pub fn trusted_boot(conn: &Conn) -> anyhow::Result<Option<String>> {
    let Some(text) = meta::get(conn, LAST_READING)? else { return Ok(None) };
    Ok(Some(serde_json::from_str::<Trusted>(&text)?.boot_id))
}

pub(crate) fn trust(tx: &Tx<'_>, reading: &Reading) -> anyhow::Result<()> {
    holds::lift_hold(tx, HoldKind::Clock)?;
    meta::remove(tx, DATE_DISAGREED)?;
    meta::remove(tx, DATE_IS_LATER)?;
    marks::set_mark(tx, Mark::ClockHighWater, reading.now)?;
    let trusted = Trusted {
        wall: instant_text(reading.now),
        monotonic_ms: reading.monotonic_ms,
        boot_id: reading.boot_id.clone(),
    };
    meta::set(tx, LAST_READING, &serde_json::to_string(&trusted)?)
}

/// Accepts the clock by a person's decision (`resume`, `adopt`): earlier readings no longer count.
/// Marks move back only if they are ahead of the clock.
pub fn accept_clock(tx: &Tx<'_>, reading: &Reading) -> anyhow::Result<()> {
    for mark in [Mark::ClockHighWater, Mark::LastTick, Mark::LastScan] {
        if marks::mark(tx, mark)?.is_some_and(|at| reading.now < at) {
            marks::reset_mark(tx, mark, reading.now)?;
        }
    }
    trust(tx, reading)
}
