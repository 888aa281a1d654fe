//! What the file knows about itself: who it is, where it may dial, and what holds it back.

use std::path::Path;

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::files::{Armed, Identity};

/// Instants that are kept as marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The latest instant this file has seen; a clock behind it is wrong.
    ClockHighWater,
    /// The provider's records are known up to here.
    LastReconciled,
    LastTick,
    LastScan,
    LastBackup,
    Created,
    /// When a person armed the file last (`adopt`).
    Armed,
}

impl Mark {
    fn key(self) -> &'static str {
        match self {
            Mark::ClockHighWater => "clock_high_water",
            Mark::LastReconciled => "last_reconciled_at",
            Mark::LastTick => "last_tick_at",
            Mark::LastScan => "last_scan_at",
            Mark::LastBackup => "last_backup_at",
            Mark::Created => "created_at",
            Mark::Armed => "armed_at",
        }
    }
}

/// Who this database is. The id travels to the provider; the secret never leaves the file.
#[derive(Clone)]
pub struct Installation {
    pub id: String,
    phone_secret: String,
}

impl Installation {
    /// What stays of a number after erasure: equal for equal numbers, useless to anybody else.
    pub fn phone_key(&self, phone: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.phone_secret.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(phone.as_bytes());
        mac.finalize().into_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why nothing is dialed, until it is lifted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// `flag`, `clock`, `record`, `foreign`, `account`.
    pub kind: String,
    pub why: String,
    pub since: String,
}

/// A pause by a person, of everything or of a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    pub who: String,
    pub why: String,
    pub since: String,
}

/// The breaker as it stands. Absent from the file: closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    pub why: String,
    pub opened_at: String,
    /// From then on one call may be tried.
    pub probe_at: String,
    /// Only the end of a call that was really dialed closes it; an accepted one does not.
    #[serde(default)]
    pub until_ended: bool,
}

/// Customers who fell due, or have no next instant, and whose time zone is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Zoneless {
    pub customers: usize,
    /// The first few.
    pub ids: Vec<i64>,
}

impl std::fmt::Display for Zoneless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let are = if self.customers == 1 { "customer is" } else { "customers are" };
        let ids: Vec<String> = self.ids.iter().map(i64::to_string).collect();
        let more = if self.ids.len() < self.customers { ", …" } else { "" };
        let (count, ids) = (self.customers, ids.join(", "));
        write!(f, "{count} {are} in no known time zone, so never called: id {ids}{more}")
    }
}

impl Breaker {
    /// Whether the next call is the probe. An instant that is not understood keeps it shut.
    pub fn is_half_open(&self, now: Instant) -> bool {
        parse_instant(&self.probe_at).is_some_and(|probe_at| probe_at <= now)
    }
}

/// Writes the identity of a new installation; `:memory:` is armed as itself.
pub fn create_installation(tx: &Transaction<'_>, path: &Path, now: Instant) -> anyhow::Result<()> {
    renew_installation(tx)?;
    set_mark(tx, Mark::Created, now)?;
    if path != Path::new(":memory:") {
        arm(tx, &Identity::of(path)?.armed())?;
    }
    Ok(())
}

/// The keys under which [`installation`] is kept.
pub const IDENTITY: [&str; 2] = ["installation_id", "phone_secret"];

/// Gives the file a new identity: at its creation, and in a snapshot, where no number of the
/// original may be recognised.
pub fn renew_installation(tx: &Transaction<'_>) -> anyhow::Result<()> {
    set(tx, "installation_id", &uuid::Uuid::new_v4().to_string())?;
    let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    set(tx, "phone_secret", &secret)
}

pub fn installation(conn: &Connection) -> anyhow::Result<Installation> {
    let id = get(conn, "installation_id")?.context("the file has no installation id")?;
    let phone_secret = get(conn, "phone_secret")?.context("the file has no phone secret")?;
    Ok(Installation { id, phone_secret })
}

/// What the file is told by. The key is as old as the form `device:inode`: under a new key, an
/// earlier version would not see that a backup is one.
const ARMED_FILE: &str = "armed_device_inode";

/// Binds the right to dial to this file, here.
pub fn arm(tx: &Transaction<'_>, armed: &Armed) -> anyhow::Result<()> {
    set(tx, "armed_machine_id", &armed.machine_id)?;
    set(tx, "armed_path", &armed.path)?;
    set(tx, ARMED_FILE, &armed.file)
}

/// When this file was armed, with `adopt` or at its creation. It travels to the provider: of several
/// copies the one that was armed last may dial.
pub fn armed_at(conn: &Connection) -> anyhow::Result<Instant> {
    let at = mark(conn, Mark::Armed)?.or(mark(conn, Mark::Created)?);
    at.context("the file does not know when it was armed")
}

/// Never the same instant twice, so that a copy is always later than its original.
pub fn arm_anew(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<()> {
    let later = armed_at(tx)? + chrono::Duration::milliseconds(1);
    reset_mark(tx, Mark::Armed, now.max(later))
}

/// Makes a copy match no file at all: armed nowhere until `adopt`, whatever it is laid over.
pub fn mark_as_copy(conn: &Connection) -> anyhow::Result<()> {
    conn.execute("UPDATE meta SET value = 'a copy' WHERE key = 'armed_device_inode'", [])?;
    Ok(())
}

/// The identity that may dial; `None` in a snapshot. One read: each claim asks.
pub fn armed_identity(conn: &Connection) -> anyhow::Result<Option<Armed>> {
    let mut statement = conn.prepare_cached(
        "SELECT machine.value, path.value, file.value FROM meta AS machine, meta AS path, meta AS file
         WHERE machine.key = 'armed_machine_id' AND path.key = 'armed_path'
           AND file.key = 'armed_device_inode'",
    )?;
    let identity = statement.query_one([], |row| {
        Ok(Armed { machine_id: row.get(0)?, path: row.get(1)?, file: row.get(2)? })
    });
    Ok(identity.optional()?)
}

/// The next number of the ledger, taken in the transaction that writes the attempt.
pub fn next_seq(tx: &Transaction<'_>) -> anyhow::Result<i64> {
    let seq = highest_seq(tx)? + 1;
    raise_seq(tx, seq)?;
    Ok(seq)
}

/// The highest sequence number that this file knows of, its own or adopted.
pub fn highest_seq(conn: &Connection) -> anyhow::Result<i64> {
    let text = get(conn, "highest_seq")?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Never lowers the number.
pub fn raise_seq(tx: &Transaction<'_>, seq: i64) -> anyhow::Result<()> {
    if highest_seq(tx)? < seq {
        set(tx, "highest_seq", &seq.to_string())?;
    }
    Ok(())
}

pub fn mark(conn: &Connection, mark: Mark) -> anyhow::Result<Option<Instant>> {
    Ok(get(conn, mark.key())?.and_then(|text| parse_instant(&text)))
}

/// Sets a mark; it never moves backward.
pub fn set_mark(tx: &Transaction<'_>, mark: Mark, at: Instant) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
    )?
    .execute(params![mark.key(), instant_text(at)])?;
    Ok(())
}

/// A person accepted a clock that is behind the mark (`adopt`, `resume`).
pub fn reset_mark(tx: &Transaction<'_>, mark: Mark, at: Instant) -> anyhow::Result<()> {
    set(tx, mark.key(), &instant_text(at))
}

/// The provider's account, learnt with the first accepted call.
pub fn org_id(conn: &Connection) -> anyhow::Result<Option<String>> {
    get(conn, "org_id")
}

pub fn set_org_id(tx: &Transaction<'_>, org_id: &str) -> anyhow::Result<()> {
    set(tx, "org_id", org_id)
}

/// A person accepted an account that nothing names yet: the next accepted call does.
pub fn forget_org_id(tx: &Transaction<'_>) -> anyhow::Result<()> {
    remove(tx, "org_id").map(drop)
}

pub fn holds(conn: &Connection) -> anyhow::Result<Vec<Hold>> {
    let rows = prefixed(conn, "hold:")?;
    rows.into_iter().map(|(_, value)| Ok(serde_json::from_str(&value)?)).collect()
}

/// A hold of one kind; the first reason and instant stay.
pub fn hold(tx: &Transaction<'_>, kind: &str, why: &str, now: Instant) -> anyhow::Result<()> {
    let hold = Hold { kind: kind.to_string(), why: why.to_string(), since: instant_text(now) };
    tx.prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![format!("hold:{kind}"), serde_json::to_string(&hold)?])?;
    Ok(())
}

/// Lifts a hold; says whether there was one.
pub fn lift_hold(tx: &Transaction<'_>, kind: &str) -> anyhow::Result<bool> {
    remove(tx, &format!("hold:{kind}"))
}

/// Every pause with what it concerns: `all`, `type:daily`, `customer:KEY`, `number:PHONE_KEY`.
pub fn pauses(conn: &Connection) -> anyhow::Result<Vec<(String, Pause)>> {
    let rows = prefixed(conn, "pause:")?;
    rows.into_iter()
        .map(|(key, value)| {
            let scope = key.trim_start_matches("pause:").to_string();
            Ok((scope, serde_json::from_str(&value)?))
        })
        .collect()
}

pub fn set_pause(tx: &Transaction<'_>, scope: &str, pause: &Pause) -> anyhow::Result<()> {
    set(tx, &format!("pause:{scope}"), &serde_json::to_string(pause)?)
}

/// Says whether there was such a pause.
pub fn lift_pause(tx: &Transaction<'_>, scope: &str) -> anyhow::Result<bool> {
    remove(tx, &format!("pause:{scope}"))
}

pub fn breaker(conn: &Connection) -> anyhow::Result<Option<Breaker>> {
    match get(conn, "breaker")? {
        Some(text) => Ok(Some(serde_json::from_str(&text)?)),
        None => Ok(None),
    }
}

/// Opens it. Attempts up to the number `until` prove nothing for it.
pub fn open_breaker(tx: &Transaction<'_>, breaker: &Breaker, until: i64) -> anyhow::Result<()> {
    let until = until.max(breaker_moved_at(tx)?);
    set(tx, "breaker_moved_at_seq", &until.to_string())?;
    delay_probe(tx, breaker)
}

/// Writes when the next probe may be tried, and leaves the rest of an open breaker as it is.
pub fn delay_probe(tx: &Transaction<'_>, breaker: &Breaker) -> anyhow::Result<()> {
    set(tx, "breaker", &serde_json::to_string(breaker)?)
}

/// Says whether it was open. What failed before no longer counts.
pub fn close_breaker(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<bool> {
    let was_open = remove(tx, "breaker")?;
    if was_open {
        set(tx, "breaker_moved_at_seq", &highest_seq(tx)?.to_string())?;
        set(tx, "breaker_closed_at", &instant_text(now))?;
    }
    Ok(was_open)
}

/// When an outage was over last.
pub fn breaker_closed_at(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    Ok(get(conn, "breaker_closed_at")?.and_then(|text| parse_instant(&text)))
}

/// The last sequence number that no longer counts, since the breaker opened or closed.
pub fn breaker_moved_at(conn: &Connection) -> anyhow::Result<i64> {
    let text = get(conn, "breaker_moved_at_seq")?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Whether the attempt of this number was made after what opened or closed the breaker last.
pub fn is_probe(conn: &Connection, seq: i64) -> anyhow::Result<bool> {
    Ok(breaker_moved_at(conn)? < seq)
}

/// As the last scan found them; `None`: there are none.
pub fn zoneless(conn: &Connection) -> anyhow::Result<Option<Zoneless>> {
    get(conn, "zoneless")?.map(|text| Ok(serde_json::from_str(&text)?)).transpose()
}

/// The payment statuses that were eligible at the last scan.
pub fn eligible_statuses(conn: &Connection) -> anyhow::Result<Vec<String>> {
    let text = get(conn, "eligible_statuses")?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}

/// The rules of the last scan, in a form that only shows whether they are the same.
pub fn rules(conn: &Connection) -> anyhow::Result<Option<String>> {
    get(conn, "rules")
}

/// Written only where it is different: a scan that finds nothing writes nothing.
pub fn set_rules(tx: &Transaction<'_>, rules: &str, eligible: &[String]) -> anyhow::Result<()> {
    if get(tx, "rules")?.as_deref() != Some(rules) {
        set(tx, "rules", rules)?;
        set(tx, "eligible_statuses", &serde_json::to_string(eligible)?)?;
    }
    Ok(())
}

pub fn set_zoneless(tx: &Transaction<'_>, zoneless: &Zoneless) -> anyhow::Result<()> {
    match zoneless.customers {
        0 => remove(tx, "zoneless").map(drop),
        _ => set(tx, "zoneless", &serde_json::to_string(zoneless)?),
    }
}

/// A value by its key; `None` when it was never set.
pub fn get(conn: &Connection, key: &str) -> anyhow::Result<Option<String>> {
    Ok(conn
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_one([key], |row| row.get(0))
        .optional()?)
}

pub fn set(tx: &Transaction<'_>, key: &str, value: &str) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute([key, value])?;
    Ok(())
}

/// Removes a value; says whether there was one.
pub fn remove(tx: &Transaction<'_>, key: &str) -> anyhow::Result<bool> {
    let rows = tx.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
    Ok(rows == 1)
}

pub(super) fn prefixed(conn: &Connection, prefix: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut statement = conn
        .prepare_cached("SELECT key, value FROM meta WHERE ?1 <= key AND key < ?2 ORDER BY key")?;
    // ';' follows ':' in ASCII, so the range holds exactly the keys with this prefix.
    let end = prefix.replace(':', ";");
    let rows = statement.query_map([prefix, &end], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
