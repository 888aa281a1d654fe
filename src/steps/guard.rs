//! The guards in front of dialing: is this the armed file, do the clocks agree, does anything
//! hold? Each answer is a reason in words, or nothing.

use std::path::Path;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Reading;
use crate::domain::{Instant, instant_text, instant_words, parse_instant};
use crate::steps::Context;
use crate::steps::instance::InstanceIds;
use crate::store::files::{Armed, Identity};
use crate::store::meta::{self, Hold, Mark};
use crate::store::{Conn, Store, Tx, traces};

/// A clock may be set back so far by its daemon without being wrong.
const BEHIND_MARK: Duration = Duration::seconds(2);
/// Two clocks that differ by more disagree.
const DISAGREE: Duration = Duration::seconds(60);
/// Where the last trusted look at both clocks is kept.
const LAST_READING: &str = "last_reading";
/// The clock of another boot, or of another machine, and an answer without a date.
pub const NOBODY_VOUCHES: &str = "nothing vouches for the clock: it cannot be compared with what \
    this file has seen, and the provider's answer carries no date; look at the machine's clock, \
    then run `ringonce resume --hold clock --reason WHY`";
/// Where it is kept why no start opens.
const NOT_DIALING: &str = "not_dialing";
/// Set while the provider's date disagreed last: only its date, or a person, takes it back.
const DATE_DISAGREED: &str = "date_disagreed";
/// Set beside it where the provider's date was the later one: this clock is behind.
const DATE_IS_LATER: &str = "date_is_later";

/// Why this file, here, may not dial; `None` when it is the armed one.
///
/// Looks at the path only: opening the file a second time would drop SQLite's own locks.
pub fn not_armed(cx: &Context) -> anyhow::Result<Option<String>> {
    cx.store.read(|conn| not_armed_in(conn, cx.store.path(), &cx.machine))
}

/// The same of a store alone, also of one that is only looked at.
pub fn not_armed_at(store: &Store) -> anyhow::Result<Option<String>> {
    store.read(|conn| not_armed_in(conn, store.path(), &InstanceIds::here()))
}

/// The same inside a transaction: what another process committed before it counts.
pub fn not_armed_in(
    conn: &Conn,
    path: &Path,
    machine: &InstanceIds,
) -> anyhow::Result<Option<String>> {
    if path == Path::new(":memory:") {
        return Ok(None);
    }
    let here = Identity::of(path)?;
    let armed = meta::armed_identity(conn)?;
    let is_snapshot = armed.is_none();
    let new_beside = traces::not_accepted(conn)?.map(|new| format!("not armed here: {new}"));
    let differs = match mismatch(armed.as_ref(), &here) {
        Some(what) => Some(what),
        None => machine.mismatch(conn)?,
    };
    let mismatch = differs.map(|what| {
        if is_snapshot {
            return format!("not armed here: {what}, and nobody is ever called from it");
        }
        format!(
            "not armed here: {what}. If no other copy of it dials, run \
             `ringonce adopt --reason WHY`"
        )
    });
    Ok(mismatch.or(new_beside))
}

/// What differs between the armed identity and the file as it is here.
pub fn mismatch(armed: Option<&Armed>, here: &Identity) -> Option<String> {
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
    let differs = here.file.differs_from(&armed.file)?;
    Some(format!("another file lies at the path now (a restored backup or a copy): {differs}"))
}

/// Rewrites the identity of the armed file as this version stores it: what an earlier one wrote holds
/// only until the machine gives its disks other numbers.
pub fn renew_identity(tx: &Tx<'_>, path: &Path) -> anyhow::Result<()> {
    if path == Path::new(":memory:") {
        return Ok(());
    }
    let (armed, here) = (meta::armed_identity(tx)?, Identity::of(path)?);
    let is_the_armed_one = mismatch(armed.as_ref(), &here).is_none();
    if is_the_armed_one && armed != Some(here.armed()) {
        meta::arm(tx, &here.armed())?;
    }
    Ok(())
}

/// Whether the files at the path are no longer those that were opened, in words: asked before each
/// intent, because commits go on silently in a file that was moved.
pub fn swapped(store: &Store) -> Option<String> {
    store.swapped().map(|swapped| swapped.to_string())
}

#[derive(Serialize, Deserialize)]
struct Trusted {
    wall: String,
    monotonic_ms: i64,
    boot_id: String,
}

/// What was heard of the provider's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard {
    /// The provider was not asked, or could not be heard.
    Nothing,
    /// It answered without a date.
    Undated,
    /// Under a test clock: it goes by the machine's clock, so it is no witness, and none is needed.
    Bystander,
    Date(Instant),
}

impl Heard {
    /// Of an answer that may carry a date.
    pub fn of(date: Option<Instant>) -> Heard {
        date.map_or(Heard::Undated, Heard::Date)
    }
}

/// What the clocks say of each other.
#[derive(Clone, Debug, PartialEq)]
pub enum Clocks {
    Agree,
    /// Nothing vouches for this clock: the machine was started anew and the provider is silent.
    Unproven,
    /// Dialing is held, for this reason.
    Disagree(String),
}

/// Compares the clocks, and holds or lifts the hold.
///
/// `machine_now` tells a provider that does not take part in a test clock: its date is then no
/// witness.
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
                meta::hold(tx, "clock", why, reading.now)?;
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

/// Why the provider's date speaks against this clock; `None` when it does not.
pub fn date_disagrees(
    reading: &Reading,
    date: Option<Instant>,
    machine_now: Instant,
) -> Option<String> {
    let date = date.filter(|date| !is_bystander(*date, reading, machine_now))?;
    (DISAGREE < (date - reading.now).abs()).then(|| apart(reading.now, date))
}

/// Holds dialing when a date that came with a reply disagrees; writes nothing otherwise.
pub fn heard_date(
    cx: &Context,
    reading: &Reading,
    date: Instant,
    machine_now: Instant,
) -> anyhow::Result<()> {
    let Some(why) = date_disagrees(reading, Some(date), machine_now) else { return Ok(()) };
    log::error!("dialing holds: {why}");
    cx.store.write(|tx| {
        note_date(tx, &why, date, reading.now)?;
        meta::hold(tx, "clock", &why, reading.now)
    })
}

fn note_date(tx: &Tx<'_>, why: &str, date: Instant, now: Instant) -> anyhow::Result<()> {
    meta::set(tx, DATE_DISAGREED, why)?;
    match now < date {
        true => meta::set(tx, DATE_IS_LATER, &instant_text(date)),
        false => meta::remove(tx, DATE_IS_LATER).map(drop),
    }
}

/// Whether nothing speaks against this clock now; writes nothing.
pub fn is_trusted(cx: &Context, reading: &Reading) -> anyhow::Result<bool> {
    Ok(cx.store.read(|conn| compare(conn, reading, Heard::Nothing))? == Clocks::Agree)
}

/// What speaks against writing by this clock what binds until its instants come; `None`: nothing
/// does. Those of a clock that is behind have come already, and after a restart of the machine the clock
/// may be right.
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

/// What speaks against it where nobody waits for it: there a clock must also have been vouched for. A
/// file that has never seen a trusted one has nothing to compare.
pub fn unproven_clock(conn: &Conn, reading: &Reading) -> anyhow::Result<Option<String>> {
    Ok(match compare(conn, reading, Heard::Nothing)? {
        Clocks::Disagree(why) => Some(why),
        Clocks::Unproven if meta::get(conn, LAST_READING)?.is_some() => Some(
            "nothing vouches for the clock since the machine was started anew; `ringonce run` \
             and `ringonce tick` ask the provider"
                .to_string(),
        ),
        Clocks::Agree | Clocks::Unproven => None,
    })
}

/// Whether the wall clock moved otherwise than the one that never jumps, between two readings of
/// one process.
pub fn jumped(earlier: &Reading, now: &Reading) -> bool {
    let passed = Duration::milliseconds(now.monotonic_ms - earlier.monotonic_ms);
    earlier.boot_id != now.boot_id || DISAGREE < ((now.now - earlier.now) - passed).abs()
}

/// Under a test clock, a date that is right for the machine belongs to a server that does not
/// know of the test clock.
fn is_bystander(date: Instant, reading: &Reading, machine_now: Instant) -> bool {
    DISAGREE < (reading.now - machine_now).abs()
        && (date - machine_now).abs() <= DISAGREE
        && reading.boot_id == crate::clock::TEST_BOOT_ID
}

fn apart(now: Instant, date: Instant) -> String {
    format!(
        "the clock says {}, the provider's says {}; set the machine's clock right",
        instant_text(now),
        instant_text(date)
    )
}

/// Why the clock is behind what this file has already seen; `None` when it is not.
pub fn behind_mark(conn: &Conn, now: Instant) -> anyhow::Result<Option<String>> {
    let mark = meta::mark(conn, Mark::ClockHighWater)?;
    Ok(mark.filter(|mark| now < *mark - BEHIND_MARK).map(|mark| {
        format!(
            "the clock says {}, but this file has already seen {}; set the machine's clock \
             right, or, if that was wrong, run `ringonce resume --hold clock --reason WHY`",
            instant_text(now),
            instant_text(mark)
        )
    }))
}

fn compare(conn: &Conn, reading: &Reading, heard: Heard) -> anyhow::Result<Clocks> {
    if let Some(why) = behind_mark(conn, reading.now)? {
        return Ok(Clocks::Disagree(why));
    }
    if let Heard::Date(date) = heard {
        // When the provider agrees, this clock is right, whatever the last reading was.
        let agree = (date - reading.now).abs() <= DISAGREE;
        return Ok(if agree { Clocks::Agree } else { Clocks::Disagree(apart(reading.now, date)) });
    }
    if let Some(why) = meta::get(conn, DATE_DISAGREED)? {
        return Ok(Clocks::Disagree(why));
    }
    compare_with_last(conn, reading, heard)
}

/// Compares with the last trusted look at both clocks.
fn compare_with_last(conn: &Conn, reading: &Reading, heard: Heard) -> anyhow::Result<Clocks> {
    let unproven = if heard == Heard::Nothing { Clocks::Unproven } else { Clocks::Agree };
    let Some(text) = meta::get(conn, LAST_READING)? else { return Ok(unproven) };
    let last: Trusted = serde_json::from_str(&text)?;
    let Some(last_wall) = parse_instant(&last.wall) else { return Ok(unproven) };
    let earlier =
        Reading { now: last_wall, monotonic_ms: last.monotonic_ms, boot_id: last.boot_id };
    if earlier.boot_id != reading.boot_id {
        // By this clock occasions would end and marks move on, and nobody has looked at it.
        return Ok(match heard {
            Heard::Undated => Clocks::Disagree(NOBODY_VOUCHES.to_string()),
            _ => unproven,
        });
    }
    if jumped(&earlier, reading) {
        return Ok(Clocks::Disagree(format!(
            "the clock jumped to {} while only {} seconds passed since {}; dialing goes on when \
             the provider's clock agrees",
            instant_text(reading.now),
            (reading.monotonic_ms - earlier.monotonic_ms) / 1000,
            last.wall
        )));
    }
    Ok(Clocks::Agree)
}

/// The boot in which both clocks were trusted last; `None`: this file was never opened for dialing.
pub fn trusted_boot(conn: &Conn) -> anyhow::Result<Option<String>> {
    let Some(text) = meta::get(conn, LAST_READING)? else { return Ok(None) };
    Ok(Some(serde_json::from_str::<Trusted>(&text)?.boot_id))
}

fn trust(tx: &Tx<'_>, reading: &Reading) -> anyhow::Result<()> {
    meta::lift_hold(tx, "clock")?;
    meta::remove(tx, DATE_DISAGREED)?;
    meta::remove(tx, DATE_IS_LATER)?;
    meta::set_mark(tx, Mark::ClockHighWater, reading.now)?;
    let trusted = Trusted {
        wall: instant_text(reading.now),
        monotonic_ms: reading.monotonic_ms,
        boot_id: reading.boot_id.clone(),
    };
    meta::set(tx, LAST_READING, &serde_json::to_string(&trusted)?)
}

/// A person vouches for the clock (`resume`, `adopt`): what was seen before no longer counts. The
/// marks move back only where they lie ahead of it.
pub fn accept_clock(tx: &Tx<'_>, reading: &Reading) -> anyhow::Result<()> {
    for mark in [Mark::ClockHighWater, Mark::LastTick, Mark::LastScan] {
        if meta::mark(tx, mark)?.is_some_and(|at| reading.now < at) {
            meta::reset_mark(tx, mark, reading.now)?;
        }
    }
    trust(tx, reading)
}

/// Why the last start did not open, kept for whoever asks later.
#[derive(Serialize, Deserialize)]
pub struct NotDialing {
    pub why: String,
    /// When a start did not open first, after the last one that did.
    pub since: String,
}

/// Why no start has opened since; `None` where the last one did.
pub fn not_dialing(conn: &Conn) -> anyhow::Result<Option<NotDialing>> {
    Ok(meta::get(conn, NOT_DIALING)?.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Keeps why a start did not open; `None`: it did. Writes only what is new, and no reason into a
/// file that may not dial.
pub fn note_opening(cx: &Context, why: Option<&str>, now: Instant) -> anyhow::Result<()> {
    let known = cx.store.read(not_dialing)?;
    match (why, known) {
        (None, None) => Ok(()),
        (None, Some(_)) => cx.store.write(|tx| meta::remove(tx, NOT_DIALING).map(drop)),
        (Some(why), Some(known)) if known.why == why => Ok(()),
        (Some(_), _) if not_armed(cx)?.is_some() => Ok(()),
        (Some(why), known) => {
            let since = known.map_or_else(|| instant_text(now), |known| known.since);
            let text = serde_json::to_string(&NotDialing { why: why.to_string(), since })?;
            cx.store.write(|tx| meta::set(tx, NOT_DIALING, &text))
        }
    }
}

/// Every hold in words; empty when nothing holds.
pub fn holds(cx: &Context) -> anyhow::Result<Vec<String>> {
    let holds = cx.store.read(meta::holds)?;
    Ok(holds.into_iter().map(|hold| held(&hold)).collect())
}

/// The command that lifts a hold of this kind.
pub fn lifted_by(kind: &str) -> String {
    format!("ringonce resume --hold {kind} --reason WHY")
}

/// One hold in words.
pub fn held(hold: &Hold) -> String {
    format!("held since {} ({}): {}", instant_words(&hold.since), hold.kind, hold.why)
}
