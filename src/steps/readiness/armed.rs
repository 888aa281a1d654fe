//! The checks before dialing: is this the armed file, and does it lie at its place on this machine?
//! Each answer is a reason in words, or `None`.

use std::path::Path;

use crate::steps::Context;
use crate::steps::readiness::instance::InstanceIds;
use crate::store::file::identity::{Armed, Identity};
use crate::store::file::lost_database;
use crate::store::meta::installation;
use crate::store::{Conn, Store, Tx};

/// Why this file may not dial here; `None` if it is the armed one.
///
/// Checks the path only, because opening the file a second time would drop SQLite's own locks.
pub fn not_armed(cx: &Context) -> anyhow::Result<Option<String>> {
    cx.store.read(|conn| not_armed_in(conn, cx.store.path(), &cx.machine))
}

/// The same for a store alone, which may be read-only.
pub fn not_armed_at(store: &Store) -> anyhow::Result<Option<String>> {
    store.read(|conn| not_armed_in(conn, store.path(), &InstanceIds::here()))
}

/// The same inside a transaction, which sees the earlier commits of other processes.
pub fn not_armed_in(
    conn: &Conn,
    path: &Path,
    machine: &InstanceIds,
) -> anyhow::Result<Option<String>> {
    if path == Path::new(":memory:") {
        return Ok(None);
    }
    let here = Identity::of(path)?;
    let armed = installation::armed_identity(conn)?;
    let is_snapshot = armed.is_none();
    let new_beside = lost_database::not_accepted(conn)?.map(|new| format!("not armed here: {new}"));
    let differs = match mismatch(armed.as_ref(), &here) {
        Some(what) => Some(what),
        None => machine.mismatch(conn)?,
    };
    let mismatch = differs.map(|what| {
        if is_snapshot {
            return format!("not armed here: {what}, which never dials");
        }
        format!(
            "not armed here: {what}. If no other copy of it dials, run \
             `ringonce adopt --reason WHY`"
        )
    });
    Ok(mismatch.or(new_beside))
}

/// How the file differs from the armed identity.
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

/// Rewrites the armed file's identity in this version's form. An earlier version's form is valid
/// only until the machine renumbers its disks.
pub fn renew_identity(tx: &Tx<'_>, path: &Path) -> anyhow::Result<()> {
    if path == Path::new(":memory:") {
        return Ok(());
    }
    let (armed, here) = (installation::armed_identity(tx)?, Identity::of(path)?);
    let is_the_armed_one = mismatch(armed.as_ref(), &here).is_none();
    if is_the_armed_one && armed != Some(here.armed()) {
        installation::arm(tx, &here.armed())?;
    }
    Ok(())
}

/// Whether the path now leads to other files than the opened ones, in words. Checked before each
/// intent, because commits silently succeed in a moved file.
pub fn swapped(store: &Store) -> Option<String> {
    store.swapped().map(|swapped| swapped.to_string())
}
