//! The identity of this database, and which file of it is armed.

use std::path::Path;

use anyhow::Context;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, Transaction};
use sha2::Sha256;

use crate::domain::Instant;
use crate::store::file::identity::{Armed, Identity};
use crate::store::meta::marks::{Mark, mark, reset_mark, set_mark};
use crate::store::meta::{get, set};

/// The identity of this database. The id is sent to the provider; the secret never leaves the file.
#[derive(Clone)]
pub struct Installation {
    pub id: String,
    pub(crate) phone_secret: String,
}

impl Installation {
    /// The key of a phone number, which stays after erasure. Equal numbers have equal keys, and
    /// without the secret a key is useless.
    pub fn phone_key(&self, phone: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.phone_secret.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(phone.as_bytes());
        HEXLOWER.encode(&mac.finalize().into_bytes()[..16])
    }
}

/// Writes the identity of a new installation and arms its file; a store in memory needs no arming.
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

/// Gives the file a new identity: at its creation, and in a snapshot, where phone numbers of the
/// original must not be recognizable.
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

/// The key of the armed file's identity. It has kept its name since the form `device:inode`: under
/// a new key, an earlier version would not see that a backup is a copy.
const ARMED_FILE: &str = "armed_device_inode";

/// Binds the right to dial to this file, here.
pub fn arm(tx: &Transaction<'_>, armed: &Armed) -> anyhow::Result<()> {
    set(tx, "armed_machine_id", &armed.machine_id)?;
    set(tx, "armed_path", &armed.path)?;
    set(tx, ARMED_FILE, &armed.file)
}

/// When this file was armed, with `adopt` or at its creation. The instant is sent to the provider:
/// of several copies, the one that was armed last may dial.
pub fn armed_at(conn: &Connection) -> anyhow::Result<Instant> {
    let at = mark(conn, Mark::Armed)?.or(mark(conn, Mark::Created)?);
    at.context("the file does not know when it was armed")
}

/// Sets a new arming instant, always later than the last one, so that a copy is later than its
/// original.
pub fn arm_anew(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<()> {
    let later = armed_at(tx)? + chrono::Duration::milliseconds(1);
    reset_mark(tx, Mark::Armed, now.max(later))
}

/// Makes a copy match no file: it stays disarmed until `adopt`, whichever file it overwrites.
pub fn mark_as_copy(conn: &Connection) -> anyhow::Result<()> {
    conn.execute("UPDATE meta SET value = 'a copy' WHERE key = 'armed_device_inode'", [])?;
    Ok(())
}

/// The identity that may dial; `None` in a snapshot. One read, because each claim asks.
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
